//! Which pairs of VMs are encrypted, and the reason for each that is not.

use std::fmt::Write;

use sealnic_abi::{Capability, EncryptionCode, Enforcement};
use sealnic_policy::{Decision, End, Fate, Relation, Situation, decide};
use serde::Serialize;

use super::model::{Exclusion, Scenario, Vm, Vnet};

/// The plan of a scenario: what policy will decide, before a frame is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// Name of the scenario.
    pub scenario: String,
    /// Every ordered pair of VMs.
    pub pairs: Vec<PlannedPair>,
    /// Named exclusions.
    pub exclusions: Vec<PlannedExclusion>,
    /// What stands in the way of enforcement.
    pub enforcement: EnforcementOutlook,
}

/// Traffic from one VM to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedPair {
    /// Name of the sending VM.
    pub from: String,
    /// Name of the receiving VM.
    pub to: String,
    /// Name of the sender's VNet.
    pub from_vnet: String,
    /// Name of the receiver's VNet.
    pub to_vnet: String,
    /// Code of the flow log; none where the VMs can't reach each other.
    pub code: Option<&'static str>,
    /// What becomes of the frames.
    pub fate: PlannedFate,
    /// Why it isn't encrypted; none where it is.
    pub reason: Option<String>,
    /// Names of exclusions that take a part of this traffic, which is sent in the clear.
    pub partly_excluded: Vec<String>,
}

/// What becomes of the frames of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlannedFate {
    /// Sealed.
    Encrypted,
    /// Sent in the clear.
    Clear,
    /// Delivered on one host, never on the wire.
    Local,
    /// Dropped by policy.
    Dropped,
    /// Their VNets are neither the same nor peered.
    NotConnected,
}

impl PlannedFate {
    /// Word for tables and sums.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Encrypted => "encrypted",
            Self::Clear => "clear",
            Self::Local => "local",
            Self::Dropped => "dropped",
            Self::NotConnected => "not-connected",
        }
    }
}

impl From<Fate> for PlannedFate {
    fn from(fate: Fate) -> Self {
        match fate {
            Fate::Seal => Self::Encrypted,
            Fate::Clear => Self::Clear,
            Fate::Local => Self::Local,
            Fate::Drop => Self::Dropped,
        }
    }
}

/// A named exclusion, spelled out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedExclusion {
    /// Its name.
    pub name: String,
    /// Name of the VNet whose VMs send it.
    pub vnet: String,
    /// Destinations.
    pub prefix: String,
    /// IP protocol; none for any.
    pub protocol: Option<u8>,
    /// Destination port; none for any.
    pub port: Option<u16>,
}

/// What would happen if every VNet had DropUnencrypted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EnforcementOutlook {
    /// Pairs that would be dropped.
    pub blocked: Vec<BlockedPair>,
    /// VNets whose encryption is off: enforcement would drop all that leaves a VM of theirs for another host.
    pub vnets_without_encryption: Vec<String>,
}

/// A pair that enforcement would drop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BlockedPair {
    /// Name of the sending VM.
    pub from: String,
    /// Name of the receiving VM.
    pub to: String,
    /// Code that the flow log would show.
    pub code: &'static str,
    /// What to mend.
    pub reason: String,
}

impl Scenario {
    /// Draws the plan. It grows with the square of the number of VMs.
    #[must_use]
    pub fn plan(&self) -> Plan {
        let mut pairs = Vec::new();
        let mut blocked = Vec::new();
        for from in 0..self.vms.len() {
            for to in (0..self.vms.len()).filter(|&to| to != from) {
                pairs.push(self.planned_pair(from, to));
                blocked.extend(self.blocked_pair(from, to));
            }
        }
        let off = self
            .vnets
            .iter()
            .filter(|vnet| !vnet.encryption)
            .map(|vnet| vnet.name.clone());
        Plan {
            scenario: self.name.clone(),
            pairs,
            exclusions: self
                .exclusions
                .iter()
                .map(|exclusion| self.planned_exclusion(exclusion))
                .collect(),
            enforcement: EnforcementOutlook {
                blocked,
                vnets_without_encryption: off.collect(),
            },
        }
    }

