//! A device as a PCIe function.
//!
//! * [`iommu`]: what of host memory a function sees
//! * [`local_host`]: a host in the same process

pub mod iommu;
pub mod local_host;

pub use iommu::{Backing, BackingFault, IommuSpace, Permissions, SharedMemory};
pub use local_host::LocalHost;
