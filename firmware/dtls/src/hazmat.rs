//! AES-GCM with a nonce chosen by the caller, through the code that protects records. For published vectors only: a nonce
//! used twice under one key gives the key's hash key and plaintexts away.

use crate::aead::{Aead, Backend};
use crate::record_config::CipherSuite;

/// Picks the suite by the length of the key: 16 or 32 octets.
fn backend(key: &[u8]) -> Option<Backend> {
    let suite = match key.len() {
        16 => CipherSuite::Aes128Gcm,
        32 => CipherSuite::Aes256Gcm,
        _ => return None,
    };
    let mut room = [0; 32];
    room[..key.len()].copy_from_slice(key);
    Some(Backend::new(suite, &room))
}

/// Encrypts `data` in place and returns the tag; `None` when the key is not 16 or 32 octets.
#[must_use]
pub fn seal_raw(key: &[u8], nonce: &[u8; 12], aad: &[u8], data: &mut [u8]) -> Option<[u8; 16]> {
    Some(backend(key)?.seal_in_place(nonce, aad, data))
}

/// Decrypts `data` in place when `tag` fits; `None` when the key is not 16 or 32 octets. After `Some(false)` the data is the
/// ciphertext as it came in.
#[must_use]
pub fn open_raw(key: &[u8], nonce: &[u8; 12], aad: &[u8], data: &mut [u8], tag: &[u8; 16]) -> Option<bool> {
    Some(backend(key)?.open_in_place(nonce, aad, data, tag))
}
