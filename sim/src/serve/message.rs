//! Messages of the vfio-user protocol (QEMU, `docs/interop/vfio-user.rst`), as numbers and octets: no socket, no device.
//!
//! All numbers are in the byte order of the machine that both ends run on.

/// Octets of a message's header.
pub(crate) const HEADER_LEN: usize = 16;
/// Most octets that one access may carry; told to the client when the connection is set up.
pub(crate) const MAX_TRANSFER: usize = 64 * 1024;
/// Longest message that is taken: an access and its own fields.
pub(crate) const MAX_MESSAGE: usize = HEADER_LEN + ACCESS_LEN + MAX_TRANSFER;
/// Most file descriptors that one message may carry; told to the client.
pub(crate) const MAX_FDS: usize = 16;
/// Octets of an access's own fields.
pub(crate) const ACCESS_LEN: usize = 16;

const TYPE_MASK: u32 = 0xf;
const TYPE_COMMAND: u32 = 0;
const TYPE_REPLY: u32 = 1;
const NO_REPLY: u32 = 1 << 4;
const ERROR: u32 = 1 << 5;

/// What a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    Version,
    DmaMap,
    DmaUnmap,
    DeviceInfo,
    RegionInfo,
    IrqInfo,
    SetIrqs,
    RegionRead,
    RegionWrite,
    Reset,
}

impl Command {
    const ALL: [(u16, Self); 10] = [
        (1, Self::Version),
        (2, Self::DmaMap),
        (3, Self::DmaUnmap),
        (4, Self::DeviceInfo),
        (5, Self::RegionInfo),
        (7, Self::IrqInfo),
        (8, Self::SetIrqs),
        (9, Self::RegionRead),
        (10, Self::RegionWrite),
        (13, Self::Reset),
    ];

    /// The command of a number; the others are not supported.
    pub(crate) fn from_number(number: u16) -> Option<Self> {
        Self::ALL
            .iter()
            .find_map(|(known, command)| (*known == number).then_some(*command))
    }
}

/// Start of every message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) id: u16,
    pub(crate) command: u16,
    /// Octets of the message, this header included.
    pub(crate) len: u32,
    flags: u32,
}

impl Header {
    pub(crate) fn parse(octets: &[u8; HEADER_LEN]) -> Self {
        let mut fields = Fields(octets);
        // There are always enough octets for these.
        Self {
            id: fields.u16().unwrap_or_default(),
            command: fields.u16().unwrap_or_default(),
            len: fields.u32().unwrap_or_default(),
            flags: fields.u32().unwrap_or_default(),
        }
    }

    pub(crate) fn is_command(&self) -> bool {
        self.flags & TYPE_MASK == TYPE_COMMAND
    }

    pub(crate) fn wants_no_reply(&self) -> bool {
        self.flags & NO_REPLY != 0
    }

    /// A reply with `body`.
    pub(crate) fn reply(&self, body: &[u8]) -> Vec<u8> {
        self.answer(TYPE_REPLY, 0, body)
    }

    /// A reply that says why not.
    pub(crate) fn refuse(&self, refusal: Refusal) -> Vec<u8> {
        self.answer(TYPE_REPLY | ERROR, refusal.errno(), &[])
    }

    fn answer(&self, flags: u32, error: u32, body: &[u8]) -> Vec<u8> {
        let len = u32::try_from(HEADER_LEN + body.len()).unwrap_or(u32::MAX);
        let mut octets = Vec::with_capacity(HEADER_LEN + body.len());
        octets.extend_from_slice(&self.id.to_ne_bytes());
        octets.extend_from_slice(&self.command.to_ne_bytes());
        for word in [len, flags, error] {
            octets.extend_from_slice(&word.to_ne_bytes());
        }
        octets.extend_from_slice(body);
        octets
    }
}

/// Why a command is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A field has a value that it can't have, or the message is too short or too long.
    Invalid,
    /// The server doesn't do that.
    Unsupported,
    /// The connection has not been set up, or was already.
    OutOfOrder,
    /// Overlaps a mapping that is there.
    Exists,
    /// No room for one more.
    Full,
    /// The file can't be used as memory that is mapped like that.
    BadFile,
    /// Another client has the device.
    Busy,
}

impl Refusal {
    /// Number of the error as Linux has it.
    fn errno(self) -> u32 {
        use rustix::io::Errno;
        let errno = match self {
            Self::Invalid => Errno::INVAL,
            Self::Unsupported => Errno::OPNOTSUPP,
            Self::OutOfOrder => Errno::PROTO,
            Self::Exists => Errno::EXIST,
            Self::Full => Errno::NOSPC,
            Self::BadFile => Errno::BADF,
            Self::Busy => Errno::BUSY,
        };
        errno.raw_os_error().unsigned_abs()
    }
}

/// Fields of a message's body, taken one after another.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Refusal> {
        let (first, rest) = self.0.split_first_chunk().ok_or(Refusal::Invalid)?;
        self.0 = rest;
        Ok(*first)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Refusal> {
        self.take().map(u16::from_ne_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Refusal> {
        self.take().map(u32::from_ne_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Refusal> {
        self.take().map(u64::from_ne_bytes)
    }

    /// What is left.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// Nothing is left.
    pub(crate) fn end(&self) -> Result<(), Refusal> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Refusal::Invalid)
        }
    }
}

/// Body of a reply, put together field by field.
#[derive(Default)]
pub(crate) struct Body(pub(crate) Vec<u8>);

impl Body {
    pub(crate) fn u16(mut self, value: u16) -> Self {
        self.0.extend_from_slice(&value.to_ne_bytes());
        self
    }

    pub(crate) fn u32(mut self, value: u32) -> Self {
        self.0.extend_from_slice(&value.to_ne_bytes());
        self
    }

    pub(crate) fn u64(mut self, value: u64) -> Self {
        self.0.extend_from_slice(&value.to_ne_bytes());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_and_answers_carry_id_command_and_error() {
        let mut octets = [0; HEADER_LEN];
        octets[..2].copy_from_slice(&7u16.to_ne_bytes());
        octets[2..4].copy_from_slice(&9u16.to_ne_bytes());
        octets[4..8].copy_from_slice(&32u32.to_ne_bytes());
        let header = Header::parse(&octets);
        assert_eq!((header.id, header.command, header.len), (7, 9, 32));
        assert!(header.is_command() && !header.wants_no_reply());
        assert_eq!(Command::from_number(header.command), Some(Command::RegionRead));

        let reply = header.reply(&[1, 2, 3]);
        assert_eq!(reply.len(), HEADER_LEN + 3);
        let parsed = Header::parse(reply.first_chunk().unwrap());
        assert!(!parsed.is_command());
        assert_eq!((parsed.id, parsed.len), (7, 19));

        let refusal = header.refuse(Refusal::Invalid);
        assert_eq!(refusal.len(), HEADER_LEN);
        assert_eq!(refusal[8..12], (TYPE_REPLY | ERROR).to_ne_bytes());
        assert_eq!(refusal[12..], 22u32.to_ne_bytes());
    }

    #[test]
    fn missing_fields_are_refused_and_left_over_octets_noticed() {
        let octets = [1, 0, 0, 0, 5];
        let mut fields = Fields(&octets);
        assert_eq!(fields.u32(), Ok(u32::from_ne_bytes([1, 0, 0, 0])));
        assert_eq!(fields.u16(), Err(Refusal::Invalid));
        assert_eq!(fields.end(), Err(Refusal::Invalid));
        assert_eq!(fields.rest(), [5]);
    }
}
