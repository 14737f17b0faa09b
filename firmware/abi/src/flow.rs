//! The flow table's lines. Three arrays with one writer each, every element one 512-bit line: buckets and entries are
//! written by the control CPU, counters by the pipeline.

use crate::fields::{abi_enum, abi_struct};
use crate::object::Address;

/// Slots of a bucket: sixteen 32-bit fingerprints make one 512-bit line.
pub const BUCKET_SLOTS: usize = 16;

abi_struct! {
    /// Exact-match key of one direction of a flow. Addresses stand as in the packet; an IPv4 address takes the first four octets.
    pub struct FlowKey: 48 {
        /// Egress: port number. Ingress: VNI.
        scope: u32,
        /// Source port, host order; 0 where the protocol has none, and for fragments.
        src_port: u16,
        /// Destination port, host order; 0 where the protocol has none, and for fragments.
        dst_port: u16,
        /// Source address.
        src: [u8; 16],
        /// Destination address.
        dst: [u8; 16],
        /// IP protocol number.
        protocol: u8,
        /// Bits of `FlowKey::INGRESS` and its neighbours.
        flags: u8,
        /// Zero.
        reserved: [u8; 6],
    }
}

impl FlowKey {
    /// Flag: from the wire to a VM.
    pub const INGRESS: u8 = 1;
    /// Flag: IPv6 addresses.
    pub const IPV6: u8 = 2;
    /// Flag: an IP fragment, matched without ports.
    pub const FRAGMENT: u8 = 4;
    /// Flag: arrived in a record (ingress only), so that a clear frame never hits a sealed flow's entry.
    pub const SEALED: u8 = 8;

    /// Source address with its family.
    #[must_use]
    pub fn src_address(&self) -> Address {
        Address::from_raw(self.src, self.flags & Self::IPV6 != 0)
    }

    /// Destination address with its family.
    #[must_use]
    pub fn dst_address(&self) -> Address {
        Address::from_raw(self.dst, self.flags & Self::IPV6 != 0)
    }
}

abi_enum! {
    /// What a flow entry tells the pipeline to do.
    pub enum ActionKind: u8 {
        /// Drop for `reason`.
        Drop = 0,
        /// Seal under association `target`.
        Seal = 1,
        /// Send clear to the host of mapping slot `target`.
        Clear = 2,
        /// Egress: deliver to the local port `target`. Ingress: deliver to `port`, when it came from a port of VNet `target`.
        Local = 3,
        /// Ingress: deliver to `port`, when it came in a record of association `target`.
        DeliverSealed = 4,
        /// Ingress: deliver to `port`, when it came clear from the host of mapping slot `target`.
        DeliverClear = 5,
    }
}

abi_struct! {
    /// Decision of a flow entry; with its key it fills one line.
    pub struct FlowAction: 16 {
        /// `ActionKind`.
        kind: u8,
        /// `EncryptionCode` for the flow log.
        code: u8,
        /// `DropReason`, when `kind` is drop.
        reason: u8,
        /// Zero.
        flags: u8,
        /// Local port number (delivery, and the egress port of the flow).
        port: u16,
        /// Zero.
        reserved: u16,
        /// Association, mapping slot, port or VNI, by `kind`.
        target: u32,
        /// Policy epoch of the decision; an older one is decided again, never trusted.
        policy_epoch: u32,
    }
}

abi_struct! {
    /// Counters of a flow entry. Times are the device's, in nanoseconds.
    pub struct FlowCounters: 64 {
        /// Frames since creation.
        packets: u64,
        /// Octets of those frames at the VM, without FCS.
        octets: u64,
        /// Time of the first frame.
        first_ns: u64,
        /// Time of the last frame.
        last_ns: u64,
        /// Frames already in flow-log records.
        logged_packets: u64,
        /// Octets already in flow-log records.
        logged_octets: u64,
        /// Time of the last flow-log record.
        logged_ns: u64,
        /// `LogState`: what the flow log knows of this flow.
        log_state: u8,
        /// Not zero: TCP FIN or RST seen, so that the entry ages quickly.
        closing: u8,
        /// Zero.
        reserved: [u8; 6],
    }
}

abi_struct! {
    /// One bucket: fingerprints of its slots, 0 for a free slot. Slot `s` of bucket `b` is entry `16 b + s`.
    pub struct FlowBucket: 64 {
        /// Fingerprints; any value but 0.
        fingerprints: [u32; 16],
    }
}
