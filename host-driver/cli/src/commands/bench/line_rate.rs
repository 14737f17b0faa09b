//! `sealnic bench line-rate`: how much of its line's rate a NIC reaches, on the cycle model.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sealnic_hw_model::cycle::HwConfig;
use sealnic_sim::line_rate::bed::WireMark;
use sealnic_sim::line_rate::csv::{WireWriter, write_report};
use sealnic_sim::line_rate::inside::{self, CycleMeter};
use sealnic_sim::line_rate::sweep::{Extent, Observer, Plan, PlannedPoint, sweep};
use sealnic_sim::line_rate::{LineRateReport, Point, Series, html};
use sealnic_sim::run::outputs::write_json;

use crate::commands::{CommandError, hardware};

/// Sweeps frame sizes and flows through a cycle model, in both directions at once, and compares with what the line allows.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Hardware that the model is built of: a file, or the name of a preset (100g, 200g, 400g, entry). The default is 100g.
    #[arg(long, value_name = "FILE")]
    hw: Option<PathBuf>,
    /// Directory for line-rate.csv, line-rate.html, line-rate.json and wire-timestamps.csv; made when it is missing.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Measure a few points only.
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// Count ten times as many frames at each point.
    #[arg(long)]
    full: bool,
    /// Seed of the order in which flows come.
    #[arg(long, value_name = "NUMBER", default_value_t = 0, value_parser = clap::value_parser!(u64).range(..1 << 62))]
    seed: u64,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

/// Shows how far the sweep is, and writes the wire port's file where one is wanted.
struct Progress {
    bar: ProgressBar,
    wire: Option<WireWriter<BufWriter<File>>>,
}

impl Observer for Progress {
    fn begin(&mut self, number: usize, of: usize, point: &PlannedPoint) {
        self.bar.set_length(of as u64);
        self.bar.set_position(number as u64);
        self.bar.set_message(format!(
            "{}, {} octets, {} flows",
            point.protection.name(),
            point.frame_len,
            point.flows
        ));
    }

    fn wire(&mut self, number: usize, marks: &[(WireMark, bool)]) {
        if let Some(wire) = &mut self.wire {
            wire.wire(number, marks);
        }
    }
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<(), CommandError> {
    let config = match &args.hw {
        Some(name) => hardware(name)?,
        None => HwConfig::default_preset()?,
    };
    let extent = match (args.quick, args.full) {
        (true, _) => Extent::Quick,
        (false, true) => Extent::Full,
        (false, false) => Extent::Normal,
    };
    let plan = Plan::new(extent, config.core.pipelines, args.seed);
    let timestamps = args.out.as_ref().map(|out| out.join("wire-timestamps.csv"));
    let wire = match (&args.out, &timestamps) {
        (Some(out), Some(path)) => {
            fs::create_dir_all(out).map_err(|error| named(out, &error))?;
            let file = File::create(path).map_err(|error| named(path, &error))?;
            Some(WireWriter::new(BufWriter::new(file)).map_err(|error| named(path, &error))?)
        }
        _ => None,
    };
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} points, {eta} left: {msg}") {
        bar.set_style(style);
    }
    let mut progress = Progress { bar, wire };
    let swept = sweep(
        &plan,
        inside::hardware(&config),
        |model| CycleMeter::new(model, &config),
        &mut progress,
    );
    progress.bar.finish_and_clear();
    let report = swept.map_err(|error| CommandError::Bench(error.to_string()))?;
    if let Some(out) = &args.out {
        if let Some((wire, path)) = progress.wire.zip(timestamps) {
            wire.finish().map_err(|error| named(&path, &error))?;
        }
        write_files(out, &report)?;
    }
    let mut out = BufWriter::new(io::stdout().lock());
    if args.json {
        serde_json::to_writer_pretty(&mut out, &report).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        write_text(&mut out, &report)?;
        if let Some(dir) = &args.out {
            let dir = dir.display();
            writeln!(
                out,
                "\nWrote line-rate.csv, line-rate.html, line-rate.json and wire-timestamps.csv to {dir}"
            )?;
        }
    }
    out.flush()?;
    Ok(())
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn write_files(out: &Path, report: &LineRateReport) -> io::Result<()> {
    let written = |name: &str, write: &dyn Fn(&Path) -> io::Result<()>| {
        let path = out.join(name);
        write(&path).map_err(|error| named(&path, &error))
    };
    written("line-rate.csv", &|path| {
        let mut csv = BufWriter::new(File::create(path)?);
        write_report(&mut csv, report)?;
        csv.flush()
    })?;
    written("line-rate.html", &|path| fs::write(path, html::page(report)))?;
    written("line-rate.json", &|path| write_json(path, report))
}

/// Writes the figures for people.
fn write_text(out: &mut impl Write, report: &LineRateReport) -> io::Result<()> {
    let hardware = &report.hardware;
    writeln!(
        out,
        "Hardware {}, line of {} Gbit/s, both directions at once, offered as much as the line could carry.\n\
         Sizes are frames at the VM with FCS; goodput counts the VM's IP packets; latency is from edge to edge, queues included.",
        hardware.name,
        hardware.line_mbit_per_s as f64 / 1_000.0
    )?;
    let titles = [
        (Series::FrameSizes, "Frame sizes, tables on chip"),
        (Series::Flows, "Flows"),
    ];
    for (series, title) in titles {
        let points: Vec<&Point> = report.points.iter().filter(|point| point.series == series).collect();
        if points.is_empty() {
            continue;
        }
        writeln!(out, "\n{title}")?;
        let mut table = super::table([
            "protection",
            "direction",
            "frame",
            "flows",
            "order",
            "goodput, Gbit/s",
            "line allows",
            "Mframes/s",
            "of line, %",
            "p50, ns",
            "p99, ns",
            "p99.9, ns",
            "max, ns",
            "dropped",
            "limit",
        ]);
        for point in points {
            for figures in &point.directions {
                let (limit, latency) = (&figures.limit, &figures.latency);
                table.add_row([
                    point.protection.name().to_owned(),
                    figures.direction.name().to_owned(),
                    point.frame_len.to_string(),
                    point.flows.to_string(),
                    point.distribution.name().to_owned(),
                    format!("{:.3}", figures.achieved.goodput_gbit_per_s),
                    format!("{:.3}", figures.line.goodput_gbit_per_s),
                    format!("{:.3}", figures.achieved.mframes_per_s()),
                    format!("{:.2}", figures.percent_of_line()),
                    latency.p50.to_string(),
                    latency.p99.to_string(),
                    latency.p99_9.to_string(),
                    latency.max.to_string(),
                    figures.dropped().to_string(),
                    format!("{} {} {:.0} %", limit.unit, limit.cause, limit.busy_percent),
                ]);
            }
        }
        writeln!(out, "{}", table.trim_fmt())?;
    }
    Ok(())
}
