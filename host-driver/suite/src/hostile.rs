//! A device that does what it likes: registers that read as noise, answers that are well-formed and make no sense, completions
//! that come never, twice or early, writes anywhere into the memory it was given.
//!
//! Every choice is drawn from a source of numbers, a generator in a test or a fuzzer's input. Where a choice falls on
//! behaving well the device does, so that a driver gets far enough to be hurt.

use sealnic_abi::mailbox::{Identity, MessageHeader, Opcode, WINDOW_LEN, checksum};
use sealnic_abi::registers::{Location, Register, Window, offsets};
use sealnic_abi::ring::{CommandDescriptor, Completion, EventEntry, phase};
use sealnic_abi::{ABI_MAJOR, ABI_MINOR};
use sealnic_driver::clock::Clock;
use sealnic_driver::dma::{DmaArena, DmaBuffer, DmaMemory, HeapMemory};
use sealnic_driver::transport::{Capabilities, Fired};
use sealnic_driver::{Transport, TransportError};
use std::sync::Arc;
use std::time::Duration;
use zerocopy::{FromBytes, IntoBytes};

/// Where choices come from.
pub trait Choices {
    /// A number; the same ones in the same order make the same device.
    fn next(&mut self) -> u64;

    /// One of `count`, at least 1.
    fn below(&mut self, count: u64) -> u64 {
        self.next() % count.max(1)
    }
}

impl<F: FnMut() -> u64> Choices for F {
    fn next(&mut self) -> u64 {
        self()
    }
}

#[derive(Default, Clone, Copy)]
struct Side {
    descriptors: u64,
    completions: u64,
    entries: u32,
    head: u16,
    doorbell: u16,
    events: u64,
}

/// Transport to a hostile device.
pub struct HostileTransport<C> {
    choices: C,
    /// One access in so many is answered with malice, at least 1.
    malice: u64,
    memory: Arc<HeapMemory>,
    arena: DmaArena,
    sides: [Side; 4],
    request: Vec<u8>,
    response: Vec<u8>,
    /// Accesses so far: a driver that goes on for ever is found by them.
    pub accesses: u64,
}

const MEMORY_LEN: usize = 1 << 20;
const IOVA: u64 = 16 << 20;
const RINGS: u32 = 0x100;
const RING_LEN: u32 = 0x40;

impl<C: Choices> HostileTransport<C> {
    /// A device that is malicious at one access in `malice`.
    pub fn new(choices: C, malice: u64) -> Self {
        let memory = Arc::new(HeapMemory::new(MEMORY_LEN));
        Self {
            choices,
            malice: malice.max(1),
            arena: DmaArena::new(memory.clone(), IOVA),
            memory,
            sides: Default::default(),
            request: vec![0; WINDOW_LEN],
            response: vec![0; WINDOW_LEN],
            accesses: 0,
        }
    }

    fn is_malicious(&mut self) -> bool {
        let malice = self.malice;
        self.choices.below(malice) == 0
    }

    fn noise(&mut self) -> u32 {
        let value = self.choices.next();
        match self.choices.below(4) {
            0 => u32::MAX,
            1 => 0,
            2 => value as u32 & 0xFF,
            _ => value as u32,
        }
    }

    /// Writes anywhere: into arrays, buffers, between them.
    fn scribble(&mut self) {
        let at = self.choices.below(MEMORY_LEN as u64 / 8) * 8;
        let word = self.choices.next();
        // Inside the memory by its length.
        let _ = self.memory.write(at as usize, &word.to_le_bytes());
    }

    /// Writes where the driver said, when that is in the memory.
    fn put(&mut self, iova: u64, octets: &[u8]) {
        if let Some(at) = iova.checked_sub(IOVA).and_then(|at| usize::try_from(at).ok()) {
            let _ = self.memory.write(at, octets);
        }
    }

    fn get(&self, iova: u64, octets: &mut [u8]) {
        if let Some(at) = iova.checked_sub(IOVA).and_then(|at| usize::try_from(at).ok()) {
            let _ = self.memory.read(at, octets);
        }
    }

