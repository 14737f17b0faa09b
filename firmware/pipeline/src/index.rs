//! An exact-match table over caller-supplied memory: open addressing, linear probing, deletion by backward shift.
//!
//! At most half of the slots are ever used, and the hash is keyed, so probes stay short whatever the host programs.

use crate::memory::Memory;
use core::hash::Hasher;
use siphasher::sip::SipHasher13;
use zerocopy::{Immutable, IntoBytes};

/// No room for another key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// A map from `K` to `V` of bounded size.
pub struct Index<M: Memory, K, V> {
    slots: M::Slice<Option<(K, V)>>,
    len: usize,
    capacity: usize,
    secret: [u8; 16],
}

/// A key, and how it is hashed.
pub trait Key: IntoBytes + Immutable + Eq + Copy {
    /// Keyed hash. By default SipHash: no choice of keys, whoever makes it, lengthens the probes.
    fn hash(&self, secret: &[u8; 16]) -> u64 {
        let mut hasher = SipHasher13::new_with_key(secret);
        hasher.write(self.as_bytes());
        hasher.finish()
    }
}

impl Key for u32 {}
impl Key for [u8; 16] {}

impl<M: Memory, K: Key, V: Copy> Index<M, K, V> {
    /// An empty map for up to `capacity` keys; `secret` keys its hash.
    pub fn new(memory: &mut M, capacity: usize, secret: [u8; 16]) -> Self {
        let slots = (capacity.max(1) * 2).next_power_of_two();
        Self {
            slots: memory.slice(slots, || None),
            len: 0,
            capacity,
            secret,
        }
    }

    #[inline]
    fn home(&self, key: &K) -> usize {
        // The table's size is a power of two, so masking keeps the low bits of the hash.
        key.hash(&self.secret) as usize & (self.slots.len() - 1)
    }

    #[inline]
    fn find(&self, key: &K) -> Result<usize, usize> {
        let mask = self.slots.len() - 1;
        let mut slot = self.home(key);
        while let Some((k, _)) = &self.slots[slot] {
            if k == key {
                return Ok(slot);
            }
            slot = (slot + 1) & mask;
        }
        Err(slot)
    }

    /// Slot of a key, valid until the next removal.
    #[must_use]
    pub fn slot_of(&self, key: &K) -> Option<usize> {
        self.find(key).ok()
    }

    /// Value of a key.
    #[inline]
    #[must_use]
    pub fn get(&self, key: &K) -> Option<V> {
        self.find(key).ok().and_then(|slot| self.at(slot)).map(|(_, v)| v)
    }

    /// What stands in a slot.
    #[inline]
    #[must_use]
    pub fn at(&self, slot: usize) -> Option<(K, V)> {
        self.slots.get(slot).copied().flatten()
    }

    /// Sets a key's value.
    ///
    /// # Errors
    /// [`Full`] when the key is new and there is no room.
    pub fn insert(&mut self, key: K, value: V) -> Result<(), Full> {
        match self.find(&key) {
            Ok(slot) => self.slots[slot] = Some((key, value)),
            Err(_) if self.len >= self.capacity => return Err(Full),
            Err(slot) => {
                self.slots[slot] = Some((key, value));
                self.len += 1;
            }
        }
        Ok(())
    }

    /// Removes a key and returns its value.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let mask = self.slots.len() - 1;
        let mut hole = self.find(key).ok()?;
        let (_, value) = self.slots[hole].take()?;
        self.len -= 1;
        let mut next = (hole + 1) & mask;
        while let Some((k, v)) = self.slots[next] {
            // An entry may move into the hole only if its home doesn't lie behind the hole.
            let home = self.home(&k);
            if (next.wrapping_sub(home) & mask) >= (next.wrapping_sub(hole) & mask) {
                self.slots[hole] = Some((k, v));
                self.slots[next] = None;
                hole = next;
            }
            next = (next + 1) & mask;
        }
        Some(value)
    }

    /// Removes everything.
    pub fn clear(&mut self) {
        self.slots.iter_mut().for_each(|slot| *slot = None);
        self.len = 0;
    }

    /// Number of slots, for cursors.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.slots.len()
    }

    /// All keys and values.
    pub fn iter(&self) -> impl Iterator<Item = (K, V)> + '_ {
        self.slots.iter().filter_map(|slot| *slot)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::testing::HeapMemory;
    use std::collections::HashMap;

    #[test]
    fn agrees_with_a_map_of_the_standard_library_under_random_use() {
        let mut index = Index::<HeapMemory, u32, u32>::new(&mut HeapMemory, 100, [3; 16]);
        let mut oracle = HashMap::new();
        let mut random = 12_345u32;
        for _ in 0..200_000 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let key = (random >> 8) % 150;
            if random >> 31 == 0 {
                let expected = if oracle.contains_key(&key) || oracle.len() < 100 {
                    oracle.insert(key, random);
                    Ok(())
                } else {
                    Err(Full)
                };
                assert_eq!(index.insert(key, random), expected);
            } else {
                assert_eq!(index.remove(&key), oracle.remove(&key));
            }
            assert_eq!(index.get(&key), oracle.get(&key).copied());
        }
        assert_eq!(index.iter().collect::<HashMap<_, _>>(), oracle);
    }
}
