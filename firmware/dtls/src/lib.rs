//! Record protection of one epoch of one direction of a DTLS association, in place and without I/O.
//!
//! A [`WriteState`] turns `header room | plaintext | trailer room` into a protected record; a [`ReadState`] authenticates a
//! received record, decrypts it where it lies, and keeps the replay window. Both speak DTLS 1.2 (RFC 6347, RFC 5288),
//! DTLS 1.2 with connection id (RFC 9146) and DTLS 1.3 (RFC 9147), each with AES-128-GCM and AES-256-GCM. Key schedule and
//! hash key are expanded once, when the state is made. The crate is `no_std`, allocates nothing, holds no clock, and
//! depends on no other part of SealNIC.
//!
//! Three rules are kept here and nowhere else: a record number is consumed before any octet of its record is written, so no
//! nonce is used twice; the tag is checked before anything is decrypted, and after any failure the record is all zero; a
//! forged record counts against the key's integrity limit but never moves the replay window.
//!
//! - [`connection_id`]: the inline connection id
//! - [`key_material`]: keys as they come in, wiped on drop
//! - [`record_config`]: version, suite, connection id and epoch of one direction
//! - [`limits`]: how much a key may protect, and how many forgeries it may see
//! - [`write_state`], [`read_state`]: seal and open
//! - [`replay`]: the sliding window, check and commit apart
//! - `aead`: AES-GCM behind the narrow interface a faster kernel would implement
//! - `header`: record headers, nonces and additional data of the three forms
//! - `hazmat` (feature of the same name): nonces chosen by the caller, for test vectors
#![no_std]

mod aead;
pub mod connection_id;
#[cfg(feature = "hazmat")]
pub mod hazmat;
mod header;
pub mod key_material;
pub mod limits;
pub mod read_state;
pub mod record_config;
pub mod replay;
pub mod write_state;

pub use connection_id::{ConnectionId, ConnectionIdTooLong, MAX_CID_LEN};
pub use key_material::KeyMaterial;
pub use limits::Limits;
pub use read_state::{OpenError, Opened, ReadState};
pub use record_config::{CipherSuite, KeyError, MAX_PLAINTEXT_LEN, MAX_SEQ, RecordConfig, Version};
pub use replay::{ReplayWindow, Replayed};
pub use write_state::{SealError, Sealed, WriteState};
