//! One client's socket: whole messages with their file descriptors, in and out, without ever waiting for a client that is silent.

use super::message::{HEADER_LEN, Header, MAX_FDS, MAX_MESSAGE};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, recvmsg};
use std::io::{self, IoSliceMut, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// How long a client may take over the rest of a message it began, or to take an answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3);

/// A message, whole.
pub(crate) struct Message {
    pub(crate) header: Header,
    pub(crate) body: Vec<u8>,
    pub(crate) fds: Vec<OwnedFd>,
}

/// What came of looking for a message.
pub(crate) enum Received {
    /// A whole one.
    Message(Message),
    /// Nothing more for now.
    Nothing,
    /// The client closed the connection, maybe within a message.
    Closed,
    /// The stream can't be followed any further: the header, where one was read, and why.
    Lost(Option<Header>, &'static str),
}

/// A client's socket and the message that is under way.
pub(crate) struct Connection {
    stream: UnixStream,
    /// Header first, then the body.
    octets: Vec<u8>,
    /// Octets that `octets` must hold before there is more to say.
    wanted: usize,
    fds: Vec<OwnedFd>,
    /// When the message under way began.
    since: Option<Instant>,
}

impl Connection {
    pub(crate) fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream,
            octets: Vec::new(),
            wanted: HEADER_LEN,
            fds: Vec::new(),
            since: None,
        })
    }

    /// When the client must have finished the message it began.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.since.map(|since| since + PATIENCE)
    }

    /// Takes what has arrived, up to one message.
    pub(crate) fn receive(&mut self) -> Received {
        loop {
            // First the header alone, then no more than the body: what comes with an octet of a message belongs to it.
            match self.fill() {
                Ok(true) => {}
                Ok(false) => return Received::Nothing,
                Err(Trouble::Closed) => return Received::Closed,
                Err(Trouble::Lost(why)) => return Received::Lost(None, why),
            }
            let Some(header) = self.octets.first_chunk().map(Header::parse) else {
                continue;
            };
            let len = header.len as usize;
            if !(HEADER_LEN..=MAX_MESSAGE).contains(&len) {
                return Received::Lost(Some(header), "a message has an impossible length");
            }
            if self.octets.len() == len {
                self.wanted = HEADER_LEN;
                self.since = None;
                let body = self.octets.split_off(HEADER_LEN);
                self.octets.clear();
                let fds = std::mem::take(&mut self.fds);
                return Received::Message(Message { header, body, fds });
            }
            self.wanted = len;
        }
    }

    /// Reads until `wanted` octets are there; whether they are.
    fn fill(&mut self) -> Result<bool, Trouble> {
        while self.octets.len() < self.wanted {
            let have = self.octets.len();
            self.octets.resize(self.wanted, 0);
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let received = recvmsg(
                &self.stream,
                &mut [IoSliceMut::new(&mut self.octets[have..])],
                &mut control,
                RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC,
            );
            let read = received.as_ref().map_or(0, |message| message.bytes);
            self.octets.truncate(have + read);
            for message in control.drain() {
                if let RecvAncillaryMessage::ScmRights(fds) = message {
                    self.fds.extend(fds);
                }
            }
            match received {
                Ok(message) if message.flags.contains(ReturnFlags::CTRUNC) || self.fds.len() > MAX_FDS => {
                    return Err(Trouble::Lost("a message carries too many file descriptors"));
                }
                Ok(_) if read == 0 => return Err(Trouble::Closed),
                Ok(_) => {
                    self.since.get_or_insert_with(Instant::now);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => return Ok(false),
                Err(_) => return Err(Trouble::Closed),
            }
        }
        Ok(true)
    }

    /// Sends an answer; an error also when the client doesn't take it in time.
    pub(crate) fn send(&mut self, octets: &[u8]) -> io::Result<()> {
        self.stream.write_all(octets)
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

enum Trouble {
    Closed,
    Lost(&'static str),
}
