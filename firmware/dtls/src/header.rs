//! Record headers, nonces and additional data of the three record forms.

use crate::aead::{NONCE_LEN, TAG_LEN};
use crate::connection_id::{ConnectionId, MAX_CID_LEN};
use crate::read_state::OpenError;
use crate::record_config::{MAX_PLAINTEXT_LEN, RecordConfig, Version};

/// Content type of a DTLS 1.2 record with connection id (RFC 9146 section 4).
pub(crate) const TLS12_CID: u8 = 25;

/// Version field of DTLS 1.2: 254.253.
const DTLS12: [u8; 2] = [0xfe, 0xfd];

/// Octets of the explicit part of a DTLS 1.2 nonce (RFC 5288 section 3).
const EXPLICIT_NONCE_LEN: usize = 8;

/// Longest additional data: RFC 9146 section 5.3 with the longest connection id.
const MAX_AAD_LEN: usize = 23 + MAX_CID_LEN;

/// Bits of the first octet of the unified header (RFC 9147 section 4).
const UNIFIED: u8 = 0x20;
const UNIFIED_MASK: u8 = 0xe0;
const CID_BIT: u8 = 0x10;
const SEQ16_BIT: u8 = 0x08;
const LENGTH_BIT: u8 = 0x04;
const EPOCH_BITS: u8 = 0x03;

/// Which of the three record forms a direction uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Dtls12,
    Dtls12Cid,
    Dtls13,
}

impl Form {
    pub(crate) fn of(config: &RecordConfig) -> Self {
        match config.version {
            Version::Dtls13 => Self::Dtls13,
            Version::Dtls12 if config.cid.is_empty() => Self::Dtls12,
            Version::Dtls12 => Self::Dtls12Cid,
        }
    }

    /// Octets between the plaintext and the tag: the inner content type.
    pub(crate) const fn inner_type_len(self) -> usize {
        match self {
            Self::Dtls12 => 0,
            Self::Dtls12Cid | Self::Dtls13 => 1,
        }
    }

    /// Octets before the payload of a record that we write.
    pub(crate) const fn header_len(self, cid: &ConnectionId) -> usize {
        match self {
            Self::Dtls12 | Self::Dtls12Cid => 13 + cid.len() + EXPLICIT_NONCE_LEN,
            Self::Dtls13 => 1 + cid.len() + 2,
        }
    }
}

/// Whether a record can carry this content type: above it, and at 25, the first octet of a record means something else
/// (RFC 9147 section 4.1).
pub(crate) const fn is_content_type(octet: u8) -> bool {
    20 <= octet && octet < 32 && octet != TLS12_CID
}

/// Additional data, built up front to back.
pub(crate) struct Aad {
    octets: [u8; MAX_AAD_LEN],
    len: usize,
}

impl Aad {
    fn new() -> Self {
        Self {
            octets: [0; MAX_AAD_LEN],
            len: 0,
        }
    }

    /// The parts together never exceed [`MAX_AAD_LEN`]; what would is left out rather than a reason to panic.
    fn push(&mut self, part: &[u8]) {
        if let Some(room) = self.octets.get_mut(self.len..self.len + part.len()) {
            room.copy_from_slice(part);
            self.len += part.len();
        }
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.octets[..self.len]
    }

    /// RFC 6347 section 4.1.2.1 and RFC 5246 section 6.2.3.3, or RFC 9146 section 5.3.
    pub(crate) fn dtls12(content_type: u8, cid: &ConnectionId, epoch_seq: [u8; 8], payload_len: usize) -> Self {
        let length = (payload_len as u16).to_be_bytes();
        let mut aad = Self::new();
        if cid.is_empty() {
            aad.push(&epoch_seq);
            aad.push(&[content_type]);
            aad.push(&DTLS12);
        } else {
            aad.push(&[0xff; 8]);
            aad.push(&[TLS12_CID, cid.len() as u8, TLS12_CID]);
            aad.push(&DTLS12);
            aad.push(&epoch_seq);
            aad.push(cid.as_slice());
        }
        aad.push(&length);
        aad
    }

