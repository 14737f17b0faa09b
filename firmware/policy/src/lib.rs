//! The encryption decision: from what is known of both ends of a pair of VMs to the encryption code of the flow log and
//! the fate of the frame. One pure function, [`decide`], used by the pipeline and by `sealnic plan`.
//!
//! Two deviations from the reference system are deliberate: DropUnencrypted on one side is enough to deny, and hardware
//! that is known not to support encryption is denied under it too. Where nothing is known, the answer is to drop.
#![no_std]

use sealnic_abi::object::AssociationState;
use sealnic_abi::{Capability, EncryptionCode, Enforcement};

/// What is known of one end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// Encryption is enabled on its VNet.
    pub encryption: bool,
    /// Its VNet's enforcement; it holds while encryption is off, too.
    pub enforcement: Enforcement,
    /// Its own ability.
    pub capability: Capability,
}

/// How the destination stands to the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// Outside the VNet and its peers.
    Outside,
    /// A VM on the same host.
    SameHost,
    /// A VM on another host, with the state of the association towards it.
    OtherHost(AssociationState),
}

/// All that the decision depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Situation {
    /// How the destination stands to the source.
    pub relation: Relation,
    /// A named exclusion matches.
    pub excluded: bool,
    /// This end.
    pub local: End,
    /// The other end; without meaning when the destination is outside.
    pub peer: End,
}

/// What becomes of the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Sent in the clear.
    Clear,
    /// Sealed.
    Seal,
    /// Delivered on this host, never on the wire.
    Local,
    /// Dropped.
    Drop,
}

/// The decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Code for the flow log.
    pub code: EncryptionCode,
    /// Fate of the frame.
    pub fate: Fate,
}

impl End {
    /// True when this end insists on encryption. That holds while its VNet's encryption is off, too: the two together are a
    /// contradiction, and where policy is in doubt nothing goes in the clear.
    const fn demands(&self) -> bool {
        matches!(self.enforcement, Enforcement::DropUnencrypted)
    }
}

/// Decides what becomes of a pair's traffic, and the code that the flow log shows for it.
///
/// The answer doesn't depend on which end is the local one. A frame leaves in the clear although an end demands
/// encryption only to the outside or under a named exclusion.
#[must_use]
pub const fn decide(situation: &Situation) -> Decision {
    use EncryptionCode as Code;

    let Situation { local, peer, .. } = situation;
    let encrypted = local.encryption && peer.encryption;

    let association = match situation.relation {
        Relation::Outside => return Decision::new(Code::Nx, Fate::Clear),
        // An exclusion has no say here: the frame never reaches the wire.
        Relation::SameHost if encrypted => return Decision::new(Code::NxLocalDst, Fate::Local),
        Relation::SameHost => return Decision::new(Code::Nx, Fate::Local),
        Relation::OtherHost(association) => association,
    };
    if situation.excluded {
        return Decision::new(Code::Nx, Fate::Clear);
    }

    let demanded = local.demands() || peer.demands();
    if !encrypted {
        return Decision::clear_unless(demanded, Code::Nx, Code::NxNotAccepted);
    }
    // A lasting obstacle names the code before a passing one does.
    if either(local, peer, Capability::HwNotSupported) {
        return Decision::clear_unless(demanded, Code::NxHwNotSupported, Code::NxHwNotSupported);
    }
    if either(local, peer, Capability::SwNotReady) {
        return Decision::new(Code::NxSwNotReady, Fate::Drop);
    }
    if either(local, peer, Capability::NoDiscovery) {
        return Decision::new(Code::NxNotSupported, Fate::Drop);
    }
    match association {
        AssociationState::Ready => Decision::new(Code::X, Fate::Seal),
        // Silence is no failure: without an explicit command of the driver nothing falls back to clear.
        AssociationState::NotReady => Decision::new(Code::NxSwNotReady, Fate::Drop),
        AssociationState::Failed => Decision::clear_unless(demanded, Code::NxFallback, Code::NxNotAccepted),
    }
}

impl Decision {
    const fn new(code: EncryptionCode, fate: Fate) -> Self {
        Self { code, fate }
    }

    /// Clear with one code, or dropped with the other when encryption is demanded.
    const fn clear_unless(demanded: bool, clear: EncryptionCode, dropped: EncryptionCode) -> Self {
        if demanded {
            Self::new(dropped, Fate::Drop)
        } else {
            Self::new(clear, Fate::Clear)
        }
    }
}

/// True when one end or the other has this capability.
const fn either(local: &End, peer: &End, capability: Capability) -> bool {
    local.capability as u8 == capability as u8 || peer.capability as u8 == capability as u8
}
