//! What can be served.

use super::memory::ClientMemory;
use super::signal::Signaller;
use sealnic_hw_model::{DmaFault, HostPort, HwModel};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Octets of a PCIe function's configuration space (PCIe 6.0 section 7.2.2).
pub const CONFIG_LEN: u64 = 4096;

/// A PCI function: all that a host can do to it. Nothing a host does is an error to it; what makes no sense has no effect.
pub trait ServedFunction: Send {
    /// Octets behind each base address register; 0 where there is none, or where it is the upper half of the one before.
    fn bar_lens(&self) -> [u64; 6];

    /// Number of MSI-X vectors.
    fn vectors(&self) -> u16;

    /// Reads configuration space; the range lies within [`CONFIG_LEN`].
    fn config_read(&mut self, offset: u16, octets: &mut [u8]);

    /// Writes configuration space.
    fn config_write(&mut self, offset: u16, octets: &[u8]);

    /// Reads behind a base address register; the range lies within its length.
    fn bar_read(&mut self, bar: u8, offset: u64, octets: &mut [u8]);

    /// Writes behind a base address register.
    fn bar_write(&mut self, bar: u8, offset: u64, octets: &[u8]);

    /// Resets the function as its own reset does (PCIe 6.0 section 6.6.2).
    fn reset(&mut self);

    /// The host took a vector into use, or gave it up.
    fn set_vector(&mut self, vector: u16, in_use: bool);

    /// The host went away without a word: the function may reach no memory and raise no interrupt any more, and goes on else.
    fn detach(&mut self);
}

/// A function with a NIC behind it.
pub trait NetworkFunction: ServedFunction {
    /// The NIC, as the wire and time see it.
    fn model(&mut self) -> &mut dyn HwModel;
}

/// The client's side of a function: its memory and its interrupts. Shared by the function, which uses them, and the connection, which
/// changes them.
#[derive(Clone, Default)]
pub struct ClientPort(Arc<Mutex<Client>>);

#[derive(Default)]
pub(crate) struct Client {
    pub(crate) memory: ClientMemory,
    /// Where each MSI-X vector is signalled.
    pub(crate) vectors: Vec<Option<OwnedFd>>,
    /// There once a client has listened.
    signaller: Option<Signaller>,
}

impl Client {
    /// Makes sure that vectors can be signalled.
    ///
    /// # Errors
    /// The system can't do it without waiting.
    pub(crate) fn listens(&mut self) -> io::Result<()> {
        if self.signaller.is_none() {
            self.signaller = Some(Signaller::new()?);
        }
        Ok(())
    }

    /// Signals a vector, when the client listens to it.
    pub(crate) fn signal(&self, vector: u16) {
        let event = self.vectors.get(usize::from(vector)).and_then(Option::as_ref);
        if let (Some(signaller), Some(event)) = (&self.signaller, event)
            && let Err(error) = signaller.signal(event)
        {
            log::warn!("vector {vector} can't be signalled: {error}");
        }
    }

    /// Signals a vector at this event from now on, or nowhere.
    pub(crate) fn set_vector(&mut self, vector: u16, event: Option<OwnedFd>) {
        let index = usize::from(vector);
        if self.vectors.len() <= index {
            self.vectors.resize_with(index + 1, || None);
        }
        self.vectors[index] = event;
    }

    /// Forgets the client.
    pub(crate) fn clear(&mut self) {
        self.memory.clear();
        self.vectors.clear();
    }
}

impl ClientPort {
    /// The client, for as long as nobody else looks at it: once a mapping is gone and this is given back, nobody touches
    /// that memory.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Client> {
        // Whoever panicked held no half-made change: each is one insertion or removal.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HostPort for ClientPort {
    fn read(&mut self, iova: u64, octets: &mut [u8]) -> Result<(), DmaFault> {
        self.lock().memory.read(iova, octets)
    }

    fn write(&mut self, iova: u64, octets: &[u8]) -> Result<(), DmaFault> {
        self.lock().memory.write(iova, octets)
    }

    fn interrupt(&mut self, vector: u16) {
        self.lock().signal(vector);
    }
}
