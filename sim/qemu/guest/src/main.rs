//! The guest's program: drives SealNIC functions through the kernel's VFIO, and prints a line for each test.
//!
//! Arguments are the functions' addresses: of one NIC alone, for the driver's test suite; of both NICs of `examples/two-hosts.toml`, for an
//! exchange between their VMs; and of both NICs of `/scenario.toml`, for the daemons that are killed. A line is
//! `PASS name milliseconds ms`, `FAIL name reason` or `SKIP name reason`; the exit status is 0 when none failed.
#![allow(clippy::print_stdout, reason = "the harness outside reads what is printed")]

use sealnic_cosim_guest::daemons::Daemons;
use sealnic_cosim_guest::{Outcome, two_hosts};
use sealnic_driver::Device;
use sealnic_driver::bind::Bdf;
use sealnic_driver::transport::vfio::VfioTransport;
use sealnic_driver_suite::kill_points::{PROGRAMMING, TRAFFIC};
use sealnic_driver_suite::latency::table;
use sealnic_driver_suite::stand::VfioStand;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

/// The command line, with fault points, and the scenario of the daemons that are killed.
const SEALNIC: &str = "/sealnic";
const SCENARIO: &str = "/scenario.toml";
/// Sockets, state and logs of these daemons.
const FOLDER: &str = "/tmp/daemons";

fn main() -> ExitCode {
    let functions: Result<Vec<Bdf>, _> = std::env::args().skip(1).map(|text| text.parse()).collect();
    let [alone, a, b, c, d] = match functions.as_deref() {
        Ok(&[alone, a, b, c, d]) => [alone, a, b, c, d],
        other => {
            println!("FAIL arguments not five functions: {other:?}");
            return ExitCode::FAILURE;
        }
    };
    let report = sealnic_driver_suite::run(&mut VfioStand(alone), "", |line| println!("{line}"));
    print!("{}", table(&report.transport, &report.figures));
    let mut good = report.failed() == 0;
    good &= test(
        "frames_of_two_vms_go_sealed_from_nic_to_nic_and_arrive_octet_for_octet",
        || exchange_between(a, b),
    );
    good &= kill_daemons([c, d]);
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs a test and says what came of it; whether it passed.
fn test(name: &str, run: impl FnOnce() -> Outcome) -> bool {
    let start = Instant::now();
    let outcome = run();
    match &outcome {
        Ok(()) => println!("PASS {name} {:.1} ms", start.elapsed().as_secs_f64() * 1e3),
        Err(error) => println!("FAIL {name} {}", error.to_string().replace('\n', " | ")),
    }
    outcome.is_ok()
}

fn exchange_between(a: Bdf, b: Bdf) -> Outcome {
    let mut a = Device::attach(VfioTransport::open(a)?)?;
    let mut b = Device::attach(VfioTransport::open(b)?)?;
    let exchanged = two_hosts::exchange([&mut a, &mut b])?;
    println!("marker {}", exchanged.marker);
    println!("sent {}", exchanged.sent);
    Ok(())
}

/// Kills a daemon at each point; whether all went as it should.
fn kill_daemons(functions: [Bdf; 2]) -> bool {
    let mut daemons = None;
    let mut good = test("daemons_of_two_hosts_start", || {
        let marker = two_hosts::marker(&mut two_hosts::random()?);
        println!("daemons-marker {marker}");
        let started = Daemons::start(
            SEALNIC.as_ref(),
            SCENARIO.as_ref(),
            Path::new(FOLDER),
            functions,
            marker,
        )?;
        daemons = Some(started);
        Ok(())
    });
    if let Some(daemons) = daemons {
        for point in PROGRAMMING {
            good &= test(&killed_at(point), || daemons.kill_programming(point));
        }
        for point in &TRAFFIC {
            good &= test(&killed_at(point.name), || daemons.kill_in_traffic(point));
        }
        println!("daemons-sent {}", daemons.sent());
    }
    good
}

fn killed_at(point: &str) -> String {
    format!("a_daemon_killed_at/{point}/leaves_a_reset_function_and_the_next_programs_fresh_keys")
}
