//! A snapshot of all counters, and the law that they obey.

use sealnic_abi::counter::{Counter, DROP_COUNTER_BASE, DropReason};
use sealnic_abi::mailbox::CounterValues;

/// All counters at one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CounterSnapshot {
    values: Box<[u64; 128]>,
}

/// Both sides of the account of frames (invariant: they are equal).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Balance {
    /// Frames that came in, were made, or were copied.
    pub entered: u128,
    /// Frames that were delivered, sent, handed over, consumed, dropped, or are still inside.
    pub accounted: u128,
}

/// Frames got lost, or were counted twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{} frames entered the device and {} are accounted for: this is a fault of the device, report it", .0.entered, .0.accounted)]
pub struct Imbalance(pub Balance);

const ENTERED: [Counter; 5] = [
    Counter::VfIn,
    Counter::WireIn,
    Counter::HostIn,
    Counter::Generated,
    Counter::Copied,
];
const LEFT: [Counter; 6] = [
    Counter::VfOut,
    Counter::WireSealed,
    Counter::WireClear,
    Counter::HostOut,
    Counter::Consumed,
    Counter::Held,
];

impl CounterSnapshot {
    /// From the device's answer.
    #[must_use]
    pub fn new(response: &CounterValues) -> Self {
        Self {
            values: Box::new(response.values),
        }
    }

    /// A device counter.
    #[must_use]
    pub fn get(&self, counter: Counter) -> u64 {
        self.values[usize::from(u8::from(counter))]
    }

    /// Frames dropped for a reason.
    #[must_use]
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.values[DROP_COUNTER_BASE + usize::from(u8::from(reason))]
    }

    /// Frames dropped for any reason.
    #[must_use]
    pub fn dropped_total(&self) -> u128 {
        self.drops().map(|(_, count)| u128::from(count)).sum()
    }

    /// All device counters in order.
    pub fn counters(&self) -> impl Iterator<Item = (Counter, u64)> + '_ {
        Counter::ALL.iter().map(|&counter| (counter, self.get(counter)))
    }

    /// All drop counters in order, those at zero too.
    pub fn drops(&self) -> impl Iterator<Item = (DropReason, u64)> + '_ {
        DropReason::ALL.iter().map(|&reason| (reason, self.dropped(reason)))
    }

    /// Both sides of the account.
    #[must_use]
    pub fn balance(&self) -> Balance {
        let sum = |counters: &[Counter]| counters.iter().map(|&c| u128::from(self.get(c))).sum::<u128>();
        Balance {
            entered: sum(&ENTERED),
            accounted: sum(&LEFT) + self.dropped_total(),
        }
    }

    /// Checks that every frame is accounted for.
    ///
    /// # Errors
    /// It is not.
    pub fn check_balance(&self) -> Result<Balance, Imbalance> {
        let balance = self.balance();
        if balance.entered == balance.accounted {
            Ok(balance)
        } else {
            Err(Imbalance(balance))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(values: &[(usize, u64)]) -> CounterSnapshot {
        let mut response = CounterValues::ZERO;
        for &(index, value) in values {
            response.values[index] = value;
        }
        CounterSnapshot::new(&response)
    }

    #[test]
    fn counters_are_read_by_name() {
        let s = snapshot(&[(5, 7), (32 + 23, 4), (32 + 35, u64::MAX), (100, 9)]);
        assert_eq!(s.get(Counter::VfOut), 7);
        assert_eq!(s.dropped(DropReason::AuthFailed), 4);
        assert_eq!(s.dropped_total(), 4 + u128::from(u64::MAX));
        assert_eq!(
            s.counters().filter(|c| c.1 != 0).collect::<Vec<_>>(),
            [(Counter::VfOut, 7)]
        );
        assert_eq!(s.drops().count(), DropReason::ALL.len());
    }

    /// Each of the terms of the law, moved alone, breaks it; a counter that is no term doesn't.
    #[test]
    fn the_account_closes_only_when_every_frame_has_its_place() {
        for incoming in 0..5 {
            for outgoing in (5..11).chain(32..32 + DropReason::ALL.len()) {
                let even = snapshot(&[(incoming, 3), (outgoing, 3), (17, 1_000), (11, 5)]);
                assert_eq!(
                    even.check_balance(),
                    Ok(Balance {
                        entered: 3,
                        accounted: 3
                    })
                );
                let odd = snapshot(&[(incoming, 4), (outgoing, 3)]);
                assert_eq!(
                    odd.check_balance(),
                    Err(Imbalance(Balance {
                        entered: 4,
                        accounted: 3
                    }))
                );
            }
        }
    }

    #[test]
    fn sums_do_not_wrap() {
        let s = snapshot(&[(0, u64::MAX), (1, u64::MAX), (5, u64::MAX), (6, u64::MAX)]);
        assert!(s.check_balance().is_ok());
        let s = snapshot(&[(0, u64::MAX), (1, 1), (5, 0)]);
        assert!(s.check_balance().is_err());
    }
}
