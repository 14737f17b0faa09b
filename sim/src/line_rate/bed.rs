//! A NIC under load in both directions at once.
//!
//! The NIC's VMs offer frames at exactly the rate that the line could carry, and a peer without time of its own seals what the
//! line brings at the same rate. A load runs until pipelines, caches and queues are as they will stay, then a sample is counted.

use super::theory::line_time_ps;
use super::traffic::{FlowOrder, FrameMaker, scenario};
use super::{Direction, DirectionFigures, Distribution, Drops, LatencyNs, Limit, Protection, Rates};
use crate::run::{BroughtUp, RunError, RunOptions, bring_up_with};
use crate::scenario::{MacAddress, ScenarioError};
use crate::{Scenario, run::network::Network};
use sealnic_hw_model::{Edge, FunctionalModel, HwModel, ModelConfig, Packet, Verdict};
use sealnic_wire::{EthernetAddress, EthernetFrame};
use std::collections::BTreeMap;
use std::path::Path;

/// Rest before a load begins.
const GAP_NS: u64 = 20_000;
/// Frames handed over between two looks at what came out.
const BATCH: u32 = 32;
/// Flows made known at a time.
const INSTALL_BATCH: u32 = 64;
/// Time between two of them: about what a control CPU takes for both directions.
const INSTALL_GAP_NS: u64 = 4_000;
/// Frames in each direction that bring caches to where they stay, at most, and the time between two of them: longer than a few reads of
/// table memory.
const MAX_FILL_FRAMES: u32 = 200_000;
const FILL_GAP_NS: u64 = 500;
/// A NIC that works on something this long after the last frame that came in or out is broken: the slowest hardware takes a hundredth of a second for
/// a flow's first frame.
const REST_NS: u64 = 10_000_000_000;
/// Frames that a load takes to fill a NIC which is slow for its line, at most.
const MAX_PATH_FRAMES: u64 = 400_000;

/// From this share on the line is full, and nothing else limits.
const FULL_LINE: f64 = 0.995;

/// Why nothing can be measured.
#[derive(Debug, thiserror::Error)]
pub enum BedError {
    /// The NICs can't be made ready.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The bed's own scenario is wrong.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// A frame went where none of the load goes.
    #[error("{0}; this is a bug, please report it")]
    Wrong(String),
}

/// A frame that passed the wire port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WireMark {
    /// When its last bit passed, in picoseconds since the load began.
    pub end_ps: u64,
    /// Octets with FCS, without preamble and gap.
    pub len: u32,
    /// Whether it left or came.
    pub direction: Direction,
}

/// What measures inside a NIC.
pub trait Meter {
    /// Forgets everything so far.
    fn restart(&mut self);

    /// Frames that passed the wire port since the last call, in order. `since_ns` is where their times begin.
    fn wire_marks(&mut self, since_ns: u64) -> Vec<WireMark>;

    /// What in the NIC, besides the line, held a direction back most since the restart.
    fn limit(&self, direction: Direction) -> Limit;

    /// Unit that dropped frames of a direction for a reason since the restart.
    fn dropping_unit(&self, direction: Direction, reason: &str) -> String;
}

/// One load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Load {
    /// Size at the VM with FCS, in octets.
    pub frame_len: u32,
    /// Flows in each direction.
    pub flows: u32,
    /// Order of the flows.
    pub distribution: Distribution,
    /// Frames in each direction before the sample, at least: more where the NIC takes longer to fill.
    pub warm_up_frames: u32,
    /// Frames in each direction that count.
    pub sample_frames: u32,
    /// Seed of the order.
    pub seed: u64,
}

/// What came of a load.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Egress and ingress.
    pub directions: Vec<DirectionFigures>,
    /// Frames of the sample that passed the wire port, and whether each was sent or reached its VM.
    pub wire: Vec<(WireMark, bool)>,
}

/// The NIC, its peer, and the VMs.
pub struct Bed<M> {
    network: Network,
    meter: M,
    mac: MacAddress,
    protection: Protection,
    line_mbit_per_s: u64,
    pairs: u32,
    /// Flows that NIC and peer know.
    known_flows: u32,
    /// How long frames take that come one by one, at most.
    path_ns: u64,
    now_ns: u64,
}

