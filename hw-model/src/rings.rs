//! Rings in host memory: what stands in [`sealnic_abi::ring`], carried out. Every step is bounded, and touches only the arrays and
//! buffers that the host named.

use crate::bar::Bar;
use crate::core::{ModelNic, OutQueue};
use crate::host_log::Noted;
use crate::host_port::{DmaFault, HostPort};
use crate::packet::Packet;
use sealnic_abi::event::HostFrame;
use sealnic_abi::mailbox::{MessageHeader, WINDOW_LEN};
use sealnic_abi::registers::RingError;
use sealnic_abi::ring::{
    ARRAY_ALIGN, CommandDescriptor, Completion, CompletionStatus, EventEntry, FrameDescriptor, MIN_ENTRIES, Ring,
    Vector, phase,
};
use std::collections::VecDeque;
use std::ops::Range;
use zerocopy::{FromBytes, IntoBytes};
use zeroize::Zeroize;

/// Greatest number of entries of a ring.
pub(crate) const MAX_ENTRIES: u32 = 4096;
/// Frames for the host that wait for a buffer; further ones are dropped.
pub(crate) const HOST_QUEUE: usize = 256;
/// Entries that a ring may work off at a time: no doorbell keeps the device for long.
const BUDGET: usize = 64;

/// The host side of the device while it works on rings.
pub(crate) struct Dock<'a> {
    pub(crate) nic: &'a mut ModelNic,
    pub(crate) bar: &'a mut Bar,
    pub(crate) out: &'a mut OutQueue,
    pub(crate) host: Noted<'a>,
    pub(crate) now_ns: u64,
}

/// The four rings.
pub(crate) struct Rings {
    rings: [State; Ring::ALL.len()],
    /// Copies of a request and of its answer.
    request: Box<[u8]>,
    response: Box<[u8]>,
    /// Frames of the host that were taken and wait for the pipeline.
    pub(crate) taken: VecDeque<Packet>,
    /// Longest frame of the host, header included.
    host_frame_len: usize,
    /// A budget was used up before the work was done.
    more: bool,
    /// Commands carried out so far.
    commands: u64,
}

/// Where one ring stands.
#[derive(Debug, Clone, Copy, Default)]
struct State {
    running: bool,
    descriptors: u64,
    completions: u64,
    entries: u32,
    /// Entries taken, or events written.
    head: u16,
    /// Entries posted, or events consumed.
    doorbell: u16,
    /// Entries completed.
    completed: u16,
    /// Events written since the ring was enabled.
    events: u64,
}

/// What ends a ring's work.
struct Stop {
    error: RingError,
    /// Where the access failed.
    iova: u64,
}

impl Stop {
    fn because(error: RingError) -> Self {
        Self { error, iova: 0 }
    }

    fn at(iova: u64) -> impl FnOnce(DmaFault) -> Self {
        move |_| Self {
            error: RingError::DmaFault,
            iova,
        }
    }
}

impl State {
    /// The arrays that the ring touches, and which of them the device writes.
    fn arrays(&self, ring: Ring) -> Option<[(Range<u64>, bool); 2]> {
        let array = |base: u64, entry_len: usize| {
            let len = u64::from(self.entries) * entry_len as u64;
            base.is_multiple_of(ARRAY_ALIGN)
                .then(|| base.checked_add(len))?
                .map(|end| base..end)
        };
        let descriptors = match ring.descriptor_len() {
            0 => 0..0,
            len => array(self.descriptors, len)?,
        };
        Some([
            (descriptors, false),
            (array(self.completions, ring.completion_len())?, true),
        ])
    }

    /// Descriptors posted and not taken.
    fn posted(&self) -> u16 {
        self.doorbell.wrapping_sub(self.head)
    }

    /// Events written and not consumed.
    fn unread(&self) -> u16 {
        self.head.wrapping_sub(self.doorbell)
    }

    fn slot(&self, index: u16) -> u64 {
        u64::from(u32::from(index) & (self.entries - 1))
    }

