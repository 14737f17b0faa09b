//! What a transport needs of a PCI function's configuration space (PCI local bus specification 3.0, section 6).

use super::{SEALNIC_ID, TransportError};

/// Region and interrupt numbers of VFIO for PCI devices (`linux/vfio.h`).
pub(super) const BAR0_REGION: u32 = 0;
pub(super) const CONFIG_REGION: u32 = 7;
pub(super) const MSIX_IRQ: u32 = 2;

const COMMAND: u64 = 0x04;
const COMMAND_MEMORY: u16 = 1 << 1;
const COMMAND_MASTER: u16 = 1 << 2;

/// Access to a configuration space.
pub(super) trait ConfigSpace {
    fn config_read(&mut self, offset: u64, octets: &mut [u8]) -> Result<(), TransportError>;
    fn config_write(&mut self, offset: u64, octets: &[u8]) -> Result<(), TransportError>;
}

/// Lets the function answer memory accesses, and lets it master the bus or not.
pub(super) fn set_command(config: &mut impl ConfigSpace, master: bool) -> Result<(), TransportError> {
    let mut octets = [0; 2];
    config.config_read(COMMAND, &mut octets)?;
    let before = u16::from_le_bytes(octets);
    let master = if master { COMMAND_MASTER } else { 0 };
    let after = (before & !COMMAND_MASTER) | COMMAND_MEMORY | master;
    config.config_write(COMMAND, &after.to_le_bytes())
}

/// Checks that the function is a SealNIC.
pub(super) fn check_identity(config: &mut impl ConfigSpace, what: &str) -> Result<(), TransportError> {
    let mut octets = [0; 4];
    config.config_read(0, &mut octets)?;
    match u32::from_le_bytes(octets) {
        SEALNIC_ID => Ok(()),
        id => Err(TransportError::Unsuitable {
            what: what.into(),
            why: format!(
                "its vendor and device ids are {:04x}:{:04x}, not {:04x}:{:04x}; check the address",
                id & 0xFFFF,
                id >> 16,
                SEALNIC_ID & 0xFFFF,
                SEALNIC_ID >> 16
            ),
        }),
    }
}