/// Which end of the bed.
const NIC: usize = 0;
const PEER: usize = 1;

impl<M: Meter> Bed<M> {
    /// A bed whose tables hold `flows` flows in each direction, for the NIC that `nic` makes, with a line of this rate.
    ///
    /// # Errors
    /// [`BedError`].
    pub fn new(
        protection: Protection,
        pairs: u32,
        flows: u32,
        line_mbit_per_s: u64,
        nic: impl FnOnce(&ModelConfig) -> Result<(Box<dyn HwModel>, M), RunError>,
    ) -> Result<Self, BedError> {
        let text = scenario(protection, pairs, flows.saturating_mul(2));
        let scenario = Scenario::parse(&text, Path::new("line-rate")).map_err(ScenarioError::from)?;
        // The same keys and hash secrets each time, so that the figures are the same; none of the octets leave this process.
        let options = RunOptions {
            unsafe_fixed_keys: true,
            ..RunOptions::default()
        };
        let (mut nic, mut meter) = (Some(nic), None);
        let BroughtUp { network, .. } = bring_up_with(&scenario, &options, |_, config| match nic.take() {
            Some(nic) => {
                let (model, its_meter) = nic(config)?;
                meter = Some(its_meter);
                Ok(model)
            }
            None => Ok(Box::new(FunctionalModel::new(config)?)),
        })?;
        let meter = meter.ok_or_else(|| BedError::Wrong("the scenario has no host".to_owned()))?;
        Ok(Self {
            network,
            meter,
            mac: scenario.hosts[NIC].mac,
            protection,
            line_mbit_per_s,
            pairs,
            known_flows: 0,
            path_ns: 0,
            now_ns: 0,
        })
    }

    /// What measures inside the NIC.
    pub fn meter(&self) -> &M {
        &self.meter
    }

    fn nic(&mut self) -> &mut dyn HwModel {
        self.network.host(NIC).transport_mut().model_mut()
    }

    /// What the line brings when a VM of the peer sends a frame.
    fn sealed_by_peer(&mut self, port: u16, frame: &[u8], time_ns: u64, tag: u64) -> Result<Packet, BedError> {
        let peer = self.network.host(PEER).transport_mut().model_mut();
        peer.submit(Edge::Vf(port), Packet::new(frame, time_ns, tag));
        match peer.collect() {
            Some((Edge::Wire, mut packet)) => {
                EthernetFrame::new_unchecked(packet.frame_mut()).set_dst_addr(EthernetAddress(self.mac.0));
                packet.time_ns = time_ns;
                Ok(packet)
            }
            _ => Err(BedError::Wrong(format!(
                "the peer didn't send a frame of {} octets: {:?}",
                frame.len(),
                peer.ended().map(|ended| ended.verdict)
            ))),
        }
    }

    /// Lets the NIC finish all that it has begun. `take` takes what came of frames, and says of how many.
    fn rest(&mut self, take: &mut dyn FnMut(&mut dyn HwModel) -> Result<u32, BedError>) -> Result<(), BedError> {
        take(self.nic())?;
        let mut last_ns = self.now_ns;
        while let Some(next_ns) = self.nic().next_event_ns() {
            if next_ns > last_ns.saturating_add(REST_NS) {
                return Err(BedError::Wrong(format!(
                    "the NIC still works on something {REST_NS} ns after its last frame"
                )));
            }
            self.now_ns = self.now_ns.max(next_ns.saturating_add(100));
            let now_ns = self.now_ns;
            self.nic().advance(now_ns);
            if take(self.nic())? != 0 {
                last_ns = now_ns;
            }
        }
        Ok(())
    }

