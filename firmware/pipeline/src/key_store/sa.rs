//! A security association's half: what seals or opens, and how its keys end.

use super::AssociationId;
use crate::frame::Frame;
use sealnic_abi::DropReason;
use sealnic_abi::event::EventKind;
use sealnic_abi::object::SaPhase;
use sealnic_dtls::{ReadState, SealError, WriteState};
use zeroize::Zeroize;

/// Sealing or opening half of an SA.
#[allow(
    clippy::large_enum_variant,
    reason = "slots are of one size in caller-supplied memory, and there is no heap"
)]
pub(crate) enum Keys {
    Write(WriteState),
    Read(ReadState),
}

/// A security association.
pub(crate) struct Sa {
    pub(crate) association: AssociationId,
    pub(crate) epoch: u64,
    pub(crate) phase: SaPhase,
    pub(crate) keys: Keys,
    /// The host was told of the soft limit.
    pub(crate) soft_reported: bool,
    pub(super) octets: u64,
    pub(super) generation: u64,
    pub(crate) retire_ns: u64,
}

impl Sa {
    /// Whether a retiring SA's overlap is over.
    pub(crate) fn has_ended(&self, now_ns: u64) -> bool {
        now_ns >= self.retire_ns
    }

    pub(crate) fn add_octets(&mut self, octets: usize) {
        self.octets += octets as u64;
    }

    /// Wraps the frame into a record, in place. Returns its number, and what the host should hear of.
    #[inline(always)]
    pub(crate) fn seal(
        &mut self,
        content_type: u8,
        frame: &mut Frame<'_>,
    ) -> (Result<u64, DropReason>, Option<EventKind>) {
        let plaintext_len = frame.len();
        let Keys::Write(write) = &mut self.keys else {
            return (Err(DropReason::NoWriteSa), None);
        };
        // A shorter record may still have been within the limit; but the host was told that this is the end.
        if self.phase == SaPhase::Dead {
            return (Err(DropReason::NoWriteSa), None);
        }
        let room = frame
            .push_back(write.trailer_len())
            .and_then(|()| frame.push_front(write.header_len()));
        let Some(record) = room else {
            return (Err(DropReason::FrameTooLong), None);
        };
        match write.seal(content_type, record) {
            Ok(sealed) => {
                self.octets += plaintext_len as u64;
                let is_news = sealed.soft_limit && !self.soft_reported;
                self.soft_reported |= sealed.soft_limit;
                (Ok(sealed.seq), is_news.then_some(EventKind::SaSoftLimit))
            }
            Err(SealError::HardLimit | SealError::SequenceExhausted) => {
                let is_news = self.phase != SaPhase::Dead;
                self.phase = SaPhase::Dead;
                (Err(DropReason::NoWriteSa), is_news.then_some(EventKind::SaHardLimit))
            }
            Err(_) => (Err(DropReason::FrameTooLong), None),
        }
    }
}

/// Empties a place and wipes its keys where they lie: what is moved out of a place leaves its octets behind.
pub(super) fn vacate(slot: &mut Option<Sa>) {
    // Assigning `None` may copy a whole place off the stack, whose octets are whatever was there before, keys among them.
    wipe_stack();
    let_go(slot);
}

#[inline(never)]
fn let_go(slot: &mut Option<Sa>) {
    *slot = None;
}

/// Wipes the stack below the caller, as far as key expansion and moves of an SA reach: values that were moved leave copies there.
#[inline(never)]
pub(super) fn wipe_stack() {
    let mut below = [0xff_u8; 8 * size_of::<Option<Sa>>()];
    below.zeroize();
    core::hint::black_box(&mut below);
}
