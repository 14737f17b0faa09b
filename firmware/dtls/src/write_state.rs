//! Sealing: the write side of one epoch.

use crate::aead::{Aead, Backend, BlockCipher, NONCE_LEN, TAG_LEN};
use crate::header::{self, Form};
use crate::key_material::KeyMaterial;
use crate::limits::{self, Limits};
use crate::record_config::{KeyError, MAX_PLAINTEXT_LEN, MAX_SEQ, RecordConfig};

/// Keys, next record number and usage of one direction of one epoch. Keys are wiped on drop.
pub struct WriteState {
    aead: Backend,
    /// Present in DTLS 1.3 only.
    sn_cipher: Option<BlockCipher>,
    iv: Secret<NONCE_LEN>,
    config: RecordConfig,
    form: Form,
    next_seq: u64,
    packets: u64,
    bytes: u64,
    limits: Limits,
}

/// Octets that are wiped on drop.
pub(crate) type Secret<const N: usize> = zeroize::Zeroizing<[u8; N]>;

/// A record was sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Its record number.
    pub seq: u64,
    /// Whether the soft limit is reached: true for this and all later records.
    pub soft_limit: bool,
}

/// Why a record was not sealed. Nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealError {
    /// The key has protected as much as it may.
    HardLimit,
    /// All record numbers are used.
    SequenceExhausted,
    /// The buffer is shorter than header and trailer, or its plaintext is longer than 2^14 octets.
    BadLength,
    /// No record can carry this content type: it is 0 to 19, 25, or above 31.
    BadContentType,
}

impl WriteState {
    /// Expands the keys. The first record gets the number `first_seq`.
    ///
    /// # Errors
    /// [`KeyError`] when the epoch or the first number is out of range.
    pub fn new(keys: &KeyMaterial, config: RecordConfig, first_seq: u64, limits: Limits) -> Result<Self, KeyError> {
        config.check()?;
        if first_seq > MAX_SEQ {
            return Err(KeyError::Sequence);
        }
        let form = Form::of(&config);
        Ok(Self {
            aead: Backend::new(config.suite, &keys.key),
            sn_cipher: (form == Form::Dtls13).then(|| BlockCipher::new(config.suite, &keys.sn_key)),
            iv: Secret::new(keys.iv),
            config,
            form,
            next_seq: first_seq,
            packets: 0,
            bytes: 0,
            limits,
        })
    }

    /// Octets before the plaintext: the header, and in DTLS 1.2 the 8 octets of the explicit nonce.
    #[must_use]
    pub const fn header_len(&self) -> usize {
        self.form.header_len(&self.config.cid)
    }

    /// Octets after the plaintext: the inner content type where the form has one, and the tag.
    #[must_use]
    pub const fn trailer_len(&self) -> usize {
        self.form.inner_type_len() + TAG_LEN
    }

    /// The number of the next record; above [`MAX_SEQ`] when there is none left.
    #[must_use]
    pub const fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// What this state was made for.
    #[must_use]
    pub const fn config(&self) -> &RecordConfig {
        &self.config
    }

    /// Records sealed so far.
    #[must_use]
    pub const fn packets(&self) -> u64 {
        self.packets
    }

    /// Octets charged so far, as [`limits::charge`] counts them.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether a new key should be asked for.
    #[must_use]
    pub const fn soft_limit(&self) -> bool {
        self.packets >= self.limits.soft_packets || self.bytes >= self.limits.soft_bytes
    }

    /// Seals one record in place. `record` is [`Self::header_len`] octets of room, the plaintext, and [`Self::trailer_len`]
    /// octets of room; afterwards all of it is the record, which must be the last of its datagram.
    ///
    /// # Errors
    /// [`SealError`]; no octet was written and no number consumed.
    pub fn seal(&mut self, content_type: u8, record: &mut [u8]) -> Result<Sealed, SealError> {
        if !header::is_content_type(content_type) {
            return Err(SealError::BadContentType);
        }
        let (head, body) = record
            .split_at_mut_checked(self.header_len())
            .ok_or(SealError::BadLength)?;
        let (payload, tag) = body.split_last_chunk_mut::<TAG_LEN>().ok_or(SealError::BadLength)?;
        let inner_type_len = self.form.inner_type_len();
        if payload.len() < inner_type_len || payload.len() > MAX_PLAINTEXT_LEN + inner_type_len {
            return Err(SealError::BadLength);
        }
        let seq = self.take_number(payload.len())?;

        if self.form != Form::Dtls12
            && let Some(inner_type) = payload.last_mut()
        {
            *inner_type = content_type;
        }
        let cid = &self.config.cid;
        if self.form == Form::Dtls13 {
            let aad = header::write_dtls13(head, cid, self.config.epoch, seq);
            let nonce = header::nonce_dtls13(&self.iv, seq);
            *tag = self.aead.seal_in_place(&nonce, aad.as_slice(), payload);
            self.mask_number(record);
        } else {
            let epoch_seq = header::epoch_seq(self.config.epoch, seq);
            header::write_dtls12(head, content_type, cid, epoch_seq, payload.len());
            let aad = header::Aad::dtls12(content_type, cid, epoch_seq, payload.len());
            let nonce = header::nonce_dtls12(&self.iv, epoch_seq);
            *tag = self.aead.seal_in_place(&nonce, aad.as_slice(), payload);
        }
        Ok(Sealed {
            seq,
            soft_limit: self.soft_limit(),
        })
    }

    /// Consumes the next number and charges for the record, or changes nothing.
    fn take_number(&mut self, payload_len: usize) -> Result<u64, SealError> {
        let seq = self.next_seq;
        if seq > MAX_SEQ {
            return Err(SealError::SequenceExhausted);
        }
        let packets = self.packets.saturating_add(1);
        let bytes = self.bytes.saturating_add(limits::charge(payload_len));
        if packets > self.limits.hard_packets || bytes > self.limits.hard_bytes {
            return Err(SealError::HardLimit);
        }
        self.next_seq = seq + 1;
        self.packets = packets;
        self.bytes = bytes;
        Ok(seq)
    }

    /// Encrypts the record number in the header (RFC 9147 section 4.2.3).
    fn mask_number(&self, record: &mut [u8]) {
        let (head, payload) = record.split_at_mut(self.header_len());
        if let (Some(cipher), Some(sample)) = (&self.sn_cipher, payload.first_chunk())
            && let Some(number) = head.last_chunk_mut::<2>()
        {
            let mask = cipher.encrypt(*sample);
            number[0] ^= mask[0];
            number[1] ^= mask[1];
        }
    }

    /// Sets the number of the next record. A number that was used with this key must never come back: for vectors only.
    #[cfg(feature = "hazmat")]
    pub const fn set_next_seq(&mut self, seq: u64) {
        self.next_seq = seq;
    }
}
