//! What one client asks of a function, and the answers. Every command has one; a mistake gets an error and changes nothing.

use super::connection::Message;
use super::function::{CONFIG_LEN, ClientPort, ServedFunction};
use super::memory::MAX_MAPPINGS;
use super::message::{ACCESS_LEN, Body, Command, Fields, HEADER_LEN, MAX_FDS, MAX_TRANSFER, Refusal};
use sealnic_hw_model::pci::Permissions;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Version of the protocol: 0.0, which every client can speak.
const VERSION: (u16, u16) = (0, 0);

/// Numbers of regions and kinds of interrupts as in VFIO (`linux/vfio.h`).
const BARS: u32 = 6;
const REGION_CONFIG: u32 = 7;
const REGIONS: u32 = 9;
const IRQ_MSIX: u32 = 2;
const IRQS: u32 = 5;
const DEVICE_RESET: u32 = 1 << 0;
const DEVICE_PCI: u32 = 1 << 1;
const REGION_READ_WRITE: u32 = 3;
const IRQ_EVENTFD: u32 = 1 << 0;
const SET_NONE: u32 = 1 << 0;
const SET_BOOL: u32 = 1 << 1;
const SET_EVENTFD: u32 = 1 << 2;
const SET_TRIGGER: u32 = 1 << 5;
const MAP_READ: u32 = 1 << 0;
const MAP_WRITE: u32 = 1 << 1;
/// Meaning of VFIO; the protocol's own text calls the field unused.
const UNMAP_ALL: u32 = 1 << 1;
const REGION_INFO_LEN: u32 = 32;
const DEVICE_INFO_LEN: u32 = 16;
const IRQ_INFO_LEN: u32 = 16;

/// One client's conversation.
pub(crate) struct Session<'a, F> {
    function: &'a Mutex<F>,
    port: &'a ClientPort,
    /// The version was agreed upon.
    is_set_up: bool,
}

/// What becomes of the connection, and what the client is told.
pub(crate) struct Answer {
    /// Octets to send; none where the client wants none.
    pub(crate) reply: Option<Vec<u8>>,
    /// Something may have changed inside that others must look at: frames that left, events to come.
    pub(crate) stirred: bool,
}

impl<'a, F: ServedFunction> Session<'a, F> {
    pub(crate) fn new(function: &'a Mutex<F>, port: &'a ClientPort) -> Self {
        Self {
            function,
            port,
            is_set_up: false,
        }
    }

    /// Carries out a command.
    pub(crate) fn handle(&mut self, message: Message) -> Answer {
        let header = message.header;
        if !header.is_command() {
            // Nothing was asked of the client, so this answers nothing; and answers to answers would never end.
            log::warn!("a client answered what was not asked: message {}", header.id);
            return Answer {
                reply: None,
                stirred: false,
            };
        }
        let command = Command::from_number(header.command);
        let stirred = matches!(
            command,
            Some(Command::RegionRead | Command::RegionWrite | Command::Reset)
        );
        let done = match command {
            None => Err(Refusal::Unsupported),
            Some(command) if (command == Command::Version) == self.is_set_up => Err(Refusal::OutOfOrder),
            Some(command) => self.carry_out(command, &message.body, message.fds),
        };
        if let Err(refusal) = done {
            log::warn!("refused command {} of a client: {refusal:?}", header.command);
        }
        let reply = match done {
            _ if header.wants_no_reply() => None,
            Ok(body) => Some(header.reply(&body)),
            Err(refusal) => Some(header.refuse(refusal)),
        };
        Answer { reply, stirred }
    }

    fn carry_out(&mut self, command: Command, body: &[u8], fds: Vec<OwnedFd>) -> Result<Vec<u8>, Refusal> {
        match command {
            Command::Version => self.version(body),
            Command::DmaMap => self.dma_map(body, fds),
            Command::DmaUnmap => self.dma_unmap(body),
            Command::DeviceInfo => Self::device_info(body),
            Command::RegionInfo => self.region_info(body),
            Command::IrqInfo => self.irq_info(body),
            Command::SetIrqs => self.set_irqs(body, fds),
            Command::RegionRead => self.region_read(body),
            Command::RegionWrite => self.region_write(body),
            Command::Reset => {
                Fields(body).end()?;
                self.function().reset();
                Ok(Vec::new())
            }
        }
    }

