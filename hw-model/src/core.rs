//! What every model of the device is built around: the NIC's firmware, BAR0, the way into the host, the frames that left.
//! Models differ in when they let it act.

use crate::bar::{Bar, Effect};
use crate::host_log::{HostLog, Noted};
use crate::host_port::HostPort;
use crate::memory::{HeapMemory, ModelEntropy};
use crate::packet::{Edge, Ended, Packet};
use crate::rings::{Dock, HOST_QUEUE, Rings};
use crate::{ENDED_KEPT, ModelConfig, ModelError};
use sealnic_abi::ring::Vector;
use sealnic_firmware::{Destination, Frame, Nic, Output, Verdict};
use std::collections::VecDeque;
use zeroize::Zeroize;

/// The firmware over the model's memory and random generator.
pub(crate) type ModelNic = Nic<HeapMemory, ModelEntropy>;

/// State that every model has.
pub(crate) struct Core {
    pub(crate) nic: ModelNic,
    pub(crate) bar: Bar,
    pub(crate) out: OutQueue,
    /// Latest time seen, in nanoseconds.
    pub(crate) now_ns: u64,
    /// The way into the host; `None` on a device that is attached to none.
    pub(crate) host: Option<Box<dyn HostPort>>,
    /// What was done in the host's memory.
    pub(crate) log: HostLog,
    rings: Rings,
    /// Causes of interrupt that stood when the host was last told.
    told: u32,
}

/// Frames that left the device, oldest first.
#[derive(Default)]
pub(crate) struct OutQueue {
    frames: VecDeque<(Edge, Packet)>,
    /// Frames for the host among them.
    host: usize,
    /// Whether frames for the host leave by a ring: then they wait apart.
    by_ring: bool,
    /// Frames that wait for the receive ring, oldest first.
    pub(crate) waiting: VecDeque<Packet>,
    /// How many of them the firmware knows of.
    known: usize,
    /// Time and tag of what is being worked on; frames made from it inherit them.
    time_ns: u64,
    tag: u64,
    /// Frames that ended inside, for observers.
    pub(crate) ended: VecDeque<Ended>,
}

/// Frames taken out of an [`OutQueue`].
pub(crate) struct Frames {
    pub(crate) frames: VecDeque<(Edge, Packet)>,
    host: usize,
}

impl OutQueue {
    /// Says what frames made from now on come from.
    pub(crate) fn begin(&mut self, time_ns: u64, tag: u64) {
        (self.time_ns, self.tag) = (time_ns, tag);
    }

    pub(crate) fn push(&mut self, edge: Edge, packet: Packet) {
        if self.leaves_by_ring(edge) {
            self.waiting.push_back(packet);
            return;
        }
        self.host += usize::from(edge == Edge::Host);
        self.frames.push_back((edge, packet));
    }

    /// Notes that the frame being worked on ended inside.
    pub(crate) fn end(&mut self, verdict: Verdict) {
        if self.ended.len() == ENDED_KEPT {
            self.ended.pop_front();
        }
        let (tag, time_ns) = (self.tag, self.time_ns);
        self.ended.push_back(Ended { tag, time_ns, verdict });
    }

    /// The host has the first frame that waited.
    pub(crate) fn forget_waiting(&mut self) {
        if self.waiting.pop_front().is_some() {
            self.known = self.known.saturating_sub(1);
        }
    }

    /// Whether frames for an edge leave by a ring, which has them written to host memory when it has a buffer.
    pub(crate) fn leaves_by_ring(&self, edge: Edge) -> bool {
        edge == Edge::Host && self.by_ring
    }

    /// Takes all frames that left.
    pub(crate) fn take(&mut self) -> Frames {
        Frames {
            frames: std::mem::take(&mut self.frames),
            host: std::mem::take(&mut self.host),
        }
    }

    /// Puts back what was taken, when nothing has left since.
    pub(crate) fn put_back(&mut self, frames: Frames) {
        (self.frames, self.host) = (frames.frames, frames.host);
    }

    pub(crate) fn pop(&mut self) -> Option<(Edge, Packet)> {
        let (edge, packet) = self.frames.pop_front()?;
        self.host -= usize::from(edge == Edge::Host);
        Some((edge, packet))
    }
}

impl Output for OutQueue {
    fn emit(&mut self, to: Destination, frame: &[u8]) {
        let packet = Packet {
            is_generated: true,
            ..Packet::new(frame, self.time_ns, self.tag)
        };
        self.push(edge(to), packet);
    }
}

