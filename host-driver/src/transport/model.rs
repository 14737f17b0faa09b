//! The transport to a device model in the same process.

use super::{Capabilities, Fired, Transport, TransportError};
use crate::clock::Clock;
use crate::dma::{ArenaConfig, DmaArena, DmaBuffer, DmaMemory, HeapMemory};
use sealnic_abi::ring::Vector;
use sealnic_hw_model::HwModel;
use sealnic_hw_model::host_port::{DmaFault, HostPort};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Owns a model and reaches its registers. It works inside each access, so there is nothing to wait for but the host's time.
pub struct ModelTransport {
    model: Box<dyn HwModel>,
    host: Option<Host>,
}

/// The host's side of what the device reaches.
struct Host {
    arena: DmaArena,
    shared: Arc<Shared>,
    vectors: u16,
}

/// What the device's way into the host and the transport have in common.
struct Shared {
    /// Bus mastering is on.
    master: AtomicBool,
    /// Vectors that fired and nobody looked at.
    fired: AtomicU64,
}

/// The device's way into the host: one mapping of the arena's memory, as an IOMMU would have it.
struct Port {
    memory: Arc<HeapMemory>,
    iova: u64,
    shared: Arc<Shared>,
}

impl Port {
    fn place(&self, iova: u64) -> Result<usize, DmaFault> {
        if !self.shared.master.load(Ordering::Acquire) {
            return Err(DmaFault::BusMasterOff);
        }
        let at = iova.checked_sub(self.iova).ok_or(DmaFault::NotMapped)?;
        usize::try_from(at).map_err(|_| DmaFault::NotMapped)
    }
}

impl HostPort for Port {
    fn read(&mut self, iova: u64, octets: &mut [u8]) -> Result<(), DmaFault> {
        let at = self.place(iova)?;
        self.memory.read(at, octets).ok_or(DmaFault::NotMapped)
    }

    fn write(&mut self, iova: u64, octets: &[u8]) -> Result<(), DmaFault> {
        let at = self.place(iova)?;
        self.memory.write(at, octets).ok_or(DmaFault::NotMapped)
    }

    fn interrupt(&mut self, vector: u16) {
        // A message-signalled interrupt is a write to memory: without bus mastering there is none.
        if vector < Fired::MAX && self.shared.master.load(Ordering::Acquire) {
            self.shared.fired.fetch_or(1 << vector, Ordering::AcqRel);
        }
    }
}

impl ModelTransport {
    /// Takes the model, for its registers alone.
    #[must_use]
    pub fn new(model: Box<dyn HwModel>) -> Self {
        Self { model, host: None }
    }

    /// Takes the model and gives it memory and interrupts.
    #[must_use]
    pub fn with_dma(mut model: Box<dyn HwModel>, arena: ArenaConfig) -> Self {
        let memory = Arc::new(HeapMemory::new(arena.len));
        let shared = Arc::new(Shared {
            master: AtomicBool::new(true),
            fired: AtomicU64::new(0),
        });
        model.connect(Box::new(Port {
            memory: memory.clone(),
            iova: arena.iova,
            shared: shared.clone(),
        }));
        Self {
            model,
            host: Some(Host {
                arena: DmaArena::new(memory, arena.iova),
                shared,
                vectors: 0,
            }),
        }
    }

    /// The model, for its frames: VMs' ports, the wire, the host's exception path.
    pub fn model_mut(&mut self) -> &mut dyn HwModel {
        &mut *self.model
    }

    /// Gives the model back. It keeps the memory that it was given.
    #[must_use]
    pub fn into_model(self) -> Box<dyn HwModel> {
        self.model
    }

    fn host(&mut self, what: &'static str) -> Result<&mut Host, TransportError> {
        self.host.as_mut().ok_or(TransportError::Unsupported { what })
    }
}

/// Vectors of the device.
const VECTORS: u16 = Vector::ALL.len() as u16;

impl Transport for ModelTransport {
    fn read32(&mut self, offset: u32) -> Result<u32, TransportError> {
        Ok(self.model.read32(offset))
    }

    fn write32(&mut self, offset: u32, value: u32) -> Result<(), TransportError> {
        self.model.write32(offset, value);
        Ok(())
    }

    fn capabilities(&self) -> Capabilities {
        match self.host {
            None => Capabilities::default(),
            Some(_) => Capabilities {
                dma: true,
                vectors: VECTORS,
                reset: true,
            },
        }
    }

    fn dma_alloc(&mut self, len: usize) -> Result<DmaBuffer, TransportError> {
        Ok(self.host("DMA")?.arena.alloc(len)?)
    }

    fn enable_interrupts(&mut self, vectors: u16) -> Result<(), TransportError> {
        let host = self.host("interrupts")?;
        TransportError::check_vectors(vectors, VECTORS)?;
        host.vectors = vectors;
        // What fired while nobody listened is lost, as on a real host.
        host.shared.fired.store(0, Ordering::Release);
        Ok(())
    }

    fn wait(&mut self, at_most: Duration, clock: &mut dyn Clock) -> Result<Fired, TransportError> {
        let mut fired = Fired::NONE;
        if let Some(host) = &self.host {
            let bits = host.shared.fired.swap(0, Ordering::AcqRel);
            (0..host.vectors)
                .filter(|vector| bits & (1 << vector) != 0)
                .for_each(|vector| fired.insert(vector));
        }
        if fired.is_empty() {
            clock.sleep(at_most);
        }
        Ok(fired)
    }

    fn reset(&mut self) -> Result<(), TransportError> {
        self.host("a function-level reset")?;
        self.model.reset();
        Ok(())
    }

    fn set_bus_master(&mut self, allowed: bool) -> Result<(), TransportError> {
        let host = self.host("the PCI command register")?;
        host.shared.master.store(allowed, Ordering::Release);
        Ok(())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.arena.unmap();
    }
}
