//! AES-GCM with a 96-bit nonce and a 128-bit tag (NIST SP 800-38D), from the crates `aes` and `ghash`.
//!
//! [`Aead`] is all that the record layer asks of a cipher, so that a fused kernel can stand beside [`AesGcm`] in [`Backend`]
//! and be chosen once per key.

use aes::{Aes128Enc, Aes256Enc};
use cipher::array::Array;
use cipher::consts::{U16, U32};
use cipher::typenum::Unsigned;
use cipher::{
    Block, BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser, KeyInit, ParBlocks,
};
use ghash::GHash;
use ghash::universal_hash::{UhfBackend, UhfClosure, UniversalHash};
use subtle::ConstantTimeEq;

use crate::record_config::CipherSuite;

/// Length of the tag in octets.
pub(crate) const TAG_LEN: usize = 16;

/// Length of the nonce in octets.
pub(crate) const NONCE_LEN: usize = 12;

/// Authenticated encryption in place, under one key.
pub(crate) trait Aead {
    /// Encrypts `data` and returns the tag over `aad` and the ciphertext. The caller never repeats a nonce.
    fn seal_in_place(&self, nonce: &[u8; NONCE_LEN], aad: &[u8], data: &mut [u8]) -> [u8; TAG_LEN];

    /// Checks `tag` in constant time, and decrypts `data` only when it fits. After `false`, `data` is the ciphertext as
    /// it came in, so that another nonce can be tried.
    #[must_use]
    fn open_in_place(&self, nonce: &[u8; NONCE_LEN], aad: &[u8], data: &mut [u8], tag: &[u8; TAG_LEN]) -> bool;
}

/// The AEAD of one key, chosen when the key is installed.
pub(crate) enum Backend {
    Aes128(AesGcm<Aes128Enc>),
    Aes256(AesGcm<Aes256Enc>),
}

impl Backend {
    /// Expands the first `suite.key_len()` octets of `key`.
    pub(crate) fn new(suite: CipherSuite, key: &[u8; 32]) -> Self {
        match suite {
            CipherSuite::Aes128Gcm => Self::Aes128(AesGcm::new(Aes128Enc::new(first_half(key)))),
            CipherSuite::Aes256Gcm => Self::Aes256(AesGcm::new(Aes256Enc::new(key.into()))),
        }
    }
}

impl Aead for Backend {
    fn seal_in_place(&self, nonce: &[u8; NONCE_LEN], aad: &[u8], data: &mut [u8]) -> [u8; TAG_LEN] {
        match self {
            Self::Aes128(gcm) => gcm.seal_in_place(nonce, aad, data),
            Self::Aes256(gcm) => gcm.seal_in_place(nonce, aad, data),
        }
    }

    fn open_in_place(&self, nonce: &[u8; NONCE_LEN], aad: &[u8], data: &mut [u8], tag: &[u8; TAG_LEN]) -> bool {
        match self {
            Self::Aes128(gcm) => gcm.open_in_place(nonce, aad, data, tag),
            Self::Aes256(gcm) => gcm.open_in_place(nonce, aad, data, tag),
        }
    }
}

/// AES on single blocks: record-number masks and key check values.
pub(crate) enum BlockCipher {
    Aes128(Aes128Enc),
    Aes256(Aes256Enc),
}

impl BlockCipher {
    /// Expands the first `suite.key_len()` octets of `key`.
    pub(crate) fn new(suite: CipherSuite, key: &[u8; 32]) -> Self {
        match suite {
            CipherSuite::Aes128Gcm => Self::Aes128(Aes128Enc::new(first_half(key))),
            CipherSuite::Aes256Gcm => Self::Aes256(Aes256Enc::new(key.into())),
        }
    }

    pub(crate) fn encrypt(&self, block: [u8; 16]) -> [u8; 16] {
        let mut block = Array::from(block);
        match self {
            Self::Aes128(aes) => aes.encrypt_block(&mut block),
            Self::Aes256(aes) => aes.encrypt_block(&mut block),
        }
        block.into()
    }
}

