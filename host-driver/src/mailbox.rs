//! The mailbox client: one command at a time, each with a deadline, retried until its answer is whole.
//!
//! A retry repeats the sequence number, and the device answers a number it has handled from its memory, so a command is
//! carried out once however often its answer is lost on the way.

use crate::clock::Clock;
use crate::registers::{MAGIC, MailboxState, Registers};
use crate::transport::{Transport, TransportError};
use sealnic_abi::mailbox::{
    MAX_PAYLOAD, MessageHeader, Opcode, Request, Status, WINDOW_LEN, read_message, write_message,
};
use sealnic_abi::registers::{FaultCode, MailboxError as DoorbellError};
use std::num::NonZeroU32;
use std::time::Duration;
use zerocopy::FromBytes;
use zeroize::Zeroize;

/// How long and how often to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailboxConfig {
    /// How long one attempt may take.
    pub timeout: Duration,
    /// Attempts for one command, at least 1.
    pub attempts: u32,
    /// Sequence number of the first command; drawn at random when not given, so that it can't be taken for a repetition
    /// of what an earlier driver sent.
    pub first_sequence: Option<NonZeroU32>,
}

impl Default for MailboxConfig {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(1),
            attempts: 4,
            first_sequence: None,
        }
    }
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum MailboxError {
    /// The registers can't be reached.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// No answer in time.
    #[error(
        "{}: no answer from the device after {attempts} attempts within {} ms; reset the device if this persists",
        .opcode.name(), .waited.as_millis()
    )]
    Timeout {
        /// The command.
        opcode: Opcode,
        /// Attempts made.
        attempts: u32,
        /// Time from the first attempt on.
        waited: Duration,
    },
    /// Every answer was damaged.
    #[error(
        "{}: the last of {attempts} answers was damaged ({damage}); the link to the device loses or changes data, or an earlier driver is still using it",
        .opcode.name()
    )]
    Damaged {
        /// The command.
        opcode: Opcode,
        /// Attempts made.
        attempts: u32,
        /// What was wrong with the last answer.
        damage: Damage,
    },
    /// The device refused to look at the request.
    #[error("{}: the device refused the doorbell {attempts} times ({}); reset the device if this persists", .opcode.name(), doorbell_text(*.code))]
    Refused {
        /// The command.
        opcode: Opcode,
        /// Attempts made.
        attempts: u32,
        /// Why; `None` for a code this driver doesn't know.
        code: Option<DoorbellError>,
    },
    /// The device stopped after a fault.
    #[error("{}: the device stopped after a fault ({}); reset it, then install fresh keys", .opcode.name(), fault_text(*.code))]
    Fault {
        /// The command.
        opcode: Opcode,
        /// Which; `None` for a code this driver doesn't know.
        code: Option<FaultCode>,
    },
    /// The device is not there any more.
    #[error("{}: the device is gone (its magic reads {magic:#010x}); check that it is still attached", .opcode.name())]
    Gone {
        /// The command.
        opcode: Opcode,
        /// What its magic reads.
        magic: u32,
    },
    /// The device answered with an error.
    #[error("{}: {status}{}", .opcode.name(), detail_text(*.status, *.detail))]
    Device {
        /// The command.
        opcode: Opcode,
        /// Its answer.
        status: Status,
        /// Offset of the payload octet at fault, or index of the item at fault, or 0.
        detail: u16,
    },
    /// The device answered with an error of a later ABI version.
    #[error("{}: the device answered with the unknown error {status}; use a newer driver", .opcode.name())]
    UnknownStatus {
        /// The command.
        opcode: Opcode,
        /// Its answer.
        status: u16,
    },
}

impl MailboxError {
    /// The device's answer, when it gave one.
    #[must_use]
    pub const fn status(&self) -> Option<Status> {
        match self {
            Self::Device { status, .. } => Some(*status),
            _ => None,
        }
    }
}

/// What was wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The response length register doesn't fit a header, the window, or the header's own length.
    #[error("a length of {0} octets doesn't fit")]
    Length(u16),
    /// The checksum is wrong.
    #[error("its checksum is wrong")]
    Checksum,
    /// It answers another request.
    #[error("it carries sequence number {0}, which was not asked for")]
    Sequence(u32),
    /// It answers another command.
    #[error("it carries opcode {0}, which was not asked for")]
    Opcode(u16),
    /// Its payload doesn't have the size of the command's response.
    #[error("its payload has {0} octets")]
    Payload(u16),
}

