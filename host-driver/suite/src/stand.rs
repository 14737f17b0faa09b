//! Stands for devices outside this process.

use crate::{AnyTransport, Failure, Stand};
use sealnic_driver::TransportError;
use sealnic_driver::bind::Bdf;
use sealnic_driver::transport::vfio::VfioTransport;
use sealnic_driver::transport::vfio_user::VfioUserTransport;
use std::path::PathBuf;

/// A PCI function, by the kernel's VFIO.
pub struct VfioStand(pub Bdf);

impl Stand for VfioStand {
    fn name(&self) -> String {
        "kernel VFIO".into()
    }

    fn open(&mut self) -> Result<AnyTransport, TransportError> {
        Ok(Box::new(VfioTransport::open(self.0)?))
    }

    fn restart(&mut self) -> Result<(), Failure> {
        Err(Failure::Skipped(
            "a function of this machine restarts with the machine; one that QEMU takes from a server does so, too, because its \
             vfio-user-pci connects once, when the machine starts, and never again",
        ))
    }
}

/// A device served at a socket.
pub struct VfioUserStand(pub PathBuf);

impl Stand for VfioUserStand {
    fn name(&self) -> String {
        "vfio-user".into()
    }

    fn open(&mut self) -> Result<AnyTransport, TransportError> {
        Ok(Box::new(VfioUserTransport::connect(&self.0)?))
    }
}
