//! Interrupt vectors as event file descriptors.

use super::Fired;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::{Errno, read};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// One descriptor a vector.
#[derive(Default)]
pub(super) struct Vectors(Vec<OwnedFd>);

impl Vectors {
    pub(super) fn new(count: u16) -> io::Result<Self> {
        (0..count)
            .map(|_| Ok(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
            .collect::<io::Result<_>>()
            .map(Self)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.0.iter().map(AsFd::as_fd)
    }

    /// Adds what becomes readable when one fires, and, where there are any, what tells that `peer` hung up.
    #[cfg(feature = "control")]
    pub(super) fn polled<'v>(&'v self, peer: Option<BorrowedFd<'v>>, polled: &mut Vec<PollFd<'v>>) {
        polled.extend(self.0.iter().map(|fd| PollFd::new(fd, PollFlags::IN)));
        if !self.0.is_empty() {
            polled.extend(peer.map(|peer| PollFd::from_borrowed_fd(peer, PollFlags::RDHUP)));
        }
    }

    /// Waits until one fires, at most `at_most`. `peer`, when given, ends the wait with an error when it hangs up.
    pub(super) fn wait(&self, at_most: Duration, peer: Option<BorrowedFd<'_>>) -> io::Result<Fired> {
        let mut polled: Vec<_> = self.0.iter().map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
        if let Some(peer) = peer {
            polled.push(PollFd::from_borrowed_fd(peer, PollFlags::RDHUP));
        }
        let timeout = Timespec {
            tv_sec: at_most.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: at_most.subsec_nanos().into(),
        };
        match poll(&mut polled, Some(&timeout)) {
            Ok(0) | Err(Errno::INTR) => return Ok(Fired::NONE),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let gone = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
        let peer_gone = peer.is_some() && polled.last().is_some_and(|fd| fd.revents().intersects(gone));
        let mut fired = Fired::NONE;
        for (vector, fd) in (0..).zip(&self.0) {
            let mut count = [0; 8];
            match read(fd, &mut count) {
                Ok(_) => fired.insert(vector),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if peer_gone && fired.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(fired)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn a_vector_fires_once_for_all_its_signals_and_the_others_stay_quiet() {
        let vectors = Vectors::new(3).unwrap();
        let signal = |n: usize| rustix::io::write(&vectors.0[n], &1u64.to_ne_bytes()).unwrap();
        signal(1);
        signal(1);
        let fired = vectors.wait(Duration::from_secs(5), None).unwrap();
        assert!(fired.contains(1) && !fired.contains(0) && !fired.contains(2));
        let start = Instant::now();
        assert!(vectors.wait(Duration::from_millis(20), None).unwrap().is_empty());
        assert!(start.elapsed() >= Duration::from_millis(20));
    }

    #[test]
    fn a_peer_that_hangs_up_ends_the_wait() {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let vectors = Vectors::new(1).unwrap();
        drop(theirs);
        let start = Instant::now();
        let error = vectors.wait(Duration::from_secs(30), Some(ours.as_fd())).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert!(start.elapsed() < Duration::from_secs(10));
    }
}
