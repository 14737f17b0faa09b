//! A PCIe function: configuration space, MSI-X and the gate in front of the host, around any device with registers.

use crate::host_port::{DmaFault, HostPort};
use crate::pci::config::{ConfigSpace, FunctionSpec, PBA_OFFSET, bits, offset};
use crate::pci::msix::{MAX_VECTORS, Message, Msix};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What stands behind the base address registers of a function. Accesses may have any offset and length.
pub trait Registers: Send {
    /// Reads behind a BAR from `offset` on.
    fn read(&mut self, bar: u8, offset: u64, octets: &mut [u8]);

    /// Writes behind a BAR from `offset` on.
    fn write(&mut self, bar: u8, offset: u64, octets: &[u8]);

    /// Function-level reset (PCIe 6.0 section 6.6.2): of what the host programmed nothing is left.
    fn reset(&mut self);

    /// The host is gone: whatever works on its memory stops, and all else goes on.
    fn release(&mut self);

    /// Takes the function's way into the host.
    fn connect(&mut self, host: Box<dyn HostPort>);
}

/// Who keeps the MSI-X table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MsixTable {
    /// The function, as hardware does: its entries and masks decide.
    Own,
    /// The host's virtualisation (VFIO, vfio-user), which shows its guest a table of its own and tells the function which vectors are
    /// in use.
    Hosts,
}

/// The part of a function that the host's side and the device's side share.
struct Port {
    config: ConfigSpace,
    msix: Msix,
    table: MsixTable,
    /// Vectors that the host has taken into use, one bit each; of [`MsixTable::Hosts`] alone.
    in_use: u128,
    host: Box<dyn HostPort>,
}

impl Port {
    fn command(&self) -> u16 {
        self.config.get16(offset::COMMAND)
    }

    /// In D3hot a function takes configuration requests only, and issues nothing (5.3.1.4.1).
    fn is_awake(&self) -> bool {
        self.config.get16(offset::PMCSR) & bits::POWER_STATE != bits::D3_HOT
    }

    fn answers_memory(&self) -> bool {
        self.is_awake() && self.command() & bits::MEMORY_ENABLE != 0
    }

    fn may_master(&self) -> bool {
        self.is_awake() && self.command() & bits::BUS_MASTER != 0
    }

    /// Whether a vector's message may go now.
    fn lets_through(&self, vector: u16) -> bool {
        let control = self.config.get16(offset::MSIX_CONTROL);
        self.may_master()
            && match self.table {
                MsixTable::Own => {
                    control & bits::MSIX_ENABLE != 0 && control & bits::MSIX_MASK == 0 && !self.msix.is_masked(vector)
                }
                MsixTable::Hosts => self.in_use >> vector.min(MAX_VECTORS - 1) & 1 != 0,
            }
    }

    /// Sends what waited and may go now.
    fn send_pending(&mut self) {
        let mut left = self.msix.pending();
        while left != 0 {
            let vector = left.trailing_zeros() as u16;
            left &= left - 1;
            if self.lets_through(vector) {
                self.msix.set_pending(vector, false);
                self.host.interrupt(vector);
            }
        }
    }

    fn interrupt(&mut self, vector: u16) {
        if vector >= self.msix.vectors() {
            return;
        }
        if self.lets_through(vector) {
            self.host.interrupt(vector);
        } else {
            self.msix.set_pending(vector, true);
        }
    }

    /// Writes configuration space; whether the function is to be reset.
    fn config_write(&mut self, at: u16, octets: &[u8]) -> bool {
        let state = self.config.get16(offset::PMCSR) & bits::POWER_STATE;
        self.config.write(at, octets);
        // A state that the function doesn't have is not taken (7.5.2.2).
        if ![0, bits::D3_HOT].contains(&(self.config.get16(offset::PMCSR) & bits::POWER_STATE)) {
            self.config.change16(offset::PMCSR, bits::POWER_STATE, state);
        }
        let flr = self.config.get16(offset::DEVICE_CONTROL) & bits::FLR != 0;
        self.config.change16(offset::DEVICE_CONTROL, bits::FLR, 0);
        self.send_pending();
        flr
    }

    fn reset(&mut self) {
        self.config.reset();
        self.msix.reset();
    }

    /// What the host would see of a failed read in the status register (7.5.1.1.4); writes are posted, so nobody is told of theirs.
    fn note_read(&mut self, result: Result<(), DmaFault>) -> Result<(), DmaFault> {
        let bit = match result {
            Err(DmaFault::NotMapped) => bits::RECEIVED_MASTER_ABORT,
            Err(DmaFault::NotPermitted | DmaFault::Backing) => bits::RECEIVED_TARGET_ABORT,
            Ok(()) | Err(DmaFault::BusMasterOff) => return result,
        };
        self.config.change16(offset::STATUS, bit, bit);
        result
    }
}

/// The device's way into the host, past the function's gate.
struct Gate(Arc<Mutex<Port>>);

/// Whoever panicked while holding the port left it whole: each change is one assignment.
fn lock(port: &Mutex<Port>) -> MutexGuard<'_, Port> {
    port.lock().unwrap_or_else(PoisonError::into_inner)
}

