//! The control plane: mailbox commands over the tables. A message is checked in full before anything changes, a repeated
//! sequence number is answered with the answer already given, and the request is wiped always.

use crate::frame::{Destination, Frame, Output};
use crate::log::message;
use crate::memory::Memory;
use crate::nic::{Entropy, Nic};
use sealnic_abi::event::EventKind;
use sealnic_abi::flow::FlowKey;
use sealnic_abi::mailbox::*;
use sealnic_abi::object::{Association, AssociationState, DeviceConfig, Exclusion, Port, PortAddress, SaInstall, Vnet};
use sealnic_abi::{ABI_MAJOR, ABI_MINOR, Counter, DropReason};
use zerocopy::{FromBytes, IntoBytes};
use zeroize::Zeroize;

/// What the mailbox remembers between messages: the last one carried out, and its answer. Damaged messages in between
/// change nothing of it, so that a retry never carries a command out twice.
#[derive(Default)]
pub(crate) struct MailboxState {
    last: Option<MessageHeader>,
    answer: heapless::Vec<u8, WINDOW_LEN>,
}

impl MailboxState {
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }
}

impl<M: Memory, E: Entropy> Nic<M, E> {
    /// Handles the request in one window and leaves the response in the other; returns the response's length, in octets.
    pub fn mailbox(&mut self, now_ns: u64, request: &mut [u8], response: &mut [u8], out: &mut dyn Output) -> usize {
        self.begin_command(now_ns);
        let len = self.answer_message(request, response, out);
        request.zeroize();
        len
    }

    /// Handles a request of the command ring: as the mailbox does, but each is carried out, whatever its sequence number. `response` is
    /// the room that the host gave for the answer, at least a header. A reset ends the ring, so it isn't taken here.
    pub fn command(&mut self, now_ns: u64, request: &mut [u8], response: &mut [u8], out: &mut dyn Output) -> usize {
        self.begin_command(now_ns);
        self.count(Counter::MailboxMessages);
        let len = match read_message(request) {
            Err(MessageError { header, status }) => self.refuse(response, header.unwrap_or_default(), status, 0),
            Ok((header, _)) if header.opcode == u16::from(Opcode::Reset) => {
                self.refuse(response, header, Status::WrongState, 0)
            }
            Ok((header, payload)) => self.dispatch(header, payload, response, out),
        };
        request.zeroize();
        len
    }

    /// SAs whose overlap is over give up their places before a new one asks.
    fn begin_command(&mut self, now_ns: u64) {
        self.now_ns = self.now_ns.max(now_ns);
        while let Some(sa) = self.keys.expired(self.now_ns) {
            self.remove_sa(sa);
        }
    }

    fn answer_message(&mut self, request: &[u8], response: &mut [u8], out: &mut dyn Output) -> usize {
        self.count(Counter::MailboxMessages);
        let (header, payload) = match read_message(request) {
            Ok(message) => message,
            Err(MessageError { header, status }) => {
                return self.refuse(response, header.unwrap_or_default(), status, 0);
            }
        };
        if let Some(last) = self.mailbox.last
            && last.sequence == header.sequence
        {
            let answer = &self.mailbox.answer;
            return match response.get_mut(..answer.len()) {
                Some(window) if last == header => {
                    window.copy_from_slice(answer);
                    answer.len()
                }
                _ => self.refuse(response, header, Status::Conflict, 0),
            };
        }
        let len = self.dispatch(header, payload, response, out);
        self.mailbox.last = Some(header);
        self.mailbox.answer.clear();
        // An answer that doesn't fit the window was never given.
        let _ = self
            .mailbox
            .answer
            .extend_from_slice(response.get(..len).unwrap_or_default());
        len
    }

    fn refuse(&mut self, response: &mut [u8], header: MessageHeader, status: Status, detail: u16) -> usize {
        self.count(Counter::MailboxErrors);
        let header = MessageHeader {
            status: status.into(),
            detail,
            ..header
        };
        write_message(response, header, &[]).unwrap_or(0)
    }

    /// Carries out one command: its payload must have exactly the request's size.
    fn run<R: Request>(
        &mut self,
        header: MessageHeader,
        payload: &[u8],
        response: &mut [u8],
        command: impl FnOnce(&mut Self, &R) -> Result<R::Response, Failure>,
    ) -> usize {
        let fits = size_of::<MessageHeader>() + size_of::<R::Response>() <= response.len();
        let outcome = match R::ref_from_bytes(payload) {
            // Nothing is done whose answer would be lost.
            _ if !fits => Err(Status::BadLength.into()),
            Ok(request) => command(self, request),
            // The window may lie at any address; an unaligned payload is copied.
            Err(_) => match R::read_from_bytes(payload) {
                Ok(mut request) => {
                    let outcome = command(self, &request);
                    request.as_mut_bytes().zeroize();
                    outcome
                }
                Err(_) => Err(Status::BadLength.into()),
            },
        };
        match outcome {
            Ok(answer) => {
                let header = MessageHeader {
                    status: Status::Ok.into(),
                    detail: 0,
                    ..header
                };
                write_message(response, header, answer.as_bytes()).unwrap_or(0)
            }
            Err(Failure { status, detail }) => self.refuse(response, header, status, detail),
        }
    }

