//! Truncated, changed, forged and replayed records.

use crate::fixture::{APPLICATION_DATA, DTLS12, Random, cases, open, receive, seal, text};
use sealnic_dtls::{OpenError, Version};

#[test]
fn every_truncation_fails_and_leaves_zeros() {
    for case in cases() {
        let record = seal(&mut case.writer(), APPLICATION_DATA, &text(40));
        let mut reader = case.reader();
        for len in 0..record.len() {
            let error = open(&mut reader, 0, &record[..len]).unwrap_err();
            assert!(
                matches!(error, OpenError::Malformed | OpenError::Auth),
                "{case:?} {len} {error:?}"
            );
        }
        let longer = [&record[..], &[0]].concat();
        assert!(open(&mut reader, 0, &longer).is_err());
        assert_eq!(receive(&mut reader, 0, &record), Some(0));
    }
}

#[test]
fn every_single_changed_bit_fails_and_leaves_zeros() {
    for case in cases() {
        let record = seal(&mut case.writer(), APPLICATION_DATA, &text(20));
        let mut reader = case.reader();
        for bit in 0..record.len() * 8 {
            let mut changed = record.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&mut reader, 0, &changed).is_err(), "{case:?} bit {bit}");
        }
        assert!(reader.window().is_empty());
        assert_eq!(reader.opened(), 0);
        assert_eq!(receive(&mut reader, 0, &record), Some(0));
    }
}

#[test]
fn any_octets_are_refused_without_harm() {
    let mut random = Random(1);
    for case in cases() {
        let mut reader = case.reader();
        let good = seal(&mut case.writer(), APPLICATION_DATA, &text(20));
        for round in 0..2000 {
            let len = random.below(120) as usize;
            let mut record = random.octets(len);
            // Half of them with a header that is in order, so that they get to the cipher.
            if round % 2 == 0 {
                let head = good
                    .len()
                    .min(len)
                    .min(if case.version == Version::Dtls12 { 11 } else { 1 } + case.cid_len);
                record[..head].copy_from_slice(&good[..head]);
            }
            assert!(open(&mut reader, round, &record).is_err());
        }
        assert_eq!(receive(&mut reader, 3000, &good), Some(0));
    }
}

#[test]
fn a_forgery_is_counted_and_does_not_move_the_window() {
    for case in cases() {
        let (mut writer, mut reader) = (case.writer(), case.reader());
        let records: Vec<_> = (0..10)
            .map(|_| seal(&mut writer, APPLICATION_DATA, &text(32)))
            .collect();
        assert_eq!(receive(&mut reader, 0, &records[0]), Some(0));
        writer.set_next_seq(20_000);
        let mut forged = seal(&mut writer, APPLICATION_DATA, &text(32));
        *forged.last_mut().unwrap() ^= 0x80;
        for count in 1..=100 {
            assert_eq!(open(&mut reader, 0, &forged), Err(OpenError::Auth));
            assert_eq!(reader.auth_failures(), count);
            assert_eq!(reader.window().next(), 1);
        }
        for (seq, record) in (1..).zip(&records[1..]) {
            assert_eq!(receive(&mut reader, 0, record), Some(seq));
        }
    }
}

#[test]
fn opening_alone_does_not_move_the_window() {
    for case in cases() {
        let (mut writer, mut reader) = (case.writer(), case.reader());
        let record = seal(&mut writer, APPLICATION_DATA, &text(32));
        for _ in 0..3 {
            open(&mut reader, 0, &record).unwrap();
        }
        assert!(reader.window().is_empty());
        assert_eq!((reader.opened(), reader.committed(), reader.replayed()), (3, 0, 0));
    }
}

#[test]
fn two_copies_in_flight_are_committed_once() {
    for case in cases() {
        let (mut writer, mut reader) = (case.writer(), case.reader());
        let record = seal(&mut writer, APPLICATION_DATA, &text(32));
        let (first, _) = open(&mut reader, 0, &record).unwrap();
        let (second, _) = open(&mut reader, 0, &record).unwrap();
        assert!(reader.commit(first.seq).is_ok());
        assert!(reader.commit(second.seq).is_err());
        assert_eq!((reader.committed(), reader.replayed()), (1, 1));
    }
}

#[test]
fn dtls12_refuses_a_replay_before_the_cipher_and_dtls13_after_it() {
    for case in cases() {
        let (mut writer, mut reader) = (case.writer(), case.reader());
        let record = seal(&mut writer, APPLICATION_DATA, &text(32));
        assert_eq!(receive(&mut reader, 0, &record), Some(0));
        match case.version {
            Version::Dtls12 => assert_eq!(open(&mut reader, 0, &record), Err(OpenError::Replayed)),
            Version::Dtls13 => {
                let (opened, _) = open(&mut reader, 0, &record).unwrap();
                assert!(reader.commit(opened.seq).is_err());
            }
        }
        assert_eq!((reader.replayed(), reader.auth_failures()), (1, 0));
    }
}

#[test]
fn after_a_hand_over_earlier_records_are_replays() {
    for case in cases() {
        let (mut writer, mut reader) = (case.writer(), case.reader());
        let before: Vec<_> = (0..5).map(|_| seal(&mut writer, APPLICATION_DATA, &text(8))).collect();
        let next = seal(&mut writer, APPLICATION_DATA, &text(8));
        reader.start_at(5);
        for record in &before {
            assert_eq!(receive(&mut reader, 0, record), None);
        }
        assert_eq!(receive(&mut reader, 0, &next), Some(5));
    }
}

#[test]
fn lengths_in_the_header_must_fit_the_buffer() {
    let record = seal(&mut DTLS12.writer(), APPLICATION_DATA, &text(40));
    for wrong in [0_u16, 1, 8, 24, 63, 65, 0xffff] {
        let mut changed = record.clone();
        changed[11..13].copy_from_slice(&wrong.to_be_bytes());
        assert_eq!(
            open(&mut DTLS12.reader(), 0, &changed),
            Err(OpenError::Malformed),
            "{wrong}"
        );
    }
}

#[test]
fn records_longer_than_the_rfcs_allow_are_refused() {
    for case in cases() {
        let head = seal(&mut case.writer(), APPLICATION_DATA, &[]);
        for extra in [(1 << 14) + 3000, 60_000, 70_000] {
            let mut record = head.clone();
            record.resize(head.len() + extra, 1);
            if case.version == Version::Dtls12 {
                let at = 11 + case.cid_len;
                let length = (record.len() - at - 2) as u16;
                record[at..at + 2].copy_from_slice(&length.to_be_bytes());
            }
            let mut reader = case.reader();
            assert_eq!(open(&mut reader, 0, &record), Err(OpenError::Malformed));
            assert_eq!(reader.auth_failures(), 0);
        }
    }
}