    fn planned_pair(&self, from: usize, to: usize) -> PlannedPair {
        let (sender, receiver) = (&self.vms[from], &self.vms[to]);
        let mut pair = PlannedPair {
            from: sender.name.clone(),
            to: receiver.name.clone(),
            from_vnet: self.vnets[sender.vnet].name.clone(),
            to_vnet: self.vnets[receiver.vnet].name.clone(),
            code: None,
            fate: PlannedFate::NotConnected,
            reason: None,
            partly_excluded: Vec::new(),
        };
        if !self.connected(sender.vnet, receiver.vnet) {
            pair.reason = Some(format!("VNets {} and {} are not peered", pair.from_vnet, pair.to_vnet));
            return pair;
        }
        let (whole, partial): (Vec<&Exclusion>, Vec<&Exclusion>) = self
            .exclusions
            .iter()
            .filter(|exclusion| exclusion.vnet == sender.vnet && touches(exclusion, receiver))
            .partition(|exclusion| covers(exclusion, receiver));
        let situation = self.situation(from, to, !whole.is_empty());
        let decision = decide(&situation);
        pair.code = Some(decision.code.flow_log_name());
        pair.fate = decision.fate.into();
        pair.reason = self.reason(from, to, &situation, decision, whole.first().copied());
        if matches!(decision.fate, Fate::Seal | Fate::Drop) {
            pair.partly_excluded = partial.into_iter().map(|exclusion| exclusion.name.clone()).collect();
        }
        pair
    }

    /// The pair as enforcement everywhere would drop it, exclusions apart.
    fn blocked_pair(&self, from: usize, to: usize) -> Option<BlockedPair> {
        let (sender, receiver) = (&self.vms[from], &self.vms[to]);
        if !self.connected(sender.vnet, receiver.vnet) {
            return None;
        }
        let excluded = self
            .exclusions
            .iter()
            .any(|exclusion| exclusion.vnet == sender.vnet && covers(exclusion, receiver));
        let mut situation = self.situation(from, to, excluded);
        situation.local.enforcement = Enforcement::DropUnencrypted;
        situation.peer.enforcement = Enforcement::DropUnencrypted;
        let decision = decide(&situation);
        (decision.fate == Fate::Drop).then(|| BlockedPair {
            from: sender.name.clone(),
            to: receiver.name.clone(),
            code: decision.code.flow_log_name(),
            reason: self.obstacle(from, to, decision.code),
        })
    }

    fn planned_exclusion(&self, exclusion: &Exclusion) -> PlannedExclusion {
        PlannedExclusion {
            name: exclusion.name.clone(),
            vnet: self.vnets[exclusion.vnet].name.clone(),
            prefix: exclusion.prefix.to_string(),
            protocol: exclusion.protocol,
            port: exclusion.port,
        }
    }

    /// What policy is told of a pair of VMs that reach each other.
    fn situation(&self, from: usize, to: usize, excluded: bool) -> Situation {
        let (sender, receiver) = (&self.vms[from], &self.vms[to]);
        let relation = if sender.host == receiver.host {
            Relation::SameHost
        } else {
            Relation::OtherHost(self.pair_state(sender.host, receiver.host))
        };
        let end = |vm: &Vm| End {
            encryption: self.vnets[vm.vnet].encryption,
            enforcement: self.vnets[vm.vnet].enforcement,
            capability: vm.capability(),
        };
        Situation {
            relation,
            excluded,
            local: end(sender),
            peer: end(receiver),
        }
    }

