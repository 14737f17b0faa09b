//! Secrets of an SA, and their derivation for scenarios with static keys.
//!
//! A scenario has one secret. Both ends derive the same keys from it, the run's random id and the names of association,
//! sender and epoch (HKDF-SHA256, RFC 5869). The run id keeps two runs from sealing different records under one key and
//! sequence number; a fixed run id gives that up, for byte-exact repetition only.

use hkdf::Hkdf;
use sealnic_abi::object::{CipherSuite, DtlsVersion};
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Secrets of one direction of one epoch. Wiped on drop; can be neither printed nor cloned. They stay in one place on the heap
/// until then: moves leave no copies.
pub struct SaKeys {
    pub(crate) secrets: Box<Secrets>,
    version: DtlsVersion,
    suite: CipherSuite,
}

/// The octets, zeros behind shorter keys.
#[derive(Default, Zeroize, ZeroizeOnDrop)]
pub(crate) struct Secrets {
    pub(crate) key: [u8; 32],
    pub(crate) iv: [u8; 12],
    pub(crate) sn_key: [u8; 32],
}

/// A secret has the wrong length for its version and cipher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the {which} has {len} octets, this DTLS version and cipher take {need}")]
pub struct KeyLengthError {
    /// Which secret.
    pub which: &'static str,
    /// Its length, in octets.
    pub len: usize,
    /// The length needed, in octets.
    pub need: usize,
}

impl SaKeys {
    /// Takes keys as a handshake yields them: `key` of 16 or 32 octets, `iv` of 12 octets (DTLS 1.3) or a salt of 4
    /// (DTLS 1.2, RFC 5288 section 3), `sn_key` as long as `key` (DTLS 1.3, RFC 9147 section 4.2.3) or empty (DTLS 1.2).
    ///
    /// # Errors
    /// A length doesn't fit.
    pub fn new(
        version: DtlsVersion,
        suite: CipherSuite,
        key: &[u8],
        iv: &[u8],
        sn_key: &[u8],
    ) -> Result<Self, KeyLengthError> {
        let (iv_len, sn_key_len) = lengths(version, suite);
        let mut keys = Self::zeroed(version, suite);
        fill("key", &mut keys.secrets.key, key, suite_key_len(suite))?;
        fill("IV", &mut keys.secrets.iv, iv, iv_len)?;
        fill("record-number key", &mut keys.secrets.sn_key, sn_key, sn_key_len)?;
        Ok(keys)
    }

    fn zeroed(version: DtlsVersion, suite: CipherSuite) -> Self {
        Self {
            secrets: Box::default(),
            version,
            suite,
        }
    }

    /// The AES key, for who has to write it down on purpose.
    #[must_use]
    pub fn expose_key(&self) -> &[u8] {
        &self.secrets.key[..suite_key_len(self.suite)]
    }

    /// The IV (DTLS 1.3) or salt (DTLS 1.2), for who has to write it down on purpose.
    #[must_use]
    pub fn expose_iv(&self) -> &[u8] {
        &self.secrets.iv[..lengths(self.version, self.suite).0]
    }

    /// The record-number key, empty for DTLS 1.2, for who has to write it down on purpose.
    #[must_use]
    pub fn expose_sn_key(&self) -> &[u8] {
        &self.secrets.sn_key[..lengths(self.version, self.suite).1]
    }

    /// DTLS version that the keys are for.
    #[must_use]
    pub const fn version(&self) -> DtlsVersion {
        self.version
    }

    /// Cipher that the keys are for.
    #[must_use]
    pub const fn suite(&self) -> CipherSuite {
        self.suite
    }
}

/// Random name of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunId([u8; 16]);

impl RunId {
    /// The run id of every run with fixed keys. Two such runs with different traffic break the cipher: tests only.
    pub const UNSAFE_FIXED: Self = Self([0; 16]);

    /// Draws a run id.
    ///
    /// # Errors
    /// The operating system gave no randomness; no run may start then.
    pub fn random() -> Result<Self, std::io::Error> {
        let mut octets = [0; 16];
        getrandom::fill(&mut octets).map_err(std::io::Error::other)?;
        Ok(Self(octets))
    }

    /// A run id that was drawn before.
    #[must_use]
    pub const fn from_octets(octets: [u8; 16]) -> Self {
        Self(octets)
    }

    /// Its octets, for the run's summary.
    #[must_use]
    pub const fn octets(&self) -> &[u8; 16] {
        &self.0
    }
}