    /// Has every flow decided at both ends, in both directions, so that none is left to be decided under load.
    ///
    /// # Errors
    /// A frame of one doesn't reach its VM.
    pub fn make_known(&mut self, flows: u32) -> Result<(), BedError> {
        let mut makers = [0, 1].map(|host| FrameMaker::new(host, 64, self.pairs));
        while self.known_flows < flows {
            let end = flows.min(self.known_flows + INSTALL_BATCH);
            let wanted = 2 * (end - self.known_flows);
            let mut carried = 0;
            for flow in self.known_flows..end {
                self.now_ns += INSTALL_GAP_NS;
                let now_ns = self.now_ns;
                let (port, frame) = makers[NIC].of_flow(flow);
                self.nic()
                    .submit(Edge::Vf(port), Packet::new(frame, now_ns, u64::from(flow)));
                let (port, frame) = makers[PEER].of_flow(flow);
                let packet = self.sealed_by_peer(port, frame, now_ns, u64::from(flow))?;
                self.nic().submit(Edge::Wire, packet);
            }
            self.rest(&mut |nic| {
                let before = carried;
                while let Some((edge, _)) = nic.collect() {
                    carried += u32::from(matches!(edge, Edge::Wire | Edge::Vf(_)));
                }
                match nic.ended() {
                    Some(ended) => Err(BedError::Wrong(format!(
                        "flow {} can't be made known: {:?}",
                        ended.tag, ended.verdict
                    ))),
                    None => Ok(carried - before),
                }
            })?;
            if carried != wanted {
                return Err(BedError::Wrong(format!(
                    "{carried} of {wanted} frames of new flows came out"
                )));
            }
            self.known_flows = end;
            self.meter.wire_marks(0);
        }
        Ok(())
    }

    /// Brings caches to where an order of flows keeps them, slowly, so that no queue is left from it.
    fn fill_caches(&mut self, flows: u32, orders: &mut [FlowOrder; 2]) -> Result<(), BedError> {
        let mut makers = [0, 1].map(|host| FrameMaker::new(host, 64, self.pairs));
        let mut discard = |nic: &mut dyn HwModel| {
            let mut discarded = 0;
            while nic.collect().is_some() || nic.ended().is_some() {
                discarded += 1;
            }
            Ok(discarded)
        };
        for frame in 0..flows.saturating_mul(2).min(MAX_FILL_FRAMES) {
            self.now_ns += FILL_GAP_NS;
            let now_ns = self.now_ns;
            let (port, octets) = makers[NIC].of_flow(orders[NIC].next_flow());
            self.nic().submit(Edge::Vf(port), Packet::new(octets, now_ns, 0));
            let (port, octets) = makers[PEER].of_flow(orders[PEER].next_flow());
            let packet = self.sealed_by_peer(port, octets, now_ns, 0)?;
            self.nic().submit(Edge::Wire, packet);
            if frame % BATCH == 0 {
                discard(self.nic())?;
                self.meter.wire_marks(0);
            }
        }
        let last_ns = self.now_ns;
        self.rest(&mut discard)?;
        self.path_ns = self.now_ns - last_ns;
        self.meter.wire_marks(0);
        Ok(())
    }

