//! From the wire to a VM. The plan:
//!
//! ```text
//! read outer headers ─ for us?
//!   ├ record: association, SA ─ open (authenticate) ─ commit (replay) ─ application data? ─ VNI is the association's own
//!   └ clear VXLAN (UDP 4789)
//! ECN ─ read inner headers ─ flow entry of this sender, current epoch ──────────────┐
//!                              └ none: sender may speak for the source? ─ port ─ install
//!                                                                            deliver │ drop
//! ```

use crate::egress::Flow;
use crate::flow_table::FlowId;
use crate::frame::{Frame, Verdict};
use crate::key_store::{Claim, Keys, SaId};
use crate::memory::Memory;
use crate::nic::{Entropy, Nic};
use crate::parse::{self, Inner, Outer};
use crate::tables::Target;
use sealnic_abi::event::EventKind;
use sealnic_abi::flow::{ActionKind, FlowAction, FlowKey};
use sealnic_abi::object::{Address, Port, SaPhase};
use sealnic_abi::{Counter, DropReason, EncryptionCode, MappingKind};
use sealnic_dtls::OpenError;
use sealnic_policy::{Fate, decide};
use sealnic_wire::{Ipv4Packet, Ipv6Packet, VxlanPacket, dtls::ContentType, ip::ecn, vxlan};

/// How a frame arrived: what its sender has proven, or merely says.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Via {
    /// In a record of this association.
    Record { association: u32 },
    /// In the clear from this host.
    Clear { pa: Address },
    /// From another port of this host.
    Local { src_vni: u32 },
}

/// What has become of a datagram once its record is open, before any flow was asked.
#[derive(Clone, Copy)]
pub(crate) enum Arrival {
    /// Its way has ended.
    Ended(Verdict),
    /// A frame for a VM of this VNet; the hash is that of its ingress key.
    Inner { hash: u64 },
}

/// A frame for a VM on its way: filled where it lies, since a copy right after would wait for every store before it.
#[derive(Clone, Copy)]
pub(crate) struct Arriving {
    /// Its packet; the key's scope is the VNI.
    inner: Inner,
    via: Via,
}

impl Arriving {
    /// Nothing known yet.
    pub(crate) const EMPTY: Self = Self {
        inner: Inner::EMPTY,
        via: Via::Local { src_vni: 0 },
    };

    /// Key of the flow at this end.
    pub(crate) fn key(&self) -> &FlowKey {
        &self.inner.key
    }
}

impl<M: Memory, E: Entropy> Nic<M, E> {
    #[inline(always)]
    pub(crate) fn ingress(&mut self, frame: &mut Frame<'_>) -> Result<Verdict, DropReason> {
        let mut arriving = Arriving::EMPTY;
        let arrival = self.arrive(frame, &mut arriving)?;
        self.deliver(arrival, &arriving, frame.len())
    }

    /// All that comes before the flow table: afterwards the frame is the VM's, what is known of it stands in the empty `arriving`, and
    /// nothing of it has been delivered.
    #[inline(always)]
    pub(crate) fn arrive(&mut self, frame: &mut Frame<'_>, arriving: &mut Arriving) -> Result<Arrival, DropReason> {
        let config = self.tables.config.as_ref().filter(|_| self.enabled);
        let config = config.ok_or(DropReason::OuterNotOurs)?;
        let outer = parse::outer(frame.octets(), &config.mac)?;
        if !self.tables.is_own_pa(&outer.dst) {
            return Err(DropReason::OuterNotOurs);
        }
        let payload = outer.payload..outer.payload + outer.payload_len;
        if outer.dst_port == vxlan::UDP_PORT {
            frame.narrow(payload);
            let vni = pop_vxlan(frame)?;
            return self.read_ingress(vni, Via::Clear { pa: outer.src }, outer.ecn, frame, arriving);
        }
        match self
            .keys
            .claim(&outer, &frame.octets()[payload.clone()], config.cid_len)?
        {
            Claim::Handshake => self.punt_handshake(&outer, frame).map(Arrival::Ended),
            Claim::Protected(sa) => {
                frame.narrow(payload);
                self.arrive_in_record(sa, &outer, frame, arriving)
            }
        }
    }

