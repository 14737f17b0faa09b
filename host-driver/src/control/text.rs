//! Names, addresses and octets as text, and back.

use sealnic_abi::event::{EventKind, HostFrameKind};
use sealnic_abi::flow::ActionKind;
use sealnic_abi::object::{
    Address, AssociationState, Capability, CipherSuite, Direction, DtlsVersion, EncryptionCode, Enforcement,
    MappingKind, SaPhase,
};
use sealnic_abi::{DropReason, UnknownValue};
use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use zeroize::Zeroizing;

/// Text that means nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadText(pub String);

/// An enumeration of the ABI whose values have names.
pub trait Named: Copy + PartialEq + 'static {
    /// Every value.
    fn all() -> &'static [Self];
    /// Its name.
    fn name(self) -> &'static str;
    /// The value behind the ABI's number.
    ///
    /// # Errors
    /// There is none.
    fn from_number(number: u8) -> Result<Self, UnknownValue>;
}

macro_rules! named {
    ($($name:ident)*) => { $(
        impl Named for $name {
            fn all() -> &'static [Self] { Self::ALL }
            fn name(self) -> &'static str { self.name() }
            fn from_number(number: u8) -> Result<Self, UnknownValue> { Self::try_from(number) }
        }
    )* };
}

named! { Enforcement Capability MappingKind AssociationState DtlsVersion CipherSuite Direction SaPhase EncryptionCode
ActionKind DropReason EventKind HostFrameKind }

/// A value by its name. Case, `-` and `_` don't count when it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Name<E>(pub E);

impl<E: Named> fmt::Display for Name<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}

impl<E: Named> FromStr for Name<E> {
    type Err = BadText;

    fn from_str(text: &str) -> Result<Self, BadText> {
        let plain = |text: &str| {
            let letters = text.chars().filter(|c| !matches!(c, '-' | '_'));
            letters.map(|c| c.to_ascii_lowercase()).collect::<String>()
        };
        let wanted = plain(text);
        E::all()
            .iter()
            .copied()
            .find(|value| plain(value.name()) == wanted)
            .map(Name)
            .ok_or_else(|| {
                let names: Vec<&str> = E::all().iter().map(|value| value.name()).collect();
                BadText(format!("{text:?} is none of {}", names.join(", ")))
            })
    }
}

/// Name of the value behind a number of the device, or the number where this driver knows none.
pub(crate) fn name_of<E: Named>(number: u8) -> String {
    E::from_number(number).map_or_else(|_| format!("unknown ({number})"), |value| value.name().to_owned())
}

/// Serializes by `Display`, deserializes by `FromStr`.
macro_rules! by_text {
    ($( [$($generic:ident: $bound:ident)?] $type:ty; )*) => { $(
        impl$(<$generic: $bound>)? Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de $(, $generic: $bound)?> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(D::Error::custom)
            }
        }
    )* };
}

by_text! { [E: Named] Name<E>; [] Mac; [] Prefix; [] Octets; }

/// A MAC address, as six two-digit hexadecimal octets with colons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for Mac {
    type Err = BadText;

    fn from_str(text: &str) -> Result<Self, BadText> {
        let bad = || {
            BadText(format!(
                "{text:?} is no MAC address: write six two-digit octets with colons"
            ))
        };
        let mut octets = [0; 6];
        let mut parts = text.split(':');
        for octet in &mut octets {
            let part = parts.next().ok_or_else(bad)?;
            *octet = octet_of(part.as_bytes()).ok_or_else(bad)?;
        }
        if parts.next().is_some() {
            return Err(bad());
        }
        Ok(Self(octets))
    }
}

/// An address with its prefix length, such as `10.1.0.0/16`; without a length it is one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix {
    /// Address; its bits past the length are zero.
    pub address: IpAddr,
    /// Length, in bits.
    pub len: u8,
}

impl Prefix {
    /// From the ABI's pair; `None` when the family is unknown.
    #[must_use]
    pub fn from_abi(address: Address, len: u8) -> Option<Self> {
        address.to_ip().map(|address| Self { address, len })
    }

    /// The ABI's address.
    #[must_use]
    pub fn to_abi(self) -> Address {
        self.address.into()
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.len)
    }
}

impl FromStr for Prefix {
    type Err = BadText;

    fn from_str(text: &str) -> Result<Self, BadText> {
        let bad = |what: &str| BadText(format!("{text:?} is no prefix: {what}; write one such as 10.1.0.0/16"));
        let (address, len) = match text.split_once('/') {
            Some((address, len)) => (address, Some(len)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| bad("its address can't be read"))?;
        let (bits, max) = match address {
            IpAddr::V4(a) => (u128::from(a.to_bits()) << 96, 32),
            IpAddr::V6(a) => (a.to_bits(), 128),
        };
        let len = match len {
            None => max,
            Some(len) => {
                let len: u8 = len.parse().map_err(|_| bad("its length can't be read"))?;
                if len > max {
                    return Err(bad("it is too long"));
                }
                len
            }
        };
        if bits.checked_shl(u32::from(len)).unwrap_or(0) != 0 {
            return Err(bad("bits past its length are set"));
        }
        Ok(Self { address, len })
    }
}

/// Octets as hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Octets(pub Vec<u8>);

impl fmt::Display for Octets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl FromStr for Octets {
    type Err = BadText;

