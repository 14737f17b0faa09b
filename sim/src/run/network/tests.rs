//! The clock of a network, with NICs that take their time.

use super::*;
use crate::scenario::Scenario;
use rand_chacha::ChaCha12Rng;
use rand_core::SeedableRng;
use sealnic_hw_model::{FunctionalModel, HostPort, ModelConfig, Sizes};
use std::path::Path;

const LATENCY_NS: u64 = 1_000;

/// A functional model whose frames come out some time after they went in.
struct Slow {
    inner: FunctionalModel,
    delay_ns: u64,
    held: VecDeque<(Edge, Packet)>,
    now_ns: u64,
    /// Times at which frames were handed over; none may be before what has passed.
    late: bool,
    /// Never gets on.
    is_stuck: bool,
}

impl Slow {
    fn take(&mut self) {
        while let Some((edge, mut packet)) = self.inner.collect() {
            packet.time_ns += self.delay_ns;
            self.held.push_back((edge, packet));
        }
    }
}

impl HwModel for Slow {
    fn read32(&mut self, offset: u32) -> u32 {
        self.inner.read32(offset)
    }

    fn write32(&mut self, offset: u32, value: u32) {
        self.inner.write32(offset, value);
    }

    fn submit(&mut self, from: Edge, packet: Packet) {
        self.late |= packet.time_ns < self.now_ns;
        assert!(
            !self.late,
            "a frame came from the past: {} < {}",
            packet.time_ns, self.now_ns
        );
        self.now_ns = packet.time_ns;
        self.inner.submit(from, packet);
        self.take();
    }

    fn collect(&mut self) -> Option<(Edge, Packet)> {
        let (_, packet) = self.held.front()?;
        if packet.time_ns > self.now_ns || self.is_stuck {
            return None;
        }
        self.held.pop_front()
    }

    fn ended(&mut self) -> Option<Ended> {
        self.inner.ended()
    }

    fn next_event_ns(&self) -> Option<u64> {
        let (_, packet) = self.held.front()?;
        (packet.time_ns > self.now_ns || self.is_stuck).then_some(packet.time_ns)
    }

    fn advance(&mut self, now_ns: u64) {
        assert!(now_ns >= self.now_ns, "time went back");
        self.now_ns = now_ns;
    }

    fn connect(&mut self, host: Box<dyn HostPort>) {
        self.inner.connect(host);
    }

    fn reset(&mut self) {
        self.inner.reset();
    }
}

/// Three hosts with a VM each, nothing encrypted.
fn network(delays: [u64; 3], latency_ns: u64, impairments: Impairments, is_stuck: bool) -> Network {
    let mut text = String::from("name = \"clock\"\n[[vnet]]\nname = \"blue\"\nvni = 7\nprefixes = [\"10.1.0.0/16\"]\n");
    for n in 1..=3 {
        text += &format!(
            "[[host]]\nname = \"host-{n}\"\npa = [\"192.0.2.{n}\"]\n\
             [[vm]]\nname = \"vm-{n}\"\nhost = \"host-{n}\"\nvnet = \"blue\"\nmac = \"any\"\naddresses = [\"10.1.0.{n}\"]\n"
        );
    }
    let scenario = Scenario::parse(&text, Path::new("clock")).unwrap();
    let states = scenario.desired_states(&mut ChaCha12Rng::seed_from_u64(1));
    let config = ModelConfig {
        sizes: Sizes::default(),
        seed: Some(1),
    };
    let mut network = Network::new(&scenario, &states, impairments, latency_ns, |host| {
        Ok(Box::new(Slow {
            inner: FunctionalModel::new(&config)?,
            delay_ns: delays[host],
            held: VecDeque::new(),
            now_ns: 0,
            late: false,
            is_stuck,
        }))
    })
    .unwrap();
    for host in 0..3 {
        network.host(host).set_enabled(true).unwrap();
    }
    network
}

/// A UDP frame from one VM to another, by their hosts' indexes.
fn packet(from: u8, to: u8, time_ns: u64, tag: u64) -> Packet {
    let mut frame = vec![0; 60];
    frame[..12].copy_from_slice(&[2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, from]);
    frame[12..18].copy_from_slice(&[8, 0, 0x45, 0, 0, 46]);
    frame[20..24].copy_from_slice(&[0x40, 0, 64, 17]);
    frame[26..34].copy_from_slice(&[10, 1, 0, from + 1, 10, 1, 0, to + 1]);
    frame[34..40].copy_from_slice(&[4, 0, 4, 0, 0, 26]);
    Packet::new(&frame, time_ns, tag)
}

