//! A NIC's physical function as one that is served.

use super::function::{ClientPort, NetworkFunction, ServedFunction};
use sealnic_hw_model::HwModel;
use sealnic_hw_model::pci::{MsixTable, PfFunction};

/// A model as a function whose host is the client at `port`. `serial` tells one card from another.
#[must_use]
pub fn nic(model: Box<dyn HwModel>, port: &ClientPort, serial: u64) -> PfFunction {
    // A client keeps the table itself, and says which vectors it listens to.
    PfFunction::pf(model, Box::new(port.clone()), MsixTable::Hosts, serial)
}

impl ServedFunction for PfFunction {
    fn bar_lens(&self) -> [u64; 6] {
        self.bar_lens()
    }

    fn vectors(&self) -> u16 {
        self.vectors()
    }

    fn config_read(&mut self, offset: u16, octets: &mut [u8]) {
        (*self).config_read(offset, octets);
    }

    fn config_write(&mut self, offset: u16, octets: &[u8]) {
        self.config_write(offset, octets);
    }

    fn bar_read(&mut self, bar: u8, offset: u64, octets: &mut [u8]) {
        self.bar_read(bar, offset, octets);
    }

    fn bar_write(&mut self, bar: u8, offset: u64, octets: &[u8]) {
        self.bar_write(bar, offset, octets);
    }

    fn reset(&mut self) {
        self.reset();
    }

    fn set_vector(&mut self, vector: u16, in_use: bool) {
        self.set_vector(vector, in_use);
    }

    fn detach(&mut self) {
        self.detach();
    }
}

impl NetworkFunction for PfFunction {
    fn model(&mut self) -> &mut dyn HwModel {
        self.model()
    }
}
