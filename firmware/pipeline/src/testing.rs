//! Memory for tests.
extern crate std;

use crate::memory::Memory;
use std::boxed::Box;

/// Tables on the heap.
pub(crate) struct HeapMemory;

impl Memory for HeapMemory {
    type Slice<T> = Box<[T]>;

    fn slice<T>(&mut self, len: usize, mut fill: impl FnMut() -> T) -> Box<[T]> {
        (0..len).map(|_| fill()).collect()
    }
}
