//! The transport to a device served over a Unix socket (vfio-user protocol, version 0.1), as by `sealnic serve`.
//!
//! A small client of its own rather than the one of crate `vfio_user`: that one waits for ever, ignores errors in replies,
//! and panics on some of what a broken server sends.

mod connection;
mod message;

use super::pci::{BAR0_REGION, CONFIG_REGION, ConfigSpace, MSIX_IRQ, check_identity, set_command};
use super::vectors::Vectors;
use super::{Capabilities, Fired, Transport, TransportError};
use crate::clock::Clock;
use crate::dma::mapped::MappedMemory;
use crate::dma::{ArenaConfig, DmaArena, DmaBuffer, DmaMemory, HugePages};
use connection::Connection;
use message::{
    Command, DEVICE_PCI, DEVICE_RESET, DeviceInfo, DmaMap, IRQ_ACTION_TRIGGER, IRQ_DATA_EVENTFD, IRQ_DATA_NONE,
    IrqInfo, IrqSet, RegionAccess, RegionInfo, Version,
};
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use zerocopy::{FromBytes, IntoBytes};

/// How to reach a server.
#[derive(Debug, Clone, Copy)]
pub struct VfioUserConfig {
    /// Memory for DMA.
    pub arena: ArenaConfig,
    /// How long any answer may take.
    pub timeout: Duration,
}

impl Default for VfioUserConfig {
    fn default() -> Self {
        Self {
            // There is no IOMMU to spare, and a server that doesn't map this memory can't write to huge pages.
            arena: ArenaConfig {
                huge_pages: HugePages::Never,
                ..ArenaConfig::default()
            },
            timeout: Duration::from_secs(5),
        }
    }
}

/// A connection to a served device.
pub struct VfioUserTransport {
    connection: Connection,
    arena: DmaArena,
    vectors: Vectors,
    bar_len: u64,
    capabilities: Capabilities,
    master: bool,
}

/// What a client says of itself: it takes no descriptors, and nothing beyond the protocol's defaults.
const CLIENT_CAPABILITIES: &[u8] = b"{\"capabilities\":{\"max_msg_fds\":1,\"max_data_xfer_size\":1048576}}\0";
const PROTOCOL_MINOR: u16 = 1;

impl VfioUserTransport {
    /// Connects to the server at `path`.
    ///
    /// # Errors
    /// Nobody there, somebody else connected, or no SealNIC behind it.
    pub fn connect(path: &Path) -> Result<Self, TransportError> {
        Self::connect_with(path, VfioUserConfig::default())
    }