    fn function(&self) -> MutexGuard<'a, F> {
        self.function.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn version(&mut self, body: &[u8]) -> Result<Vec<u8>, Refusal> {
        let mut fields = Fields(body);
        let (major, _minor) = (fields.u16()?, fields.u16()?);
        if major != VERSION.0 {
            return Err(Refusal::Unsupported);
        }
        match fields.rest() {
            [] => {}
            [json @ .., 0] => {
                // What the client can do doesn't change what it is sent; but it must be an object, as the protocol says.
                let is_object = serde_json::from_slice(json).is_ok_and(|value: serde_json::Value| value.is_object());
                if !is_object {
                    return Err(Refusal::Invalid);
                }
            }
            _ => return Err(Refusal::Invalid),
        }
        self.is_set_up = true;
        let capabilities = serde_json::json!({"capabilities": {
            "max_msg_fds": MAX_FDS,
            "max_data_xfer_size": MAX_TRANSFER,
            "max_dma_maps": MAX_MAPPINGS,
            "pgsizes": 4096,
        }});
        let mut reply = Body::default().u16(VERSION.0).u16(VERSION.1).0;
        reply.extend_from_slice(capabilities.to_string().as_bytes());
        reply.push(0);
        Ok(reply)
    }

    fn dma_map(&mut self, body: &[u8], mut fds: Vec<OwnedFd>) -> Result<Vec<u8>, Refusal> {
        let mut fields = Fields(body);
        let (_argsz, flags) = (fields.u32()?, fields.u32()?);
        let (offset, iova, len) = (fields.u64()?, fields.u64()?, fields.u64()?);
        fields.end()?;
        let file = fds.pop();
        if !fds.is_empty() || flags & !(MAP_READ | MAP_WRITE) != 0 {
            return Err(Refusal::Invalid);
        }
        let permissions = Permissions {
            read: flags & MAP_READ != 0,
            write: flags & MAP_WRITE != 0,
        };
        self.port.lock().memory.map(iova, len, permissions, file, offset)?;
        Ok(Vec::new())
    }

    fn dma_unmap(&mut self, body: &[u8]) -> Result<Vec<u8>, Refusal> {
        let mut fields = Fields(body);
        let (_argsz, flags) = (fields.u32()?, fields.u32()?);
        let (iova, len) = (fields.u64()?, fields.u64()?);
        fields.end()?;
        match flags {
            0 => self.port.lock().memory.unmap(iova, len)?,
            UNMAP_ALL if (iova, len) == (0, 0) => self.port.lock().memory.clear(),
            _ => return Err(Refusal::Invalid),
        }
        Ok(body.to_vec())
    }

    fn device_info(body: &[u8]) -> Result<Vec<u8>, Refusal> {
        let mut fields = Fields(body);
        for _ in 0..DEVICE_INFO_LEN / 4 {
            fields.u32()?;
        }
        fields.end()?;
        let flags = DEVICE_RESET | DEVICE_PCI;
        Ok(Body::default().u32(DEVICE_INFO_LEN).u32(flags).u32(REGIONS).u32(IRQS).0)
    }

    fn region_info(&self, body: &[u8]) -> Result<Vec<u8>, Refusal> {
        let mut fields = Fields(body);
        let (_argsz, _flags, index) = (fields.u32()?, fields.u32()?, fields.u32()?);
        let (_capability, _len, _offset) = (fields.u32()?, fields.u64()?, fields.u64()?);
        fields.end()?;
        let len = self.region_len(index).ok_or(Refusal::Invalid)?;
        let flags = if len == 0 { 0 } else { REGION_READ_WRITE };
        let body = Body::default().u32(REGION_INFO_LEN).u32(flags).u32(index).u32(0);
        Ok(body.u64(len).u64(0).0)
    }

    fn irq_info(&self, body: &[u8]) -> Result<Vec<u8>, Refusal> {
        let mut fields = Fields(body);
        let (_argsz, _flags, index, _count) = (fields.u32()?, fields.u32()?, fields.u32()?, fields.u32()?);
        fields.end()?;
        let (flags, count) = match index {
            IRQ_MSIX => (IRQ_EVENTFD, u32::from(self.function().vectors())),
            0..IRQS => (0, 0),
            _ => return Err(Refusal::Invalid),
        };
        Ok(Body::default().u32(IRQ_INFO_LEN).u32(flags).u32(index).u32(count).0)
    }