    /// Puts a load on the NIC, in both directions at once.
    ///
    /// # Errors
    /// [`BedError`]; frames that the NIC drops are no error but a figure.
    pub fn measure(&mut self, load: &Load) -> Result<Outcome, BedError> {
        self.make_known(load.flows)?;
        let mut orders = [0, 1].map(|host| FlowOrder::new(load.distribution, load.flows, load.seed * 2 + host));
        self.fill_caches(load.flows, &mut orders)?;
        let (protection, line) = (self.protection, self.line_mbit_per_s);
        let offered_ps = move |frame: u32| line_time_ps(protection, load.frame_len, line, frame.into());
        // A sample is no use before the first frame has come through.
        let path_frames = 2 * self.path_ns * 1_000 / offered_ps(1).max(1);
        let warm_up_frames = load.warm_up_frames.max(path_frames.min(MAX_PATH_FRAMES) as u32);
        let total = warm_up_frames + load.sample_frames;
        let mut makers = [0, 1].map(|host| FrameMaker::new(host, load.frame_len, self.pairs));
        let start_ns = self.now_ns + GAP_NS;
        let mut ways = [(); 2].map(|()| Way::new(total));
        for frame in 0..total {
            if frame == warm_up_frames {
                self.meter.restart();
            }
            let time_ns = start_ns + offered_ps(frame) / 1_000;
            self.now_ns = time_ns;
            let (port, octets) = makers[NIC].of_flow(orders[NIC].next_flow());
            self.nic().submit(
                Edge::Vf(port),
                Packet::new(octets, time_ns, tag(Direction::Egress, frame)),
            );
            let (port, octets) = makers[PEER].of_flow(orders[PEER].next_flow());
            let packet = self.sealed_by_peer(port, octets, time_ns, tag(Direction::Ingress, frame))?;
            self.nic().submit(Edge::Wire, packet);
            if frame % BATCH == 0 {
                take_results(self.nic(), &mut ways)?;
            }
        }
        let limits = [Direction::Egress, Direction::Ingress].map(|direction| self.meter.limit(direction));
        self.rest(&mut |nic| take_results(nic, &mut ways))?;
        let marks = self.meter.wire_marks(start_ns);
        let [egress_marks, ingress_marks] = [Direction::Egress, Direction::Ingress].map(|direction| {
            marks
                .iter()
                .filter(|mark| mark.direction == direction)
                .copied()
                .collect::<Vec<_>>()
        });
        if ingress_marks.len() != total as usize || egress_marks.len() != ways[0].left_count() {
            return Err(BedError::Wrong(format!(
                "the wire port saw {} frames come and {} leave, not {total} and {}",
                ingress_marks.len(),
                egress_marks.len(),
                ways[0].left_count()
            )));
        }
        let window = Window {
            first: warm_up_frames,
            start_ps: offered_ps(warm_up_frames),
            end_ps: offered_ps(total),
        };
        let mut wire = Vec::new();
        wire.extend(
            egress_marks
                .iter()
                .filter(|mark| window.holds(mark.end_ps))
                .map(|mark| (*mark, true)),
        );
        let arrived = ingress_marks.iter().zip(&ways[1].left_ns);
        wire.extend(
            arrived
                .skip(window.first as usize)
                .map(|(mark, left)| (*mark, left.is_some())),
        );
        let line = Rates::of_line(self.protection, load.frame_len, self.line_mbit_per_s);
        let mut directions = Vec::new();
        for ((direction, way), limit) in [Direction::Egress, Direction::Ingress]
            .into_iter()
            .zip(&ways)
            .zip(limits)
        {
            let share = way.delivered_share(window.first);
            let frames_per_s = match direction {
                Direction::Egress => window.rate(egress_marks.iter().map(|mark| mark.end_ps).collect()),
                Direction::Ingress => {
                    let written = way.left_ns.iter().flatten().map(|left| (left - start_ns) * 1_000);
                    window.rate(written.collect())
                }
            };
            // What leaves in the end is no more than what leaves meanwhile, nor more than what is left of what was offered.
            let frames_per_s = frames_per_s.min(line.frames_per_s * share);
            let achieved = Rates::new(load.frame_len, frames_per_s);
            let line_share = achieved.frames_per_s / line.frames_per_s;
            directions.push(DirectionFigures {
                direction,
                line,
                offered: line,
                achieved,
                latency: way.latency(window.first, |frame| start_ns + offered_ps(frame) / 1_000),
                drops: way.drops(window.first, |reason| self.meter.dropping_unit(direction, reason)),
                limit: if line_share < FULL_LINE {
                    limit
                } else {
                    full_line(line_share)
                },
            });
        }
        Ok(Outcome { directions, wire })
    }
}

/// The limit of a direction that fills the line.
fn full_line(share: f64) -> Limit {
    Limit {
        unit: "line".to_owned(),
        busy_percent: share * 100.0,
        cause: "full".to_owned(),
    }
}

/// A load's frames are told apart by direction and number.
fn tag(direction: Direction, frame: u32) -> u64 {
    u64::from(frame) << 1 | u64::from(direction == Direction::Ingress)
}