    /// Opens a record, and only then looks inside.
    #[inline(always)]
    fn arrive_in_record(
        &mut self,
        sa_id: SaId,
        outer: &Outer,
        frame: &mut Frame<'_>,
        arriving: &mut Arriving,
    ) -> Result<Arrival, DropReason> {
        let (association, epoch, content_type, sequence) = self.open(sa_id, frame)?;
        let peer = self.keys.peer(association).ok_or(DropReason::UnknownAssociation)?;
        let local_vni = peer.config.local_vni;
        if content_type != ContentType::APPLICATION_DATA.0 {
            return self
                .punt_control(association, epoch, sequence, content_type, frame)
                .map(Arrival::Ended);
        }
        if pop_vxlan(frame)? != local_vni {
            return Err(DropReason::VniMismatch);
        }
        self.add(Counter::OpenedOctets, frame.len() as u64);
        self.read_ingress(local_vni, Via::Record { association }, outer.ecn, frame, arriving)
    }

    /// Authenticates and decrypts in place, then commits the number to the replay window. The frame becomes the content.
    #[inline(always)]
    fn open(&mut self, sa_id: SaId, frame: &mut Frame<'_>) -> Result<(u32, u64, u8, u64), DropReason> {
        let now_ns = self.now_ns;
        let sa = self.keys.sa_mut(sa_id).ok_or(DropReason::UnknownEpoch)?;
        if sa.phase == SaPhase::Retiring && sa.has_ended(now_ns) {
            return Err(DropReason::UnknownEpoch);
        }
        let (association, epoch) = (sa.association, sa.epoch);
        let Keys::Read(read) = &mut sa.keys else {
            return Err(DropReason::UnknownEpoch);
        };
        let opened = match read.open(now_ns, frame.octets_mut()) {
            Ok(opened) => opened,
            Err(error) => {
                // Forgeries alone wear a key out: the host hears of it although no good record comes.
                let asks_for_new = read.soft_limit() && !sa.soft_reported;
                sa.soft_reported |= asks_for_new;
                // A retiring SA has its end already, at which its keys are wiped.
                let is_dead = error == OpenError::FailureLimit && sa.phase == SaPhase::Installed;
                if is_dead {
                    sa.phase = SaPhase::Dead;
                }
                if asks_for_new {
                    self.report_sa(EventKind::SaSoftLimit, sa_id);
                }
                if is_dead {
                    self.report_sa(EventKind::SaHardLimit, sa_id);
                }
                return Err(reason_of(error));
            }
        };
        if read.commit(opened.seq).is_err() {
            return Err(DropReason::Replayed);
        }
        sa.add_octets(opened.plaintext.len());
        if opened.soft_limit && !sa.soft_reported {
            sa.soft_reported = true;
            self.report_sa(EventKind::SaSoftLimit, sa_id);
        }
        frame.narrow(opened.plaintext);
        Ok((association, epoch, opened.content_type, opened.seq))
    }

    /// A frame between two ports of this host.
    #[inline(never)]
    pub(crate) fn deliver_local(
        &mut self,
        port: &Port,
        flow: Flow,
        inner: &Inner,
        frame: &mut Frame<'_>,
    ) -> Result<Verdict, DropReason> {
        let target = u16::try_from(flow.action.target)
            .ok()
            .and_then(|port| self.tables.port(port))
            .ok_or(DropReason::NoLocalPort)?;
        let vni = target.vni;
        let via = Via::Local { src_vni: port.vni };
        let mut inner = *inner;
        let hash = self.key_ingress(vni, via, &mut inner);
        let flow = self.ingress_flow(via, &inner, hash, frame.len(), flow.action.code)?;
        carry_out(&flow)
    }