    fn set_irqs(&mut self, body: &[u8], fds: Vec<OwnedFd>) -> Result<Vec<u8>, Refusal> {
        let mut fields = Fields(body);
        let (_argsz, flags, index) = (fields.u32()?, fields.u32()?, fields.u32()?);
        let (start, count) = (fields.u32()?, fields.u32()?);
        let vectors = match index {
            IRQ_MSIX => u32::from(self.function().vectors()),
            0..IRQS => 0,
            _ => return Err(Refusal::Invalid),
        };
        if start.checked_add(count).is_none_or(|end| end > vectors) {
            return Err(Refusal::Invalid);
        }
        let range = || (start..start + count).filter_map(|vector| u16::try_from(vector).ok());
        // Bounded by the number of vectors, as the range is.
        let data = fields.rest();
        let data_fits = match flags & !SET_TRIGGER {
            SET_BOOL => data.len() == count as usize && fds.is_empty(),
            SET_NONE => data.is_empty() && fds.is_empty(),
            // Some clients put the descriptors' own numbers there, as the ioctl does; they mean nothing here.
            SET_EVENTFD => fds.is_empty() || fds.len() == count as usize,
            _ => false,
        };
        if flags & SET_TRIGGER == 0 || !data_fits || !fds.iter().all(is_event) {
            return Err(Refusal::Invalid);
        }
        if !fds.is_empty() {
            self.port.lock().listens().map_err(|error| {
                log::warn!("interrupts can't be signalled, asynchronous I/O is not to be had: {error}");
                Refusal::Unsupported
            })?;
        }
        let mut events = fds.into_iter();
        match flags & !SET_TRIGGER {
            SET_NONE if count == 0 => (0..vectors)
                .filter_map(|vector| u16::try_from(vector).ok())
                .for_each(|vector| self.set_vector(vector, None)),
            SET_EVENTFD => range().for_each(|vector| self.set_vector(vector, events.next())),
            SET_NONE => range().for_each(|vector| self.port.lock().signal(vector)),
            _ => range()
                .zip(data)
                .filter(|(_, wanted)| **wanted != 0)
                .for_each(|(vector, _)| self.port.lock().signal(vector)),
        }
        Ok(Vec::new())
    }

    fn set_vector(&self, vector: u16, event: Option<OwnedFd>) {
        let in_use = event.is_some();
        self.port.lock().set_vector(vector, event);
        self.function().set_vector(vector, in_use);
    }

    fn region_len(&self, region: u32) -> Option<u64> {
        match region {
            0..BARS => self.function().bar_lens().get(region as usize).copied(),
            REGION_CONFIG => Some(CONFIG_LEN),
            BARS..REGIONS => Some(0),
            _ => None,
        }
    }

    /// Offset, region and length of an access that lies within its region.
    fn access(&self, fields: &mut Fields<'_>) -> Result<(u64, u32, usize), Refusal> {
        let (offset, region, count) = (fields.u64()?, fields.u32()?, fields.u32()?);
        let len = self.region_len(region).ok_or(Refusal::Invalid)?;
        let fits = offset.checked_add(u64::from(count)).is_some_and(|end| end <= len);
        if !fits || count as usize > MAX_TRANSFER {
            return Err(Refusal::Invalid);
        }
        Ok((offset, region, count as usize))
    }

    fn region_read(&self, body: &[u8]) -> Result<Vec<u8>, Refusal> {
        let mut fields = Fields(body);
        let (offset, region, len) = self.access(&mut fields)?;
        fields.end()?;
        let mut reply = body.to_vec();
        reply.resize(ACCESS_LEN + len, 0);
        let octets = &mut reply[ACCESS_LEN..];
        match (u8::try_from(region), u16::try_from(offset)) {
            (_, Ok(offset)) if region == REGION_CONFIG => self.function().config_read(offset, octets),
            (Ok(bar), _) if region < BARS => self.function().bar_read(bar, offset, octets),
            // A region without octets, so the access has none either.
            _ => {}
        }
        Ok(reply)
    }

    fn region_write(&self, body: &[u8]) -> Result<Vec<u8>, Refusal> {
        let mut fields = Fields(body);
        let (offset, region, len) = self.access(&mut fields)?;
        let octets = fields.rest();
        if octets.len() != len {
            return Err(Refusal::Invalid);
        }
        match (u8::try_from(region), u16::try_from(offset)) {
            (_, Ok(offset)) if region == REGION_CONFIG => self.function().config_write(offset, octets),
            (Ok(bar), _) if region < BARS => self.function().bar_write(bar, offset, octets),
            _ => {}
        }
        Ok(body.get(..ACCESS_LEN).unwrap_or_default().to_vec())
    }
}

/// Whether this is an event counter: a write to anything else could wait, or have effects elsewhere.
fn is_event(fd: &OwnedFd) -> bool {
    let link = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()));
    link.is_ok_and(|kind| kind.to_string_lossy().starts_with("anon_inode:[eventfd]"))
}

// The longest reply fits what a client was told it may get.
const _: () = assert!(HEADER_LEN + ACCESS_LEN + MAX_TRANSFER <= super::message::MAX_MESSAGE);
