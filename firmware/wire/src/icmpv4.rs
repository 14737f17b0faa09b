//! ICMP for IPv4 (RFC 792): echo, and destination unreachable with the next-hop MTU of RFC 1191.

use crate::bytes::{Field, get_slice, get_slice_mut, get_u8, get_u16, put_slice, put_u8, put_u16};
use crate::{Error, Result, checksum};

/// Octets before the data.
pub const HEADER_LEN: usize = 8;

/// The longest part of the offending packet that an error quotes, so that the answer fits into 576 octets with its IPv4 header
/// (RFC 1812 section 4.3.2.3).
pub const MAX_QUOTE_LEN: usize = 576 - crate::ipv4::HEADER_LEN - HEADER_LEN;

/// Message types.
pub mod kind {
    /// Echo reply.
    pub const ECHO_REPLY: u8 = 0;
    /// Destination unreachable.
    pub const DESTINATION_UNREACHABLE: u8 = 3;
    /// Echo request.
    pub const ECHO_REQUEST: u8 = 8;
}

/// Code of destination unreachable: the packet needs fragmentation and forbids it.
pub const CODE_FRAGMENTATION_NEEDED: u8 = 4;

/// Code of destination unreachable: communication administratively prohibited (RFC 1812 section 5.2.7.1).
pub const CODE_PROHIBITED: u8 = 13;

mod field {
    use super::Field;
    pub(super) const TYPE: usize = 0;
    pub(super) const CODE: usize = 1;
    pub(super) const CHECKSUM: Field = 2..4;
    pub(super) const IDENT: Field = 4..6;
    /// Sequence number of an echo, next-hop MTU of fragmentation needed.
    pub(super) const SEQ_OR_MTU: Field = 6..8;
}

/// View of an ICMP message, which ends where the buffer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Icmpv4Packet<T> {
    buffer: T,
}

impl<T: AsRef<[u8]>> Icmpv4Packet<T> {
    /// A view without any check.
    #[inline]
    pub const fn new_unchecked(buffer: T) -> Self {
        Self { buffer }
    }

    /// A view of a buffer that holds a whole header.
    ///
    /// # Errors
    /// [`Error::Truncated`] below 8 octets.
    #[inline]
    pub fn new_checked(buffer: T) -> Result<Self> {
        if buffer.as_ref().len() < HEADER_LEN {
            return Err(Error::Truncated);
        }
        Ok(Self { buffer })
    }

    /// Gives the buffer back.
    #[inline]
    pub fn into_inner(self) -> T {
        self.buffer
    }

    /// Message type (see [`kind`]).
    #[inline]
    pub fn msg_type(&self) -> u8 {
        get_u8(self.buffer.as_ref(), field::TYPE)
    }

    /// Message code.
    #[inline]
    pub fn msg_code(&self) -> u8 {
        get_u8(self.buffer.as_ref(), field::CODE)
    }

    /// An error message, which must never be answered by another (RFC 1122 section 3.2.2).
    #[inline]
    pub fn is_error(&self) -> bool {
        matches!(self.msg_type(), 3 | 4 | 5 | 11 | 12)
    }

    /// Checksum.
    #[inline]
    pub fn checksum(&self) -> u16 {
        get_u16(self.buffer.as_ref(), field::CHECKSUM)
    }

    /// Identifier of an echo.
    #[inline]
    pub fn echo_ident(&self) -> u16 {
        get_u16(self.buffer.as_ref(), field::IDENT)
    }

    /// Sequence number of an echo.
    #[inline]
    pub fn echo_seq(&self) -> u16 {
        get_u16(self.buffer.as_ref(), field::SEQ_OR_MTU)
    }

    /// Next-hop MTU of fragmentation needed, in octets of an IPv4 packet.
    #[inline]
    pub fn next_hop_mtu(&self) -> u16 {
        get_u16(self.buffer.as_ref(), field::SEQ_OR_MTU)
    }

