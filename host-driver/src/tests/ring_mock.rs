//! The mock device with rings in host memory, as `sealnic_abi::ring` describes them, and with faults on demand.

use super::mock::{Mock, MockTransport, TEST_CONFIG};
use crate::Device;
use crate::clock::{Clock, ManualClock};
use crate::dma::{DmaArena, DmaBuffer, DmaMemory, HeapMemory};
use crate::transport::{Capabilities, Fired, Transport, TransportError};
use sealnic_abi::event::Event;
use sealnic_abi::registers::{RingError as StopCode, offsets};
use sealnic_abi::ring::*;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use zerocopy::{FromBytes, IntoBytes};

/// What goes wrong with one descriptor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum RingFault {
    /// It is never taken.
    Hang,
    /// It is completed twice.
    Twice,
    /// The completion tells another number.
    WrongIndex,
    /// The completion has a status of no meaning.
    WrongStatus,
    /// The device refuses the descriptor.
    Refuse,
    /// The completion tells this length.
    Len(u32),
    /// The phase word is this.
    Phase(u32),
    /// A bit of the answer is flipped.
    FlipAnswer(usize),
    /// The ring stops with a DMA fault; the command was not carried out.
    Stop,
    /// The command was carried out, and its completion comes after so many looks at the ring.
    Slow(u32),
}

#[derive(Default)]
struct Side {
    descriptors: u64,
    completions: u64,
    entries: u16,
    running: bool,
    error: u8,
    doorbell: u16,
    head: u16,
}

/// A transport to the mock with DMA.
pub(super) struct RingMock {
    pub(super) inner: MockTransport,
    pub(super) memory: Arc<HeapMemory>,
    arena: DmaArena,
    sides: [Side; 4],
    /// One per descriptor to come.
    pub(super) faults: VecDeque<RingFault>,
    /// Completions held back: looks to come, place, completion.
    slow: Option<(u32, usize, Completion)>,
    /// Frames that wait for the host.
    pub(super) to_host: VecDeque<Vec<u8>>,
    /// Frames that the host sent.
    pub(super) from_host: Vec<Vec<u8>>,
    /// The ring can't be stopped.
    pub(super) never_stops: bool,
    /// Skips a number before the next event.
    pub(super) skip_event: bool,
    /// Added to the event ring's index that is told.
    pub(super) phantom_events: u16,
    /// Most commands that stood in the ring at once.
    pub(super) most_outstanding: u16,
    events_written: u64,
}

pub(super) const IOVA: u64 = 0x100_0000;
const RINGS: u32 = 0x100;
const FRAME_LEN: u32 = 2048;

impl RingMock {
    pub(super) fn new() -> Self {
        let memory = Arc::new(HeapMemory::new(1 << 20));
        Self {
            inner: MockTransport(Mock::new()),
            arena: DmaArena::new(memory.clone(), IOVA),
            memory,
            sides: Default::default(),
            faults: VecDeque::new(),
            slow: None,
            to_host: VecDeque::new(),
            from_host: Vec::new(),
            never_stops: false,
            skip_event: false,
            phantom_events: 0,
            most_outstanding: 0,
            events_written: 0,
        }
    }

    /// A driver attached to it, on a clock of its own.
    pub(super) fn attached() -> (Device<Self>, ManualClock) {
        let clock = ManualClock::default();
        let device = Device::attach_with(Self::new(), Box::new(clock.clone()), TEST_CONFIG).unwrap();
        (device, clock)
    }

    /// Octets in buffers and arrays.
    pub(super) fn taken(&self) -> usize {
        (1 << 20) - self.arena.free_len()
    }

    fn at(iova: u64) -> usize {
        usize::try_from(iova - IOVA).unwrap()
    }

    fn load<V: FromBytes + IntoBytes>(&self, iova: u64) -> V {
        let mut value = V::new_zeroed();
        self.memory.read(Self::at(iova), value.as_mut_bytes()).unwrap();
        value
    }