    /// A well-formed answer to a request, of no meaning.
    fn answer(&mut self, request: &[u8]) -> Vec<u8> {
        let (request, _) = MessageHeader::read_from_prefix(request).unwrap_or((MessageHeader::ZERO, &[]));
        let len = Opcode::try_from(request.opcode).map_or(0, response_len);
        let mut payload = vec![0u8; len];
        match self.choices.below(4) {
            0 => {}
            // Small numbers here and there: counts and cursors that look right.
            1 => {
                for _ in 0..self.choices.below(8) {
                    let at = self.choices.below(len.max(1) as u64) as usize;
                    if let Some(octet) = payload.get_mut(at) {
                        *octet = self.choices.next() as u8;
                    }
                }
            }
            2 => payload.iter_mut().for_each(|octet| *octet = self.choices.next() as u8),
            // One item, and a next page.
            _ => {
                let words = [1, self.choices.below(1 << 20) as u32];
                for (to, word) in payload.as_chunks_mut::<4>().0.iter_mut().zip(words) {
                    *to = word.to_le_bytes();
                }
            }
        }
        if request.opcode == u16::from(Opcode::Identify)
            && !self.is_malicious()
            && let Ok(identity) = Identity::mut_from_bytes(&mut payload)
        {
            // Else no driver would ever come in.
            identity.abi_major = ABI_MAJOR;
            identity.max_mappings = self.choices.below(5_000) as u32;
        }
        let mut header = MessageHeader {
            status: if self.choices.below(16) == 0 {
                self.choices.below(20) as u16
            } else {
                0
            },
            payload_len: len as u16,
            ..request
        };
        if self.is_malicious() {
            match self.choices.below(4) {
                0 => header.sequence = self.noise(),
                1 => header.opcode = self.noise() as u16,
                2 => header.payload_len = self.noise() as u16,
                _ => payload.truncate(self.choices.below(len as u64 + 1) as usize),
            }
        }
        header.checksum = if self.is_malicious() {
            self.noise()
        } else {
            checksum(&header, &payload)
        };
        [header.as_bytes(), &payload].concat()
    }

    fn work(&mut self, ring: usize) {
        let side = self.sides[ring];
        let entries = side.entries.clamp(1, 1 << 15);
        let posted = side.doorbell.wrapping_sub(side.head);
        for _ in 0..u32::from(posted).min(entries) {
            let head = self.sides[ring].head;
            let place = u64::from(u32::from(head) % entries);
            let mut completion = Completion {
                index: head,
                phase: phase(head, entries),
                len: 64,
                ..Completion::ZERO
            };
            if ring == 0 {
                let mut descriptor = CommandDescriptor::ZERO;
                self.get(side.descriptors + place * 32, descriptor.as_mut_bytes());
                let mut request = vec![0; usize::from(descriptor.request_len)];
                self.get(descriptor.request, &mut request);
                let answer = self.answer(&request);
                self.put(descriptor.response, &answer);
                completion.len = answer.len() as u32;
            }
            if self.is_malicious() {
                match self.choices.below(7) {
                    // Never.
                    0 => return,
                    1 => completion.index = self.noise() as u16,
                    2 => completion.len = self.noise(),
                    3 => completion.status = self.noise() as u16,
                    4 => completion.phase = self.noise(),
                    // Twice.
                    5 => {
                        let next = head.wrapping_add(1);
                        completion.phase = phase(next, entries);
                        let at = u64::from(u32::from(next) % entries) * 16;
                        self.put(side.completions + at, completion.as_bytes());
                        completion.phase = phase(head, entries);
                    }
                    // Beyond the ring.
                    _ => {
                        let at = u64::from(entries) * 16 + self.choices.below(4_096);
                        self.put(side.completions + at, completion.as_bytes());
                    }
                }
            }
            self.put(side.completions + place * 16, completion.as_bytes());
            self.sides[ring].head = head.wrapping_add(1);
        }
    }

    fn write_events(&mut self) {
        for _ in 0..self.choices.below(8) {
            let side = self.sides[1];
            let entries = side.entries.clamp(1, 1 << 15);
            if u32::from(side.head.wrapping_sub(side.doorbell)) >= entries && !self.is_malicious() {
                return;
            }
            let mut entry = EventEntry {
                number: side.events,
                phase: phase(side.head, entries),
                ..EventEntry::ZERO
            };
            entry.event.kind = self.choices.next() as u8;
            if self.is_malicious() {
                match self.choices.below(2) {
                    0 => entry.number = self.choices.next(),
                    _ => entry.phase = self.noise(),
                }
            }
            let place = u64::from(u32::from(side.head) % entries) * size_of::<EventEntry>() as u64;
            self.put(side.completions + place, entry.as_bytes());
            self.sides[1].head = side.head.wrapping_add(1);
            self.sides[1].events += 1;
        }
    }

