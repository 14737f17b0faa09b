//! What is sealed opens, in every form.

use crate::fixture::{APPLICATION_DATA, Case, DTLS12, DTLS13, cases, keys, open, padded, room, seal, text};
use crate::vectors_records::record_number_mask;
use sealnic_dtls::hazmat::seal_raw;
use sealnic_dtls::{
    CipherSuite, ConnectionId, KeyError, MAX_PLAINTEXT_LEN, MAX_SEQ, OpenError, ReadState, RecordConfig, SealError,
    Version, WriteState,
};

#[test]
fn every_length_around_the_block_and_batch_sizes_comes_back_in_every_form() {
    let lengths =
        (0..=80)
            .chain((1000..1060).step_by(3))
            .chain([1454, 1522, 2047, 2048, 2049, 9014, MAX_PLAINTEXT_LEN]);
    for len in lengths {
        for case in cases() {
            let (mut writer, mut reader) = (case.writer(), case.reader());
            let record = seal(&mut writer, APPLICATION_DATA, &text(len));
            assert_eq!(record.len(), writer.header_len() + len + writer.trailer_len());
            let (opened, plaintext) = open(&mut reader, 0, &record).unwrap();
            assert_eq!(plaintext, text(len), "{case:?} {len}");
            assert_eq!(opened.plaintext.start, writer.header_len());
            assert_eq!((opened.content_type, opened.seq), (APPLICATION_DATA, 0));
            reader.commit(0).unwrap();
        }
    }
}

#[test]
fn overhead_is_that_of_the_rfcs() {
    let overhead = |version, cid_len| {
        let writer = Case {
            version,
            suite: CipherSuite::Aes128Gcm,
            cid_len,
        }
        .writer();
        (writer.header_len(), writer.trailer_len())
    };
    assert_eq!(overhead(Version::Dtls12, 0), (21, 16));
    assert_eq!(overhead(Version::Dtls12, 8), (29, 17));
    assert_eq!(overhead(Version::Dtls13, 0), (3, 17));
    assert_eq!(overhead(Version::Dtls13, 8), (11, 17));
}

#[test]
fn every_content_type_comes_back_and_impossible_ones_are_refused() {
    for case in cases() {
        let (mut writer, mut reader) = (case.writer(), case.reader());
        for content_type in 0..=255 {
            let mut record = room(&writer, b"x");
            let untouched = record.clone();
            match writer.seal(content_type, &mut record) {
                Ok(_) => {
                    assert!((20..32).contains(&content_type) && content_type != 25);
                    let (opened, _) = open(&mut reader, 0, &record).unwrap();
                    assert_eq!(opened.content_type, content_type);
                }
                Err(error) => {
                    assert_eq!(error, SealError::BadContentType);
                    assert!(!(20..32).contains(&content_type) || content_type == 25);
                    assert_eq!(record, untouched);
                }
            }
        }
        assert_eq!(writer.next_seq(), 11);
    }
}

#[test]
fn numbers_count_up_and_come_back_across_the_sixteen_bit_wrap() {
    for case in [DTLS12, DTLS13] {
        let (mut writer, mut reader) = (case.writer(), case.reader());
        for seq in 0..70_000 {
            let record = seal(&mut writer, APPLICATION_DATA, b"0123");
            let (opened, _) = open(&mut reader, 0, &record).unwrap();
            assert_eq!(opened.seq, seq);
            reader.commit(seq).unwrap();
        }
        assert_eq!((reader.opened(), reader.committed()), (70_000, 70_000));
        assert_eq!((reader.replayed(), reader.auth_failures()), (0, 0));
    }
}

#[test]
fn the_same_plaintext_never_gives_the_same_octets() {
    for case in cases() {
        let mut writer = case.writer();
        let first = seal(&mut writer, APPLICATION_DATA, &text(64));
        let second = seal(&mut writer, APPLICATION_DATA, &text(64));
        let payload_at = writer.header_len();
        assert_ne!(first[payload_at..], second[payload_at..]);
    }
}