/// Takes what became of a load's frames.
fn take_results(nic: &mut dyn HwModel, ways: &mut [Way; 2]) -> Result<u32, BedError> {
    let mut taken = 0;
    while let Some((edge, packet)) = nic.collect() {
        taken += 1;
        let (way, frame) = ((packet.tag & 1) as usize, packet.tag >> 1);
        let expected = matches!((way, edge), (0, Edge::Wire) | (1, Edge::Vf(_)));
        match ways[way].left_ns.get_mut(frame as usize) {
            Some(left @ None) if expected => *left = Some(packet.time_ns),
            left => {
                return Err(BedError::Wrong(format!(
                    "frame {frame} of way {way} came out at {edge:?} after {left:?}"
                )));
            }
        }
    }
    while let Some(ended) = nic.ended() {
        let Verdict::Drop(reason) = ended.verdict else {
            return Err(BedError::Wrong("a frame of the load was consumed".to_owned()));
        };
        taken += 1;
        ways[(ended.tag & 1) as usize]
            .dropped
            .push(((ended.tag >> 1) as u32, reason.name()));
    }
    Ok(taken)
}

/// What became of the frames of one direction.
struct Way {
    /// When each left, in the order in which they were offered.
    left_ns: Vec<Option<u64>>,
    dropped: Vec<(u32, &'static str)>,
}

impl Way {
    fn new(total: u32) -> Self {
        Self {
            left_ns: vec![None; total as usize],
            dropped: Vec::new(),
        }
    }

    fn left_count(&self) -> usize {
        self.left_ns.iter().flatten().count()
    }

    /// Share of the frames from `first` on that left.
    fn delivered_share(&self, first: u32) -> f64 {
        let sample = &self.left_ns[first as usize..];
        sample.iter().flatten().count() as f64 / sample.len().max(1) as f64
    }

    /// Latencies of the frames from `first` on that left.
    fn latency(&self, first: u32, offered_ns: impl Fn(u32) -> u64) -> LatencyNs {
        let sample = (first..).zip(&self.left_ns[first as usize..]);
        let mut times: Vec<u64> = sample
            .filter_map(|(frame, left)| Some(left.as_ref()?.saturating_sub(offered_ns(frame))))
            .collect();
        times.sort_unstable();
        // The least time that a share of the frames, in thousandths, didn't exceed.
        let at = |permille: usize| {
            times
                .get((times.len() * permille).div_ceil(1_000).max(1) - 1)
                .copied()
                .unwrap_or(0)
        };
        LatencyNs {
            p50: at(500),
            p90: at(900),
            p99: at(990),
            p99_9: at(999),
            max: at(1_000),
        }
    }

    /// Frames from `first` on that were dropped, by reason.
    fn drops(&self, first: u32, unit: impl Fn(&str) -> String) -> Vec<Drops> {
        let mut by_reason = BTreeMap::new();
        for (_, reason) in self.dropped.iter().filter(|(frame, _)| *frame >= first) {
            *by_reason.entry(*reason).or_insert(0u64) += 1;
        }
        let drops = by_reason.into_iter().map(|(reason, frames)| Drops {
            unit: unit(reason),
            reason: reason.to_owned(),
            frames,
        });
        drops.collect()
    }
}

/// The time of the sample.
struct Window {
    /// First frame of it.
    first: u32,
    /// In picoseconds since the load began.
    start_ps: u64,
    end_ps: u64,
}

impl Window {
    fn holds(&self, time_ps: u64) -> bool {
        (self.start_ps..self.end_ps).contains(&time_ps)
    }

    /// Frames a second within the window: those after the first of its times until the last, so that frames which come in bunches
    /// count as whole bunches.
    fn rate(&self, mut times_ps: Vec<u64>) -> f64 {
        times_ps.retain(|time| self.holds(*time));
        times_ps.sort_unstable();
        let (Some(first), Some(last)) = (times_ps.first(), times_ps.last()) else {
            return 0.0;
        };
        let count = times_ps.iter().filter(|time| *time > first).count();
        if first == last {
            0.0
        } else {
            count as f64 * 1e12 / (last - first) as f64
        }
    }
}

#[cfg(test)]
mod tests;
