//! A device in memory: registers, windows, mailbox and tables as `sealnic-abi` describes them, strict about what refers
//! to what, and with faults on demand.

use crate::Device;
use crate::clock::ManualClock;
use crate::mailbox::MailboxConfig;
use crate::plan::Programmed;
use crate::transport::{Transport, TransportError};
use sealnic_abi::event::Event;
use sealnic_abi::mailbox::*;
use sealnic_abi::object::*;
use sealnic_abi::registers::{Location, MailboxError as DoorbellError, Register, RegisterFile, Window, offsets};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::rc::Rc;
use std::time::Duration;
use zerocopy::{FromBytes, IntoBytes};

/// What goes wrong with one doorbell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Fault {
    /// The doorbell doesn't reach the device.
    LostDoorbell,
    /// A bit of the request is flipped on its way.
    FlipRequest(usize),
    /// A bit of the response is flipped on its way; the length register may be hit, too.
    FlipResponse(usize),
    /// The response carries another sequence number, and a good checksum.
    WrongSequence,
    /// The response carries another opcode, and a good checksum.
    WrongOpcode,
    /// The length register says this.
    ResponseLen(u16),
    /// The payload is cut by so many octets, and the header says so.
    ShortPayload(u16),
    /// The command is carried out, and its answer comes after so many looks at the status.
    Slow(u32),
    /// The mailbox never gets done.
    Hang,
    /// The doorbell is refused.
    Refuse(DoorbellError),
    /// The device faults.
    Stop,
    /// Everything reads as ones from now on.
    Vanish,
}

pub(super) struct Mock {
    pub(super) state: Programmed,
    pub(super) config: Option<DeviceConfig>,
    pub(super) sas: Vec<SaState>,
    pub(super) events: VecDeque<Event>,
    pub(super) counters: CounterValues,
    pub(super) identity: Identity,
    /// Opcodes of the commands carried out.
    pub(super) executed: Vec<Opcode>,
    /// One per doorbell to come.
    pub(super) faults: VecDeque<Option<Fault>>,
    /// Answer every command with this.
    pub(super) refuse_with: Option<Status>,
    /// Sequence numbers of the requests that were whole.
    pub(super) sequences: Vec<u32>,
    pub(super) registers: RegisterFile,
    pub(super) request: Vec<u8>,
    pub(super) response: Vec<u8>,
    pub(super) self_test: SelfTestResult,
    /// Says that so many more events are left than there are.
    pub(super) phantom_events: u32,
    /// Keeps the generation over a reset.
    pub(super) keep_generation: bool,
    /// All key material that came in.
    pub(super) keys_seen: Vec<u8>,
    vanished: bool,
    busy_looks: u32,
    pub(super) last: Option<(u32, Vec<u8>)>,
}

/// The transport to a mock that the test can still reach.
#[derive(Clone)]
pub(super) struct MockTransport(pub(super) Rc<RefCell<Mock>>);

pub(super) const TEST_CONFIG: MailboxConfig = MailboxConfig {
    timeout: Duration::from_millis(100),
    attempts: 4,
    first_sequence: NonZeroU32::new(u32::MAX - 5),
};

impl Mock {
    pub(super) fn new() -> Rc<RefCell<Self>> {
        let mut registers = RegisterFile::new();
        registers.set_field(Register::Status, offsets::status::READY_MASK, 1);
        registers.set_field(Register::CapMailbox, offsets::cap_mailbox::REQUEST_LEN_MASK, 4096);
        registers.set_field(Register::CapMailbox, offsets::cap_mailbox::RESPONSE_LEN_MASK, 4096);
        Rc::new(RefCell::new(Self {
            state: Programmed::default(),
            config: None,
            sas: Vec::new(),
            events: VecDeque::new(),
            counters: CounterValues::ZERO,
            identity: Identity {
                generation: 77,
                abi_major: sealnic_abi::ABI_MAJOR,
                max_flows: 1024,
                max_associations: 64,
                max_sas: 256,
                max_mappings: 1024,
                max_vnets: 600,
                max_ports: 300,
                max_port_addresses: 400,
                max_exclusions: 300,
                ..Identity::ZERO
            },
            executed: Vec::new(),
            faults: VecDeque::new(),
            refuse_with: None,
            sequences: Vec::new(),
            registers,
            request: vec![0; WINDOW_LEN],
            response: vec![0; WINDOW_LEN],
            self_test: SelfTestResult { run: 0x3f, failed: 0 },
            phantom_events: 0,
            keep_generation: false,
            keys_seen: Vec::new(),
            vanished: false,
            busy_looks: 0,
            last: None,
        }))
    }