    /// Makes an inner packet's key that of its flow at this end, and hashes it.
    #[inline]
    fn key_ingress(&self, vni: u32, via: Via, inner: &mut Inner) -> u64 {
        inner.key.scope = vni;
        inner.key.flags |= FlowKey::INGRESS;
        if matches!(via, Via::Record { .. }) {
            inner.key.flags |= FlowKey::SEALED;
        }
        self.flows.hash(&inner.key)
    }

    /// Reads a frame for a VM of this VNet.
    #[inline(always)]
    fn read_ingress(
        &self,
        vni: u32,
        via: Via,
        outer_ecn: u8,
        frame: &mut Frame<'_>,
        arriving: &mut Arriving,
    ) -> Result<Arrival, DropReason> {
        let malformed = |_| DropReason::InnerMalformed;
        let link = parse::link(frame.octets()).map_err(malformed)?;
        arriving.via = via;
        let inner = &mut arriving.inner;
        inner.read(frame.octets(), link).map_err(malformed)?;
        if outer_ecn & ecn::ECT_1 != 0 {
            propagate_congestion(frame, inner, outer_ecn)?;
        }
        let hash = self.key_ingress(vni, via, inner);
        Ok(Arrival::Inner { hash })
    }

    /// Delivers what has arrived, if its flow may be.
    #[inline(always)]
    pub(crate) fn deliver(
        &mut self,
        arrival: Arrival,
        arriving: &Arriving,
        frame_len: usize,
    ) -> Result<Verdict, DropReason> {
        match arrival {
            Arrival::Ended(verdict) => Ok(verdict),
            Arrival::Inner { hash } => {
                let Arriving { inner, via } = arriving;
                let flow = self.ingress_flow(*via, inner, hash, frame_len, EncryptionCode::X.into())?;
                carry_out(&flow)
            }
        }
    }

    /// The flow's entry, if it is this sender's and of the current epoch; otherwise the sender is judged now.
    #[inline(always)]
    fn ingress_flow(
        &mut self,
        via: Via,
        inner: &Inner,
        hash: u64,
        frame_len: usize,
        code: u8,
    ) -> Result<FlowAction, DropReason> {
        let found = self.flows.lookup(&inner.key, hash);
        if let Some(flow) = found
            && self.is_current(flow, via)
        {
            self.count(Counter::FlowHit);
            self.touch(flow, inner, frame_len);
            return Ok(self.flows.entry(flow).action);
        }
        self.first_arrival(via, inner, hash, (frame_len, code), found)
    }

    /// Judges a flow's sender, or judges it again.
    #[cold]
    fn first_arrival(
        &mut self,
        via: Via,
        inner: &Inner,
        hash: u64,
        (frame_len, code): (usize, u8),
        found: Option<FlowId>,
    ) -> Result<FlowAction, DropReason> {
        self.count(Counter::FlowMiss);
        let action = self.decide_ingress(inner.key.scope, via, inner, code)?;
        self.install(hash, action, found, inner, frame_len)?;
        Ok(action)
    }

    /// Whether an entry just looked up holds for what has arrived.
    pub(crate) fn holds(&self, flow: FlowId, arriving: &Arriving) -> bool {
        self.is_current(flow, arriving.via)
    }

    /// An entry holds for the sender it was made for, and for no other.
    #[inline]
    fn is_current(&self, flow: FlowId, via: Via) -> bool {
        let action = &self.flows.entry(flow).action;
        action.policy_epoch == self.policy_epoch
            && match via {
                Via::Record { association } => action.target == association,
                Via::Clear { pa } => {
                    action.kind == u8::from(ActionKind::DeliverClear)
                        && self
                            .tables
                            .mappings
                            .at(action.target as usize)
                            .is_some_and(|(_, target)| target.pa == pa)
                }
                Via::Local { src_vni } => action.kind == u8::from(ActionKind::Local) && action.target == src_vni,
            }
    }