    /// Whether the checksum is right.
    #[inline]
    pub fn verify_checksum(&self) -> bool {
        checksum::verify(0, self.buffer.as_ref())
    }

    /// Data of an echo, or the packet that an error quotes.
    #[inline]
    pub fn payload(&self) -> &[u8] {
        let data = self.buffer.as_ref();
        get_slice(data, HEADER_LEN..data.len())
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Icmpv4Packet<T> {
    /// Sets type and code.
    #[inline]
    pub fn set_type_and_code(&mut self, msg_type: u8, msg_code: u8) {
        let data = self.buffer.as_mut();
        put_u8(data, field::TYPE, msg_type);
        put_u8(data, field::CODE, msg_code);
    }

    /// Sets the checksum.
    #[inline]
    pub fn set_checksum(&mut self, checksum: u16) {
        put_u16(self.buffer.as_mut(), field::CHECKSUM, checksum);
    }

    /// Sets the identifier of an echo; zero in an error.
    #[inline]
    pub fn set_echo_ident(&mut self, ident: u16) {
        put_u16(self.buffer.as_mut(), field::IDENT, ident);
    }

    /// Sets the sequence number of an echo.
    #[inline]
    pub fn set_echo_seq(&mut self, seq: u16) {
        put_u16(self.buffer.as_mut(), field::SEQ_OR_MTU, seq);
    }

    /// Sets the next-hop MTU of fragmentation needed.
    #[inline]
    pub fn set_next_hop_mtu(&mut self, mtu: u16) {
        put_u16(self.buffer.as_mut(), field::SEQ_OR_MTU, mtu);
    }

    /// Computes and sets the checksum over the whole buffer.
    #[inline]
    pub fn fill_checksum(&mut self) {
        let checksum = checksum::compute(0, self.buffer.as_ref(), field::CHECKSUM);
        self.set_checksum(checksum);
    }

    /// Data of an echo, or the packet that an error quotes.
    #[inline]
    pub fn payload_mut(&mut self) -> &mut [u8] {
        let data = self.buffer.as_mut();
        let end = data.len();
        get_slice_mut(data, HEADER_LEN..end)
    }
}

/// An ICMP message that a NIC sends or answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Icmpv4Repr<'a> {
    /// Echo request.
    EchoRequest {
        /// Identifier.
        ident: u16,
        /// Sequence number.
        seq: u16,
        /// What the reply has to bring back.
        data: &'a [u8],
    },
    /// Echo reply.
    EchoReply {
        /// Identifier of the request.
        ident: u16,
        /// Sequence number of the request.
        seq: u16,
        /// Data of the request.
        data: &'a [u8],
    },
    /// Destination unreachable, for any reason but the size.
    DestinationUnreachable {
        /// Which reason; never [`CODE_FRAGMENTATION_NEEDED`].
        code: u8,
        /// The offending packet's front.
        quote: &'a [u8],
    },
    /// The packet is longer than the next hop takes and forbids fragmentation.
    FragmentationNeeded {
        /// What the next hop takes, in octets of an IPv4 packet.
        mtu: u16,
        /// The offending packet's front.
        quote: &'a [u8],
    },
}

impl<'a> Icmpv4Repr<'a> {
    /// Fragmentation needed about the IPv4 packet `packet`, of which as much is quoted as may be.
    #[inline]
    pub fn fragmentation_needed(mtu: u16, packet: &'a [u8]) -> Self {
        Self::FragmentationNeeded {
            mtu,
            quote: get_slice(packet, 0..packet.len().min(MAX_QUOTE_LEN)),
        }
    }

