//! `sealnic stats`: the device's counters.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use comfy_table::CellAlignment;
use sealnic_driver::control::Client;
use sealnic_driver::control::view::StatsView;
use serde_json::json;

use super::CommandError;
use super::client::{Common, table};

/// Prints the device's counters.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print them again every SECONDS (1 when none are given), with what came a second; as JSON, a line each time.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "1", value_parser = interval)]
    watch: Option<Duration>,
    #[command(flatten)]
    common: Common,
}

fn interval(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.01..=86_400.0).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err("not between 0.01 and 86400".to_owned())
    }
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<(), CommandError> {
    let mut client = args.common.connect()?;
    let mut last = read(&mut client)?;
    let mut read_at = Instant::now();
    let Some(interval) = args.watch else {
        return args.common.print(&last, |out| write_text(out, &last, None));
    };
    loop {
        std::thread::sleep(interval);
        let now = read(&mut client)?;
        let elapsed = read_at.elapsed();
        read_at = Instant::now();
        let mut out = io::stdout().lock();
        if args.common.json {
            serde_json::to_writer(&mut out, &now).map_err(io::Error::from)?;
            writeln!(out)?;
        } else {
            write_text(&mut out, &now, Some((&last, elapsed)))?;
            writeln!(out)?;
        }
        out.flush()?;
        last = now;
    }
}

fn read(client: &mut Client) -> Result<StatsView, CommandError> {
    Ok(client.call("stats", &json!({}))?)
}

/// Counters that are not zero, and what came a second since the last look.
fn write_text(out: &mut dyn Write, now: &StatsView, last: Option<(&StatsView, Duration)>) -> io::Result<()> {
    let mut table = table(["counter", "", if last.is_some() { "a second" } else { "" }]);
    let rate = |count: u64, before: Option<u64>| match last {
        Some((_, elapsed)) => {
            let more = count.saturating_sub(before.unwrap_or(0));
            #[allow(clippy::cast_precision_loss, reason = "a rate for people")]
            let rate = more as f64 / elapsed.as_secs_f64();
            format!("{rate:.1}")
        }
        None => String::new(),
    };
    for (name, &count) in now.counters.iter().filter(|(_, count)| **count != 0) {
        let before = last.and_then(|(last, _)| last.counters.get(name).copied());
        table.add_row([name.clone(), count.to_string(), rate(count, before)]);
    }
    for (reason, &count) in &now.drops {
        let before = last.and_then(|(last, _)| last.drops.get(reason).copied());
        table.add_row([format!("dropped: {reason}"), count.to_string(), rate(count, before)]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    writeln!(out, "{}", table.trim_fmt())?;
    writeln!(
        out,
        "{} entered, {} accounted for: {}",
        now.entered,
        now.accounted,
        if now.balanced { "balanced" } else { "NOT balanced" }
    )
}
