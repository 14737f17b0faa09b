//! The replay window at its edges, and against a model that remembers everything.

use crate::fixture::Random;
use sealnic_dtls::{KeyError, MAX_SEQ, ReplayWindow, Replayed};
use std::collections::HashSet;

const LENGTHS: [usize; 5] = [64, 128, 192, 1024, 4096];

fn window(len: usize) -> ReplayWindow {
    ReplayWindow::new(len).unwrap()
}

#[test]
fn only_multiples_of_64_up_to_4096_are_windows() {
    for len in 0..=5000 {
        let expected = (64..=4096).contains(&len) && len % 64 == 0;
        match ReplayWindow::new(len) {
            Ok(window) => assert!(expected && window.len() == len),
            Err(error) => assert!(!expected && error == KeyError::WindowLen),
        }
    }
}

#[test]
fn number_zero_is_new_once() {
    for len in LENGTHS {
        let mut window = window(len);
        assert!(window.is_empty());
        assert_eq!(window.commit(0), Ok(()));
        assert_eq!(window.commit(0), Err(Replayed));
        assert_eq!((window.next(), window.is_empty()), (1, false));
    }
}

#[test]
fn the_lower_edge_is_exact() {
    for len in LENGTHS {
        for highest in [5000_u64, 65_535, 65_536, MAX_SEQ] {
            let mut window = window(len);
            window.commit(highest).unwrap();
            let lowest = highest + 1 - len as u64;
            assert_eq!(window.check(lowest - 1), Err(Replayed));
            assert_eq!(window.commit(lowest - 1), Err(Replayed));
            assert_eq!(window.commit(lowest), Ok(()));
            assert_eq!(window.commit(lowest), Err(Replayed));
            assert_eq!(window.commit(lowest + 1), Ok(()));
            assert_eq!(window.commit(highest), Err(Replayed));
            assert_eq!(window.next(), highest + 1);
        }
    }
}

#[test]
fn a_check_changes_nothing() {
    let mut window = window(64);
    window.commit(10).unwrap();
    for _ in 0..3 {
        assert_eq!(window.check(9), Ok(()));
        assert_eq!(window.check(1_000_000), Ok(()));
    }
    assert_eq!(window.next(), 11);
    assert_eq!(window.commit(9), Ok(()));
}

#[test]
fn sliding_by_one_forgets_exactly_one() {
    for len in LENGTHS {
        let mut window = window(len);
        // Even numbers only: the odd ones stay new until they leave.
        for seq in (0..20_000_u64).step_by(2) {
            window.commit(seq).unwrap();
            if seq >= len as u64 {
                let lowest = seq + 1 - len as u64;
                assert_eq!(lowest % 2, 1);
                assert_eq!(window.check(lowest), Ok(()));
                assert_eq!(window.check(lowest - 1), Err(Replayed));
            }
        }
    }
}

#[test]
fn far_jumps_keep_nothing_and_near_jumps_keep_the_rest() {
    for len in LENGTHS {
        for jump in [
            1,
            63,
            64,
            65,
            len as u64 - 1,
            len as u64,
            len as u64 + 1,
            4095,
            4096,
            4097,
            8192,
            1 << 40,
        ] {
            let mut window = window(len);
            for seq in 0..5000 {
                window.commit(seq).unwrap();
            }
            let highest = 4999 + jump;
            window.commit(highest).unwrap();
            for seq in highest.saturating_sub(2 * len as u64)..=highest {
                let inside = highest - seq < len as u64;
                let fresh = inside && seq > 4999 && seq < highest;
                assert_eq!(window.check(seq).is_ok(), fresh, "len {len} jump {jump} seq {seq}");
            }
        }
    }
}

#[test]
fn the_last_number_is_the_last() {
    let mut window = window(64);
    assert_eq!(window.commit(MAX_SEQ + 1), Err(Replayed));
    assert_eq!(window.commit(u64::MAX), Err(Replayed));
    assert_eq!(window.commit(MAX_SEQ), Ok(()));
    assert_eq!(window.commit(MAX_SEQ), Err(Replayed));
    assert_eq!(window.commit(MAX_SEQ + 1), Err(Replayed));
    assert_eq!(window.commit(MAX_SEQ - 63), Ok(()));
    assert_eq!(window.commit(MAX_SEQ - 64), Err(Replayed));
}

#[test]
fn a_start_takes_all_before_it_as_seen_and_goes_forward_only() {
    for len in LENGTHS {
        for start in [1, 63, 64, 65, 4096, 10_000, MAX_SEQ] {
            let mut window = window(len);
            window.start_at(start);
            for seq in start.saturating_sub(5000)..start {
                assert_eq!(window.check(seq), Err(Replayed));
            }
            window.start_at(start - 1);
            assert_eq!(window.next(), start);
            assert_eq!(window.commit(start), Ok(()));
            if start + 2 <= MAX_SEQ {
                assert_eq!(window.commit(start + 2), Ok(()));
                assert_eq!(window.commit(start + 1), Ok(()));
                assert_eq!(window.commit(start - 1), Err(Replayed));
            }
        }
        let mut window = window(len);
        window.start_at(u64::MAX);
        assert_eq!(window.next(), MAX_SEQ + 1);
        assert_eq!(window.commit(MAX_SEQ), Err(Replayed));
    }
}

#[test]
fn a_start_where_the_window_is_already_forgets_nothing_and_adds_nothing() {
    let mut window = window(64);
    window.commit(10).unwrap();
    window.start_at(11);
    assert_eq!(window.commit(9), Ok(()), "a late record is still new");
    assert_eq!(window.commit(10), Err(Replayed));
}

#[test]
fn it_agrees_with_a_model_that_remembers_everything() {
    for (len, seed) in LENGTHS.into_iter().zip(1..) {
        let mut random = Random(seed);
        let mut window = window(len);
        let mut seen = HashSet::new();
        let mut next = 0_u64;
        let (mut taken, mut refused) = (0, 0);
        for _ in 0..200_000 {
            let seq = match random.below(100) {
                0 => next + random.below(10_000),
                1..30 => next + random.below(4),
                _ => next.saturating_sub(random.below(len as u64 * 5 / 4)),
            };
            let fresh = seq >= next || (next - seq <= len as u64 && !seen.contains(&seq));
            assert_eq!(window.check(seq).is_ok(), fresh);
            assert_eq!(window.commit(seq).is_ok(), fresh, "len {len} next {next} seq {seq}");
            if fresh {
                seen.insert(seq);
                next = next.max(seq + 1);
                taken += 1;
            } else {
                refused += 1;
            }
            assert_eq!(window.next(), next);
        }
        assert!(taken > 20_000 && refused > 20_000, "{taken} {refused}");
    }
}
