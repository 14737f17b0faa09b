//! Associations and their SAs. Key material enters through `KeyStore::install` and never leaves; an SA is a handle.

mod claim;
mod sa;
#[cfg(test)]
mod tests;

pub(crate) use claim::Claim;
pub(crate) use sa::{Keys, Sa};

use self::sa::{vacate, wipe_stack};
use crate::encap::{Ends, Template};
use crate::index::{Index, Key};
use crate::memory::{Memory, Sizes};
use crate::parse::Outer;
use crate::tables::check;
use sealnic_abi::mailbox::Status;
use sealnic_abi::object::{
    Address, Association, AssociationState, CipherSuite, DeviceConfig, Direction, DtlsVersion, SaInstall, SaPhase,
    SaState,
};
use sealnic_dtls::{ConnectionId, KeyMaterial, Limits, ReadState, RecordConfig, Version, WriteState};
use sealnic_wire::vxlan;
use zerocopy::{Immutable, IntoBytes};

/// Read epochs of an association that may be live at once.
pub const MAX_READ_EPOCHS: usize = 2;
/// Longest replay window, in records.
pub const MAX_REPLAY_WINDOW: u16 = 4096;

/// Number of an association.
pub type AssociationId = u32;
/// Handle of an SA.
pub type SaId = u32;

#[derive(Clone, Copy, PartialEq, Eq, IntoBytes, Immutable)]
#[repr(C)]
struct PairKey {
    local_vni: u32,
    peer_vni: u32,
    peer_pa: [u8; 16],
    family: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, IntoBytes, Immutable)]
#[repr(C)]
struct TupleKey {
    peer_pa: [u8; 16],
    family: u32,
    peer_port: u16,
    local_port: u16,
}

impl Key for PairKey {}
impl Key for TupleKey {}

/// A connection id of at most 20 octets; the others are zero, as all of a device's own have one length.
#[derive(Clone, Copy, PartialEq, Eq, IntoBytes, Immutable)]
#[repr(C)]
struct CidKey([u32; 5]);

impl Key for CidKey {
    /// Every record asks for this one, and SipHash would take a third of the time besides the cipher. The ids in the table are chosen by
    /// this host, unpredictable; who sends others can look in vain, but lengthen no probe. So a keyed mix by multiplication will do.
    #[inline]
    fn hash(&self, secret: &[u8; 16]) -> u64 {
        let [a, b, c, d, e] = self.0;
        let (low, high) = secret.split_at(8);
        let word = |octets: &[u8]| octets.try_into().map_or(0, u64::from_le_bytes);
        let mix = |a: u64, b: u64| {
            let product = u128::from(a) * u128::from(b);
            product as u64 ^ (product >> 64) as u64
        };
        let first = u64::from(a) << 32 | u64::from(b);
        let rest = u64::from(c) << 32 | u64::from(d);
        let sum = mix(
            first ^ word(low),
            0x9e37_79b9_7f4a_7c15 ^ rest.rotate_left(23) ^ u64::from(e),
        );
        mix(sum ^ word(high), 0xd6e8_feb8_6659_fd93)
    }
}

/// An association with what the pipeline wants at hand.
pub(crate) struct Peer {
    pub(crate) config: Association,
    pub(crate) template: Template,
    /// The SA that seals.
    pub(crate) write: Option<SaId>,
    reads: [Option<SaId>; MAX_READ_EPOCHS],
}

/// Associations, SAs, and the memory of keys once installed.
pub struct KeyStore<M: Memory> {
    peers: M::Slice<Option<Peer>>,
    sas: M::Slice<Option<Sa>>,
    by_pair: Index<M, PairKey, AssociationId>,
    by_tuple: Index<M, TupleKey, AssociationId>,
    by_cid: Index<M, CidKey, AssociationId>,
    history: Index<M, [u8; 16], u8>,
    /// No overlap ends before.
    next_retire_ns: u64,
    /// Where the search for ended overlaps goes on.
    expiry_at: usize,
}

fn pair_key(local_vni: u32, peer_vni: u32, pa: &Address) -> PairKey {
    PairKey {
        local_vni,
        peer_vni,
        peer_pa: pa.octets,
        family: u32::from(pa.family),
    }
}

fn tuple_key(pa: &Address, peer_port: u16, local_port: u16) -> TupleKey {
    TupleKey {
        peer_pa: pa.octets,
        family: u32::from(pa.family),
        peer_port,
        local_port,
    }
}