    fn ring_read(&mut self, ring: usize, register: u32) -> u32 {
        if ring == 1 {
            self.write_events();
        } else if ring == 2 && self.choices.below(4) == 0 {
            self.work(2);
        }
        match register {
            0x18 => 1,
            0x20 => u32::from(self.sides[ring].head),
            _ => self.noise(),
        }
    }

    fn ring_write(&mut self, ring: usize, register: u32, value: u32) {
        let side = &mut self.sides[ring];
        let high = u64::from(value) << 32;
        match register {
            0x00 => side.descriptors = u64::from(value),
            0x04 => side.descriptors |= high,
            0x08 => side.completions = u64::from(value),
            0x0C => side.completions |= high,
            0x10 => side.entries = value,
            0x14 => (side.head, side.events) = (0, 0),
            0x1C => {
                side.doorbell = value as u16;
                match ring {
                    0 | 3 => self.work(ring),
                    1 => self.write_events(),
                    _ => {}
                }
            }
            _ => {}
        }
    }
}

impl<C: Choices> Transport for HostileTransport<C> {
    fn read32(&mut self, offset: u32) -> Result<u32, TransportError> {
        self.accesses += 1;
        if self.choices.below(64) == 0 {
            self.scribble();
        }
        if self.is_malicious() {
            return match self.choices.below(16) {
                0 => Err(TransportError::Unsupported { what: "anything" }),
                _ => Ok(self.noise()),
            };
        }
        if (RINGS..RINGS + 4 * RING_LEN).contains(&offset) {
            let at = offset - RINGS;
            return Ok(self.ring_read((at / RING_LEN) as usize, at % RING_LEN));
        }
        Ok(match Location::decode(offset) {
            Some(Location::Register(register)) => match register {
                Register::Magic => offsets::magic::VALUE_RESET,
                Register::AbiVersion => u32::from(ABI_MAJOR) << 16 | u32::from(ABI_MINOR),
                Register::CapMailbox => 0x1000_1000,
                Register::CapRings => 64 | 2_048 << 16,
                Register::Status => 1,
                Register::MailboxStatus => 2,
                Register::MailboxResponseLen => {
                    let (header, _) =
                        MessageHeader::read_from_prefix(&self.response).unwrap_or((MessageHeader::ZERO, &[]));
                    size_of::<MessageHeader>() as u32 + u32::from(header.payload_len)
                }
                _ => self.noise(),
            },
            Some(Location::Window {
                window: Window::MailboxResponse,
                offset,
            }) => self
                .response
                .get(offset as usize..)
                .and_then(|rest| rest.first_chunk())
                .map_or(0, |word| u32::from_le_bytes(*word)),
            _ => self.noise(),
        })
    }

