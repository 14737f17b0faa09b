//! What was seen of a frame of the capture on its way, and the fate that follows from it.

use crate::run::summary::Fate;
use sealnic_abi::DropReason;

/// Everything seen of one frame, of copies and pieces of it too.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sight {
    /// Index of the VM that sent it; none when it is of no VM of the scenario.
    pub(crate) sender: Option<usize>,
    /// Index of the VM that received it.
    pub(crate) receiver: Option<usize>,
    /// Went on the wire in a record.
    pub(crate) sealed: bool,
    /// Went on the wire in the clear.
    pub(crate) clear: bool,
    /// Left for an address that no host of the scenario has.
    pub(crate) left: bool,
    /// Reached the host.
    pub(crate) punted: bool,
    /// Ended in a NIC that answered it.
    pub(crate) consumed: bool,
    /// Why a NIC dropped it, or the first copy of it.
    pub(crate) reason: Option<DropReason>,
    /// Reached a VM with other octets.
    pub(crate) damaged: bool,
}

impl Sight {
    /// What became of the frame when all is over; `None` when it came to no end, which can't be.
    pub(crate) fn fate(&self) -> Option<Fate> {
        let was_sent = self.sealed || self.clear;
        Some(match self {
            Self { sender: None, .. } => Fate::NotInScenario,
            // One copy that arrives is enough, whatever became of others.
            _ if self.receiver.is_some() || self.left => match (self.sealed, self.clear) {
                (true, _) => Fate::Sealed,
                (false, true) => Fate::Clear,
                (false, false) => Fate::Local,
            },
            Self { punted: true, .. } => Fate::Host,
            Self { reason: Some(_), .. } => Fate::Dropped,
            _ if was_sent => Fate::Lost,
            Self { consumed: true, .. } => Fate::Consumed,
            _ => return None,
        })
    }

    /// Why it was dropped, when that is its fate.
    pub(crate) fn drop_reason(&self) -> &'static str {
        match (self.fate(), self.reason) {
            (Some(Fate::Dropped), Some(reason)) => reason.name(),
            _ => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_of_which_one_copy_arrived_was_not_dropped_or_lost() {
        let sent = Sight {
            sender: Some(0),
            sealed: true,
            ..Sight::default()
        };
        assert_eq!(sent.fate(), Some(Fate::Lost));
        let stopped = Sight {
            reason: Some(DropReason::Replayed),
            ..sent
        };
        assert_eq!(
            (stopped.fate(), stopped.drop_reason()),
            (Some(Fate::Dropped), "Replayed")
        );
        let arrived = Sight {
            receiver: Some(1),
            ..stopped
        };
        assert_eq!((arrived.fate(), arrived.drop_reason()), (Some(Fate::Sealed), ""));
    }

    #[test]
    fn a_frame_without_any_end_is_noticed() {
        let handed_over = Sight {
            sender: Some(0),
            ..Sight::default()
        };
        assert_eq!(handed_over.fate(), None);
        assert_eq!(Sight::default().fate(), Some(Fate::NotInScenario));
    }
}
