//! Rings in host memory: bulk commands, events, and frames between the host and the exception path.
//!
//! # Arrays and indices
//!
//! A ring has two arrays of the same number of entries, a power of two. The host writes *descriptors*, the device reads them;
//! the device writes *completions*, the host reads them. Indices count from 0 when the ring is enabled, modulo 65,536; entry
//! *n* stands at *n* modulo the number of entries. The host posts descriptors and then writes how many it has posted so far to the doorbell. The
//! device takes descriptors in order and writes exactly one completion for each, in order: completion *n* tells of descriptor
//! *n*. The host posts descriptor *n* only when it has read completion *n* − entries; nothing else keeps the device from
//! overwriting completions.
//!
//! # Phase
//!
//! The last word of an entry of the device is its phase: 1 on the first way round the array, 0 on the second, 1 on the third … The host zeroes the array
//! before it enables the ring. An entry is new when its phase is that of the host's own way round; the device writes the
//! phase after all else that belongs to the entry, the buffer included, so a host that reads the phase first (with acquire
//! ordering) sees the rest.
//!
//! # Rings
//!
//! | ring | descriptor | completion | vector |
//! |---|---|---|---|
//! | [`Ring::Command`] | [`CommandDescriptor`] | [`Completion`] | [`Vector::CommandsDone`] |
//! | [`Ring::Event`] | none | [`EventEntry`] | [`Vector::EventsPending`] |
//! | [`Ring::HostReceive`] | [`FrameDescriptor`]: an empty buffer | [`Completion`] | [`Vector::HostFramePending`] |
//! | [`Ring::HostTransmit`] | [`FrameDescriptor`]: a frame | [`Completion`] | [`Vector::HostFramesTaken`] |
//!
//! *Commands.* Any message of the mailbox but [`Reset`](crate::mailbox::Opcode::Reset) and
//! [`EventDrain`](crate::mailbox::Opcode::EventDrain), which answer `WrongState`. Each descriptor is carried out exactly once, in order;
//! sequence numbers (not 0) are echoed and compared with nothing, and the mailbox's memory of its last message is not touched.
//! There is nothing to retry: a completion comes, or the ring stops. Then `head` tells what was done: commands before it were carried out
//! (of the last one the answer may be lost, even that it was refused: read back what it set), commands from it on were not looked at.
//! A response buffer too short for the command's answer makes it fail with `BadLength`, and nothing is changed. Mailbox and
//! ring may be used side by side; their commands are carried out one at a time.
//!
//! *Events.* The doorbell tells how many events the host has consumed. When the ring is full, events stay in the device as they
//! do without a ring, and are written when there is room. While the ring runs, `EventDrain` answers `WrongState`. Events
//! written and not yet read when the ring stops are the host's to read: they left the device.
//!
//! *Host frames.* Each frame begins with a [`HostFrame`](crate::event::HostFrame). Frames for the host wait in the device until the
//! receive ring has a buffer; when too many wait, further ones are dropped as `HostPoliced`. A buffer too short for the next
//! frame comes back as [`CompletionStatus::BufferTooShort`], and the frame waits for the next one. A transmit completion
//! tells that the frame was taken, not what became of it: that is in the counters.
//!
//! # Errors
//!
//! A ring that can't go on stops: `STATUS.running` falls, `STATUS.error` says why, the fault vector is signalled and an
//! [`EventKind::RingStopped`](crate::event::EventKind::RingStopped) is reported. Other rings go on. A device reset stops all
//! rings silently and wipes what waits in them.

use crate::event::Event;
use crate::fields::{FieldType, abi_enum, abi_struct};

/// Alignment of the arrays, in octets.
pub const ARRAY_ALIGN: u64 = 64;
/// Least number of entries.
pub const MIN_ENTRIES: u32 = 2;

abi_enum! {
    /// The rings, by number.
    pub enum Ring: u8 {
        /// Commands and their answers.
        Command = 0,
        /// Events of the device.
        Event = 1,
        /// Frames for the host.
        HostReceive = 2,
        /// Frames of the host.
        HostTransmit = 3,
    }
}

impl Ring {
    /// Size of a descriptor, in octets; 0 when the ring has none.
    #[must_use]
    pub const fn descriptor_len(self) -> usize {
        match self {
            Self::Command => size_of::<CommandDescriptor>(),
            Self::Event => 0,
            Self::HostReceive | Self::HostTransmit => size_of::<FrameDescriptor>(),
        }
    }

    /// Size of an entry that the device writes, in octets.
    #[must_use]
    pub const fn completion_len(self) -> usize {
        match self {
            Self::Event => size_of::<EventEntry>(),
            Self::Command | Self::HostReceive | Self::HostTransmit => size_of::<Completion>(),
        }
    }

