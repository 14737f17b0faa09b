//! Counters: why frames end, and how many came and went.

use crate::fields::abi_enum;

abi_enum! {
    /// Why a frame was dropped. The value is the index of its counter in the device's drop counters.
    pub enum DropReason: u8 {
        /// From a VM: the port is not configured or is down.
        PortDown = 0,
        /// From a VM: Ethernet, VLAN, IP or transport header truncated or inconsistent with the frame's length.
        Malformed = 1,
        /// From a VM: neither IPv4, IPv6 nor ARP.
        NotIp = 2,
        /// From a VM: broadcast or multicast that the VNet doesn't carry and the NIC doesn't answer.
        Multicast = 3,
        /// From a VM: source MAC is not the port's.
        SpoofedMac = 4,
        /// From a VM: source address is not among the port's.
        SpoofedAddress = 5,
        /// From a VM: no mapping for the destination.
        NoMapping = 6,
        /// From a VM: longer than the port's MTU, and no segmentation asked for.
        FrameTooLong = 7,
        /// From a VM: doesn't fit the underlay; a packet-too-big answer was sent, or was due but rate-limited.
        PacketTooBig = 8,
        /// From a VM: the descriptor's checksum or segmentation request doesn't fit the frame.
        BadOffload = 9,
        /// Policy: peer hardware unsupported under DropUnencrypted (`NX_HW_NOT_SUPPORTED`).
        HwNotSupported = 10,
        /// Policy: an end isn't ready yet (`NX_SW_NOT_READY`).
        SwNotReady = 11,
        /// Policy: encryption demanded and not to be had (`NX_NOT_ACCEPTED`).
        NotAccepted = 12,
        /// Policy: the peer's stack doesn't do discovery (`NX_NOT_SUPPORTED`).
        NotSupported = 13,
        /// Flow table full and the VNet demands encryption: a clear frame is not sent on an uncached decision.
        FlowTableFull = 14,
        /// Sealing: the association's write SA is missing, or has reached its limit or its last sequence number.
        NoWriteSa = 15,
        /// Local delivery: no port has the destination address.
        NoLocalPort = 16,
        /// From the wire: outer headers truncated, inconsistent, or with a bad checksum.
        OuterMalformed = 17,
        /// From the wire: not for this host, or not on a port of ours.
        OuterNotOurs = 18,
        /// From the wire: an outer IP fragment (the underlay must not fragment).
        OuterFragment = 19,
        /// From the wire: record header malformed or of an unknown type.
        RecordMalformed = 20,
        /// From the wire: no association for the connection id or addresses.
        UnknownAssociation = 21,
        /// From the wire: no read SA for the record's epoch.
        UnknownEpoch = 22,
        /// From the wire: the record's tag is wrong.
        AuthFailed = 23,
        /// From the wire: already received, or older than the replay window.
        Replayed = 24,
        /// From the wire: the key has failed to authenticate too often and is dead.
        FailureLimit = 25,
        /// From the wire: VNI inside the record is not the association's own VNI at this end.
        VniMismatch = 26,
        /// From the wire: inner headers truncated or inconsistent.
        InnerMalformed = 27,
        /// From the wire: the peer may not speak for the inner source address.
        InnerSpoofed = 28,
        /// From the wire: clear frame for a pair that must be encrypted.
        ClearForbidden = 29,
        /// From the wire: clear frame whose outer source is not the host mapped for the inner source.
        ClearWrongHost = 30,
        /// From the wire: VNI unknown here.
        UnknownVni = 31,
        /// To the host: handshake or control traffic over its rate, or the exception queue is full.
        HostPoliced = 32,
        /// From the host: exception frame or control record that can't be sent.
        HostRefused = 33,
        /// From the wire, where a device takes time: the receive buffer was full.
        WireQueueFull = 34,
        /// Policy: peer VNet or association unknown here: in doubt, closed.
        InDoubt = 35,
        /// From the wire: congestion marked on the way, and the inner packet's sender doesn't understand marks (RFC 6040).
        Congestion = 36,
        /// Inside the device when it was reset.
        Reset = 37,
        /// From a VM, where a device takes time: the port's transmit ring was full.
        VfQueueFull = 38,
    }
}

/// Number of drop reasons.
pub const DROP_REASONS: usize = DropReason::ALL.len();

abi_enum! {
    /// Device counters, in frames unless the name says otherwise.
    ///
    /// Conservation (always): `VfIn + WireIn + HostIn + Generated + Copied = VfOut + WireSealed + WireClear + HostOut + Consumed + Held + sum of drops`.
    pub enum Counter: u8 {
        /// Frames taken from VMs.
        VfIn = 0,
        /// Frames taken from the wire.
        WireIn = 1,
        /// Frames and control records taken from the host.
        HostIn = 2,
        /// Frames the NIC made: answers, segments, fragments, packet-too-big messages.
        Generated = 3,
        /// Copies made of a frame that itself went elsewhere.
        Copied = 4,
        /// Frames delivered to VMs.
        VfOut = 5,
        /// Sealed datagrams sent on the wire.
        WireSealed = 6,
        /// Clear datagrams sent on the wire.
        WireClear = 7,
        /// Frames handed to the host.
        HostOut = 8,
        /// Frames that ended here on purpose: answered requests, frames cut into segments or fragments.
        Consumed = 9,
        /// Frames inside the device at the moment of reading.
        Held = 10,
        /// Flow lookups that hit a valid entry.
        FlowHit = 11,
        /// Flow lookups that went to policy.
        FlowMiss = 12,
        /// Decisions that could not be cached for want of a free slot.
        FlowTableFull = 13,
        /// Flow entries in use.
        FlowsLive = 14,
        /// Flow entries removed by aging.
        FlowsAged = 15,
        /// Events that found no room in the event ring (flow-log records are kept back instead).
        EventsLost = 16,
        /// Octets of VM frames sealed.
        SealedOctets = 17,
        /// Octets of VM frames opened.
        OpenedOctets = 18,
        /// Mailbox messages handled.
        MailboxMessages = 19,
        /// Mailbox messages refused.
        MailboxErrors = 20,
    }
}

/// Number of device counters.
pub const COUNTERS: usize = Counter::ALL.len();
/// Index of the first drop counter in the register window of counters; device counters stand below it.
pub const DROP_COUNTER_BASE: usize = 32;

const _: () = assert!(COUNTERS <= DROP_COUNTER_BASE && DROP_COUNTER_BASE + DROP_REASONS <= 128);
