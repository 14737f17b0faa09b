//! Interrupts, and DMA that fails.

use crate::faulty::Changed;
use crate::{Env, Failure, PATIENT, ensure, world};
use sealnic_abi::object::Mapping;
use sealnic_abi::registers::{Register, RingError as StopCode};
use sealnic_abi::ring::Vector;
use sealnic_driver::{Error, RingError, Transport};
use std::time::{Duration, Instant};

pub(super) fn commands_work_with_interrupts_and_by_polling(env: &mut Env<'_>) -> Result<(), Failure> {
    let mut device = env.attach()?;
    world::configure(&mut device)?;
    let mappings: Vec<Mapping> = (0..600).map(world::mapping).collect();
    for round in 0..6 {
        if round % 2 == 0 {
            device.enable_interrupts()?;
        } else {
            device.disable_interrupts()?;
        }
        let first = device.bump_policy_epoch()?;
        for n in 1..=100 {
            let epoch = device.bump_policy_epoch()?;
            ensure!(epoch == first + n, "round {round}: epoch {epoch}");
        }
        device.load_mappings(&mappings)?;
        ensure!(device.mappings().count() == 600, "mappings are missing");
    }
    Ok(())
}

/// Waits for a vector, however many others fire.
pub(super) fn wait_for<T: Transport>(
    device: &mut sealnic_driver::Device<T>,
    vector: Vector,
    at_most: Duration,
) -> Result<bool, Failure> {
    let start = Instant::now();
    while start.elapsed() < at_most {
        let left = at_most.saturating_sub(start.elapsed());
        if device.wait_for_interrupt(left)?.contains(u16::from(u8::from(vector))) {
            return Ok(true);
        }
    }
    Ok(false)
}

pub(super) fn each_command_interrupts(env: &mut Env<'_>) -> Result<(), Failure> {
    let mut device = env.attach()?;
    device.enable_interrupts()?;
    // What fired before is not what is waited for.
    device.wait_for_interrupt(Duration::ZERO)?;
    for n in 0..50 {
        let transport = device.transport_mut();
        transport.write32(Register::IrqCause.offset(), Vector::MailboxDone.mask())?;
        // A doorbell without a message is refused, and that is an interrupt, too.
        transport.write32(Register::MailboxDoorbell.offset(), 0)?;
        ensure!(
            wait_for(&mut device, Vector::MailboxDone, Duration::from_secs(10))?,
            "doorbell {n} did not interrupt"
        );
    }
    device.disable_interrupts()?;
    device.transport_mut().write32(Register::MailboxDoorbell.offset(), 0)?;
    ensure!(
        device.wait_for_interrupt(Duration::from_millis(5))?.is_empty(),
        "an interrupt came although they are off"
    );
    Ok(())
}

pub(super) fn a_dma_fault_is_an_error_that_names_the_address(env: &mut Env<'_>) -> Result<(), Failure> {
    // Far above the arena, where nothing is mapped.
    const NOWHERE: u32 = 0x4000_0000;
    let device = env.attach()?;
    let transport = Changed {
        inner: device.into_transport(),
        read: |_, value| value,
        write: |offset, value| {
            let is_array = offset == Register::CommandRingDescriptorsLo.offset();
            if is_array { value | NOWHERE } else { value }
        },
    };
    let mut device = env.attach_over(transport, PATIENT)?;
    world::configure(&mut device)?;
    let wanted: Vec<Mapping> = (0..600).map(world::mapping).collect();
    match device.load_mappings(&wanted) {
        Err(Error::Ring(RingError::Stopped {
            code: Some(StopCode::DmaFault),
            fault_iova,
            head: 0,
            ..
        })) if fault_iova >= u64::from(NOWHERE) => {}
        other => return Err(Failure::Failed(format!("{other:?}"))),
    }
    // The mailbox goes on.
    device.load_mappings(&wanted)?;
    ensure!(device.mappings().count() == 600, "mappings are missing");
    Ok(())
}

pub(super) fn without_bus_mastering_nothing_reaches_memory(env: &mut Env<'_>) -> Result<(), Failure> {
    let mut device = env.attach()?;
    world::configure(&mut device)?;
    let wanted: Vec<Mapping> = (0..600).map(world::mapping).collect();
    device.load_mappings(&wanted[..60])?;
    ensure!(device.has_command_ring(), "the ring was given up too early");
    device.transport_mut().set_bus_master(false)?;
    match device.load_mappings(&wanted) {
        Err(Error::Ring(RingError::Stopped {
            code: Some(StopCode::DmaFault),
            ..
        })) => {}
        other => return Err(Failure::Failed(format!("with bus mastering off: {other:?}"))),
    }
    // Registers work without it.
    device.set_mappings(&wanted[..120])?;
    ensure!(device.mappings().count() == 120, "mappings are missing");
    device.transport_mut().set_bus_master(true)?;
    device.start_command_ring()?;
    device.load_mappings(&wanted)?;
    ensure!(device.has_command_ring(), "the ring does not start again");
    ensure!(device.mappings().count() == 600, "mappings are missing");
    Ok(())
}