    /// As [`connect`](Self::connect), with limits.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn connect_with(path: &Path, config: VfioUserConfig) -> Result<Self, TransportError> {
        let mut connection = Connection::open(path, config.timeout)?;
        negotiate(&mut connection)?;
        let info: DeviceInfo = query(
            &mut connection,
            Command::DeviceGetInfo,
            &DeviceInfo {
                argsz: argsz::<DeviceInfo>(),
                flags: 0,
                regions: 0,
                irqs: 0,
            },
        )?;
        let unsuitable = |connection: &Connection, why: &str| TransportError::Unsuitable {
            what: connection.what().into(),
            why: why.into(),
        };
        if info.flags & DEVICE_PCI == 0 || info.regions <= CONFIG_REGION || info.irqs <= MSIX_IRQ {
            return Err(unsuitable(&connection, "it serves no PCI device"));
        }
        let bar: RegionInfo = query(
            &mut connection,
            Command::DeviceGetRegionInfo,
            &RegionInfo {
                argsz: argsz::<RegionInfo>(),
                flags: 0,
                index: BAR0_REGION,
                cap_offset: 0,
                size: 0,
                offset: 0,
            },
        )?;
        let irq: IrqInfo = query(
            &mut connection,
            Command::DeviceGetIrqInfo,
            &IrqInfo {
                argsz: argsz::<IrqInfo>(),
                flags: 0,
                index: MSIX_IRQ,
                count: 0,
            },
        )?;
        let memory = Arc::new(MappedMemory::new(config.arena.len, config.arena.huge_pages)?);
        let mut transport = Self {
            arena: DmaArena::new(memory.clone(), config.arena.iova),
            connection,
            vectors: Vectors::default(),
            bar_len: bar.size,
            capabilities: Capabilities {
                dma: true,
                vectors: u16::try_from(irq.count).unwrap_or(u16::MAX).min(Fired::MAX),
                reset: info.flags & DEVICE_RESET != 0,
            },
            master: true,
        };
        let what = transport.connection.what().to_owned();
        check_identity(&mut transport, &what)?;
        transport.map(&memory, config.arena.iova)?;
        set_command(&mut transport, true)?;
        Ok(transport)
    }

    fn map(&mut self, memory: &MappedMemory, iova: u64) -> Result<(), TransportError> {
        let request = DmaMap {
            argsz: argsz::<DmaMap>(),
            flags: 0b11,
            offset: 0,
            address: iova,
            size: memory.len() as u64,
        };
        self.connection
            .call(Command::DmaMap, &[request.as_bytes()], Some(memory.file().as_fd()), 0)?
            .map_err(|source| TransportError::Operation {
                operation: "mapping memory for DMA",
                source,
            })?;
        Ok(())
    }

    fn set_irqs(&mut self, vectors: &Vectors) -> Result<(), TransportError> {
        let all_off = IrqSet {
            argsz: argsz::<IrqSet>(),
            flags: IRQ_DATA_NONE | IRQ_ACTION_TRIGGER,
            index: MSIX_IRQ,
            start: 0,
            count: 0,
        };
        let failed = |source| TransportError::Operation {
            operation: "setting up interrupts",
            source,
        };
        self.connection
            .call(Command::SetIrqs, &[all_off.as_bytes()], None, 0)?
            .map_err(failed)?;
        // One message a vector: a server need not take more than one descriptor at a time.
        for (start, descriptor) in (0..).zip(vectors.descriptors()) {
            let request = IrqSet {
                flags: IRQ_DATA_EVENTFD | IRQ_ACTION_TRIGGER,
                start,
                count: 1,
                ..all_off
            };
            self.connection
                .call(Command::SetIrqs, &[request.as_bytes()], Some(descriptor), 0)?
                .map_err(failed)?;
        }
        Ok(())
    }

    fn region_read(&mut self, region: u32, offset: u64, octets: &mut [u8]) -> Result<io::Result<()>, TransportError> {
        let access = access(region, offset, octets.len());
        let least = size_of::<RegionAccess>() + octets.len();
        let reply = self
            .connection
            .call(Command::RegionRead, &[access.as_bytes()], None, least)?;
        Ok(reply.map(|reply| {
            // `least` octets are there.
            if let Some(data) = reply.get(size_of::<RegionAccess>()..least) {
                octets.copy_from_slice(data);
            }
        }))
    }

    fn check_offset(&self, offset: u32) -> Result<(), TransportError> {
        if !offset.is_multiple_of(4) || u64::from(offset) + 4 > self.bar_len {
            return Err(TransportError::OutOfRange { offset });
        }
        Ok(())
    }
}

#[cfg(feature = "control")]
impl crate::control::Board for VfioUserTransport {
    fn polled<'b>(&'b self, polled: &mut Vec<rustix::event::PollFd<'b>>) {
        self.vectors.polled(Some(self.connection.descriptor()), polled);
    }
}

impl Transport for VfioUserTransport {
    fn read32(&mut self, offset: u32) -> Result<u32, TransportError> {
        self.check_offset(offset)?;
        let mut word = [0; 4];
        self.region_read(BAR0_REGION, offset.into(), &mut word)?
            .map_err(|source| TransportError::Read { offset, source })?;
        if let Some(source) = self.connection.take_refused() {
            return Err(TransportError::Operation {
                operation: "an earlier write to a register",
                source,
            });
        }
        Ok(u32::from_le_bytes(word))
    }

    fn write32(&mut self, offset: u32, value: u32) -> Result<(), TransportError> {
        self.check_offset(offset)?;
        let access = access(BAR0_REGION, offset.into(), 4);
        // Posted, as on a bus. The message goes through the kernel: what was written to memory before is seen before it.
        self.connection
            .post(Command::RegionWrite, &[access.as_bytes(), &value.to_le_bytes()])
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn dma_alloc(&mut self, len: usize) -> Result<DmaBuffer, TransportError> {
        Ok(self.arena.alloc(len)?)
    }

    fn enable_interrupts(&mut self, vectors: u16) -> Result<(), TransportError> {
        TransportError::check_vectors(vectors, self.capabilities.vectors)?;
        let vectors = Vectors::new(vectors).map_err(TransportError::Interrupt)?;
        self.set_irqs(&vectors)?;
        self.vectors = vectors;
        Ok(())
    }

    fn wait(&mut self, at_most: Duration, clock: &mut dyn Clock) -> Result<Fired, TransportError> {
        if self.vectors.is_empty() {
            clock.sleep(at_most);
            return Ok(Fired::NONE);
        }
        match self.vectors.wait(at_most, Some(self.connection.descriptor())) {
            Ok(fired) => Ok(fired),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(self.connection.broke("it closed the connection".into()))
            }
            Err(error) => Err(TransportError::Interrupt(error)),
        }
    }

