//! One connection to a vfio-user server: commands and replies, each within a deadline.
//!
//! The server is no more to be trusted than a device: every length is checked before it is believed. After a failure that
//! leaves the stream in doubt the connection is broken for good, so that a late reply is never taken for another one.

use super::message::{Command, ERROR, Header, NO_REPLY, TYPE_MASK, TYPE_REPLY};
use crate::transport::TransportError;
use crate::unix_socket;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use std::io::{self, IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};
use zerocopy::{FromZeros, IntoBytes};

/// Longest reply, in octets: far more than any of ours has.
const MAX_REPLY: usize = 64 << 10;
/// Replies skipped while waiting for one: answers to posted writes that failed.
const MAX_STRAY: usize = 1 << 16;

pub(super) struct Connection {
    stream: UnixStream,
    what: String,
    timeout: Duration,
    next_id: u16,
    /// How the connection broke, when it did.
    broken: Option<String>,
    /// `errno` of the first posted write that the server refused since somebody asked.
    refused: Option<u32>,
}

impl Connection {
    pub(super) fn open(path: &Path, timeout: Duration) -> Result<Self, TransportError> {
        let what = format!("the vfio-user socket {}", path.display());
        let open = |source: io::Error| {
            let hint = match source.kind() {
                io::ErrorKind::NotFound => "start the server (sealnic serve --socket PATH) first",
                io::ErrorKind::ConnectionRefused => {
                    "nobody listens on it: its server is gone; start it again (sealnic serve --socket PATH)"
                }
                io::ErrorKind::PermissionDenied => "give this user the right to write to the socket",
                io::ErrorKind::WouldBlock => "its server is busy with other clients; try again",
                _ => "check the path",
            };
            TransportError::Open {
                what: what.clone(),
                source,
                hint,
            }
        };
        let stream = unix_socket::connect(path, timeout).map_err(open)?;
        stream.set_read_timeout(Some(timeout)).map_err(open)?;
        stream.set_write_timeout(Some(timeout)).map_err(open)?;
        Ok(Self {
            stream,
            what,
            timeout,
            next_id: 0,
            broken: None,
            refused: None,
        })
    }

    pub(super) fn what(&self) -> &str {
        &self.what
    }

    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// Says that the connection is of no use any more.
    pub(super) fn broke(&mut self, why: String) -> TransportError {
        let why = self.broken.get_or_insert(why).clone();
        // The server shall notice, whatever it is at.
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
        TransportError::Disconnected {
            what: self.what.clone(),
            why,
        }
    }

    /// Sends a command and waits for its reply, of which at least `least` octets after the header are there.
    ///
    /// The inner error is the server's own: it refused, and the connection is as good as before.
    pub(super) fn call(
        &mut self,
        command: Command,
        parts: &[&[u8]],
        descriptor: Option<BorrowedFd<'_>>,
        least: usize,
    ) -> Result<Result<Vec<u8>, io::Error>, TransportError> {
        let id = self.send(command, 0, parts, descriptor)?;
        let deadline = Instant::now() + self.timeout;
        for _ in 0..MAX_STRAY {
            let (header, payload) = self.receive(deadline)?;
            if header.flags & TYPE_MASK != TYPE_REPLY {
                // A server may ask its client for memory access; this one shares all memory by descriptor instead.
                return Err(self.broke("it sends commands of its own".into()));
            }
            if header.id != id || header.command != command as u16 {
                if header.command == Command::RegionWrite as u16 && header.flags & ERROR != 0 {
                    self.refused.get_or_insert(header.error);
                    continue;
                }
                return Err(self.broke(format!(
                    "it answers message {} (command {}), which was not asked",
                    header.id, header.command
                )));
            }
            if header.flags & ERROR != 0 {
                return Ok(Err(errno(header.error)));
            }
            if payload.len() < least {
                return Err(self.broke(format!(
                    "its answer to {command:?} has {} octets instead of {least}",
                    payload.len()
                )));
            }
            return Ok(Ok(payload));
        }
        Err(self.broke("it answers what was not asked, again and again".into()))
    }