    fn read_descriptor<T: FromBytes + IntoBytes>(&self, host: &mut dyn HostPort) -> Result<T, Stop> {
        let iova = self.descriptors + self.slot(self.head) * size_of::<T>() as u64;
        let mut descriptor = T::new_zeroed();
        host.read(iova, descriptor.as_mut_bytes()).map_err(Stop::at(iova))?;
        Ok(descriptor)
    }

    /// Writes an entry, its phase last and by itself.
    fn write_entry(&self, host: &mut dyn HostPort, index: u16, entry: &[u8]) -> Result<(), Stop> {
        let iova = self.completions + self.slot(index) * entry.len() as u64;
        let body = entry.len() - size_of::<u32>();
        host.write(iova, &entry[..body]).map_err(Stop::at(iova))?;
        let at = iova + body as u64;
        let phase = phase(index, self.entries);
        host.write(at, phase.as_bytes()).map_err(Stop::at(at))
    }

    /// Completes the descriptor that was taken last.
    fn complete(&mut self, host: &mut dyn HostPort, status: CompletionStatus, len: usize) -> Result<(), Stop> {
        let completion = Completion {
            len: len as u32,
            index: self.completed,
            status: status.into(),
            ..Completion::ZERO
        };
        self.write_entry(host, self.completed, completion.as_bytes())?;
        self.completed = self.completed.wrapping_add(1);
        Ok(())
    }
}

impl Rings {
    pub(crate) fn new(frame_len: usize) -> Self {
        Self {
            rings: [State::default(); Ring::ALL.len()],
            request: vec![0; WINDOW_LEN].into(),
            response: vec![0; WINDOW_LEN].into(),
            taken: VecDeque::new(),
            host_frame_len: (frame_len + size_of::<HostFrame>()).min(usize::from(u16::MAX)),
            more: false,
            commands: 0,
        }
    }

    /// Longest frame on the host frame rings, in octets.
    pub(crate) fn host_frame_len(&self) -> usize {
        self.host_frame_len
    }

    /// Whether work is left that nothing outside has to start.
    pub(crate) fn has_work(&self) -> bool {
        self.more
    }

    /// Whether the host has posted commands or frames that were not taken.
    pub(crate) fn has_posted(&self) -> bool {
        [Ring::Command, Ring::HostTransmit].iter().any(|ring| {
            let state = &self.rings[usize::from(u8::from(*ring))];
            state.running && state.posted() != 0
        })
    }

    #[cfg(test)]
    pub(crate) fn holds_nothing(&self) -> bool {
        self.request.iter().chain(&self.response).all(|octet| *octet == 0)
    }

    /// Back to no rings at all; what waits in them is wiped.
    pub(crate) fn reset(&mut self) {
        self.rings = [State::default(); Ring::ALL.len()];
        self.request.zeroize();
        self.response.zeroize();
        for packet in &mut self.taken {
            packet.storage.zeroize();
        }
        self.taken.clear();
        self.more = false;
    }

    /// The host has changed a ring's enable bit.
    pub(crate) fn enable(&mut self, dock: &mut Dock<'_>, ring: Ring, on: bool) {
        let at = usize::from(u8::from(ring));
        self.rings[at].running = false;
        if on {
            let started = self.check(dock.bar, ring);
            dock.bar.ring_started(ring);
            match started {
                Ok(state) => {
                    self.rings[at] = state;
                    dock.bar.set_ring_running(ring, true);
                }
                Err(stop) => self.stop(dock, ring, &stop),
            }
        } else {
            dock.bar.set_ring_running(ring, false);
        }
        dock.nic
            .set_event_ring(self.rings[usize::from(u8::from(Ring::Event))].running);
    }