    fn complete(&mut self, ring: usize, completion: Completion) {
        let place = usize::from(completion.index % self.sides[ring].entries) * size_of::<Completion>();
        self.put(ring, place, &completion);
    }

    fn put(&mut self, ring: usize, place: usize, completion: &Completion) {
        let at = Self::at(self.sides[ring].completions) + place;
        self.memory.write(at, completion.as_bytes()).unwrap();
    }

    fn work(&mut self, ring: usize) {
        loop {
            let side = &self.sides[ring];
            let (head, entries) = (side.head, side.entries);
            if !side.running || head == side.doorbell {
                return;
            }
            if ring == 0 {
                self.most_outstanding = self.most_outstanding.max(side.doorbell.wrapping_sub(head));
            }
            let place = u64::from(head % entries);
            let fault = if ring == 2 { None } else { self.faults.pop_front() };
            match fault {
                Some(RingFault::Hang) => return,
                Some(RingFault::Stop) => {
                    let side = &mut self.sides[ring];
                    (side.running, side.error) = (false, StopCode::DmaFault.bits());
                    return;
                }
                _ => {}
            }
            let mut completion = Completion {
                index: head,
                phase: phase(head, u32::from(entries)),
                ..Completion::ZERO
            };
            match ring {
                0 => {
                    let descriptor: CommandDescriptor = self.load(self.sides[0].descriptors + place * 32);
                    assert_eq!(descriptor.reserved, [0; 12]);
                    let mut request = vec![0; usize::from(descriptor.request_len)];
                    self.memory.read(Self::at(descriptor.request), &mut request).unwrap();
                    let mut mock = self.inner.0.borrow_mut();
                    // The mailbox's memory of its last message is not the ring's.
                    let last = mock.last.take();
                    let mut answer = mock.answer(&request);
                    mock.last = last;
                    drop(mock);
                    if let Some(RingFault::FlipAnswer(bit)) = fault {
                        let bit = bit % (answer.len() * 8);
                        answer[bit / 8] ^= 1 << (bit % 8);
                    }
                    assert!(answer.len() <= usize::from(descriptor.response_len));
                    self.memory.write(Self::at(descriptor.response), &answer).unwrap();
                    completion.len = u32::try_from(answer.len()).unwrap();
                }
                2 => {
                    let Some(frame) = self.to_host.pop_front() else { return };
                    let descriptor: FrameDescriptor = self.load(self.sides[2].descriptors + place * 16);
                    assert_eq!(descriptor.len, FRAME_LEN);
                    self.memory.write(Self::at(descriptor.buffer), &frame).unwrap();
                    completion.len = u32::try_from(frame.len()).unwrap();
                }
                3 => {
                    let descriptor: FrameDescriptor = self.load(self.sides[3].descriptors + place * 16);
                    let mut frame = vec![0; usize::try_from(descriptor.len).unwrap()];
                    self.memory.read(Self::at(descriptor.buffer), &mut frame).unwrap();
                    self.from_host.push(frame);
                    completion.len = descriptor.len;
                }
                _ => unreachable!(),
            }
            self.sides[ring].head = head.wrapping_add(1);
            match fault {
                Some(RingFault::WrongIndex) => completion.index = head.wrapping_add(1),
                Some(RingFault::WrongStatus) => completion.status = 99,
                Some(RingFault::Refuse) => completion.status = CompletionStatus::BadDescriptor.into(),
                Some(RingFault::Len(len)) => completion.len = len,
                Some(RingFault::Phase(phase)) => completion.phase = phase,
                Some(RingFault::Slow(looks)) => {
                    self.slow = Some((looks, usize::from(head % entries) * 16, completion));
                    continue;
                }
                _ => {}
            }
            if fault == Some(RingFault::WrongIndex) {
                self.put(ring, usize::from(head % entries) * 16, &completion);
                continue;
            }
            self.complete(ring, completion);
            if fault == Some(RingFault::Twice) {
                let next = head.wrapping_add(1);
                completion.phase = phase(next, u32::from(entries));
                self.put(ring, usize::from(next % entries) * 16, &completion);
            }
        }
    }

