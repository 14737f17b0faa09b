//! The flow table's keyed hash: a 64-bit Toeplitz hash (as in receive-side scaling) over the flow key, with a secret key.
//! In RTL it is one level of XOR trees; here, a table lookup per nibble.

use sealnic_abi::flow::FlowKey;
use siphasher::sip::SipHasher13;
use zerocopy::IntoBytes;

/// Octets of the flow key that are hashed; the rest are zero, and zeros hash to nothing.
const HASHED: usize = 42;

/// Offsets of octets that an IPv4 key leaves zero: the tails of its two addresses.
const SRC: usize = 8;
const DST: usize = 24;
const TAIL: usize = 40;

/// A Toeplitz hash with its key expanded.
pub(crate) struct Toeplitz {
    tables: [[u64; 16]; HASHED * 2],
}

impl Toeplitz {
    /// Expands a secret.
    #[must_use]
    pub(crate) fn new(secret: [u8; 16]) -> Self {
        use core::hash::Hasher;
        // The key's bit string: SipHash as a generator, enough for every 64-bit window.
        let word = |n: usize| {
            let mut generator = SipHasher13::new_with_key(&secret);
            generator.write_u64(n as u64);
            generator.finish()
        };
        let window = |bit: usize| {
            let (high, low) = (word(bit / 64), word(bit / 64 + 1));
            ((u128::from(high) << 64 | u128::from(low)) >> (64 - bit % 64)) as u64
        };
        let mut tables = [[0; 16]; HASHED * 2];
        for (n, table) in tables.iter_mut().enumerate() {
            let windows: [u64; 4] = core::array::from_fn(|bit| window(n * 4 + bit));
            for (value, entry) in table.iter_mut().enumerate() {
                // The most significant bit of an octet comes first.
                *entry = (0..4)
                    .filter(|bit| value & (8 >> bit) != 0)
                    .fold(0, |sum, bit| sum ^ windows[bit]);
            }
        }
        Self { tables }
    }

    #[inline]
    fn octets(&self, octets: &[u8; 48], from: usize, to: usize) -> u64 {
        let nibble = |n: usize, value: u8| self.tables[n][usize::from(value)];
        (from..to).fold(0, |sum, n| {
            sum ^ nibble(n * 2, octets[n] >> 4) ^ nibble(n * 2 + 1, octets[n] & 15)
        })
    }

    /// Hash of a key.
    #[inline]
    #[must_use]
    pub(crate) fn hash(&self, key: &FlowKey) -> u64 {
        let octets: &[u8; 48] = zerocopy::transmute_ref!(key);
        if key.flags & FlowKey::IPV6 == 0 {
            self.octets(octets, 0, SRC + 4) ^ self.octets(octets, DST, DST + 4) ^ self.octets(octets, TAIL, HASHED)
        } else {
            self.octets(octets, 0, HASHED)
        }
    }

    /// The definition, bit by bit: the XOR of the key's windows at the set bits of the input.
    pub(crate) fn by_definition(secret: [u8; 16], key: &FlowKey) -> u64 {
        use core::hash::Hasher;
        let key_bit = |n: usize| {
            let mut generator = SipHasher13::new_with_key(&secret);
            generator.write_u64((n / 64) as u64);
            generator.finish() >> (63 - n % 64) & 1
        };
        let mut hash = 0;
        for (n, octet) in key.as_bytes().iter().enumerate() {
            for bit in 0..8 {
                if octet & (0x80 >> bit) != 0 {
                    hash ^= (0..64).fold(0, |window, i| window << 1 | key_bit(n * 8 + bit + i));
                }
            }
        }
        hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_give_what_the_definition_gives() {
        let secret = *b"0123456789abcdef";
        let toeplitz = Toeplitz::new(secret);
        let mut key = FlowKey {
            scope: 0x0102_0304,
            src_port: 5,
            dst_port: 443,
            protocol: 17,
            ..FlowKey::ZERO
        };
        key.src[..4].copy_from_slice(&[10, 1, 2, 3]);
        key.dst[..4].copy_from_slice(&[192, 168, 255, 254]);
        assert_eq!(toeplitz.hash(&key), Toeplitz::by_definition(secret, &key));
        key.flags = FlowKey::IPV6 | FlowKey::INGRESS;
        key.src = *b"sixteen octets !";
        key.dst = *b"and sixteen more";
        assert_eq!(toeplitz.hash(&key), Toeplitz::by_definition(secret, &key));
    }
}