    /// Sends a command that wants no reply.
    pub(super) fn post(&mut self, command: Command, parts: &[&[u8]]) -> Result<(), TransportError> {
        self.send(command, NO_REPLY, parts, None).map(drop)
    }

    /// Why the first of the posted writes failed that failed since the last call.
    pub(super) fn take_refused(&mut self) -> Option<io::Error> {
        self.refused.take().map(errno)
    }

    fn send(
        &mut self,
        command: Command,
        flags: u32,
        parts: &[&[u8]],
        descriptor: Option<BorrowedFd<'_>>,
    ) -> Result<u16, TransportError> {
        if let Some(why) = &self.broken {
            return Err(TransportError::Disconnected {
                what: self.what.clone(),
                why: why.clone(),
            });
        }
        let id = self.next_id;
        self.next_id = id.wrapping_add(1);
        let len = size_of::<Header>() + parts.iter().map(|part| part.len()).sum::<usize>();
        let header = Header {
            id,
            command: command as u16,
            len: u32::try_from(len).unwrap_or(u32::MAX),
            flags,
            error: 0,
        };
        let mut message = Vec::with_capacity(len);
        message.extend_from_slice(header.as_bytes());
        parts.iter().for_each(|part| message.extend_from_slice(part));
        match self.transmit(&message, descriptor) {
            Ok(()) => Ok(id),
            Err(error) => Err(self.broke(text(&error))),
        }
    }

    /// All of a message, and the descriptor with its first octets.
    fn transmit(&self, message: &[u8], descriptor: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let sent = if let Some(descriptor) = descriptor {
            let descriptors = [descriptor];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            control.push(SendAncillaryMessage::ScmRights(&descriptors));
            sendmsg(
                &self.stream,
                &[IoSlice::new(message)],
                &mut control,
                SendFlags::NOSIGNAL,
            )?
        } else {
            0
        };
        let deadline = Instant::now() + self.timeout;
        let mut rest = message.get(sent..).unwrap_or_default();
        while !rest.is_empty() {
            match (&self.stream).write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(sent) => rest = rest.get(sent..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted && Instant::now() < deadline => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn receive(&mut self, deadline: Instant) -> Result<(Header, Vec<u8>), TransportError> {
        let mut header = Header::new_zeroed();
        self.fill(header.as_mut_bytes(), deadline)?;
        let len = usize::try_from(header.len).unwrap_or(usize::MAX);
        let Some(payload_len) = len.checked_sub(size_of::<Header>()).filter(|len| *len <= MAX_REPLY) else {
            return Err(self.broke(format!("it sends a message of {len} octets")));
        };
        let mut payload = vec![0; payload_len];
        self.fill(&mut payload, deadline)?;
        Ok((header, payload))
    }

    fn fill(&mut self, mut octets: &mut [u8], deadline: Instant) -> Result<(), TransportError> {
        while !octets.is_empty() {
            match (&self.stream).read(octets) {
                Ok(0) => return Err(self.broke("it closed the connection".into())),
                Ok(n) => octets = octets.get_mut(n..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.broke(text(&error))),
            }
            // A server that trickles its answer is as late as one that sends none.
            if !octets.is_empty() && Instant::now() >= deadline {
                return Err(self.broke(text(&io::ErrorKind::TimedOut.into())));
            }
        }
        Ok(())
    }
}

/// What a server's error number means; some send none.
fn errno(number: u32) -> io::Error {
    match i32::try_from(number) {
        Ok(0) | Err(_) => io::Error::other("the server gave no reason"),
        Ok(number) => io::Error::from_raw_os_error(number),
    }
}

fn text(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            "no answer in time: its server hangs, or serves another client".into()
        }
        _ => error.to_string(),
    }
}