    /// Why a pair isn't encrypted, in one sentence.
    fn reason(
        &self,
        from: usize,
        to: usize,
        situation: &Situation,
        decision: Decision,
        exclusion: Option<&Exclusion>,
    ) -> Option<String> {
        let mut sentence = match (decision.fate, exclusion) {
            (Fate::Seal, _) => return None,
            (Fate::Local, _) => format!(
                "both are on host {}: frames never reach the wire",
                self.hosts[self.vms[from].host].name
            ),
            (Fate::Clear, Some(exclusion)) => {
                return Some(format!("exclusion {} sends it in the clear", exclusion.name));
            }
            _ => self.obstacle(from, to, decision.code),
        };
        // Say who demands encryption where nothing but that makes the difference.
        if decision.fate == Fate::Drop && decide(&lenient(situation)).fate == Fate::Clear {
            let demanding = self.vnet_names(from, to, |vnet| vnet.enforcement == Enforcement::DropUnencrypted);
            let _ = write!(sentence, ", and DropUnencrypted holds on VNet {demanding}");
        }
        Some(sentence)
    }

    /// What keeps a pair from being encrypted, by the code that policy gave it.
    fn obstacle(&self, from: usize, to: usize, code: EncryptionCode) -> String {
        let hosts = [from, to].map(|vm| self.hosts[self.vms[vm].host].name.as_str());
        let association = format!("the association between hosts {} and {}", hosts[0], hosts[1]);
        let off = self.vnet_names(from, to, |vnet| !vnet.encryption);
        match code {
            _ if !off.is_empty() => format!("encryption is off on VNet {off}"),
            EncryptionCode::NxHwNotSupported => self.of_vms(from, to, Capability::HwNotSupported, |vm| {
                if vm.accelerated_networking {
                    "is of a size that doesn't support encryption"
                } else {
                    "has no accelerated networking"
                }
            }),
            EncryptionCode::NxNotSupported => self.of_vms(
                from,
                to,
                Capability::NoDiscovery,
                |_| "has a stack that doesn't do discovery",
            ),
            EncryptionCode::NxSwNotReady => {
                let vms = self.of_vms(from, to, Capability::SwNotReady, |_| "isn't ready yet");
                if vms.is_empty() {
                    format!("{association} isn't ready yet")
                } else {
                    vms
                }
            }
            _ => format!("{association} failed"),
        }
    }

    /// Says something of the VMs of a pair that have a capability.
    fn of_vms(&self, from: usize, to: usize, capability: Capability, what: impl Fn(&Vm) -> &'static str) -> String {
        let vms = [from, to].map(|vm| &self.vms[vm]);
        let parts: Vec<String> = vms
            .into_iter()
            .filter(|vm| vm.capability() == capability)
            .map(|vm| format!("{} {}", vm.name, what(vm)))
            .collect();
        parts.join(", and ")
    }

    /// Names of the pair's VNets of which something is true.
    fn vnet_names(&self, from: usize, to: usize, test: impl Fn(&Vnet) -> bool) -> String {
        let [first, second] = [from, to].map(|vm| self.vms[vm].vnet);
        let distinct = std::iter::once(first).chain((second != first).then_some(second));
        let names: Vec<&str> = distinct
            .map(|vnet| &self.vnets[vnet])
            .filter(|vnet| test(vnet))
            .map(|vnet| vnet.name.as_str())
            .collect();
        names.join(" and ")
    }
}

/// The same situation where nobody demands encryption.
const fn lenient(situation: &Situation) -> Situation {
    let mut lenient = *situation;
    lenient.local.enforcement = Enforcement::AllowUnencrypted;
    lenient.peer.enforcement = Enforcement::AllowUnencrypted;
    lenient
}

/// True when some traffic to the VM falls under the exclusion.
fn touches(exclusion: &Exclusion, vm: &Vm) -> bool {
    vm.addresses
        .iter()
        .any(|address| address.contains(&exclusion.prefix) || exclusion.prefix.contains(address))
}

/// True when all traffic to the VM falls under the exclusion.
fn covers(exclusion: &Exclusion, vm: &Vm) -> bool {
    exclusion.protocol.is_none()
        && exclusion.port.is_none()
        && vm.addresses.iter().all(|address| exclusion.prefix.contains(address))
}