    fn dispatch(&mut self, header: MessageHeader, payload: &[u8], response: &mut [u8], out: &mut dyn Output) -> usize {
        let Ok(opcode) = Opcode::try_from(header.opcode) else {
            return self.refuse(response, header, Status::BadOpcode, 0);
        };
        if header.sequence == 0 {
            return self.refuse(response, header, Status::BadParameter, 0);
        }
        macro_rules! run {
            (|$nic:ident, $request:ident: $type:ty| $body:expr) => {
                self.run::<$type>(header, payload, response, |$nic, $request| $body)
            };
        }
        match opcode {
            Opcode::Identify => run!(|nic, _r: Identify| Ok(nic.identity())),
            Opcode::Configure => run!(|nic, r: DeviceConfig| nic.configure(r)),
            Opcode::VnetSet => run!(|nic, r: Vnet| nic.program(|nic| nic.tables.set_vnet(r))),
            Opcode::VnetRemove => run!(|nic, r: VnetRemove| nic.program(|nic| nic.tables.remove_vnet(r.id))),
            Opcode::VnetList => run!(|nic, r: VnetList| {
                let (count, next, items) = page(r.cursor, nic.tables.vnets.slots(), |at| {
                    nic.tables.vnets.at(at).map(|(_, v)| v)
                });
                Ok(VnetPage { count, next, items })
            }),
            Opcode::PortSet => run!(|nic, r: Port| nic.program(|nic| nic.tables.set_port(r))),
            Opcode::PortRemove => run!(|nic, r: PortRemove| nic.remove_port(r.id)),
            Opcode::PortList => run!(|nic, r: PortList| {
                let (count, next, items) = page(r.cursor, nic.tables.ports.len(), |at| nic.tables.ports[at]);
                Ok(PortPage { count, next, items })
            }),
            Opcode::PortAddressAdd => run!(|nic, r: PortAddress| nic.program(|nic| nic.tables.add_port_address(r))),
            Opcode::PortAddressRemove => {
                run!(|nic, r: PortAddressRemove| nic.program(|nic| nic.tables.remove_port_address(&r.address)))
            }
            Opcode::PortAddressList => run!(|nic, r: PortAddressList| {
                let row = |at| {
                    let (key, port) = nic.tables.port_addresses.at(at)?;
                    Some(PortAddress {
                        prefix: key.address(),
                        port,
                        prefix_len: key.prefix_len(),
                        reserved: 0,
                    })
                };
                let (count, next, items) = page(r.cursor, nic.tables.port_addresses.slots(), row);
                Ok(PortAddressPage { count, next, items })
            }),
            Opcode::MappingSet => run!(|nic, r: MappingSet| nic.set_mappings(r)),
            Opcode::MappingRemove => {
                run!(|nic, r: MappingRemove| nic.program(|nic| nic.tables.remove_mapping(&r.mapping)))
            }
            Opcode::MappingList => run!(|nic, r: MappingList| {
                let row = |at| nic.tables.mappings.at(at).map(|(key, target)| target.to_mapping(&key));
                let (count, next, items) = page(r.cursor, nic.tables.mappings.slots(), row);
                Ok(MappingPage { count, next, items })
            }),
            Opcode::AssociationSet => run!(|nic, r: Association| nic.program(|nic| {
                let config = nic.tables.config.ok_or(Status::NotConfigured)?;
                nic.keys.set_association(r, &config)
            })),
            Opcode::AssociationStateSet => run!(|nic, r: AssociationStateSet| nic.program(|nic| {
                let state = AssociationState::try_from(r.state).map_err(|_| Status::BadParameter)?;
                nic.keys.set_state(r.id, state)?;
                message!(info, "association {}: declared state {}", r.id, r.state);
                Ok(())
            })),
            Opcode::AssociationRemove => {
                run!(|nic, r: AssociationRemove| nic.program(|nic| nic.keys.remove_association(r.id)))
            }
            Opcode::AssociationList => run!(|nic, r: AssociationList| {
                let row = |at: usize| nic.keys.peer(at as u32).map(|peer| peer.config);
                let (count, next, items) = page(r.cursor, nic.keys.association_slots(), row);
                Ok(AssociationPage { count, next, items })
            }),
            Opcode::SaInstall => run!(|nic, r: SaInstall| nic.program(|nic| nic.keys.install(r, nic.generation))),
            Opcode::SaActivate => run!(|nic, r: SaActivate| nic.program(|nic| {
                if let Some(previous) = nic.keys.activate(r.id)? {
                    nic.report_sa(EventKind::SaRetired, previous);
                }
                Ok(())
            })),
            Opcode::SaRetire => run!(|nic, r: SaRetire| nic.program(|nic| {
                if nic.keys.retire(r.id, nic.now_ns)? {
                    nic.report_sa(EventKind::SaRetired, r.id);
                }
                Ok(())
            })),
            Opcode::SaRemove => run!(|nic, r: SaRemove| nic.program(|nic| nic.keys.remove(r.id))),
            Opcode::SaQuery => run!(|nic, r: SaQuery| Ok(nic.keys.query(r.id).ok_or(Status::NotFound)?)),
            Opcode::SaList => run!(|nic, r: SaList| {
                let (count, next, items) = page(r.cursor, nic.keys.sa_slots(), |at| nic.keys.query(at as u32));
                Ok(SaPage { count, next, items })
            }),
            Opcode::ExclusionSet => run!(|nic, r: Exclusion| nic.program(|nic| nic.tables.set_exclusion(r))),
            Opcode::ExclusionRemove => {
                run!(|nic, r: ExclusionRemove| nic.program(|nic| nic.tables.remove_exclusion(r.id)))
            }
            Opcode::ExclusionList => run!(|nic, r: ExclusionList| {
                let (count, next, items) = page(r.cursor, nic.tables.exclusions.len(), |at| nic.tables.exclusions[at]);
                Ok(ExclusionPage { count, next, items })
            }),
            Opcode::FlowList => run!(|nic, r: FlowList| {
                let row = |at| {
                    let entry = nic.flows.get(at)?;
                    Some(FlowRow {
                        key: entry.key,
                        action: entry.action,
                        counters: *nic.flows.counters(at),
                    })
                };
                let (count, next, items) = page(r.cursor, nic.flows.slots(), row);
                Ok(FlowPage { count, next, items })
            }),
            Opcode::FlowFlush => run!(|nic, r: FlowFlush| Ok(FlowFlushed { count: nic.flush(r) })),
            Opcode::PolicyEpochBump => run!(|nic, _r: PolicyEpochBump| {
                nic.bump_policy_epoch();
                Ok(PolicyEpoch {
                    epoch: nic.policy_epoch,
                })
            }),
            Opcode::Counters => run!(|nic, _r: Counters| Ok(nic.counter_values())),
            Opcode::SealControlRecord => run!(|nic, r: SealControlRecord| nic.seal_control_record(r, out)),
            Opcode::EventDrain => run!(|nic, r: EventDrain| nic.drain(r.max)),
            Opcode::SelfTest => run!(|_nic, _r: SelfTest| Ok(crate::self_test::run())),
            Opcode::Reset => run!(|nic, _r: Reset| {
                nic.reset();
                Ok(Empty {})
            }),
        }
    }

