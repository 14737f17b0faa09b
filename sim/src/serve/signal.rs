//! Signals a client's event counters without ever waiting for a client.
//!
//! A write to an event counter waits while the counter is full. `O_NONBLOCK` doesn't help against a client that means harm: the flag
//! belongs to the open file that both ends share, so that it can clear the flag and fill the counter between any check and the write;
//! and such writes take no flags of their own (`RWF_NOWAIT`). But what the kernel signals by itself never waits, a full counter
//! stays full. So each signal is the end of an asynchronous access (`io_submit(2)`, `IOCB_FLAG_RESFD`) that reads nothing from `/dev/null`.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use vmm_sys_util::aio::{IOCB_CMD_PREAD, IOCB_FLAG_RESFD, IoContext, IoControlBlock, IoEvent};

/// Signals that may be under way: each has ended when it was given.
const DEPTH: usize = 1;

/// Signals events.
pub(crate) struct Signaller {
    context: IoContext,
    nothing: File,
}

impl Signaller {
    /// # Errors
    /// The system has no asynchronous I/O, or none left (`/proc/sys/fs/aio-max-nr`).
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            context: IoContext::new(DEPTH as u32)?,
            nothing: File::open("/dev/null")?,
        })
    }

    /// Counts the event up by one. A full counter stays as it is.
    ///
    /// # Errors
    /// It is no event counter.
    pub(crate) fn signal(&self, event: &OwnedFd) -> io::Result<()> {
        let descriptor = |raw: i32| u32::try_from(raw).map_err(|_| io::ErrorKind::InvalidInput);
        let mut nothing = IoControlBlock {
            aio_lio_opcode: IOCB_CMD_PREAD as u16,
            aio_fildes: descriptor(self.nothing.as_raw_fd())?,
            aio_flags: IOCB_FLAG_RESFD,
            aio_resfd: descriptor(event.as_raw_fd())?,
            ..Default::default()
        };
        self.context.submit(&[&mut nothing])?;
        // It has ended, and gives its place back once that is noted.
        self.context.get_events(0, &mut [IoEvent::default(); DEPTH], None)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{EventfdFlags, eventfd};
    use rustix::io::{read, write};
    use std::time::{Duration, Instant};

    fn count(event: &OwnedFd) -> u64 {
        let mut count = [0; 8];
        read(event, &mut count).unwrap();
        u64::from_ne_bytes(count)
    }

    #[test]
    fn each_signal_counts_and_what_is_no_event_is_refused() {
        let signaller = Signaller::new().unwrap();
        let event = eventfd(0, EventfdFlags::CLOEXEC).unwrap();
        for _ in 0..1_000 {
            signaller.signal(&event).unwrap();
        }
        assert_eq!(count(&event), 1_000);
        let (pipe, _other) = io::pipe().unwrap();
        assert!(signaller.signal(&pipe.into()).is_err());
        signaller.signal(&event).unwrap();
        assert_eq!(count(&event), 1);
    }

    /// As a client would have it that wants to hold up the server: nobody reads, and nothing says that writes shall not wait.
    #[test]
    fn a_full_counter_keeps_nobody_waiting_and_stays_full() {
        let signaller = Signaller::new().unwrap();
        let event = eventfd(0, EventfdFlags::CLOEXEC).unwrap();
        write(&event, &(u64::MAX - 1).to_ne_bytes()).unwrap();
        let start = Instant::now();
        for _ in 0..1_000 {
            signaller.signal(&event).unwrap();
        }
        assert!(start.elapsed() < Duration::from_secs(5), "took {:?}", start.elapsed());
        assert_eq!(count(&event), u64::MAX);
        signaller.signal(&event).unwrap();
        assert_eq!(count(&event), 1);
    }
}
