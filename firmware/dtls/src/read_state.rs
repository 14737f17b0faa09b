//! Opening: the read side of one epoch.

use core::ops::Range;

use crate::aead::{Aead, Backend, BlockCipher, NONCE_LEN, TAG_LEN};
use crate::header::{self, Aad, Form, Parsed13};
use crate::key_material::KeyMaterial;
use crate::limits::Limits;
use crate::record_config::{KeyError, MAX_SEQ, RecordConfig};
use crate::replay::{ReplayWindow, Replayed};
use crate::write_state::Secret;

/// Failures in a row after which DTLS 1.3 looks for a record number further ahead.
pub const RECOVERY_FAILURES: u32 = 64;

/// Time without a new record, in nanoseconds, after which DTLS 1.3 looks for a record number further ahead.
pub const RECOVERY_QUIET_NS: u64 = 100_000_000;

/// How many wraps of the 16 (or 8) bits on the wire the search goes ahead before it starts again.
pub const RECOVERY_WRAPS: u64 = 1024;

/// Keys, replay window and failure count of one direction of one epoch. Keys are wiped on drop.
pub struct ReadState {
    aead: Backend,
    /// Present in DTLS 1.3 only.
    sn_cipher: Option<BlockCipher>,
    iv: Secret<NONCE_LEN>,
    config: RecordConfig,
    form: Form,
    window: ReplayWindow,
    limits: Limits,
    recovery: Recovery,
    committed: u64,
    opened: u64,
    auth_failures: u64,
    replayed: u64,
}

/// An authenticated record, decrypted where it lay. Whether it is new, [`ReadState::commit`] says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The (inner) content type.
    pub content_type: u8,
    /// The whole record number.
    pub seq: u64,
    /// Where in the record the plaintext is.
    pub plaintext: Range<usize>,
    /// Whether a soft limit is reached, of records or of failures.
    pub soft_limit: bool,
}

/// Why a record was not opened. The buffer is all zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// Lengths do not fit: too short, too long, or not exactly one record.
    Malformed,
    /// Another version or record form than this association's (RFC 9146 section 3: also one without its connection id).
    Unsupported,
    /// Another epoch, as far as the header tells.
    NotThisEpoch,
    /// Another connection id, or in DTLS 1.3 one where there is none, or none where there is one.
    NotThisConnection,
    /// DTLS 1.2: the number in the header was committed before or lies below the window. Nothing was authenticated.
    Replayed,
    /// The tag does not fit. Counted against the integrity limit.
    Auth,
    /// Authentic, but with no content type: all its octets are zero (RFC 8446 section 5.4).
    NoContentType,
    /// The integrity limit of the key is reached: nothing is opened any more.
    FailureLimit,
}

impl ReadState {
    /// Expands the keys. `window_len` is how many records the replay window tells apart.
    ///
    /// # Errors
    /// [`KeyError`] when the epoch is out of range, or the window is not a multiple of 64 between 64 and 4096.
    pub fn new(keys: &KeyMaterial, config: RecordConfig, window_len: usize, limits: Limits) -> Result<Self, KeyError> {
        config.check()?;
        let form = Form::of(&config);
        Ok(Self {
            aead: Backend::new(config.suite, &keys.key),
            sn_cipher: (form == Form::Dtls13).then(|| BlockCipher::new(config.suite, &keys.sn_key)),
            iv: Secret::new(keys.iv),
            config,
            form,
            window: ReplayWindow::new(window_len)?,
            limits,
            recovery: Recovery::new(),
            committed: 0,
            opened: 0,
            auth_failures: 0,
            replayed: 0,
        })
    }

    /// Takes all numbers below `next_seq` as received: for a hand-over from a party that opened them. Goes forward only.
    pub fn start_at(&mut self, next_seq: u64) {
        self.window.start_at(next_seq);
    }

    /// Authenticates the record that fills `record` and decrypts it in place. The replay window is not touched: hand the
    /// number to [`Self::commit`] before anything is done with the plaintext. `now_ns` is the frame's time, which never
    /// goes back; it only paces the recovery after a long loss.
    ///
    /// # Errors
    /// [`OpenError`], and all of `record` is zero.
    pub fn open(&mut self, now_ns: u64, record: &mut [u8]) -> Result<Opened, OpenError> {
        self.recovery.tick(now_ns);
        let result = self.open_record(record);
        if result.is_err() {
            record.fill(0);
        }
        result
    }