    /// A mock and a driver attached to it, on a clock of its own.
    pub(super) fn attached() -> (Rc<RefCell<Self>>, Device<MockTransport>, ManualClock) {
        let mock = Self::new();
        let clock = ManualClock::default();
        let device = Device::attach_with(MockTransport(mock.clone()), Box::new(clock.clone()), TEST_CONFIG).unwrap();
        mock.borrow_mut().executed.clear();
        mock.borrow_mut().sequences.clear();
        (mock, device, clock)
    }

    fn set_mailbox(&mut self, busy: u32, done: u32, error: u32, code: DoorbellError) {
        use offsets::mailbox_status as field;
        for (mask, value) in [
            (field::BUSY_MASK, busy),
            (field::DONE_MASK, done),
            (field::ERROR_MASK, error),
            (field::ERROR_CODE_MASK, u32::from(code.bits())),
        ] {
            self.registers.set_field(Register::MailboxStatus, mask, value);
        }
    }

    fn ring(&mut self, len: usize) {
        let fault = self.faults.pop_front().flatten();
        match fault {
            Some(Fault::LostDoorbell) => return,
            Some(Fault::Vanish) => {
                self.vanished = true;
                return;
            }
            Some(Fault::Hang) => {
                self.busy_looks = u32::MAX;
                return self.set_mailbox(1, 0, 0, DoorbellError::None);
            }
            Some(Fault::Refuse(code)) => return self.set_mailbox(0, 0, 1, code),
            Some(Fault::Stop) => {
                self.registers
                    .set_field(Register::Status, offsets::status::FAULT_MASK, 1);
                self.registers
                    .set_field(Register::Status, offsets::status::FAULT_CODE_MASK, 3);
                return self.set_mailbox(0, 0, 1, DoorbellError::NotReady);
            }
            _ => {}
        }
        if !(16..=WINDOW_LEN).contains(&len) || !len.is_multiple_of(4) {
            return self.set_mailbox(0, 0, 1, DoorbellError::BadLength);
        }
        let mut request = self.request[..len].to_vec();
        self.request.fill(0);
        if let Some(Fault::FlipRequest(bit)) = fault {
            request[bit / 8 % len] ^= 1 << (bit % 8);
        }
        let mut response = self.answer(&request);
        let mut response_len = response.len();
        match fault {
            Some(Fault::FlipResponse(bit)) => {
                let bits = response.len() * 8 + 16;
                match bit % bits {
                    bit if bit < response.len() * 8 => response[bit / 8] ^= 1 << (bit % 8),
                    bit => response_len ^= 1 << (bit - response.len() * 8),
                }
            }
            Some(Fault::WrongSequence) => reseal(&mut response, |header| header.sequence ^= 1),
            Some(Fault::WrongOpcode) => reseal(&mut response, |header| header.opcode ^= 1),
            Some(Fault::ResponseLen(len)) => response_len = usize::from(len),
            Some(Fault::ShortPayload(by)) => {
                response.truncate(response.len() - usize::from(by));
                response_len = response.len();
                reseal(&mut response, |header| header.payload_len -= by);
            }
            Some(Fault::Slow(looks)) => self.busy_looks = looks,
            _ => {}
        }
        self.response[..response.len()].copy_from_slice(&response);
        self.registers.set_field(
            Register::MailboxResponseLen,
            u32::MAX,
            u32::try_from(response_len).unwrap() & 0xffff,
        );
        if self.busy_looks > 0 {
            self.set_mailbox(1, 0, 0, DoorbellError::None);
        } else {
            self.set_mailbox(0, 1, 0, DoorbellError::None);
        }
    }

