//! Middleware: models around models, so that capture and impairments are flags of no backend.

use crate::HwModel;
use crate::host_port::HostPort;
use crate::packet::{Edge, Ended, Packet};
use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};
use std::collections::VecDeque;

/// Whether a frame enters or leaves the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Into the device.
    In,
    /// Out of the device.
    Out,
}

/// Shows every frame at every edge to an observer, in order.
pub struct Tap<M, F> {
    model: M,
    observer: F,
}

impl<M: HwModel, F: FnMut(Edge, Way, &Packet)> Tap<M, F> {
    /// Wraps a model.
    pub fn new(model: M, observer: F) -> Self {
        Self { model, observer }
    }
}

impl<M: HwModel, F: FnMut(Edge, Way, &Packet) + Send> HwModel for Tap<M, F> {
    fn read32(&mut self, offset: u32) -> u32 {
        self.model.read32(offset)
    }

    fn write32(&mut self, offset: u32, value: u32) {
        self.model.write32(offset, value);
    }

    fn submit(&mut self, from: Edge, packet: Packet) {
        (self.observer)(from, Way::In, &packet);
        self.model.submit(from, packet);
    }

    fn collect(&mut self) -> Option<(Edge, Packet)> {
        let (edge, packet) = self.model.collect()?;
        (self.observer)(edge, Way::Out, &packet);
        Some((edge, packet))
    }

    fn ended(&mut self) -> Option<Ended> {
        self.model.ended()
    }

    fn next_event_ns(&self) -> Option<u64> {
        self.model.next_event_ns()
    }

    fn advance(&mut self, now_ns: u64) {
        self.model.advance(now_ns);
    }

    fn connect(&mut self, host: Box<dyn HostPort>) {
        self.model.connect(host);
    }

    fn reset(&mut self) {
        self.model.reset();
    }
}

/// How a wire treats frames. Each is a share of all frames, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Impairments {
    /// Frames lost.
    pub loss: f64,
    /// Frames held back behind later ones.
    pub reorder: f64,
    /// Frames that come twice.
    pub duplicate: f64,
    /// Frames with one bit flipped.
    pub corrupt: f64,
    /// Makes the same choices again.
    pub seed: u64,
}

/// What a wire did to frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WireCounters {
    /// Frames put on the wire.
    pub sent: u64,
    /// Frames lost.
    pub lost: u64,
    /// Frames held back.
    pub reordered: u64,
    /// Copies made.
    pub duplicated: u64,
    /// Frames with one bit flipped.
    pub corrupted: u64,
    /// Frames that came out at the far end.
    pub delivered: u64,
}

/// At most this many later frames overtake one that is held back.
const REORDER_DEPTH: u64 = 16;

/// A wire that loses, reorders, duplicates and corrupts frames, by a seed.
pub struct ImpairedWire {
    impairments: Impairments,
    random: ChaCha12Rng,
    counters: WireCounters,
    /// Frames held back, with the count of sent frames at which they go on.
    held: Vec<(u64, Packet)>,
}

impl ImpairedWire {
    /// A wire.
    #[must_use]
    pub fn new(impairments: Impairments) -> Self {
        Self {
            impairments,
            random: ChaCha12Rng::seed_from_u64(impairments.seed),
            counters: WireCounters::default(),
            held: Vec::new(),
        }
    }

    /// What the wire did so far.
    #[must_use]
    pub fn counters(&self) -> WireCounters {
        self.counters
    }

    /// Frames that are still held back.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.len()
    }

    fn happens(&mut self, share: f64) -> bool {
        // 32 random bits are a share of 2^32.
        share > 0.0 && f64::from(self.random.next_u32()) < share * 4_294_967_296.0
    }

    /// Puts a frame on the wire and takes what comes out at the far end by now.
    pub fn carry(&mut self, mut packet: Packet, out: &mut VecDeque<Packet>) {
        self.counters.sent += 1;
        let Impairments {
            loss,
            reorder,
            duplicate,
            corrupt,
            ..
        } = self.impairments;
        if self.happens(loss) {
            self.counters.lost += 1;
        } else {
            if self.happens(corrupt) && !packet.frame().is_empty() {
                let bit = self.random.next_u32() as usize % (packet.frame().len() * 8);
                packet.frame_mut()[bit / 8] ^= 1 << (bit % 8);
                self.counters.corrupted += 1;
            }
            let copies = 1 + u64::from(self.happens(duplicate));
            self.counters.duplicated += copies - 1;
            for _ in 0..copies {
                if self.happens(reorder) {
                    let until = self.counters.sent + 1 + u64::from(self.random.next_u32()) % REORDER_DEPTH;
                    self.counters.reordered += 1;
                    self.held.push((until, packet.clone()));
                } else {
                    self.counters.delivered += 1;
                    out.push_back(packet.clone());
                }
            }
        }
        self.release(self.counters.sent, out);
    }

    fn release(&mut self, sent: u64, out: &mut VecDeque<Packet>) {
        let due = |(until, _): &mut (u64, Packet)| *until <= sent;
        for (_, packet) in self.held.extract_if(.., due) {
            self.counters.delivered += 1;
            out.push_back(packet);
        }
    }

    /// Lets out what is held back: the wire falls silent.
    pub fn flush(&mut self, out: &mut VecDeque<Packet>) {
        self.release(u64::MAX, out);
    }
}

/// A model behind an impaired wire: what it sends on the wire comes out as the wire lets it.
pub struct Impaired<M> {
    model: M,
    wire: ImpairedWire,
    out: VecDeque<Packet>,
}

impl<M: HwModel> Impaired<M> {
    /// Wraps a model.
    pub fn new(model: M, impairments: Impairments) -> Self {
        Self {
            model,
            wire: ImpairedWire::new(impairments),
            out: VecDeque::new(),
        }
    }

    /// What the wire did so far.
    pub fn wire(&self) -> WireCounters {
        self.wire.counters()
    }
}

impl<M: HwModel> HwModel for Impaired<M> {
    fn read32(&mut self, offset: u32) -> u32 {
        self.model.read32(offset)
    }

    fn write32(&mut self, offset: u32, value: u32) {
        self.model.write32(offset, value);
    }

    fn submit(&mut self, from: Edge, packet: Packet) {
        self.model.submit(from, packet);
    }

    fn collect(&mut self) -> Option<(Edge, Packet)> {
        loop {
            if let Some(packet) = self.out.pop_front() {
                return Some((Edge::Wire, packet));
            }
            match self.model.collect()? {
                (Edge::Wire, packet) => self.wire.carry(packet, &mut self.out),
                other => return Some(other),
            }
        }
    }

    fn ended(&mut self) -> Option<Ended> {
        self.model.ended()
    }

    fn next_event_ns(&self) -> Option<u64> {
        self.model.next_event_ns()
    }

    fn advance(&mut self, now_ns: u64) {
        self.model.advance(now_ns);
        self.wire.flush(&mut self.out);
    }

    fn connect(&mut self, host: Box<dyn HostPort>) {
        self.model.connect(host);
    }

    fn reset(&mut self) {
        self.model.reset();
    }
}