    fn open_record(&mut self, record: &mut [u8]) -> Result<Opened, OpenError> {
        if self.auth_failures >= self.limits.hard_failures {
            return Err(OpenError::FailureLimit);
        }
        let (outer_type, seq, payload_at) = match self.form {
            Form::Dtls13 => self.open_dtls13(record)?,
            Form::Dtls12 | Form::Dtls12Cid => self.open_dtls12(record)?,
        };
        let mut plaintext = payload_at..record.len() - TAG_LEN;
        let mut content_type = outer_type;
        if self.form != Form::Dtls12 {
            // Inner plaintext: content, type, zeros (RFC 8446 section 5.4, RFC 9146 section 4).
            let inner = &record[plaintext.clone()];
            let type_at = inner
                .iter()
                .rposition(|&octet| octet != 0)
                .ok_or(OpenError::NoContentType)?;
            content_type = inner[type_at];
            plaintext.end = payload_at + type_at;
        }
        self.opened += 1;
        Ok(Opened {
            content_type,
            seq,
            plaintext,
            soft_limit: self.soft_limit(),
        })
    }

    /// Returns the outer content type, the record number, and where the payload begins.
    fn open_dtls12(&mut self, record: &mut [u8]) -> Result<(u8, u64, usize), OpenError> {
        let parsed = header::parse_dtls12(record, &self.config)?;
        let seq = u64::from_be_bytes(parsed.epoch_seq) & MAX_SEQ;
        // RFC 6347 section 4.1.2.6: a check before the tag saves the work; only the commit after it counts.
        if self.window.check(seq).is_err() {
            self.replayed += 1;
            return Err(OpenError::Replayed);
        }
        let (data, tag) = split_payload(record, parsed.payload_at)?;
        let aad = Aad::dtls12(parsed.content_type, &self.config.cid, parsed.epoch_seq, data.len());
        let nonce = header::nonce_dtls12(&self.iv, parsed.explicit_nonce);
        if !self.aead.open_in_place(&nonce, aad.as_slice(), data, tag) {
            self.count_failure();
            return Err(OpenError::Auth);
        }
        Ok((parsed.content_type, seq, parsed.payload_at))
    }

    fn open_dtls13(&mut self, record: &mut [u8]) -> Result<(u8, u64, usize), OpenError> {
        let parsed = header::parse_dtls13(record, &self.config)?;
        let payload_at = parsed.payload_at;
        let (low_bits, aad) = self.unmask(&parsed, &record[payload_at..])?;
        let (data, tag) = split_payload(record, payload_at)?;

        let seq = reconstruct(self.window.next(), low_bits, parsed.modulus());
        if self.try_number(seq, &aad, data, tag) {
            return Ok((0, seq, payload_at));
        }
        self.count_failure();
        if self.auth_failures < self.limits.hard_failures
            && let Some(wraps) = self.recovery.next_trial()
        {
            let seq = seq + wraps * parsed.modulus();
            if seq <= MAX_SEQ {
                if self.try_number(seq, &aad, data, tag) {
                    return Ok((0, seq, payload_at));
                }
                self.count_failure();
            }
        }
        Err(OpenError::Auth)
    }

    /// Decrypts the record number (RFC 9147 section 4.2.3).
    fn unmask(&self, parsed: &Parsed13, payload: &[u8]) -> Result<(u64, Aad), OpenError> {
        match (&self.sn_cipher, payload.first_chunk()) {
            (Some(cipher), Some(sample)) => Ok(parsed.unmask(&cipher.encrypt(*sample), &self.config.cid)),
            _ => Err(OpenError::Malformed),
        }
    }

    fn try_number(&self, seq: u64, aad: &Aad, data: &mut [u8], tag: &[u8; TAG_LEN]) -> bool {
        let nonce = header::nonce_dtls13(&self.iv, seq);
        self.aead.open_in_place(&nonce, aad.as_slice(), data, tag)
    }

    fn count_failure(&mut self) {
        self.auth_failures += 1;
        self.recovery.failed();
    }

    /// Tests and marks the number of an opened record, in one step. Only now is the record known to be new.
    ///
    /// # Errors
    /// [`Replayed`], and the window is as before: drop the plaintext.
    pub fn commit(&mut self, seq: u64) -> Result<(), Replayed> {
        if self.window.commit(seq).is_err() {
            self.replayed += 1;
            return Err(Replayed);
        }
        self.committed += 1;
        self.recovery.succeeded();
        Ok(())
    }

    /// What this state was made for.
    #[must_use]
    pub const fn config(&self) -> &RecordConfig {
        &self.config
    }

    /// The replay window.
    #[must_use]
    pub const fn window(&self) -> &ReplayWindow {
        &self.window
    }

    /// Records authenticated so far, replayed ones included.
    #[must_use]
    pub const fn opened(&self) -> u64 {
        self.opened
    }

    /// Records committed so far.
    #[must_use]
    pub const fn committed(&self) -> u64 {
        self.committed
    }

