//! How long things take: samples, and what they come to.

use serde::Serialize;
use std::fmt::Write as _;
use std::time::Duration;

/// What samples of one quantity come to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    /// What was measured.
    pub name: &'static str,
    /// Unit of all values.
    pub unit: &'static str,
    /// Samples.
    pub samples: usize,
    /// Least.
    pub min: f64,
    /// Half are not above it.
    pub p50: f64,
    /// Nine in ten are not above it.
    pub p90: f64,
    /// Ninety-nine in a hundred are not above it.
    pub p99: f64,
    /// Greatest.
    pub max: f64,
}

impl Figure {
    /// Of durations, in microseconds; `None` without samples.
    #[must_use]
    pub fn of_durations(name: &'static str, samples: &[Duration]) -> Option<Self> {
        Self::of(
            name,
            "us",
            samples.iter().map(|sample| sample.as_secs_f64() * 1e6).collect(),
        )
    }

    /// A rate: so many in so long.
    #[must_use]
    pub fn of_rate(name: &'static str, count: usize, took: Duration) -> Option<Self> {
        Self::of(name, "1/s", vec![count as f64 / took.as_secs_f64().max(1e-9)])
    }

    fn of(name: &'static str, unit: &'static str, mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        // Nearest rank.
        let rank = |percent: usize| {
            values
                .get((values.len() * percent).div_ceil(100).saturating_sub(1))
                .copied()
        };
        Some(Self {
            name,
            unit,
            samples: values.len(),
            min: *values.first()?,
            p50: rank(50)?,
            p90: rank(90)?,
            p99: rank(99)?,
            max: *values.last()?,
        })
    }
}

/// Figures as a table for people.
#[must_use]
pub fn table(transport: &str, figures: &[Figure]) -> String {
    let mut text = format!(
        "{:40} {:>8} {:>6} {:>10} {:>10} {:>10} {:>10} {:>10}\n",
        format!("[{transport}]"),
        "samples",
        "unit",
        "min",
        "p50",
        "p90",
        "p99",
        "max"
    );
    for f in figures {
        // Writing to a string can't fail.
        let _ = writeln!(
            text,
            "{:40} {:>8} {:>6} {:>10.1} {:>10.1} {:>10.1} {:>10.1} {:>10.1}",
            f.name, f.samples, f.unit, f.min, f.p50, f.p90, f.p99, f.max
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let samples: Vec<_> = (1..=200).rev().map(Duration::from_micros).collect();
        let f = Figure::of_durations("x", &samples).unwrap();
        let round = |v: f64| v.round() as u32;
        assert_eq!([f.min, f.p50, f.p90, f.p99, f.max].map(round), [1, 100, 180, 198, 200]);
        assert_eq!(Figure::of_durations("none", &[]), None);
        let one = Figure::of_rate("rate", 10, Duration::from_secs(2)).unwrap();
        assert_eq!([one.min, one.p99].map(round), [5, 5]);
        assert!(table("t", &[one]).lines().nth(1).unwrap().contains("rate"));
    }
}
