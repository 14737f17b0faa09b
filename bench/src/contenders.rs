//! Who seals and opens records here: SealNIC's record layer, and AES-GCM of other libraries over the same octets.

use aws_lc_rs::aead as aws;
use ring::aead as ring_aead;
use sealnic_dtls::{CipherSuite, ConnectionId, KeyMaterial, Limits, ReadState, RecordConfig, Version, WriteState};
use std::hint::black_box;

/// Octets of a tag.
const TAG_LEN: usize = 16;

/// Additional data of a DTLS 1.2 record.
const AAD: [u8; 13] = [0, 1, 0, 0, 0, 0, 0, 0, 23, 0xfe, 0xfd, 5, 0xae];

const KEY: [u8; 32] = *b"benchmark key, of no value, here";

/// One who seals records and opens them again, in the same order.
pub(crate) trait Contender {
    /// Name in the tables.
    fn name(&self) -> &'static str;
    /// Room before and behind the payload, in octets.
    fn room(&self) -> (usize, usize);
    /// Seals the next record in place.
    fn seal(&mut self, record: &mut [u8]);
    /// Opens the next record in place; whether it was good.
    fn open(&mut self, record: &mut [u8]) -> bool;
}

/// All that can be measured in this build.
pub(crate) fn visit_all(suite: CipherSuite, visitor: &mut impl Visitor) -> anyhow::Result<()> {
    visitor.visit(SealNic::new(suite, Version::Dtls12, 0)?)?;
    visitor.visit(SealNic::new(suite, Version::Dtls13, 8)?)?;
    visitor.visit(AwsLc::new(suite)?)?;
    visitor.visit(Ring::new(suite)?)?;
    #[cfg(feature = "openssl")]
    visitor.visit(openssl_contender::OpenSsl::new(suite)?)?;
    Ok(())
}

/// Does something with each contender, whose type it is compiled for.
pub(crate) trait Visitor {
    /// One contender.
    fn visit(&mut self, contender: impl Contender) -> anyhow::Result<()>;
}

/// The record layer that the pipeline uses: header, nonce, record number, limits and replay window included.
pub(crate) struct SealNic {
    write: WriteState,
    read: ReadState,
}

/// States of both ends under one key.
pub(crate) fn record_states(
    suite: CipherSuite,
    version: Version,
    cid_len: usize,
) -> anyhow::Result<(WriteState, ReadState)> {
    let mut keys = KeyMaterial {
        key: KEY,
        iv: *b"twelve octet",
        sn_key: *b"another key for record numbers..",
    };
    keys.key[0] ^= cid_len as u8;
    let cid = ConnectionId::try_from(&b"\x9c\x03\x51\xe8\x77\x20\xb4\x6f"[..cid_len]);
    let config = RecordConfig {
        version,
        suite,
        cid: cid.map_err(|error| anyhow::anyhow!("{error:?}"))?,
        epoch: 3,
    };
    let limits = Limits {
        soft_packets: u64::MAX,
        hard_packets: u64::MAX,
        soft_bytes: u64::MAX,
        hard_bytes: u64::MAX,
        ..Limits::default_for(version)
    };
    let refused = |error| anyhow::anyhow!("{error:?}");
    Ok((
        WriteState::new(&keys, config, 0, limits).map_err(refused)?,
        ReadState::new(&keys, config, 4096, limits).map_err(refused)?,
    ))
}

impl SealNic {
    fn new(suite: CipherSuite, version: Version, cid_len: usize) -> anyhow::Result<Self> {
        let (write, read) = record_states(suite, version, cid_len)?;
        Ok(Self { write, read })
    }
}

impl Contender for SealNic {
    fn name(&self) -> &'static str {
        match self.write.config().version {
            Version::Dtls12 => "SealNIC, DTLS 1.2 record",
            Version::Dtls13 => "SealNIC, DTLS 1.3 record, 8-octet id",
        }
    }

    fn room(&self) -> (usize, usize) {
        (self.write.header_len(), self.write.trailer_len())
    }

    #[inline]
    fn seal(&mut self, record: &mut [u8]) {
        let sealed = self.write.seal(black_box(23), black_box(record));
        let _ = black_box(sealed);
    }

    #[inline]
    fn open(&mut self, record: &mut [u8]) -> bool {
        let opened = self.read.open(0, black_box(record));
        opened.is_ok_and(|opened| self.read.commit(opened.seq).is_ok())
    }
}

/// Nonces as DTLS 1.2 makes them: a fixed part and the record number.
#[derive(Default)]
struct Nonces {
    seal: u64,
    open: u64,
}

fn nonce(counter: &mut u64) -> [u8; 12] {
    let mut nonce = *b"salt\0\0\0\0\0\0\0\0";
    nonce[4..].copy_from_slice(&counter.to_be_bytes());
    *counter += 1;
    black_box(nonce)
}

/// AWS-LC.
struct AwsLc {
    key: aws::LessSafeKey,
    nonces: Nonces,
}

impl AwsLc {
    fn new(suite: CipherSuite) -> anyhow::Result<Self> {
        let algorithm = match suite {
            CipherSuite::Aes128Gcm => &aws::AES_128_GCM,
            CipherSuite::Aes256Gcm => &aws::AES_256_GCM,
        };
        let key = aws::UnboundKey::new(algorithm, &KEY[..suite.key_len()])
            .map_err(|_| anyhow::anyhow!("aws-lc-rs refused the key"))?;
        Ok(Self {
            key: aws::LessSafeKey::new(key),
            nonces: Nonces::default(),
        })
    }
}