impl HostPort for Gate {
    fn read(&mut self, iova: u64, octets: &mut [u8]) -> Result<(), DmaFault> {
        let mut port = lock(&self.0);
        if !port.may_master() {
            return Err(DmaFault::BusMasterOff);
        }
        let result = port.host.read(iova, octets);
        port.note_read(result)
    }

    fn write(&mut self, iova: u64, octets: &[u8]) -> Result<(), DmaFault> {
        let mut port = lock(&self.0);
        if port.may_master() {
            port.host.write(iova, octets)
        } else {
            Err(DmaFault::BusMasterOff)
        }
    }

    fn interrupt(&mut self, vector: u16) {
        lock(&self.0).interrupt(vector);
    }
}

/// A PCIe function around a device. Nothing that a host does to it is an error: what makes no sense has no effect.
pub struct PciFunction<D> {
    port: Arc<Mutex<Port>>,
    spec: FunctionSpec,
    device: D,
}

impl<D: Registers> PciFunction<D> {
    /// Plugs a device into a host, as after a reset: memory and bus mastering off.
    pub fn new(spec: FunctionSpec, mut device: D, host: Box<dyn HostPort>, table: MsixTable) -> Self {
        let port = Arc::new(Mutex::new(Port {
            config: ConfigSpace::new(&spec),
            msix: Msix::new(spec.vectors),
            table,
            in_use: 0,
            host,
        }));
        device.connect(Box::new(Gate(port.clone())));
        Self { port, spec, device }
    }

    /// The device.
    pub fn device(&self) -> &D {
        &self.device
    }

    /// The device, for its other sides: wires, VMs, time.
    pub fn device_mut(&mut self) -> &mut D {
        &mut self.device
    }

    /// Octets behind each base address register; 0 where there is none, and at the upper half of the one before.
    #[must_use]
    pub fn bar_lens(&self) -> [u64; 6] {
        let [a, b, c] = self.spec.bar_lens;
        [a, 0, b, 0, c, 0]
    }

    /// Number of MSI-X vectors.
    #[must_use]
    pub fn vectors(&self) -> u16 {
        self.spec.vectors
    }

    /// Reads configuration space.
    pub fn config_read(&self, at: u16, octets: &mut [u8]) {
        lock(&self.port).config.read(at, octets);
    }

    /// Writes configuration space; may reset the function.
    pub fn config_write(&mut self, at: u16, octets: &[u8]) {
        let flr = lock(&self.port).config_write(at, octets);
        if flr {
            self.reset();
        }
    }

    /// Reads behind a BAR; all ones while the function doesn't answer memory requests.
    pub fn bar_read(&mut self, bar: u8, at: u64, octets: &mut [u8]) {
        let port = lock(&self.port);
        let end = at.saturating_add(octets.len() as u64);
        if !port.answers_memory() || end > self.bar_len(bar) {
            octets.fill(0xFF);
        } else if bar == self.spec.msix_bar * 2 {
            match (at as usize).checked_sub(PBA_OFFSET as usize) {
                None => port.msix.read_table(at as usize, octets),
                Some(at) => port.msix.read_pending(at, octets),
            }
        } else {
            drop(port);
            self.device.read(bar, at, octets);
        }
    }

    /// Writes behind a BAR; nothing happens while the function doesn't answer memory requests.
    pub fn bar_write(&mut self, bar: u8, at: u64, octets: &[u8]) {
        let mut port = lock(&self.port);
        let end = at.saturating_add(octets.len() as u64);
        if !port.answers_memory() || end > self.bar_len(bar) {
            return;
        }
        if bar == self.spec.msix_bar * 2 {
            port.msix.write_table(at as usize, octets);
            port.send_pending();
        } else {
            drop(port);
            self.device.write(bar, at, octets);
        }
    }

    fn bar_len(&self, bar: u8) -> u64 {
        self.bar_lens().get(usize::from(bar)).copied().unwrap_or(0)
    }

    /// Function-level reset (6.6.2): configuration space but for what sticks, MSI-X, and the device.
    pub fn reset(&mut self) {
        lock(&self.port).reset();
        self.device.reset();
    }

    /// The host took a vector into use or gave it up ([`MsixTable::Hosts`]). One that was pending goes at once.
    pub fn set_vector(&mut self, vector: u16, in_use: bool) {
        let mut port = lock(&self.port);
        if vector < port.msix.vectors() {
            let bit = 1u128 << vector;
            port.in_use = if in_use { port.in_use | bit } else { port.in_use & !bit };
            port.send_pending();
        }
    }

    /// The host went away without a word: no memory is reached and no interrupt raised any more, not even when another host comes
    /// and maps its own. The device goes on else.
    pub fn detach(&mut self) {
        let mut port = lock(&self.port);
        port.config.change16(offset::COMMAND, bits::BUS_MASTER, 0);
        port.in_use = 0;
        port.msix.reset();
        drop(port);
        self.device.release();
    }

    /// The message that the table has for a vector.
    #[must_use]
    pub fn message(&self, vector: u16) -> Option<Message> {
        lock(&self.port).msix.message(vector)
    }
}