    /// RFC 9147 section 4: the header with the record number in the clear. `seq_and_length` is what follows the id.
    fn dtls13(first: u8, cid: &ConnectionId, seq_and_length: &[u8]) -> Self {
        let mut aad = Self::new();
        aad.push(&[first]);
        aad.push(cid.as_slice());
        aad.push(seq_and_length);
        aad
    }
}

/// Epoch (16 bits) and record number (48 bits) as a DTLS 1.2 header holds them.
pub(crate) fn epoch_seq(epoch: u64, seq: u64) -> [u8; 8] {
    (epoch << 48 | seq).to_be_bytes()
}

/// RFC 5288 section 3: salt and explicit part.
pub(crate) fn nonce_dtls12(iv: &[u8; NONCE_LEN], explicit: [u8; EXPLICIT_NONCE_LEN]) -> [u8; NONCE_LEN] {
    let mut nonce = *iv;
    nonce[4..].copy_from_slice(&explicit);
    nonce
}

/// RFC 9147 section 4 and RFC 8446 section 5.3: IV and record number, without the epoch.
pub(crate) fn nonce_dtls13(iv: &[u8; NONCE_LEN], seq: u64) -> [u8; NONCE_LEN] {
    let mut nonce = *iv;
    for (octet, seq) in nonce[4..].iter_mut().zip(seq.to_be_bytes()) {
        *octet ^= seq;
    }
    nonce
}

/// Writes the header of a DTLS 1.2 record into `header`, which is [`Form::header_len`] octets.
pub(crate) fn write_dtls12(
    header: &mut [u8],
    content_type: u8,
    cid: &ConnectionId,
    epoch_seq: [u8; 8],
    payload_len: usize,
) {
    let (fixed, rest) = header.split_at_mut(11);
    fixed[0] = if cid.is_empty() { content_type } else { TLS12_CID };
    fixed[1..3].copy_from_slice(&DTLS12);
    fixed[3..].copy_from_slice(&epoch_seq);
    let (id, rest) = rest.split_at_mut(cid.len());
    id.copy_from_slice(cid.as_slice());
    let length = (EXPLICIT_NONCE_LEN + payload_len + TAG_LEN) as u16;
    rest[..2].copy_from_slice(&length.to_be_bytes());
    // RFC 9325 section 7.2.1: the explicit nonce is the record number, so that it cannot repeat.
    rest[2..].copy_from_slice(&epoch_seq);
}

/// Writes the unified header that we send (16-bit record number, no length) with the number in the clear, and returns the
/// additional data.
pub(crate) fn write_dtls13(header: &mut [u8], cid: &ConnectionId, epoch: u64, seq: u64) -> Aad {
    let cid_bit = if cid.is_empty() { 0 } else { CID_BIT };
    let first = UNIFIED | cid_bit | SEQ16_BIT | (epoch as u8 & EPOCH_BITS);
    let seq = (seq as u16).to_be_bytes();
    let aad = Aad::dtls13(first, cid, &seq);
    header.copy_from_slice(aad.as_slice());
    aad
}

/// A parsed DTLS 1.2 record.
pub(crate) struct Parsed12 {
    pub(crate) content_type: u8,
    pub(crate) epoch_seq: [u8; 8],
    pub(crate) explicit_nonce: [u8; EXPLICIT_NONCE_LEN],
    /// Where the ciphertext begins; it ends where the tag does, 16 octets before the end of the record.
    pub(crate) payload_at: usize,
}

