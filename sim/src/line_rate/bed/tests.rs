//! What the bed says of NICs whose rate is known.

use super::*;
use crate::run::shared::Shared;
use sealnic_abi::DropReason;
use sealnic_hw_model::{Ended, HostPort};
use std::collections::VecDeque;

const LINE_MBIT_PER_S: u64 = 100_000;

/// A functional model behind a server in each direction, which takes a fixed time for each frame.
struct Paced {
    inner: FunctionalModel,
    /// Time for a frame, by direction.
    service_ps: [u64; 2],
    /// When each server is free.
    free_ps: [u64; 2],
    /// Frames that wait for a server; more are dropped.
    queue: u64,
    /// Frames given out at once.
    bunch: usize,
    held: [VecDeque<(Edge, Packet)>; 2],
    ended: VecDeque<Ended>,
    marks: Vec<WireMark>,
    now_ns: u64,
}

impl HwModel for Paced {
    fn read32(&mut self, offset: u32) -> u32 {
        self.inner.read32(offset)
    }

    fn write32(&mut self, offset: u32, value: u32) {
        self.inner.write32(offset, value);
    }

    fn submit(&mut self, from: Edge, packet: Packet) {
        let (way, time_ns, tag) = (usize::from(from == Edge::Wire), packet.time_ns, packet.tag);
        self.now_ns = time_ns;
        if from == Edge::Wire {
            self.mark(time_ns * 1_000, &packet, Direction::Ingress);
        }
        let start_ps = self.free_ps[way].max(time_ns * 1_000);
        if start_ps - time_ns * 1_000 > self.queue * self.service_ps[way] {
            let verdict = Verdict::Drop(DropReason::Malformed);
            self.ended.push_back(Ended { tag, time_ns, verdict });
            return;
        }
        self.free_ps[way] = start_ps + self.service_ps[way];
        self.inner.submit(from, packet);
        while let Some((edge, mut packet)) = self.inner.collect() {
            packet.time_ns = self.free_ps[way].div_ceil(1_000);
            if edge == Edge::Wire {
                self.mark(self.free_ps[way], &packet, Direction::Egress);
            }
            self.held[way].push_back((edge, packet));
        }
        let (bunch, held) = (self.bunch, &mut self.held[way]);
        if let Some(last) = held
            .back()
            .map(|(_, packet)| packet.time_ns)
            .filter(|_| held.len().is_multiple_of(bunch))
        {
            held.iter_mut()
                .rev()
                .take(bunch)
                .for_each(|(_, packet)| packet.time_ns = last);
        }
    }

    fn collect(&mut self) -> Option<(Edge, Packet)> {
        let now_ns = self.now_ns;
        // Whole bunches only, until nothing more comes.
        let bunch = self.bunch;
        let due = |held: &&mut VecDeque<(Edge, Packet)>| {
            held.get(bunch - 1).is_some_and(|(_, packet)| packet.time_ns <= now_ns) || !held.len().is_multiple_of(bunch)
        };
        self.held.iter_mut().find(due)?.pop_front()
    }

    fn ended(&mut self) -> Option<Ended> {
        self.ended.pop_front().or_else(|| self.inner.ended())
    }

    fn next_event_ns(&self) -> Option<u64> {
        let last = |held: &VecDeque<(Edge, Packet)>| held.back().map(|(_, packet)| packet.time_ns);
        self.held.iter().filter_map(last).max()
    }

    fn advance(&mut self, now_ns: u64) {
        self.now_ns = now_ns;
    }

    fn connect(&mut self, host: Box<dyn HostPort>) {
        self.inner.connect(host);
    }

    fn reset(&mut self) {
        self.inner.reset();
    }
}

impl Paced {
    fn mark(&mut self, end_ps: u64, packet: &Packet, direction: Direction) {
        let len = packet.frame().len() as u32 + 4;
        self.marks.push(WireMark { end_ps, len, direction });
    }
}

impl Meter for Shared<Paced> {
    fn restart(&mut self) {}

    fn wire_marks(&mut self, since_ns: u64) -> Vec<WireMark> {
        let mut marks = std::mem::take(&mut self.model().marks);
        for mark in &mut marks {
            mark.end_ps -= since_ns * 1_000;
        }
        marks
    }

