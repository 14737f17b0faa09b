//! The host's exception path: handshake records and opened control records go up, handshake records, frames for a VM and
//! control records to be sealed come down. Nothing of a VM leaves in the clear this way.

use crate::egress::push_outer;
use crate::frame::{Frame, Verdict};
use crate::key_store::Keys;
use crate::memory::Memory;
use crate::nic::{Entropy, Nic};
use crate::parse::{self, Outer};
use sealnic_abi::DropReason;
use sealnic_abi::event::{HostFrame, HostFrameKind};
use sealnic_wire::dtls::{self, DtlsRecord, RecordKind};
use zerocopy::FromBytes;

impl<M: Memory, E: Entropy> Nic<M, E> {
    /// A record of epoch 0: handed up as it came, and no SA hears of it.
    #[cold]
    pub(crate) fn punt_handshake(&mut self, outer: &Outer, frame: &mut Frame<'_>) -> Result<Verdict, DropReason> {
        let ours = self
            .tables
            .config
            .as_ref()
            .is_some_and(|config| config.dtls_port == outer.dst_port);
        if !ours && !self.keys.knows_tuple(outer) {
            return Err(DropReason::OuterNotOurs);
        }
        self.hand_to_host(
            &HostFrame {
                kind: HostFrameKind::Handshake.into(),
                ..HostFrame::ZERO
            },
            frame,
        )
    }

    /// A protected record that isn't application data, opened and replay-checked.
    #[cold]
    pub(crate) fn punt_control(
        &mut self,
        association: u32,
        epoch: u64,
        sequence: u64,
        content_type: u8,
        frame: &mut Frame<'_>,
    ) -> Result<Verdict, DropReason> {
        let kind = HostFrameKind::ControlRecord.into();
        self.hand_to_host(
            &HostFrame {
                kind,
                association,
                epoch,
                sequence,
                content_type,
                ..HostFrame::ZERO
            },
            frame,
        )
    }

    /// A frame of the host.
    pub(crate) fn exception(&mut self, frame: &mut Frame<'_>) -> Result<Verdict, DropReason> {
        let refused = DropReason::HostRefused;
        let (header, _) = HostFrame::read_from_prefix(frame.octets()).map_err(|_| refused)?;
        frame.narrow(size_of::<HostFrame>()..frame.len());
        if !self.enabled {
            return Err(refused);
        }
        match HostFrameKind::try_from(header.kind) {
            Ok(HostFrameKind::ToWire) => self.check_handshake(frame).map(|()| Verdict::WireClear),
            Ok(HostFrameKind::ToVm) => {
                let port = self
                    .tables
                    .port(header.port)
                    .filter(|port| port.up != 0)
                    .ok_or(refused)?;
                parse::link(frame.octets()).map_err(|_| refused)?;
                Ok(Verdict::Vf(port.port))
            }
            _ => Err(refused),
        }
    }

    /// The host may send handshake records of epoch 0 from this host's address, and nothing else: the exception path is no
    /// way round the policy.
    fn check_handshake(&self, frame: &Frame<'_>) -> Result<(), DropReason> {
        let refused = DropReason::HostRefused;
        let config = self.tables.config.as_ref().ok_or(refused)?;
        let outer = parse::outer(frame.octets(), &config.next_hop_mac).map_err(|_| refused)?;
        let mut records = &frame.octets()[outer.payload..outer.payload + outer.payload_len];
        if !self.tables.is_own_pa(&outer.src) || outer.dst_port == sealnic_wire::vxlan::UDP_PORT || records.is_empty() {
            return Err(refused);
        }
        while !records.is_empty() {
            let record = DtlsRecord::new_checked(records).map_err(|_| refused)?;
            let is_handshake = matches!(dtls::classify(records[0]), RecordKind::Plaintext(_));
            if !is_handshake || record.epoch() != 0 {
                return Err(refused);
            }
            records = &records[record.record_len()..];
        }
        Ok(())
    }

    /// Seals a control record of the host into `frame`, which holds its content.
    pub(crate) fn seal_control(
        &mut self,
        association: u32,
        content_type: u8,
        frame: &mut Frame<'_>,
    ) -> Result<(u64, u64), DropReason> {
        let underlay_mtu = self.tables.underlay_mtu();
        let (peer, sa_id, sa) = self.keys.sealing(association).ok_or(DropReason::NoWriteSa)?;
        let template = peer.template;
        let Keys::Write(write) = &sa.keys else {
            return Err(DropReason::NoWriteSa);
        };
        // Before a number is taken: the underlay would lose it, as outer datagrams may not be fragmented.
        if template.ip_len(write.header_len() + frame.len() + write.trailer_len()) > underlay_mtu {
            return Err(DropReason::PacketTooBig);
        }
        let numbers = self.seal(sa_id, content_type, frame)?;
        push_outer(&template, frame, 0, None)?;
        Ok(numbers)
    }
}