    /// Reads the message and verifies its checksum.
    ///
    /// # Errors
    /// [`Error::Checksum`] when the checksum is wrong; [`Error::Malformed`] for an echo with a code; [`Error::Unsupported`] for
    /// other types.
    #[inline]
    pub fn parse<T: AsRef<[u8]>>(packet: &'a Icmpv4Packet<T>) -> Result<Self> {
        if !packet.verify_checksum() {
            return Err(Error::Checksum);
        }
        let (ident, seq, data) = (packet.echo_ident(), packet.echo_seq(), packet.payload());
        match (packet.msg_type(), packet.msg_code()) {
            (kind::ECHO_REQUEST, 0) => Ok(Self::EchoRequest { ident, seq, data }),
            (kind::ECHO_REPLY, 0) => Ok(Self::EchoReply { ident, seq, data }),
            (kind::ECHO_REQUEST | kind::ECHO_REPLY, _) => Err(Error::Malformed),
            (kind::DESTINATION_UNREACHABLE, CODE_FRAGMENTATION_NEEDED) => Ok(Self::FragmentationNeeded {
                mtu: packet.next_hop_mtu(),
                quote: data,
            }),
            (kind::DESTINATION_UNREACHABLE, code) => Ok(Self::DestinationUnreachable { code, quote: data }),
            _ => Err(Error::Unsupported),
        }
    }

    /// Octets that [`Self::emit`] writes.
    #[inline]
    pub const fn buffer_len(&self) -> usize {
        let (Self::EchoRequest { data, .. }
        | Self::EchoReply { data, .. }
        | Self::DestinationUnreachable { quote: data, .. }
        | Self::FragmentationNeeded { quote: data, .. }) = self;
        HEADER_LEN + data.len()
    }