/// The edge at which a frame for a destination leaves.
pub(crate) fn edge(destination: Destination) -> Edge {
    match destination {
        Destination::Wire => Edge::Wire,
        Destination::Vf(port) => Edge::Vf(port),
        Destination::Host => Edge::Host,
    }
}

impl Core {
    pub(crate) fn new(config: &ModelConfig) -> Result<Self, ModelError> {
        let entropy = match config.seed {
            Some(seed) => ModelEntropy::from_seed(seed),
            None => ModelEntropy::from_os()?,
        };
        let nic = Nic::new(&mut HeapMemory, &config.sizes, entropy);
        let bar = Bar::new(&nic);
        Ok(Self {
            nic,
            bar,
            out: OutQueue::default(),
            now_ns: 0,
            host: None,
            log: HostLog::default(),
            rings: Rings::new(config.sizes.frame_len),
            told: 0,
        })
    }

    /// Takes note of the time; it never goes back.
    pub(crate) fn at(&mut self, now_ns: u64) {
        self.now_ns = self.now_ns.max(now_ns);
    }

    pub(crate) fn connect(&mut self, host: Box<dyn HostPort>) {
        self.host = Some(host);
        self.out.by_ring = true;
        self.bar.announce_rings(self.rings.host_frame_len());
        // What occurred while nobody listened is in the causes.
        let _ = self.bar.take_signals();
    }

    /// Function-level reset: all that the host programmed is gone, windows included. Frames that left have left.
    pub(crate) fn reset(&mut self) {
        self.nic.reset();
        self.bar.reset(&self.nic);
        self.reset_rings();
    }

    /// What waited for the host is lost with the state that it belonged to.
    fn reset_rings(&mut self) {
        self.note_waiting();
        for mut packet in self.out.waiting.drain(..) {
            self.nic.host_frame_lost(packet.frame());
            packet.storage.zeroize();
        }
        self.out.known = 0;
        self.rings.reset();
        self.nic.set_event_ring(false);
        self.nic.set_host_full(false);
        self.told = 0;
    }

    /// Lets the firmware know of new frames that wait for the host.
    fn note_waiting(&mut self) {
        for packet in self.out.waiting.iter().skip(self.out.known) {
            self.nic.host_frame_waits(packet.frame());
        }
        self.out.known = self.out.waiting.len();
    }

    /// Causes of interrupt whose reason persists.
    fn levels(&self) -> u32 {
        let level = |pending: bool, vector: Vector| if pending { vector.mask() } else { 0 };
        level(self.nic.events_waiting() != 0, Vector::EventsPending)
            | level(
                self.out.host != 0 || !self.out.waiting.is_empty(),
                Vector::HostFramePending,
            )
    }

    pub(crate) fn read32(&mut self, offset: u32) -> u32 {
        self.bar.read(self.levels(), offset)
    }

    /// What the write starts in the host's memory is done by [`fetch`](Self::fetch) and [`deliver`](Self::deliver).
    pub(crate) fn write32(&mut self, offset: u32, value: u32) {
        self.out.begin(self.now_ns, 0);
        let generation = self.nic.generation();
        let effect = self.bar.write(&mut self.nic, &mut self.out, self.now_ns, offset, value);
        if self.nic.generation() != generation {
            self.reset_rings();
        }
        match effect {
            Effect::None => {}
            Effect::RingEnable(ring, on) => self.with_rings(|rings, dock| rings.enable(dock, ring, on)),
            Effect::RingDoorbell(ring, index) => self.with_rings(|rings, dock| rings.doorbell(dock, ring, index)),
            Effect::Unmasked(causes) => {
                let standing = self.bar.causes(self.levels()) & causes;
                self.bar.signal(standing);
            }
        }
    }