    /// First packet of a flow at this end: may the sender speak for the source, and who gets it?
    fn decide_ingress(&self, vni: u32, via: Via, inner: &Inner, code: u8) -> Result<FlowAction, DropReason> {
        if self.tables.vnets.get(&vni).is_none() {
            return Err(DropReason::UnknownVni);
        }
        let port = self
            .tables
            .port_of(vni, &inner.key.dst_address())
            .filter(|port| port.up != 0)
            .ok_or(DropReason::NoLocalPort)?;
        let action = FlowAction {
            port: port.port,
            code,
            policy_epoch: self.policy_epoch,
            ..FlowAction::ZERO
        };
        let source = self.tables.mappings.lookup_slot(vni, &inner.key.src_address());
        let source = source.and_then(|slot| Some((slot, self.tables.mappings.at(slot)?.1)));
        match via {
            Via::Record { association } => {
                let peer = self.keys.peer(association).ok_or(DropReason::UnknownAssociation)?;
                let (peer_vni, peer_pa) = (peer.config.peer_vni, peer.config.peer_pa);
                let is_its = |target: &Target| {
                    target.kind == MappingKind::Vm && target.dst_vni == peer_vni && target.is_at(&peer_pa, self.now_ns)
                };
                let (_, target) = source
                    .filter(|(_, target)| is_its(target))
                    .ok_or(DropReason::InnerSpoofed)?;
                // Within the grace after a move the entry is made stale, so that the next record is judged anew.
                let age = u32::from(target.pa != peer_pa);
                Ok(FlowAction {
                    kind: ActionKind::DeliverSealed.into(),
                    target: association,
                    policy_epoch: self.policy_epoch.wrapping_sub(age),
                    ..action
                })
            }
            Via::Clear { pa } => {
                let (slot, target) = source
                    .filter(|(_, target)| target.kind != MappingKind::Unreachable)
                    .ok_or(DropReason::InnerSpoofed)?;
                if target.pa != pa {
                    return Err(DropReason::ClearWrongHost);
                }
                let (situation, _) = self.situation(port, &target, inner, false)?;
                let decision = decide(&situation);
                if decision.fate != Fate::Clear {
                    return Err(DropReason::ClearForbidden);
                }
                let kind = ActionKind::DeliverClear.into();
                Ok(FlowAction {
                    kind,
                    target: slot as u32,
                    code: decision.code.into(),
                    ..action
                })
            }
            // The sender's port was held to its own addresses; its VNet must still be the one mapped.
            Via::Local { src_vni } => match source {
                Some((_, target)) if target.dst_vni == src_vni && self.tables.is_own_pa(&target.pa) => Ok(FlowAction {
                    kind: ActionKind::Local.into(),
                    target: src_vni,
                    ..action
                }),
                _ => Err(DropReason::InnerSpoofed),
            },
        }
    }
}

#[inline]
fn carry_out(action: &FlowAction) -> Result<Verdict, DropReason> {
    match ActionKind::try_from(action.kind) {
        Ok(ActionKind::DeliverSealed | ActionKind::DeliverClear | ActionKind::Local) => Ok(Verdict::Vf(action.port)),
        _ => Err(DropReason::InDoubt),
    }
}

/// Takes the VXLAN header off and returns its VNI.
#[inline]
fn pop_vxlan(frame: &mut Frame<'_>) -> Result<u32, DropReason> {
    let view = VxlanPacket::new_checked(frame.octets()).map_err(|_| DropReason::InnerMalformed)?;
    if !view.has_vni() {
        return Err(DropReason::InnerMalformed);
    }
    let vni = view.vni();
    frame.narrow(vxlan::HEADER_LEN..frame.len());
    Ok(vni)
}

