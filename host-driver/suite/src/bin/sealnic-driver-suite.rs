//! Runs the driver's test suite on a device: `sealnic-driver-suite vfio:BDF|vfio-user:PATH [--json FILE] [FILTER]`.
//!
//! It resets the device and overwrites what is programmed on it. Each test's line is `PASS name ms`, `FAIL name reason` or
//! `SKIP name reason`; the exit status is 0 when none failed, 1 when one did, 2 when the arguments are wrong.

use sealnic_driver_suite::latency::{Figure, table};
use sealnic_driver_suite::stand::{VfioStand, VfioUserStand};
use sealnic_driver_suite::{Report, Stand, run};
use serde::Serialize;
use std::io::{self, Write};
use std::process::ExitCode;

const USAGE: &str = "usage: sealnic-driver-suite vfio:BDF|vfio-user:PATH [--json FILE] [FILTER]";

#[derive(Serialize)]
struct Json<'a> {
    transport: &'a str,
    figures: &'a [Figure],
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let mut device = None;
    let mut json = None;
    let mut filter = String::new();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--json" => json = arguments.next(),
            _ if device.is_none() => device = Some(argument),
            _ => filter = argument,
        }
    }
    let mut stand: Box<dyn Stand> = match device.as_deref().and_then(|device| device.split_once(':')) {
        Some(("vfio-user", path)) => Box::new(VfioUserStand(path.into())),
        Some(("vfio", bdf)) => match bdf.parse() {
            Ok(bdf) => Box::new(VfioStand(bdf)),
            Err(error) => return usage(&format!("{error}\n{USAGE}")),
        },
        _ => return usage(USAGE),
    };
    let mut out = io::stdout().lock();
    let report = run(&mut *stand, &filter, |line| {
        // Who closed the pipe doesn't want to know.
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    });
    let _ = write!(out, "{}", table(&report.transport, &report.figures));
    if let Some(path) = json
        && let Err(error) = write_json(&path, &report)
    {
        let _ = writeln!(io::stderr(), "{path} can't be written: {error}");
        return ExitCode::FAILURE;
    }
    if report.failed() == 0 && !report.lines.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn write_json(path: &str, report: &Report) -> io::Result<()> {
    let json = Json {
        transport: &report.transport,
        figures: &report.figures,
    };
    std::fs::write(path, serde_json::to_vec_pretty(&json)?)
}

fn usage(text: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "{text}");
    ExitCode::from(2)
}
