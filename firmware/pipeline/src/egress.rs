//! From a VM to the wire. The plan:
//!
//! ```text
//! admit ─ read link ─ source MAC ─ ARP? ─ read IP ─ NDP, DHCP? ─ group address?
//!   │ flow entry, current epoch ───────────────────────────────────────────┐
//!   └ none, or of an older epoch: anti-spoof ─ decide ─ install ────────────┤
//!                                                  segment or complete checksum
//!                                                  seal │ clear │ local │ drop
//! ```

use crate::encap::{self, Ends, Template};
use crate::flow_table::FlowId;
use crate::frame::{Frame, Offload, Output, Segmentation, Verdict};
use crate::key_store::{AssociationId, Keys, SaId};
use crate::memory::Memory;
use crate::nic::{Entropy, Nic};
use crate::parse::{self, Inner, is_link_local};
use sealnic_abi::flow::{ActionKind, FlowAction};
use sealnic_abi::object::{AssociationState, Port};
use sealnic_abi::{Capability, Counter, DropReason, EncryptionCode, Enforcement, MappingKind};
use sealnic_policy::{Decision, Fate, Relation, Situation, decide};
use sealnic_wire::{EtherType, EthernetFrame, IpProtocol, VxlanRepr, dtls::ContentType, vxlan};

/// A frame's flow: what to do with it, and the hash that its entropy comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flow {
    pub(crate) action: FlowAction,
    pub(crate) hash: u64,
}

impl Flow {
    pub(crate) fn is_drop(&self) -> bool {
        self.action.kind == u8::from(ActionKind::Drop)
    }
}

/// What a frame of a VM is, before any table but that of the ports was asked.
#[derive(Clone, Copy)]
pub(crate) enum Reading {
    /// Address resolution; its packet lies at this offset.
    Arp { l3: usize },
    /// An IP packet; the hash is that of its egress key.
    Ip { hash: u64 },
}

impl<M: Memory, E: Entropy> Nic<M, E> {
    #[inline(always)]
    pub(crate) fn egress(
        &mut self,
        port: u16,
        offload: Offload,
        frame: &mut Frame<'_>,
        out: &mut dyn Output,
    ) -> Result<Verdict, DropReason> {
        let port = self.admit(port)?;
        self.egress_of(&port, offload, frame, out)
    }

    /// A frame of a port that may send.
    #[inline(always)]
    pub(crate) fn egress_of(
        &mut self,
        port: &Port,
        offload: Offload,
        frame: &mut Frame<'_>,
        out: &mut dyn Output,
    ) -> Result<Verdict, DropReason> {
        let mut inner = Inner::EMPTY;
        let reading = self.read_egress(port, frame.octets(), &mut inner)?;
        self.act_egress(port, reading, &inner, offload, frame, out)
    }

    /// Reads a frame of the VM behind a port, an IP packet into the empty `inner`. Changes nothing else, and sees nothing that
    /// another frame's way could change.
    #[inline(always)]
    pub(crate) fn read_egress(&self, port: &Port, octets: &[u8], inner: &mut Inner) -> Result<Reading, DropReason> {
        let link = parse::link(octets)?;
        check_source_mac(port, octets)?;
        if link.ethertype == EtherType::ARP {
            return Ok(Reading::Arp { l3: link.l3 });
        }
        inner.read(octets, link)?;
        inner.key.scope = u32::from(port.port);
        let hash = self.flows.hash(&inner.key);
        Ok(Reading::Ip { hash })
    }

    /// Does with a frame what its reading calls for.
    #[inline(always)]
    pub(crate) fn act_egress(
        &mut self,
        port: &Port,
        reading: Reading,
        inner: &Inner,
        offload: Offload,
        frame: &mut Frame<'_>,
        out: &mut dyn Output,
    ) -> Result<Verdict, DropReason> {
        let hash = match reading {
            Reading::Arp { l3 } => return self.answer_arp(port, l3, frame, out),
            Reading::Ip { hash } => hash,
        };
        if let Some(verdict) = self.control_traffic(port, inner, offload, frame, out)? {
            return Ok(verdict);
        }
        if inner.is_group_addressed() || EthernetFrame::new_unchecked(frame.octets()).dst_addr().is_multicast() {
            return Err(DropReason::Multicast);
        }
        let flow = self.egress_flow(port, inner, hash, offload, frame.len())?;
        if offload.segmentation != Segmentation::None {
            return self.segment(port, flow, inner, offload, frame, out);
        }
        if offload.needs_csum {
            complete_checksum(inner, offload, frame)?;
        }
        self.forward(port, flow, inner, frame, out)
    }