/// RFC 6040 section 4.2: the more severe mark of the two is passed on to a sender that understands it; a packet of one that
/// doesn't is dropped, as the router that met congestion would have done.
fn propagate_congestion(frame: &mut Frame<'_>, inner: &Inner, outer_ecn: u8) -> Result<(), DropReason> {
    let mark = match (inner.class & 3, outer_ecn) {
        (ecn::NOT_ECT, ecn::CE) => return Err(DropReason::Congestion),
        (ecn::ECT_0 | ecn::ECT_1, ecn::CE) => ecn::CE,
        (ecn::ECT_0, ecn::ECT_1) => ecn::ECT_1,
        _ => return Ok(()),
    };
    let packet = &mut frame.octets_mut()[inner.l3..];
    if inner.is_ipv6() {
        Ipv6Packet::new_unchecked(packet).set_ecn(mark);
    } else {
        let mut view = Ipv4Packet::new_unchecked(packet);
        // Updated, not computed anew: a wrong checksum must stay wrong (RFC 1624).
        let (old, checksum) = (u16::from(inner.class), view.checksum());
        view.set_ecn(mark);
        view.set_checksum(sealnic_wire::checksum::update(
            checksum,
            old,
            old & !3 | u16::from(mark),
        ));
    }
    Ok(())
}