    pub(super) fn answer(&mut self, request: &[u8]) -> Vec<u8> {
        let (header, payload) = match read_message(request) {
            Ok(message) => message,
            Err(error) => return message(&error.header.unwrap_or(MessageHeader::ZERO), error.status, 0, &[]),
        };
        if let Some((sequence, answer)) = &self.last
            && *sequence == header.sequence
        {
            return answer.clone();
        }
        self.sequences.push(header.sequence);
        let answer = match self.execute(header.opcode, payload) {
            Ok(payload) => message(&header, Status::Ok, 0, &payload),
            Err((status, detail)) => message(&header, status, detail, &[]),
        };
        self.last = Some((header.sequence, answer.clone()));
        answer
    }

    fn execute(&mut self, opcode: u16, payload: &[u8]) -> Result<Vec<u8>, (Status, u16)> {
        let opcode = Opcode::try_from(opcode).map_err(|_| (Status::BadOpcode, 0))?;
        self.executed.push(opcode);
        if let Some(status) = self.refuse_with {
            return Err((status, 0));
        }
        let s = &mut self.state;
        match opcode {
            Opcode::Identify => {
                self.identity.configured = u8::from(self.config.is_some());
                Ok(self.identity.as_bytes().to_vec())
            }
            Opcode::Configure => {
                let config = take::<DeviceConfig>(payload)?;
                need(self.config.is_none_or(|c| c == config), Status::Conflict)?;
                self.config = Some(config);
                Ok(vec![])
            }
            Opcode::Reset => {
                if !self.keep_generation {
                    self.identity.generation += 1;
                }
                self.state = Programmed::default();
                self.config = None;
                self.sas.clear();
                Ok(vec![])
            }
            Opcode::VnetSet => {
                need(self.config.is_some(), Status::NotConfigured)?;
                set(&mut s.vnets, take::<Vnet>(payload)?, |v| v.vni);
                Ok(vec![])
            }
            Opcode::VnetRemove => {
                let vni = take::<VnetRemove>(payload)?.id;
                let used = s.ports.iter().any(|p| p.vni == vni)
                    || s.mappings.iter().any(|m| m.src_vni == vni)
                    || s.associations.iter().any(|a| a.local_vni == vni)
                    || s.exclusions.iter().any(|e| e.vni == vni);
                need(!used, Status::Conflict)?;
                remove(&mut s.vnets, |v| v.vni == vni)
            }
            Opcode::PortSet => {
                let port = take::<Port>(payload)?;
                need(s.vnets.iter().any(|v| v.vni == port.vni), Status::NotFound)?;
                let old = s.ports.iter().find(|p| p.port == port.port);
                need(old.is_none_or(|p| p.vni == port.vni), Status::Conflict)?;
                set(&mut s.ports, port, |p| p.port);
                Ok(vec![])
            }
            Opcode::PortRemove => {
                let id = take::<PortRemove>(payload)?.id;
                s.port_addresses.retain(|a| u32::from(a.port) != id);
                remove(&mut s.ports, |p| u32::from(p.port) == id)
            }
            Opcode::PortAddressAdd => {
                let address = take::<PortAddress>(payload)?;
                need(s.ports.iter().any(|p| p.port == address.port), Status::NotFound)?;
                set(&mut s.port_addresses, address, |a| *a);
                Ok(vec![])
            }
            Opcode::PortAddressRemove => {
                let address = take::<PortAddressRemove>(payload)?.address;
                remove(&mut s.port_addresses, |a| *a == address)
            }
            Opcode::MappingSet => {
                let bulk = take::<MappingSet>(payload)?;
                let count = usize::try_from(bulk.count).unwrap();
                need((1..=MAPPING_BULK).contains(&count), Status::BadParameter)?;
                for (index, mapping) in bulk.items[..count].iter().enumerate() {
                    let at = u16::try_from(index).unwrap();
                    if !s.vnets.iter().any(|v| v.vni == mapping.src_vni) {
                        return Err((Status::NotFound, at));
                    }
                    let key = crate::desired::mapping_key;
                    if s.mappings
                        .iter()
                        .any(|m| key(m) == key(mapping) && m.revision > mapping.revision)
                    {
                        return Err((Status::StaleRevision, at));
                    }
                    set(&mut s.mappings, *mapping, key);
                }
                Ok(vec![])
            }
            Opcode::MappingRemove => {
                let key = crate::desired::mapping_key(&take::<MappingRemove>(payload)?.mapping);
                remove(&mut s.mappings, |m| crate::desired::mapping_key(m) == key)
            }
            Opcode::AssociationSet => {
                let new = take::<Association>(payload)?;
                need(s.vnets.iter().any(|v| v.vni == new.local_vni), Status::NotFound)?;
                let clash =
                    |a: &Association| (a.id == new.id && *a != new) || (a.id != new.id && a.local_cid == new.local_cid);
                need(!s.associations.iter().any(clash), Status::Conflict)?;
                set(&mut s.associations, new, |a| a.id);
                Ok(vec![])
            }
            Opcode::AssociationStateSet => {
                let new = take::<AssociationStateSet>(payload)?;
                let association = s.associations.iter_mut().find(|a| a.id == new.id);
                association.ok_or((Status::NotFound, 0))?.state = new.state;
                Ok(vec![])
            }
            Opcode::AssociationRemove => {
                let id = take::<AssociationRemove>(payload)?.id;
                self.sas.retain(|sa| sa.association != id);
                remove(&mut s.associations, |a| a.id == id)
            }
            Opcode::ExclusionSet => {
                let exclusion = take::<Exclusion>(payload)?;
                need(s.vnets.iter().any(|v| v.vni == exclusion.vni), Status::NotFound)?;
                set(&mut s.exclusions, exclusion, |e| e.id);
                Ok(vec![])
            }
            Opcode::ExclusionRemove => {
                let id = take::<ExclusionRemove>(payload)?.id;
                remove(&mut s.exclusions, |e| e.id == id)
            }
            Opcode::VnetList => list::<VnetPage, _>(payload, &s.vnets, |p, c, n, i| {
                (p.count, p.next) = (c, n);
                p.items[..i.len()].copy_from_slice(i);
                p.items.len()
            }),
            Opcode::PortList => list::<PortPage, _>(payload, &s.ports, |p, c, n, i| {
                (p.count, p.next) = (c, n);
                p.items[..i.len()].copy_from_slice(i);
                p.items.len()
            }),
            Opcode::PortAddressList => list::<PortAddressPage, _>(payload, &s.port_addresses, |p, c, n, i| {
                (p.count, p.next) = (c, n);
                p.items[..i.len()].copy_from_slice(i);
                p.items.len()
            }),
            Opcode::MappingList => list::<MappingPage, _>(payload, &s.mappings, |p, c, n, i| {
                (p.count, p.next) = (c, n);
                p.items[..i.len()].copy_from_slice(i);
                p.items.len()
            }),
            Opcode::AssociationList => list::<AssociationPage, _>(payload, &s.associations, |p, c, n, i| {
                (p.count, p.next) = (c, n);
                p.items[..i.len()].copy_from_slice(i);
                p.items.len()
            }),
            Opcode::SaList => list::<SaPage, _>(payload, &self.sas, |p, c, n, i| {
                (p.count, p.next) = (c, n);
                p.items[..i.len()].copy_from_slice(i);
                p.items.len()
            }),
            Opcode::ExclusionList => list::<ExclusionPage, _>(payload, &s.exclusions, |p, c, n, i| {
                (p.count, p.next) = (c, n);
                p.items[..i.len()].copy_from_slice(i);
                p.items.len()
            }),
            Opcode::FlowList => Ok(FlowPage::ZERO.as_bytes().to_vec()),
            Opcode::FlowFlush => {
                let flush = take::<FlowFlush>(payload)?;
                Ok(FlowFlushed {
                    count: flush.scope.wrapping_add(u32::from(flush.is_vni)),
                }
                .as_bytes()
                .to_vec())
            }
            Opcode::PolicyEpochBump => {
                self.identity.policy_epoch += 1;
                Ok(self.identity.policy_epoch.as_bytes().to_vec())
            }
            Opcode::Counters => Ok(self.counters.as_bytes().to_vec()),
            Opcode::SaInstall => {
                let sa = take::<SaInstall>(payload)?;
                need(sa.generation == self.identity.generation, Status::StaleGeneration)?;
                need(s.associations.iter().any(|a| a.id == sa.association), Status::NotFound)?;
                self.keys_seen.extend(sa.key.iter().chain(&sa.iv).chain(&sa.sn_key));
                let state = SaState {
                    sa: sa.sa,
                    association: sa.association,
                    epoch: sa.epoch,
                    sequence: sa.first_seq,
                    generation: sa.generation,
                    direction: sa.direction,
                    ..SaState::ZERO
                };
                set(&mut self.sas, state, |sa| sa.sa);
                Ok(vec![])
            }
            Opcode::SaActivate => self.set_phase(take::<SaActivate>(payload)?.id, SaPhase::Active),
            Opcode::SaRetire => self.set_phase(take::<SaRetire>(payload)?.id, SaPhase::Retiring),
            Opcode::SaRemove => {
                let id = take::<SaRemove>(payload)?.id;
                remove(&mut self.sas, |sa| sa.sa == id)
            }
            Opcode::SaQuery => {
                let id = take::<SaQuery>(payload)?.id;
                let sa = self.sas.iter().find(|sa| sa.sa == id).ok_or((Status::NotFound, 0))?;
                Ok(sa.as_bytes().to_vec())
            }
            Opcode::SealControlRecord => {
                let record = take::<SealControlRecord>(payload)?;
                need(record.content_type != 23, Status::BadParameter)?;
                Ok(ControlRecordSealed {
                    sequence: u64::from(record.content_len),
                    epoch: record.content.iter().map(|&o| u64::from(o)).sum(),
                }
                .as_bytes()
                .to_vec())
            }
            Opcode::EventDrain => {
                let max = usize::try_from(take::<EventDrain>(payload)?.max).unwrap();
                let mut page = EventPage::ZERO;
                let count = max.min(page.items.len()).min(self.events.len());
                for (slot, event) in page.items.iter_mut().zip(self.events.drain(..count)) {
                    *slot = event;
                }
                page.count = u32::try_from(count).unwrap();
                page.left = u32::try_from(self.events.len()).unwrap() + self.phantom_events;
                Ok(page.as_bytes().to_vec())
            }
            Opcode::SelfTest => Ok(self.self_test.as_bytes().to_vec()),
        }
    }