    /// The port, if its virtual function may send.
    #[inline]
    pub(crate) fn admit(&self, port: u16) -> Result<Port, DropReason> {
        let port = *self.tables.port(port).ok_or(DropReason::PortDown)?;
        if self.enabled && port.up != 0 && port.representor == 0 {
            Ok(port)
        } else {
            Err(DropReason::PortDown)
        }
    }

    /// The flow's entry; one that is missing or of an older policy epoch is decided now.
    #[inline(always)]
    pub(crate) fn egress_flow(
        &mut self,
        port: &Port,
        inner: &Inner,
        hash: u64,
        offload: Offload,
        frame_len: usize,
    ) -> Result<Flow, DropReason> {
        let found = self.flows.lookup(&inner.key, hash);
        let too_long = inner.ip_len > usize::from(port.mtu) && offload.segmentation == Segmentation::None;
        if let Some(flow) = found {
            let action = self.flows.entry(flow).action;
            if action.policy_epoch == self.policy_epoch && !too_long {
                self.count(Counter::FlowHit);
                self.touch(flow, inner, frame_len);
                return Ok(Flow { action, hash });
            }
        }
        if too_long {
            self.anti_spoof(port, inner)?;
            return Err(DropReason::FrameTooLong);
        }
        self.first_packet(port, inner, hash, found, frame_len)
    }

    /// Decides a flow, or decides it again.
    #[cold]
    fn first_packet(
        &mut self,
        port: &Port,
        inner: &Inner,
        hash: u64,
        found: Option<FlowId>,
        frame_len: usize,
    ) -> Result<Flow, DropReason> {
        self.anti_spoof(port, inner)?;
        self.count(Counter::FlowMiss);
        let action = self.decide_egress(port, inner)?;
        self.install(hash, action, found, inner, frame_len)?;
        Ok(Flow { action, hash })
    }

    fn anti_spoof(&self, port: &Port, inner: &Inner) -> Result<(), DropReason> {
        match self.tables.port_addresses.lookup(port.vni, &inner.key.src_address()) {
            Some((_, owner)) if owner == port.port => Ok(()),
            _ => Err(DropReason::SpoofedAddress),
        }
    }

    /// Puts a decision into the flow table. Where there is no room, a decision that lets a frame of an encrypting VNet out
    /// in the clear is not carried out. `inner` has the whole key.
    pub(crate) fn install(
        &mut self,
        hash: u64,
        action: FlowAction,
        found: Option<FlowId>,
        inner: &Inner,
        frame_len: usize,
    ) -> Result<(), DropReason> {
        let flow = match found {
            Some(flow) => {
                self.change_flow(flow, action);
                flow
            }
            None => match self.flows.insert(inner.key, hash, action, self.now_ns) {
                Some(flow) => {
                    self.log_begin(flow);
                    flow
                }
                None => {
                    self.count(Counter::FlowTableFull);
                    let is_clear =
                        [u8::from(ActionKind::Clear), u8::from(ActionKind::DeliverClear)].contains(&action.kind);
                    let vni = self.tables.port(action.port).map_or(0, |port| port.vni);
                    let demanded = self
                        .tables
                        .end(vni, Capability::Supported)
                        .is_none_or(|end| end.enforcement == Enforcement::DropUnencrypted);
                    return if is_clear && demanded {
                        Err(DropReason::FlowTableFull)
                    } else {
                        Ok(())
                    };
                }
            },
        };
        self.touch(flow, inner, frame_len);
        Ok(())
    }