#[test]
fn a_jump_ahead_of_less_than_half_the_number_space_is_followed() {
    for jump in [1, 100, 32_000, 32_767, 32_768] {
        let (mut writer, mut reader) = (DTLS13.writer(), DTLS13.reader());
        let first = seal(&mut writer, APPLICATION_DATA, b"first");
        open(&mut reader, 0, &first).unwrap();
        reader.commit(0).unwrap();
        writer.set_next_seq(1 + jump);
        let record = seal(&mut writer, APPLICATION_DATA, b"later");
        let (opened, _) = open(&mut reader, 0, &record).unwrap();
        assert_eq!(opened.seq, 1 + jump);
    }
}

#[test]
fn the_closest_number_is_taken_up_to_the_very_last() {
    for start in [0, 40_000, 65_536, 1 << 32, MAX_SEQ - 40_000, MAX_SEQ] {
        let (mut writer, mut reader) = (DTLS13.writer(), DTLS13.reader());
        reader.start_at(start);
        for seq in [start, start.saturating_sub(20), start + 30]
            .into_iter()
            .filter(|&seq| seq <= MAX_SEQ)
        {
            writer.set_next_seq(seq);
            let record = seal(&mut writer, APPLICATION_DATA, b"near");
            let (opened, _) = open(&mut reader, 0, &record).unwrap();
            assert_eq!(opened.seq, seq, "from {start}");
        }
    }
}

/// A DTLS 1.3 record as another sender could make it: 8 or 16 bits of number, with or without length, with padding.
fn foreign_dtls13(case: Case, seq: u64, short_number: bool, with_length: bool, inner: &[u8]) -> Vec<u8> {
    let config = case.config();
    let keys = keys();
    let mut header = vec![0x20 | (config.epoch as u8 & 3)];
    header[0] |= if config.cid.is_empty() { 0 } else { 0x10 };
    header[0] |= if short_number { 0 } else { 0x08 };
    header[0] |= if with_length { 0x04 } else { 0 };
    header.extend_from_slice(config.cid.as_slice());
    let number_at = header.len();
    let number = seq.to_be_bytes();
    header.extend_from_slice(if short_number { &number[7..] } else { &number[6..] });
    let number_end = header.len();
    if with_length {
        header.extend_from_slice(&((inner.len() + 16) as u16).to_be_bytes());
    }
    let mut nonce = keys.iv;
    for (octet, seq) in nonce[4..].iter_mut().zip(number) {
        *octet ^= seq;
    }
    let mut data = inner.to_vec();
    let tag = seal_raw(&keys.key[..config.suite.key_len()], &nonce, &header, &mut data).unwrap();
    data.extend_from_slice(&tag);
    let mask = record_number_mask(config.suite, &keys.sn_key[..config.suite.key_len()], &data);
    for (octet, mask) in header[number_at..number_end].iter_mut().zip(mask) {
        *octet ^= mask;
    }
    [header, data].concat()
}

#[test]
fn all_four_forms_of_the_unified_header_open() {
    for case in cases().into_iter().filter(|case| case.version == Version::Dtls13) {
        for (short_number, with_length) in [(false, false), (false, true), (true, false), (true, true)] {
            let mut reader = case.reader();
            for seq in [0, 1, 100, 200, 300, 299] {
                let inner = [&text(50)[..], &[APPLICATION_DATA]].concat();
                let record = foreign_dtls13(case, seq, short_number, with_length, &inner);
                let (opened, plaintext) = open(&mut reader, 0, &record).unwrap();
                assert_eq!((opened.seq, plaintext), (seq, text(50)));
                reader.commit(seq).unwrap();
            }
        }
    }
}

#[test]
fn our_own_form_is_the_one_without_length() {
    let record = seal(&mut DTLS13.writer(), APPLICATION_DATA, &text(30));
    let inner = [&text(30)[..], &[APPLICATION_DATA]].concat();
    assert_eq!(record, foreign_dtls13(DTLS13, 0, false, false, &inner));
}

