//! What the owner waits for: its device, and work for it.

use crate::transport::Transport;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// A way to a device, as its owner needs it.
pub trait Board: Transport {
    /// Lets the device's time pass, given the time since the owner started, and says in how long it is due again. Only a model in this
    /// process has a use for it.
    fn tick(&mut self, now: Duration) -> Option<Duration> {
        let _ = now;
        None
    }

    /// Adds what becomes readable when [`wait`](Transport::wait) has something to tell. A device whose interrupts come from
    /// [`tick`](Self::tick) and from register accesses alone has none.
    fn polled<'b>(&'b self, polled: &mut Vec<PollFd<'b>>) {
        let _ = polled;
    }

    /// Whether the device goes on when this way to it ends. Only a model in this process doesn't.
    fn outlives_us(&self) -> bool {
        true
    }
}

/// Wakes the owner.
#[derive(Debug)]
pub(super) struct Wake(OwnedFd);

impl Wake {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }

    /// Ends the owner's wait, or the next one.
    pub(super) fn wake(&self) {
        // Its count is at its end only when it was woken often enough.
        let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
    }

    /// Waits to be woken, or for a device's word, at most for `at_most`.
    pub(super) fn wait(&self, board: Option<&dyn Board>, at_most: Duration) {
        let mut polled = vec![PollFd::new(&self.0, PollFlags::IN)];
        if let Some(board) = board {
            board.polled(&mut polled);
        }
        let timeout = Timespec {
            tv_sec: at_most.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: at_most.subsec_nanos().into(),
        };
        match poll(&mut polled, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => {
                tracing::error!(%error, "the device can't be waited for");
                std::thread::sleep(at_most.min(Duration::from_millis(20)));
            }
        }
        let mut count = [0; 8];
        let _ = rustix::io::read(&self.0, &mut count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn a_wait_ends_when_it_is_woken_before_or_meanwhile_and_else_in_time() {
        let wake = Wake::new().unwrap();
        let start = Instant::now();
        wake.wake();
        wake.wake();
        wake.wait(None, Duration::from_secs(60));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(20));
                wake.wake();
            });
            wake.wait(None, Duration::from_secs(60));
        });
        assert!(start.elapsed() < Duration::from_secs(30));
        let start = Instant::now();
        wake.wait(None, Duration::from_millis(20));
        assert!(start.elapsed() >= Duration::from_millis(20));
    }
}