    /// The ring that the registers describe, unless the device can't have it.
    fn check(&self, bar: &Bar, ring: Ring) -> Result<State, Stop> {
        let (descriptors, completions, entries) = bar.ring_setup(ring);
        if !entries.is_power_of_two() || !(MIN_ENTRIES..=MAX_ENTRIES).contains(&entries) {
            return Err(Stop::because(RingError::BadSize));
        }
        let state = State {
            running: true,
            descriptors,
            completions,
            entries,
            ..State::default()
        };
        let [own_read, own_written] = state.arrays(ring).ok_or(Stop::because(RingError::BadAddress))?;
        let overlap = |a: &Range<u64>, b: &Range<u64>| a.start < b.end && b.start < a.end;
        let running = Ring::ALL.iter().zip(&self.rings).filter(|(_, other)| other.running);
        let others = running.filter_map(|(&ring, other)| other.arrays(ring)).flatten();
        let clash = overlap(&own_read.0, &own_written.0)
            || others.into_iter().any(|(other, is_written)| {
                overlap(&own_written.0, &other) || is_written && overlap(&own_read.0, &other)
            });
        if clash {
            return Err(Stop::because(RingError::Overlap));
        }
        Ok(state)
    }

    /// The host has written a doorbell.
    pub(crate) fn doorbell(&mut self, dock: &mut Dock<'_>, ring: Ring, index: u16) {
        let state = &mut self.rings[usize::from(u8::from(ring))];
        if !state.running {
            return;
        }
        state.doorbell = index;
        let distance = if ring == Ring::Event {
            state.unread()
        } else {
            state.posted()
        };
        if u32::from(distance) > state.entries {
            self.stop(dock, ring, &Stop::because(RingError::BadDoorbell));
        }
    }

    /// An error ends a ring: the host is told in every way there is.
    fn stop(&mut self, dock: &mut Dock<'_>, ring: Ring, stop: &Stop) {
        self.rings[usize::from(u8::from(ring))].running = false;
        if ring == Ring::Event {
            dock.nic.set_event_ring(false);
        }
        dock.bar.ring_failed(ring, stop.error, stop.iova);
        dock.bar.raise(Vector::Fault);
        dock.nic.report_ring_stopped(ring.into(), stop.error.bits());
    }