    /// First packet of a flow: mapping, policy, action. What isn't a decision of policy is not worth an entry.
    pub(crate) fn decide_egress(&self, port: &Port, inner: &Inner) -> Result<FlowAction, DropReason> {
        let dst = inner.key.dst_address();
        let slot = self
            .tables
            .mappings
            .lookup_slot(port.vni, &dst)
            .ok_or(DropReason::NoMapping)?;
        let (_, target) = self.tables.mappings.at(slot).ok_or(DropReason::NoMapping)?;
        let action = FlowAction {
            port: port.port,
            policy_epoch: self.policy_epoch,
            ..FlowAction::ZERO
        };
        let (situation, association) = self.situation(port, &target, inner, true)?;
        let Decision { code, fate } = decide(&situation);
        let action = FlowAction {
            code: code.into(),
            ..action
        };
        Ok(match fate {
            Fate::Seal => FlowAction {
                kind: ActionKind::Seal.into(),
                target: association,
                ..action
            },
            Fate::Clear => FlowAction {
                kind: ActionKind::Clear.into(),
                target: slot as u32,
                ..action
            },
            Fate::Local => {
                let local = self
                    .tables
                    .port_of(target.dst_vni, &dst)
                    .ok_or(DropReason::NoLocalPort)?;
                FlowAction {
                    kind: ActionKind::Local.into(),
                    target: u32::from(local.port),
                    ..action
                }
            }
            // An action is a drop unless it is made another.
            Fate::Drop => FlowAction {
                reason: reason_of(code).into(),
                ..action
            },
        })
    }

    /// What policy wants to know about a port and the far end of a packet. `outgoing` tells which end the packet left.
    pub(crate) fn situation(
        &self,
        port: &Port,
        target: &crate::tables::Target,
        inner: &Inner,
        outgoing: bool,
    ) -> Result<(Situation, AssociationId), DropReason> {
        let capability = Capability::try_from(port.capability).unwrap_or(Capability::SwNotReady);
        let local = self.tables.end(port.vni, capability).ok_or(DropReason::InDoubt)?;
        let excluded = self
            .tables
            .is_excluded(if outgoing { port.vni } else { target.dst_vni }, inner);
        let situation = |relation, peer| Situation {
            relation,
            excluded,
            local,
            peer,
        };
        match target.kind {
            MappingKind::Unreachable => Err(DropReason::NoMapping),
            MappingKind::Outside if is_link_local(&inner.far_address(outgoing)) => Err(DropReason::NoMapping),
            // The peer's side has no meaning outside.
            MappingKind::Outside => Ok((situation(Relation::Outside, local), 0)),
            MappingKind::Vm => {
                let peer = self
                    .tables
                    .end(target.dst_vni, target.capability)
                    .ok_or(DropReason::InDoubt)?;
                if self.tables.is_own_pa(&target.pa) {
                    return Ok((situation(Relation::SameHost, peer), 0));
                }
                let found = self.keys.find_pair(port.vni, target.dst_vni, &target.pa);
                let (id, state) = found.map_or((0, AssociationState::NotReady), |(id, peer)| (id, peer.state()));
                Ok((situation(Relation::OtherHost(state), peer), id))
            }
        }
    }

    /// Carries out a flow's decision on one frame of at most the port's MTU.
    #[inline(always)]
    pub(crate) fn forward(
        &mut self,
        port: &Port,
        flow: Flow,
        inner: &Inner,
        frame: &mut Frame<'_>,
        out: &mut dyn Output,
    ) -> Result<Verdict, DropReason> {
        match ActionKind::try_from(flow.action.kind) {
            Ok(ActionKind::Seal) => self.forward_sealed(port, flow, inner, frame, out),
            Ok(ActionKind::Clear) => self.forward_clear(port, flow, inner, frame, out),
            Ok(ActionKind::Local) => self.deliver_local(port, flow, inner, frame),
            _ => Err(DropReason::try_from(flow.action.reason).unwrap_or(DropReason::InDoubt)),
        }
    }