    fn reset(&mut self) -> Result<(), TransportError> {
        self.connection
            .call(Command::DeviceReset, &[], None, 0)?
            .map_err(|source| TransportError::Operation {
                operation: "the function-level reset",
                source,
            })?;
        let vectors = std::mem::take(&mut self.vectors);
        if !vectors.is_empty() {
            self.set_irqs(&vectors)?;
        }
        self.vectors = vectors;
        let master = self.master;
        set_command(self, master)
    }

    fn set_bus_master(&mut self, allowed: bool) -> Result<(), TransportError> {
        set_command(self, allowed)?;
        self.master = allowed;
        Ok(())
    }
}

impl ConfigSpace for VfioUserTransport {
    fn config_read(&mut self, offset: u64, octets: &mut [u8]) -> Result<(), TransportError> {
        self.region_read(CONFIG_REGION, offset, octets)?
            .map_err(|source| TransportError::Operation {
                operation: "reading the configuration space",
                source,
            })
    }

    fn config_write(&mut self, offset: u64, octets: &[u8]) -> Result<(), TransportError> {
        let access = access(CONFIG_REGION, offset, octets.len());
        self.connection
            .call(Command::RegionWrite, &[access.as_bytes(), octets], None, 0)?
            .map_err(|source| TransportError::Operation {
                operation: "writing the configuration space",
                source,
            })?;
        Ok(())
    }
}

impl Drop for VfioUserTransport {
    fn drop(&mut self) {
        self.arena.unmap();
    }
}

/// Agrees on the protocol's version.
fn negotiate(connection: &mut Connection) -> Result<(), TransportError> {
    let ours = Version {
        major: 0,
        minor: PROTOCOL_MINOR,
    };
    let reply = connection
        .call(
            Command::Version,
            &[ours.as_bytes(), CLIENT_CAPABILITIES],
            None,
            size_of::<Version>(),
        )
        .map_err(|error| match error {
            // A server that takes the connection and says nothing has another client.
            TransportError::Disconnected { what, why } if why.starts_with("no answer") => {
                TransportError::InUse { what }
            }
            error => error,
        })?
        .map_err(|source| match source.kind() {
            // And one that knows of its other client says so.
            io::ErrorKind::ResourceBusy => TransportError::InUse {
                what: connection.what().into(),
            },
            _ => TransportError::Operation {
                operation: "agreeing on the vfio-user protocol",
                source,
            },
        })?;
    match Version::read_from_prefix(&reply) {
        Ok((theirs, _)) if theirs.major == 0 && theirs.minor <= PROTOCOL_MINOR => Ok(()),
        Ok((theirs, _)) => Err(TransportError::Unsuitable {
            what: connection.what().into(),
            why: format!(
                "its server speaks vfio-user {}.{}, this driver 0.{PROTOCOL_MINOR}",
                theirs.major, theirs.minor
            ),
        }),
        Err(_) => Err(connection.broke("it told no version".into())),
    }
}

/// Asks with a structure that comes back filled in.
fn query<Q: IntoBytes + FromBytes + zerocopy::Immutable>(
    connection: &mut Connection,
    command: Command,
    question: &Q,
) -> Result<Q, TransportError> {
    let reply = connection
        .call(command, &[question.as_bytes()], None, size_of::<Q>())?
        .map_err(|source| TransportError::Operation {
            operation: "asking the server what it serves",
            source,
        })?;
    match Q::read_from_prefix(&reply) {
        Ok((answer, _)) => Ok(answer),
        Err(_) => Err(connection.broke("its answer is too short".into())),
    }
}

const fn argsz<Q>() -> u32 {
    // Each of our structures has a few dozen octets.
    size_of::<Q>() as u32
}

const fn access(region: u32, offset: u64, len: usize) -> RegionAccess {
    RegionAccess {
        offset,
        region,
        count: len as u32,
    }
}