    /// Failed authentications so far, trials of the recovery included.
    #[must_use]
    pub const fn auth_failures(&self) -> u64 {
        self.auth_failures
    }

    /// Records refused as replayed so far.
    #[must_use]
    pub const fn replayed(&self) -> u64 {
        self.replayed
    }

    /// Whether a new association should be asked for: enough new records, or enough failures, were seen.
    #[must_use]
    pub const fn soft_limit(&self) -> bool {
        self.committed >= self.limits.soft_packets || self.auth_failures >= self.limits.soft_failures
    }

    /// Whether the integrity limit is reached, so that nothing is opened any more.
    #[must_use]
    pub const fn is_dead(&self) -> bool {
        self.auth_failures >= self.limits.hard_failures
    }
}

/// Ciphertext and tag of a record whose payload begins at `payload_at`.
fn split_payload(record: &mut [u8], payload_at: usize) -> Result<(&mut [u8], &[u8; TAG_LEN]), OpenError> {
    let (data, tag) = record[payload_at..]
        .split_last_chunk_mut()
        .ok_or(OpenError::Malformed)?;
    Ok((data, tag))
}

/// RFC 9147 section 4.2.2: the number with these low bits that is closest to `next`, one above the highest so far. Of two that
/// are as close, the one ahead, which is more likely to be new.
fn reconstruct(next: u64, low_bits: u64, modulus: u64) -> u64 {
    let candidate = (next & !(modulus - 1)) | low_bits;
    if (candidate > next + modulus / 2 || candidate > MAX_SEQ) && candidate >= modulus {
        candidate - modulus
    } else if candidate + modulus / 2 <= next && candidate + modulus <= MAX_SEQ {
        candidate + modulus
    } else {
        candidate
    }
}

/// When and how far ahead DTLS 1.3 looks for a record number after a long loss.
///
/// The wire shows 16 bits of it, so 32,768 records lost in a row would deafen a receiver that only ever takes the closest
/// number. RFC 9147 section 4.2.2 leaves other ways open. This one starts after [`RECOVERY_FAILURES`] failures in a row
/// and [`RECOVERY_QUIET_NS`] without a new record, and costs one more trial per failing record, which counts as a failure.
/// Nothing but an authentic *new* record ends or moves it: a forger gains one more guess at a tag, which the integrity limit
/// has paid for, and a replayer cannot keep the search from starting.
struct Recovery {
    failures: u32,
    now_ns: u64,
    /// Time of the last new record; of the first record of all before there was one.
    last_new_ns: Option<u64>,
    /// Wraps that the last trial went ahead.
    wraps: u64,
}

impl Recovery {
    const fn new() -> Self {
        Self {
            failures: 0,
            now_ns: 0,
            last_new_ns: None,
            wraps: 0,
        }
    }

    fn tick(&mut self, now_ns: u64) {
        self.now_ns = now_ns;
        self.last_new_ns.get_or_insert(now_ns);
    }

    const fn failed(&mut self) {
        self.failures = self.failures.saturating_add(1);
    }

    const fn succeeded(&mut self) {
        self.failures = 0;
        self.wraps = 0;
        self.last_new_ns = Some(self.now_ns);
    }

    /// How many wraps ahead to try for the record that just failed, if at all.
    fn next_trial(&mut self) -> Option<u64> {
        let quiet_ns = self.now_ns.saturating_sub(self.last_new_ns?);
        if self.failures < RECOVERY_FAILURES || quiet_ns < RECOVERY_QUIET_NS {
            return None;
        }
        self.wraps = self.wraps % RECOVERY_WRAPS + 1;
        Some(self.wraps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every number with these low bits near `next`, and which of them is the closest.
    fn closest(next: u64, low_bits: u64, modulus: u64) -> u64 {
        let first = (next.saturating_sub(2 * modulus) & !(modulus - 1)) | low_bits;
        (0..5)
            .map(|wraps| first + wraps * modulus)
            .filter(|&seq| seq <= MAX_SEQ)
            .min_by_key(|&seq| (seq.abs_diff(next), u64::MAX - seq))
            .unwrap()
    }

    #[test]
    fn the_closest_number_is_reconstructed_whatever_the_next_one_is() {
        for modulus in [1 << 8, 1 << 16] {
            let ends = [
                0,
                1,
                modulus / 2 - 1,
                modulus / 2,
                modulus / 2 + 1,
                modulus - 1,
                modulus,
                modulus + 1,
            ];
            for end in ends {
                for next in [end, 5 * modulus + end, MAX_SEQ + 1 - end] {
                    for low_bits in 0..modulus {
                        let seq = reconstruct(next, low_bits, modulus);
                        assert_eq!(seq, closest(next, low_bits, modulus), "{next} {low_bits} {modulus}");
                    }
                }
            }
        }
    }
}
