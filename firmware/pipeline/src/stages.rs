//! The stages of both directions one by one, for models that let time pass between them. They are what
//! [`from_vf`](Nic::from_vf) and [`from_wire`](Nic::from_wire) are made of: carried out one right after another they do the same.
//!
//! ```text
//! from a VM:      egress_read (pure) → egress_lookup (pure: what would the table answer?) → egress_commit
//! from the wire:  ingress_preview (pure: whose record?) → ingress_arrive (open, replay commit)
//!                                                       → ingress_lookup (pure) → ingress_deliver
//! ```
//!
//! What is pure changes nothing and foresees only how long a frame takes: the stages that change something decide anew. A frame's
//! reading stays true until a command of the host comes in between; after one it has to be read again.

use crate::egress::Reading;
use crate::flow_table::Lines;
use crate::frame::{Frame, Offload, Output, Verdict};
use crate::ingress::{Arrival, Arriving};
use crate::key_store::{AssociationId, Claim, Keys, SaId};
use crate::memory::Memory;
use crate::nic::{Entropy, Nic};
use crate::parse::{self, Inner};
use sealnic_abi::flow::ActionKind;
use sealnic_abi::object::{DtlsVersion, Port};
use sealnic_abi::{Counter, DropReason};

/// Length of an AES-GCM tag, in octets (RFC 5288 section 3).
const TAG_LEN: usize = 16;

/// A frame of a VM as it was read.
#[derive(Clone, Copy)]
pub struct EgressRead {
    admitted: Result<Port, DropReason>,
    reading: Result<Reading, DropReason>,
    inner: Inner,
}

impl EgressRead {
    /// Nothing read yet.
    pub const EMPTY: Self = Self {
        admitted: Err(DropReason::PortDown),
        reading: Err(DropReason::PortDown),
        inner: Inner::EMPTY,
    };

    /// Hash of the flow, for an IP packet that could be read.
    #[must_use]
    pub fn hash(&self) -> Option<u64> {
        match self.reading {
            Ok(Reading::Ip { hash }) => Some(hash),
            _ => None,
        }
    }
}

/// A datagram on its way to a VM, after its record was opened.
#[derive(Clone, Copy)]
pub struct Arrived {
    arrival: Arrival,
    arriving: Arriving,
}

impl Arrived {
    /// Nothing known yet.
    pub const EMPTY: Self = Self {
        arrival: Arrival::Ended(Verdict::Consumed),
        arriving: Arriving::EMPTY,
    };
}

/// What the flow table would answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Answer {
    /// The table isn't asked.
    #[default]
    NotAsked,
    /// An entry that holds.
    Hit,
    /// No entry, or one that is to be decided again: the slow path's work.
    Miss,
}

/// A lookup foreseen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lookup {
    /// What the table would answer.
    pub answer: Answer,
    /// Hash of the flow; 0 when the table isn't asked.
    pub hash: u64,
    /// Lines of the table that are touched.
    pub lines: Lines,
    /// From a VM: the association that would seal the frame.
    pub association: Option<AssociationId>,
}

/// What seals an association's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sealing {
    /// The SA.
    pub sa: SaId,
    /// Octets of a sealed datagram besides what the cipher works on.
    pub overhead: usize,
}

/// A datagram of the wire, as far as its outside tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Preview {
    /// For a record that an SA here may open: the association, the SA, and the octets that the cipher works on.
    pub record: Option<(AssociationId, SaId, usize)>,
}

impl<M: Memory, E: Entropy> Nic<M, E> {
    /// Reads a frame of the VM behind a port. Changes nothing, and sees nothing that another frame's way could change.
    pub fn egress_read(&self, port: u16, octets: &[u8], read: &mut EgressRead) {
        read.admitted = self.admit(port);
        read.inner = Inner::EMPTY;
        read.reading = match &read.admitted {
            Ok(port) => self.read_egress(port, octets, &mut read.inner),
            Err(reason) => Err(*reason),
        };
    }

    /// What the flow table would answer at this moment. Changes nothing.
    #[must_use]
    pub fn egress_lookup(&self, read: &EgressRead) -> Lookup {
        let (Ok(port), Ok(Reading::Ip { hash })) = (&read.admitted, read.reading) else {
            return Lookup::default();
        };
        if read.inner.is_group_addressed() {
            return Lookup::default();
        }
        let (found, lines) = self.flows.trace(&read.inner.key, hash);
        let entry = found.map(|flow| self.flows.entry(flow).action);
        let current = entry.filter(|action| action.policy_epoch == self.policy_epoch);
        let action = current.or_else(|| self.decide_egress(port, &read.inner).ok());
        Lookup {
            answer: if current.is_some() { Answer::Hit } else { Answer::Miss },
            hash,
            lines,
            association: action
                .filter(|action| action.kind == u8::from(ActionKind::Seal))
                .map(|action| action.target),
        }
    }

