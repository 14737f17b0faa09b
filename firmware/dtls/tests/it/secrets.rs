//! Keys can be neither printed nor copied, and are wiped.

use crate::fixture::keys;
use core::fmt::{Debug, Display};
use sealnic_dtls::{CipherSuite, KeyMaterial, ReadState, WriteState};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Compiles only while `$type` lacks `$trait`: with it, both implementations apply and inference is ambiguous.
macro_rules! assert_lacks {
    ($type:ty: $($trait:path),+) => {$({
        trait Ambiguous<Marker> {
            fn check() {}
        }
        impl<T> Ambiguous<()> for T {}
        struct Has;
        impl<T: $trait> Ambiguous<Has> for T {}
        <$type as Ambiguous<_>>::check();
    })+};
}

fn is_wiped_on_drop<T: ZeroizeOnDrop>() {}

#[test]
fn keys_and_states_can_be_neither_printed_nor_copied() {
    assert_lacks!(KeyMaterial: Debug, Display, Clone, Copy, PartialEq);
    assert_lacks!(WriteState: Debug, Display, Clone, Copy, PartialEq);
    assert_lacks!(ReadState: Debug, Display, Clone, Copy, PartialEq);
}

#[test]
fn keys_are_wiped_on_drop() {
    is_wiped_on_drop::<KeyMaterial>();
    is_wiped_on_drop::<aes::Aes128Enc>();
    is_wiped_on_drop::<aes::Aes256Enc>();
    assert!(core::mem::needs_drop::<ghash::GHash>());
    assert!(core::mem::needs_drop::<WriteState>() && core::mem::needs_drop::<ReadState>());
    let mut keys = keys();
    keys.zeroize();
    assert_eq!((keys.key, keys.iv, keys.sn_key), ([0; 32], [0; 12], [0; 32]));
}

#[test]
fn a_check_value_tells_keys_and_suites_apart_and_is_not_the_hash_key() {
    let value = |suite| keys().check_value(suite);
    for suite in [CipherSuite::Aes128Gcm, CipherSuite::Aes256Gcm] {
        assert_eq!(value(suite), value(suite));
        let mut other = keys();
        other.key[suite.key_len() - 1] ^= 1;
        assert_ne!(other.check_value(suite), value(suite));
        // IV and record-number key are not part of it: the same AES key with another IV is the same key.
        let mut other = keys();
        other.iv[0] ^= 1;
        other.sn_key[0] ^= 1;
        assert_eq!(other.check_value(suite), value(suite));
        // H is what encrypting the zero block yields, so H as a tag mask would show up here.
        let h = crate::vectors_records::record_number_mask(suite, &keys().key[..suite.key_len()], &[0; 16]);
        assert_ne!(value(suite), h);
    }
    assert_ne!(value(CipherSuite::Aes128Gcm), value(CipherSuite::Aes256Gcm));
    // Octets past an AES-128 key are not part of it.
    let mut other = keys();
    other.key[16] ^= 1;
    assert_eq!(other.check_value(CipherSuite::Aes128Gcm), value(CipherSuite::Aes128Gcm));
}
