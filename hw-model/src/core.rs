//! What every model of the device is built around: the NIC's firmware, BAR0, the way into the host, the frames that left.
//! Models differ in when they let it act.

use crate::bar::Bar;
use crate::host_port::HostPort;
use crate::memory::{HeapMemory, ModelEntropy};
use crate::packet::{Edge, Ended, Packet};
use crate::{ENDED_KEPT, ModelConfig, ModelError};
use sealnic_firmware::{Destination, Frame, Nic, Output, Verdict};
use std::collections::VecDeque;

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
}

/// Frames that left the device, oldest first.
#[derive(Default)]
pub(crate) struct OutQueue {
    frames: VecDeque<(Edge, Packet)>,
    /// Frames for the host among them.
    host: usize,
    /// Time and tag of what is being worked on; frames made from it inherit them.
    time_ns: u64,
    tag: u64,
    /// Frames that ended inside, for observers.
    pub(crate) ended: VecDeque<Ended>,
}

impl OutQueue {
    /// Says what frames made from now on come from.
    pub(crate) fn begin(&mut self, time_ns: u64, tag: u64) {
        (self.time_ns, self.tag) = (time_ns, tag);
    }

    pub(crate) fn push(&mut self, edge: Edge, packet: Packet) {
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
        })
    }

    /// Takes note of the time; it never goes back.
    pub(crate) fn at(&mut self, now_ns: u64) {
        self.now_ns = self.now_ns.max(now_ns);
    }

    pub(crate) fn connect(&mut self, host: Box<dyn HostPort>) {
        self.host = Some(host);
    }

    /// Function-level reset: all that the host programmed is gone, windows included. Frames that left have left.
    pub(crate) fn reset(&mut self) {
        self.nic.reset();
        self.bar.reset(&self.nic);
    }

    pub(crate) fn read32(&mut self, offset: u32) -> u32 {
        self.bar.read(&self.nic, self.out.host != 0, offset)
    }

    pub(crate) fn write32(&mut self, offset: u32, value: u32) {
        self.out.begin(self.now_ns, 0);
        self.bar.write(&mut self.nic, &mut self.out, self.now_ns, offset, value);
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
            Edge::Host => self.nic.from_host(now_ns, &mut frame),
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
