//! What one direction of one epoch looks like on the wire.

use crate::connection_id::ConnectionId;

/// Highest record number that is ever used. DTLS 1.2 has 48 bits (RFC 6347 section 4.1); DTLS 1.3 is held to the same
/// figure, which no key reaches before its usage limit.
pub const MAX_SEQ: u64 = (1 << 48) - 1;

/// Most octets of plaintext in one record (RFC 5246 section 6.2.1, RFC 8446 section 5.1).
pub const MAX_PLAINTEXT_LEN: usize = 1 << 14;

/// Highest epoch of DTLS 1.3 (RFC 9147 section 8).
const MAX_EPOCH_DTLS13: u64 = (1 << 48) - 1;

/// Protocol version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// RFC 6347, with RFC 9146 when there is a connection id.
    Dtls12,
    /// RFC 9147.
    Dtls13,
}

/// Record cipher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CipherSuite {
    /// AES-128-GCM with a 16-octet tag.
    Aes128Gcm,
    /// AES-256-GCM with a 16-octet tag.
    Aes256Gcm,
}

impl CipherSuite {
    /// Length of the AES key in octets; the record-number key of DTLS 1.3 is as long.
    #[must_use]
    pub const fn key_len(self) -> usize {
        match self {
            Self::Aes128Gcm => 16,
            Self::Aes256Gcm => 32,
        }
    }
}

/// One direction of one epoch: all that is not secret and does not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordConfig {
    /// Protocol version.
    pub version: Version,
    /// Record cipher.
    pub suite: CipherSuite,
    /// Connection id on the records of this direction, chosen by their receiver; empty for none.
    pub cid: ConnectionId,
    /// Epoch. DTLS 1.2: 1 to 2^16 - 1, all of it on the wire. DTLS 1.3: 1 to 2^48 - 1, of which two bits are on the wire.
    pub epoch: u64,
}

impl RecordConfig {
    /// Epoch 0 is the unprotected one in both versions, so it has no keys.
    pub(crate) const fn check(&self) -> Result<(), KeyError> {
        let highest = match self.version {
            Version::Dtls12 => u16::MAX as u64,
            Version::Dtls13 => MAX_EPOCH_DTLS13,
        };
        if self.epoch == 0 || self.epoch > highest {
            return Err(KeyError::Epoch);
        }
        Ok(())
    }
}

/// Why a write or read state could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// The epoch is 0 or does not fit the version.
    Epoch,
    /// The first record number is above [`MAX_SEQ`].
    Sequence,
    /// The replay window is not a multiple of 64 between 64 and 4096 records.
    WindowLen,
}