    /// A change of what policy depends on: cached decisions are taken again.
    fn program(&mut self, change: impl FnOnce(&mut Self) -> Result<(), Status>) -> Result<Empty, Failure> {
        let result = change(self);
        // Even a refused change may have got half-way; deciding again is always safe.
        self.bump_policy_epoch();
        Ok(result.map(|()| Empty {})?)
    }

    fn configure(&mut self, config: &DeviceConfig) -> Result<Empty, Failure> {
        let is_new = self.tables.config.is_none();
        self.tables.configure(config)?;
        if is_new {
            // The host may choose the hash's secret, for repeatable runs; the device's own is good as well.
            if config.hash_key != [0; 16] {
                self.flows.rekey(config.hash_key);
            }
            self.bump_policy_epoch();
        }
        Ok(Empty {})
    }

    fn set_mappings(&mut self, request: &MappingSet) -> Result<Empty, Failure> {
        let items = usize::try_from(request.count)
            .ok()
            .and_then(|count| request.items.get(..count))
            .filter(|items| !items.is_empty());
        let items = items.ok_or(Status::BadParameter)?;
        let mut result = Ok(());
        for (index, mapping) in items.iter().enumerate() {
            result = self.tables.set_mapping(mapping, self.now_ns);
            if let Err(status) = result {
                self.bump_policy_epoch();
                return Err(Failure {
                    status,
                    detail: index as u16,
                });
            }
        }
        self.program(|_| result)
    }

    fn remove_port(&mut self, id: u32) -> Result<Empty, Failure> {
        self.flush_flows(|key| key.flags & FlowKey::INGRESS == 0 && key.scope == id, true);
        self.program(|nic| nic.tables.remove_port(id))
    }