#[inline]
fn cid_key(cid: &[u8]) -> Option<CidKey> {
    // The usual length, without a copy of variable length.
    if let Ok(cid) = <[u8; 8]>::try_from(cid) {
        let [a, b]: [u32; 2] = zerocopy::transmute!(cid);
        return Some(CidKey([a, b, 0, 0, 0]));
    }
    let mut octets = [0; 20];
    octets.get_mut(..cid.len())?.copy_from_slice(cid);
    Some(CidKey(zerocopy::transmute!(octets)))
}

impl Peer {
    fn new(config: &Association, device: &DeviceConfig) -> Result<Self, Status> {
        let bad = |_| Status::BadParameter;
        DtlsVersion::try_from(config.version).map_err(bad)?;
        CipherSuite::try_from(config.suite).map_err(bad)?;
        AssociationState::try_from(config.state).map_err(bad)?;
        check(config.local_vni <= vxlan::VNI_MAX && config.peer_vni <= vxlan::VNI_MAX)?;
        check(config.peer_cid_len <= 20 && [0, device.cid_len].contains(&config.local_cid_len))?;
        check(
            config.peer_cid[usize::from(config.peer_cid_len)..]
                .iter()
                .all(|octet| *octet == 0),
        )?;
        check(
            config.local_cid[usize::from(config.local_cid_len)..]
                .iter()
                .all(|octet| *octet == 0),
        )?;
        check((64..=MAX_REPLAY_WINDOW).contains(&config.replay_window) && config.replay_window.is_multiple_of(64))?;
        check(
            [config.local_port, config.peer_port]
                .iter()
                .all(|port| *port != 0 && *port != vxlan::UDP_PORT),
        )?;
        check(config.local_pa == device.pa_v4 || config.local_pa == device.pa_v6)?;
        check(config.local_pa != config.peer_pa)?;
        let template = Template::new(&Ends {
            mac: device.mac,
            next_hop_mac: device.next_hop_mac,
            src: config.local_pa,
            dst: config.peer_pa,
            src_port: config.local_port,
            dst_port: config.peer_port,
        })
        .ok_or(Status::BadParameter)?;
        Ok(Self {
            config: *config,
            template,
            write: None,
            reads: [None; MAX_READ_EPOCHS],
        })
    }

    /// Declared state; ready only while there is something to seal with.
    pub(crate) fn state(&self) -> AssociationState {
        match AssociationState::try_from(self.config.state) {
            Ok(AssociationState::Ready) if self.write.is_none() => AssociationState::NotReady,
            Ok(state) => state,
            Err(_) => AssociationState::NotReady,
        }
    }

    fn version(&self) -> Version {
        if self.config.version == u8::from(DtlsVersion::Dtls12) {
            Version::Dtls12
        } else {
            Version::Dtls13
        }
    }

    fn suite(&self) -> sealnic_dtls::CipherSuite {
        if self.config.suite == u8::from(CipherSuite::Aes128Gcm) {
            sealnic_dtls::CipherSuite::Aes128Gcm
        } else {
            sealnic_dtls::CipherSuite::Aes256Gcm
        }
    }

    fn cid(&self, direction: Direction) -> Result<ConnectionId, Status> {
        let (octets, len) = match direction {
            Direction::Write => (&self.config.peer_cid, self.config.peer_cid_len),
            Direction::Read => (&self.config.local_cid, self.config.local_cid_len),
        };
        ConnectionId::try_from(&octets[..usize::from(len)]).map_err(|_| Status::BadParameter)
    }

    /// Whether records to the peer carry a connection id, so that the source port is free for entropy.
    pub(crate) fn has_peer_cid(&self) -> bool {
        self.config.peer_cid_len != 0
    }
}

impl<M: Memory> KeyStore<M> {
    /// An empty store.
    pub fn new(memory: &mut M, sizes: &Sizes, secret: [u8; 16]) -> Self {
        Self {
            peers: memory.slice(sizes.associations, || None),
            sas: memory.slice(sizes.sas, || None),
            by_pair: Index::new(memory, sizes.associations, secret),
            by_tuple: Index::new(memory, sizes.associations, secret),
            by_cid: Index::new(memory, sizes.associations, secret),
            history: Index::new(memory, sizes.key_history, secret),
            next_retire_ns: u64::MAX,
            expiry_at: 0,
        }
    }

    /// Forgets associations and wipes every key; the memory of keys once installed stays, so that a reset is no way to
    /// use a key again.
    pub fn reset(&mut self) {
        self.peers.iter_mut().for_each(|peer| *peer = None);
        self.sas.iter_mut().filter(|sa| sa.is_some()).for_each(vacate);
        self.by_pair.clear();
        self.by_tuple.clear();
        self.by_cid.clear();
        (self.next_retire_ns, self.expiry_at) = (u64::MAX, 0);
    }

