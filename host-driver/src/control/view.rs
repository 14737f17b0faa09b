//! What clients can only read, as JSON.

use super::text::{Octets, name_of};
use crate::counters::CounterSnapshot;
use crate::device::InterruptCauses;
use crate::ring::frame::HostPacket;
use sealnic_abi::DropReason;
use sealnic_abi::event::{Event, EventKind, HostFrameKind};
use sealnic_abi::flow::{ActionKind, FlowKey};
use sealnic_abi::mailbox::{FlowRow, Identity};
use sealnic_abi::object::{CipherSuite, Direction, DtlsVersion, EncryptionCode, SaPhase, SaState};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// State of an SA; never its keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaView {
    /// SA number.
    pub sa: u32,
    /// Association it belongs to.
    pub association: u32,
    /// Direction.
    pub direction: String,
    /// Epoch.
    pub epoch: u64,
    /// Phase of its life.
    pub phase: String,
    /// DTLS version.
    pub version: String,
    /// Record cipher.
    pub cipher: String,
    /// Write: next sequence number. Read: highest received.
    pub sequence: u64,
    /// Packets sealed or opened.
    pub packets: u64,
    /// Octets sealed or opened.
    pub octets: u64,
    /// Records that did not authenticate.
    pub auth_failures: u64,
    /// Records dropped as replays.
    pub replayed: u64,
}

impl From<&SaState> for SaView {
    fn from(sa: &SaState) -> Self {
        Self {
            sa: sa.sa,
            association: sa.association,
            direction: name_of::<Direction>(sa.direction),
            epoch: sa.epoch,
            phase: name_of::<SaPhase>(sa.phase),
            version: name_of::<DtlsVersion>(sa.version),
            cipher: name_of::<CipherSuite>(sa.suite),
            sequence: sa.sequence,
            packets: sa.packets,
            octets: sa.octets,
            auth_failures: sa.auth_failures,
            replayed: sa.replayed,
        }
    }
}

/// A flow as its key names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowName {
    /// From the wire to a VM.
    pub ingress: bool,
    /// Egress: port number. Ingress: VNI.
    pub scope: u32,
    /// Source address.
    pub src: String,
    /// Destination address.
    pub dst: String,
    /// Source port.
    pub src_port: u16,
    /// Destination port.
    pub dst_port: u16,
    /// IP protocol.
    pub protocol: u8,
    /// A fragment, matched without ports.
    pub fragment: bool,
}

impl From<&FlowKey> for FlowName {
    fn from(key: &FlowKey) -> Self {
        let text = |address: sealnic_abi::object::Address| address.to_ip().map(|ip| ip.to_string()).unwrap_or_default();
        Self {
            ingress: key.flags & FlowKey::INGRESS != 0,
            scope: key.scope,
            src: text(key.src_address()),
            dst: text(key.dst_address()),
            src_port: key.src_port,
            dst_port: key.dst_port,
            protocol: key.protocol,
            fragment: key.flags & FlowKey::FRAGMENT != 0,
        }
    }
}

/// A flow entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowView {
    /// Key.
    #[serde(flatten)]
    pub flow: FlowName,
    /// What the entry tells the pipeline to do.
    pub action: String,
    /// Encryption code of the flow log.
    pub code: String,
    /// Why it drops, when it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Local port.
    pub port: u16,
    /// Association, mapping slot, port or VNI, by action.
    pub target: u32,
    /// Policy epoch of the decision.
    pub policy_epoch: u32,
    /// Frames.
    pub packets: u64,
    /// Octets.
    pub octets: u64,
    /// Device time of the last frame, in nanoseconds.
    pub last_ns: u64,
}

impl From<&FlowRow> for FlowView {
    fn from(row: &FlowRow) -> Self {
        let drops = row.action.kind == u8::from(ActionKind::Drop);
        Self {
            flow: (&row.key).into(),
            action: name_of::<ActionKind>(row.action.kind),
            code: code_name(row.action.code),
            reason: drops.then(|| name_of::<DropReason>(row.action.reason)),
            port: row.action.port,
            target: row.action.target,
            policy_epoch: row.action.policy_epoch,
            packets: row.counters.packets,
            octets: row.counters.octets,
            last_ns: row.counters.last_ns,
        }
    }
}

fn code_name(code: u8) -> String {
    EncryptionCode::try_from(code).map_or_else(|_| format!("unknown ({code})"), |code| code.flow_log_name().to_owned())
}

/// An event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventView {
    /// When, in milliseconds since 1970.
    pub time_ms: u64,
    /// Kind.
    pub kind: String,
    /// SA, association, or low half of a generation, by kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<u32>,
    /// Port of a flow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The flow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow: Option<FlowName>,
    /// Encryption code of a flow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Why a flow was denied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Frames since the flow's last record.
    pub packets: u64,
    /// Octets since the flow's last record.
    pub octets: u64,
}

