//! The ways to a device.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use sealnic_driver::bind::Bdf;
use sealnic_driver::clock::Clock;
use sealnic_driver::control::Board;
use sealnic_driver::dma::{ArenaConfig, DmaBuffer};
use sealnic_driver::transport::model::ModelTransport;
use sealnic_driver::transport::vfio::VfioTransport;
use sealnic_driver::transport::vfio_user::VfioUserTransport;
use sealnic_driver::transport::{Capabilities, Fired};
use sealnic_driver::{Error, Transport, TransportError};
use sealnic_hw_model::cycle::{CycleModel, HwConfig};
use sealnic_hw_model::{FunctionalModel, HwModel, ModelConfig};

/// What `--device` takes.
pub(super) const DEVICE_HELP: &str = "Device to own:
  model             a model in the daemon's own process, which dies with it
  model:cycle       the same, cycle by cycle
  vfio-user:PATH    a device served at a Unix socket (sealnic serve)
  vfio:BDF          a PCI function bound to vfio-pci (sealnic device bind BDF)";

/// A device as the command line names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum DeviceSpec {
    /// A functional model in this process.
    Model,
    /// A cycle-level model in this process.
    CycleModel,
    /// A device served at a Unix socket.
    VfioUser(PathBuf),
    /// A PCI function.
    Vfio(Bdf),
}

impl FromStr for DeviceSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "model" => Ok(Self::Model),
            Some(("model", "cycle")) => Ok(Self::CycleModel),
            Some(("vfio-user", path)) if !path.is_empty() => Ok(Self::VfioUser(path.into())),
            Some(("vfio", bdf)) => bdf.parse().map(Self::Vfio).map_err(|error| format!("{error}")),
            _ => Err("no such kind of device; give model, model:cycle, vfio-user:PATH or vfio:BDF".to_owned()),
        }
    }
}

impl fmt::Display for DeviceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model => f.write_str("model"),
            Self::CycleModel => f.write_str("model:cycle"),
            Self::VfioUser(path) => write!(f, "vfio-user:{}", path.display()),
            Self::Vfio(bdf) => write!(f, "vfio:{bdf}"),
        }
    }
}

impl DeviceSpec {
    /// Under which name the device is locked; `None` when nobody else could reach it.
    pub(super) fn lock_name(&self) -> Option<String> {
        match self {
            Self::Model | Self::CycleModel => None,
            // One socket, however it is named. One that isn't there yet has no other name.
            Self::VfioUser(path) => {
                let path = path.canonicalize().unwrap_or_else(|_| path.clone());
                Some(Self::VfioUser(path).to_string())
            }
            Self::Vfio(_) => Some(self.to_string()),
        }
    }
}

/// Opens the way to a device.
pub(super) fn open(spec: &DeviceSpec) -> Result<Box<dyn Board>, Error> {
    let board: Box<dyn Board> = match spec {
        DeviceSpec::Model => {
            let model = FunctionalModel::new(&ModelConfig::default()).map_err(unavailable)?;
            Box::new(InProcess::new(Box::new(model)))
        }
        DeviceSpec::CycleModel => {
            let hardware = HwConfig::default_preset().map_err(unavailable)?;
            let model = CycleModel::new(&ModelConfig::default(), &hardware).map_err(unavailable)?;
            Box::new(InProcess::new(Box::new(model)))
        }
        DeviceSpec::VfioUser(path) => Box::new(VfioUserTransport::connect(path)?),
        DeviceSpec::Vfio(bdf) => Box::new(VfioTransport::open(*bdf)?),
    };
    #[cfg(feature = "fault-points")]
    let board = Box::new(sealnic_driver::control::fault::FaultBoard(board));
    Ok(board)
}

fn unavailable(error: impl fmt::Display) -> Error {
    Error::Unavailable {
        what: error.to_string(),
    }
}

/// A model in this process: the host's clock drives it, and nobody takes its frames.
struct InProcess {
    transport: ModelTransport,
    next_advance: Duration,
}

impl InProcess {
    fn new(model: Box<dyn HwModel>) -> Self {
        Self {
            transport: ModelTransport::with_dma(model, ArenaConfig::default()),
            next_advance: Duration::ZERO,
        }
    }
}

/// Time between two passes over the model's tables, for aging and the flow log.
const ADVANCE_INTERVAL: Duration = Duration::from_millis(250);

impl Board for InProcess {
    fn tick(&mut self, now: Duration) -> Option<Duration> {
        if now >= self.next_advance {
            self.next_advance = now + ADVANCE_INTERVAL;
            let model = self.transport.model_mut();
            model.advance(u64::try_from(now.as_nanos()).unwrap_or(u64::MAX));
            while model.collect().is_some() {}
        }
        Some(self.next_advance - now)
    }

    fn outlives_us(&self) -> bool {
        false
    }
}

impl Transport for InProcess {
    fn read32(&mut self, offset: u32) -> Result<u32, TransportError> {
        self.transport.read32(offset)
    }

    fn write32(&mut self, offset: u32, value: u32) -> Result<(), TransportError> {
        self.transport.write32(offset, value)
    }

    fn capabilities(&self) -> Capabilities {
        self.transport.capabilities()
    }

    fn dma_alloc(&mut self, len: usize) -> Result<DmaBuffer, TransportError> {
        self.transport.dma_alloc(len)
    }

    fn enable_interrupts(&mut self, vectors: u16) -> Result<(), TransportError> {
        self.transport.enable_interrupts(vectors)
    }

    fn wait(&mut self, at_most: Duration, clock: &mut dyn Clock) -> Result<Fired, TransportError> {
        self.transport.wait(at_most, clock)
    }

    fn reset(&mut self) -> Result<(), TransportError> {
        self.transport.reset()
    }

    fn set_bus_master(&mut self, allowed: bool) -> Result<(), TransportError> {
        self.transport.set_bus_master(allowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read_as_they_are_written() {
        for text in ["model", "model:cycle", "vfio-user:/run/a.sock", "vfio:0000:65:00.0"] {
            assert_eq!(text.parse::<DeviceSpec>().unwrap().to_string(), text);
        }
        assert_eq!(
            "vfio:65:00.0".parse::<DeviceSpec>().unwrap().to_string(),
            "vfio:0000:65:00.0"
        );
        for text in ["", "models", "model:", "vfio-user:", "vfio", "vfio:1", "serial:x"] {
            assert!(text.parse::<DeviceSpec>().is_err(), "{text}");
        }
    }
}