    /// Writes the message, its checksum included, to the front of `buffer`.
    ///
    /// # Errors
    /// [`Error::Truncated`] when `buffer` is shorter than [`Self::buffer_len`]; [`Error::Malformed`] for destination
    /// unreachable with the code of fragmentation needed, which has a variant of its own.
    #[inline]
    pub fn emit(&self, buffer: &mut [u8]) -> Result<()> {
        let (msg_type, msg_code, ident, seq_or_mtu, data) = match *self {
            Self::EchoRequest { ident, seq, data } => (kind::ECHO_REQUEST, 0, ident, seq, data),
            Self::EchoReply { ident, seq, data } => (kind::ECHO_REPLY, 0, ident, seq, data),
            Self::DestinationUnreachable {
                code: CODE_FRAGMENTATION_NEEDED,
                ..
            } => return Err(Error::Malformed),
            Self::DestinationUnreachable { code, quote } => (kind::DESTINATION_UNREACHABLE, code, 0, 0, quote),
            Self::FragmentationNeeded { mtu, quote } => {
                (kind::DESTINATION_UNREACHABLE, CODE_FRAGMENTATION_NEEDED, 0, mtu, quote)
            }
        };
        let message = buffer.get_mut(..self.buffer_len()).ok_or(Error::Truncated)?;
        let end = message.len();
        put_slice(message, HEADER_LEN..end, data);
        let mut packet = Icmpv4Packet::new_unchecked(message);
        packet.set_type_and_code(msg_type, msg_code);
        packet.set_echo_ident(ident);
        packet.set_echo_seq(seq_or_mtu);
        packet.fill_checksum();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{hex, refuses_every_truncation};

    // From a kernel: an echo request and its reply, and an answer about a packet of 1478 octets to a link with an MTU of 1400,
    // whose quote is cut short here and whose checksum was adapted to that.
    const REQUEST: &str = "0800 549d 1234 0001 61626364656667";
    const REPLY: &str = "0000 5c9d 1234 0001 61626364656667";
    const TOO_BIG: &str = "0304 3e8d 0000 0578 450005c60000400040 11210f0a01000a0a02000c 138a138b05b28c2f";

    #[test]
    fn takes_an_echo_apart_and_builds_its_reply() {
        let octets = hex(REQUEST);
        let packet = Icmpv4Packet::new_checked(&octets).unwrap();
        let Ok(Icmpv4Repr::EchoRequest { ident, seq, data }) = Icmpv4Repr::parse(&packet) else {
            panic!("not an echo request");
        };
        assert_eq!((ident, seq, data), (0x1234, 1, &b"abcdefg"[..]));
        let reply = Icmpv4Repr::EchoReply { ident, seq, data };
        let mut buffer = [0xff; 15];
        reply.emit(&mut buffer).unwrap();
        assert_eq!(buffer[..], hex(REPLY));
        assert_eq!(
            Icmpv4Repr::parse(&Icmpv4Packet::new_checked(&buffer).unwrap()),
            Ok(reply)
        );
        assert!(!packet.is_error());
    }

    #[test]
    fn says_what_the_next_hop_takes() {
        let octets = hex(TOO_BIG);
        let packet = Icmpv4Packet::new_checked(&octets).unwrap();
        assert!(packet.is_error());
        let repr = Icmpv4Repr::parse(&packet).unwrap();
        assert_eq!(
            repr,
            Icmpv4Repr::FragmentationNeeded {
                mtu: 1400,
                quote: &octets[8..]
            }
        );
        let mut buffer = [0xff; 36];
        repr.emit(&mut buffer).unwrap();
        assert_eq!(buffer[..], octets);
    }

    #[test]
    fn quotes_no_more_than_fits_into_576_octets() {
        let packet = [0x45; 1478];
        let repr = Icmpv4Repr::fragmentation_needed(1400, &packet);
        assert_eq!(repr.buffer_len() + crate::ipv4::HEADER_LEN, 576);
        let repr = Icmpv4Repr::fragmentation_needed(1400, &packet[..40]);
        assert_eq!(repr.buffer_len(), 48);
    }

    #[test]
    fn other_errors_have_their_code() {
        let repr = Icmpv4Repr::DestinationUnreachable {
            code: CODE_PROHIBITED,
            quote: &[0x45],
        };
        let mut buffer = [0xff; 9];
        repr.emit(&mut buffer).unwrap();
        assert_eq!(buffer[..], hex("030d b7f2 00000000 45"));
        assert_eq!(
            Icmpv4Repr::parse(&Icmpv4Packet::new_checked(&buffer).unwrap()),
            Ok(repr)
        );
        let wrong = Icmpv4Repr::DestinationUnreachable {
            code: CODE_FRAGMENTATION_NEEDED,
            quote: &[],
        };
        assert_eq!(wrong.emit(&mut buffer), Err(Error::Malformed));
    }

    #[test]
    fn an_echo_reply_of_zeros_verifies() {
        let mut buffer = [0xff; 8];
        Icmpv4Repr::EchoReply {
            ident: 0,
            seq: 0,
            data: &[],
        }
        .emit(&mut buffer)
        .unwrap();
        assert!(Icmpv4Packet::new_checked(&buffer).unwrap().verify_checksum());
    }

    #[test]
    fn refuses_truncations_and_damage() {
        refuses_every_truncation(&hex(REQUEST)[..8], |data| Icmpv4Packet::new_checked(data).is_ok());
        refuses_every_truncation(&hex(REQUEST), |data| {
            Icmpv4Packet::new_checked(data).is_ok_and(|packet| Icmpv4Repr::parse(&packet).is_ok())
        });
        let parse = |text: &str| {
            let octets = hex(text);
            let mut packet = Icmpv4Packet::new_checked(octets).unwrap();
            packet.fill_checksum();
            Icmpv4Repr::parse(&packet).err()
        };
        assert_eq!(parse("0801 0000 1234 0001"), Some(Error::Malformed));
        assert_eq!(parse("0b00 0000 0000 0000"), Some(Error::Unsupported));
        let repr = Icmpv4Repr::EchoRequest {
            ident: 1,
            seq: 2,
            data: &[3],
        };
        assert_eq!(repr.emit(&mut [0; 8]), Err(Error::Truncated));
    }
}
