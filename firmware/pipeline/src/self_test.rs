//! Known-answer tests that a device runs on demand: records of both versions and ciphers, made by another implementation of
//! AES-GCM (pyca/cryptography over OpenSSL) from the RFCs; the replay window's edges; the flow hash against its definition.

use crate::toeplitz::Toeplitz;
use sealnic_abi::flow::FlowKey;
use sealnic_abi::mailbox::SelfTestResult;
use sealnic_dtls::{
    CipherSuite, ConnectionId, KeyMaterial, Limits, ReadState, RecordConfig, ReplayWindow, Version, WriteState,
};

const PLAINTEXT: &[u8; 20] = b"SealNIC known answer";
/// Sequence number of every record below.
const SEQUENCE: u64 = 5;
const APPLICATION_DATA: u8 = 23;

/// DTLS 1.2, epoch 1, AES-128-GCM.
const RECORD_12_AES_128: [u8; 57] = [
    0x17, 0xfe, 0xfd, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x05, 0x00, 0x2c, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x05, 0x9f, 0x6f, 0x30, 0xea, 0x6a, 0xde, 0xa9, 0xb4, 0x9f, 0x2b, 0xdc, 0x88, 0x1a, 0x3d, 0x6e, 0xca, 0xb1,
    0xe8, 0x62, 0x03, 0xb1, 0xa2, 0xa8, 0x1d, 0x57, 0x63, 0xf3, 0x91, 0xd3, 0x08, 0x86, 0xc4, 0xbf, 0x15, 0xa6, 0x93,
];
/// DTLS 1.2, epoch 1, AES-256-GCM.
const RECORD_12_AES_256: [u8; 57] = [
    0x17, 0xfe, 0xfd, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x05, 0x00, 0x2c, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x05, 0x0f, 0xd5, 0xad, 0x06, 0x1c, 0x3e, 0x8b, 0xcf, 0x73, 0x96, 0xf6, 0x9d, 0x61, 0x18, 0x64, 0x30, 0x27,
    0x53, 0x09, 0xb1, 0x2c, 0xc6, 0x9b, 0xb9, 0x4c, 0xfb, 0x9b, 0xe9, 0xb5, 0xf2, 0xd1, 0xd1, 0x19, 0x5c, 0x09, 0xea,
];
/// DTLS 1.3, epoch 3, AES-128-GCM, connection id `cid-8888`.
const RECORD_13_AES_128: [u8; 48] = [
    0x3b, 0x63, 0x69, 0x64, 0x2d, 0x38, 0x38, 0x38, 0x38, 0xb0, 0x5b, 0x0d, 0x9a, 0xea, 0xa5, 0xd8, 0x7e, 0x9a, 0x18,
    0xc1, 0x32, 0x2b, 0x33, 0x0c, 0x69, 0x83, 0xbb, 0x8d, 0xf9, 0x28, 0x47, 0x92, 0xb0, 0xf9, 0xe5, 0x6e, 0x29, 0xdd,
    0x42, 0xa2, 0x10, 0xc5, 0x26, 0xaf, 0x72, 0x62, 0x8f, 0xd1,
];

/// Runs all; the bits are those of `SelfTestResult`.
pub(crate) fn run() -> SelfTestResult {
    let aes_128 = || (material(false), config(Version::Dtls12, CipherSuite::Aes128Gcm));
    let outcomes = [
        seals(&RECORD_12_AES_128, aes_128()),
        seals(
            &RECORD_12_AES_256,
            (material(false), config(Version::Dtls12, CipherSuite::Aes256Gcm)),
        ),
        opens(&RECORD_12_AES_128, aes_128()),
        dtls_13(),
        replay_window(),
        flow_hash(),
    ];
    let mut result = SelfTestResult {
        run: (1 << outcomes.len()) - 1,
        failed: 0,
    };
    for (bit, outcome) in outcomes.into_iter().enumerate() {
        result.failed |= u32::from(outcome != Some(true)) << bit;
    }
    result
}

fn material(is_dtls_13: bool) -> KeyMaterial {
    let counting = |from: u8| move |n: usize| from + n as u8;
    KeyMaterial {
        key: core::array::from_fn(counting(0)),
        iv: core::array::from_fn(counting(if is_dtls_13 { 0xb0 } else { 0xa0 })),
        sn_key: core::array::from_fn(counting(0x40)),
    }
}

fn config(version: Version, suite: CipherSuite) -> RecordConfig {
    let (epoch, cid): (u64, &[u8]) = match version {
        Version::Dtls12 => (1, b""),
        Version::Dtls13 => (3, b"cid-8888"),
    };
    RecordConfig {
        version,
        suite,
        cid: ConnectionId::try_from(cid).unwrap_or_default(),
        epoch,
    }
}

fn seals<const N: usize>(expected: &[u8; N], (keys, config): (KeyMaterial, RecordConfig)) -> Option<bool> {
    let mut state = WriteState::new(&keys, config, SEQUENCE, Limits::default_for(config.version)).ok()?;
    let mut record = [0; N];
    let front = state.header_len();
    record
        .get_mut(front..front + PLAINTEXT.len())?
        .copy_from_slice(PLAINTEXT);
    let sealed = state.seal(APPLICATION_DATA, &mut record).ok()?;
    Some(record == *expected && sealed.seq == SEQUENCE && front + PLAINTEXT.len() + state.trailer_len() == N)
}

/// Opens a record, and refuses it with any one bit of its tag flipped.
fn opens<const N: usize>(record: &[u8; N], (keys, config): (KeyMaterial, RecordConfig)) -> Option<bool> {
    let mut state = ReadState::new(&keys, config, 64, Limits::default_for(config.version)).ok()?;
    for bit in 0..8 {
        let mut forged = *record;
        *forged.last_mut()? ^= 1 << bit;
        if state.open(0, &mut forged).is_ok() || forged != [0; N] {
            return Some(false);
        }
    }
    let mut opened = *record;
    let found = state.open(0, &mut opened).ok()?;
    let is_right =
        found.seq == SEQUENCE && found.content_type == APPLICATION_DATA && opened.get(found.plaintext)? == PLAINTEXT;
    Some(is_right && state.commit(SEQUENCE).is_ok() && state.commit(SEQUENCE).is_err())
}

fn dtls_13() -> Option<bool> {
    let keys = || (material(true), config(Version::Dtls13, CipherSuite::Aes128Gcm));
    Some(seals(&RECORD_13_AES_128, keys())? && opens(&RECORD_13_AES_128, keys())?)
}

fn replay_window() -> Option<bool> {
    let mut window = ReplayWindow::new(64).ok()?;
    window.commit(100).ok()?;
    let edge = window.commit(37).is_ok() && window.commit(37).is_err();
    Some(edge && window.commit(36).is_err() && window.commit(100).is_err() && window.commit(101).is_ok())
}

fn flow_hash() -> Option<bool> {
    let toeplitz = Toeplitz::new(*b"SealNIC selftest");
    let mut key = FlowKey {
        scope: 7,
        src_port: 443,
        dst_port: 51_000,
        protocol: 6,
        flags: FlowKey::IPV6,
        ..FlowKey::ZERO
    };
    key.src = *b"sixteen octets !";
    key.dst = *b"and sixteen more";
    Some(toeplitz.hash(&key) == Toeplitz::by_definition(*b"SealNIC selftest", &key))
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_known_answer_is_met() {
        let result = super::run();
        assert_eq!((result.run, result.failed), (0b11_1111, 0));
    }
}