#[test]
fn what_follows_a_record_with_length_is_refused() {
    let mut record = foreign_dtls13(DTLS13, 0, false, true, &[1, 2, APPLICATION_DATA]);
    record.push(0);
    assert_eq!(open(&mut DTLS13.reader(), 0, &record), Err(OpenError::Malformed));
}

#[test]
fn the_longest_ciphertext_opens_and_one_octet_more_does_not() {
    let mut inner = vec![0; MAX_PLAINTEXT_LEN + 256 - 16];
    inner[0] = APPLICATION_DATA;
    let record = foreign_dtls13(DTLS13, 0, false, false, &inner);
    assert!(open(&mut DTLS13.reader(), 0, &record).is_ok());
    inner.push(0);
    let record = foreign_dtls13(DTLS13, 0, false, false, &inner);
    assert_eq!(open(&mut DTLS13.reader(), 0, &record), Err(OpenError::Malformed));
}

#[test]
fn a_dtls13_record_without_room_for_a_content_type_is_malformed() {
    let record = foreign_dtls13(DTLS13, 0, false, false, &[]);
    let mut reader = DTLS13.reader();
    assert_eq!(open(&mut reader, 0, &record), Err(OpenError::Malformed));
    assert_eq!(reader.auth_failures(), 0);
}

#[test]
fn padding_is_taken_off_and_nothing_but_padding_is_refused() {
    for padding in [0, 1, 15, 16, 17, 255] {
        let mut inner = [b"text", &[22][..]].concat();
        inner.resize(inner.len() + padding, 0);
        let record = foreign_dtls13(DTLS13, 5, false, false, &inner);
        let (opened, plaintext) = open(&mut DTLS13.reader(), 0, &record).unwrap();
        assert_eq!((opened.content_type, &plaintext[..]), (22, &b"text"[..]));

        let record = foreign_dtls13(DTLS13, 5, false, false, &vec![0; padding + 1]);
        let mut reader = DTLS13.reader();
        assert_eq!(open(&mut reader, 0, &record), Err(OpenError::NoContentType));
        assert_eq!(reader.auth_failures(), 0);
    }
}

#[test]
fn buffers_that_fit_no_record_are_refused_and_cost_no_number() {
    for case in cases() {
        let mut writer = case.writer();
        let shortest = writer.header_len() + writer.trailer_len();
        for len in (0..shortest).chain([shortest + MAX_PLAINTEXT_LEN + 1, 1 << 17]) {
            let mut record = vec![0xee; len];
            assert_eq!(writer.seal(APPLICATION_DATA, &mut record), Err(SealError::BadLength));
            assert!(record.iter().all(|&octet| octet == 0xee));
        }
        assert_eq!((writer.next_seq(), writer.packets(), writer.bytes()), (0, 0, 0));
    }
}

#[test]
fn epochs_numbers_and_windows_out_of_range_are_refused() {
    for case in [DTLS12, DTLS13] {
        let write = |epoch, first_seq| {
            let config = RecordConfig { epoch, ..case.config() };
            WriteState::new(&keys(), config, first_seq, case.limits()).err()
        };
        let read = |epoch, window_len| {
            let config = RecordConfig { epoch, ..case.config() };
            ReadState::new(&keys(), config, window_len, case.limits()).err()
        };
        let highest = if case.version == Version::Dtls12 {
            0xffff
        } else {
            (1 << 48) - 1
        };
        assert_eq!(
            (write(0, 0), read(0, 64)),
            (Some(KeyError::Epoch), Some(KeyError::Epoch))
        );
        assert_eq!(write(highest, MAX_SEQ), None);
        assert_eq!(write(highest + 1, 0), Some(KeyError::Epoch));
        assert_eq!(read(highest, 4096), None);
        assert_eq!(read(highest + 1, 4096), Some(KeyError::Epoch));
        assert_eq!(write(1, MAX_SEQ + 1), Some(KeyError::Sequence));
        for window_len in [0, 1, 63, 65, 100, 4097, 4160, 1 << 20] {
            assert_eq!(read(1, window_len), Some(KeyError::WindowLen));
        }
    }
}

