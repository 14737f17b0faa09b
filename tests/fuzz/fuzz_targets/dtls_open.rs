//! Opening of any octets, and of damaged good records, in every record form: nothing but the undamaged record opens, a failed
//! buffer is all zero, and no failure moves the replay window.
#![no_main]

use std::hash::{DefaultHasher, Hash, Hasher};

use libfuzzer_sys::fuzz_target;
use sealnic_dtls::{CipherSuite, ConnectionId, KeyMaterial, Limits, ReadState, RecordConfig, Version, WriteState};

const APPLICATION_DATA: u8 = 23;

/// The form of the records, from one octet: version, cipher, length of the connection id.
fn config(selector: u8) -> RecordConfig {
    let cid_len = [0, 1, 8, 20][usize::from(selector >> 2 & 3)];
    RecordConfig {
        version: if selector & 1 == 0 {
            Version::Dtls12
        } else {
            Version::Dtls13
        },
        suite: if selector & 2 == 0 {
            CipherSuite::Aes128Gcm
        } else {
            CipherSuite::Aes256Gcm
        },
        cid: ConnectionId::try_from(&[0xc1; 20][..cid_len]).unwrap_or_default(),
        epoch: 3,
    }
}

/// Keys that differ for every input: a fuzzer sees the operands of comparisons, the right tag among them, and would otherwise
/// carry good records over from one input into the next.
fn keys(input: &[u8]) -> KeyMaterial {
    let mut hasher = DefaultHasher::new();
    input.hash(&mut hasher);
    let seed = hasher.finish().to_le_bytes();
    KeyMaterial {
        key: core::array::from_fn(|at| seed[at % 8]),
        iv: [2; 12],
        sn_key: core::array::from_fn(|at| !seed[at % 8]),
    }
}

/// Opens a record that differs from every record that was sealed.
fn refused(reader: &mut ReadState, now_ns: u64, mut record: Vec<u8>) {
    let next = reader.window().next();
    assert!(reader.open(now_ns, &mut record).is_err(), "a forgery was opened");
    assert!(record.iter().all(|&octet| octet == 0), "the buffer was not wiped");
    assert_eq!(reader.window().next(), next);
}

fuzz_target!(|data: &[u8]| {
    let [selector, plaintext_len, pause, damage @ ..] = data else {
        return;
    };
    let config = config(*selector);
    let limits = Limits::default_for(config.version);
    let (Ok(mut writer), Ok(mut reader)) = (
        WriteState::new(&keys(data), config, 0, limits),
        ReadState::new(&keys(data), config, 64, limits),
    ) else {
        panic!("a good configuration was refused");
    };
    // The search for numbers further ahead begins after failures and time.
    let mut now_ns = 0;
    for piece in damage.chunks(64) {
        now_ns += u64::from(*pause) << 20;
        refused(&mut reader, now_ns, piece.to_vec());
    }

    let mut good = vec![0x55; writer.header_len() + usize::from(*plaintext_len) + writer.trailer_len()];
    assert!(writer.seal(APPLICATION_DATA, &mut good).is_ok());
    let mut damaged = good.clone();
    damaged.resize(damaged.len().max(damage.len()), 0);
    for (octet, damage) in damaged.iter_mut().zip(damage) {
        *octet ^= damage;
    }
    if damaged != good {
        refused(&mut reader, now_ns, damaged);
    }
    let opened = reader
        .open(now_ns, &mut good)
        .expect("the good record opens after any failures");
    assert_eq!((opened.seq, opened.content_type), (0, APPLICATION_DATA));
    assert!(good[opened.plaintext].iter().all(|&octet| octet == 0x55));
    assert!(reader.commit(0).is_ok() && reader.commit(0).is_err());
});