/// Client of one device's mailbox.
pub struct Mailbox {
    config: MailboxConfig,
    sequence: NonZeroU32,
    request: Box<[u8; WINDOW_LEN]>,
    response: Box<[u8; WINDOW_LEN]>,
}

/// How an attempt failed, when another one makes sense.
#[derive(Clone, Copy)]
enum Retry {
    Timeout,
    Damaged(Damage),
    Refused(Option<DoorbellError>),
    /// The device could not read the request.
    Unread(Status, u16),
}

/// The way to the device during a command.
struct Link<'a, T: Transport + ?Sized> {
    transport: &'a mut T,
    clock: &'a mut dyn Clock,
    opcode: Opcode,
}

/// First pause between two looks at the mailbox; each further one is twice as long, up to [`LONGEST_POLL`].
const FIRST_POLL: Duration = Duration::from_micros(5);
const LONGEST_POLL: Duration = Duration::from_millis(1);
/// Pause before the second attempt; before the third it is twice as long, and so on.
const FIRST_BACKOFF: Duration = Duration::from_millis(1);

impl Mailbox {
    /// A client.
    #[must_use]
    pub fn new(config: MailboxConfig) -> Self {
        Self {
            config,
            sequence: config.first_sequence.unwrap_or_else(random_sequence),
            request: Box::new([0; WINDOW_LEN]),
            response: Box::new([0; WINDOW_LEN]),
        }
    }

    /// Has the device carry out a command, once, and returns its answer.
    ///
    /// # Errors
    /// [`MailboxError`]. After an error other than [`MailboxError::Device`] the command may or may not have been carried
    /// out; every command may be given again.
    pub fn call<T: Transport + ?Sized, R: Request>(
        &mut self,
        transport: &mut T,
        clock: &mut dyn Clock,
        request: &R,
    ) -> Result<R::Response, MailboxError> {
        // The doorbell takes whole words.
        const { assert!(size_of::<R>().is_multiple_of(4) && size_of::<R>() <= MAX_PAYLOAD) }
        let mut link = Link {
            transport,
            clock,
            opcode: R::OPCODE,
        };
        let sequence = self.next_sequence();
        let result = self.exchange::<T, R>(&mut link, sequence, request);
        if carries_secrets(R::OPCODE) {
            // Also when the device still seems to be at it: what it has not taken by now it had better not take.
            let wiped = Registers::new(link.transport).write_request(&self.zeroed_request());
            if let Err(error) = wiped {
                tracing::warn!(opcode = R::OPCODE.name(), %error, "the request window could not be wiped");
            }
        }
        self.request.zeroize();
        self.response.zeroize();
        result
    }

    fn exchange<T: Transport + ?Sized, R: Request>(
        &mut self,
        link: &mut Link<'_, T>,
        sequence: NonZeroU32,
        request: &R,
    ) -> Result<R::Response, MailboxError> {
        let header = MessageHeader {
            opcode: R::OPCODE.into(),
            sequence: sequence.get(),
            ..MessageHeader::ZERO
        };
        // It fits: `call` asserts it for every command.
        let len = write_message(&mut self.request[..], header, request.as_bytes()).unwrap_or(0);
        let start = link.clock.now();
        let attempts = self.config.attempts.max(1);
        let mut last = Retry::Timeout;
        for attempt in 0..attempts {
            if attempt > 0 {
                link.clock.sleep(FIRST_BACKOFF.saturating_mul(attempt));
            }
            match self.attempt::<T, R>(link, sequence, len)? {
                Ok(response) => return Ok(response),
                Err(retry) => last = retry,
            }
            tracing::debug!(
                opcode = R::OPCODE.name(),
                sequence,
                attempt,
                "no good answer from the mailbox"
            );
        }
        let opcode = R::OPCODE;
        Err(match last {
            Retry::Timeout => MailboxError::Timeout {
                opcode,
                attempts,
                waited: link.clock.now().saturating_sub(start),
            },
            Retry::Damaged(damage) => MailboxError::Damaged {
                opcode,
                attempts,
                damage,
            },
            Retry::Refused(code) => MailboxError::Refused { opcode, attempts, code },
            Retry::Unread(status, detail) => MailboxError::Device { opcode, status, detail },
        })
    }