    fn set_phase(&mut self, id: u32, phase: SaPhase) -> Result<Vec<u8>, (Status, u16)> {
        let sa = self
            .sas
            .iter_mut()
            .find(|sa| sa.sa == id)
            .ok_or((Status::NotFound, 0))?;
        sa.phase = phase.into();
        Ok(vec![])
    }
}

impl Transport for MockTransport {
    fn read32(&mut self, offset: u32) -> Result<u32, TransportError> {
        let mock = &mut *self.0.borrow_mut();
        if mock.vanished {
            return Ok(u32::MAX);
        }
        let word = |octets: &[u8], at: u32| {
            let at = usize::try_from(at).unwrap();
            u32::from_le_bytes(octets[at..at + 4].try_into().unwrap())
        };
        Ok(
            match Location::decode(offset).ok_or(TransportError::OutOfRange { offset })? {
                Location::Register(register) => {
                    if register == Register::MailboxStatus && mock.busy_looks > 0 && mock.busy_looks < u32::MAX {
                        mock.busy_looks -= 1;
                        if mock.busy_looks == 0 {
                            mock.set_mailbox(0, 1, 0, DoorbellError::None);
                        }
                    }
                    mock.registers.host_read(register)
                }
                Location::Window { window, offset } => match window {
                    Window::MailboxRequest => word(&mock.request, offset),
                    Window::MailboxResponse => word(&mock.response, offset),
                    Window::Counters => 0,
                },
            },
        )
    }

