//! The points of a sweep, one after another.

use super::bed::{Bed, BedError, Load, Meter, WireMark};
use super::report::FORMAT;
use super::traffic::{MAX_FLOWS, MAX_PAIRS};
use super::{Distribution, Hardware, LineRateReport, Point, Protection, Series};
use crate::run::RunError;
use sealnic_hw_model::{HwModel, ModelConfig};

/// Frame sizes with FCS, in octets: those of RFC 2544, those beside a change of words, and those of MTUs.
pub const FRAME_LENS: [u32; 12] = [64, 65, 127, 128, 256, 512, 1_024, 1_280, 1_454, 1_500, 1_518, 9_000];
/// Those of a quick sweep.
pub const QUICK_FRAME_LENS: [u32; 4] = [64, 65, 512, 9_000];
/// Flows in each direction while sizes vary: their lines fit on chip.
pub const RESIDENT_FLOWS: u32 = 64;
/// Frame size while flows vary: the one that asks most of the tables.
pub const FLOWS_FRAME_LEN: u32 = 64;
/// Numbers of flows in each direction.
pub const FLOWS: [u32; 5] = [1, 1_000, 10_000, 100_000, 1_000_000];
/// Those of a quick sweep.
pub const QUICK_FLOWS: [u32; 2] = [1, 10_000];
/// Orders of flows.
pub const DISTRIBUTIONS: [Distribution; 3] = [Distribution::Uniform, Distribution::Zipf, Distribution::Cyclic];
/// Frames that fill pipelines and queues, at least.
const WARM_UP_FRAMES: u32 = 4_000;
/// The same where many flows may fill queues slowly, at most.
const MAX_WARM_UP_FRAMES: u32 = 200_000;
/// Pairs of VMs for each pipeline, where there are several: associations enough to keep each busy.
const PAIRS_PER_PIPELINE: u32 = 4;

/// How thorough a sweep is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Extent {
    /// A few points, for checks.
    Quick,
    /// All points.
    #[default]
    Normal,
    /// All points, with ten times as many frames.
    Full,
}

/// A sweep.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Frames of a sample.
    pub sample_frames: u32,
    /// Seed of the orders of flows.
    pub seed: u64,
    /// Pairs of VMs, each with an association.
    pub pairs: u32,
    /// Points, those of one protection together.
    pub points: Vec<PlannedPoint>,
}

/// One point of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlannedPoint {
    /// What varies around it.
    pub series: Series,
    /// How frames are protected.
    pub protection: Protection,
    /// Size with FCS.
    pub frame_len: u32,
    /// Flows in each direction.
    pub flows: u32,
    /// Order of the flows.
    pub distribution: Distribution,
}

impl Plan {
    /// The plan of an extent for a NIC with so many pipelines.
    #[must_use]
    pub fn new(extent: Extent, pipelines: u32, seed: u64) -> Self {
        let is_quick = extent == Extent::Quick;
        let (frame_lens, flows) = if is_quick {
            (&QUICK_FRAME_LENS[..], &QUICK_FLOWS[..])
        } else {
            (&FRAME_LENS[..], &FLOWS[..])
        };
        let mut points = Vec::new();
        for protection in [Protection::Clear, Protection::Dtls12, Protection::Dtls13] {
            points.extend(frame_lens.iter().map(|frame_len| PlannedPoint {
                series: Series::FrameSizes,
                protection,
                frame_len: *frame_len,
                flows: RESIDENT_FLOWS,
                distribution: Distribution::Uniform,
            }));
        }
        for distribution in DISTRIBUTIONS {
            points.extend(flows.iter().map(|flows| PlannedPoint {
                series: Series::Flows,
                protection: Protection::Dtls13,
                frame_len: FLOWS_FRAME_LEN,
                flows: *flows,
                distribution,
            }));
        }
        Self {
            sample_frames: match extent {
                Extent::Quick => 4_000,
                Extent::Normal => 10_000,
                Extent::Full => 100_000,
            },
            seed,
            // One association keeps to one pipeline, so several pipelines need several.
            pairs: if pipelines == 1 {
                1
            } else {
                (pipelines * PAIRS_PER_PIPELINE).min(MAX_PAIRS)
            },
            points,
        }
    }
}

/// Hears how far a sweep is, and what passed the wire port.
pub trait Observer {
    /// A point is about to be measured.
    fn begin(&mut self, number: usize, of: usize, point: &PlannedPoint);

    /// Frames of a point's sample at the wire port, and whether each was sent or reached its VM.
    fn wire(&mut self, number: usize, marks: &[(WireMark, bool)]);
}

/// Measures every point of a plan on NICs that `nic` makes.
///
/// # Errors
/// [`BedError`].
pub fn sweep<M: Meter>(
    plan: &Plan,
    hardware: Hardware,
    mut nic: impl FnMut(&ModelConfig) -> Result<(Box<dyn HwModel>, M), RunError>,
    observer: &mut dyn Observer,
) -> Result<LineRateReport, BedError> {
    let mut points = Vec::new();
    let mut bed: Option<(Protection, Bed<M>)> = None;
    for (number, planned) in plan.points.iter().enumerate() {
        observer.begin(number, plan.points.len(), planned);
        let bed = match &mut bed {
            Some((protection, bed)) if *protection == planned.protection => bed,
            none => {
                // The last one's tables go before the next one's come.
                *none = None;
                let same = plan
                    .points
                    .iter()
                    .filter(|point| point.protection == planned.protection);
                let flows = same.map(|point| point.flows).max().unwrap_or(1).min(MAX_FLOWS);
                let line = hardware.line_mbit_per_s;
                let made = Bed::new(planned.protection, plan.pairs, flows, line, &mut nic)?;
                &mut none.insert((planned.protection, made)).1
            }
        };
        let warm_up_frames = (planned.flows * 2).clamp(WARM_UP_FRAMES, MAX_WARM_UP_FRAMES);
        let outcome = bed.measure(&Load {
            frame_len: planned.frame_len,
            flows: planned.flows,
            distribution: planned.distribution,
            warm_up_frames,
            sample_frames: plan.sample_frames,
            seed: plan.seed,
        })?;
        observer.wire(number, &outcome.wire);
        points.push(Point {
            series: planned.series,
            protection: planned.protection,
            frame_len: planned.frame_len,
            flows: planned.flows,
            distribution: planned.distribution,
            sample_frames: plan.sample_frames,
            directions: outcome.directions,
        });
    }
    Ok(LineRateReport {
        format: FORMAT,
        sealnic: env!("CARGO_PKG_VERSION").to_owned(),
        seed: plan.seed,
        hardware,
        points,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_hold_every_size_and_distribution_that_they_promise() {
        let plan = Plan::new(Extent::Normal, 1, 0);
        assert_eq!(plan.points.len(), 3 * FRAME_LENS.len() + 3 * FLOWS.len());
        assert_eq!(plan.pairs, 1);
        assert!(plan.points.iter().all(|point| point.flows <= MAX_FLOWS));
        let quick = Plan::new(Extent::Quick, 4, 0);
        assert!(quick.points.iter().all(|point| plan.points.contains(point)));
        assert!(quick.points.len() < plan.points.len() && quick.pairs == 16);
        assert!(Plan::new(Extent::Full, 16, 0).pairs <= MAX_PAIRS);
        // A bed is made once for each protection.
        let changes = plan
            .points
            .windows(2)
            .filter(|pair| pair[0].protection != pair[1].protection);
        assert_eq!(changes.count(), 2);
    }
}