    fn flush(&mut self, request: &FlowFlush) -> u32 {
        let is_vni = request.is_vni != 0;
        let wanted = |key: &FlowKey| {
            request.scope == u32::MAX || key.scope == request.scope && (key.flags & FlowKey::INGRESS != 0) == is_vni
        };
        self.flush_flows(wanted, false)
    }

    fn drain(&mut self, max: u32) -> Result<EventPage, Failure> {
        if self.host.takes_events() {
            return Err(Status::WrongState.into());
        }
        let mut page = EventPage::ZERO;
        for slot in page.items.iter_mut().take(max as usize) {
            let Some(event) = self.events.pop() else { break };
            *slot = event;
            page.count += 1;
        }
        page.left = self.events.len() as u32;
        Ok(page)
    }

    fn seal_control_record(
        &mut self,
        request: &SealControlRecord,
        out: &mut dyn Output,
    ) -> Result<ControlRecordSealed, Failure> {
        let content = request
            .content
            .get(..usize::from(request.content_len))
            .filter(|content| !content.is_empty());
        let content = content.ok_or(Status::BadParameter)?;
        // Application data is the VMs', and enters through their ports only.
        if ![20, 21, 22, 26].contains(&request.content_type) {
            return Err(Status::BadParameter.into());
        }
        if !self.enabled {
            return Err(Status::WrongState.into());
        }
        self.count(Counter::HostIn);
        let sealed = self.with_scratch(content.len(), |nic, frame| {
            frame.octets_mut().copy_from_slice(content);
            let sealed = nic.seal_control(request.association, request.content_type, frame);
            let verdict = nic.finish(sealed.map(|_| crate::frame::Verdict::WireSealed), frame);
            if verdict.destination() == Some(Destination::Wire) {
                out.emit(Destination::Wire, frame.octets());
            }
            sealed
        });
        match sealed {
            Some(Ok((sequence, epoch))) => Ok(ControlRecordSealed { sequence, epoch }),
            Some(Err(DropReason::PacketTooBig)) => Err(Status::BadLength.into()),
            Some(Err(_)) => Err(Status::WrongState.into()),
            None => {
                // It came in, so it ends somewhere.
                self.finish(Err(DropReason::HostRefused), &mut Frame::default());
                Err(Status::BadLength.into())
            }
        }
    }

    /// Who the device is and what it can hold.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity {
            generation: self.generation,
            time_ns: self.now_ns,
            abi_major: ABI_MAJOR,
            abi_minor: ABI_MINOR,
            max_flows: self.flows.slots() as u32,
            max_associations: self.sizes.associations as u32,
            max_sas: self.sizes.sas as u32,
            max_mappings: self.sizes.mappings as u32,
            max_vnets: self.sizes.vnets as u32,
            max_ports: self.tables.ports.len() as u32,
            max_port_addresses: self.sizes.port_addresses as u32,
            max_exclusions: self.sizes.exclusions as u32,
            max_replay_window: crate::key_store::MAX_REPLAY_WINDOW,
            max_read_epochs: crate::key_store::MAX_READ_EPOCHS as u8,
            max_cid_len: sealnic_dtls::MAX_CID_LEN as u8,
            policy_epoch: self.policy_epoch,
            configured: u8::from(self.tables.config.is_some()),
            reserved: [0; 3],
        }
    }
}

/// Why a command failed.
struct Failure {
    status: Status,
    detail: u16,
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self { status, detail: 0 }
    }
}

/// Fills a page from slot `cursor` on; the next cursor is 0 at the end.
fn page<T: Copy + FromBytes, const N: usize>(
    cursor: u32,
    slots: usize,
    row: impl Fn(usize) -> Option<T>,
) -> (u32, u32, [T; N]) {
    let mut items = core::array::from_fn(|_| T::new_zeroed());
    let mut count = 0;
    for at in cursor as usize..slots {
        if count == N {
            return (count as u32, at as u32, items);
        }
        if let Some(item) = row(at) {
            items[count] = item;
            count += 1;
        }
    }
    (count as u32, 0, items)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::small_nic;
    use sealnic_abi::counter::DROP_COUNTER_BASE;

    struct Nowhere;

    impl Output for Nowhere {
        fn emit(&mut self, _to: Destination, _frame: &[u8]) {}
    }

    #[test]
    fn a_control_record_that_no_buffer_holds_is_accounted_for() {
        let mut nic = small_nic();
        nic.set_enabled(true);
        let request = SealControlRecord {
            content_len: 65,
            content_type: 22,
            ..SealControlRecord::ZERO
        };
        assert!(nic.seal_control_record(&request, &mut Nowhere).is_err());
        let values = nic.counter_values().values;
        let refused = DROP_COUNTER_BASE + usize::from(u8::from(DropReason::HostRefused));
        assert_eq!(
            (values[usize::from(u8::from(Counter::HostIn))], values[refused]),
            (1, 1)
        );
    }
}
