//! MSI-X: table and pending bits (PCIe 6.0 section 7.7.2). Accesses of any width are defined.

/// Greatest number of vectors: the table ends where the pending bits begin.
pub const MAX_VECTORS: u16 = 128;
/// Octets of an entry.
const ENTRY: usize = 16;
/// Mask bit in the last word of an entry.
const MASKED: u8 = 1;

/// A message: what an interrupt writes, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message {
    /// Address.
    pub address: u64,
    /// Data.
    pub data: u32,
}

/// Table and pending bits.
pub struct Msix {
    table: Vec<u8>,
    pending: u128,
}

impl Msix {
    /// A table of `vectors` entries, all masked, as after a reset.
    #[must_use]
    pub fn new(vectors: u16) -> Self {
        let mut msix = Self {
            table: vec![0; ENTRY * usize::from(vectors.min(MAX_VECTORS))],
            pending: 0,
        };
        msix.reset();
        msix
    }

    /// Everything masked, nothing pending.
    pub fn reset(&mut self) {
        self.table.fill(0);
        for entry in self.table.chunks_mut(ENTRY) {
            entry[12] = MASKED;
        }
        self.pending = 0;
    }

    /// Number of vectors.
    #[must_use]
    pub fn vectors(&self) -> u16 {
        (self.table.len() / ENTRY) as u16
    }

    /// Vectors that are pending, one bit each.
    #[must_use]
    pub fn pending(&self) -> u128 {
        self.pending
    }

    /// Makes a vector pending, or not.
    pub fn set_pending(&mut self, vector: u16, pending: bool) {
        if vector < self.vectors() {
            let bit = 1u128 << vector;
            self.pending = if pending {
                self.pending | bit
            } else {
                self.pending & !bit
            };
        }
    }

    /// Whether a vector's entry masks it; one that isn't there is masked.
    #[must_use]
    pub fn is_masked(&self, vector: u16) -> bool {
        self.entry(vector).is_none_or(|entry| entry[12] & MASKED != 0)
    }

    /// The message of a vector.
    #[must_use]
    pub fn message(&self, vector: u16) -> Option<Message> {
        let entry = self.entry(vector)?;
        let word = |at: usize| {
            entry
                .get(at..at + 4)
                .and_then(|octets| octets.try_into().ok())
                .map_or(0, u32::from_le_bytes)
        };
        Some(Message {
            address: u64::from(word(4)) << 32 | u64::from(word(0)),
            data: word(8),
        })
    }

    fn entry(&self, vector: u16) -> Option<&[u8]> {
        self.table.chunks(ENTRY).nth(usize::from(vector))
    }

    /// Reads the table from `at` on; zeros behind it.
    pub fn read_table(&self, at: usize, octets: &mut [u8]) {
        fill(&self.table, at, octets);
    }

    /// Reads the pending bits from `at` on; zeros behind them.
    pub fn read_pending(&self, at: usize, octets: &mut [u8]) {
        fill(&self.pending.to_le_bytes(), at, octets);
    }

    /// Writes the table from `at` on. The two lowest bits of an address and all but the mask of the last word stay zero. What lies
    /// behind the table is ignored.
    pub fn write_table(&mut self, at: usize, octets: &[u8]) {
        let place = self.table.get_mut(at..).unwrap_or_default();
        for (offset, (octet, value)) in place.iter_mut().zip(octets).enumerate() {
            *octet = value
                & match (at + offset) % ENTRY {
                    0 => 0xFC,
                    12 => MASKED,
                    13..16 => 0,
                    _ => 0xFF,
                };
        }
    }
}

fn fill(from: &[u8], at: usize, octets: &mut [u8]) {
    let rest = from.get(at..).unwrap_or_default();
    let len = rest.len().min(octets.len());
    octets[..len].copy_from_slice(&rest[..len]);
    octets[len..].fill(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_a_message_and_a_mask() {
        let mut msix = Msix::new(3);
        assert!((0..4).all(|vector| msix.is_masked(vector)));
        msix.write_table(16, &[0xFF; 16]);
        msix.write_table(28, &[0xFE, 0xFF, 0xFF, 0xFF]);
        assert!(!msix.is_masked(1));
        let message = Message {
            address: u64::MAX - 3,
            data: u32::MAX,
        };
        assert_eq!(msix.message(1), Some(message));
        let mut octets = [9; 20];
        msix.read_table(28, &mut octets);
        assert_eq!(octets[..4], [0; 4]);
        assert_eq!(octets[16..], [1, 0, 0, 0], "the next entry is masked");
    }

    #[test]
    fn accesses_behind_the_table_have_no_effect() {
        let mut msix = Msix::new(1);
        msix.write_table(12, &[0; 64]);
        msix.write_table(usize::MAX, &[0xFF; 4]);
        assert!(!msix.is_masked(0));
        assert!(msix.is_masked(1));
        let mut octets = [9; 4];
        msix.read_table(usize::MAX, &mut octets);
        assert_eq!(octets, [0; 4]);
        msix.set_pending(0, true);
        msix.set_pending(1, true);
        assert_eq!(msix.pending(), 1);
        msix.read_pending(0, &mut octets);
        assert_eq!(octets, [1, 0, 0, 0]);
    }
}