    /// One attempt: an answer, or a reason to try again; errors end the command.
    fn attempt<T: Transport + ?Sized, R: Request>(
        &mut self,
        link: &mut Link<'_, T>,
        sequence: NonZeroU32,
        len: usize,
    ) -> Result<Result<R::Response, Retry>, MailboxError> {
        let deadline = link.clock.now() + self.config.timeout;
        // While the device is busy (with an earlier attempt) the windows belong to it.
        if link.poll(deadline, |state| state != MailboxState::Busy)?.is_none() {
            return Ok(Err(Retry::Timeout));
        }
        let registers = Registers::new(link.transport);
        registers.clear_mailbox_cause()?;
        registers.write_request(self.request.get(..len).unwrap_or_default())?;
        registers.ring(u16::try_from(len).unwrap_or(u16::MAX))?;
        match link.poll(deadline, |state| {
            matches!(state, MailboxState::Done | MailboxState::Refused(_))
        })? {
            None => Ok(Err(Retry::Timeout)),
            Some(MailboxState::Refused(code)) => {
                link.check_fault()?;
                Ok(Err(Retry::Refused(code)))
            }
            Some(_) => self.read_answer::<T, R>(link, sequence),
        }
    }

    /// Reads and checks the answer in the response window.
    fn read_answer<T: Transport + ?Sized, R: Request>(
        &mut self,
        link: &mut Link<'_, T>,
        sequence: NonZeroU32,
    ) -> Result<Result<R::Response, Retry>, MailboxError> {
        let registers = Registers::new(link.transport);
        let len = registers.response_len()?;
        let Some(message) = self.response.get_mut(..usize::from(len)) else {
            return Ok(Err(Retry::Damaged(Damage::Length(len))));
        };
        registers.read_response(message)?;
        match check_answer::<R>(message, sequence.get()) {
            Answer::Good(response) => Ok(Ok(response)),
            Answer::Failed(error) => Err(error),
            Answer::Unread(status, detail) => Ok(Err(Retry::Unread(status, detail))),
            Answer::Damaged(damage) => Ok(Err(Retry::Damaged(damage))),
        }
    }

    fn next_sequence(&mut self) -> NonZeroU32 {
        let sequence = self.sequence;
        self.sequence = sequence.checked_add(1).unwrap_or(NonZeroU32::MIN);
        sequence
    }

    /// Zeros as long as the request that stands in the buffer.
    fn zeroed_request(&mut self) -> Vec<u8> {
        let len = read_message(&self.request[..]).map_or(WINDOW_LEN, |(_, p)| size_of::<MessageHeader>() + p.len());
        vec![0; len]
    }
}

impl<T: Transport + ?Sized> Link<'_, T> {
    /// Waits until the mailbox is in a state that `wanted` accepts; `None` when the deadline passes before.
    fn poll(
        &mut self,
        deadline: Duration,
        wanted: impl Fn(MailboxState) -> bool,
    ) -> Result<Option<MailboxState>, MailboxError> {
        let mut pause = FIRST_POLL;
        loop {
            let state = Registers::new(self.transport).mailbox_state()?;
            if state == MailboxState::Inconsistent {
                self.check_presence()?;
            } else if wanted(state) {
                return Ok(Some(state));
            }
            let now = self.clock.now();
            let left = deadline.saturating_sub(now);
            if left.is_zero() {
                return Ok(None);
            }
            self.transport.wait(pause.min(left), self.clock)?;
            if self.clock.now() == now {
                // A transport that returns at once must not keep us here for ever.
                self.clock.sleep(pause.min(left));
            }
            pause = (pause * 2).min(LONGEST_POLL);
        }
    }

    fn check_presence(&mut self) -> Result<(), MailboxError> {
        let magic = Registers::new(self.transport).magic()?;
        if magic == MAGIC {
            Ok(())
        } else {
            Err(MailboxError::Gone {
                opcode: self.opcode,
                magic,
            })
        }
    }

    fn check_fault(&mut self) -> Result<(), MailboxError> {
        self.check_presence()?;
        let status = Registers::new(self.transport).status()?;
        if status.fault {
            return Err(MailboxError::Fault {
                opcode: self.opcode,
                code: status.fault_code,
            });
        }
        Ok(())
    }
}

