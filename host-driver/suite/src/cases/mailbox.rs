//! The mailbox in a storm.

use crate::faulty::{Changed, FaultyTransport};
use crate::{Env, Failure, ensure, world};
use sealnic_abi::object::Vnet;
use sealnic_abi::registers::Register;
use sealnic_driver::{Error, MailboxConfig, MailboxError};
use std::time::{Duration, Instant};

const STORM: u32 = 10_000;

pub(super) fn ten_thousand_commands_are_carried_out_once_each(env: &mut Env<'_>) -> Result<(), Failure> {
    let mut device = env.attach()?;
    let first = device.bump_policy_epoch()?;
    for n in 1..=STORM {
        let epoch = device.bump_policy_epoch()?;
        ensure!(epoch == first + n, "command {n} gave epoch {epoch} after {first}");
    }
    Ok(())
}

pub(super) fn a_storm_over_a_bad_link_carries_each_command_out_once(env: &mut Env<'_>) -> Result<(), Failure> {
    let config = MailboxConfig {
        timeout: Duration::from_secs(2),
        attempts: 50,
        first_sequence: None,
    };
    let transport = FaultyTransport::new(env.open()?, 0x5EA1);
    let mut device = env.attach_over(transport, config)?;
    world::configure(&mut device)?;
    device.transport_mut().one_in = 8;
    for n in 0..STORM / 8 {
        // Programming raises the epoch, too: by exactly one when it is carried out once and changes something.
        device.set_vnet(&Vnet {
            vni: 1_000 + n % 500,
            encryption: 0,
            enforcement: (n / 500 % 2) as u8,
            ..Vnet::ZERO
        })?;
        let before = device.bump_policy_epoch()?;
        for _ in 0..6 {
            device.bump_policy_epoch()?;
        }
        let after = device.bump_policy_epoch()?;
        ensure!(after == before + 7, "round {n}: {} commands for seven", after - before);
    }
    device.transport_mut().one_in = 0;
    let faults = device.transport_mut().faults;
    for (what, count) in [
        ("lost", faults.lost),
        ("repeated", faults.repeated),
        ("damaged", faults.damaged),
        ("cut", faults.cut),
    ] {
        ensure!(count > 100, "only {count} messages were {what}: the storm was none");
    }
    world::check_balance(&mut device)
}

pub(super) fn a_device_that_never_answers_is_given_up_in_time(env: &mut Env<'_>) -> Result<(), Failure> {
    let config = MailboxConfig {
        timeout: Duration::from_millis(100),
        attempts: 3,
        first_sequence: None,
    };
    let device = env.attach()?;
    let transport = Changed {
        inner: device.into_transport(),
        read: |offset, value| {
            let is_status = offset == Register::MailboxStatus.offset();
            // Busy, for ever.
            if is_status { 1 } else { value }
        },
        write: |_, value| value,
    };
    let start = Instant::now();
    let error = env.attach_over(transport, config).err();
    let took = start.elapsed();
    ensure!(
        matches!(&error, Some(Failure::Failed(text)) if text.contains("no answer")),
        "{error:?}"
    );
    ensure!(
        took >= Duration::from_millis(300) && took < Duration::from_secs(5),
        "given up after {took:?}"
    );
    let mut device = env.attach()?;
    // A command that the device refuses is answered, not timed out.
    match device.remove_vnet(0xFF_FFFF) {
        Err(Error::Mailbox(MailboxError::Device { .. })) => Ok(()),
        other => Err(Failure::Failed(format!("{other:?}"))),
    }
}