fn reason_of(error: OpenError) -> DropReason {
    match error {
        OpenError::Auth => DropReason::AuthFailed,
        OpenError::Replayed => DropReason::Replayed,
        OpenError::FailureLimit => DropReason::FailureLimit,
        OpenError::NotThisEpoch => DropReason::UnknownEpoch,
        OpenError::NotThisConnection => DropReason::UnknownAssociation,
        OpenError::Malformed | OpenError::Unsupported | OpenError::NoContentType => DropReason::RecordMalformed,
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::frame::{Destination, HEADROOM, Offload, Output};
    use crate::testing::{TestNic, device, in_buffer};
    use sealnic_dtls::{KeyMaterial, Limits, ReadState};
    use std::vec::Vec;

    const READ_SA: u32 = 1;

    struct Nothing;

    impl Output for Nothing {
        fn emit(&mut self, _to: Destination, _frame: &[u8]) {}
    }

    /// A datagram of host 0's device with a frame of its VM.
    fn sealed(sender: &mut TestNic) -> Vec<u8> {
        let mut octets = [0x33; 60];
        octets[..14].copy_from_slice(&[2, 0, 0, 0, 1, 1, 2, 0, 0, 0, 1, 0, 8, 0]);
        octets[14..18].copy_from_slice(&[0x45, 0, 0, 46]);
        octets[20..24].copy_from_slice(&[0x40, 0, 64, 17]);
        octets[26..34].copy_from_slice(&[10, 1, 0, 0, 10, 1, 0, 1]);
        let mut buffer = in_buffer(&octets);
        let mut frame = Frame::new(&mut buffer, HEADROOM, HEADROOM + octets.len()).unwrap();
        let verdict = sender.from_vf(0, 0, Offload::default(), &mut frame, &mut Nothing);
        assert_eq!(verdict, Verdict::WireSealed);
        frame.octets().to_vec()
    }

    fn receive(receiver: &mut TestNic, datagram: &[u8]) -> Verdict {
        let mut buffer = in_buffer(datagram);
        let mut frame = Frame::new(&mut buffer, HEADROOM, HEADROOM + datagram.len()).unwrap();
        receiver.from_wire(0, &mut frame)
    }

    #[test]
    fn a_counter_is_read_as_it_stands() {
        let (mut sender, mut receiver) = (device(0), device(1));
        for count in 0..4 {
            assert_eq!(sender.counter(Counter::WireSealed), count);
            assert_eq!(receiver.counter(Counter::VfOut), count);
            let datagram = sealed(&mut sender);
            assert_eq!(receive(&mut receiver, &datagram), Verdict::Vf(0));
        }
    }

    /// Notices about SAs since the last call.
    fn notices(nic: &mut TestNic) -> Vec<(EventKind, u32)> {
        let events = core::iter::from_fn(|| nic.events.pop());
        let kinds = events.map(|event| (EventKind::try_from(event.kind).unwrap(), event.subject));
        kinds
            .filter(|(kind, _)| [EventKind::SaSoftLimit, EventKind::SaHardLimit].contains(kind))
            .collect()
    }

    /// Host 1's device with these limits on what it reads; the keys are those of `device`.
    fn receiver(limits: impl FnOnce(&mut Limits)) -> TestNic {
        let mut nic = device(1);
        let Keys::Read(state) = &nic.keys.sa_mut(READ_SA).unwrap().keys else {
            panic!("SA {READ_SA} reads");
        };
        let config = *state.config();
        let (mut key, mut sn_key) = ([0; 32], [0; 32]);
        (key[0], sn_key[0]) = (1, 3);
        let material = KeyMaterial {
            key,
            iv: [0; 12],
            sn_key,
        };
        let mut wanted = Limits::default_for(config.version);
        limits(&mut wanted);
        let state = ReadState::new(&material, config, 64, wanted).unwrap();
        nic.keys.sa_mut(READ_SA).unwrap().keys = Keys::Read(state);
        nic
    }

    #[test]
    fn forgeries_ask_for_new_keys_once_and_end_the_old_ones_once() {
        let mut sender = device(0);
        let mut nic = receiver(|limits| (limits.soft_failures, limits.hard_failures) = (3, 5));
        let good = sealed(&mut sender);
        assert_eq!(receive(&mut nic, &good), Verdict::Vf(0));
        let mut forged = sealed(&mut sender);
        *forged.last_mut().unwrap() ^= 1;
        for failure in 1..=5 {
            assert_eq!(receive(&mut nic, &forged), Verdict::Drop(DropReason::AuthFailed));
            let expected: &[_] = if failure == 3 {
                &[(EventKind::SaSoftLimit, READ_SA)]
            } else {
                &[]
            };
            assert_eq!(notices(&mut nic), expected, "failure {failure}");
            assert_eq!(nic.keys.sa_mut(READ_SA).unwrap().phase, SaPhase::Installed);
        }
        for expected in [&[(EventKind::SaHardLimit, READ_SA)][..], &[]] {
            let next = sealed(&mut sender);
            assert_eq!(receive(&mut nic, &next), Verdict::Drop(DropReason::FailureLimit));
            assert_eq!(notices(&mut nic), expected);
            assert_eq!(nic.keys.sa_mut(READ_SA).unwrap().phase, SaPhase::Dead);
        }
    }

    #[test]
    fn a_retiring_sa_that_forgeries_wear_out_still_ends_with_its_overlap() {
        let mut sender = device(0);
        let mut nic = receiver(|limits| (limits.soft_failures, limits.hard_failures) = (1, 1));
        nic.keys.sa_mut(READ_SA).unwrap().phase = SaPhase::Retiring;
        nic.keys.sa_mut(READ_SA).unwrap().retire_ns = u64::MAX;
        let mut forged = sealed(&mut sender);
        *forged.last_mut().unwrap() ^= 1;
        assert_eq!(receive(&mut nic, &forged), Verdict::Drop(DropReason::AuthFailed));
        assert_eq!(receive(&mut nic, &forged), Verdict::Drop(DropReason::FailureLimit));
        assert_eq!(notices(&mut nic), [(EventKind::SaSoftLimit, READ_SA)]);
        assert_eq!(nic.keys.sa_mut(READ_SA).unwrap().phase, SaPhase::Retiring);
    }

    #[test]
    fn records_ask_for_new_keys_once() {
        let mut sender = device(0);
        let mut nic = receiver(|limits| limits.soft_packets = 4);
        for record in 1..=8 {
            let datagram = sealed(&mut sender);
            assert_eq!(receive(&mut nic, &datagram), Verdict::Vf(0));
            // The first record after the limit finds it reached.
            let expected: &[_] = if record == 5 {
                &[(EventKind::SaSoftLimit, READ_SA)]
            } else {
                &[]
            };
            assert_eq!(notices(&mut nic), expected, "record {record}");
        }
    }
}