    fn write32(&mut self, offset: u32, value: u32) -> Result<(), TransportError> {
        self.accesses += 1;
        if (RINGS..RINGS + 4 * RING_LEN).contains(&offset) {
            let at = offset - RINGS;
            self.ring_write((at / RING_LEN) as usize, at % RING_LEN, value);
            return Ok(());
        }
        match Location::decode(offset) {
            Some(Location::Register(Register::MailboxDoorbell)) => {
                let request = std::mem::take(&mut self.request);
                let answer = self.answer(&request);
                self.request = request;
                self.response.fill(0);
                let len = answer.len().min(self.response.len());
                self.response[..len].copy_from_slice(&answer[..len]);
            }
            Some(Location::Window {
                window: Window::MailboxRequest,
                offset,
            }) => {
                let at = offset as usize;
                if let Some(word) = self.request.get_mut(at..at + 4) {
                    word.copy_from_slice(&value.to_le_bytes());
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            dma: true,
            vectors: 6,
            reset: true,
        }
    }

    fn dma_alloc(&mut self, len: usize) -> Result<DmaBuffer, TransportError> {
        Ok(self.arena.alloc(len)?)
    }

    fn enable_interrupts(&mut self, _: u16) -> Result<(), TransportError> {
        Ok(())
    }

    fn wait(&mut self, at_most: Duration, clock: &mut dyn Clock) -> Result<Fired, TransportError> {
        let mut fired = Fired::NONE;
        if self.choices.below(2) == 0 {
            fired.insert(self.choices.below(64) as u16);
        } else {
            clock.sleep(at_most);
        }
        Ok(fired)
    }

    fn reset(&mut self) -> Result<(), TransportError> {
        Ok(())
    }

    fn set_bus_master(&mut self, _: bool) -> Result<(), TransportError> {
        Ok(())
    }
}

/// Length of the payload of a good answer.
fn response_len(opcode: Opcode) -> usize {
    use sealnic_abi::mailbox::*;
    const fn of<R: Request>() -> usize {
        size_of::<R::Response>()
    }
    match opcode {
        Opcode::Identify => of::<Identify>(),
        Opcode::VnetList => of::<VnetList>(),
        Opcode::PortList => of::<PortList>(),
        Opcode::PortAddressList => of::<PortAddressList>(),
        Opcode::MappingList => of::<MappingList>(),
        Opcode::AssociationList => of::<AssociationList>(),
        Opcode::SaQuery => of::<SaQuery>(),
        Opcode::SaList => of::<SaList>(),
        Opcode::ExclusionList => of::<ExclusionList>(),
        Opcode::FlowList => of::<FlowList>(),
        Opcode::FlowFlush => of::<FlowFlush>(),
        Opcode::PolicyEpochBump => of::<PolicyEpochBump>(),
        Opcode::Counters => of::<Counters>(),
        Opcode::SealControlRecord => of::<SealControlRecord>(),
        Opcode::EventDrain => of::<EventDrain>(),
        Opcode::SelfTest => of::<SelfTest>(),
        _ => 0,
    }
}

/// Does everything that a driver does on a hostile device. Whatever comes of it: it ends, without a panic, in bounded time by
/// the driver's clock and with a bounded number of accesses. Tells whether the device was good enough to be attached to.
///
/// # Errors
/// What was not bounded, in words.
pub fn exercise<C: Choices>(choices: C, malice: u64) -> Result<bool, String> {
    use sealnic_abi::event::HostFrame;
    use sealnic_driver::clock::ManualClock;
    use sealnic_driver::{Device, MailboxConfig, reconcile::read_back};

    /// Accesses that one call may make: a list of all tables, page by page, each page asked for anew a few times.
    const MAX_ACCESSES: u64 = 20_000_000;
    /// Time that one call may take, by its own clock: four attempts of 10 ms for each of a list's pages.
    const MAX_TIME: Duration = Duration::from_secs(3_600);
    let clock = ManualClock::default();
    let config = MailboxConfig {
        timeout: Duration::from_millis(10),
        attempts: 2,
        first_sequence: None,
    };
    let transport = HostileTransport::new(choices, malice);
    let Ok(mut device) = Device::attach_with(transport, Box::new(clock.clone()), config) else {
        return Ok(false);
    };
    let mappings: Vec<_> = (0..200).map(crate::world::mapping).collect();
    for step in 0..14u32 {
        let before = (device.transport_mut().accesses, clock.clone().now());
        // What comes back is not looked at: any answer of such a device is as good as any other.
        match step {
            0 => drop(device.identify()),
            1 => drop(read_back(&mut device)),
            2 => drop(device.load_mappings(&mappings)),
            3 => drop(device.set_mappings(&mappings)),
            4 => drop(device.sas().take(10_000).collect::<Vec<_>>()),
            5 => drop(device.flows().take(10_000).collect::<Vec<_>>()),
            6 => drop(device.drain_events()),
            7 => drop(device.enable_event_ring(16).and_then(|()| device.drain_events())),
            8 => drop(device.enable_frame_rings(8)),
            9 => {
                for n in 0..40 {
                    let _ = device.send_frame(&HostFrame::ZERO, &[n; 100]);
                }
                let _ = device.flush_frames();
            }
            10 => drop(device.receive_frames(100)),
            11 => drop(device.counters().map(|counters| counters.check_balance())),
            12 => drop(device.function_reset()),
            _ => drop(
                device
                    .start_command_ring()
                    .and_then(|()| device.load_mappings(&mappings)),
            ),
        }
        let accesses = device.transport_mut().accesses - before.0;
        let took = clock.clone().now().saturating_sub(before.1);
        if accesses > MAX_ACCESSES || took > MAX_TIME {
            return Err(format!("step {step}: {accesses} accesses, {took:?}"));
        }
    }
    Ok(true)
}