    pub(crate) fn peer(&self, id: AssociationId) -> Option<&Peer> {
        self.peers.get(id as usize)?.as_ref()
    }

    fn peer_mut(&mut self, id: AssociationId) -> Option<&mut Peer> {
        self.peers.get_mut(id as usize)?.as_mut()
    }

    pub(crate) fn sa_mut(&mut self, id: SaId) -> Option<&mut Sa> {
        self.sas.get_mut(id as usize)?.as_mut()
    }

    pub(crate) fn sa(&self, id: SaId) -> Option<&Sa> {
        self.sas.get(id as usize)?.as_ref()
    }

    /// An association with the number of the SA that seals for it.
    pub(crate) fn sealing_sa(&self, id: AssociationId) -> Option<(&Peer, SaId)> {
        let peer = self.peer(id)?;
        Some((peer, peer.write?))
    }

    /// An association with the SA that seals for it.
    #[inline]
    pub(crate) fn sealing(&mut self, id: AssociationId) -> Option<(&Peer, SaId, &mut Sa)> {
        let peer = self.peers.get(id as usize)?.as_ref()?;
        let sa_id = peer.write?;
        let sa = self.sas.get_mut(sa_id as usize)?.as_mut()?;
        Some((peer, sa_id, sa))
    }

    /// Association of a pair of VNets with a peer host.
    pub(crate) fn find_pair(&self, local_vni: u32, peer_vni: u32, pa: &Address) -> Option<(AssociationId, &Peer)> {
        let id = self.by_pair.get(&pair_key(local_vni, peer_vni, pa))?;
        Some((id, self.peer(id)?))
    }

    /// Whether an association without connection id has a datagram's 5-tuple.
    pub(crate) fn knows_tuple(&self, outer: &Outer) -> bool {
        self.by_tuple
            .get(&tuple_key(&outer.src, outer.src_port, outer.dst_port))
            .is_some()
    }

    /// All associations from a number on.
    pub(crate) fn peers_from(&self, id: AssociationId) -> impl Iterator<Item = (AssociationId, &Peer)> {
        (id..)
            .zip(self.peers.iter().skip(id as usize))
            .filter_map(|(id, peer)| Some((id, peer.as_ref()?)))
    }

    /// Adds an association, or changes state, window of overlap and nothing else of one that is there.
    pub(crate) fn set_association(&mut self, config: &Association, device: &DeviceConfig) -> Result<(), Status> {
        let new = Peer::new(config, device)?;
        let id = config.id as usize;
        check(id < self.peers.len())?;
        if let Some(old) = &mut self.peers[id] {
            let same = Association {
                state: config.state,
                overlap_ms: config.overlap_ms,
                ..old.config
            };
            if same != *config {
                return Err(Status::Conflict);
            }
            old.config = *config;
            return Ok(());
        }
        let cid = cid_key(&config.local_cid[..usize::from(config.local_cid_len)]).ok_or(Status::BadParameter)?;
        let tuple = tuple_key(&config.peer_pa, config.peer_port, config.local_port);
        let has_cid = config.local_cid_len != 0;
        if has_cid && self.by_cid.get(&cid).is_some() || !has_cid && self.by_tuple.get(&tuple).is_some() {
            return Err(Status::Conflict);
        }
        let pair = pair_key(config.local_vni, config.peer_vni, &config.peer_pa);
        if self.by_pair.get(&pair).is_none() {
            self.by_pair.insert(pair, config.id).map_err(|_| Status::Full)?;
        }
        if has_cid {
            self.by_cid.insert(cid, config.id)
        } else {
            self.by_tuple.insert(tuple, config.id)
        }
        .map_err(|_| Status::Full)?;
        self.peers[id] = Some(new);
        Ok(())
    }

    pub(crate) fn set_state(&mut self, id: AssociationId, state: AssociationState) -> Result<(), Status> {
        self.peer_mut(id).ok_or(Status::NotFound)?.config.state = state.into();
        Ok(())
    }