    fn write32(&mut self, offset: u32, value: u32) -> Result<(), TransportError> {
        let mock = &mut *self.0.borrow_mut();
        match Location::decode(offset).ok_or(TransportError::OutOfRange { offset })? {
            Location::Register(register) => {
                let pulses = mock.registers.host_write(register, value);
                if register == Register::MailboxDoorbell && mock.busy_looks == 0 {
                    mock.ring(usize::try_from(value & 0xffff).unwrap());
                }
                if pulses & offsets::control::SOFT_RESET_MASK != 0 {
                    mock.identity.generation += 1;
                    mock.busy_looks = 0;
                    mock.set_mailbox(0, 0, 0, DoorbellError::None);
                    mock.registers
                        .set_field(Register::Status, offsets::status::FAULT_MASK, 0);
                }
            }
            Location::Window {
                window: Window::MailboxRequest,
                offset,
            } => {
                let at = usize::try_from(offset).unwrap();
                mock.request[at..at + 4].copy_from_slice(&value.to_le_bytes());
            }
            Location::Window { .. } => return Err(TransportError::OutOfRange { offset }),
        }
        Ok(())
    }
}

fn message(request: &MessageHeader, status: Status, detail: u16, payload: &[u8]) -> Vec<u8> {
    let mut octets = vec![0; 16 + payload.len()];
    let header = MessageHeader {
        status: status.into(),
        detail,
        ..*request
    };
    write_message(&mut octets, header, payload).unwrap();
    octets
}

