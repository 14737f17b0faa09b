//! How long things take on this transport.

use super::signals::wait_for;
use crate::latency::Figure;
use crate::{AnyTransport, Env, Failure, ensure, world};
use sealnic_abi::mailbox::Identify;
use sealnic_abi::object::Mapping;
use sealnic_abi::registers::Register;
use sealnic_abi::ring::Vector;
use sealnic_driver::{Device, Transport};
use std::time::{Duration, Instant};

fn timed(count: usize, mut work: impl FnMut() -> Result<(), Failure>) -> Result<Vec<Duration>, Failure> {
    (0..count)
        .map(|_| {
            let start = Instant::now();
            work()?;
            Ok(start.elapsed())
        })
        .collect()
}

/// Takes them all; a test of its own, so that the report has them even when nothing else runs.
pub(super) fn latencies(env: &mut Env<'_>) -> Result<(), Failure> {
    let mut device = env.attach()?;
    let mut add = |name, samples: Vec<Duration>| env.figures.extend(Figure::of_durations(name, &samples));
    add(
        "register read",
        timed(2_000, || {
            device.transport_mut().read32(Register::Status.offset())?;
            Ok(())
        })?,
    );
    add(
        "register write and read",
        timed(1_000, || {
            let transport = device.transport_mut();
            transport.write32(Register::IrqCause.offset(), 0)?;
            transport.read32(Register::Status.offset())?;
            Ok(())
        })?,
    );
    add(
        "mailbox command (identify)",
        timed(300, || {
            device.call(&Identify)?;
            Ok(())
        })?,
    );
    if device.has_command_ring() {
        world::configure(&mut device)?;
        add(
            "ring command (list one page), polling",
            timed(300, || one_page(&mut device))?,
        );
    }
    if device.transport_mut().capabilities().vectors > 0 {
        device.enable_interrupts()?;
        device.wait_for_interrupt(Duration::ZERO)?;
        add(
            "doorbell to interrupt",
            timed(300, || {
                let transport = device.transport_mut();
                transport.write32(Register::IrqCause.offset(), Vector::MailboxDone.mask())?;
                transport.write32(Register::MailboxDoorbell.offset(), 0)?;
                ensure!(
                    wait_for(&mut device, Vector::MailboxDone, Duration::from_secs(10))?,
                    "no interrupt"
                );
                Ok(())
            })?,
        );
        if device.has_command_ring() {
            add(
                "ring command (list one page), interrupts",
                timed(300, || one_page(&mut device))?,
            );
        }
        device.disable_interrupts()?;
    }
    let wanted: Vec<Mapping> = (0..6_000).map(world::mapping).collect();
    device.reset()?;
    world::configure(&mut device)?;
    let start = Instant::now();
    device.load_mappings(&wanted)?;
    let took = start.elapsed();
    let way = if device.has_command_ring() {
        "mappings programmed by the ring, 32 at a time"
    } else {
        "mappings programmed by the mailbox"
    };
    env.figures.extend(Figure::of_rate(way, wanted.len(), took));
    if device.has_command_ring() {
        device.reset()?;
        world::configure(&mut device)?;
        let start = Instant::now();
        device.set_mappings(&wanted)?;
        env.figures.extend(Figure::of_rate(
            "mappings programmed by the ring, one at a time",
            wanted.len(),
            start.elapsed(),
        ));
        device.reset()?;
        world::configure(&mut device)?;
        device.stop_command_ring();
        let start = Instant::now();
        device.set_mappings(&wanted[..1_200])?;
        env.figures.extend(Figure::of_rate(
            "mappings programmed by the mailbox",
            1_200,
            start.elapsed(),
        ));
    }
    Ok(())
}

fn one_page(device: &mut Device<AnyTransport>) -> Result<(), Failure> {
    let count = device.vnets().count();
    ensure!(count == 1, "{count} VNets");
    Ok(())
}