    /// Removes an association and wipes its keys.
    pub(crate) fn remove_association(&mut self, id: AssociationId) -> Result<(), Status> {
        let Peer { config, .. } = self
            .peers
            .get_mut(id as usize)
            .and_then(Option::take)
            .ok_or(Status::NotFound)?;
        for sa in self
            .sas
            .iter_mut()
            .filter(|sa| sa.as_ref().is_some_and(|sa| sa.association == id))
        {
            vacate(sa);
        }
        if config.local_cid_len != 0 {
            cid_key(&config.local_cid[..usize::from(config.local_cid_len)]).and_then(|cid| self.by_cid.remove(&cid));
        } else {
            self.by_tuple
                .remove(&tuple_key(&config.peer_pa, config.peer_port, config.local_port));
        }
        let pair = pair_key(config.local_vni, config.peer_vni, &config.peer_pa);
        if self.by_pair.get(&pair) == Some(id) {
            self.by_pair.remove(&pair);
            // Make before break: another association may serve the same pair.
            let other = self
                .peers_from(0)
                .filter(|(_, peer)| pair_key(peer.config.local_vni, peer.config.peer_vni, &peer.config.peer_pa) == pair)
                .max_by_key(|(_, peer)| peer.write.is_some());
            if let Some((other, _)) = other {
                self.by_pair.insert(pair, other).map_err(|_| Status::Full)?;
            }
        }
        Ok(())
    }

    /// Installs an SA of the current generation. A key that was ever installed is refused.
    pub(crate) fn install(&mut self, install: &SaInstall, generation: u64) -> Result<(), Status> {
        let result = self.expand_and_keep(install, generation);
        wipe_stack();
        result
    }

    #[inline(never)]
    fn expand_and_keep(&mut self, install: &SaInstall, generation: u64) -> Result<(), Status> {
        let bad = |_| Status::BadParameter;
        let direction = Direction::try_from(install.direction).map_err(bad)?;
        if install.generation != generation {
            return Err(Status::StaleGeneration);
        }
        check((install.sa as usize) < self.sas.len())?;
        if self.sas[install.sa as usize].is_some() {
            return Err(Status::Conflict);
        }
        let peer = self.peer(install.association).ok_or(Status::NotFound)?;
        let (version, suite) = (peer.version(), peer.suite());
        check(version == Version::Dtls12 || install.epoch >= 3)?;
        check(install.key[suite.key_len()..].iter().all(|octet| *octet == 0))?;
        let config = RecordConfig {
            version,
            suite,
            cid: peer.cid(direction)?,
            epoch: install.epoch,
        };
        let window = usize::from(peer.config.replay_window);
        if direction == Direction::Read {
            let live = || {
                peer.reads
                    .iter()
                    .flatten()
                    .filter_map(|id| self.sas[*id as usize].as_ref())
            };
            if live().any(|sa| sa.epoch == install.epoch) {
                return Err(Status::Conflict);
            }
            // DTLS 1.3 shows two bits of the epoch: two live epochs must differ in them.
            let ambiguous = version == Version::Dtls13 && live().any(|sa| (sa.epoch ^ install.epoch) & 3 == 0);
            if ambiguous || peer.reads.iter().all(Option::is_some) {
                return Err(Status::TooManyEpochs);
            }
        }
        let material = KeyMaterial {
            key: install.key,
            iv: install.iv,
            sn_key: install.sn_key,
        };
        let limits = limits(install, version);
        let keys = match direction {
            Direction::Write => WriteState::new(&material, config, install.first_seq, limits).map(Keys::Write),
            Direction::Read => ReadState::new(&material, config, window, limits).map(|mut state| {
                state.start_at(install.first_seq);
                Keys::Read(state)
            }),
        }
        .map_err(|_| Status::BadParameter)?;
        let check_value = material.check_value(suite);
        if self.history.get(&check_value).is_some() {
            return Err(Status::KeyReused);
        }
        self.history.insert(check_value, 0).map_err(|_| Status::Full)?;
        if direction == Direction::Read
            && let Some(free) = self
                .peer_mut(install.association)
                .and_then(|peer| peer.reads.iter_mut().find(|sa| sa.is_none()))
        {
            *free = Some(install.sa);
        }
        self.sas[install.sa as usize] = Some(Sa {
            association: install.association,
            epoch: install.epoch,
            phase: SaPhase::Installed,
            keys,
            soft_reported: false,
            octets: 0,
            generation,
            retire_ns: 0,
        });
        Ok(())
    }

    /// Makes a write SA the one that seals; the previous one is wiped and returned. Activating the active one changes nothing.
    pub(crate) fn activate(&mut self, id: SaId) -> Result<Option<SaId>, Status> {
        let sa = self.sa_mut(id).ok_or(Status::NotFound)?;
        match (sa.phase, &sa.keys) {
            (SaPhase::Active, Keys::Write(_)) => return Ok(None),
            (SaPhase::Installed, Keys::Write(_)) => sa.phase = SaPhase::Active,
            _ => return Err(Status::WrongState),
        }
        let association = sa.association;
        let peer = self.peer_mut(association).ok_or(Status::NotFound)?;
        let previous = peer.write.replace(id);
        let pair = pair_key(peer.config.local_vni, peer.config.peer_vni, &peer.config.peer_pa);
        self.by_pair.insert(pair, association).map_err(|_| Status::Full)?;
        if let Some(previous) = previous {
            vacate(&mut self.sas[previous as usize]);
        }
        Ok(previous)
    }

