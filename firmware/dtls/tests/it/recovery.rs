//! DTLS 1.3 after losses longer than the number on the wire can tell.

use crate::fixture::{APPLICATION_DATA, DTLS12, DTLS13, Random, keys, open, receive, seal, text};
use sealnic_dtls::read_state::{RECOVERY_FAILURES, RECOVERY_QUIET_NS, RECOVERY_WRAPS};
use sealnic_dtls::{Limits, MAX_SEQ, OpenError, ReadState, WriteState};

const THRESHOLD: u64 = RECOVERY_FAILURES as u64;

/// Where the numbers begin: far enough up that there are numbers below to mistake a later one for.
const START: u64 = 100_000;

/// A pair of which the reader got ten records at time 0, and then none of `lost`.
fn after_losing(lost: u64) -> (WriteState, ReadState) {
    let (mut writer, mut reader) = (DTLS13.writer(), DTLS13.reader());
    writer.set_next_seq(START);
    reader.start_at(START);
    for seq in START..START + 10 {
        let record = seal(&mut writer, APPLICATION_DATA, &text(64));
        assert_eq!(receive(&mut reader, 0, &record), Some(seq));
    }
    writer.set_next_seq(START + 10 + lost);
    (writer, reader)
}

/// Sends records at `now_ns` until one is received, at most `most`; how many failed before it.
fn failing_before(writer: &mut WriteState, reader: &mut ReadState, now_ns: u64, most: u64) -> Option<u64> {
    (0..most).find(|_| {
        let seq = writer.next_seq();
        let record = seal(writer, APPLICATION_DATA, &text(64));
        match receive(reader, now_ns, &record) {
            Some(received) => {
                assert_eq!(received, seq, "received under another number than it was sent");
                true
            }
            None => false,
        }
    })
}

fn forged(random: &mut Random) -> Vec<u8> {
    let mut record = seal(&mut DTLS13.writer(), APPLICATION_DATA, &text(64));
    let payload_at = record.len() - 64 - 17;
    for octet in &mut record[payload_at - 2..] {
        *octet = random.next() as u8;
    }
    record
}

#[test]
fn forty_thousand_lost_records_are_survived() {
    let (mut writer, mut reader) = after_losing(40_000);
    let failing = failing_before(&mut writer, &mut reader, RECOVERY_QUIET_NS, 1000);
    // The 64th failure starts the search, and one wrap ahead is its first trial.
    assert_eq!(failing, Some(THRESHOLD - 1));
    assert_eq!(reader.auth_failures(), THRESHOLD);
    for _ in 0..1000 {
        assert_eq!(failing_before(&mut writer, &mut reader, RECOVERY_QUIET_NS, 1), Some(0));
    }
    assert_eq!(reader.auth_failures(), THRESHOLD, "no failure once found");
}

#[test]
fn a_recovered_record_is_still_a_replay_the_second_time() {
    let (mut writer, mut reader) = after_losing(40_000);
    failing_before(&mut writer, &mut reader, RECOVERY_QUIET_NS, 63);
    let record = seal(&mut writer, APPLICATION_DATA, &text(64));
    assert!(receive(&mut reader, RECOVERY_QUIET_NS, &record).is_some());
    assert_eq!(receive(&mut reader, RECOVERY_QUIET_NS, &record), None);
    assert_eq!(reader.replayed(), 1);
}

#[test]
fn losses_of_any_length_up_to_the_search_are_survived() {
    for wraps in [1, 2, 3, 10, 100, RECOVERY_WRAPS] {
        for lost in [wraps * 65_536 - 32_700, wraps * 65_536, wraps * 65_536 + 31_000] {
            let (mut writer, mut reader) = after_losing(lost);
            let failing = failing_before(&mut writer, &mut reader, RECOVERY_QUIET_NS, 2000);
            assert_eq!(failing, Some(THRESHOLD - 1 + wraps - 1), "{lost} lost");
        }
    }
}

#[test]
fn the_search_waits_for_failures_in_a_row_and_for_quiet_time() {
    let (mut writer, mut reader) = after_losing(40_000);
    // Failures alone, without the time.
    assert_eq!(
        failing_before(&mut writer, &mut reader, RECOVERY_QUIET_NS - 1, 500),
        None
    );
    assert_eq!(reader.auth_failures(), 500, "one trial per record");
    // Time alone, without the failures.
    let (mut writer, mut reader) = after_losing(40_000);
    assert_eq!(failing_before(&mut writer, &mut reader, u64::MAX, THRESHOLD - 1), None);
    assert_eq!(reader.auth_failures(), THRESHOLD - 1);
    assert_eq!(failing_before(&mut writer, &mut reader, u64::MAX, 1), Some(0));
}

#[test]
fn a_second_loss_is_searched_for_from_the_start_and_under_the_same_conditions() {
    let (mut writer, mut reader) = after_losing(3 * 65_536);
    let now_ns = RECOVERY_QUIET_NS;
    assert_eq!(
        failing_before(&mut writer, &mut reader, now_ns, 100),
        Some(THRESHOLD + 1)
    );
    writer.set_next_seq(writer.next_seq() + 40_000);
    // The quiet time begins again with the record that was found, and so do the failures in a row.
    assert_eq!(
        failing_before(&mut writer, &mut reader, now_ns + RECOVERY_QUIET_NS - 1, 200),
        None
    );
    assert_eq!(
        failing_before(&mut writer, &mut reader, now_ns + RECOVERY_QUIET_NS, 1),
        Some(0)
    );
    writer.set_next_seq(writer.next_seq() + 40_000);
    assert_eq!(
        failing_before(&mut writer, &mut reader, now_ns + 2 * RECOVERY_QUIET_NS, 100),
        Some(THRESHOLD - 1)
    );
}