    /// Writes events while there is room.
    fn write_events(&mut self) {
        while self.sides[1].running
            && self.sides[1].head.wrapping_sub(self.sides[1].doorbell) < self.sides[1].entries
            && let Some(event) = self.next_event()
        {
            let side = &mut self.sides[1];
            let entry = EventEntry {
                event,
                number: self.events_written + u64::from(self.skip_event),
                phase: phase(side.head, u32::from(side.entries)),
                ..EventEntry::ZERO
            };
            let at = Self::at(side.completions) + usize::from(side.head % side.entries) * size_of::<EventEntry>();
            side.head = side.head.wrapping_add(1);
            self.events_written += 1;
            self.memory.write(at, entry.as_bytes()).unwrap();
        }
    }

    fn next_event(&mut self) -> Option<Event> {
        self.inner.0.borrow_mut().events.pop_front()
    }

    fn place(offset: u32) -> Option<(usize, u32)> {
        (RINGS..RINGS + 0x100)
            .contains(&offset)
            .then(|| ((offset - RINGS) as usize / 0x40, (offset - RINGS) % 0x40))
    }
}

impl Transport for RingMock {
    fn read32(&mut self, offset: u32) -> Result<u32, TransportError> {
        if offset == 0x38 {
            return Ok(64 | FRAME_LEN << 16);
        }
        let Some((ring, register)) = Self::place(offset) else {
            return self.inner.read32(offset);
        };
        if let Some((looks, place, completion)) = self.slow.take() {
            match looks.checked_sub(1) {
                Some(looks) => self.slow = Some((looks, place, completion)),
                None => self.put(0, place, &completion),
            }
        }
        match ring {
            1 => self.write_events(),
            2 => self.work(2),
            _ => {}
        }
        let side = &self.sides[ring];
        Ok(match register {
            0x18 => u32::from(side.running) | u32::from(side.error) << 8,
            0x20 if ring == 1 => u32::from(side.head.wrapping_add(self.phantom_events)),
            0x20 => u32::from(side.head),
            0x24 => 0xdead_b000,
            0x28 => 0,
            _ => panic!("the driver reads its own register {offset:#x}"),
        })
    }

    fn write32(&mut self, offset: u32, value: u32) -> Result<(), TransportError> {
        let Some((ring, register)) = Self::place(offset) else {
            return self.inner.write32(offset, value);
        };
        let never_stops = self.never_stops;
        let side = &mut self.sides[ring];
        let high = |value: u32| u64::from(value) << 32;
        match register {
            0x00 => side.descriptors = u64::from(value),
            0x04 => side.descriptors |= high(value),
            0x08 => side.completions = u64::from(value),
            0x0C => side.completions |= high(value),
            0x10 => side.entries = u16::try_from(value).unwrap(),
            0x14 if value & 1 != 0 => {
                assert!(side.entries.is_power_of_two() && side.entries <= 64);
                assert!((side.completions | side.descriptors).is_multiple_of(ARRAY_ALIGN));
                (side.running, side.error, side.head) = (true, 0, 0);
                if ring == 1 {
                    self.events_written = 0;
                }
            }
            0x14 => side.running &= never_stops,
            0x1C => {
                side.doorbell = u16::try_from(value).unwrap();
                match ring {
                    1 => self.write_events(),
                    _ => self.work(ring),
                }
            }
            _ => panic!("the driver writes the device's register {offset:#x}"),
        }
        // A reset of the mailbox's device is one of the rings, too.
        Ok(())
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            dma: true,
            ..Capabilities::default()
        }
    }

    fn dma_alloc(&mut self, len: usize) -> Result<DmaBuffer, TransportError> {
        Ok(self.arena.alloc(len)?)
    }

    fn wait(&mut self, at_most: Duration, clock: &mut dyn Clock) -> Result<Fired, TransportError> {
        clock.sleep(at_most);
        Ok(Fired::NONE)
    }
}

const _: () = assert!(offsets::BAR_LEN > RINGS);
