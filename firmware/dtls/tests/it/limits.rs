//! Usage limits, the integrity limit, and the end of the numbers.

use crate::fixture::{APPLICATION_DATA, DTLS12, DTLS13, cases, keys, open, receive, room, seal, text};
use sealnic_dtls::limits::charge;
use sealnic_dtls::{Limits, MAX_SEQ, OpenError, ReadState, SealError, WriteState};

const OPEN_END: Limits = Limits {
    soft_packets: u64::MAX,
    hard_packets: u64::MAX,
    soft_bytes: u64::MAX,
    hard_bytes: u64::MAX,
    soft_failures: u64::MAX,
    hard_failures: u64::MAX,
};

#[test]
fn the_hard_packet_limit_allows_exactly_so_many_records() {
    for case in cases() {
        let limits = Limits {
            soft_packets: 3,
            hard_packets: 5,
            ..OPEN_END
        };
        let mut writer = WriteState::new(&keys(), case.config(), 7, limits).unwrap();
        for count in 1..=5 {
            let mut record = room(&writer, b"text");
            let sealed = writer.seal(APPLICATION_DATA, &mut record).unwrap();
            assert_eq!(sealed.seq, 6 + count);
            assert_eq!(sealed.soft_limit, count >= 3);
        }
        let mut record = room(&writer, b"text");
        let untouched = record.clone();
        assert_eq!(writer.seal(APPLICATION_DATA, &mut record), Err(SealError::HardLimit));
        assert_eq!(record, untouched, "nothing is written beyond the limit");
        assert_eq!((writer.packets(), writer.next_seq()), (5, 12));
    }
}

#[test]
fn the_hard_byte_limit_counts_blocks_and_one_more_per_record() {
    assert_eq!(charge(32), 48);
    let limits = Limits {
        soft_bytes: 60,
        hard_bytes: 96,
        ..OPEN_END
    };
    let mut writer = WriteState::new(&keys(), DTLS12.config(), 0, limits).unwrap();
    let soft = |writer: &mut WriteState, len| {
        let mut record = room(writer, &text(len));
        writer
            .seal(APPLICATION_DATA, &mut record)
            .map(|sealed| sealed.soft_limit)
    };
    assert_eq!(soft(&mut writer, 32), Ok(false));
    assert_eq!(
        soft(&mut writer, 33),
        Err(SealError::HardLimit),
        "one octet into another block"
    );
    assert_eq!(soft(&mut writer, 17), Ok(true));
    assert_eq!(writer.bytes(), 96);
    assert_eq!(soft(&mut writer, 0), Err(SealError::HardLimit));
    assert!(writer.soft_limit());
}

#[test]
fn the_inner_content_type_is_charged_too() {
    let mut writer = DTLS13.writer();
    seal(&mut writer, APPLICATION_DATA, &text(16));
    assert_eq!(writer.bytes(), charge(17));
}

#[test]
fn numbers_end_and_never_wrap() {
    for case in cases() {
        let mut writer = WriteState::new(&keys(), case.config(), MAX_SEQ - 1, OPEN_END).unwrap();
        let mut reader = ReadState::new(&keys(), case.config(), 64, OPEN_END).unwrap();
        reader.start_at(MAX_SEQ - 1);
        for seq in [MAX_SEQ - 1, MAX_SEQ] {
            let record = seal(&mut writer, APPLICATION_DATA, b"last");
            assert_eq!(receive(&mut reader, 0, &record), Some(seq));
        }
        for _ in 0..3 {
            let mut record = room(&writer, b"more");
            let untouched = record.clone();
            assert_eq!(
                writer.seal(APPLICATION_DATA, &mut record),
                Err(SealError::SequenceExhausted)
            );
            assert_eq!(record, untouched);
        }
    }
}

#[test]
fn at_the_integrity_limit_nothing_opens_any_more() {
    for case in cases() {
        let limits = Limits {
            soft_failures: 2,
            hard_failures: 4,
            ..OPEN_END
        };
        let mut reader = ReadState::new(&keys(), case.config(), 64, limits).unwrap();
        let mut writer = case.writer();
        for failures in 1..=4 {
            let good = seal(&mut writer, APPLICATION_DATA, b"good");
            assert!(!reader.is_dead());
            let (opened, _) = open(&mut reader, 0, &good).unwrap();
            reader.commit(opened.seq).unwrap();
            assert_eq!(opened.soft_limit, failures > 2);
            let mut forged = seal(&mut writer, APPLICATION_DATA, b"evil");
            *forged.last_mut().unwrap() ^= 1;
            assert_eq!(open(&mut reader, 0, &forged), Err(OpenError::Auth));
            assert_eq!(reader.soft_limit(), failures >= 2);
        }
        assert!(reader.is_dead());
        let good = seal(&mut writer, APPLICATION_DATA, b"good");
        assert_eq!(open(&mut reader, 0, &good), Err(OpenError::FailureLimit));
        assert_eq!(reader.auth_failures(), 4);
    }
}

#[test]
fn malformed_records_do_not_count_as_failures() {
    for case in cases() {
        let mut reader = case.reader();
        for len in 0..10 {
            assert!(open(&mut reader, 0, &vec![0x17; len]).is_err());
        }
        assert_eq!(reader.auth_failures(), 0);
    }
}

#[test]
fn the_reader_asks_for_a_new_key_after_so_many_new_records_and_replays_do_not_count() {
    let limits = Limits {
        soft_packets: 3,
        ..OPEN_END
    };
    let mut reader = ReadState::new(&keys(), DTLS13.config(), 64, limits).unwrap();
    let mut writer = DTLS13.writer();
    let first = seal(&mut writer, APPLICATION_DATA, b"text");
    assert_eq!(receive(&mut reader, 0, &first), Some(0));
    for _ in 0..10 {
        assert_eq!(receive(&mut reader, 0, &first), None);
    }
    assert!(!reader.soft_limit());
    for seq in 1..3 {
        let record = seal(&mut writer, APPLICATION_DATA, b"text");
        assert_eq!(receive(&mut reader, 0, &record), Some(seq));
    }
    assert!(reader.soft_limit());
}
