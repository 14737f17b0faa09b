//! The NIC's physical function: a model's registers behind BAR 0, MSI-X behind BAR 2.

use crate::HwModel;
use crate::host_port::HostPort;
use crate::pci::config::FunctionSpec;
use crate::pci::function::{MsixTable, PciFunction, Registers};
use sealnic_abi::registers::{BAR_LEN, Register, Window};
use sealnic_abi::ring::Vector;
use sealnic_abi::{PCI_DEVICE_ID, PCI_VENDOR_ID};

/// What the physical function is: a network controller of no standard kind.
pub const PF_SPEC: FunctionSpec = FunctionSpec {
    vendor: PCI_VENDOR_ID,
    device: PCI_DEVICE_ID,
    revision: 0,
    class: [0x00, 0x80, 0x02],
    bar_lens: [BAR_LEN as u64, 0x1000, 0],
    vectors: Vector::ALL.len() as u16,
    msix_bar: 1,
    serial: 0,
};

/// A model's registers behind BAR 0.
pub struct Pf {
    model: Box<dyn HwModel>,
}

impl Pf {
    /// The NIC, as wire, VMs and time see it.
    pub fn model(&mut self) -> &mut dyn HwModel {
        &mut *self.model
    }
}

impl Registers for Pf {
    /// Registers are words; of a read that takes parts of words the rest is left out, which has no effect on the device.
    fn read(&mut self, _bar: u8, offset: u64, octets: &mut [u8]) {
        let mut word_at = None;
        let mut word = [0; 4];
        for (at, octet) in (offset..).zip(octets) {
            let start = at & !3;
            if word_at != Some(start) {
                word = u32::try_from(start)
                    .map_or(u32::MAX, |start| self.model.read32(start))
                    .to_le_bytes();
                word_at = Some(start);
            }
            *octet = word[(at & 3) as usize];
        }
    }

    /// Only whole words are written: a part of one is no access that a register takes.
    fn write(&mut self, _bar: u8, offset: u64, octets: &[u8]) {
        if !offset.is_multiple_of(4) || !octets.len().is_multiple_of(4) {
            return;
        }
        for (at, word) in (offset..).step_by(4).zip(octets.as_chunks().0) {
            if let Ok(at) = u32::try_from(at) {
                self.model.write32(at, u32::from_le_bytes(*word));
            }
        }
    }

    fn reset(&mut self) {
        self.model.reset();
    }

    fn release(&mut self) {
        for ring in [
            Register::CommandRingControl,
            Register::EventRingControl,
            Register::HostReceiveRingControl,
            Register::HostTransmitRingControl,
        ] {
            self.model.write32(ring.offset(), 0);
        }
        // A request that was never rung for may hold keys, and a window can be read by whoever comes next.
        let window = Window::MailboxRequest;
        for at in (0..window.byte_len()).step_by(size_of::<u32>()) {
            self.model.write32(window.offset() + at, 0);
        }
    }

    fn connect(&mut self, host: Box<dyn HostPort>) {
        self.model.connect(host);
    }
}

/// The physical function: one NIC as a whole PCIe function.
pub type PfFunction = PciFunction<Pf>;

impl PfFunction {
    /// Plugs a model into a host. `serial` tells one card from another.
    pub fn pf(model: Box<dyn HwModel>, host: Box<dyn HostPort>, table: MsixTable, serial: u64) -> Self {
        let spec = FunctionSpec { serial, ..PF_SPEC };
        Self::new(spec, Pf { model }, host, table)
    }

    /// The NIC, as wire, VMs and time see it.
    pub fn model(&mut self) -> &mut dyn HwModel {
        self.device_mut().model()
    }
}