    /// Retires an SA: a write SA at once, a read SA after the association's overlap. Returns whether it is gone already.
    pub(crate) fn retire(&mut self, id: SaId, now_ns: u64) -> Result<bool, Status> {
        let sa = self.sa_mut(id).ok_or(Status::NotFound)?;
        if matches!(sa.keys, Keys::Write(_)) {
            return self.remove(id).map(|()| true);
        }
        if sa.phase == SaPhase::Retiring {
            return Ok(false);
        }
        let association = sa.association;
        let overlap_ms = self.peer(association).map_or(0, |peer| peer.config.overlap_ms);
        let retire_ns = now_ns.saturating_add(u64::from(overlap_ms) * 1_000_000);
        if let Some(sa) = self.sa_mut(id) {
            sa.phase = SaPhase::Retiring;
            sa.retire_ns = retire_ns;
        }
        self.next_retire_ns = self.next_retire_ns.min(retire_ns);
        Ok(false)
    }

    /// Removes an SA and wipes its keys.
    pub(crate) fn remove(&mut self, id: SaId) -> Result<(), Status> {
        let slot = self.sas.get_mut(id as usize).ok_or(Status::NotFound)?;
        let association = slot.as_ref().ok_or(Status::NotFound)?.association;
        vacate(slot);
        if let Some(peer) = self.peer_mut(association) {
            for slot in peer
                .reads
                .iter_mut()
                .chain([&mut peer.write])
                .filter(|slot| **slot == Some(id))
            {
                *slot = None;
            }
        }
        Ok(())
    }

    /// Next SA whose overlap has ended by `now_ns`.
    pub(crate) fn expired(&mut self, now_ns: u64) -> Option<SaId> {
        let retiring = |sa: &Option<Sa>| {
            sa.as_ref()
                .filter(|sa| sa.phase == SaPhase::Retiring)
                .map(|sa| sa.retire_ns)
        };
        // Each call goes on where the last one found something, so that many that end at once are found in one pass.
        while now_ns >= self.next_retire_ns {
            let is_due = |sa: &Option<Sa>| retiring(sa).is_some_and(|end| end <= now_ns);
            let mut rest = self.sas.iter().enumerate().skip(self.expiry_at);
            if let Some((id, _)) = rest.find(|(_, sa)| is_due(sa)) {
                self.expiry_at = id;
                return Some(id as SaId);
            }
            self.expiry_at = 0;
            self.next_retire_ns = self.sas.iter().filter_map(retiring).min().unwrap_or(u64::MAX);
        }
        None
    }

    /// State of an SA.
    pub(crate) fn query(&self, id: SaId) -> Option<SaState> {
        let sa = self.sas.get(id as usize)?.as_ref()?;
        let peer = self.peer(sa.association)?;
        let mut state = SaState {
            sa: id,
            association: sa.association,
            epoch: sa.epoch,
            octets: sa.octets,
            generation: sa.generation,
            phase: sa.phase.into(),
            version: peer.config.version,
            suite: peer.config.suite,
            retire_ns: sa.retire_ns,
            ..SaState::ZERO
        };
        match &sa.keys {
            Keys::Write(write) => {
                state.direction = Direction::Write.into();
                (state.sequence, state.packets) = (write.next_seq(), write.packets());
            }
            Keys::Read(read) => {
                state.direction = Direction::Read.into();
                state.sequence = read.window().next().saturating_sub(1);
                (state.packets, state.auth_failures, state.replayed) =
                    (read.committed(), read.auth_failures(), read.replayed());
            }
        }
        Some(state)
    }

    /// Number of SA slots.
    pub(crate) fn sa_slots(&self) -> usize {
        self.sas.len()
    }

    /// Number of association slots.
    pub(crate) fn association_slots(&self) -> usize {
        self.peers.len()
    }
}

fn limits(install: &SaInstall, version: Version) -> Limits {
    let default = Limits::default_for(version);
    let or = |value: u64, default: u64| if value == 0 { default } else { value.min(default) };
    Limits {
        soft_packets: or(install.soft_packets, default.soft_packets),
        hard_packets: or(install.hard_packets, default.hard_packets),
        soft_bytes: or(install.soft_octets, default.soft_bytes),
        hard_bytes: or(install.hard_octets, default.hard_bytes),
        ..default
    }
}
