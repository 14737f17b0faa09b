//! What can go wrong between a host and its device.

use crate::desired::DesiredError;
use crate::mailbox::{MailboxError, fault_text};
use crate::ring::RingError;
use crate::transport::TransportError;
use sealnic_abi::ABI_MAJOR;
use sealnic_abi::mailbox::Status;
use sealnic_abi::registers::FaultCode;

/// Why the driver could not do what it was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A command failed.
    #[error(transparent)]
    Mailbox(#[from] MailboxError),
    /// The registers can't be reached.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// A ring failed.
    #[error(transparent)]
    Ring(#[from] RingError),
    /// Something else than a SealNIC is attached.
    #[error("this is no SealNIC (its magic reads {magic:#010x}); check the device's address")]
    NotSealNic {
        /// What its magic reads.
        magic: u32,
    },
    /// The device speaks an ABI that this driver doesn't know.
    #[error(
        "the device has ABI version {major}.{minor}, this driver knows {ABI_MAJOR}.x only; use matching versions of firmware and driver"
    )]
    UnknownAbi {
        /// Major version of the device.
        major: u16,
        /// Minor version of the device.
        minor: u16,
    },
    /// The device doesn't get ready after a reset.
    #[error("the device did not get ready within {timeout_ms} ms after a reset; reset it again or power-cycle it")]
    NotReady {
        /// How long it was waited for, in milliseconds.
        timeout_ms: u128,
    },
    /// The device stopped after a fault.
    #[error("the device stopped after a fault ({}); reset it, then install fresh keys", fault_text(*.code))]
    Fault {
        /// Which; `None` for a code this driver doesn't know.
        code: Option<FaultCode>,
    },
    /// The device's mailbox is too small for this ABI.
    #[error(
        "the device takes requests of {request_len} and gives responses of {response_len} octets, this ABI needs {need}; update its firmware"
    )]
    MailboxTooSmall {
        /// Longest request, in octets.
        request_len: u16,
        /// Longest response, in octets.
        response_len: u16,
        /// What is needed of both, in octets.
        need: usize,
    },
    /// The way to the device can't be had.
    #[error("{what}")]
    Unavailable {
        /// Why not, and what to do.
        what: String,
    },
    /// The device answers what can't be true.
    #[error("the device answers what can't be true: {what}; reset it, and report this if it happens again")]
    Misbehaving {
        /// What it answered.
        what: &'static str,
    },
    /// The device did not change its generation in a reset.
    #[error("the device did not draw a new generation in its reset: keys may still be live; power-cycle it")]
    ResetIneffective,
    /// A mapping of a bulk command was refused; the ones before it are in place.
    #[error("mapping {index} ({mapping}): {status}")]
    MappingRefused {
        /// Its index in what was given.
        index: usize,
        /// What it maps.
        mapping: String,
        /// The device's answer.
        status: Status,
    },
    /// A control record is empty or too long.
    #[error("a control record of {len} octets can't be sealed; it holds 1 to {max}")]
    ControlRecordLen {
        /// Its length, in octets.
        len: usize,
        /// Greatest length, in octets.
        max: usize,
    },
    /// The desired state contradicts itself.
    #[error(transparent)]
    Desired(#[from] DesiredError),
    /// The device holds mappings of a later revision than the desired state's.
    #[error(
        "the device holds mappings of revision {device}, the desired state is revision {desired}: it is outdated; fetch the current one"
    )]
    StaleRevision {
        /// Highest revision on the device.
        device: u32,
        /// Revision of the desired state.
        desired: u32,
    },
    /// A step of a reconciliation failed; what came before it is in place, and nothing permissive was done early.
    #[error("reconciling stopped at step {step} of {steps}, {action}: {source}")]
    Step {
        /// Number of the step, from 1.
        step: usize,
        /// Number of all steps.
        steps: usize,
        /// What was to be done.
        action: String,
        /// Why it failed.
        source: Box<Error>,
    },
}

impl Error {
    /// The device's answer, when it gave one.
    #[must_use]
    pub fn status(&self) -> Option<Status> {
        match self {
            Self::Mailbox(error) => error.status(),
            Self::MappingRefused { status, .. } => Some(*status),
            Self::Step { source, .. } => source.status(),
            _ => None,
        }
    }
}
