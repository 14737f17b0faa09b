//! Keys as the host hands them over, for one direction of one epoch.

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::aead::BlockCipher;
use crate::record_config::CipherSuite;

/// The block whose encryption identifies a key. Its last four octets are zero, where every counter block that GCM encrypts
/// holds a counter of at least 1, and it is not the zero block that yields the hash key H.
const CHECK_BLOCK: [u8; 16] = *b"SealNIC kcv1\0\0\0\0";

/// Secrets of one direction of one epoch. Wiped on drop; can be neither printed nor cloned.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct KeyMaterial {
    /// AES key; only the first [`CipherSuite::key_len`] octets are used.
    pub key: [u8; 32],
    /// DTLS 1.3: the write IV of RFC 9147 section 4 (12 octets). DTLS 1.2: its first 4 octets are the salt of RFC 5288
    /// section 3, the rest is not used.
    pub iv: [u8; 12],
    /// DTLS 1.3: key of the record-number encryption, as long as `key` (RFC 9147 section 4.2.3). Not used by DTLS 1.2.
    pub sn_key: [u8; 32],
}

impl KeyMaterial {
    /// A value by which a key store can tell that it was given the same AES key twice, without keeping the key:
    /// the encryption under `key` of one fixed block.
    ///
    /// AES is a permutation and the block is not zero, so the value never equals the hash key H = AES(0); nor can it equal
    /// a block of key stream, because its last four octets are a counter value that GCM does not reach. It still links two uses
    /// of one key, so it belongs in the key store and nowhere else.
    #[must_use]
    pub fn check_value(&self, suite: CipherSuite) -> [u8; 16] {
        BlockCipher::new(suite, &self.key).encrypt(CHECK_BLOCK)
    }
}
