//! What a run says about itself: `summary.json`.

use sealnic_abi::{Counter, DropReason};
use sealnic_driver::CounterSnapshot;
use sealnic_hw_model::middleware::WireCounters;
use serde::Serialize;
use std::collections::BTreeMap;

/// All of it.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Summary {
    /// Scenario's name.
    pub scenario: String,
    /// Model that ran.
    pub model: &'static str,
    /// Name of the hardware that a model with time is built of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hardware: Option<String>,
    /// Random name of this run, from which its keys derive; 32 hex digits.
    pub run_id: String,
    /// Steps of the cycle models that functional ones did again, with the same result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replayed_steps: Option<usize>,
    /// Frames of the capture.
    pub frames: Frames,
    /// Drops over all NICs by reason, those that occurred.
    pub drops: BTreeMap<&'static str, u64>,
    /// The conservation law over all NICs.
    pub accounting: Accounting,
    /// The same for each host's NIC.
    pub hosts: BTreeMap<String, Accounting>,
    /// Frames of each VM.
    pub vms: BTreeMap<String, VmFrames>,
    /// Datagrams that the NICs put on the wire.
    pub wire: WireSummary,
    /// Records in the flow log.
    pub flow_log_tuples: usize,
    /// What became of each frame of the capture.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub frame_fates: Vec<FrameFate>,
}

/// Frames of the capture.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Frames {
    /// In the capture.
    pub capture: u64,
    /// Of no VM of the scenario.
    pub not_in_scenario: u64,
    /// Handed to a NIC.
    pub submitted: u64,
    /// Reached a VM.
    pub delivered: u64,
    /// Reached a VM, or the wire, in a record.
    pub sealed: u64,
    /// Went over the wire in the clear.
    pub clear: u64,
    /// Stayed on the host.
    pub local: u64,
    /// Answered by the NIC.
    pub consumed: u64,
    /// Handed to the host.
    pub host: u64,
    /// Made by the NICs.
    pub generated: u64,
    /// Dropped.
    pub dropped: u64,
    /// Lost on the wire.
    pub lost: u64,
    /// Reached the VM with other octets than were sent; must be 0.
    pub damaged: u64,
}

impl Frames {
    /// Adds a frame of the capture.
    pub(crate) fn add(&mut self, fate: Fate, is_delivered: bool, is_damaged: bool) {
        self.capture += 1;
        self.submitted += u64::from(fate != Fate::NotInScenario);
        self.delivered += u64::from(is_delivered);
        self.damaged += u64::from(is_damaged);
        *match fate {
            Fate::NotInScenario => &mut self.not_in_scenario,
            Fate::Sealed => &mut self.sealed,
            Fate::Clear => &mut self.clear,
            Fate::Local => &mut self.local,
            Fate::Consumed => &mut self.consumed,
            Fate::Host => &mut self.host,
            Fate::Dropped => &mut self.dropped,
            Fate::Lost => &mut self.lost,
        } += 1;
    }
}

/// The conservation law: in + generated + copied = delivered + sent + consumed + punted + dropped + held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Accounting {
    /// Whether it holds.
    pub balanced: bool,
    /// From VMs, wire and host.
    #[serde(rename = "in")]
    pub entered: u64,
    /// Made by the NIC.
    pub generated: u64,
    /// Copies made.
    pub copied: u64,
    /// To VMs.
    pub delivered: u64,
    /// To the wire.
    pub sent: u64,
    /// Ended on purpose.
    pub consumed: u64,
    /// To the host.
    pub punted: u64,
    /// Dropped.
    pub dropped: u64,
    /// Still inside.
    pub held: u64,
}

impl Accounting {
    /// That of one NIC.
    #[must_use]
    pub fn of(counters: &CounterSnapshot) -> Self {
        let get = |counter| counters.get(counter);
        let dropped = DropReason::ALL.iter().map(|reason| counters.dropped(*reason)).sum();
        Self {
            balanced: counters.check_balance().is_ok(),
            entered: get(Counter::VfIn) + get(Counter::WireIn) + get(Counter::HostIn),
            generated: get(Counter::Generated),
            copied: get(Counter::Copied),
            delivered: get(Counter::VfOut),
            sent: get(Counter::WireSealed) + get(Counter::WireClear),
            consumed: get(Counter::Consumed),
            punted: get(Counter::HostOut),
            dropped,
            held: get(Counter::Held),
        }
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            balanced: self.balanced && other.balanced,
            entered: self.entered + other.entered,
            generated: self.generated + other.generated,
            copied: self.copied + other.copied,
            delivered: self.delivered + other.delivered,
            sent: self.sent + other.sent,
            consumed: self.consumed + other.consumed,
            punted: self.punted + other.punted,
            dropped: self.dropped + other.dropped,
            held: self.held + other.held,
        }
    }
}

/// Frames of a VM.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct VmFrames {
    /// Handed to its port.
    pub sent: u64,
    /// Came out of its port.
    pub received: u64,
}

/// Datagrams on the wire.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct WireSummary {
    /// All.
    pub datagrams: u64,
    /// Records.
    pub sealed: u64,
    /// Clear overlay.
    pub clear: u64,
    /// Lost by an impaired wire.
    pub lost: u64,
    /// Held back behind later ones.
    pub reordered: u64,
    /// Copies made.
    pub duplicated: u64,
    /// Damaged.
    pub corrupted: u64,
    /// For an address that no host of the scenario has, as gateways'.
    pub left: u64,
}

impl WireSummary {
    /// Adds what an impaired wire did.
    pub fn add_impairments(&mut self, counters: &WireCounters) {
        self.lost = counters.lost;
        self.reordered = counters.reordered;
        self.duplicated = counters.duplicated;
        self.corrupted = counters.corrupted;
    }
}

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// Of no VM of the scenario.
    NotInScenario,
    /// Went in a record.
    Sealed,
    /// Went in the clear.
    Clear,
    /// Stayed on the host.
    Local,
    /// Answered by the NIC.
    Consumed,
    /// Handed to the host.
    Host,
    /// Dropped.
    Dropped,
    /// Lost on the wire.
    Lost,
}

/// A frame and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FrameFate {
    /// Number in the capture, from 0.
    pub index: u64,
    /// Fate.
    pub fate: Fate,
    /// Sending VM, or empty.
    pub from: String,
    /// Receiving VM, or empty.
    pub to: String,
    /// Drop reason, or empty.
    pub reason: &'static str,
}
