//! What was on the wire, judged without any code of the project: every record's key and number. Only records of DTLS 1.2 show theirs.

use std::collections::{HashMap, HashSet};

/// A key, as it shows on the wire: the sender's address, the connection id (which hangs on the run, as the key does) and the epoch.
type KeyName = (Vec<u8>, Vec<u8>, u16);

/// Records of all frames taken so far.
#[derive(Default)]
pub(crate) struct Records {
    numbers: HashMap<KeyName, HashSet<u64>>,
    /// Pairs of key and number that were there before.
    pub(crate) twice: Vec<String>,
    /// Datagrams that are no record.
    pub(crate) clear: usize,
}

/// Content type of a DTLS 1.2 record with a connection id (RFC 9146 section 4).
const TLS12_CID: u8 = 25;
/// Where things are: Ethernet 14 octets, IPv4 20, UDP 8, then the record (RFC 9146 section 4).
const IPV4_SOURCE: usize = 14 + 12;
const RECORD: usize = 14 + 20 + 8;
const CID_LEN: usize = 8;

impl Records {
    /// Takes a frame of the wire.
    pub(crate) fn take(&mut self, frame: &[u8]) {
        let record = frame.get(RECORD..).unwrap_or_default();
        if record.len() < 13 + CID_LEN || record[..3] != [TLS12_CID, 0xfe, 0xfd] {
            self.clear += 1;
            return;
        }
        let epoch = u16::from_be_bytes([record[3], record[4]]);
        let mut number = [0; 8];
        number[2..].copy_from_slice(&record[5..11]);
        let number = u64::from_be_bytes(number);
        let source = frame[IPV4_SOURCE..][..4].to_vec();
        let key = (source, record[11..][..CID_LEN].to_vec(), epoch);
        let name = format!("{key:?} number {number}");
        if !self.numbers.entry(key).or_default().insert(number) {
            self.twice.push(name);
        }
    }

    pub(crate) fn sealed(&self) -> usize {
        self.numbers.values().map(HashSet::len).sum::<usize>() + self.twice.len()
    }

    pub(crate) fn keys(&self) -> usize {
        self.numbers.len()
    }
}

#[test]
fn a_number_that_a_key_sealed_before_is_noticed() {
    let record = |epoch: u8, number: u8, cid: u8| {
        let mut frame = vec![0; RECORD];
        frame.extend([TLS12_CID, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, number]);
        frame.extend([cid; CID_LEN]);
        frame.extend([0, 0, 1]);
        frame
    };
    let mut records = Records::default();
    for (epoch, number, cid) in [(1, 1, 1), (1, 2, 1), (2, 1, 1), (1, 1, 2)] {
        records.take(&record(epoch, number, cid));
    }
    assert!(records.twice.is_empty());
    assert_eq!((records.sealed(), records.keys()), (4, 3));
    records.take(&record(1, 2, 1));
    records.take(&[0; 100]);
    assert_eq!((records.twice.len(), records.clear), (1, 1));
}
