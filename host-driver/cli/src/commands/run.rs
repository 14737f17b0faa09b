//! `sealnic run`: a scenario's capture through its NICs.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::ValueEnum;
use comfy_table::{CellAlignment, Table};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sealnic_sim::Scenario;
use sealnic_sim::run::summary::Summary;
use sealnic_sim::run::timed::Observation;
use sealnic_sim::run::{self, ModelKind, Progress, RunOptions};

use super::{CommandError, client, hardware};

/// Drives a capture through a whole scenario: every frame goes from its VM through the NICs to where it belongs.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Scenario file.
    scenario: PathBuf,
    /// Directory for wire.pcapng, vm-NAME.pcapng, flow-log.json, summary.json and, with --model cycle, cycles.json; made when it is missing.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// What stands for the NICs.
    #[arg(long, value_enum, default_value_t = Model::Functional)]
    model: Model,
    /// Hardware that the cycle model is built of: a file, or the name of a preset (100g, 200g, 400g, entry). The default is 100g.
    #[arg(long, value_name = "FILE")]
    hw: Option<PathBuf>,
    /// Write a waveform of the cycle model's FIFOs and units to FILE (FST, for GTKWave or Surfer).
    #[arg(long, value_name = "FILE")]
    wave: Option<PathBuf>,
    /// Write a trace of frames through the cycle model's units to FILE (JSON, for ui.perfetto.dev).
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Do all that the cycle model did once more on the functional model, in the order in which it changed state, and fail if a verdict, an
    /// octet, an event or a counter differs.
    #[arg(long)]
    check_replay: bool,
    /// Capture to run instead of the scenario's.
    #[arg(long, value_name = "FILE")]
    capture: Option<PathBuf>,
    /// Print the summary as JSON.
    #[arg(long)]
    json: bool,
    /// Put the fate of every frame into the summary.
    #[arg(long)]
    frame_fates: bool,
    /// Share of datagrams that the wire loses (0 to 1).
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    loss: f64,
    /// Share of datagrams that the wire holds back behind later ones (0 to 1).
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    reorder: f64,
    /// Share of datagrams that the wire delivers twice (0 to 1).
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    duplicate: f64,
    /// Share of datagrams in which the wire flips one bit (0 to 1).
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    corrupt: f64,
    /// Seed of all that is drawn and is no key: the wire's choices, connection ids, hash secrets.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    seed: u64,
    /// Write the run's record keys to FILE as JSON. Whoever has them can read and forge the run's traffic.
    #[arg(long, value_name = "FILE")]
    unsafe_write_keys: Option<PathBuf>,
    /// Use the same keys in every run, so that its octets repeat. Two runs of different traffic then break the cipher.
    #[arg(long)]
    unsafe_fixed_keys: bool,
}

/// Models on the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Model {
    /// What happens to a frame, at once.
    Functional,
    /// When it happens too, cycle by cycle.
    Cycle,
}

fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=1.0).contains(&share) {
        Ok(share)
    } else {
        Err("not between 0 and 1".to_owned())
    }
}

/// Progress on standard error, where that is a terminal.
struct Bar(ProgressBar);

