//! Memory and a small device for tests.
extern crate std;

use crate::memory::{Memory, Sizes};
use crate::nic::{Entropy, Nic};
use std::boxed::Box;

/// Tables on the heap.
pub(crate) struct HeapMemory;

impl Memory for HeapMemory {
    type Slice<T> = Box<[T]>;

    fn slice<T>(&mut self, len: usize, mut fill: impl FnMut() -> T) -> Box<[T]> {
        (0..len).map(|_| fill()).collect()
    }
}

/// Random octets for tests: always the same.
pub(crate) struct Sevens;

impl Entropy for Sevens {
    fn fill(&mut self, octets: &mut [u8]) {
        octets.fill(7);
    }
}

/// A device with small tables that cuts and makes frames of at most 64 octets, not configured.
pub(crate) fn small_nic() -> Nic<HeapMemory, Sevens> {
    let sizes = Sizes {
        flows: 1_024,
        mappings: 4,
        vnets: 4,
        ports: 4,
        port_addresses: 4,
        associations: 4,
        sas: 4,
        exclusions: 4,
        events: 8,
        key_history: 4,
        frame_len: 64,
    };
    Nic::new(&mut HeapMemory, &sizes, Sevens)
}
