//! A client that can say anything, right or wrong.

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use std::fs::File;
use std::io::{IoSlice, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

pub(crate) const VERSION: u16 = 1;
pub(crate) const DMA_MAP: u16 = 2;
pub(crate) const DMA_UNMAP: u16 = 3;
pub(crate) const DEVICE_INFO: u16 = 4;
pub(crate) const REGION_INFO: u16 = 5;
pub(crate) const IRQ_INFO: u16 = 7;
pub(crate) const SET_IRQS: u16 = 8;
pub(crate) const REGION_READ: u16 = 9;
pub(crate) const REGION_WRITE: u16 = 10;
pub(crate) const RESET: u16 = 13;

pub(crate) const EINVAL: u32 = 22;
pub(crate) const EEXIST: u32 = 17;
pub(crate) const EBUSY: u32 = 16;
pub(crate) const EBADF: u32 = 9;
pub(crate) const EPROTO: u32 = 71;
pub(crate) const EOPNOTSUPP: u32 = 95;

/// A raw connection.
pub(crate) struct Raw(pub(crate) UnixStream);

/// An answer: its error number, and its body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) error: u32,
    pub(crate) body: Vec<u8>,
}

impl Raw {
    pub(crate) fn connect(path: &Path) -> Self {
        let stream = UnixStream::connect(path).unwrap();
        // Whatever a test does, it doesn't wait for ever.
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
        Self(stream)
    }

    /// A connection whose version is agreed upon.
    pub(crate) fn set_up(path: &Path) -> Self {
        let mut raw = Self::connect(path);
        assert_eq!(raw.ask(VERSION, &[0, 0, 0, 0], &[]).error, 0);
        raw
    }

    pub(crate) fn send(&mut self, octets: &[u8], fds: &[BorrowedFd<'_>]) {
        try_send(self, octets, fds).unwrap();
    }

    pub(crate) fn ask(&mut self, command: u16, body: &[u8], fds: &[BorrowedFd<'_>]) -> Answer {
        self.send(&message(command, body), fds);
        self.answer(command).expect("the server closed the connection")
    }

    /// The next answer; `None` at the end of the connection.
    pub(crate) fn answer(&mut self, command: u16) -> Option<Answer> {
        let mut header = [0; 16];
        self.0.read_exact(&mut header).ok()?;
        let word = |at: usize| u32::from_ne_bytes(*header[at..].first_chunk().unwrap());
        assert_eq!(header[..2], ID.to_ne_bytes());
        assert_eq!(header[2..4], command.to_ne_bytes());
        assert_eq!(word(8) & 0xf, 1, "not a reply");
        let mut body = vec![0; word(4) as usize - 16];
        self.0.read_exact(&mut body).unwrap();
        let is_error = word(8) & 1 << 5 != 0;
        assert_eq!(
            is_error,
            word(12) != 0,
            "an error without a number, or a number without error"
        );
        Some(Answer { error: word(12), body })
    }

    /// Reads behind BAR0.
    pub(crate) fn read(&mut self, offset: u64, len: u32) -> Vec<u8> {
        let answer = self.ask(REGION_READ, &access(0, offset, len), &[]);
        assert_eq!(answer.error, 0);
        answer.body[16..].to_vec()
    }

    pub(crate) fn write(&mut self, offset: u64, octets: &[u8]) {
        let mut body = access(0, offset, octets.len() as u32);
        body.extend_from_slice(octets);
        assert_eq!(self.ask(REGION_WRITE, &body, &[]).error, 0);
    }

    pub(crate) fn map(&mut self, iova: u64, len: u64, flags: u32, file: &File, offset: u64) -> u32 {
        self.ask(DMA_MAP, &mapping(iova, len, flags, offset), &[file.as_fd()])
            .error
    }

    pub(crate) fn unmap(&mut self, iova: u64, len: u64) -> u32 {
        self.ask(DMA_UNMAP, &unmapping(iova, len), &[]).error
    }

    /// Signals the vector by an event of the client's.
    pub(crate) fn set_vector(&mut self, vector: u32, event: &OwnedFd) -> u32 {
        self.ask(SET_IRQS, &irqs(0x24, 2, vector, 1), &[event.as_fd()]).error
    }
}

/// Sends octets and descriptors, where the server still takes them.
pub(crate) fn try_send(raw: &Raw, octets: &[u8], fds: &[BorrowedFd<'_>]) -> std::io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(32))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        assert!(control.push(SendAncillaryMessage::ScmRights(fds)));
    }
    let sent = sendmsg(&raw.0, &[IoSlice::new(octets)], &mut control, SendFlags::NOSIGNAL)?;
    (&raw.0).write_all(&octets[sent..])
}

/// Identifier of every message.
pub(crate) const ID: u16 = 0x5ea1;

pub(crate) fn message(command: u16, body: &[u8]) -> Vec<u8> {
    let mut octets = Vec::new();
    octets.extend_from_slice(&ID.to_ne_bytes());
    octets.extend_from_slice(&command.to_ne_bytes());
    for word in [16 + body.len() as u32, 0, 0] {
        octets.extend_from_slice(&word.to_ne_bytes());
    }
    octets.extend_from_slice(body);
    octets
}

pub(crate) fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

pub(crate) fn access(region: u32, offset: u64, count: u32) -> Vec<u8> {
    let mut body = offset.to_ne_bytes().to_vec();
    body.extend(words(&[region, count]));
    body
}

pub(crate) fn mapping(iova: u64, len: u64, flags: u32, offset: u64) -> Vec<u8> {
    let mut body = words(&[32, flags]);
    for value in [offset, iova, len] {
        body.extend_from_slice(&value.to_ne_bytes());
    }
    body
}

pub(crate) fn unmapping(iova: u64, len: u64) -> Vec<u8> {
    let mut body = words(&[24, 0]);
    for value in [iova, len] {
        body.extend_from_slice(&value.to_ne_bytes());
    }
    body
}

pub(crate) fn irqs(flags: u32, index: u32, start: u32, count: u32) -> Vec<u8> {
    words(&[20, flags, index, start, count])
}

/// A file of memory, as a machine's is.
pub(crate) fn memory(len: u64) -> File {
    let file = rustix::fs::memfd_create("client", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    let file = File::from(file);
    file.set_len(len).unwrap();
    file
}

pub(crate) fn event() -> OwnedFd {
    rustix::event::eventfd(
        0,
        rustix::event::EventfdFlags::CLOEXEC | rustix::event::EventfdFlags::NONBLOCK,
    )
    .unwrap()
}

/// Takes the count of an event; 0 when it was not signalled.
pub(crate) fn count(event: &OwnedFd) -> u64 {
    let mut count = [0; 8];
    match rustix::io::read(event, &mut count) {
        Ok(8) => u64::from_ne_bytes(count),
        _ => 0,
    }
}
