//! What a sweep found, as data: the source of the table, the CSV file and the page.

use super::theory::{goodput_gbit_per_s, line_frames_per_s};
use serde::{Deserialize, Serialize};

/// Version of the report's fields.
pub const FORMAT: u32 = 1;

/// All of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LineRateReport {
    /// [`FORMAT`].
    pub format: u32,
    /// Version of the program that measured.
    pub sealnic: String,
    /// Seed of the order of flows.
    pub seed: u64,
    /// What was measured.
    pub hardware: Hardware,
    /// Points of all series, in the order in which they were measured.
    pub points: Vec<Point>,
}

/// The NIC that was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hardware {
    /// The hardware file's name.
    pub name: String,
    /// Rate of its wire port, in Mbit/s.
    pub line_mbit_per_s: u64,
    /// All of the hardware file, in its order.
    pub parameters: Vec<Parameter>,
}

/// One line of a hardware file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameter {
    /// Path of the field, its unit at the end of the name: `engine.lanes`, `clock_mhz`.
    pub name: String,
    /// Value as text.
    pub value: String,
}

/// What a series varies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Series {
    /// Frame sizes, with tables that fit on chip.
    FrameSizes,
    /// Numbers of flows and their distributions, at one frame size.
    Flows,
}

/// How frames are protected on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protection {
    /// Not at all: the clear overlay.
    Clear,
    /// DTLS 1.2, AES-256-GCM, connection id.
    Dtls12,
    /// DTLS 1.3, AES-256-GCM, connection id.
    Dtls13,
}

impl Protection {
    /// Name for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Clear => "clear",
            Self::Dtls12 => "DTLS 1.2",
            Self::Dtls13 => "DTLS 1.3",
        }
    }
}

/// In which order frames take their flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Distribution {
    /// Each flow with the same chance.
    Uniform,
    /// The n-th flow with a chance in proportion to 1/n.
    Zipf,
    /// One flow after another in an order drawn once, so that the flow of a frame is the one unused for longest: the worst that a cache
    /// can meet. The banks of the table memory are met as by chance.
    Cyclic,
}

impl Distribution {
    /// Name for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Zipf => "Zipf",
            Self::Cyclic => "worst case",
        }
    }
}

/// From the NIC's point of view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From VMs to the wire.
    Egress,
    /// From the wire to VMs.
    Ingress,
}

impl Direction {
    /// Name for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Egress => "egress",
            Self::Ingress => "ingress",
        }
    }
}

/// One load, and what came of it in both directions at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Series that the point belongs to.
    pub series: Series,
    /// How frames were protected.
    pub protection: Protection,
    /// Size at the VM with FCS, in octets.
    pub frame_len: u32,
    /// Flows in each direction.
    pub flows: u32,
    /// Order of the flows.
    pub distribution: Distribution,
    /// Frames in each direction that were counted, after those that filled pipelines and caches.
    pub sample_frames: u32,
    /// Egress and ingress.
    pub directions: Vec<DirectionFigures>,
}

/// What came of a load in one direction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DirectionFigures {
    /// Which one.
    pub direction: Direction,
    /// What the wire allows at most.
    pub line: Rates,
    /// What was asked for.
    pub offered: Rates,
    /// What came out.
    pub achieved: Rates,
    /// From the time a frame was offered until its last bit left, or its completion was written.
    pub latency: LatencyNs,
    /// Frames of the sample that were dropped, by place and reason.
    pub drops: Vec<Drops>,
    /// What holds the direction back most.
    pub limit: Limit,
}

impl DirectionFigures {
    /// What came out, as a share of what the line allows, in percent.
    #[must_use]
    pub fn percent_of_line(&self) -> f64 {
        self.achieved.frames_per_s / self.line.frames_per_s * 100.0
    }

    /// Frames of the sample that were dropped.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.drops.iter().map(|drops| drops.frames).sum()
    }
}

/// A rate, twice.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Rates {
    /// Frames a second.
    pub frames_per_s: f64,
    /// The VM's IP packets among them, in Gbit/s.
    pub goodput_gbit_per_s: f64,
}

impl Rates {
    /// Those of frames of a size.
    #[must_use]
    pub fn new(frame_len: u32, frames_per_s: f64) -> Self {
        Self {
            frames_per_s,
            goodput_gbit_per_s: goodput_gbit_per_s(frame_len, frames_per_s),
        }
    }

    /// Those of a full line.
    #[must_use]
    pub fn of_line(protection: Protection, frame_len: u32, line_mbit_per_s: u64) -> Self {
        Self::new(frame_len, line_frames_per_s(protection, frame_len, line_mbit_per_s))
    }

    /// Millions of frames a second.
    #[must_use]
    pub fn mframes_per_s(&self) -> f64 {
        self.frames_per_s / 1e6
    }
}

/// Percentiles of latency, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LatencyNs {
    /// Half of the frames took no longer.
    pub p50: u64,
    /// 90 %.
    pub p90: u64,
    /// 99 %.
    pub p99: u64,
    /// 99.9 %.
    pub p99_9: u64,
    /// All.
    pub max: u64,
}

/// Frames dropped in one place for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drops {
    /// Unit of the NIC.
    pub unit: String,
    /// Reason, as the NIC's counter is called.
    pub reason: String,
    /// Frames.
    pub frames: u64,
}

/// What holds a direction back most.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Limit {
    /// Unit of the NIC, as in its statistics: that of the direction which let frames wait for the greatest part of the time.
    pub unit: String,
    /// That part, in percent.
    pub busy_percent: f64,
    /// What it did then for the most part: it was busy, or waited for something.
    pub cause: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_shares_follow_from_frames_a_second() {
        let line = Rates::of_line(Protection::Dtls13, 64, 100_000);
        let half = Rates::new(64, line.frames_per_s / 2.0);
        assert!((line.mframes_per_s() - 77.160_493).abs() < 1e-6);
        assert!((half.goodput_gbit_per_s * 2.0 - line.goodput_gbit_per_s).abs() < 1e-9);
        let drops = |frames| Drops {
            unit: "egress.queue".to_owned(),
            reason: "VfQueueFull".to_owned(),
            frames,
        };
        let figures = DirectionFigures {
            direction: Direction::Egress,
            line,
            offered: line,
            achieved: half,
            latency: LatencyNs::default(),
            drops: vec![drops(3), drops(4)],
            limit: Limit {
                unit: "egress.engine".to_owned(),
                busy_percent: 100.0,
                cause: "busy".to_owned(),
            },
        };
        assert!((figures.percent_of_line() - 50.0).abs() < 1e-9);
        assert_eq!(figures.dropped(), 7);
    }
}