    /// Does with a frame what its reading calls for: decision, number, seal, and the exit. `read` must be of this frame, and no command
    /// of the host may have come in between.
    pub fn egress_commit(
        &mut self,
        now_ns: u64,
        read: &EgressRead,
        offload: Offload,
        frame: &mut Frame<'_>,
        out: &mut dyn Output,
    ) -> Verdict {
        self.enter(now_ns, Counter::VfIn);
        let result = match (&read.admitted, &read.reading) {
            (Ok(port), Ok(reading)) => self.act_egress(port, *reading, &read.inner, offload, frame, out),
            (Err(reason), _) | (_, Err(reason)) => Err(*reason),
        };
        self.finish(result, frame)
    }

    /// What seals an association's records at this moment.
    #[must_use]
    pub fn sealing(&self, association: AssociationId) -> Option<Sealing> {
        let (peer, sa) = self.keys.sealing_sa(association)?;
        let Keys::Write(write) = &self.keys.sa(sa)?.keys else {
            return None;
        };
        Some(Sealing {
            sa,
            overhead: peer.template.len() + write.header_len() + TAG_LEN,
        })
    }

    /// Whose record a datagram is. Changes nothing, and opens nothing: the sender has proven nothing yet.
    #[must_use]
    pub fn ingress_preview(&self, octets: &[u8]) -> Preview {
        Preview {
            record: self.preview_record(octets),
        }
    }

    fn preview_record(&self, octets: &[u8]) -> Option<(AssociationId, SaId, usize)> {
        let config = self.tables.config.as_ref().filter(|_| self.enabled)?;
        let outer = parse::outer(octets, &config.mac).ok()?;
        if !self.tables.is_own_pa(&outer.dst) || outer.dst_port == sealnic_wire::vxlan::UDP_PORT {
            return None;
        }
        let record = octets.get(outer.payload..outer.payload + outer.payload_len)?;
        let Ok(Claim::Protected(sa)) = self.keys.claim(&outer, record, config.cid_len) else {
            return None;
        };
        let association = self.keys.sa(sa)?.association;
        let peer = &self.keys.peer(association)?.config;
        let cid_len = usize::from(peer.local_cid_len);
        // RFC 9147 section 4: one octet, id, 16-bit number, and a length where the octet says so. RFC 6347 section 4.1 and RFC 9146
        // section 4: 13 octets and the id, and the explicit nonce of RFC 5288 section 3.
        let header_len = if peer.version == u8::from(DtlsVersion::Dtls13) {
            let has_length = record.first().is_some_and(|octet| octet & 0x04 != 0);
            3 + cid_len + if has_length { 2 } else { 0 }
        } else {
            13 + cid_len + 8
        };
        Some((association, sa, record.len().saturating_sub(header_len + TAG_LEN)))
    }

    /// Takes a datagram of the underlay in: opens its record and commits its number, or reads it if it is clear. The verdict, if its
    /// way ends here; else it is to be delivered.
    pub fn ingress_arrive(&mut self, now_ns: u64, frame: &mut Frame<'_>, arrived: &mut Arrived) -> Option<Verdict> {
        // What the last frame left here is none of this one's: a key without ports has none.
        arrived.arriving = Arriving::EMPTY;
        self.enter(now_ns, Counter::WireIn);
        match self.arrive(frame, &mut arrived.arriving) {
            Ok(Arrival::Ended(verdict)) => Some(self.finish(Ok(verdict), frame)),
            Ok(arrival) => {
                arrived.arrival = arrival;
                None
            }
            Err(reason) => Some(self.finish(Err(reason), frame)),
        }
    }

    /// What the flow table would answer about a frame that has arrived. Changes nothing.
    #[must_use]
    pub fn ingress_lookup(&self, arrived: &Arrived) -> Lookup {
        let Arrival::Inner { hash } = arrived.arrival else {
            return Lookup::default();
        };
        let (found, lines) = self.flows.trace(arrived.arriving.key(), hash);
        let is_current = found.is_some_and(|flow| self.holds(flow, &arrived.arriving));
        Lookup {
            answer: if is_current { Answer::Hit } else { Answer::Miss },
            hash,
            lines,
            association: None,
        }
    }

    /// Delivers what has arrived, if its flow may be.
    pub fn ingress_deliver(&mut self, now_ns: u64, arrived: &Arrived, frame: &mut Frame<'_>) -> Verdict {
        self.now_ns = self.now_ns.max(now_ns);
        let result = self.deliver(arrived.arrival, &arrived.arriving, frame.len());
        self.finish(result, frame)
    }

    /// A frame that ends at the edge before any stage has seen it: counted as come in by `counter`, and as dropped.
    pub fn turn_away(&mut self, now_ns: u64, counter: Counter, reason: DropReason, frame: &mut Frame<'_>) -> Verdict {
        self.enter(now_ns, counter);
        self.finish(Err(reason), frame)
    }
}