/// Parses a record that should be exactly one DTLS 1.2 record of this direction.
pub(crate) fn parse_dtls12(record: &[u8], config: &RecordConfig) -> Result<Parsed12, OpenError> {
    let cid = &config.cid;
    let (&[content_type, major, minor, ref number @ ..], rest) =
        record.split_first_chunk::<11>().ok_or(OpenError::Malformed)?;
    // RFC 9146 section 3: once a connection id is agreed, records without one are invalid; and the reverse.
    let of_this_form = if cid.is_empty() {
        is_content_type(content_type)
    } else {
        content_type == TLS12_CID
    };
    if !of_this_form || [major, minor] != DTLS12 {
        return Err(OpenError::Unsupported);
    }
    let epoch_seq = *number;
    if u64::from_be_bytes(epoch_seq) >> 48 != config.epoch {
        return Err(OpenError::NotThisEpoch);
    }
    let (id, rest) = rest.split_at_checked(cid.len()).ok_or(OpenError::Malformed)?;
    if id != cid.as_slice() {
        return Err(OpenError::NotThisConnection);
    }
    let (&length, fragment) = rest.split_first_chunk::<2>().ok_or(OpenError::Malformed)?;
    let (&explicit_nonce, payload) = fragment.split_first_chunk().ok_or(OpenError::Malformed)?;
    if usize::from(u16::from_be_bytes(length)) != fragment.len() {
        return Err(OpenError::Malformed);
    }
    // RFC 9146 section 4 lets the inner plaintext, padding included, be as long as the fragment allows.
    let form_extra = if cid.is_empty() { 0 } else { 1024 };
    if payload.len() < TAG_LEN || payload.len() > MAX_PLAINTEXT_LEN + form_extra + TAG_LEN {
        return Err(OpenError::Malformed);
    }
    Ok(Parsed12 {
        content_type,
        epoch_seq,
        explicit_nonce,
        payload_at: record.len() - payload.len(),
    })
}

/// A parsed DTLS 1.3 record, its number still encrypted.
pub(crate) struct Parsed13 {
    first: u8,
    seq: [u8; 2],
    seq_len: usize,
    length: Option<[u8; 2]>,
    pub(crate) payload_at: usize,
}

impl Parsed13 {
    /// How many numbers the header tells apart: 2^8 or 2^16.
    pub(crate) const fn modulus(&self) -> u64 {
        1 << (8 * self.seq_len)
    }

    /// Takes the mask off the record number (RFC 9147 section 4.2.3). Returns its low bits and the additional data.
    pub(crate) fn unmask(&self, mask: &[u8; 16], cid: &ConnectionId) -> (u64, Aad) {
        let mut seq = [0; 2];
        let mut low_bits = 0;
        for at in 0..self.seq_len {
            seq[at] = self.seq[at] ^ mask[at];
            low_bits = low_bits << 8 | u64::from(seq[at]);
        }
        let mut aad = Aad::dtls13(self.first, cid, &seq[..self.seq_len]);
        if let Some(length) = self.length {
            aad.push(&length);
        }
        (low_bits, aad)
    }
}

/// Parses a record that should be exactly one DTLS 1.3 record of this direction.
pub(crate) fn parse_dtls13(record: &[u8], config: &RecordConfig) -> Result<Parsed13, OpenError> {
    let cid = &config.cid;
    let (&first, rest) = record.split_first().ok_or(OpenError::Malformed)?;
    if first & UNIFIED_MASK != UNIFIED {
        return Err(OpenError::Unsupported);
    }
    if u64::from(first & EPOCH_BITS) != config.epoch & u64::from(EPOCH_BITS) {
        return Err(OpenError::NotThisEpoch);
    }
    if (first & CID_BIT == 0) != cid.is_empty() {
        return Err(OpenError::NotThisConnection);
    }
    let (id, rest) = rest.split_at_checked(cid.len()).ok_or(OpenError::Malformed)?;
    if id != cid.as_slice() {
        return Err(OpenError::NotThisConnection);
    }
    let seq_len = if first & SEQ16_BIT == 0 { 1 } else { 2 };
    let (number, mut payload) = rest.split_at_checked(seq_len).ok_or(OpenError::Malformed)?;
    let mut seq = [0; 2];
    seq[..seq_len].copy_from_slice(number);
    let mut length = None;
    if first & LENGTH_BIT != 0 {
        let (&octets, rest) = payload.split_first_chunk::<2>().ok_or(OpenError::Malformed)?;
        // One record per datagram: what follows this one would escape the replay check of its own.
        if usize::from(u16::from_be_bytes(octets)) != rest.len() {
            return Err(OpenError::Malformed);
        }
        length = Some(octets);
        payload = rest;
    }
    // At least the content type, and no more than RFC 8446 section 5.2 allows. RFC 9147 section 4.2.3 asks for 16 octets.
    if payload.len() <= TAG_LEN || payload.len() > MAX_PLAINTEXT_LEN + 256 {
        return Err(OpenError::Malformed);
    }
    Ok(Parsed13 {
        first,
        seq,
        seq_len,
        length,
        payload_at: record.len() - payload.len(),
    })
}
