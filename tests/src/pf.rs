//! Devices as PCIe functions, and a host's side of their rings: written from the ABI's words alone, so that it is a second reading of
//! them beside the driver's.

use crate::backend::Backend;
use crate::bed::TestBed;
use crate::setup::Setup;
use sealnic_abi::event::{Event, HostFrame};
use sealnic_abi::mailbox::{MessageHeader, Opcode, read_message, write_message};
use sealnic_abi::registers::{Register, RingError};
use sealnic_abi::ring::{
    CommandDescriptor, Completion, CompletionStatus, EventEntry, FrameDescriptor, Ring, Vector, phase,
};
use sealnic_hw_model::pci::config::{bits, offset};
use sealnic_hw_model::pci::{Backing, LocalHost, MsixTable, Permissions, PfFunction, SharedMemory};
use sealnic_hw_model::{Edge, Ended, HostPort, HwModel, ModelConfig, Packet};
use std::sync::{Arc, Mutex, MutexGuard};
use zerocopy::{FromBytes, IntoBytes};

/// Where the host's memory begins for the device.
pub const IOVA: u64 = 0x4_0000_0000;
/// How much there is, in octets.
pub const MEMORY: usize = 1 << 20;
/// Buffers begin here, from [`IOVA`] on.
const BUFFERS: u64 = 0x8_0000;
/// Room of a buffer, in octets.
const BUFFER: u64 = 4096;

/// A device as a PCIe function, in a host with memory.
#[derive(Clone)]
pub struct Pf {
    function: Arc<Mutex<PfFunction>>,
    /// The host.
    pub host: LocalHost,
    /// Its memory.
    pub memory: SharedMemory,
}

/// The function as the models' trait, for a test bed: registers by BAR 0, frames by the model.
struct ByPci(Pf);

impl HwModel for ByPci {
    fn read32(&mut self, offset: u32) -> u32 {
        self.0.read32(offset)
    }

    fn write32(&mut self, offset: u32, value: u32) {
        self.0.write32(offset, value);
    }

    fn submit(&mut self, from: Edge, packet: Packet) {
        self.0.function().model().submit(from, packet);
    }

    fn collect(&mut self) -> Option<(Edge, Packet)> {
        self.0.function().model().collect()
    }

    fn ended(&mut self) -> Option<Ended> {
        self.0.function().model().ended()
    }

    fn next_event_ns(&self) -> Option<u64> {
        self.0.function().model().next_event_ns()
    }

    fn advance(&mut self, now_ns: u64) {
        self.0.function().model().advance(now_ns);
    }

    fn connect(&mut self, host: Box<dyn HostPort>) {
        self.0.function().model().connect(host);
    }

    fn reset(&mut self) {
        self.0.function().reset();
    }
}

/// A test bed whose devices are PCIe functions with memory and bus mastering on.
#[must_use]
pub fn bed(backend: &Backend, setup: Setup) -> (TestBed, Vec<Pf>) {
    bed_of(backend, setup, |_, model| model)
}

/// As [`bed`], of models that are wrapped, or others in their place.
#[must_use]
pub fn bed_of(
    backend: &Backend,
    setup: Setup,
    mut wrap: impl FnMut(usize, Box<dyn HwModel>) -> Box<dyn HwModel>,
) -> (TestBed, Vec<Pf>) {
    let mut functions = Vec::new();
    let bed = TestBed::wrapped(backend, setup, |host, model| {
        let pf = Pf::new(wrap(host, model), MsixTable::Hosts);
        functions.push(pf.clone());
        Box::new(ByPci(pf))
    });
    (bed, functions)
}

impl Pf {
    /// Plugs a model into a host of its own; memory and bus mastering on, every vector in use.
    #[must_use]
    pub fn new(model: Box<dyn HwModel>, table: MsixTable) -> Self {
        let host = LocalHost::new();
        let memory = host.give(IOVA, MEMORY, Permissions::READ_WRITE).unwrap();
        let function = PfFunction::pf(model, Box::new(host.clone()), table, 7);
        let pf = Self {
            function: Arc::new(Mutex::new(function)),
            host,
            memory,
        };
        pf.enable();
        for vector in Vector::ALL {
            pf.function().set_vector(u8::from(*vector).into(), true);
        }
        pf
    }

    /// A device with small tables, by a backend.
    #[must_use]
    pub fn small(backend: &Backend, table: MsixTable) -> Self {
        let setup = Setup::two_hosts().small();
        let config = ModelConfig {
            sizes: setup.sizes,
            seed: Some(1),
        };
        Self::new((backend.make)(&config), table)
    }