/// Which end of an association seals with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sender {
    /// The end that the association's name mentions first.
    First,
    /// The other end.
    Second,
}

/// What a key is for. Both ends must name it alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyName<'a> {
    /// The association; any octets that are its own in the scenario and equal at both ends.
    pub association: &'a [u8],
    /// Who seals.
    pub sender: Sender,
    /// Epoch.
    pub epoch: u64,
    /// DTLS version.
    pub version: DtlsVersion,
    /// Cipher.
    pub suite: CipherSuite,
}

/// Derives a scenario's static keys.
pub struct KeyDerivation {
    hkdf: Hkdf<Sha256>,
}

impl KeyDerivation {
    /// From the scenario's secret and the run's id (HKDF-Extract; the run id is the salt).
    #[must_use]
    pub fn new(secret: &[u8], run_id: &RunId) -> Self {
        Self {
            hkdf: Hkdf::new(Some(&run_id.0), secret),
        }
    }

    /// The keys of that name. Different names give independent keys.
    #[must_use]
    pub fn sa_keys(&self, name: &KeyName<'_>) -> SaKeys {
        let (iv_len, sn_key_len) = lengths(name.version, name.suite);
        let mut keys = SaKeys::zeroed(name.version, name.suite);
        self.expand(name, b"key", &mut keys.secrets.key[..suite_key_len(name.suite)]);
        self.expand(name, b"iv", &mut keys.secrets.iv[..iv_len]);
        self.expand(name, b"sn", &mut keys.secrets.sn_key[..sn_key_len]);
        keys
    }

    /// Random octets that both ends know, for what is no key: a seed for connection ids, say.
    #[must_use]
    pub fn seed(&self, purpose: &[u8]) -> [u8; 32] {
        let mut seed = [0; 32];
        // Another label than the keys', so that no purpose can be mistaken for a key's name.
        let expanded = self
            .hkdf
            .expand_multi_info(&[b"SealNIC static seed 1", purpose], &mut seed);
        debug_assert!(expanded.is_ok(), "32 octets are asked for, HKDF-SHA256 gives 8160");
        seed
    }

    fn expand(&self, name: &KeyName<'_>, purpose: &[u8], out: &mut [u8]) {
        let association_len = u64::try_from(name.association.len()).unwrap_or(u64::MAX).to_be_bytes();
        let fixed = [
            u8::from(name.version),
            u8::from(name.suite),
            match name.sender {
                Sender::First => 0,
                Sender::Second => 1,
            },
        ];
        // Every part but the last has a fixed length or is preceded by it, so no two names share an info string.
        let info: [&[u8]; 6] = [
            b"SealNIC static keys 1",
            &fixed,
            &name.epoch.to_be_bytes(),
            &association_len,
            name.association,
            purpose,
        ];
        let expanded = self.hkdf.expand_multi_info(&info, out);
        debug_assert!(
            expanded.is_ok(),
            "at most 32 octets are asked for, HKDF-SHA256 gives 8160"
        );
    }
}

const fn suite_key_len(suite: CipherSuite) -> usize {
    match suite {
        CipherSuite::Aes128Gcm => 16,
        CipherSuite::Aes256Gcm => 32,
    }
}

/// Lengths of IV and record-number key, in octets.
const fn lengths(version: DtlsVersion, suite: CipherSuite) -> (usize, usize) {
    match version {
        DtlsVersion::Dtls12 => (4, 0),
        DtlsVersion::Dtls13 => (12, suite_key_len(suite)),
    }
}