/// What is seen of each frame: (event, time, tag).
fn record(into: &mut Vec<(&'static str, u64, u64)>) -> impl FnMut(Observed<'_>) {
    |observed| {
        into.push(match &observed {
            Observed::Sent { packet } => ("sent", packet.time_ns, packet.tag),
            Observed::Delivered { packet, .. } => ("delivered", packet.time_ns, packet.tag),
            Observed::Punted { packet } => ("punted", packet.time_ns, packet.tag),
            Observed::Left { packet } => ("left", packet.time_ns, packet.tag),
            Observed::Ended { ended } => ("ended", ended.time_ns, ended.tag),
        });
    }
}

#[test]
fn a_frame_takes_both_nics_times_and_the_wires() {
    let mut network = network([30, 50, 0], LATENCY_NS, Impairments::default(), false);
    let mut seen = Vec::new();
    network
        .submit(0, 0, packet(0, 1, 100, 9), &mut record(&mut seen))
        .unwrap();
    assert_eq!(seen, [("sent", 130, 9), ("delivered", 130 + LATENCY_NS + 50, 9)]);
}

#[test]
fn frames_are_handed_over_at_their_times_while_others_are_under_way() {
    let mut network = network([5_000, 10, 10], LATENCY_NS, Impairments::default(), false);
    let mut seen = Vec::new();
    for (from, to, time_ns, tag) in [(0, 1, 0, 1), (2, 1, 3_000, 2), (1, 2, 6_005, 3), (0, 2, 100, 4)] {
        network.schedule(from.into(), 0, packet(from, to, time_ns, tag));
    }
    network.rest(&mut record(&mut seen)).unwrap();
    assert_eq!(
        seen,
        [
            ("sent", 3_010, 2),
            ("delivered", 4_020, 2),
            ("sent", 5_000, 1),
            ("sent", 5_100, 4),
            ("delivered", 6_010, 1),
            ("sent", 6_015, 3),
            ("delivered", 6_110, 4),
            ("delivered", 7_025, 3)
        ]
    );
}

#[test]
fn what_is_to_happen_later_waits() {
    let mut network = network([30, 50, 0], LATENCY_NS, Impairments::default(), false);
    let mut seen = Vec::new();
    network.schedule(0, 0, packet(0, 1, 100, 1));
    network.run_until(130, &mut record(&mut seen)).unwrap();
    assert_eq!(seen, []);
    network.run_until(131, &mut record(&mut seen)).unwrap();
    assert_eq!(seen, [("sent", 130, 1)]);
    network.run_until(1_180, &mut record(&mut seen)).unwrap();
    assert_eq!(seen.len(), 1);
    network.rest(&mut record(&mut seen)).unwrap();
    assert_eq!(seen[1..], [("delivered", 1_180, 1)]);
}

#[test]
fn with_and_without_windows_the_same_happens() {
    // Half of the wire's latency in each NIC instead makes the same times, in single steps.
    let run = |delays: [u64; 3], latency_ns| {
        let mut network = network(delays, latency_ns, Impairments::default(), false);
        let mut seen = Vec::new();
        for tag in 0..400u64 {
            let (from, to) = [(0, 1), (1, 0), (2, 0), (1, 2), (0, 2)][tag as usize % 5];
            network.schedule(from.into(), 0, packet(from, to, tag * 37, tag));
        }
        network.rest(&mut record(&mut seen)).unwrap();
        seen.retain(|(event, ..)| *event == "delivered");
        seen.sort_unstable();
        seen
    };
    let windows = run([40, 70, 20], 500);
    assert_eq!(windows.len(), 400);
    assert_eq!(windows, run([40, 70, 20].map(|delay| delay + 250), 0));
}

#[test]
fn an_impaired_wire_gives_out_all_that_it_holds_and_does_the_same_again() {
    let impairments = Impairments {
        loss: 0.1,
        reorder: 0.3,
        duplicate: 0.1,
        corrupt: 0.0,
        seed: 3,
    };
    let run = || {
        let mut network = network([40, 70, 20], LATENCY_NS, impairments, false);
        let mut seen = Vec::new();
        for tag in 0..300 {
            network.schedule(0, 0, packet(0, 1, tag * 100, tag));
        }
        network.finish(1_000_000, &mut record(&mut seen)).unwrap();
        let wire = network.wire();
        (seen, wire)
    };
    let (seen, wire) = run();
    let delivered = seen.iter().filter(|(event, ..)| *event == "delivered");
    assert_eq!(delivered.clone().count() as u64, 300 - wire.lost + wire.duplicated);
    assert!(wire.reordered > 0 && wire.lost > 0 && wire.duplicated > 0);
    assert!(delivered.map(|(_, time_ns, _)| *time_ns).is_sorted());
    assert_eq!(run(), (seen, wire));
}

#[test]
fn a_nic_that_never_comes_to_rest_is_named() {
    let mut network = network([30, 50, 0], LATENCY_NS, Impairments::default(), true);
    let error = network.submit(0, 0, packet(0, 1, 100, 9), &mut |_| {}).unwrap_err();
    assert_eq!(error.host, "host-1");
}
