//! The guest's program: drives SealNIC functions through the kernel's VFIO, and prints a line for each test.
//!
//! Arguments are the functions' addresses: of one NIC alone, for the driver's test suite, then of both NICs of
//! `examples/two-hosts.toml`. A line is `PASS name milliseconds ms`, `FAIL name reason` or `SKIP name reason`; the exit status
//! is 0 when none failed.
#![allow(clippy::print_stdout, reason = "the harness outside reads what is printed")]

use sealnic_cosim_guest::{Outcome, two_hosts};
use sealnic_driver::Device;
use sealnic_driver::bind::Bdf;
use sealnic_driver::transport::vfio::VfioTransport;
use sealnic_driver_suite::latency::table;
use sealnic_driver_suite::stand::VfioStand;
use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    let functions: Result<Vec<Bdf>, _> = std::env::args().skip(1).map(|text| text.parse()).collect();
    let [alone, a, b] = match functions.as_deref() {
        Ok([alone, a, b]) => [*alone, *a, *b],
        other => {
            println!("FAIL arguments not three functions: {other:?}");
            return ExitCode::FAILURE;
        }
    };
    let report = sealnic_driver_suite::run(&mut VfioStand(alone), "", |line| println!("{line}"));
    print!("{}", table(&report.transport, &report.figures));
    let exchange = "frames_of_two_vms_go_sealed_from_nic_to_nic_and_arrive_octet_for_octet";
    let start = Instant::now();
    let exchanged = exchange_between(a, b);
    match &exchanged {
        Ok(()) => println!("PASS {exchange} {:.1} ms", start.elapsed().as_secs_f64() * 1e3),
        Err(error) => println!("FAIL {exchange} {error}"),
    }
    if report.failed() == 0 && exchanged.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn exchange_between(a: Bdf, b: Bdf) -> Outcome {
    let mut a = Device::attach(VfioTransport::open(a)?)?;
    let mut b = Device::attach(VfioTransport::open(b)?)?;
    let exchanged = two_hosts::exchange([&mut a, &mut b])?;
    println!("marker {}", exchanged.marker);
    println!("sent {}", exchanged.sent);
    Ok(())
}