fn fill(which: &'static str, to: &mut [u8], from: &[u8], need: usize) -> Result<(), KeyLengthError> {
    match to.get_mut(..need) {
        Some(to) if from.len() == need => {
            to.copy_from_slice(from);
            Ok(())
        }
        _ => Err(KeyLengthError {
            which,
            len: from.len(),
            need,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn all_names() -> Vec<KeyName<'static>> {
        let mut names = Vec::new();
        for association in [&b"a"[..], b"ab", b"b", b""] {
            for sender in [Sender::First, Sender::Second] {
                for epoch in [1, 2, 3, 1 << 40] {
                    for &version in DtlsVersion::ALL {
                        for &suite in CipherSuite::ALL {
                            names.push(KeyName {
                                association,
                                sender,
                                epoch,
                                version,
                                suite,
                            });
                        }
                    }
                }
            }
        }
        names
    }

    #[test]
    fn every_name_has_secrets_of_its_own_and_of_the_right_length() {
        let mut seen = HashSet::new();
        for run in [RunId::UNSAFE_FIXED, RunId::from_octets([1; 16])] {
            let derivation = KeyDerivation::new(b"scenario secret", &run);
            for name in all_names() {
                let keys = derivation.sa_keys(&name);
                let key_len = if name.suite == CipherSuite::Aes128Gcm { 16 } else { 32 };
                let is_13 = name.version == DtlsVersion::Dtls13;
                assert_eq!(keys.expose_key().len(), key_len);
                assert_eq!(keys.expose_iv().len(), if is_13 { 12 } else { 4 });
                assert_eq!(keys.expose_sn_key().len(), if is_13 { key_len } else { 0 });
                assert!(seen.insert(keys.expose_key()[..16].to_vec()), "{name:?}: key repeats");
                if is_13 {
                    assert!(
                        seen.insert(keys.expose_sn_key()[..16].to_vec()),
                        "{name:?}: sn_key repeats"
                    );
                }
            }
        }
    }

    #[test]
    fn both_ends_derive_the_same_keys() {
        for name in all_names() {
            let one = KeyDerivation::new(b"secret", &RunId::from_octets([7; 16])).sa_keys(&name);
            let other = KeyDerivation::new(b"secret", &RunId::from_octets([7; 16])).sa_keys(&name);
            assert!(one.expose_key() == other.expose_key());
            assert!(one.expose_iv() == other.expose_iv());
            assert!(one.expose_sn_key() == other.expose_sn_key());
        }
    }

    #[test]
    fn seeds_differ_by_purpose_run_and_secret() {
        let derive = |secret: &[u8], run| KeyDerivation::new(secret, &RunId::from_octets([run; 16]));
        let seeds = [
            derive(b"secret", 1).seed(b"a"),
            derive(b"secret", 1).seed(b"b"),
            derive(b"secret", 2).seed(b"a"),
            derive(b"other", 1).seed(b"a"),
        ];
        assert_eq!(HashSet::from(seeds).len(), seeds.len());
        assert_eq!(derive(b"secret", 1).seed(b"a"), seeds[0]);
    }

    /// Computed with HMAC-SHA256 of Python's standard library by RFC 5869 sections 2.2 and 2.3.
    #[test]
    fn a_key_is_what_hkdf_says() {
        let keys = KeyDerivation::new(b"secret", &RunId::UNSAFE_FIXED).sa_keys(&KeyName {
            association: b"blue",
            sender: Sender::Second,
            epoch: 3,
            version: DtlsVersion::Dtls13,
            suite: CipherSuite::Aes256Gcm,
        });
        let hex = |octets: &[u8]| octets.iter().map(|o| format!("{o:02x}")).collect::<String>();
        assert_eq!(
            hex(keys.expose_key()),
            "f83f94e362dc5eec25c9934e5992faa16c7fd8a92ae25da12b11ef0a8444bfe9"
        );
        assert_eq!(hex(keys.expose_iv()), "ae5b634c125854fa8752b85c");
        assert_eq!(
            hex(keys.expose_sn_key()),
            "4faa182cfcee5527747a5adf80c158dd40cac1c200d5a4d7a79eabc91bbd267f"
        );
    }

    #[test]
    fn random_run_ids_differ() {
        assert_ne!(RunId::random().unwrap(), RunId::random().unwrap());
        assert_ne!(RunId::random().unwrap(), RunId::UNSAFE_FIXED);
    }

    #[test]
    fn lengths_that_do_not_fit_are_refused() {
        let new = |version, suite, key, iv, sn| {
            SaKeys::new(version, suite, &[1; 64][..key], &[2; 64][..iv], &[3; 64][..sn]).is_ok()
        };
        for len in 0..=33 {
            assert_eq!(new(DtlsVersion::Dtls13, CipherSuite::Aes128Gcm, len, 12, 16), len == 16);
            assert_eq!(new(DtlsVersion::Dtls13, CipherSuite::Aes256Gcm, 32, len, 32), len == 12);
            assert_eq!(new(DtlsVersion::Dtls13, CipherSuite::Aes256Gcm, 32, 12, len), len == 32);
            assert_eq!(new(DtlsVersion::Dtls12, CipherSuite::Aes256Gcm, 32, len, 0), len == 4);
            assert_eq!(new(DtlsVersion::Dtls12, CipherSuite::Aes256Gcm, 32, 4, len), len == 0);
        }
    }
}
