//! Finding a device, and refusing what is none.

use crate::faulty::Changed;
use crate::{Env, Failure, PATIENT, ensure, world};
use sealnic_abi::registers::Register;
use sealnic_abi::{ABI_MAJOR, ABI_MINOR};
use sealnic_driver::clock::SystemClock;
use sealnic_driver::{Device, Error, TransportError};
use std::cell::Cell;
use std::time::{Duration, Instant};

pub(super) fn the_device_says_who_it_is(env: &mut Env<'_>) -> Result<(), Failure> {
    let mut device = env.attach()?;
    let identity = *device.identity();
    ensure!(
        (identity.abi_major, identity.abi_minor) == (ABI_MAJOR, ABI_MINOR),
        "ABI {}.{}",
        identity.abi_major,
        identity.abi_minor
    );
    ensure!(identity.generation != 0 && identity.max_mappings > 0, "{identity:?}");
    ensure!(
        device.identify()?.generation == identity.generation,
        "the generation changed"
    );
    for outcome in device.self_test()? {
        ensure!(outcome.run && outcome.passed, "self-test {} failed", outcome.name);
    }
    world::check_balance(&mut device)
}

/// Attaches over a transport on which one register reads otherwise.
fn attach_changed(
    env: &mut Env<'_>,
    register: Register,
    change: fn(u32) -> u32,
) -> Result<(Option<Error>, u32), Failure> {
    let writes = Cell::new(0);
    let transport = Changed {
        inner: env.open()?,
        read: |offset, value| {
            if offset == register.offset() {
                change(value)
            } else {
                value
            }
        },
        write: |_, value| {
            writes.set(writes.get() + 1);
            value
        },
    };
    let error = Device::attach_with(transport, Box::new(SystemClock::new()), PATIENT).err();
    Ok((error, writes.get()))
}

pub(super) fn another_abi_is_refused(env: &mut Env<'_>) -> Result<(), Failure> {
    for (change, major) in [
        ((|v| v + (1 << 16)) as fn(u32) -> u32, ABI_MAJOR + 1),
        (|v| v & 0xFFFF, 0),
        (|_| u32::MAX, u16::MAX),
    ] {
        let (error, writes) = attach_changed(env, Register::AbiVersion, change)?;
        ensure!(
            matches!(error, Some(Error::UnknownAbi { major: told, .. }) if told == major),
            "major {major}: {error:?}"
        );
        ensure!(
            writes == 0,
            "{writes} registers were written on a device with an unknown ABI"
        );
    }
    Ok(())
}

pub(super) fn what_is_no_sealnic_is_refused(env: &mut Env<'_>) -> Result<(), Failure> {
    let (error, writes) = attach_changed(env, Register::Magic, |_| 0x1234_5678)?;
    ensure!(
        matches!(error, Some(Error::NotSealNic { magic: 0x1234_5678 })),
        "{error:?}"
    );
    ensure!(writes == 0, "{writes} registers of a foreign device were written");
    Ok(())
}

pub(super) fn a_second_owner_is_refused(env: &mut Env<'_>) -> Result<(), Failure> {
    let mut first = env.attach()?;
    let generation = first.identity().generation;
    let start = Instant::now();
    match env.open() {
        Ok(_) => return Err(Failure::Failed("a second owner was let in".into())),
        Err(TransportError::InUse { .. }) => {}
        Err(error) => return Err(Failure::Failed(format!("not refused as a second owner: {error}"))),
    }
    ensure!(
        start.elapsed() < Duration::from_secs(15),
        "refusing took {:?}",
        start.elapsed()
    );
    ensure!(
        first.identify()?.generation == generation,
        "the first owner's device was reset"
    );
    drop(first);
    env.attach()?;
    Ok(())
}