fn reseal(message: &mut [u8], edit: impl Fn(&mut MessageHeader)) {
    let (mut header, _) = MessageHeader::read_from_prefix(message).unwrap();
    edit(&mut header);
    header.checksum = checksum(&header, &message[16..]);
    message[..16].copy_from_slice(header.as_bytes());
}

fn take<R: FromBytes>(payload: &[u8]) -> Result<R, (Status, u16)> {
    R::read_from_bytes(payload).map_err(|_| (Status::BadLength, 0))
}

fn need(condition: bool, status: Status) -> Result<(), (Status, u16)> {
    condition.then_some(()).ok_or((status, 0))
}

fn set<O: Copy, K: PartialEq>(objects: &mut Vec<O>, new: O, key: impl Fn(&O) -> K) {
    match objects.iter_mut().find(|o| key(o) == key(&new)) {
        Some(old) => *old = new,
        None => objects.push(new),
    }
}

fn remove<O>(objects: &mut Vec<O>, is_it: impl Fn(&O) -> bool) -> Result<Vec<u8>, (Status, u16)> {
    let at = objects.iter().position(is_it).ok_or((Status::NotFound, 0))?;
    objects.remove(at);
    Ok(vec![])
}

fn list<P: FromBytes + IntoBytes + zerocopy::Immutable, O>(
    payload: &[u8],
    objects: &[O],
    fill: impl Fn(&mut P, u32, u32, &[O]) -> usize,
) -> Result<Vec<u8>, (Status, u16)> {
    let cursor = usize::try_from(take::<VnetList>(payload)?.cursor).unwrap();
    let mut page = P::new_zeroed();
    let room = fill(&mut page, 0, 0, &[]);
    let rest = objects.get(cursor..).unwrap_or_default();
    let count = rest.len().min(room);
    let next = if rest.len() > room { cursor + count } else { 0 };
    fill(
        &mut page,
        u32::try_from(count).unwrap(),
        u32::try_from(next).unwrap(),
        &rest[..count],
    );
    Ok(page.as_bytes().to_vec())
}
