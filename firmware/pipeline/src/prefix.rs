//! Longest-prefix match per VNI: one exact-match table, probed once for each prefix length in use, longest first. Only
//! the slow path asks; what it finds is cached in a flow entry.

use crate::index::{Full, Index, Key};
use crate::memory::Memory;
use sealnic_abi::object::Address;
use zerocopy::{Immutable, IntoBytes};

/// A prefix within a VNI. Octets past the prefix are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoBytes, Immutable)]
#[repr(C)]
pub struct PrefixKey {
    vni: u32,
    octets: [u8; 16],
    len: u8,
    family: u8,
    reserved: [u8; 2],
}

impl Key for PrefixKey {}

impl PrefixKey {
    /// A prefix; `None` when the family is unknown, the length too great, or octets past the prefix are not zero.
    #[must_use]
    pub fn new(vni: u32, address: &Address, len: u8) -> Option<Self> {
        let key = Self::masked(vni, address, len)?;
        (key.octets == address.octets).then_some(key)
    }

    fn masked(vni: u32, address: &Address, len: u8) -> Option<Self> {
        if address.family != 4 && address.family != 6 || len > address.max_prefix_len() {
            return None;
        }
        let mask = if len == 0 {
            0
        } else {
            u128::MAX << (128 - u32::from(len))
        };
        let octets = (u128::from_be_bytes(address.octets) & mask).to_be_bytes();
        Some(Self {
            vni,
            octets,
            len,
            family: address.family,
            reserved: [0; 2],
        })
    }

    /// VNI.
    #[must_use]
    pub fn vni(&self) -> u32 {
        self.vni
    }

    /// First address of the prefix.
    #[must_use]
    pub fn address(&self) -> Address {
        Address {
            octets: self.octets,
            family: self.family,
            reserved: [0; 3],
        }
    }

    /// Prefix length, in bits.
    #[must_use]
    pub fn prefix_len(&self) -> u8 {
        self.len
    }
}

/// A longest-prefix-match table.
pub struct PrefixTable<M: Memory, V> {
    index: Index<M, PrefixKey, V>,
    /// Number of prefixes of each length: IPv4 in the first row, IPv6 in the second.
    lengths: [[u32; 129]; 2],
}

impl<M: Memory, V: Copy> PrefixTable<M, V> {
    /// An empty table for up to `capacity` prefixes.
    pub fn new(memory: &mut M, capacity: usize, secret: [u8; 16]) -> Self {
        Self {
            index: Index::new(memory, capacity, secret),
            lengths: [[0; 129]; 2],
        }
    }

    fn length_count(&mut self, key: &PrefixKey) -> &mut u32 {
        &mut self.lengths[usize::from(key.family == 6)][usize::from(key.len)]
    }

    /// Sets a prefix's value.
    ///
    /// # Errors
    /// [`Full`] when the prefix is new and there is no room.
    pub fn insert(&mut self, key: PrefixKey, value: V) -> Result<(), Full> {
        let is_new = self.index.slot_of(&key).is_none();
        self.index.insert(key, value)?;
        if is_new {
            *self.length_count(&key) += 1;
        }
        Ok(())
    }

    /// Removes a prefix.
    pub fn remove(&mut self, key: &PrefixKey) -> Option<V> {
        let value = self.index.remove(key)?;
        *self.length_count(key) -= 1;
        Some(value)
    }

    /// Value of exactly this prefix.
    #[must_use]
    pub fn get(&self, key: &PrefixKey) -> Option<V> {
        self.index.get(key)
    }

    /// Slot of the longest prefix that contains the address; valid until the next removal.
    #[must_use]
    pub fn lookup_slot(&self, vni: u32, address: &Address) -> Option<usize> {
        let counts = &self.lengths[usize::from(address.family == 6)];
        (0..=address.max_prefix_len())
            .rev()
            .filter(|len| counts[usize::from(*len)] != 0)
            .find_map(|len| self.index.slot_of(&PrefixKey::masked(vni, address, len)?))
    }

    /// Longest prefix that contains the address, with its value.
    #[must_use]
    pub fn lookup(&self, vni: u32, address: &Address) -> Option<(PrefixKey, V)> {
        self.at(self.lookup_slot(vni, address)?)
    }

    /// What stands in a slot.
    #[must_use]
    pub fn at(&self, slot: usize) -> Option<(PrefixKey, V)> {
        self.index.at(slot)
    }

    /// Number of slots, for cursors.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.index.slots()
    }

    /// All prefixes and values.
    pub fn iter(&self) -> impl Iterator<Item = (PrefixKey, V)> + '_ {
        self.index.iter()
    }

    /// Removes everything.
    pub fn clear(&mut self) {
        self.index.clear();
        self.lengths = [[0; 129]; 2];
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::testing::HeapMemory;
    use core::net::IpAddr;

    fn address(text: &str) -> Address {
        Address::from(text.parse::<IpAddr>().unwrap())
    }

    #[test]
    fn the_longest_prefix_of_the_right_vni_and_family_wins() {
        let mut table = PrefixTable::<HeapMemory, u32>::new(&mut HeapMemory, 16, [1; 16]);
        for (vni, prefix, len, value) in [
            (1, "0.0.0.0", 0, 1),
            (1, "10.0.0.0", 8, 2),
            (1, "10.1.0.0", 16, 3),
            (1, "10.1.2.3", 32, 4),
            (2, "10.1.2.3", 32, 5),
            (1, "fd00::", 8, 6),
            (1, "fd00::1", 128, 7),
        ] {
            table
                .insert(PrefixKey::new(vni, &address(prefix), len).unwrap(), value)
                .unwrap();
        }
        let find = |t: &PrefixTable<HeapMemory, u32>, vni, ip| t.lookup(vni, &address(ip)).map(|(_, v)| v);
        assert_eq!(find(&table, 1, "10.1.2.3"), Some(4));
        assert_eq!(find(&table, 1, "10.1.2.4"), Some(3));
        assert_eq!(find(&table, 1, "10.2.0.1"), Some(2));
        assert_eq!(find(&table, 1, "11.0.0.1"), Some(1));
        assert_eq!(find(&table, 2, "10.1.2.3"), Some(5));
        assert_eq!(find(&table, 2, "10.1.2.4"), None);
        assert_eq!(find(&table, 1, "fd00::1"), Some(7));
        assert_eq!(find(&table, 1, "fd00::2"), Some(6));
        assert_eq!(find(&table, 1, "fe80::2"), None);
        table.remove(&PrefixKey::new(1, &address("10.1.2.3"), 32).unwrap());
        assert_eq!(find(&table, 1, "10.1.2.3"), Some(3));
    }

    #[test]
    fn prefixes_with_bits_past_their_length_are_refused() {
        assert!(PrefixKey::new(1, &address("10.0.0.1"), 8).is_none());
        assert!(PrefixKey::new(1, &address("10.0.0.1"), 33).is_none());
        assert!(PrefixKey::new(1, &Address::ZERO, 0).is_none());
        assert!(PrefixKey::new(1, &address("::"), 0).is_some());
    }
}