#[test]
fn a_key_opens_nothing_of_another_direction_or_epoch() {
    for case in cases() {
        let record = seal(&mut case.writer(), APPLICATION_DATA, &text(40));
        let config = case.config();
        let other_epoch = RecordConfig { epoch: 4, ..config };
        let mut reader = ReadState::new(&keys(), other_epoch, 64, case.limits()).unwrap();
        assert_eq!(open(&mut reader, 0, &record), Err(OpenError::NotThisEpoch));

        // Same two bits on the wire in DTLS 1.3, so only keys tell the epochs apart.
        let mut other_keys = keys();
        other_keys.key[0] ^= 1;
        let mut reader = ReadState::new(&other_keys, config, 64, case.limits()).unwrap();
        assert_eq!(open(&mut reader, 0, &record), Err(OpenError::Auth));

        if case.cid_len > 0 {
            let mut octets = config.cid.as_slice().to_vec();
            octets[0] ^= 0x80;
            let cid = ConnectionId::try_from(&octets[..]).unwrap();
            let mut reader = ReadState::new(&keys(), RecordConfig { cid, ..config }, 64, case.limits()).unwrap();
            assert_eq!(open(&mut reader, 0, &record), Err(OpenError::NotThisConnection));
        }
    }
}

#[test]
fn records_without_the_agreed_connection_id_are_refused_and_the_reverse() {
    for version in [Version::Dtls12, Version::Dtls13] {
        let suite = CipherSuite::Aes256Gcm;
        let plain = Case {
            version,
            suite,
            cid_len: 0,
        };
        let with_cid = Case {
            version,
            suite,
            cid_len: 8,
        };
        let error = match version {
            Version::Dtls12 => OpenError::Unsupported,
            Version::Dtls13 => OpenError::NotThisConnection,
        };
        let record = seal(&mut plain.writer(), APPLICATION_DATA, &text(40));
        assert_eq!(open(&mut with_cid.reader(), 0, &record), Err(error));
        let record = seal(&mut with_cid.writer(), APPLICATION_DATA, &text(40));
        assert_eq!(open(&mut plain.reader(), 0, &record), Err(error));
    }
}

#[test]
fn a_record_of_the_other_version_is_refused() {
    for cid_len in [0, 8] {
        let old = Case { cid_len, ..DTLS12 };
        let new = Case { cid_len, ..DTLS13 };
        let record = seal(&mut old.writer(), APPLICATION_DATA, &text(40));
        assert_eq!(open(&mut new.reader(), 0, &record), Err(OpenError::Unsupported));
        let record = seal(&mut new.writer(), APPLICATION_DATA, &text(40));
        assert_eq!(open(&mut old.reader(), 0, &record), Err(OpenError::Unsupported));
        let mut record = seal(&mut old.writer(), APPLICATION_DATA, &text(40));
        record[2] = 0xff;
        assert_eq!(
            open(&mut old.reader(), 0, &record),
            Err(OpenError::Unsupported),
            "DTLS 1.0"
        );
    }
}

#[test]
fn dtls12_takes_the_explicit_nonce_from_the_wire() {
    let keys = keys();
    let explicit = *b"anything";
    let mut nonce: [u8; 12] = padded(&keys.iv[..4]);
    nonce[4..].copy_from_slice(&explicit);
    let head = [23, 0xfe, 0xfd, 0, 3, 0, 0, 0, 0, 0, 9];
    let mut aad = head[3..].to_vec();
    aad.extend_from_slice(&[23, 0xfe, 0xfd, 0, 5]);
    let mut data = *b"hello";
    let tag = seal_raw(&keys.key[..16], &nonce, &aad, &mut data).unwrap();
    let record = [&head[..], &[0, 8 + 5 + 16], &explicit, &data, &tag].concat();
    let (opened, plaintext) = open(&mut DTLS12.reader(), 0, &record).unwrap();
    assert_eq!((opened.seq, &plaintext[..]), (9, &b"hello"[..]));
}