impl Progress for Bar {
    fn frames(&mut self, done: usize, total: usize) {
        self.0.set_length(total as u64);
        self.0.set_position(done as u64);
    }
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<(), CommandError> {
    let model = match args.model {
        Model::Functional => ModelKind::Functional,
        Model::Cycle => ModelKind::Cycle,
    };
    let timed = [
        ("--hw", args.hw.is_some()),
        ("--wave", args.wave.is_some()),
        ("--trace", args.trace.is_some()),
        ("--check-replay", args.check_replay),
    ];
    if let Some((option, _)) = timed.iter().find(|(_, given)| *given && model != ModelKind::Cycle) {
        return Err(CommandError::Usage(format!(
            "{option} is of use with --model cycle only, the functional model takes no time; add --model cycle, or leave {option} out"
        )));
    }
    let hardware = args.hw.as_deref().map(hardware).transpose()?;
    let mut scenario = Scenario::load(&args.scenario)?;
    if let Some(capture) = &args.capture {
        scenario.traffic = Some(sealnic_sim::scenario::Traffic {
            capture: capture.clone(),
        });
    }
    let mut errors = io::stderr().lock();
    if let Some(path) = &args.unsafe_write_keys {
        writeln!(
            errors,
            "sealnic: warning: {} will hold keys that open and forge all of this run's traffic",
            path.display()
        )?;
    }
    if args.unsafe_fixed_keys {
        writeln!(
            errors,
            "sealnic: warning: the same keys are used in every run with --unsafe-fixed-keys; never show two such runs"
        )?;
    }
    drop(errors);
    let options = RunOptions {
        out: args.out.clone(),
        model,
        hardware,
        observation: Observation {
            wave: args.wave.clone(),
            trace: args.trace.clone(),
        },
        check_replay: args.check_replay,
        impairments: sealnic_hw_model::middleware::Impairments {
            loss: args.loss,
            reorder: args.reorder,
            duplicate: args.duplicate,
            corrupt: args.corrupt,
            seed: args.seed,
        },
        seed: args.seed,
        unsafe_fixed_keys: args.unsafe_fixed_keys,
        unsafe_write_keys: args.unsafe_write_keys.clone(),
        frame_fates: args.frame_fates,
        inputs: [&args.scenario].into_iter().chain(&args.hw).cloned().collect(),
    };
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} frames, {per_sec}, {eta} left") {
        bar.set_style(style);
    }
    let mut bar = Bar(bar);
    let result = run::run(&scenario, &options, &mut bar);
    bar.0.finish_and_clear();
    let summary = result?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    if args.json {
        serde_json::to_writer_pretty(&mut out, &summary).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        write_text(&mut out, &summary, args)?;
    }
    out.flush()?;
    Ok(())
}

/// Writes the summary for people.
fn write_text(out: &mut impl Write, summary: &Summary, args: &Args) -> io::Result<()> {
    let frames = &summary.frames;
    write!(
        out,
        "Run of scenario {} on the {} model",
        summary.scenario, summary.model
    )?;
    match &summary.hardware {
        Some(hardware) => writeln!(out, " of hardware {hardware}")?,
        None => writeln!(out)?,
    }
    writeln!(out)?;
    let mut table = table(["frames of the capture", ""]);
    let mut row = |name: &str, count: u64, always: bool| {
        if always || count != 0 {
            table.add_row([name, &count.to_string()]);
        }
    };
    row("in the capture", frames.capture, true);
    row("of no VM of the scenario", frames.not_in_scenario, false);
    row("handed to a NIC", frames.submitted, true);
    row("delivered to their VM", frames.delivered, true);
    row("  sealed on the wire", frames.sealed, true);
    row("  clear on the wire", frames.clear, true);
    row("  on the same host", frames.local, false);
    row("answered by the NIC", frames.consumed, false);
    row("handed to the host", frames.host, false);
    row("lost on the wire", frames.lost, false);
    row("dropped", frames.dropped, true);
    writeln!(out, "{}", table.trim_fmt())?;
    if !summary.drops.is_empty() {
        writeln!(out)?;
        let mut table = self::table(["drops by reason", ""]);
        for (reason, count) in &summary.drops {
            table.add_row([(*reason).to_owned(), count.to_string()]);
        }
        writeln!(out, "{}", table.trim_fmt())?;
    }
    writeln!(out)?;
    let mut table = self::table(["VM", "sent", "received"]);
    for (name, vm) in &summary.vms {
        table.add_row([name.clone(), vm.sent.to_string(), vm.received.to_string()]);
    }
    writeln!(out, "{}", table.trim_fmt())?;
    let a = &summary.accounting;
    writeln!(out)?;
    writeln!(
        out,
        "Accounting over all NICs: {} in + {} generated + {} copied = {} delivered + {} sent + {} consumed + {} punted + {} dropped + {} held: {}",
        a.entered,
        a.generated,
        a.copied,
        a.delivered,
        a.sent,
        a.consumed,
        a.punted,
        a.dropped,
        a.held,
        if a.balanced { "balanced" } else { "NOT balanced" },
    )?;
    if let Some(steps) = summary.replayed_steps {
        writeln!(
            out,
            "Replay: {steps} steps on functional models, each with the same result"
        )?;
    }
    if let Some(dir) = &args.out {
        writeln!(
            out,
            "Wrote wire.pcapng ({} datagrams), vm-NAME.pcapng, flow-log.json ({} tuples){} and summary.json to {}",
            summary.wire.datagrams,
            summary.flow_log_tuples,
            if summary.hardware.is_some() {
                ", cycles.json"
            } else {
                ""
            },
            dir.display()
        )?;
    }
    Ok(())
}

/// A table whose numbers are aligned to the right.
fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = client::table(header);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