    /// The function, for as long as no other call needs it.
    pub fn function(&self) -> MutexGuard<'_, PfFunction> {
        self.function.lock().unwrap()
    }

    /// Turns memory and bus mastering on.
    pub fn enable(&self) {
        self.config_write16(offset::COMMAND, bits::MEMORY_ENABLE | bits::BUS_MASTER);
    }

    /// Writes a 16-bit register of configuration space.
    pub fn config_write16(&self, at: usize, value: u16) {
        self.function().config_write(at as u16, &value.to_le_bytes());
    }

    /// Reads a 16-bit register of configuration space.
    #[must_use]
    pub fn config_read16(&self, at: usize) -> u16 {
        let mut octets = [0; 2];
        self.function().config_read(at as u16, &mut octets);
        u16::from_le_bytes(octets)
    }

    /// Reads a word of BAR 0.
    #[must_use]
    pub fn read32(&self, offset: u32) -> u32 {
        let mut octets = [0; 4];
        self.function().bar_read(0, offset.into(), &mut octets);
        u32::from_le_bytes(octets)
    }

    /// Writes a word of BAR 0.
    pub fn write32(&self, offset: u32, value: u32) {
        self.function().bar_write(0, offset.into(), &value.to_le_bytes());
    }

    /// A register of a ring, named as that of the command ring.
    #[must_use]
    pub fn ring_register(ring: Ring, register: Register) -> u32 {
        register.offset() + 0x40 * u32::from(u8::from(ring))
    }

    /// Reads a ring's register, named as that of the command ring.
    #[must_use]
    pub fn ring_read(&self, ring: Ring, register: Register) -> u32 {
        self.read32(Self::ring_register(ring, register))
    }

    /// Writes a ring's register, named as that of the command ring.
    pub fn ring_write(&self, ring: Ring, register: Register, value: u32) {
        self.write32(Self::ring_register(ring, register), value);
    }

    /// Whether a ring runs, and its error.
    #[must_use]
    pub fn ring_state(&self, ring: Ring) -> (bool, RingError) {
        let status = self.ring_read(ring, Register::CommandRingStatus);
        let error = RingError::from_bits((status >> 8) as u8).expect("a known error");
        (status & 1 != 0, error)
    }

    /// Sets up a ring at these addresses and enables it.
    pub fn ring_enable(&self, ring: Ring, descriptors: u64, completions: u64, entries: u32) {
        self.ring_write(ring, Register::CommandRingControl, 0);
        for (register, value) in [
            (Register::CommandRingDescriptorsLo, descriptors as u32),
            (Register::CommandRingDescriptorsHi, (descriptors >> 32) as u32),
            (Register::CommandRingCompletionsLo, completions as u32),
            (Register::CommandRingCompletionsHi, (completions >> 32) as u32),
            (Register::CommandRingSize, entries),
            (Register::CommandRingControl, 1),
        ] {
            self.ring_write(ring, register, value);
        }
    }

    /// Lets the device go on with what it has left to do.
    pub fn go_on(&self) {
        let mut function = self.function();
        let model = function.model();
        for _ in 0..10_000 {
            let Some(at_ns) = model.next_event_ns() else { return };
            model.advance(at_ns);
        }
        panic!("the device never comes to rest");
    }

    /// How often a vector was signalled since this was last asked.
    #[must_use]
    pub fn interrupts(&self, vector: Vector) -> u64 {
        self.host.take_interrupts(u8::from(vector).into())
    }
}

/// A host's side of one ring. Each ring has a part of the memory to itself.
pub struct HostRing {
    pf: Pf,
    ring: Ring,
    entries: u32,
    /// Descriptors posted, or events consumed.
    posted: u16,
    /// Completions or events read.
    read: u16,
}

impl HostRing {
    /// Enables a ring.
    #[must_use]
    pub fn new(pf: &Pf, ring: Ring, entries: u32) -> Self {
        let this = Self {
            pf: pf.clone(),
            ring,
            entries,
            posted: 0,
            read: 0,
        };
        let zeros = vec![0; entries as usize * ring.completion_len()];
        pf.memory.write(this.completions(), &zeros).unwrap();
        pf.ring_enable(ring, IOVA + this.descriptors(), IOVA + this.completions(), entries);
        assert_eq!(pf.ring_state(ring), (true, RingError::None));
        this
    }

    fn descriptors(&self) -> u64 {
        0x2_0000 * u64::from(u8::from(self.ring))
    }

    fn completions(&self) -> u64 {
        self.descriptors() + 0x1_0000
    }

