//! What a device does to its host's memory, as it does it: for models that charge the time, and for the record of a run.

use crate::host_port::{DmaFault, HostPort};
use sealnic_abi::ring::Ring;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use zeroize::Zeroize;

/// What an access is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AccessKind {
    /// A read of host memory.
    Read,
    /// A write to it.
    Write,
    /// An interrupt; `at` is the vector.
    Interrupt,
}

/// An access that was tried.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Access {
    pub(crate) kind: AccessKind,
    /// IOVA.
    pub(crate) at: u64,
    pub(crate) len: usize,
    pub(crate) result: Result<(), DmaFault>,
    /// What was read or written, where octets are kept.
    pub(crate) octets: Vec<u8>,
}

/// One entry of a ring, worked off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) ring: Ring,
    /// The accesses up to here, from where the one before ended.
    pub(crate) end: usize,
    /// A command was carried out for it.
    pub(crate) is_command: bool,
    /// A frame of the host was taken for it.
    pub(crate) is_frame: bool,
}

/// What was done since it was last taken.
#[derive(Default)]
pub(crate) struct HostLog {
    /// Somebody takes it: else nothing is noted.
    pub(crate) is_on: bool,
    /// Octets are kept, too.
    pub(crate) keeps_octets: bool,
    pub(crate) accesses: Vec<Access>,
    pub(crate) entries: Vec<Entry>,
}

impl HostLog {
    fn note(&mut self, kind: AccessKind, at: u64, octets: &[u8], result: Result<(), DmaFault>) {
        if self.is_on {
            let kept = if self.keeps_octets && result.is_ok() {
                octets
            } else {
                &[]
            };
            self.accesses.push(Access {
                kind,
                at,
                len: octets.len(),
                result,
                octets: kept.to_vec(),
            });
        }
    }

    /// Takes what was noted.
    pub(crate) fn take(&mut self) -> (Vec<Entry>, Vec<Access>) {
        (std::mem::take(&mut self.entries), std::mem::take(&mut self.accesses))
    }
}

/// Wipes what accesses carried: keys come by host memory.
pub(crate) fn wipe(accesses: &mut [Access]) {
    accesses.iter_mut().for_each(|access| access.octets.zeroize());
}

/// The way into the host, with somebody who takes notes.
pub(crate) struct Noted<'a> {
    pub(crate) host: &'a mut dyn HostPort,
    pub(crate) log: &'a mut HostLog,
}

impl Noted<'_> {
    /// An entry of a ring is worked off, or as far as it could be.
    pub(crate) fn close(&mut self, ring: Ring, is_command: bool, is_frame: bool) {
        let end = self.log.accesses.len();
        if self.log.entries.last().map_or(0, |entry| entry.end) != end {
            self.log.entries.push(Entry {
                ring,
                end,
                is_command,
                is_frame,
            });
        }
    }
}

impl HostPort for Noted<'_> {
    fn read(&mut self, iova: u64, octets: &mut [u8]) -> Result<(), DmaFault> {
        let result = self.host.read(iova, octets);
        self.log.note(AccessKind::Read, iova, octets, result);
        result
    }

    fn write(&mut self, iova: u64, octets: &[u8]) -> Result<(), DmaFault> {
        let result = self.host.write(iova, octets);
        self.log.note(AccessKind::Write, iova, octets, result);
        result
    }

    fn interrupt(&mut self, vector: u16) {
        self.host.interrupt(vector);
        self.log.note(AccessKind::Interrupt, vector.into(), &[], Ok(()));
    }
}

/// A host that answers as another did. Its clones are the same.
#[derive(Default, Clone)]
pub(crate) struct Tape {
    /// Answers that are still to be given, oldest first.
    answers: Arc<Mutex<VecDeque<Access>>>,
}

impl Tape {
    fn answers(&self) -> MutexGuard<'_, VecDeque<Access>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives it what the other host said to the accesses that come next.
    pub(crate) fn put_in(&self, accesses: &[Access]) {
        let mut answers = self.answers();
        wipe(answers.make_contiguous());
        answers.clear();
        answers.extend(accesses.iter().cloned());
    }

    /// The answer to an access. One that the other host never had fails.
    fn answer(&self, kind: AccessKind, at: u64, len: usize) -> Result<Access, DmaFault> {
        let mut answers = self.answers();
        let next = answers.pop_front().ok_or(DmaFault::Backing)?;
        if (next.kind, next.at, next.len) == (kind, at, len) {
            return Ok(next);
        }
        wipe(answers.make_contiguous());
        answers.clear();
        Err(DmaFault::Backing)
    }
}

impl HostPort for Tape {
    fn read(&mut self, iova: u64, octets: &mut [u8]) -> Result<(), DmaFault> {
        let mut access = self.answer(AccessKind::Read, iova, octets.len())?;
        access.result?;
        if access.octets.len() == octets.len() {
            octets.copy_from_slice(&access.octets);
        }
        access.octets.zeroize();
        Ok(())
    }

    fn write(&mut self, iova: u64, octets: &[u8]) -> Result<(), DmaFault> {
        let mut access = self.answer(AccessKind::Write, iova, octets.len())?;
        access.octets.zeroize();
        access.result
    }

    fn interrupt(&mut self, vector: u16) {
        // It has no answer; that it was raised is compared with the rest.
        let _ = self.answer(AccessKind::Interrupt, vector.into(), 0);
    }
}