    /// Works on one ring within the budget: `step` says whether it did something.
    fn work(
        &mut self,
        dock: &mut Dock<'_>,
        ring: Ring,
        mut step: impl FnMut(&mut Self, &mut State, &mut Dock<'_>) -> Result<bool, Stop>,
    ) {
        let at = usize::from(u8::from(ring));
        let mut state = self.rings[at];
        if !state.running {
            return;
        }
        let before = (state.head, state.completed);
        let mut result = Ok(true);
        for _ in 0..BUDGET {
            let (commands, frames) = (self.commands, self.taken.len());
            result = step(self, &mut state, dock);
            dock.host
                .close(ring, self.commands != commands, self.taken.len() != frames);
            if !matches!(result, Ok(true)) {
                break;
            }
        }
        self.more |= matches!(result, Ok(true));
        self.rings[at] = state;
        if before != (state.head, state.completed) {
            dock.bar.set_ring_head(ring, state.head);
            dock.bar.raise(ring.vector());
        }
        if let Err(stop) = result {
            self.stop(dock, ring, &stop);
        }
    }

    /// From the host: carries out commands and takes frames, which then wait in [`taken`](Self::taken).
    pub(crate) fn fetch(&mut self, dock: &mut Dock<'_>) {
        self.more = false;
        self.work(dock, Ring::Command, Self::command);
        // Those that were taken go first, so that what the host has under way in the device stays bounded.
        if self.taken.is_empty() {
            self.work(dock, Ring::HostTransmit, Self::transmit);
        }
    }

    /// To the host: writes events and frames.
    pub(crate) fn deliver(&mut self, dock: &mut Dock<'_>) {
        self.work(dock, Ring::HostReceive, |_, state, dock| receive(state, dock));
        self.work(dock, Ring::Event, |_, state, dock| event(state, dock));
    }

    fn command(&mut self, state: &mut State, dock: &mut Dock<'_>) -> Result<bool, Stop> {
        if state.posted() == 0 {
            return Ok(false);
        }
        let descriptor: CommandDescriptor = state.read_descriptor(&mut dock.host)?;
        let allowed = size_of::<MessageHeader>()..=WINDOW_LEN;
        let (request_len, response_len) = (
            usize::from(descriptor.request_len),
            usize::from(descriptor.response_len),
        );
        let is_good =
            allowed.contains(&request_len) && allowed.contains(&response_len) && descriptor.reserved == [0; 12];
        if !is_good {
            state.head = state.head.wrapping_add(1);
            state.complete(&mut dock.host, CompletionStatus::BadDescriptor, 0)?;
            return Ok(true);
        }
        let request = &mut self.request[..request_len];
        if let Err(fault) = dock.host.read(descriptor.request, request) {
            // Part of it, and so of a key, may have come.
            self.request.zeroize();
            return Err(Stop::at(descriptor.request)(fault));
        }
        // From here on it is carried out, whether or not the host can be told.
        state.head = state.head.wrapping_add(1);
        let response = &mut self.response[..response_len];
        dock.out.begin(dock.now_ns, 0);
        let len = dock.nic.command(dock.now_ns, request, response, dock.out);
        self.commands += 1;
        let written = dock
            .host
            .write(descriptor.response, response.get(..len).unwrap_or_default());
        self.request.zeroize();
        self.response.zeroize();
        written.map_err(Stop::at(descriptor.response))?;
        state.complete(&mut dock.host, CompletionStatus::Done, len)?;
        Ok(true)
    }

    fn transmit(&mut self, state: &mut State, dock: &mut Dock<'_>) -> Result<bool, Stop> {
        if state.posted() == 0 {
            return Ok(false);
        }
        let descriptor: FrameDescriptor = state.read_descriptor(&mut dock.host)?;
        let len = descriptor.len as usize;
        if !(size_of::<HostFrame>()..=self.host_frame_len).contains(&len) || descriptor.reserved != 0 {
            state.head = state.head.wrapping_add(1);
            state.complete(&mut dock.host, CompletionStatus::BadDescriptor, 0)?;
            return Ok(true);
        }
        let mut packet = Packet::zeroed(len, dock.now_ns, 0);
        let read = dock.host.read(descriptor.buffer, packet.frame_mut());
        read.map_err(Stop::at(descriptor.buffer))?;
        state.head = state.head.wrapping_add(1);
        self.taken.push_back(packet);
        state.complete(&mut dock.host, CompletionStatus::Done, len)?;
        Ok(true)
    }
}

fn receive(state: &mut State, dock: &mut Dock<'_>) -> Result<bool, Stop> {
    let Some(packet) = dock.out.waiting.front() else {
        return Ok(false);
    };
    if state.posted() == 0 {
        return Ok(false);
    }
    let descriptor: FrameDescriptor = state.read_descriptor(&mut dock.host)?;
    let frame = packet.frame();
    let (status, len) = if descriptor.len == 0 || descriptor.reserved != 0 {
        (CompletionStatus::BadDescriptor, 0)
    } else if frame.len() > descriptor.len as usize {
        (CompletionStatus::BufferTooShort, frame.len())
    } else {
        let written = dock.host.write(descriptor.buffer, frame);
        written.map_err(Stop::at(descriptor.buffer))?;
        (CompletionStatus::Done, frame.len())
    };
    state.head = state.head.wrapping_add(1);
    state.complete(&mut dock.host, status, len)?;
    if status == CompletionStatus::Done {
        dock.nic.host_frame_left(frame);
        dock.out.forget_waiting();
    }
    Ok(true)
}

fn event(state: &mut State, dock: &mut Dock<'_>) -> Result<bool, Stop> {
    let Some(event) = dock
        .nic
        .first_event()
        .filter(|_| u32::from(state.unread()) < state.entries)
    else {
        return Ok(false);
    };
    let entry = EventEntry {
        event,
        number: state.events,
        ..EventEntry::ZERO
    };
    state.write_entry(&mut dock.host, state.head, entry.as_bytes())?;
    state.head = state.head.wrapping_add(1);
    state.events += 1;
    dock.nic.take_event();
    Ok(true)
}