fn first_half(key: &[u8; 32]) -> &Array<u8, U16> {
    let key: &Array<u8, U32> = key.into();
    key.split_ref::<U16>().0
}

/// GCM over a block cipher whose key is expanded. Both parts are wiped on drop by the `zeroize` features of their crates.
pub(crate) struct AesGcm<C> {
    aes: C,
    /// GHASH under H, with nothing hashed yet; cloned for each record.
    ghash: GHash,
}

impl<C: BlockCipherEncrypt<BlockSize = U16>> AesGcm<C> {
    fn new(aes: C) -> Self {
        let mut h = Block::<C>::default();
        aes.encrypt_block(&mut h);
        let ghash = GHash::new(&h);
        zeroize::Zeroize::zeroize(h.as_mut_slice());
        Self { aes, ghash }
    }
}

impl<C: BlockCipherEncrypt<BlockSize = U16>> Aead for AesGcm<C> {
    fn seal_in_place(&self, nonce: &[u8; NONCE_LEN], aad: &[u8], data: &mut [u8]) -> [u8; TAG_LEN] {
        let mut tag = [0; TAG_LEN];
        self.aes.encrypt_with_backend(Seal {
            counters: Counters::new(nonce),
            ghash: &self.ghash,
            aad,
            data,
            tag: &mut tag,
        });
        tag
    }

    fn open_in_place(&self, nonce: &[u8; NONCE_LEN], aad: &[u8], data: &mut [u8], tag: &[u8; TAG_LEN]) -> bool {
        let mut fits = false;
        self.aes.encrypt_with_backend(Open {
            counters: Counters::new(nonce),
            ghash: &self.ghash,
            aad,
            data,
            tag,
            fits: &mut fits,
        });
        fits
    }
}

/// Seals a record in one call of the cipher: on some machines each call begins by spreading the round keys anew.
struct Seal<'a> {
    counters: Counters,
    ghash: &'a GHash,
    aad: &'a [u8],
    data: &'a mut [u8],
    tag: &'a mut [u8; TAG_LEN],
}

impl BlockSizeUser for Seal<'_> {
    type BlockSize = U16;
}

impl BlockCipherEncClosure for Seal<'_> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        let mask = self.counters.tag_mask(backend);
        self.counters.apply(backend, self.data);
        *self.tag = xor_tag(hash(self.ghash, self.aad, self.data), mask);
    }
}

/// Opens a record in one call of the cipher: nothing is decrypted before the tag is known to fit.
struct Open<'a> {
    counters: Counters,
    ghash: &'a GHash,
    aad: &'a [u8],
    data: &'a mut [u8],
    tag: &'a [u8; TAG_LEN],
    fits: &'a mut bool,
}

impl BlockSizeUser for Open<'_> {
    type BlockSize = U16;
}

impl BlockCipherEncClosure for Open<'_> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        let mask = self.counters.tag_mask(backend);
        let expected = xor_tag(hash(self.ghash, self.aad, self.data), mask);
        *self.fits = expected.ct_eq(self.tag).into();
        if *self.fits {
            self.counters.apply(backend, self.data);
        }
    }
}

/// GHASH over the additional data, the ciphertext and their lengths, from a copy of the keyed but empty state.
fn hash(empty: &GHash, aad: &[u8], ciphertext: &[u8]) -> [u8; TAG_LEN] {
    let mut lengths = [0; 16];
    lengths[..8].copy_from_slice(&(aad.len() as u64 * 8).to_be_bytes());
    lengths[8..].copy_from_slice(&(ciphertext.len() as u64 * 8).to_be_bytes());
    let mut ghash = empty.clone();
    ghash.update_with_backend(HashAll {
        parts: [aad, ciphertext, &lengths],
    });
    ghash.finalize().into()
}

