//! Cutting frames: TCP and UDP segmentation where the VM's descriptor asks for it, and IPv4 fragmentation where a packet
//! doesn't fit the underlay. The whole frame is consumed; each piece is a frame of its own from there on.

use crate::egress::Flow;
use crate::frame::{Frame, Offload, Output, Segmentation, Verdict};
use crate::memory::Memory;
use crate::nic::{Entropy, Nic};
use crate::parse::{self, Inner};
use sealnic_abi::DropReason;
use sealnic_abi::object::Port;
use sealnic_wire::{IpProtocol, Ipv4Packet, Ipv6Packet, TcpFlags, TcpSegment, UdpPacket, checksum, ipv4, ipv6, udp};

/// What the segments of one frame share.
struct Cut {
    /// Octets before the payload: link, IP and transport headers.
    header_len: usize,
    /// Payload of each segment but the last, in octets.
    segment_len: usize,
    /// Payload of all, in octets.
    payload_len: usize,
}

impl<M: Memory, E: Entropy> Nic<M, E> {
    /// Cuts a TCP or UDP frame into segments (VIRTIO 1.2 section 5.1.6.2) and sends each on its way.
    #[inline(never)]
    pub(crate) fn segment(
        &mut self,
        port: &Port,
        flow: Flow,
        inner: &Inner,
        offload: Offload,
        frame: &mut Frame<'_>,
        out: &mut dyn Output,
    ) -> Result<Verdict, DropReason> {
        if flow.is_drop() {
            return self.forward(port, flow, inner, frame, out);
        }
        let cut = plan(port, inner, offload, frame.octets())?;
        let mut offset = 0;
        while offset < cut.payload_len {
            let len = cut.segment_len.min(cut.payload_len - offset);
            let whole = frame.octets();
            self.with_scratch(cut.header_len + len, |nic, segment| {
                let octets = segment.octets_mut();
                octets[..cut.header_len].copy_from_slice(&whole[..cut.header_len]);
                octets[cut.header_len..].copy_from_slice(&whole[cut.header_len + offset..][..len]);
                let is_last = offset + len == cut.payload_len;
                finish_segment(octets, inner, offset, offset / cut.segment_len, is_last);
                let inner = Inner {
                    ip_len: octets.len() - inner.l3,
                    ..*inner
                };
                let result = nic.forward(port, flow, &inner, segment, out);
                nic.send_generated(result, segment, out);
            })
            .ok_or(DropReason::FrameTooLong)?;
            offset += len;
        }
        Ok(Verdict::Consumed)
    }

    /// Cuts an IPv4 packet into fragments of at most `mtu` octets (RFC 791), and sends each on its way. A fragment is a
    /// flow of its own: it shows no ports.
    pub(crate) fn fragment(
        &mut self,
        port: &Port,
        mtu: usize,
        inner: &Inner,
        frame: &mut Frame<'_>,
        out: &mut dyn Output,
    ) -> Result<Verdict, DropReason> {
        let whole = frame.octets();
        let packet = Ipv4Packet::new_checked(&whole[inner.l3..]).map_err(|_| DropReason::Malformed)?;
        let (first_offset, more, payload) = (packet.fragment_offset(), packet.more_fragments(), packet.payload());
        if payload.is_empty() {
            // What is too long then is padding behind the packet: there is nothing to cut.
            return Err(DropReason::PacketTooBig);
        }
        let mut at = 0;
        while at < payload.len() {
            let options = Options::of(packet.options(), at == 0);
            let header_len = ipv4::HEADER_LEN + options.len;
            let room = mtu
                .checked_sub(header_len)
                .filter(|room| *room >= 8)
                .ok_or(DropReason::PacketTooBig)?
                & !7;
            let len = room.min(payload.len() - at);
            let is_last = at + len == payload.len();
            let offset = usize::from(first_offset) + at;
            let offset = u16::try_from(offset).map_err(|_| DropReason::Malformed)?;
            self.with_scratch(inner.l3 + header_len + len, |nic, fragment| {
                let octets = fragment.octets_mut();
                let front = inner.l3 + ipv4::HEADER_LEN;
                octets[..front].copy_from_slice(&whole[..front]);
                octets[front..front + options.len].copy_from_slice(&options.octets[..options.len]);
                octets[front + options.len..].copy_from_slice(&payload[at..at + len]);
                let mut header = Ipv4Packet::new_unchecked(&mut octets[inner.l3..]);
                header.set_version_and_header_len(header_len);
                header.set_total_len((header_len + len) as u16);
                header.set_fragment(false, more || !is_last, offset);
                header.fill_checksum();
                let result = nic.forward_fragment(port, fragment, out);
                nic.send_generated(result, fragment, out);
            })
            .ok_or(DropReason::FrameTooLong)?;
            at += len;
        }
        Ok(Verdict::Consumed)
    }

