//! Whoever follows what a device reports: a queue for each, and none of them is waited for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};

/// Reports that a follower may lag behind before it loses some.
const LAG: usize = 4096;

/// All followers of one kind of report.
pub(super) struct Followers<V>(Vec<Follower<V>>);

struct Follower<V> {
    reports: SyncSender<V>,
    lost: Arc<AtomicU64>,
}

/// Reports for one follower.
pub(super) struct Following<V> {
    /// The reports; it ends when there will be no more.
    pub(super) reports: Receiver<V>,
    /// How many were lost since this was last set to zero.
    pub(super) lost: Arc<AtomicU64>,
}

impl<V: Clone> Followers<V> {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    /// One more.
    pub(super) fn add(&mut self) -> Following<V> {
        let (sender, reports) = mpsc::sync_channel(LAG);
        let lost = Arc::new(AtomicU64::new(0));
        self.0.push(Follower {
            reports: sender,
            lost: Arc::clone(&lost),
        });
        Following { reports, lost }
    }

    /// Tells them all; who lags too far behind loses it.
    pub(super) fn tell(&mut self, report: &V) {
        self.0
            .retain(|follower| match follower.reports.try_send(report.clone()) {
                Ok(()) => true,
                Err(TrySendError::Full(_)) => {
                    follower.lost.fetch_add(1, Ordering::Relaxed);
                    true
                }
                Err(TrySendError::Disconnected(_)) => false,
            });
    }

    /// Whether there is none any more.
    pub(super) fn is_empty(&mut self) -> bool {
        // One that went has dropped its half of the count.
        self.0.retain(|follower| Arc::strong_count(&follower.lost) > 1);
        self.0.is_empty()
    }

    /// Ends them all.
    pub(super) fn end(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_follower_that_lags_loses_and_knows_how_much_and_the_others_lose_nothing() {
        let mut followers = Followers::new();
        let (slow, quick) = (followers.add(), followers.add());
        let mut taken = 0;
        for number in 0..LAG + 3 {
            followers.tell(&number);
            taken += quick.reports.try_iter().count();
        }
        assert_eq!((taken, quick.lost.load(Ordering::Relaxed)), (LAG + 3, 0));
        assert_eq!(slow.lost.load(Ordering::Relaxed), 3);
        assert_eq!(slow.reports.try_iter().last(), Some(LAG - 1));
    }

    #[test]
    fn who_goes_is_forgotten_and_who_is_ended_knows() {
        let mut followers = Followers::new();
        drop(followers.add());
        assert!(followers.is_empty());
        let following = followers.add();
        assert!(!followers.is_empty());
        followers.tell(&1);
        followers.end();
        assert_eq!(following.reports.recv(), Ok(1));
        assert!(following.reports.recv().is_err());
    }
}