    #[inline(always)]
    fn forward_sealed(
        &mut self,
        port: &Port,
        flow: Flow,
        inner: &Inner,
        frame: &mut Frame<'_>,
        out: &mut dyn Output,
    ) -> Result<Verdict, DropReason> {
        let (peer, sa_id, sa) = self.keys.sealing(flow.action.target).ok_or(DropReason::NoWriteSa)?;
        let Keys::Write(write) = &sa.keys else {
            return Err(DropReason::NoWriteSa);
        };
        let overhead = encap::record_overhead(write.header_len(), write.trailer_len());
        let ip_len = peer.template.ip_len(overhead + frame.len());
        if ip_len > self.tables.underlay_mtu() {
            return self.exceeds(port, ip_len, inner, frame, out);
        }
        let frame_len = frame.len();
        push_vxlan(frame, peer.config.peer_vni)?;
        let (sealed, event) = sa.seal(ContentType::APPLICATION_DATA.0, frame);
        let src_port = peer
            .has_peer_cid()
            .then(|| encap::entropy_port(flow.hash, self.entropy_secret));
        let result = sealed.and_then(|_| push_outer(&peer.template, frame, inner.class, src_port));
        if let Some(kind) = event {
            self.report_sa(kind, sa_id);
        }
        result?;
        self.add(Counter::SealedOctets, frame_len as u64);
        Ok(Verdict::WireSealed)
    }

    /// Wraps the frame into a record of the SA, in place, and tells the host of limits. Returns record number and epoch.
    pub(crate) fn seal(
        &mut self,
        sa_id: SaId,
        content_type: u8,
        frame: &mut Frame<'_>,
    ) -> Result<(u64, u64), DropReason> {
        let sa = self.keys.sa_mut(sa_id).ok_or(DropReason::NoWriteSa)?;
        let epoch = sa.epoch;
        let (sealed, event) = sa.seal(content_type, frame);
        if let Some(kind) = event {
            self.report_sa(kind, sa_id);
        }
        Ok((sealed?, epoch))
    }

    #[inline(never)]
    fn forward_clear(
        &mut self,
        port: &Port,
        flow: Flow,
        inner: &Inner,
        frame: &mut Frame<'_>,
        out: &mut dyn Output,
    ) -> Result<Verdict, DropReason> {
        let (_, target) = self
            .tables
            .mappings
            .at(flow.action.target as usize)
            .ok_or(DropReason::InDoubt)?;
        let config = self.tables.config.ok_or(DropReason::InDoubt)?;
        let template = Template::new(&Ends {
            mac: config.mac,
            next_hop_mac: config.next_hop_mac,
            src: if target.pa.family == 6 {
                config.pa_v6
            } else {
                config.pa_v4
            },
            dst: target.pa,
            src_port: encap::entropy_port(flow.hash, self.entropy_secret),
            dst_port: vxlan::UDP_PORT,
        })
        .ok_or(DropReason::InDoubt)?;
        let ip_len = template.ip_len(vxlan::HEADER_LEN + frame.len());
        if ip_len > self.tables.underlay_mtu() {
            return self.exceeds(port, ip_len, inner, frame, out);
        }
        push_vxlan(frame, target.dst_vni)?;
        push_outer(&template, frame, inner.class, None)?;
        Ok(Verdict::WireClear)
    }

    /// What becomes of a frame whose outer packet, of `ip_len` octets, is longer than the underlay's MTU.
    #[cold]
    fn exceeds(
        &mut self,
        port: &Port,
        ip_len: usize,
        inner: &Inner,
        frame: &mut Frame<'_>,
        out: &mut dyn Output,
    ) -> Result<Verdict, DropReason> {
        let excess = ip_len.saturating_sub(self.tables.underlay_mtu());
        self.too_big(port, inner.ip_len.saturating_sub(excess), inner, frame, out)
    }
}

#[inline]
fn check_source_mac(port: &Port, frame: &[u8]) -> Result<(), DropReason> {
    let source = EthernetFrame::new_unchecked(frame).src_addr();
    if !source.is_multicast() && (port.any_mac != 0 || source.octets() == port.mac) {
        Ok(())
    } else {
        Err(DropReason::SpoofedMac)
    }
}