    fn forward_fragment(
        &mut self,
        port: &Port,
        fragment: &mut Frame<'_>,
        out: &mut dyn Output,
    ) -> Result<Verdict, DropReason> {
        let link = parse::link(fragment.octets())?;
        // The pieces fit; one that claims not to may not be cut again.
        let mut inner = Inner {
            dont_fragment: true,
            ..parse::network(fragment.octets(), link)?
        };
        inner.key.scope = u32::from(port.port);
        let hash = self.flows.hash(&inner.key);
        let flow = self.egress_flow(port, &inner, hash, Offload::default(), fragment.len())?;
        self.forward(port, flow, &inner, fragment, out)
    }
}

/// Most segments of one frame: 64 KiB in the 32 octets that no sane peer goes below. What asks for more only wants the NIC busy.
const MAX_SEGMENTS: usize = 2_048;

/// Checks a segmentation request against the frame.
fn plan(port: &Port, inner: &Inner, offload: Offload, frame: &[u8]) -> Result<Cut, DropReason> {
    let bad = DropReason::BadOffload;
    if inner.is_fragment() {
        return Err(bad);
    }
    let transport_len = match (offload.segmentation, inner.protocol()) {
        (Segmentation::Tcp, IpProtocol::TCP) => TcpSegment::new_unchecked(&frame[inner.l4..]).header_len(),
        (Segmentation::Udp, IpProtocol::UDP) => udp::HEADER_LEN,
        _ => return Err(bad),
    };
    let header_len = inner.l4 + transport_len;
    let payload_len = (inner.l3 + inner.ip_len).checked_sub(header_len).ok_or(bad)?;
    let segment_len = usize::from(offload.segment_len);
    let few = payload_len.div_ceil(segment_len.max(1)) <= MAX_SEGMENTS;
    let fits = header_len - inner.l3 + segment_len <= usize::from(port.mtu);
    if segment_len == 0 || payload_len == 0 || !few || !fits {
        Err(bad)
    } else {
        Ok(Cut {
            header_len,
            segment_len,
            payload_len,
        })
    }
}

/// Makes a copied header that of the segment at `offset`: lengths, numbers, flags, checksums.
fn finish_segment(octets: &mut [u8], inner: &Inner, offset: usize, index: usize, is_last: bool) {
    let ip_len = (octets.len() - inner.l3) as u16;
    let upper_len = (octets.len() - inner.l4) as u16;
    let (head, upper) = octets.split_at_mut(inner.l4);
    let ip = &mut head[inner.l3..];
    let protocol = inner.protocol();
    let pseudo = if inner.is_ipv6() {
        let mut view = Ipv6Packet::new_unchecked(ip);
        view.set_payload_len(ip_len - ipv6::HEADER_LEN as u16);
        checksum::pseudo_header_v6(&view.src_addr(), &view.dst_addr(), protocol, u32::from(upper_len))
    } else {
        let mut view = Ipv4Packet::new_unchecked(ip);
        view.set_total_len(ip_len);
        view.set_identification(view.identification().wrapping_add(index as u16));
        view.fill_checksum();
        checksum::pseudo_header_v4(view.src_addr(), view.dst_addr(), protocol, upper_len)
    };
    if protocol == IpProtocol::TCP {
        let mut view = TcpSegment::new_unchecked(upper);
        view.set_seq_number(view.seq_number().wrapping_add(offset as u32));
        let mut flags = view.flags().0;
        if !is_last {
            flags &= !(TcpFlags::FIN.0 | TcpFlags::PSH.0);
        }
        // RFC 3168 section 6.1.2: the reduction is announced once.
        if index != 0 {
            flags &= !TcpFlags::CWR.0;
        }
        view.set_flags(TcpFlags(flags));
        view.fill_checksum(pseudo);
    } else {
        let mut view = UdpPacket::new_unchecked(upper);
        view.set_length(upper_len);
        view.fill_checksum(pseudo);
    }
}

/// IPv4 options of a fragment: all of them in the first, afterwards those with the copied flag (RFC 791 section 3.1).
struct Options {
    octets: [u8; ipv4::MAX_OPTIONS_LEN],
    len: usize,
}

impl Options {
    fn of(mut all: &[u8], is_first: bool) -> Self {
        let mut options = Self {
            octets: [0; ipv4::MAX_OPTIONS_LEN],
            len: 0,
        };
        let mut keep = |option: &[u8]| {
            options.octets[options.len..options.len + option.len()].copy_from_slice(option);
            options.len += option.len();
        };
        if is_first {
            keep(all);
            return options;
        }
        while let [kind, rest @ ..] = all {
            let len = match kind {
                0 => break,
                1 => 1,
                _ => rest.first().map_or(0, |len| usize::from(*len)),
            };
            // An option that runs past the header ends the list.
            let Some((option, left)) = all.split_at_checked(len).filter(|_| len != 0) else {
                break;
            };
            if kind & 0x80 != 0 {
                keep(option);
            }
            all = left;
        }
        // Padding is zeros, end-of-list.
        options.len = options.len.next_multiple_of(4);
        options
    }
}
