//! Whole DTLS records that others made.

use crate::fixture::{hex, open, padded, suite_of, vector_file};
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use sealnic_dtls::hazmat::seal_raw;
use sealnic_dtls::{
    CipherSuite, ConnectionId, KeyMaterial, Limits, OpenError, ReadState, RecordConfig, Version, WriteState,
};
use serde_json::Value;

/// A record with all that is known of it.
struct Vector {
    name: String,
    config: RecordConfig,
    key: Vec<u8>,
    iv: Vec<u8>,
    sn_key: Vec<u8>,
    seq: u64,
    content_type: u8,
    plaintext: Vec<u8>,
    record: Vec<u8>,
}

impl Vector {
    fn keys(&self) -> KeyMaterial {
        KeyMaterial {
            key: padded(&self.key),
            iv: padded(&self.iv),
            sn_key: padded(&self.sn_key),
        }
    }

    fn limits(&self) -> Limits {
        Limits::default_for(self.config.version)
    }

    /// The record opens, once.
    fn check_opens(&self) {
        let mut reader = ReadState::new(&self.keys(), self.config, 64, self.limits()).unwrap();
        let (opened, plaintext) = open(&mut reader, 0, &self.record).unwrap();
        assert_eq!(opened.seq, self.seq, "{}", self.name);
        assert_eq!(opened.content_type, self.content_type, "{}", self.name);
        assert_eq!(plaintext, self.plaintext, "{}", self.name);
        reader.commit(opened.seq).unwrap();
        match self.config.version {
            Version::Dtls12 => assert_eq!(open(&mut reader, 0, &self.record), Err(OpenError::Replayed)),
            Version::Dtls13 => {
                let (again, _) = open(&mut reader, 0, &self.record).unwrap();
                assert!(reader.commit(again.seq).is_err(), "{}", self.name);
            }
        }
        let mut forged = self.record.clone();
        *forged.last_mut().unwrap() ^= 1;
        let mut reader = ReadState::new(&self.keys(), self.config, 64, self.limits()).unwrap();
        assert_eq!(open(&mut reader, 0, &forged), Err(OpenError::Auth), "{}", self.name);
    }

    /// What our own writer makes of the same plaintext and number.
    fn resealed(&self) -> Vec<u8> {
        let mut writer = WriteState::new(&self.keys(), self.config, self.seq, self.limits()).unwrap();
        crate::fixture::seal(&mut writer, self.content_type, &self.plaintext)
    }
}

#[test]
fn dpdk_dtls_records_open_and_seal_to_the_same_octets() {
    let file = vector_file("dpdk_tls_record_aead.json");
    let mut count = 0;
    for vector in file["vectors"].as_array().unwrap() {
        let name = vector["name"].as_str().unwrap();
        if !name.starts_with("dtls") || name.contains("chacha20") {
            continue;
        }
        let record = hex(&vector["record"]);
        let key = hex(&vector["key"]);
        let vector = Vector {
            name: name.to_owned(),
            config: RecordConfig {
                version: Version::Dtls12,
                suite: suite_of(&key),
                cid: ConnectionId::EMPTY,
                epoch: u64::from(u16::from_be_bytes([record[3], record[4]])),
            },
            key,
            iv: hex(&vector["imp_nonce"]),
            sn_key: Vec::new(),
            seq: u64::from_be_bytes(record[3..11].try_into().unwrap()) & ((1 << 48) - 1),
            content_type: vector["type"].as_u64().unwrap() as u8,
            plaintext: hex(&vector["plaintext"]),
            record,
        };
        vector.check_opens();
        assert_eq!(vector.resealed(), vector.record, "{name}");
        count += 1;
    }
    println!("DPDK: {count} DTLS records");
    assert_eq!(count, 2);
}

fn library_vector(vector: &Value) -> Vector {
    let version = match vector["dtls"].as_str() {
        Some("1.2") => Version::Dtls12,
        Some("1.3") => Version::Dtls13,
        other => panic!("unknown version {other:?}"),
    };
    let (iv, sn_key) = match version {
        Version::Dtls12 => (hex(&vector["salt"]), Vec::new()),
        Version::Dtls13 => (hex(&vector["iv"]), hex(&vector["sn_key"])),
    };
    let key = hex(&vector["key"]);
    Vector {
        name: format!("{} {}", vector["made_by"], vector["record"]),
        config: RecordConfig {
            version,
            suite: suite_of(&key),
            cid: ConnectionId::try_from(&hex(&vector["cid"])[..]).unwrap(),
            epoch: vector["epoch"].as_u64().unwrap(),
        },
        key,
        iv,
        sn_key,
        seq: vector["seq"].as_u64().unwrap(),
        content_type: vector["content_type"].as_u64().unwrap() as u8,
        plaintext: hex(&vector["plaintext"]),
        record: hex(&vector["record"]),
    }
}