impl EventView {
    /// An event of a device whose time zero is `epoch_ns` nanoseconds after 1970.
    #[must_use]
    pub fn new(event: &Event, epoch_ns: u64) -> Self {
        let kind = EventKind::try_from(event.kind);
        let of_flow = matches!(
            kind,
            Ok(EventKind::FlowBegin | EventKind::FlowContinue | EventKind::FlowEnd | EventKind::FlowDeny)
        );
        let denied = kind == Ok(EventKind::FlowDeny);
        Self {
            time_ms: epoch_ns.saturating_add(event.time_ns) / 1_000_000,
            kind: name_of::<EventKind>(event.kind),
            subject: (!of_flow).then_some(event.subject),
            port: of_flow.then_some(event.port),
            flow: of_flow.then(|| (&event.key).into()),
            code: of_flow.then(|| code_name(event.code)),
            reason: denied.then(|| name_of::<DropReason>(event.reason)),
            packets: event.packets,
            octets: event.octets,
        }
    }
}

/// A frame that came up to the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameView {
    /// What it is: `ForVm`, `Dhcp`, `Handshake`, `ControlRecord`.
    pub kind: String,
    /// Port of a VM's frame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Association of a control record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub association: Option<u32>,
    /// The frame, from its Ethernet header on, or the content of the control record.
    pub frame: Octets,
}

impl From<&HostPacket> for FrameView {
    fn from(packet: &HostPacket) -> Self {
        let kind = HostFrameKind::try_from(packet.header.kind);
        let of_vm = matches!(kind, Ok(HostFrameKind::ForVm | HostFrameKind::Dhcp));
        let of_association = kind == Ok(HostFrameKind::ControlRecord);
        Self {
            kind: name_of::<HostFrameKind>(packet.header.kind),
            port: of_vm.then_some(packet.header.port),
            association: of_association.then_some(packet.header.association),
            frame: Octets(packet.frame.clone()),
        }
    }
}

/// Counters, all read at one instant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatsView {
    /// Device counters by name.
    pub counters: BTreeMap<String, u64>,
    /// Frames dropped, by reason; those at zero are left out.
    pub drops: BTreeMap<String, u64>,
    /// Frames that came in, were made, or were copied.
    pub entered: u64,
    /// Frames whose end is known, or that are inside.
    pub accounted: u64,
    /// Whether the two are equal, as they must be.
    pub balanced: bool,
}

impl From<&CounterSnapshot> for StatsView {
    fn from(snapshot: &CounterSnapshot) -> Self {
        let balance = snapshot.balance();
        let narrow = |sum: u128| u64::try_from(sum).unwrap_or(u64::MAX);
        Self {
            counters: snapshot.counters().map(|(c, n)| (c.name().to_owned(), n)).collect(),
            drops: snapshot
                .drops()
                .filter(|(_, count)| *count != 0)
                .map(|(reason, count)| (reason.name().to_owned(), count))
                .collect(),
            entered: narrow(balance.entered),
            accounted: narrow(balance.accounted),
            balanced: balance.entered == balance.accounted,
        }
    }
}

/// How many of a table's entries there can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Flow entries.
    pub flows: u32,
    /// Associations.
    pub associations: u32,
    /// SAs.
    pub sas: u32,
    /// Mappings.
    pub mappings: u32,
    /// VNets.
    pub vnets: u32,
    /// Ports.
    pub ports: u32,
    /// Port address prefixes.
    pub port_addresses: u32,
    /// Exclusions.
    pub exclusions: u32,
}

/// The device and its daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceView {
    /// How the daemon reaches the device.
    pub device: String,
    /// Process number of the daemon.
    pub pid: u32,
    /// Version of the daemon.
    pub version: String,
    /// ABI version of the device.
    pub abi: String,
    /// Generation, in hexadecimal.
    pub generation: String,
    /// Frames flow.
    pub enabled: bool,
    /// The device-wide configuration is set.
    pub configured: bool,
    /// Device time, in nanoseconds.
    pub time_ns: u64,
    /// Policy epoch.
    pub policy_epoch: u32,
    /// The device reports a fault.
    pub fault: bool,
    /// What its tables hold at most.
    pub limits: Limits,
    /// What the daemon keeps programmed, when it was given a scenario.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired: Option<DesiredView>,
    /// Events taken so far.
    pub events: u64,
}

/// What a daemon keeps programmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesiredView {
    /// Where it comes from.
    pub source: String,
    /// Run id of its keys, which is no secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// Associations that are to be ready.
    pub ready: usize,
    /// How the last attempt to program it ended; absent when it succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl DeviceView {
    /// From what the device says of itself.
    pub(crate) fn new(device: &str, identity: &Identity, enabled: bool, causes: InterruptCauses) -> Self {
        Self {
            device: device.to_owned(),
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            abi: format!("{}.{}", identity.abi_major, identity.abi_minor),
            generation: format!("{:016x}", identity.generation),
            enabled,
            configured: identity.configured != 0,
            time_ns: identity.time_ns,
            policy_epoch: identity.policy_epoch,
            fault: causes.fault,
            limits: Limits {
                flows: identity.max_flows,
                associations: identity.max_associations,
                sas: identity.max_sas,
                mappings: identity.max_mappings,
                vnets: identity.max_vnets,
                ports: identity.max_ports,
                port_addresses: identity.max_port_addresses,
                exclusions: identity.max_exclusions,
            },
            desired: None,
            events: 0,
        }
    }
}

/// What a reconciliation did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ReloadView {
    /// Objects that are new.
    pub added: usize,
    /// Objects that have other values.
    pub changed: usize,
    /// Objects that are gone.
    pub removed: usize,
    /// SAs whose keys were installed.
    pub installed: usize,
    /// The first changes, in words.
    pub changes: Vec<String>,
    /// What is still missing after a reset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}
