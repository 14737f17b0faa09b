//! The transport to a PCI function through the kernel's VFIO: BAR0 mapped, DMA through the IOMMU, MSI-X as event descriptors.
//!
//! The kernel resets the function when it is opened and when it is closed; keys don't survive its owner.

mod mmio;
mod open;
mod sys;

use super::pci::{BAR0_REGION, CONFIG_REGION, ConfigSpace, MSIX_IRQ, check_identity, set_command};
use super::vectors::Vectors;
use super::{Capabilities, Fired, Transport, TransportError};
use crate::bind::{Bdf, PciBus, VFIO_DRIVER};
use crate::clock::Clock;
use crate::dma::mapped::MappedMemory;
use crate::dma::{ArenaConfig, DmaArena, DmaBuffer};
use mmio::MappedBar;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;
use sys::DmaMapping;
use vfio_ioctls::{VfioDevice, VfioError};

/// A PCI function that this process owns.
pub struct VfioTransport {
    // In the order in which they are given back: what stands on the device goes before the device.
    bar: MappedBar,
    config: ConfigFile,
    vectors: Vectors,
    arena: DmaArena,
    _mapping: DmaMapping,
    device: VfioDevice,
    capabilities: Capabilities,
    master: bool,
}

/// `VFIO_REGION_INFO_FLAG_MMAP` and `VFIO_DEVICE_FLAGS_RESET` of `linux/vfio.h`.
const REGION_MMAP: u32 = 1 << 2;

impl VfioTransport {
    /// Opens the function, which has to be bound to `vfio-pci` (see [`bind`](crate::bind)).
    ///
    /// # Errors
    /// Not there, not bound, no rights, in use by another process, or no SealNIC.
    pub fn open(bdf: Bdf) -> Result<Self, TransportError> {
        Self::open_with(bdf, ArenaConfig::default())
    }

    /// As [`open`](Self::open), with the memory for DMA.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(bdf: Bdf, arena: ArenaConfig) -> Result<Self, TransportError> {
        let what = format!("PCI function {bdf}");
        let bus = PciBus::system();
        let unsuitable = |why: String| TransportError::Unsuitable {
            what: what.clone(),
            why,
        };
        let status = bus.status(bdf).map_err(|error| TransportError::Open {
            what: what.clone(),
            source: io::Error::other(error),
            hint: "check the address",
        })?;
        if status.driver.as_deref() != Some(VFIO_DRIVER) {
            return Err(TransportError::Open {
                what,
                source: io::Error::other(match status.driver {
                    Some(driver) => format!("it belongs to the driver {driver}"),
                    None => "it belongs to no driver".into(),
                }),
                hint: "bind it to vfio-pci first (sealnic device bind BDF)",
            });
        }
        let (device, space) = open::open(&what, &bus.device_path(bdf))?;
        let operation = |operation| move |source| TransportError::Operation { operation, source };
        let file = sys::file(&device).map_err(operation("duplicating the device's descriptor"))?;
        let mut config = ConfigFile {
            offset: device.get_region_offset(CONFIG_REGION),
            file,
        };
        check_identity(&mut config, &what)?;
        if device.get_region_flags(BAR0_REGION) & REGION_MMAP == 0 {
            return Err(unsuitable("its BAR0 can't be mapped".into()));
        }
        let bar_len = usize::try_from(device.get_region_size(BAR0_REGION)).unwrap_or(0);
        let bar = MappedBar::new(&config.file, device.get_region_offset(BAR0_REGION), bar_len)
            .map_err(operation("mapping BAR0"))?;
        let memory = Arc::new(MappedMemory::new(arena.len, arena.huge_pages)?);
        let mapping =
            DmaMapping::new(space, memory.clone(), arena.iova).map_err(|error| TransportError::Operation {
                operation: "mapping memory for DMA (locked memory may be too little: ulimit -l)",
                source: io::Error::other(error),
            })?;
        let vectors = device.get_irq_info(MSIX_IRQ).map_or(0, |irq| irq.count);
        // VFIO leaves bus mastering off: without it there is neither DMA nor MSI-X.
        set_command(&mut config, true)?;
        Ok(Self {
            bar,
            config,
            vectors: Vectors::default(),
            arena: DmaArena::new(memory, arena.iova),
            _mapping: mapping,
            capabilities: Capabilities {
                dma: true,
                vectors: u16::try_from(vectors).unwrap_or(u16::MAX).min(Fired::MAX),
                reset: true,
            },
            device,
            master: true,
        })
    }
}