/// What a message in a response buffer is to the request that was sent.
pub(crate) enum Answer<R> {
    /// The answer.
    Good(R),
    /// The device's own error.
    Failed(MailboxError),
    /// The device could not read the request.
    Unread(Status, u16),
    /// Something else.
    Damaged(Damage),
}

/// Checks all of a response, which may be anything.
pub(crate) fn check_answer<R: Request>(message: &[u8], sequence: u32) -> Answer<R::Response> {
    let len = u16::try_from(message.len()).unwrap_or(u16::MAX);
    let (header, payload) = match read_message(message) {
        Ok(message) => message,
        Err(error) if error.status == Status::BadChecksum => return Answer::Damaged(Damage::Checksum),
        Err(_) => return Answer::Damaged(Damage::Length(len)),
    };
    if size_of::<MessageHeader>() + payload.len() != message.len() {
        return Answer::Damaged(Damage::Length(len));
    }
    // Checked first: the device can't know number and opcode of a request that it couldn't read.
    if let Ok(status @ (Status::BadChecksum | Status::BadLength)) = Status::try_from(header.status) {
        return Answer::Unread(status, header.detail);
    }
    if header.sequence != sequence {
        return Answer::Damaged(Damage::Sequence(header.sequence));
    }
    if header.opcode != u16::from(R::OPCODE) {
        return Answer::Damaged(Damage::Opcode(header.opcode));
    }
    let opcode = R::OPCODE;
    match Status::try_from(header.status) {
        Ok(Status::Ok) => match R::Response::read_from_bytes(payload) {
            Ok(response) => Answer::Good(response),
            Err(_) => Answer::Damaged(Damage::Payload(header.payload_len)),
        },
        Ok(status) => Answer::Failed(MailboxError::Device {
            opcode,
            status,
            detail: header.detail,
        }),
        Err(_) => Answer::Failed(MailboxError::UnknownStatus {
            opcode,
            status: header.status,
        }),
    }
}

/// Commands whose request must not stay in the window or in our memory: keys, the secret of the flow hash, plaintext.
const fn carries_secrets(opcode: Opcode) -> bool {
    matches!(
        opcode,
        Opcode::SaInstall | Opcode::Configure | Opcode::SealControlRecord
    )
}

fn random_sequence() -> NonZeroU32 {
    // Without a source of randomness the clock still makes a repetition very unlikely.
    let value = getrandom::u32().unwrap_or_else(|_| {
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(1, |time| {
                time.subsec_nanos() ^ u32::try_from(time.as_secs() & 0xffff).unwrap_or(0)
            })
    });
    NonZeroU32::new(value).unwrap_or(NonZeroU32::MIN)
}

fn doorbell_text(code: Option<DoorbellError>) -> &'static str {
    match code {
        Some(DoorbellError::None) => "without a reason",
        Some(DoorbellError::Busy) => "an earlier request is under way",
        Some(DoorbellError::BadLength) => "it doesn't accept the length",
        Some(DoorbellError::NotReady) => "it is in reset or in fault",
        None => "for an unknown reason",
    }
}

pub(crate) fn fault_text(code: Option<FaultCode>) -> &'static str {
    match code {
        Some(FaultCode::None) => "none named",
        Some(FaultCode::SelfTest) => "a known-answer test failed",
        Some(FaultCode::Memory) => "memory error",
        Some(FaultCode::Firmware) => "its firmware stopped itself",
        Some(FaultCode::Watchdog) => "its firmware stopped answering",
        Some(FaultCode::Bus) => "it could not reach the host's memory",
        None => "unknown",
    }
}

fn detail_text(status: Status, detail: u16) -> String {
    match status {
        _ if detail == 0 => String::new(),
        Status::BadParameter => format!(" (octet {detail} of the request)"),
        _ => format!(" (detail {detail})"),
    }
}