    /// The vector that tells of new entries.
    #[must_use]
    pub const fn vector(self) -> Vector {
        match self {
            Self::Command => Vector::CommandsDone,
            Self::Event => Vector::EventsPending,
            Self::HostReceive => Vector::HostFramePending,
            Self::HostTransmit => Vector::HostFramesTaken,
        }
    }
}

abi_enum! {
    /// MSI-X vectors; each is also the number of its bit in `IRQ_CAUSE` and `IRQ_MASK`.
    pub enum Vector: u8 {
        /// The mailbox has answered.
        MailboxDone = 0,
        /// Events wait, or were written to the event ring.
        EventsPending = 1,
        /// Frames for the host wait, or were written by way of the host receive ring.
        HostFramePending = 2,
        /// The device or a ring stopped because of an error.
        Fault = 3,
        /// The command ring has new completions.
        CommandsDone = 4,
        /// The host transmit ring has new completions.
        HostFramesTaken = 5,
    }
}

impl Vector {
    /// Its bit in `IRQ_CAUSE` and `IRQ_MASK`.
    #[must_use]
    pub const fn mask(self) -> u32 {
        1 << self as u32
    }
}

abi_struct! {
    /// Command ring: a request and room for its answer. The buffers may lie at any address.
    pub struct CommandDescriptor: 32 {
        /// IOVA of the request: header and payload.
        request: u64,
        /// IOVA of the room for the answer.
        response: u64,
        /// Length of the request, in octets (16 to 4096).
        request_len: u16,
        /// Room for the answer, in octets (16 to 4096).
        response_len: u16,
        /// Zero.
        reserved: [u8; 12],
    }
}

abi_struct! {
    /// Host frame rings: a buffer, at any address.
    pub struct FrameDescriptor: 16 {
        /// IOVA of the buffer.
        buffer: u64,
        /// Receive: room in the buffer, in octets, at least 1. Transmit: length of the frame, in octets, from the size of a
        /// `HostFrame` to `CAP_RINGS.host_frame_len`.
        len: u32,
        /// Zero.
        reserved: u32,
    }
}

abi_enum! {
    /// What became of a descriptor.
    pub enum CompletionStatus: u16 {
        /// Done: the answer or the frame is in the buffer, or the frame was taken.
        Done = 0,
        /// The descriptor's lengths or reserved octets are not allowed: nothing was read, done or written.
        BadDescriptor = 1,
        /// Receive: the frame that waits is longer than this buffer; nothing was written, and `len` tells the length.
        BufferTooShort = 2,
    }
}

abi_struct! {
    /// What became of a descriptor.
    pub struct Completion: 16 {
        /// Octets written to the buffer (commands, receive) or taken from it (transmit).
        len: u32,
        /// Number of the descriptor, modulo 65,536.
        index: u16,
        /// `CompletionStatus`.
        status: u16,
        /// Zero.
        reserved: u32,
        /// Phase: 1 or 0.
        phase: u32,
    }
}

abi_struct! {
    /// Entry of the event ring.
    pub struct EventEntry: 128 {
        /// The event.
        event: Event,
        /// Number of the event, from 0 when the ring was enabled.
        number: u64,
        /// Zero.
        reserved: [u8; 20],
        /// Phase: 1 or 0.
        phase: u32,
    }
}

impl FieldType for EventEntry {}

// The phase is the last word.
const _: () = assert!(core::mem::offset_of!(Completion, phase) + 4 == size_of::<Completion>());
const _: () = assert!(core::mem::offset_of!(EventEntry, phase) + 4 == size_of::<EventEntry>());

/// Phase of entry `index` (not reduced) of an array of `entries`, a power of two.
#[must_use]
pub const fn phase(index: u16, entries: u32) -> u32 {
    (index as u32 & entries == 0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registers::offsets::irq_cause;

    #[test]
    fn each_vector_is_the_cause_of_its_name() {
        let causes = [
            irq_cause::MAILBOX_DONE_MASK,
            irq_cause::EVENTS_PENDING_MASK,
            irq_cause::HOST_FRAME_PENDING_MASK,
            irq_cause::FAULT_MASK,
            irq_cause::COMMANDS_DONE_MASK,
            irq_cause::HOST_FRAMES_TAKEN_MASK,
        ];
        let vectors: [u32; 6] = core::array::from_fn(|at| Vector::ALL[at].mask());
        assert_eq!(vectors, causes);
        assert_eq!(Vector::ALL.len(), causes.len());
    }

    #[test]
    fn the_phase_changes_with_each_way_round_and_survives_the_index_wrapping() {
        assert_eq!([0, 3, 4, 7, 8].map(|index| phase(index, 4)), [1, 1, 0, 0, 1]);
        // 65,536 is an even number of ways round for every size up to 32,768.
        for bits in 1..16 {
            assert_eq!([phase(65_535, 1 << bits), phase(0, 1 << bits)], [0, 1]);
        }
    }
}