#[cfg(feature = "control")]
impl crate::control::Board for VfioTransport {
    fn polled<'b>(&'b self, polled: &mut Vec<rustix::event::PollFd<'b>>) {
        self.vectors.polled(None, polled);
    }
}

impl Transport for VfioTransport {
    fn read32(&mut self, offset: u32) -> Result<u32, TransportError> {
        self.bar.read32(offset).ok_or(TransportError::OutOfRange { offset })
    }

    fn write32(&mut self, offset: u32, value: u32) -> Result<(), TransportError> {
        self.bar
            .write32(offset, value)
            .ok_or(TransportError::OutOfRange { offset })
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn dma_alloc(&mut self, len: usize) -> Result<DmaBuffer, TransportError> {
        Ok(self.arena.alloc(len)?)
    }

    fn enable_interrupts(&mut self, vectors: u16) -> Result<(), TransportError> {
        TransportError::check_vectors(vectors, self.capabilities.vectors)?;
        let failed = |error: VfioError| TransportError::Operation {
            operation: "setting up interrupts",
            source: io::Error::other(error),
        };
        // The number of vectors only changes while they are off.
        if !self.vectors.is_empty() {
            self.device.disable_msix().map_err(failed)?;
            self.vectors = Vectors::default();
        }
        if vectors == 0 {
            return Ok(());
        }
        let vectors = Vectors::new(vectors).map_err(TransportError::Interrupt)?;
        let events = vectors
            .descriptors()
            .map(sys::event)
            .collect::<io::Result<Vec<_>>>()
            .map_err(TransportError::Interrupt)?;
        self.device.enable_msix(events.iter().collect()).map_err(failed)?;
        self.vectors = vectors;
        Ok(())
    }

    fn wait(&mut self, at_most: Duration, clock: &mut dyn Clock) -> Result<Fired, TransportError> {
        if self.vectors.is_empty() {
            clock.sleep(at_most);
            return Ok(Fired::NONE);
        }
        self.vectors.wait(at_most, None).map_err(TransportError::Interrupt)
    }

    fn reset(&mut self) -> Result<(), TransportError> {
        sys::reset(&self.config.file).map_err(|source| TransportError::Operation {
            operation: "the function-level reset",
            source,
        })?;
        // The kernel restores configuration space and vectors; bus mastering is ours to be sure of.
        set_command(&mut self.config, self.master)
    }

    fn set_bus_master(&mut self, allowed: bool) -> Result<(), TransportError> {
        set_command(&mut self.config, allowed)?;
        self.master = allowed;
        Ok(())
    }
}

impl Drop for VfioTransport {
    fn drop(&mut self) {
        self.arena.unmap();
        // No DMA and no interrupt from here on, also while the kernel takes its time with the reset.
        if let Err(error) = set_command(&mut self.config, false) {
            tracing::warn!(%error, "bus mastering could not be turned off");
        }
        if !self.vectors.is_empty()
            && let Err(error) = self.device.disable_msix()
        {
            tracing::warn!(%error, "interrupts could not be turned off");
        }
    }
}

/// The configuration space, as a part of the device's file.
struct ConfigFile {
    file: File,
    offset: u64,
}

impl ConfigSpace for ConfigFile {
    fn config_read(&mut self, offset: u64, octets: &mut [u8]) -> Result<(), TransportError> {
        self.file
            .read_exact_at(octets, self.offset + offset)
            .map_err(|source| TransportError::Operation {
                operation: "reading the configuration space",
                source,
            })
    }

    fn config_write(&mut self, offset: u64, octets: &[u8]) -> Result<(), TransportError> {
        self.file
            .write_all_at(octets, self.offset + offset)
            .map_err(|source| TransportError::Operation {
                operation: "writing the configuration space",
                source,
            })
    }
}
