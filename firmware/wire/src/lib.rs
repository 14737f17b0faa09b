//! Packet formats of SealNIC: everything that the NIC reads from, or writes to, a VM or the wire, and nothing else.
//!
//! Each format is one file in one shape. A borrowed *view* (`Ipv4Packet<T>` and so on) lies over a buffer and decodes one
//! field per accessor; `new_checked` proves once that every field is inside the buffer, and says why not otherwise. A plain
//! *repr* value (`Ipv4Repr`) holds the same header decoded: `parse` reads it from a view, `emit` writes it into a buffer of
//! at least `buffer_len()` octets. Setters work in place on any `AsMut<[u8]>`, so a frame is rewritten where it lies.
//!
//! Nothing here allocates and nothing panics. An accessor of a view made with `new_unchecked` over too short a buffer reads
//! missing octets as zero, and a setter writes nothing; `new_checked` is what tells such a buffer from a good one. The same
//! rule keeps a view harmless after a caller has written a length into it that its buffer does not have.
//!
//! - [`ethernet`]: Ethernet II header, addresses, EtherTypes
//! - [`vlan`]: 802.1Q and 802.1ad tags, and the walk over them to the network layer
//! - [`arp`]: ARP for IPv4 over Ethernet
//! - [`ip`]: protocol numbers and ECN, which both IP versions share
//! - [`ipv4`]: IPv4 header, options, fragments
//! - [`ipv6`]: IPv6 fixed header
//! - [`ipv6ext`]: the walk over IPv6 extension headers, and the fragment header
//! - [`tcp`], [`udp`]: transport headers
//! - [`icmpv4`], [`icmpv6`]: the control messages that a NIC sends or answers
//! - [`ndp`]: neighbour discovery options
//! - [`vxlan`]: VXLAN header
//! - [`dtls`]: record headers of DTLS 1.2, of DTLS 1.2 with connection id, and of DTLS 1.3
//! - [`checksum`]: the Internet checksum
#![no_std]

#[cfg(test)]
extern crate std;

mod bytes;
mod error;

pub mod arp;
pub mod checksum;
pub mod dtls;
pub mod ethernet;
pub mod icmpv4;
pub mod icmpv6;
pub mod ip;
pub mod ipv4;
pub mod ipv6;
pub mod ipv6ext;
pub mod ndp;
pub mod tcp;
pub mod udp;
pub mod vlan;
pub mod vxlan;

pub use arp::{ArpOperation, ArpPacket, ArpRepr};
pub use dtls::{
    DtlsCidRecord, DtlsCidRecordRepr, DtlsRecord, DtlsRecordRepr, DtlsUnified, DtlsUnifiedRepr, RecordNumberBits,
};
pub use error::{Error, Result};
pub use ethernet::{EtherType, EthernetAddress, EthernetFrame, EthernetRepr};
pub use icmpv4::{Icmpv4Packet, Icmpv4Repr};
pub use icmpv6::{Icmpv6Packet, Icmpv6Repr};
pub use ip::IpProtocol;
pub use ipv4::{Ipv4Packet, Ipv4Repr};
pub use ipv6::{Ipv6Packet, Ipv6Repr};
pub use tcp::{TcpFlags, TcpRepr, TcpSegment};
pub use udp::{UdpPacket, UdpRepr};
pub use vlan::{VlanRepr, VlanTag};
pub use vxlan::{VxlanPacket, VxlanRepr};

#[cfg(test)]
mod testing;
