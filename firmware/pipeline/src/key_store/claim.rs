//! Which SA a record from the wire asks for.

use super::{KeyStore, SaId, cid_key, tuple_key};
use crate::memory::Memory;
use crate::parse::Outer;
use sealnic_abi::DropReason;
use sealnic_wire::dtls::{self, DtlsCidRecord, DtlsRecord, DtlsUnified, RecordKind};

/// What a record from the wire says of itself before anything is authenticated.
#[derive(Clone, Copy)]
pub(crate) enum Claim {
    /// A protected record that this SA may open.
    Protected(SaId),
    /// A record of epoch 0: the host's business.
    Handshake,
}

impl<M: Memory> KeyStore<M> {
    /// What the record in a datagram claims to be: association by connection id, else by 5-tuple; then the SA by epoch.
    #[inline(always)]
    pub(crate) fn claim(&self, outer: &Outer, record: &[u8], cid_len: u8) -> Result<Claim, DropReason> {
        let cid_len = usize::from(cid_len);
        let malformed = |_| DropReason::RecordMalformed;
        let first = *record.first().ok_or(DropReason::RecordMalformed)?;
        let by_cid = |cid: &[u8]| {
            if cid.is_empty() {
                None
            } else {
                self.by_cid.get(&cid_key(cid)?)
            }
        };
        let by_tuple = || {
            self.by_tuple
                .get(&tuple_key(&outer.src, outer.src_port, outer.dst_port))
        };
        let (peer, epoch, mask) = match dtls::classify(first) {
            RecordKind::Unified => {
                let view = DtlsUnified::new_checked(record, cid_len).map_err(malformed)?;
                let peer = match view.connection_id() {
                    Some(cid) => by_cid(cid),
                    None => by_tuple(),
                };
                (peer, u64::from(view.epoch_bits()), 3)
            }
            RecordKind::ConnectionId => {
                let view = DtlsCidRecord::new_checked(record, cid_len).map_err(malformed)?;
                (by_cid(view.connection_id()), u64::from(view.epoch()), u64::MAX)
            }
            RecordKind::ApplicationData | RecordKind::Plaintext(_) => {
                let view = DtlsRecord::new_checked(record).map_err(malformed)?;
                if view.epoch() == 0 && first != dtls::ContentType::APPLICATION_DATA.0 {
                    return Ok(Claim::Handshake);
                }
                (by_tuple(), u64::from(view.epoch()), u64::MAX)
            }
            RecordKind::Invalid => return Err(DropReason::RecordMalformed),
        };
        let peer = peer
            .and_then(|id| self.peer(id))
            .ok_or(DropReason::UnknownAssociation)?;
        if outer.dst_port != peer.config.local_port {
            return Err(DropReason::UnknownAssociation);
        }
        let matching = |id: &SaId| {
            self.sas[*id as usize]
                .as_ref()
                .is_some_and(|sa| sa.epoch & mask == epoch)
        };
        peer.reads
            .iter()
            .flatten()
            .copied()
            .find(matching)
            .map(Claim::Protected)
            .ok_or(DropReason::UnknownEpoch)
    }
}