    fn from_str(text: &str) -> Result<Self, BadText> {
        let octets =
            unhex(text).ok_or_else(|| BadText(format!("{text:?} is no row of two-digit hexadecimal octets")))?;
        Ok(Self(octets.to_vec()))
    }
}

/// Secret octets, read from hexadecimal digits. They are wiped on drop, never written, and in no error message.
#[derive(Default)]
pub struct SecretOctets(pub Zeroizing<Vec<u8>>);

impl fmt::Debug for SecretOctets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretOctets(..)")
    }
}

impl<'de> Deserialize<'de> for SecretOctets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Hex;
        impl<'de> Visitor<'de> for Hex {
            type Value = SecretOctets;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("two-digit hexadecimal octets")
            }

            // Only text that stands in the input as it is: unescaping would leave a copy that nobody wipes.
            fn visit_borrowed_str<E: serde::de::Error>(self, text: &'de str) -> Result<SecretOctets, E> {
                unhex(text)
                    .map(SecretOctets)
                    .ok_or_else(|| E::custom("a secret is no row of two-digit hexadecimal octets"))
            }

            fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<SecretOctets, E> {
                Err(E::custom("a secret is written without escapes"))
            }
        }
        deserializer.deserialize_str(Hex)
    }
}

fn octet_of(digits: &[u8]) -> Option<u8> {
    let digit = |d: u8| char::from(d).to_digit(16).and_then(|d| u8::try_from(d).ok());
    match digits {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    }
}

fn unhex(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut octets = Zeroizing::new(Vec::with_capacity(text.len() / 2 + 1));
    for digits in text.as_bytes().chunks(2) {
        octets.push(octet_of(digits)?);
    }
    Some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_survive_and_bad_ones_are_refused() {
        for text in [
            "10.1.0.0/16",
            "0.0.0.0/0",
            "255.255.255.255/32",
            "::/0",
            "fd00:1::/64",
            "fd00::4/128",
        ] {
            assert_eq!(text.parse::<Prefix>().unwrap().to_string(), text);
        }
        assert_eq!("10.1.0.4".parse::<Prefix>().unwrap().len, 32);
        for text in [
            "10.1.0.1/16",
            "10.1.0.0/33",
            "::1/127",
            "10.1.0.0/",
            "10.1/16",
            "",
            "::/129",
            "0.0.0.1/0",
        ] {
            assert!(text.parse::<Prefix>().is_err(), "{text}");
        }
    }

    #[test]
    fn names_are_read_in_any_spelling() {
        for text in ["DropUnencrypted", "drop-unencrypted", "DROP_UNENCRYPTED"] {
            assert_eq!(text.parse(), Ok(Name(Enforcement::DropUnencrypted)));
        }
        let error = "drop".parse::<Name<Enforcement>>().unwrap_err().to_string();
        assert!(error.contains("AllowUnencrypted, DropUnencrypted"), "{error}");
    }

    #[test]
    fn octets_survive() {
        assert_eq!("00ff10".parse::<Octets>().unwrap().0, [0, 255, 16]);
        assert_eq!(Octets(vec![0, 255, 16]).to_string(), "00ff10");
        for text in ["0", "0g", "+1", "é"] {
            assert!(text.parse::<Octets>().is_err(), "{text}");
        }
        assert!("02:5e:00:00:00:01".parse::<Mac>().is_ok());
        for text in [
            "02:5e:00:00:00",
            "02:5e:00:00:00:01:02",
            "2:5e:00:00:00:01",
            "02-5e-00-00-00-01",
        ] {
            assert!(text.parse::<Mac>().is_err(), "{text}");
        }
    }

    #[test]
    fn secrets_are_in_no_message() {
        for text in [r#""deadbeefzz""#, r#""dead\u0062eef""#, "3735928559", r#"["deadbeef"]"#] {
            let error = serde_json::from_str::<SecretOctets>(text).unwrap_err().to_string();
            assert!(!error.contains("dead") && !error.contains("beef"), "{error}");
        }
        let secret: SecretOctets = serde_json::from_str(r#""deadbeef""#).unwrap();
        assert_eq!(*secret.0, [0xde, 0xad, 0xbe, 0xef]);
        assert_eq!(format!("{secret:?}"), "SecretOctets(..)");
    }
}