#[test]
fn records_made_by_five_libraries_open() {
    let file = vector_file("library_made_dtls_records.json");
    let mut count = 0;
    for vector in file["vectors"].as_array().unwrap() {
        library_vector(vector).check_opens();
        count += 1;
    }
    println!("library-made: {count} records opened");
    assert_eq!(count, 11);
}

#[test]
fn records_made_by_libraries_seal_to_the_same_octets() {
    let file = vector_file("library_made_dtls_records.json");
    let (mut by_writer, mut by_header) = (0, 0);
    for json in file["vectors"].as_array().unwrap() {
        let vector = library_vector(json);
        if emitted_by_our_writer(json, &vector) {
            assert_eq!(vector.resealed(), vector.record, "{}", vector.name);
            by_writer += 1;
        } else {
            assert_eq!(seal_under_header(json, &vector), vector.record, "{}", vector.name);
            by_header += 1;
        }
        // In our own form the plaintext comes back as well.
        let ours = Vector {
            record: vector.resealed(),
            ..vector
        };
        ours.check_opens();
    }
    println!("library-made: {by_writer} records by the writer, {by_header} under a header of another form");
    assert_eq!((by_writer, by_header), (1, 10));
}

/// We write no length field in DTLS 1.3, no padding, and the record number as the explicit nonce in DTLS 1.2.
fn emitted_by_our_writer(json: &Value, vector: &Vector) -> bool {
    match vector.config.version {
        Version::Dtls13 => vector.record[0] & 0x04 == 0,
        Version::Dtls12 => {
            let epoch_seq = (vector.config.epoch << 48 | vector.seq).to_be_bytes();
            hex(&json["explicit_nonce"]) == epoch_seq && vector.config.cid.is_empty()
        }
    }
}

/// Seals with a nonce and header of the library's choice, through the same cipher.
fn seal_under_header(json: &Value, vector: &Vector) -> Vec<u8> {
    let mut nonce: [u8; 12] = padded(&vector.iv);
    match vector.config.version {
        Version::Dtls12 => {
            let explicit = hex(&json["explicit_nonce"]);
            nonce[4..].copy_from_slice(&explicit);
            let mut data = hex(&json["inner_plaintext"]);
            let header_len = 13 + vector.config.cid.len();
            let tag = seal_raw(&vector.key, &nonce, &hex(&json["aad"]), &mut data).unwrap();
            [&vector.record[..header_len], &explicit, &data, &tag].concat()
        }
        Version::Dtls13 => {
            for (octet, seq) in nonce[4..].iter_mut().zip(vector.seq.to_be_bytes()) {
                *octet ^= seq;
            }
            let mut header = hex(&json["header_before_sn_encryption"]);
            let mut data = vector.plaintext.clone();
            data.push(vector.content_type);
            let tag = seal_raw(&vector.key, &nonce, &header, &mut data).unwrap();
            data.extend_from_slice(&tag);
            let mask = record_number_mask(vector.config.suite, &vector.sn_key, &data);
            let number_at = 1 + vector.config.cid.len();
            header[number_at] ^= mask[0];
            header[number_at + 1] ^= mask[1];
            [header, data].concat()
        }
    }
}

/// RFC 9147 section 4.2.3.
pub(crate) fn record_number_mask(suite: CipherSuite, sn_key: &[u8], ciphertext: &[u8]) -> [u8; 16] {
    let mut mask = aes::Block::try_from(&ciphertext[..16]).unwrap();
    match suite {
        CipherSuite::Aes128Gcm => aes::Aes128::new_from_slice(&sn_key[..16])
            .unwrap()
            .encrypt_block(&mut mask),
        CipherSuite::Aes256Gcm => aes::Aes256::new_from_slice(sn_key).unwrap().encrypt_block(&mut mask),
    }
    mask.into()
}
