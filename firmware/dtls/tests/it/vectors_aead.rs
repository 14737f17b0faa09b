//! Published AES-GCM vectors through the code that protects records.

use crate::fixture::{hex, vector_file};
use sealnic_dtls::hazmat::{open_raw, seal_raw};
use serde_json::Value;

/// One vector: seals to this ciphertext and tag and opens again, or is refused and left as it is.
fn check(key: &[u8], nonce: &[u8], aad: &[u8], plaintext: Option<&[u8]>, ciphertext: &[u8], tag: &[u8], name: &str) {
    let nonce: [u8; 12] = nonce.try_into().unwrap();
    let tag: [u8; 16] = tag.try_into().unwrap();
    let mut data = ciphertext.to_vec();
    let opened = open_raw(key, &nonce, aad, &mut data, &tag).unwrap();
    let Some(plaintext) = plaintext else {
        assert!(!opened, "{name} must be refused");
        assert_eq!(data, ciphertext, "{name}: changed though refused");
        return;
    };
    assert!(opened, "{name} must open");
    assert_eq!(data, plaintext, "{name}: plaintext");
    assert_eq!(seal_raw(key, &nonce, aad, &mut data), Some(tag), "{name}: tag");
    assert_eq!(data, ciphertext, "{name}: ciphertext");
}

#[test]
fn all_nist_cavp_vectors_seal_and_open() {
    let file = vector_file("nist_cavp_gcm_iv96_tag128.json");
    let (mut count, mut refused) = (0, 0);
    for row in file["vectors"].as_array().unwrap() {
        let name = format!("{} {}", row[0], row[1]);
        let plaintext = (!row[5].is_null()).then(|| hex(&row[5]));
        check(
            &hex(&row[2]),
            &hex(&row[3]),
            &hex(&row[4]),
            plaintext.as_deref(),
            &hex(&row[6]),
            &hex(&row[7]),
            &name,
        );
        count += 1;
        refused += usize::from(plaintext.is_none());
    }
    println!("NIST CAVP: {count} vectors, {refused} of them refused");
    assert_eq!((count, refused), (1000, 262));
}

#[test]
fn all_wycheproof_vectors_of_the_file_seal_and_open() {
    let file = vector_file("wycheproof_aes_gcm_iv96.json");
    let (mut count, mut refused) = (0, 0);
    for test in file["tests"].as_array().unwrap() {
        let valid = match test["result"].as_str() {
            Some("valid") => true,
            Some("invalid") => false,
            other => panic!("unknown result {other:?}"),
        };
        let plaintext = hex(&test["msg"]);
        check(
            &hex(&test["key"]),
            &hex(&test["iv"]),
            &hex(&test["aad"]),
            valid.then_some(&plaintext[..]),
            &hex(&test["ct"]),
            &hex(&test["tag"]),
            &format!("test {}", test["tcId"]),
        );
        count += 1;
        refused += usize::from(!valid);
    }
    println!("Wycheproof file: {count} vectors, {refused} of them refused");
    assert_eq!((count, refused), (133, 54));
}

#[test]
fn all_wycheproof_vectors_of_the_crate_seal_and_open() {
    use wycheproof::{TestResult, aead};
    let set = aead::TestSet::load(aead::TestName::AesGcm).unwrap();
    let (mut count, mut refused) = (0, 0);
    for group in &set.test_groups {
        if ![128, 256].contains(&group.key_size) || group.nonce_size != 96 || group.tag_size != 128 {
            continue;
        }
        for test in &group.tests {
            let valid = test.result == TestResult::Valid;
            check(
                &test.key,
                &test.nonce,
                &test.aad,
                valid.then_some(&test.pt[..]),
                &test.ct,
                &test.tag,
                &format!("test {}", test.tc_id),
            );
            count += 1;
            refused += usize::from(!valid);
        }
    }
    println!("Wycheproof crate: {count} vectors, {refused} of them refused");
    assert_eq!((count, refused), (133, 54));
}

#[test]
fn all_macsec_frames_seal_and_open() {
    let file = vector_file("macsec_aes_gcm.json");
    let mut count = 0;
    for frame in file["vectors"].as_array().unwrap() {
        let sealed = hex(&frame["ciphertext_tag"]);
        let (ciphertext, tag) = sealed.split_at(sealed.len() - 16);
        check(
            &hex(&frame["key"]),
            &hex(&frame["nonce"]),
            &hex(&frame["aad"]),
            Some(&hex(&frame["plaintext"])),
            ciphertext,
            tag,
            frame["name"].as_str().unwrap(),
        );
        count += 1;
    }
    println!("MACsec: {count} frames");
    assert_eq!(count, 9);
}

/// DPDK's TLS records have another header than DTLS, but the same cipher under it.
#[test]
fn all_dpdk_tls_gcm_records_seal_and_open() {
    let file = vector_file("dpdk_tls_record_aead.json");
    let mut count = 0;
    for vector in file["vectors"].as_array().unwrap() {
        let name = vector["name"].as_str().unwrap();
        if name.starts_with("dtls") || name.contains("chacha20") {
            continue;
        }
        let record = hex(&vector["record"]);
        let (nonce, aad, payload_at) = if name.starts_with("tls13") {
            tls13(vector, &record)
        } else {
            tls12(vector, &record)
        };
        let (ciphertext, tag) = record[payload_at..].split_at(record.len() - payload_at - 16);
        let mut plaintext = hex(&vector["plaintext"]);
        if name.starts_with("tls13") {
            plaintext.push(vector["type"].as_u64().unwrap() as u8);
        }
        check(
            &hex(&vector["key"]),
            &nonce,
            &aad,
            Some(&plaintext),
            ciphertext,
            tag,
            name,
        );
        count += 1;
    }
    println!("DPDK: {count} TLS records");
    assert_eq!(count, 5);
}

/// RFC 5288: nonce, additional data and where the ciphertext begins.
fn tls12(vector: &Value, record: &[u8]) -> (Vec<u8>, Vec<u8>, usize) {
    let mut nonce = hex(&vector["imp_nonce"]);
    nonce.extend_from_slice(&record[5..13]);
    let mut aad = vector["seq"].as_u64().unwrap().to_be_bytes().to_vec();
    aad.extend_from_slice(&record[..3]);
    aad.extend_from_slice(&((record.len() - 13 - 16) as u16).to_be_bytes());
    (nonce, aad, 13)
}

/// RFC 8446 section 5.2.
fn tls13(vector: &Value, record: &[u8]) -> (Vec<u8>, Vec<u8>, usize) {
    let mut nonce = hex(&vector["imp_nonce"]);
    for (octet, seq) in nonce[4..].iter_mut().zip(vector["seq"].as_u64().unwrap().to_be_bytes()) {
        *octet ^= seq;
    }
    (nonce, record[..5].to_vec(), 5)
}