    fn limit(&self, direction: Direction) -> Limit {
        Limit {
            unit: direction.name().to_owned(),
            ..Limit::default()
        }
    }

    fn dropping_unit(&self, direction: Direction, reason: &str) -> String {
        format!("{}.{reason}", direction.name())
    }
}

const LOAD: Load = Load {
    frame_len: 64,
    flows: 100,
    distribution: Distribution::Uniform,
    warm_up_frames: 2_000,
    sample_frames: 4_000,
    seed: 1,
};

/// What the bed says of servers that take these shares of the line's time for each frame.
fn measured(protection: Protection, shares: [f64; 2], bunch: usize) -> Outcome {
    let line_ps = line_time_ps(protection, LOAD.frame_len, LINE_MBIT_PER_S, 1) as f64;
    let mut bed = Bed::new(protection, 3, LOAD.flows, LINE_MBIT_PER_S, |config| {
        let model = Shared::new(Paced {
            inner: FunctionalModel::new(config)?,
            service_ps: shares.map(|share| (line_ps * share) as u64),
            free_ps: [0; 2],
            queue: 100,
            bunch,
            held: Default::default(),
            ended: VecDeque::new(),
            marks: Vec::new(),
            now_ns: 0,
        });
        Ok((Box::new(model.clone()) as Box<dyn HwModel>, model))
    })
    .unwrap();
    bed.measure(&LOAD).unwrap()
}

#[test]
fn a_nic_as_fast_as_the_line_reaches_the_line_and_no_more() {
    for protection in [Protection::Clear, Protection::Dtls12, Protection::Dtls13] {
        let outcome = measured(protection, [1.0, 0.5], 1);
        for figures in &outcome.directions {
            let percent = figures.percent_of_line();
            assert!((99.9..=100.0).contains(&percent), "{protection:?} {percent}");
            assert_eq!((figures.dropped(), figures.limit.unit.as_str()), (0, "line"));
            assert!(figures.latency.max <= 2 * 14, "{:?}", figures.latency);
        }
        let sent = outcome
            .wire
            .iter()
            .filter(|(mark, _)| mark.direction == Direction::Egress);
        let len = super::super::theory::datagram_len(protection, 64) + 4;
        assert!(sent.clone().all(|(mark, ok)| *ok && mark.len == len));
        assert!((3_999..=4_001).contains(&sent.count()));
    }
}

#[test]
fn a_nic_slower_than_the_line_is_seen_to_be_and_its_drops_are_counted() {
    let outcome = measured(Protection::Dtls13, [2.0, 1.25], 1);
    for (figures, expected) in outcome.directions.iter().zip([50.0, 80.0]) {
        let percent = figures.percent_of_line();
        assert!((percent - expected).abs() < 0.5, "{percent}, not {expected}");
        assert_eq!(figures.limit.unit, figures.direction.name());
        let dropped = figures.dropped() as f64 / f64::from(LOAD.sample_frames) * 100.0;
        assert!((dropped - (100.0 - expected)).abs() < 0.5, "{dropped}");
        let [drops] = &figures.drops[..] else {
            panic!("one reason")
        };
        assert_eq!(drops.unit, format!("{}.Malformed", figures.direction.name()));
        // As long as the queue is, and its own service.
        assert!(figures.latency.p50 > 1_200, "{:?}", figures.latency);
    }
    let reached = outcome
        .wire
        .iter()
        .filter(|(mark, ok)| mark.direction == Direction::Ingress && *ok);
    assert!((3_180..=3_220).contains(&reached.count()));
}

#[test]
fn frames_written_in_bunches_make_no_rate_above_the_line() {
    let outcome = measured(Protection::Dtls13, [1.0, 0.5], 8);
    for figures in &outcome.directions {
        let percent = figures.percent_of_line();
        assert!((99.5..=100.0).contains(&percent), "{percent}");
    }
}

#[test]
fn the_same_load_gives_the_same_figures() {
    let run = || measured(Protection::Dtls13, [1.1, 0.7], 1);
    assert_eq!(run(), run());
}