#[test]
fn the_very_last_number_is_found_too() {
    let (mut writer, mut reader) = (DTLS13.writer(), DTLS13.reader());
    reader.start_at(MAX_SEQ - 40_000);
    writer.set_next_seq(MAX_SEQ);
    let record = seal(&mut writer, APPLICATION_DATA, &text(64));
    assert_eq!(receive(&mut reader, 0, &record), None);
    let received: Vec<_> = (1..THRESHOLD)
        .map(|_| receive(&mut reader, RECOVERY_QUIET_NS, &record))
        .collect();
    assert_eq!(received.iter().flatten().count(), 1);
    assert_eq!(received.last(), Some(&Some(MAX_SEQ)));
}

#[test]
fn time_that_goes_back_is_no_quiet_time() {
    let (mut writer, mut reader) = after_losing(0);
    let record = seal(&mut writer, APPLICATION_DATA, &text(64));
    assert_eq!(receive(&mut reader, 10 * RECOVERY_QUIET_NS, &record), Some(START + 10));
    writer.set_next_seq(START + 50_000);
    assert_eq!(failing_before(&mut writer, &mut reader, 0, 200), None);
    assert_eq!(reader.auth_failures(), 200);
}

#[test]
fn forged_records_alone_cannot_desynchronise() {
    let (mut writer, mut reader) = after_losing(0);
    let mut random = Random(7);
    let step_ns = RECOVERY_QUIET_NS / 100;
    for count in 0..10_000 {
        let record = forged(&mut random);
        assert_eq!(open(&mut reader, count * step_ns, &record), Err(OpenError::Auth));
        assert_eq!(reader.window().next(), START + 10);
    }
    // Each forgery costs one trial, and one more once the search has begun.
    assert_eq!(reader.auth_failures(), 100 + 9_900 * 2);
    // The honest sender is heard at once, at its own number.
    assert_eq!(failing_before(&mut writer, &mut reader, 10_000 * step_ns, 1), Some(0));
    let before = reader.auth_failures();
    assert_eq!(
        open(&mut reader, 10_000 * step_ns, &forged(&mut random)),
        Err(OpenError::Auth)
    );
    assert_eq!(reader.auth_failures(), before + 1, "an honest record ends the search");
}

#[test]
fn forgeries_between_honest_records_do_not_prevent_recovery() {
    for lost in [40_000, 200_000] {
        let (mut writer, mut reader) = after_losing(lost);
        let mut random = Random(lost);
        let found = (0..20_000).any(|_| {
            for _ in 0..random.below(4) {
                assert_eq!(
                    open(&mut reader, RECOVERY_QUIET_NS, &forged(&mut random)),
                    Err(OpenError::Auth)
                );
            }
            failing_before(&mut writer, &mut reader, RECOVERY_QUIET_NS, 1).is_some()
        });
        assert!(found, "{lost} lost");
    }
}

#[test]
fn replays_cannot_hold_the_search_off() {
    let (mut writer, mut reader) = (DTLS13.writer(), DTLS13.reader());
    writer.set_next_seq(START);
    reader.start_at(START);
    let old = seal(&mut writer, APPLICATION_DATA, &text(64));
    assert_eq!(receive(&mut reader, 0, &old), Some(START));
    writer.set_next_seq(START + 40_000);
    let found = (0..200).any(|round| {
        // Authentic, so it opens; but not new.
        assert!(open(&mut reader, RECOVERY_QUIET_NS + round, &old).is_ok());
        assert_eq!(receive(&mut reader, RECOVERY_QUIET_NS + round, &old), None);
        failing_before(&mut writer, &mut reader, RECOVERY_QUIET_NS + round, 1).is_some()
    });
    assert!(found);
}

#[test]
fn every_trial_counts_against_the_integrity_limit() {
    let limits = Limits {
        hard_failures: 100,
        ..DTLS13.limits()
    };
    let mut reader = ReadState::new(&keys(), DTLS13.config(), 64, limits).unwrap();
    let mut random = Random(3);
    let mut tried = 0;
    open(&mut reader, 0, &forged(&mut random)).unwrap_err();
    loop {
        tried += 1;
        if open(&mut reader, RECOVERY_QUIET_NS, &forged(&mut random)) == Err(OpenError::FailureLimit) {
            break;
        }
    }
    assert_eq!(reader.auth_failures(), 100, "never beyond the limit");
    // One failure for each of the first 63, two for each from then on; the last has no room for its second.
    assert_eq!(tried, 63 + 18 + 1);
}

#[test]
fn dtls12_shows_the_whole_number_and_needs_no_search() {
    let (mut writer, mut reader) = (DTLS12.writer(), DTLS12.reader());
    writer.set_next_seq(1 << 40);
    let record = seal(&mut writer, APPLICATION_DATA, &text(64));
    assert_eq!(receive(&mut reader, 0, &record), Some(1 << 40));
    for count in 1..200 {
        writer.set_next_seq((1 << 40) + count);
        let mut forged = seal(&mut writer, APPLICATION_DATA, &text(64));
        forged[30] ^= 1;
        assert_eq!(open(&mut reader, 10 * RECOVERY_QUIET_NS, &forged), Err(OpenError::Auth));
        assert_eq!(reader.auth_failures(), count);
    }
}
