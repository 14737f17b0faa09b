//! The transport to a device model in the same process.

use super::{Transport, TransportError};
use sealnic_hw_model::HwModel;

/// Owns a model and reaches its registers. It works inside each access, so there is nothing to wait for but the host's time.
pub struct ModelTransport {
    model: Box<dyn HwModel>,
}

impl ModelTransport {
    /// Takes the model.
    #[must_use]
    pub fn new(model: Box<dyn HwModel>) -> Self {
        Self { model }
    }

    /// The model, for its frames: VMs' ports, the wire, the host's exception path.
    pub fn model_mut(&mut self) -> &mut dyn HwModel {
        &mut *self.model
    }

    /// Gives the model back.
    #[must_use]
    pub fn into_model(self) -> Box<dyn HwModel> {
        self.model
    }
}

impl Transport for ModelTransport {
    fn read32(&mut self, offset: u32) -> Result<u32, TransportError> {
        Ok(self.model.read32(offset))
    }

    fn write32(&mut self, offset: u32, value: u32) -> Result<(), TransportError> {
        self.model.write32(offset, value);
        Ok(())
    }
}
