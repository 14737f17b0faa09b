//! The command ring's client: many commands at a time, each carried out once, answered in order.

use super::{Patience, RingCore, RingError};
use crate::clock::Clock;
use crate::dma::DmaBuffer;
use crate::error::Error;
use crate::mailbox::{Answer, MailboxError, check_answer};
use crate::registers::Registers;
use crate::transport::Transport;
use sealnic_abi::mailbox::{MessageHeader, Request, WINDOW_LEN, write_message};
use sealnic_abi::ring::{CommandDescriptor, CompletionStatus, Ring};
use std::collections::VecDeque;
use std::time::Duration;
use zerocopy::IntoBytes;
use zeroize::Zeroize;

/// A running command ring.
pub(crate) struct CommandRing {
    core: RingCore,
    /// Request and response, by place in the ring.
    slots: Vec<(DmaBuffer, DmaBuffer)>,
    sequence: u32,
    scratch: Box<[u8; WINDOW_LEN]>,
}

impl CommandRing {
    pub(crate) fn start<T: Transport + ?Sized>(
        transport: &mut T,
        clock: &mut dyn Clock,
        entries: u16,
    ) -> Result<Self, RingError> {
        let core = RingCore::start(transport, clock, Ring::Command, entries)?;
        let mut slots = Vec::new();
        for _ in 0..core.entries() {
            match (transport.dma_alloc(WINDOW_LEN), transport.dma_alloc(WINDOW_LEN)) {
                (Ok(request), Ok(response)) => slots.push((request, response)),
                (Err(error), _) | (_, Err(error)) => {
                    core.stop(transport, clock);
                    return Err(error.into());
                }
            }
        }
        Ok(Self {
            core,
            slots,
            sequence: 0,
            scratch: Box::new([0; WINDOW_LEN]),
        })
    }

    /// Has the device carry out one command.
    ///
    /// # Errors
    /// The device's own error; or the ring failed and must not be used again.
    pub(crate) fn call<T: Transport + ?Sized, R: Request>(
        &mut self,
        transport: &mut T,
        clock: &mut dyn Clock,
        timeout: Duration,
        request: &R,
    ) -> Result<R::Response, Error> {
        let mut answer = None;
        self.run(transport, clock, timeout, std::iter::once(request), |_, response| {
            answer = Some(response);
        })?;
        match answer {
            Some(Ok(response)) => Ok(response),
            Some(Err(error)) => Err(error.into()),
            None => Err(self.core.misbehaving("no answer").into()),
        }
    }

    /// Has the device carry out commands, as many at a time as the ring holds, and hands out the answers in order, by the
    /// command's number. Errors of the device are handed out like answers and end nothing.
    ///
    /// # Errors
    /// The ring failed and must not be used again: commands whose answer was not handed out may or may not have been
    /// carried out.
    pub(crate) fn run<'r, T: Transport + ?Sized, R: Request + 'r>(
        &mut self,
        transport: &mut T,
        clock: &mut dyn Clock,
        timeout: Duration,
        requests: impl IntoIterator<Item = &'r R>,
        mut answered: impl FnMut(usize, Result<R::Response, MailboxError>),
    ) -> Result<(), Error> {
        let mut requests = requests.into_iter().fuse();
        let mut sequences = VecDeque::new();
        let mut done = 0;
        let mut patience = Patience::new(clock, timeout);
        self.core.check_quiet()?;
        loop {
            let mut posted = false;
            while self.core.next_slot().is_some() {
                let Some(request) = requests.next() else { break };
                sequences.push_back(self.post(request)?);
                posted = true;
            }
            if posted {
                Registers::new(transport).clear_ring_cause(Ring::Command)?;
                self.core.doorbell(transport)?;
            }
            if sequences.is_empty() {
                return Ok(());
            }
            let slot = self.core.seen_slot();
            match self.core.next_completion(WINDOW_LEN)? {
                None => {
                    self.core.wait(transport, clock, &mut patience)?;
                }
                Some((len, status)) => {
                    let sequence = sequences.pop_front().unwrap_or(0);
                    let answer = self.answer::<R>(slot, len, status, sequence)?;
                    answered(done, answer);
                    done += 1;
                    patience = Patience::new(clock, timeout);
                }
            }
        }
    }

    /// Writes a request and its descriptor; returns its sequence number.
    fn post<R: Request>(&mut self, request: &R) -> Result<u32, RingError> {
        let full = RingError::Full { ring: Ring::Command };
        let Some((to, from)) = self.core.next_slot().and_then(|slot| self.slots.get(slot)) else {
            return Err(full);
        };
        self.sequence = self.sequence.checked_add(1).unwrap_or(1);
        let header = MessageHeader {
            opcode: R::OPCODE.into(),
            sequence: self.sequence,
            ..MessageHeader::ZERO
        };
        // It fits: every command does.
        let len = write_message(&mut self.scratch[..], header, request.as_bytes()).unwrap_or(0);
        let written = to.write(0, self.scratch.get(..len).unwrap_or_default());
        // It may hold keys; so may the buffer, until the answer is there.
        self.scratch.zeroize();
        written?;
        let descriptor = CommandDescriptor {
            request: to.iova(),
            response: from.iova(),
            request_len: u16::try_from(len).unwrap_or(0),
            response_len: WINDOW_LEN as u16,
            ..CommandDescriptor::ZERO
        };
        self.core.post(descriptor.as_bytes())?;
        Ok(self.sequence)
    }

    /// Takes the answer out of its buffer, and wipes the request.
    fn answer<R: Request>(
        &mut self,
        slot: usize,
        len: usize,
        status: CompletionStatus,
        sequence: u32,
    ) -> Result<Result<R::Response, MailboxError>, RingError> {
        let Some((request, response)) = self.slots.get(slot) else {
            return Err(self.core.misbehaving("a completion outside the ring"));
        };
        request.wipe()?;
        if status != CompletionStatus::Done {
            return Err(self.core.misbehaving("it refuses a descriptor that is right"));
        }
        let message = self.scratch.get_mut(..len).unwrap_or_default();
        response.read(0, message)?;
        let answer = check_answer::<R>(message, sequence);
        message.zeroize();
        match answer {
            Answer::Good(response) => Ok(Ok(response)),
            Answer::Failed(error) => Ok(Err(error)),
            Answer::Unread(..) => Err(self.core.misbehaving("it could not read a request that is right")),
            Answer::Damaged(_) => Err(self.core.misbehaving("an answer that is damaged or another request's")),
        }
    }

    /// Stops the ring; buffers that the device may still write are set aside for good.
    pub(crate) fn stop<T: Transport + ?Sized>(self, transport: &mut T, clock: &mut dyn Clock) {
        if !self.core.stop(transport, clock) {
            for (request, response) in self.slots {
                // The device has no use for it any more, whatever it does.
                let _ = request.wipe();
                request.abandon();
                response.abandon();
            }
        }
    }
}
