//! Keys, states and records that the tests share.

use sealnic_dtls::{
    CipherSuite, ConnectionId, KeyMaterial, Limits, OpenError, Opened, ReadState, RecordConfig, Version, WriteState,
};
use serde_json::Value;

pub(crate) const APPLICATION_DATA: u8 = 23;

/// The form of record and the cipher of one test run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) version: Version,
    pub(crate) suite: CipherSuite,
    pub(crate) cid_len: usize,
}

/// Both versions, both ciphers, without and with a connection id, of the longest and shortest kind too.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for version in [Version::Dtls12, Version::Dtls13] {
        for suite in [CipherSuite::Aes128Gcm, CipherSuite::Aes256Gcm] {
            for cid_len in [0, 1, 8, 20] {
                cases.push(Case {
                    version,
                    suite,
                    cid_len,
                });
            }
        }
    }
    cases
}

/// DTLS 1.3 with AES-128 and a connection id of 8 octets.
pub(crate) const DTLS13: Case = Case {
    version: Version::Dtls13,
    suite: CipherSuite::Aes128Gcm,
    cid_len: 8,
};

/// DTLS 1.2 with AES-128 and no connection id.
pub(crate) const DTLS12: Case = Case {
    version: Version::Dtls12,
    suite: CipherSuite::Aes128Gcm,
    cid_len: 0,
};

impl Case {
    pub(crate) fn config(self) -> RecordConfig {
        let cid: Vec<u8> = (0..self.cid_len as u8).map(|at| 0xc0 ^ at).collect();
        RecordConfig {
            version: self.version,
            suite: self.suite,
            cid: ConnectionId::try_from(&cid[..]).unwrap(),
            epoch: 3,
        }
    }

    pub(crate) fn limits(self) -> Limits {
        Limits::default_for(self.version)
    }

    pub(crate) fn writer(self) -> WriteState {
        WriteState::new(&keys(), self.config(), 0, self.limits()).unwrap()
    }

    pub(crate) fn reader(self) -> ReadState {
        ReadState::new(&keys(), self.config(), 64, self.limits()).unwrap()
    }
}

/// One fixed set of keys.
pub(crate) fn keys() -> KeyMaterial {
    KeyMaterial {
        key: core::array::from_fn(|at| 0x11 + at as u8),
        iv: core::array::from_fn(|at| 0xa0 + at as u8),
        sn_key: core::array::from_fn(|at| 0x71 + at as u8),
    }
}

/// Seals `plaintext` as the next record.
pub(crate) fn seal(writer: &mut WriteState, content_type: u8, plaintext: &[u8]) -> Vec<u8> {
    let mut record = room(writer, plaintext);
    writer.seal(content_type, &mut record).unwrap();
    record
}

/// A buffer for a record, with the plaintext in its place.
pub(crate) fn room(writer: &WriteState, plaintext: &[u8]) -> Vec<u8> {
    let mut record = vec![0xee; writer.header_len()];
    record.extend_from_slice(plaintext);
    record.resize(record.len() + writer.trailer_len(), 0xee);
    record
}

/// Opens a copy of `record` and returns what was found with the plaintext. After a failure the copy must be all zero.
pub(crate) fn open(reader: &mut ReadState, now_ns: u64, record: &[u8]) -> Result<(Opened, Vec<u8>), OpenError> {
    let mut record = record.to_vec();
    match reader.open(now_ns, &mut record) {
        Ok(opened) => {
            let plaintext = record[opened.plaintext.clone()].to_vec();
            Ok((opened, plaintext))
        }
        Err(error) => {
            assert!(
                record.iter().all(|&octet| octet == 0),
                "buffer not wiped after {error:?}"
            );
            Err(error)
        }
    }
}

/// Opens and commits; the number, or `None` when either refused.
pub(crate) fn receive(reader: &mut ReadState, now_ns: u64, record: &[u8]) -> Option<u64> {
    let (opened, _) = open(reader, now_ns, record).ok()?;
    reader.commit(opened.seq).ok()?;
    Some(opened.seq)
}

/// `len` octets that are not all alike.
pub(crate) fn text(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 + at / 256 + 1) as u8).collect()
}

/// Random numbers that are the same in every run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(crate) fn octets(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}

/// One of the files in `tests/vectors`.
pub(crate) fn vector_file(name: &str) -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors/").to_owned() + name;
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// A string of hex digits as octets.
pub(crate) fn hex(value: &Value) -> Vec<u8> {
    let digits = value.as_str().unwrap();
    assert_eq!(digits.len() % 2, 0);
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
        .collect()
}

/// Octets at the start of a larger array of zeros.
pub(crate) fn padded<const N: usize>(octets: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    array[..octets.len()].copy_from_slice(octets);
    array
}

/// The suite that has keys of this length.
pub(crate) fn suite_of(key: &[u8]) -> CipherSuite {
    match key.len() {
        16 => CipherSuite::Aes128Gcm,
        32 => CipherSuite::Aes256Gcm,
        other => panic!("no suite has keys of {other} octets"),
    }
}
