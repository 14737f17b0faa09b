//! The way to the host: frames that wait for it, and ports for whose VMs the host stands in.
//!
//! A board keeps the frames; the NIC keeps account of them. Until the host has one it is `Held`, and the balance of frames holds.

use crate::frame::{Frame, Offload, Output, Segmentation, Verdict};
use crate::memory::Memory;
use crate::nic::{Entropy, Nic};
use sealnic_abi::event::{Event, HostFrame, HostFrameKind, HostSegmentation};
use sealnic_abi::object::Port;
use sealnic_abi::{Counter, DropReason};
use zerocopy::{FromBytes, IntoBytes};

/// What waits for the host, and what it has asked for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct HostQueue {
    /// No further frame has room.
    full: bool,
    /// Events leave through a ring.
    takes_events: bool,
    /// Frames that wait: the host's own, and those for VMs that it stands in for.
    host: u64,
    vm: u64,
}

impl HostQueue {
    /// Whether the host takes events by a ring, and no other way.
    pub(crate) fn takes_events(&self) -> bool {
        self.takes_events
    }

    pub(crate) fn is_full(&self) -> bool {
        self.full
    }

    /// Frames counted as gone that still wait, by counter.
    pub(crate) fn held(&self) -> [(Counter, u64); 2] {
        [(Counter::HostOut, self.host), (Counter::VfOut, self.vm)]
    }

    fn waiting(&mut self, counter: Counter) -> &mut u64 {
        if counter == Counter::VfOut {
            &mut self.vm
        } else {
            &mut self.host
        }
    }
}

/// As what a frame for the host was counted when it left the pipeline.
fn counted_as(frame: &[u8]) -> Counter {
    match HostFrame::read_from_prefix(frame) {
        Ok((header, _)) if header.kind == u8::from(HostFrameKind::ForVm) => Counter::VfOut,
        _ => Counter::HostOut,
    }
}

impl<M: Memory, E: Entropy> Nic<M, E> {
    /// Says whether there is room for a further frame for the host; without it such frames are dropped as `HostPoliced`.
    pub fn set_host_full(&mut self, full: bool) {
        self.host.full = full;
    }

    /// Says whether events leave through a ring. While they do, the mailbox gives none.
    pub fn set_event_ring(&mut self, on: bool) {
        self.host.takes_events = on;
    }

    /// The oldest event, which stays.
    #[must_use]
    pub fn first_event(&self) -> Option<Event> {
        self.events.first()
    }

    /// Takes the oldest event.
    pub fn take_event(&mut self) -> Option<Event> {
        self.events.pop()
    }

    /// Reports that an error stopped a ring.
    pub fn report_ring_stopped(&mut self, ring: u8, error: u8) {
        let event = Event {
            kind: sealnic_abi::event::EventKind::RingStopped.into(),
            subject: ring.into(),
            code: error,
            ..self.event()
        };
        self.report(event);
    }

    /// A frame for the host, which left the pipeline, waits on the board.
    pub fn host_frame_waits(&mut self, frame: &[u8]) {
        *self.host.waiting(counted_as(frame)) += 1;
    }

    /// The host has got a frame that waited.
    pub fn host_frame_left(&mut self, frame: &[u8]) {
        let waiting = self.host.waiting(counted_as(frame));
        *waiting = waiting.saturating_sub(1);
    }

    /// A frame that waited for the host is lost in a reset: it was never handed over.
    pub fn host_frame_lost(&mut self, frame: &[u8]) {
        self.host_frame_left(frame);
        self.take_back(counted_as(frame), DropReason::Reset);
    }

    /// Hands a delivered frame to the host when it stands in for the port's VM.
    #[cold]
    pub(crate) fn represent(&self, port: u16, frame: &mut Frame<'_>) -> Result<Verdict, DropReason> {
        if self.tables.port(port).is_none_or(|port| port.representor == 0) {
            return Ok(Verdict::Vf(port));
        }
        let header = HostFrame {
            kind: HostFrameKind::ForVm.into(),
            port,
            ..HostFrame::ZERO
        };
        let room = frame.push_front(size_of::<HostFrame>()).filter(|_| !self.host.full);
        let octets = room.ok_or(DropReason::HostPoliced)?;
        octets[..size_of::<HostFrame>()].copy_from_slice(header.as_bytes());
        Ok(Verdict::Represented(port))
    }

    /// As what a frame of the host enters: one in the place of a VM as the VM's.
    #[must_use]
    pub fn host_frame_counts_as(&self, frame: &[u8]) -> Counter {
        match self.stands_in(frame) {
            Some(_) => Counter::VfIn,
            None => Counter::HostIn,
        }
    }

    /// The port that the host stands in for and a frame of it claims to come from.
    pub(crate) fn stands_in(&self, frame: &[u8]) -> Option<Port> {
        let (header, _) = HostFrame::read_from_prefix(frame).ok()?;
        let port = self.tables.port(header.port)?;
        (header.kind == u8::from(HostFrameKind::AsVm) && port.representor != 0).then_some(*port)
    }

    /// A frame of the host in the place of a VM: from here on it is the VM's.
    pub(crate) fn as_vm(
        &mut self,
        port: &Port,
        frame: &mut Frame<'_>,
        out: &mut dyn Output,
    ) -> Result<Verdict, DropReason> {
        let (header, _) = HostFrame::read_from_prefix(frame.octets()).map_err(|_| DropReason::HostRefused)?;
        frame.narrow(size_of::<HostFrame>()..frame.len());
        if !self.enabled || port.up == 0 {
            return Err(DropReason::PortDown);
        }
        let offload = offload(&header).ok_or(DropReason::BadOffload)?;
        self.egress_of(port, offload, frame, out)
    }
}

fn offload(header: &HostFrame) -> Option<Offload> {
    let segmentation = match HostSegmentation::try_from(header.segmentation).ok()? {
        HostSegmentation::None => Segmentation::None,
        HostSegmentation::Tcp => Segmentation::Tcp,
        HostSegmentation::Udp => Segmentation::Udp,
    };
    (header.offload_flags & !HostFrame::NEEDS_CSUM == 0).then_some(Offload {
        needs_csum: header.offload_flags & HostFrame::NEEDS_CSUM != 0,
        data_valid: false,
        segmentation,
        csum_start: header.csum_start,
        csum_offset: header.csum_offset,
        segment_len: header.segment_len,
    })
}
