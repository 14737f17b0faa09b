//! Where the tables live. The firmware allocates nothing by itself: a board (or a model) hands out every table once, at
//! start, and says what kind of slice it is: `&'static mut [T]` over a DRAM region, a boxed slice on a host.

use core::ops::DerefMut;

/// A source of tables.
pub trait Memory {
    /// A table of `T`.
    type Slice<T>: DerefMut<Target = [T]>;

    /// A table of `len` elements, each made by `fill`.
    fn slice<T>(&mut self, len: usize, fill: impl FnMut() -> T) -> Self::Slice<T>;
}

/// Sizes of the tables, fixed at start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Flow entries; rounded up to a power of two, at least 1,024.
    pub flows: usize,
    /// Mappings.
    pub mappings: usize,
    /// VNets.
    pub vnets: usize,
    /// Ports.
    pub ports: usize,
    /// Address prefixes of ports.
    pub port_addresses: usize,
    /// Associations.
    pub associations: usize,
    /// SAs.
    pub sas: usize,
    /// Exclusions.
    pub exclusions: usize,
    /// Events waiting for the host.
    pub events: usize,
    /// Keys remembered, so that none is installed twice.
    pub key_history: usize,
    /// Longest frame, in octets, that is cut or generated.
    pub frame_len: usize,
}

impl Default for Sizes {
    fn default() -> Self {
        Self {
            flows: 65_536,
            mappings: 65_536,
            vnets: 1_024,
            ports: 256,
            port_addresses: 4_096,
            associations: 4_096,
            sas: 16_384,
            exclusions: 256,
            events: 8_192,
            key_history: 262_144,
            frame_len: 9_728,
        }
    }
}
