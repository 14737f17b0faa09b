//! DTLS record headers: which of the three a datagram begins with, and a view and an emitter for each.
//!
//! Only headers are decoded here. What a record protects, the explicit nonce of AES-GCM in DTLS 1.2 included, is a slice that
//! the record protection takes over. Two things are not on the wire and come from the caller: the length of connection ids, and,
//! with DTLS 1.3, the key that uncovers the record number.
//!
//! - [`DtlsRecord`]: the record of DTLS 1.2 (RFC 6347 section 4.1), and the plaintext record of DTLS 1.3 (RFC 9147 section 4)
//! - [`DtlsCidRecord`]: the record of DTLS 1.2 with a connection id (RFC 9146 section 4)
//! - [`DtlsUnified`]: the protected record of DTLS 1.3 with its unified header (RFC 9147 section 4)

mod cid_record;
mod record;
mod unified;

pub use cid_record::{DtlsCidRecord, DtlsCidRecordRepr};
pub use record::{DtlsRecord, DtlsRecordRepr};
pub use unified::{DtlsUnified, DtlsUnifiedRepr, RecordNumberBits};

/// The longest connection id that this device uses, in octets.
pub const MAX_CID_LEN: usize = 20;

/// Octets of a DTLS 1.2 record header without connection id.
pub const RECORD_HEADER_LEN: usize = 13;

/// The longest protected content of a DTLS 1.2 record: 2^14 octets and an expansion (RFC 5246 section 6.2.3).
pub const MAX_FRAGMENT_LEN_12: usize = (1 << 14) + 2048;

/// The longest protected content of a DTLS 1.3 record: 2^14 octets and an expansion (RFC 8446 section 5.2).
pub const MAX_FRAGMENT_LEN_13: usize = (1 << 14) + 256;

/// Sequence numbers of DTLS 1.2 records, and epochs and sequence numbers together, stay below this: 48 bits are on the wire.
pub const SEQUENCE_END: u64 = 1 << 48;

/// What a record contains (RFC 9147 section 4.1 and the IANA registry).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentType(pub u8);

impl ContentType {
    /// Change cipher spec; DTLS 1.2 only.
    pub const CHANGE_CIPHER_SPEC: Self = Self(20);
    /// Alert.
    pub const ALERT: Self = Self(21);
    /// Handshake.
    pub const HANDSHAKE: Self = Self(22);
    /// Application data.
    pub const APPLICATION_DATA: Self = Self(23);
    /// The outer type of a DTLS 1.2 record with connection id; the real one is protected.
    pub const TLS12_CID: Self = Self(25);
    /// Acknowledgement; DTLS 1.3 only.
    pub const ACK: Self = Self(26);
}

/// The version field of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Version(pub u16);

impl Version {
    /// DTLS 1.0, which a first ClientHello may still say.
    pub const DTLS_1_0: Self = Self(0xfeff);
    /// DTLS 1.2; also the legacy version of DTLS 1.3's plaintext records.
    pub const DTLS_1_2: Self = Self(0xfefd);

    /// Some version of DTLS (the first octet is 254).
    #[inline]
    pub const fn is_dtls(self) -> bool {
        self.0 >> 8 == 0xfe
    }
}

/// What the first octet of a datagram, or of what follows a record, announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecordKind {
    /// A record header of DTLS 1.2 in front of change cipher spec, alert, handshake or acknowledgement. In epoch 0 its content is
    /// plain; in a later one it is a protected record of DTLS 1.2. View: [`DtlsRecord`].
    Plaintext(ContentType),
    /// Application data of DTLS 1.2 without connection id. View: [`DtlsRecord`].
    ApplicationData,
    /// A record of DTLS 1.2 with connection id. View: [`DtlsCidRecord`].
    ConnectionId,
    /// A protected record of DTLS 1.3. View: [`DtlsUnified`].
    Unified,
    /// Nothing that this device speaks; to be dropped in silence. Heartbeats (24) are among it.
    Invalid,
}

/// Tells record kinds apart by the first octet, as RFC 9147 section 4.1 (figure 5) does.
#[inline]
pub const fn classify(first_octet: u8) -> RecordKind {
    match first_octet {
        20..=22 | 26 => RecordKind::Plaintext(ContentType(first_octet)),
        23 => RecordKind::ApplicationData,
        25 => RecordKind::ConnectionId,
        32..=63 => RecordKind::Unified,
        _ => RecordKind::Invalid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_octet_tells_the_kind() {
        let mut counts = [0; 5];
        for octet in 0..=255u8 {
            counts[match classify(octet) {
                RecordKind::Plaintext(content_type) => {
                    assert_eq!(content_type.0, octet);
                    assert!([20, 21, 22, 26].contains(&octet));
                    0
                }
                RecordKind::ApplicationData => {
                    assert_eq!(octet, 23);
                    1
                }
                RecordKind::ConnectionId => {
                    assert_eq!(octet, 25);
                    2
                }
                RecordKind::Unified => {
                    assert_eq!(octet >> 5, 0b001);
                    3
                }
                RecordKind::Invalid => 4,
            }] += 1;
        }
        assert_eq!(counts, [4, 1, 1, 32, 218]);
    }

    #[test]
    fn versions_of_dtls_begin_with_254() {
        assert!(Version::DTLS_1_0.is_dtls() && Version::DTLS_1_2.is_dtls());
        assert!(!Version(0x0303).is_dtls());
    }
}