impl Contender for AwsLc {
    fn name(&self) -> &'static str {
        "aws-lc-rs"
    }

    fn room(&self) -> (usize, usize) {
        (0, TAG_LEN)
    }

    #[inline]
    fn seal(&mut self, record: &mut [u8]) {
        let nonce = aws::Nonce::assume_unique_for_key(nonce(&mut self.nonces.seal));
        let at = record.len() - TAG_LEN;
        let (data, tag) = record.split_at_mut(at);
        let made = self
            .key
            .seal_in_place_separate_tag(nonce, aws::Aad::from(black_box(&AAD)), black_box(data));
        if let Ok(made) = black_box(made) {
            tag.copy_from_slice(made.as_ref());
        }
    }

    #[inline]
    fn open(&mut self, record: &mut [u8]) -> bool {
        let nonce = aws::Nonce::assume_unique_for_key(nonce(&mut self.nonces.open));
        self.key
            .open_in_place(nonce, aws::Aad::from(black_box(&AAD)), black_box(record))
            .is_ok()
    }
}

/// ring.
struct Ring {
    key: ring_aead::LessSafeKey,
    nonces: Nonces,
}

impl Ring {
    fn new(suite: CipherSuite) -> anyhow::Result<Self> {
        let algorithm = match suite {
            CipherSuite::Aes128Gcm => &ring_aead::AES_128_GCM,
            CipherSuite::Aes256Gcm => &ring_aead::AES_256_GCM,
        };
        let key = ring_aead::UnboundKey::new(algorithm, &KEY[..suite.key_len()])
            .map_err(|_| anyhow::anyhow!("ring refused the key"))?;
        Ok(Self {
            key: ring_aead::LessSafeKey::new(key),
            nonces: Nonces::default(),
        })
    }
}

impl Contender for Ring {
    fn name(&self) -> &'static str {
        "ring"
    }

    fn room(&self) -> (usize, usize) {
        (0, TAG_LEN)
    }

    #[inline]
    fn seal(&mut self, record: &mut [u8]) {
        let nonce = ring_aead::Nonce::assume_unique_for_key(nonce(&mut self.nonces.seal));
        let at = record.len() - TAG_LEN;
        let (data, tag) = record.split_at_mut(at);
        let made = self
            .key
            .seal_in_place_separate_tag(nonce, ring_aead::Aad::from(black_box(&AAD)), black_box(data));
        if let Ok(made) = black_box(made) {
            tag.copy_from_slice(made.as_ref());
        }
    }

    #[inline]
    fn open(&mut self, record: &mut [u8]) -> bool {
        let nonce = ring_aead::Nonce::assume_unique_for_key(nonce(&mut self.nonces.open));
        self.key
            .open_in_place(nonce, ring_aead::Aad::from(black_box(&AAD)), black_box(record))
            .is_ok()
    }
}

#[cfg(feature = "openssl")]
mod openssl_contender {
    use super::{AAD, CipherSuite, Contender, KEY, Nonces, TAG_LEN, black_box, nonce};
    use openssl::cipher::Cipher;
    use openssl::cipher_ctx::CipherCtx;
    use openssl::error::ErrorStack;

    /// System OpenSSL through its EVP interface; the key is expanded once, each record sets its nonce.
    pub(super) struct OpenSsl {
        seal: CipherCtx,
        open: CipherCtx,
        nonces: Nonces,
    }

    impl OpenSsl {
        pub(super) fn new(suite: CipherSuite) -> anyhow::Result<Self> {
            let cipher = match suite {
                CipherSuite::Aes128Gcm => Cipher::aes_128_gcm(),
                CipherSuite::Aes256Gcm => Cipher::aes_256_gcm(),
            };
            let mut contender = Self {
                seal: CipherCtx::new()?,
                open: CipherCtx::new()?,
                nonces: Nonces::default(),
            };
            let key = &KEY[..suite.key_len()];
            contender.seal.encrypt_init(Some(cipher), Some(key), None)?;
            contender.open.decrypt_init(Some(cipher), Some(key), None)?;
            Ok(contender)
        }

        fn try_seal(&mut self, record: &mut [u8]) -> Result<(), ErrorStack> {
            let at = record.len() - TAG_LEN;
            let (data, tag) = record.split_at_mut(at);
            self.seal
                .encrypt_init(None, None, Some(&nonce(&mut self.nonces.seal)))?;
            self.seal.cipher_update(black_box(&AAD), None)?;
            self.seal.cipher_update_inplace(data, data.len())?;
            self.seal.cipher_final(&mut [])?;
            self.seal.tag(tag)
        }

        fn try_open(&mut self, record: &mut [u8]) -> Result<(), ErrorStack> {
            let at = record.len() - TAG_LEN;
            let (data, tag) = record.split_at_mut(at);
            self.open
                .decrypt_init(None, None, Some(&nonce(&mut self.nonces.open)))?;
            self.open.set_tag(tag)?;
            self.open.cipher_update(black_box(&AAD), None)?;
            self.open.cipher_update_inplace(data, data.len())?;
            self.open.cipher_final(&mut []).map(drop)
        }
    }

    impl Contender for OpenSsl {
        fn name(&self) -> &'static str {
            "OpenSSL (system)"
        }

        fn room(&self) -> (usize, usize) {
            (0, TAG_LEN)
        }

        #[inline]
        fn seal(&mut self, record: &mut [u8]) {
            let _ = black_box(self.try_seal(black_box(record)));
        }

        #[inline]
        fn open(&mut self, record: &mut [u8]) -> bool {
            self.try_open(black_box(record)).is_ok()
        }
    }
}
