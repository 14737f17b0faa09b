//! The functional model: what happens to a frame, at once. The firmware's stages run one after another on each frame.

use crate::bar::Bar;
use crate::memory::{HeapMemory, ModelEntropy};
use crate::packet::{Edge, Ended, Packet};
use crate::{ENDED_KEPT, HwModel, ModelConfig, ModelError};
use sealnic_firmware::{Destination, Frame, Nic, Output, Verdict};
use std::collections::VecDeque;

/// Flow entries looked at after each frame, for aging and the flow log.
const SWEEP: usize = 4;

/// A device that takes no time.
pub struct FunctionalModel {
    nic: Nic<HeapMemory, ModelEntropy>,
    bar: Bar,
    queues: Queues,
    now_ns: u64,
}

/// Frames that left the device.
#[derive(Default)]
struct Queues {
    out: VecDeque<(Edge, Packet)>,
    /// Frames for the host among them.
    host: usize,
    /// Time and tag of the frame being worked on; what is made from it inherits them.
    time_ns: u64,
    tag: u64,
    /// Frames that ended inside, for observers.
    ended: VecDeque<Ended>,
}

impl Queues {
    fn push(&mut self, edge: Edge, packet: Packet) {
        self.host += usize::from(edge == Edge::Host);
        self.out.push_back((edge, packet));
    }

    fn end(&mut self, verdict: Verdict) {
        if self.ended.len() == ENDED_KEPT {
            self.ended.pop_front();
        }
        let (tag, time_ns) = (self.tag, self.time_ns);
        self.ended.push_back(Ended { tag, time_ns, verdict });
    }
}

impl Output for Queues {
    fn emit(&mut self, to: Destination, frame: &[u8]) {
        let packet = Packet {
            is_generated: true,
            ..Packet::new(frame, self.time_ns, self.tag)
        };
        self.push(edge(to), packet);
    }
}

fn edge(destination: Destination) -> Edge {
    match destination {
        Destination::Wire => Edge::Wire,
        Destination::Vf(port) => Edge::Vf(port),
        Destination::Host => Edge::Host,
    }
}

impl FunctionalModel {
    /// A device in reset state.
    ///
    /// # Errors
    /// When no seed is given and the operating system has no random octets to give.
    pub fn new(config: &ModelConfig) -> Result<Self, ModelError> {
        let entropy = match config.seed {
            Some(seed) => ModelEntropy::from_seed(seed),
            None => ModelEntropy::from_os()?,
        };
        let nic = Nic::new(&mut HeapMemory, &config.sizes, entropy);
        let bar = Bar::new(&nic);
        Ok(Self {
            nic,
            bar,
            queues: Queues::default(),
            now_ns: 0,
        })
    }
}

impl HwModel for FunctionalModel {
    fn read32(&mut self, offset: u32) -> u32 {
        self.bar.read(&self.nic, self.queues.host != 0, offset)
    }

    fn write32(&mut self, offset: u32, value: u32) {
        (self.queues.time_ns, self.queues.tag) = (self.now_ns, 0);
        self.bar
            .write(&mut self.nic, &mut self.queues, self.now_ns, offset, value);
    }

    fn submit(&mut self, from: Edge, mut packet: Packet) {
        self.now_ns = self.now_ns.max(packet.time_ns);
        (self.queues.time_ns, self.queues.tag) = (self.now_ns, packet.tag);
        let Some(mut frame) = Frame::new(&mut packet.storage, packet.start, packet.end) else {
            return;
        };
        let verdict = match from {
            Edge::Vf(port) => self
                .nic
                .from_vf(self.now_ns, port, packet.offload, &mut frame, &mut self.queues),
            Edge::Wire => self.nic.from_wire(self.now_ns, &mut frame),
            Edge::Host => self.nic.from_host(self.now_ns, &mut frame),
        };
        let range = frame.range();
        packet.time_ns = self.now_ns;
        packet.verdict = Some(verdict);
        if let Some(destination) = verdict.destination() {
            (packet.start, packet.end) = (range.start, range.end);
            packet.offload = Default::default();
            self.queues.push(edge(destination), packet);
        } else {
            self.queues.end(verdict);
        }
        self.nic.poll(self.now_ns, SWEEP);
    }

    fn collect(&mut self) -> Option<(Edge, Packet)> {
        let (edge, packet) = self.queues.out.pop_front()?;
        self.queues.host -= usize::from(edge == Edge::Host);
        Some((edge, packet))
    }

    fn ended(&mut self) -> Option<Ended> {
        self.queues.ended.pop_front()
    }

    /// Nothing is ever on its way: what happens to a frame happens as it is handed over.
    fn next_event_ns(&self) -> Option<u64> {
        None
    }

    fn advance(&mut self, now_ns: u64) {
        self.now_ns = self.now_ns.max(now_ns);
        // One look at every entry; ends of overlaps come first, one a call.
        let entries = self.nic.sizes().flows.max(1_024).next_power_of_two();
        while self.nic.has_expired_keys(self.now_ns) {
            self.nic.poll(self.now_ns, 0);
        }
        self.nic.poll(self.now_ns, entries);
    }
}

/// How a frame's way through one device ended, for observers of a packet that came out.
impl Packet {
    /// Verdict of the device that the packet left last; `None` for one that the device made or that has not been in one.
    #[must_use]
    pub fn verdict(&self) -> Option<Verdict> {
        self.verdict
    }
}
