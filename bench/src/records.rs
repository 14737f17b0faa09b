//! Seal and open per record, side by side.
//!
//! Records are sealed in a batch and opened in the same order, so that neither part holds a copy; the batch fits the
//! first-level cache. An opened record is checked, so no octet of work can be left out.

use crate::contenders::{Contender, Visitor, visit_all};
use crate::machine::Machine;
use crate::measure::{Effort, Runs, Stopwatch};
use crate::report::{Sample, Table, ns};
use anyhow::{Result, ensure};
use sealnic_dtls::CipherSuite;
use std::hint::black_box;
use std::time::Duration;

/// Payloads, in octets.
pub(crate) const SIZES: [usize; 7] = [64, 256, 512, 1024, 1454, 8192, 16384];

/// Octets that a batch of records may take, well within a first-level data cache.
const BATCH_OCTETS: usize = 20_480;

struct Measure<'a> {
    effort: Effort,
    cipher: &'static str,
    samples: &'a mut Vec<Sample>,
}

impl Visitor for Measure<'_> {
    fn visit(&mut self, mut contender: impl Contender) -> Result<()> {
        for octets in SIZES {
            let (seal, open) = measure(&mut contender, octets, self.effort)?;
            for (part, mut runs) in [("seal", seal), ("open", open)] {
                self.samples.push(Sample {
                    cipher: Some(self.cipher.into()),
                    ..Sample::new(part, contender.name(), octets, runs.timing())
                });
            }
        }
        Ok(())
    }
}

fn measure(contender: &mut impl Contender, octets: usize, effort: Effort) -> Result<(Runs, Runs)> {
    let stopwatch = Stopwatch::new();
    let (before, behind) = contender.room();
    let mut batch = vec![vec![0x5a; before + octets + behind]; (BATCH_OCTETS / octets).clamp(1, 64)];
    let (mut seals, mut opens) = (Runs::default(), Runs::default());
    let mut good = true;
    // One run more, to warm up.
    for run in 0..=effort.runs {
        let (mut seal_time, mut open_time, mut records) = (Duration::ZERO, Duration::ZERO, 0);
        while seal_time < effort.run_time {
            seal_time += stopwatch.time(|| batch.iter_mut().for_each(|record| contender.seal(record)));
            open_time += stopwatch.time(|| batch.iter_mut().for_each(|record| good &= contender.open(record)));
            records += batch.len();
        }
        if run > 0 {
            seals.add(seal_time, records);
            opens.add(open_time, records);
        }
    }
    ensure!(good, "{} did not open what it sealed", contender.name());
    Ok((seals, opens))
}

/// Measures everything, and memory copies besides.
pub(crate) fn run(effort: Effort) -> Result<Vec<Sample>> {
    let mut samples = Vec::new();
    for (suite, cipher) in [
        (CipherSuite::Aes128Gcm, "AES-128-GCM"),
        (CipherSuite::Aes256Gcm, "AES-256-GCM"),
    ] {
        visit_all(
            suite,
            &mut Measure {
                effort,
                cipher,
                samples: &mut samples,
            },
        )?;
    }
    for octets in SIZES {
        let (from, mut to) = (vec![1u8; octets], vec![0u8; octets]);
        let (stopwatch, mut runs) = (Stopwatch::new(), Runs::default());
        for _ in 0..effort.runs {
            let (mut total, mut copies) = (Duration::ZERO, 0);
            while total < effort.run_time {
                total += stopwatch.time(|| {
                    for _ in 0..256 {
                        black_box(&mut to).copy_from_slice(black_box(&from));
                    }
                });
                copies += 256;
            }
            runs.add(total, copies);
        }
        samples.push(Sample::new("memory", "copy of the payload", octets, runs.timing()));
    }
    Ok(samples)
}

/// Cycles per 64 octets that no AES-GCM can beat where AESENC on 512 bits takes one cycle and VPCLMULQDQ two.
fn bound_cycles(cipher: &str) -> f64 {
    if cipher == "AES-128-GCM" { 15.0 } else { 18.0 }
}

/// Tables of the quickest and of the median run, with the ratio to the best other library.
pub(crate) fn print(samples: &[Sample], machine: &Machine) {
    for part in ["seal", "open"] {
        for cipher in ["AES-128-GCM", "AES-256-GCM"] {
            let rows: Vec<&Sample> = samples
                .iter()
                .filter(|s| s.part == part && s.cipher.as_deref() == Some(cipher))
                .collect();
            println!("\n### {part}, {cipher}: ns per record, quickest run (median)\n");
            let mut table = Table::new(header("payload, octets"));
            let mut names: Vec<&str> = Vec::new();
            for row in &rows {
                if !names.contains(&row.what.as_str()) {
                    names.push(&row.what);
                }
            }
            let figure = |name: &str, octets| rows.iter().find(|s| s.what == name && s.octets == octets);
            for name in &names {
                let cells = SIZES.map(|octets| {
                    figure(name, octets).map_or_else(String::new, |s| format!("{} ({})", ns(s.min_ns), ns(s.median_ns)))
                });
                table.row([(*name).to_owned()].into_iter().chain(cells));
            }
            let best_other = |octets| {
                let others = names.iter().filter(|name| !name.starts_with("SealNIC"));
                others
                    .filter_map(|name| figure(name, octets))
                    .map(|s| s.min_ns)
                    .fold(f64::INFINITY, f64::min)
            };
            for name in names.iter().filter(|name| name.starts_with("SealNIC")) {
                let cells = SIZES.map(|octets| {
                    let own = figure(name, octets).map_or(f64::NAN, |s| s.min_ns);
                    format!("{:.2}×", own / best_other(octets))
                });
                let title = format!("{} / best other library", name.replace(", 8-octet id", ""));
                table.row([title].into_iter().chain(cells));
            }
            let bound = SIZES.map(|octets| ns(bound_cycles(cipher) * (octets as f64 / 64.0) / machine.ghz));
            table.row(
                ["limit of Zen 4 units at this clock".to_owned()]
                    .into_iter()
                    .chain(bound),
            );
            if part == "seal" {
                let copy = SIZES.map(|octets| {
                    samples
                        .iter()
                        .find(|s| s.part == "memory" && s.octets == octets)
                        .map_or_else(String::new, |s| ns(s.min_ns))
                });
                table.row(["copy of the payload in memory".to_owned()].into_iter().chain(copy));
            }
            print!("{table}");
        }
    }
}

fn header(first: &str) -> impl Iterator<Item = String> {
    std::iter::once(first.to_owned()).chain(SIZES.map(|octets| octets.to_string()))
}