    fn with_rings(&mut self, work: impl FnOnce(&mut Rings, &mut Dock<'_>)) {
        let Some(host) = &mut self.host else { return };
        let mut dock = Dock {
            nic: &mut self.nic,
            bar: &mut self.bar,
            out: &mut self.out,
            host: Noted {
                host: host.as_mut(),
                log: &mut self.log,
            },
            now_ns: self.now_ns,
        };
        work(&mut self.rings, &mut dock);
    }

    /// From the host's memory: carries out commands of the ring, and takes frames of the host, which
    /// [`next_from_host`](Self::next_from_host) gives out. A bounded amount of work; see [`has_work`](Self::has_work).
    pub(crate) fn fetch(&mut self) {
        self.with_rings(Rings::fetch);
    }

    /// Takes the next frame of the host that was fetched, as it entered.
    pub(crate) fn next_from_host(&mut self) -> Option<Packet> {
        self.rings.taken.pop_front()
    }

    /// To the host's memory: events, frames, and the interrupts of all that has happened. A bounded amount of work.
    pub(crate) fn deliver(&mut self) {
        if self.host.is_none() {
            return;
        }
        self.note_waiting();
        self.with_rings(Rings::deliver);
        self.nic.set_host_full(self.out.waiting.len() >= HOST_QUEUE);
        let levels = self.levels();
        self.bar.signal(levels & !self.told);
        self.told = levels;
        let signals = self.bar.take_signals();
        if let Some(host) = &mut self.host {
            let mut host = Noted {
                host: host.as_mut(),
                log: &mut self.log,
            };
            for vector in (0..u32::BITS).filter(|bit| signals >> bit & 1 != 0) {
                host.interrupt(vector as u16);
            }
        }
    }

    /// Whether ring work is left that nothing outside has to start: the device goes on by itself, at this instant.
    pub(crate) fn has_work(&self) -> bool {
        self.rings.has_work()
    }

    /// Whether [`fetch`](Self::fetch) has anything to do.
    pub(crate) fn has_posted(&self) -> bool {
        self.rings.has_work() || self.rings.has_posted()
    }

    /// Carries one frame through the firmware at `now_ns`, whole; what becomes of it is in the out queue.
    pub(crate) fn carry(&mut self, from: Edge, mut packet: Packet) {
        let now_ns = self.now_ns;
        self.out.begin(now_ns, packet.tag);
        let Some(mut frame) = Frame::new(&mut packet.storage, packet.start, packet.end) else {
            return;
        };
        let verdict = match from {
            Edge::Vf(port) => self
                .nic
                .from_vf(now_ns, port, packet.offload, &mut frame, &mut self.out),
            Edge::Wire => self.nic.from_wire(now_ns, &mut frame),
            Edge::Host => self.nic.from_host(now_ns, &mut frame, &mut self.out),
        };
        let range = frame.range();
        packet.time_ns = now_ns;
        packet.verdict = Some(verdict);
        if let Some(destination) = verdict.destination() {
            (packet.start, packet.end) = (range.start, range.end);
            packet.offload = Default::default();
            self.out.push(edge(destination), packet);
        } else {
            self.out.end(verdict);
        }
    }

    /// Lets time pass until `now_ns`: one look at every flow entry; ends of overlaps come first.
    pub(crate) fn advance(&mut self, now_ns: u64) {
        self.at(now_ns);
        let entries = self.nic.sizes().flows.max(1_024).next_power_of_two();
        while self.nic.has_expired_keys(self.now_ns) {
            self.nic.poll(self.now_ns, 0);
        }
        self.nic.poll(self.now_ns, entries);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pci::{Backing, LocalHost, Permissions};
    use sealnic_abi::mailbox::{MessageHeader, Opcode, write_message};
    use sealnic_abi::object::SaInstall;
    use sealnic_abi::registers::Register;
    use sealnic_abi::ring::CommandDescriptor;
    use zerocopy::IntoBytes;

    /// Keys come in by DMA; whether they are taken, refused or can't be answered, the device keeps no copy but the key store's.
    #[test]
    fn a_request_of_the_ring_leaves_no_copy_behind() {
        let host = LocalHost::new();
        let memory = host.give(0, 0x4000, Permissions::READ_WRITE).unwrap();
        let mut core = Core::new(&ModelConfig {
            seed: Some(1),
            ..ModelConfig::default()
        })
        .unwrap();
        core.connect(Box::new(host));
        let mut message = [0x5E; 4096];
        let payload = [0xA5; size_of::<SaInstall>()];
        let header = MessageHeader {
            opcode: Opcode::SaInstall.into(),
            sequence: 1,
            ..MessageHeader::ZERO
        };
        let len = write_message(&mut message, header, &payload).unwrap();
        memory.write(0x2000, &message).unwrap();
        for (request_len, response) in [(len, 0x3000), (4096, 0x3000), (len, 0x10_0000)] {
            let descriptor = CommandDescriptor {
                request: 0x2000,
                response,
                request_len: request_len as u16,
                response_len: 64,
                reserved: [0; 12],
            };
            memory.write(0, descriptor.as_bytes()).unwrap();
            for (register, value) in [
                (Register::CommandRingControl, 0),
                (Register::CommandRingCompletionsLo, 0x1000),
                (Register::CommandRingSize, 4),
                (Register::CommandRingControl, 1),
                (Register::CommandRingDoorbell, 1),
            ] {
                core.write32(register.offset(), value);
            }
            core.fetch();
            assert_eq!(core.read32(Register::CommandRingHead.offset()), 1, "it was carried out");
            assert!(core.rings.holds_nothing());
        }
    }
}