/// Completes the checksum that the VM left to the NIC (VIRTIO 1.2 section 5.1.6.2). The field is the VM's choice, and so is what is
/// written there: it lies behind all that the decision was made of (addresses, ports, ICMP type), or a VM could have a
/// frame changed that has passed anti-spoof and policy.
#[inline(never)]
pub(crate) fn complete_checksum(inner: &Inner, offload: Offload, frame: &mut Frame<'_>) -> Result<(), DropReason> {
    let read = match inner.protocol() {
        IpProtocol::TCP | IpProtocol::UDP if !inner.is_fragment() => 4,
        _ => 2,
    };
    if usize::from(offload.csum_start) + usize::from(offload.csum_offset) < inner.l4 + read {
        return Err(DropReason::BadOffload);
    }
    sealnic_wire::checksum::complete(
        frame.octets_mut(),
        offload.csum_start.into(),
        offload.csum_offset.into(),
    )
    .map_err(|_| DropReason::BadOffload)
}

#[inline(always)]
pub(crate) fn push_vxlan(frame: &mut Frame<'_>, vni: u32) -> Result<(), DropReason> {
    let octets = frame.push_front(vxlan::HEADER_LEN).ok_or(DropReason::FrameTooLong)?;
    VxlanRepr { vni }.emit(octets).map_err(|_| DropReason::InDoubt)
}

#[inline(always)]
pub(crate) fn push_outer(
    template: &Template,
    frame: &mut Frame<'_>,
    class: u8,
    src_port: Option<u16>,
) -> Result<(), DropReason> {
    let datagram = frame.push_front(template.len()).ok_or(DropReason::FrameTooLong)?;
    template
        .write(datagram, class, src_port)
        .ok_or(DropReason::FrameTooLong)
}

/// Drop reason of a code whose fate is to be dropped.
fn reason_of(code: EncryptionCode) -> DropReason {
    match code {
        EncryptionCode::NxHwNotSupported => DropReason::HwNotSupported,
        EncryptionCode::NxSwNotReady => DropReason::SwNotReady,
        EncryptionCode::NxNotAccepted => DropReason::NotAccepted,
        EncryptionCode::NxNotSupported => DropReason::NotSupported,
        _ => DropReason::InDoubt,
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::frame::{HEADROOM, TAILROOM};

    /// A frame of 100 octets with an IPv4 packet of this protocol, and what is read of it.
    fn packet(protocol: u8, fragment: u8) -> (std::vec::Vec<u8>, Inner) {
        let mut storage = std::vec![0x50; HEADROOM + 100 + TAILROOM];
        let octets = &mut storage[HEADROOM..HEADROOM + 100];
        octets[12..16].copy_from_slice(&[0x08, 0, 0x45, 0]);
        octets[16..24].copy_from_slice(&[0, 86, 0, 1, 0, fragment, 64, protocol]);
        let inner = parse::network(octets, parse::link(octets).unwrap()).unwrap();
        (storage, inner)
    }

    #[test]
    fn a_checksum_request_changes_nothing_that_was_decided_upon() {
        for (protocol, fragment, first) in [(6, 0, 38), (17, 0, 38), (17, 9, 36), (1, 0, 36), (47, 0, 36)] {
            for at in 0..=100 {
                for csum_start in 0..=at {
                    let (mut storage, inner) = packet(protocol, fragment);
                    let before = storage.clone();
                    let mut frame = Frame::new(&mut storage, HEADROOM, HEADROOM + 100).unwrap();
                    let offload = Offload {
                        needs_csum: true,
                        csum_start,
                        csum_offset: at - csum_start,
                        ..Offload::default()
                    };
                    let result = complete_checksum(&inner, offload, &mut frame);
                    let is_allowed = (first..=98).contains(&at);
                    assert_eq!(result.is_ok(), is_allowed, "protocol {protocol}, field at {at}");
                    assert!(is_allowed || storage == before);
                    assert_eq!(
                        storage[..HEADROOM + usize::from(first)],
                        before[..HEADROOM + usize::from(first)]
                    );
                }
            }
        }
    }
}