    /// Where the buffer of descriptor `index` begins in the memory.
    #[must_use]
    pub fn buffer(&self, index: u16) -> u64 {
        let rings = 4 * 16;
        let slot = u64::from(u8::from(self.ring)) * 16 + u64::from(index) % 16;
        BUFFERS + BUFFER * 2 * (slot % rings)
    }

    /// Writes the next descriptor; the device isn't told yet.
    pub fn post(&mut self, descriptor: &[u8]) {
        assert_eq!(descriptor.len(), self.ring.descriptor_len());
        let slot = u64::from(u32::from(self.posted) % self.entries);
        let at = self.descriptors() + slot * descriptor.len() as u64;
        self.pf.memory.write(at, descriptor).unwrap();
        self.posted = self.posted.wrapping_add(1);
    }

    /// Tells the device how many descriptors were posted, or how many events consumed.
    pub fn bell(&self) {
        self.pf
            .ring_write(self.ring, Register::CommandRingDoorbell, self.posted.into());
    }

    /// Posts a command; the device isn't told yet.
    pub fn post_command(&mut self, opcode: Opcode, sequence: u32, payload: &[u8], response_len: u16) {
        let mut message = vec![0; 4096];
        let header = MessageHeader {
            opcode: opcode.into(),
            sequence,
            ..MessageHeader::ZERO
        };
        let len = write_message(&mut message, header, payload).unwrap();
        let at = self.buffer(self.posted);
        self.pf.memory.write(at, &message[..len]).unwrap();
        let descriptor = CommandDescriptor {
            request: IOVA + at,
            response: IOVA + at + BUFFER,
            request_len: len as u16,
            response_len,
            ..CommandDescriptor::ZERO
        };
        self.post(descriptor.as_bytes());
    }

    /// Posts an empty buffer, or a frame that stands in it; the device isn't told yet.
    pub fn post_buffer(&mut self, len: u32) {
        let descriptor = FrameDescriptor {
            buffer: IOVA + self.buffer(self.posted),
            len,
            reserved: 0,
        };
        self.post(descriptor.as_bytes());
    }

    /// Gives the device a frame with its header.
    pub fn send(&mut self, header: &HostFrame, frame: &[u8]) {
        let octets = [header.as_bytes(), frame].concat();
        let at = self.buffer(self.posted);
        self.pf.memory.write(at, &octets).unwrap();
        self.post_buffer(octets.len() as u32);
        self.bell();
    }

    fn entry<T: FromBytes + IntoBytes>(&mut self, phase_of: impl Fn(&T) -> u32) -> Option<T> {
        let slot = u64::from(u32::from(self.read) % self.entries);
        let mut entry = T::new_zeroed();
        let at = self.completions() + slot * size_of::<T>() as u64;
        self.pf.memory.read(at, entry.as_mut_bytes()).unwrap();
        let is_new = phase_of(&entry) == phase(self.read, self.entries);
        is_new.then(|| {
            self.read = self.read.wrapping_add(1);
            entry
        })
    }

    /// The next completion: status and length. Its number must be the next.
    pub fn completion(&mut self) -> Option<(CompletionStatus, usize)> {
        let expected = self.read;
        let completion: Completion = self.entry(|c: &Completion| c.phase)?;
        assert_eq!(completion.index, expected);
        let status = CompletionStatus::try_from(completion.status).unwrap();
        Some((status, completion.len as usize))
    }

    /// The answer to the next command: header and payload.
    pub fn answer(&mut self) -> Option<(MessageHeader, Vec<u8>)> {
        let at = self.buffer(self.read) + BUFFER;
        let (status, len) = self.completion()?;
        assert_eq!(status, CompletionStatus::Done);
        let mut octets = vec![0; len];
        self.pf.memory.read(at, &mut octets).unwrap();
        let (header, payload) = read_message(&octets).unwrap();
        Some((header, payload.to_vec()))
    }

    /// The next frame of the device: header and frame.
    pub fn frame(&mut self) -> Option<(HostFrame, Vec<u8>)> {
        let at = self.buffer(self.read);
        let (status, len) = self.completion()?;
        assert_eq!(status, CompletionStatus::Done);
        let mut octets = vec![0; len];
        self.pf.memory.read(at, &mut octets).unwrap();
        let (header, frame) = HostFrame::read_from_prefix(&octets).unwrap();
        Some((header, frame.to_vec()))
    }

    /// The next event, which the device may overwrite from the next [`bell`](Self::bell) on. Its number must be the next.
    pub fn event(&mut self) -> Option<Event> {
        let entry: EventEntry = self.entry(|e: &EventEntry| e.phase)?;
        assert_eq!(entry.number as u16, self.read.wrapping_sub(1));
        self.posted = self.read;
        Some(entry.event)
    }
}