fn xor_tag(hash: [u8; TAG_LEN], mask: [u8; TAG_LEN]) -> [u8; TAG_LEN] {
    (u128::from_ne_bytes(hash) ^ u128::from_ne_bytes(mask)).to_ne_bytes()
}

/// The counter blocks of one record: the nonce, and a 32-bit counter from 1 (NIST SP 800-38D section 7.1).
struct Counters {
    /// The nonce as the high 96 bits.
    prefix: u128,
}

impl Counters {
    fn new(nonce: &[u8; NONCE_LEN]) -> Self {
        let mut prefix = [0; 16];
        prefix[..NONCE_LEN].copy_from_slice(nonce);
        Self {
            prefix: u128::from_be_bytes(prefix),
        }
    }

    #[inline(always)]
    fn block(&self, counter: u32) -> Array<u8, U16> {
        (self.prefix | u128::from(counter)).to_be_bytes().into()
    }

    /// The key stream of counter 1, which masks the tag.
    #[inline(always)]
    fn tag_mask<B: BlockCipherEncBackend<BlockSize = U16>>(&self, backend: &B) -> [u8; TAG_LEN] {
        let mut block = self.block(1);
        backend.encrypt_block_inplace(&mut block);
        block.into()
    }

    /// XORs `data` with the key stream of the counters from 2 on.
    #[inline(always)]
    fn apply<B: BlockCipherEncBackend<BlockSize = U16>>(&self, backend: &B, data: &mut [u8]) {
        // Records are far shorter than the 2^32 blocks after which the counter would wrap.
        let mut counter = 2_u32;
        let batch = B::ParBlocksSize::USIZE;
        let mut rest = data;
        // A batch costs about as much as half as many single blocks, so it is worth it from there on.
        while batch > 1 && rest.len().div_ceil(16) * 2 > batch {
            let mut stream = ParBlocks::<B>::default();
            for (at, block) in stream.iter_mut().enumerate() {
                *block = self.block(counter + at as u32);
            }
            backend.encrypt_par_blocks_inplace(&mut stream);
            let (now, later) = rest.split_at_mut(rest.len().min(batch * 16));
            xor_blocks(now, &stream);
            counter += batch as u32;
            rest = later;
        }
        for chunk in rest.chunks_mut(16) {
            let mut block = self.block(counter);
            backend.encrypt_block_inplace(&mut block);
            xor_blocks(chunk, core::slice::from_ref(&block));
            counter += 1;
        }
    }
}

/// XORs `data` with as much of `stream` as it needs.
#[inline(always)]
fn xor_blocks(data: &mut [u8], stream: &[Array<u8, U16>]) {
    let (whole, tail) = data.as_chunks_mut::<16>();
    for (octets, key) in whole.iter_mut().zip(stream) {
        *octets = (u128::from_ne_bytes(*octets) ^ u128::from_ne_bytes((*key).into())).to_ne_bytes();
    }
    if let Some(key) = stream.get(whole.len()) {
        for (octet, key) in tail.iter_mut().zip(key) {
            *octet ^= key;
        }
    }
}

/// GHASH over several parts, each padded with zeros to whole blocks, in one call of the hash.
struct HashAll<'a> {
    parts: [&'a [u8]; 3],
}

impl BlockSizeUser for HashAll<'_> {
    type BlockSize = U16;
}

impl UhfClosure for HashAll<'_> {
    #[inline(always)]
    fn call<B: UhfBackend<BlockSize = U16>>(self, backend: &mut B) {
        for part in self.parts {
            let (blocks, tail) = Array::<u8, U16>::slice_as_chunks(part);
            let (batches, singles) = Array::<_, B::ParBlocksSize>::slice_as_chunks(blocks);
            for batch in batches {
                backend.proc_par_blocks(batch);
            }
            for block in singles {
                backend.proc_block(block);
            }
            if !tail.is_empty() {
                let mut padded = Array::default();
                padded[..tail.len()].copy_from_slice(tail);
                backend.proc_block(&padded);
            }
        }
    }
}
