//! A device as a PCIe function.
//!
//! * [`function`]: any device as a PCIe function: configuration space, MSI-X, the gate in front of the host
//! * [`pf`]: the NIC's physical function
//! * [`config`]: configuration space, a rule for each bit
//! * [`msix`]: MSI-X table and pending bits
//! * [`iommu`]: what of host memory a function sees
//! * [`local_host`]: a host in the same process

pub mod config;
pub mod function;
pub mod iommu;
pub mod local_host;
pub mod msix;
pub mod pf;

pub use function::{MsixTable, PciFunction, Registers};
pub use iommu::{Backing, BackingFault, IommuSpace, MapError, Permissions, SharedMemory};
pub use local_host::LocalHost;
pub use pf::PfFunction;
