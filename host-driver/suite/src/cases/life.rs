//! Resets, successors, restarts.

use crate::world::{self, Keys};
use crate::{AnyTransport, Env, Failure, PATIENT, ensure};
use sealnic_abi::event::{HostFrame, HostFrameKind};
use sealnic_abi::mailbox::Status;
use sealnic_abi::object::{Mapping, SaPhase};
use sealnic_driver::clock::SystemClock;
use sealnic_driver::reconcile::read_back;
use sealnic_driver::{Device, Error};
use std::time::{Duration, Instant};

/// Programs something of everything; returns keys for later.
fn fill(device: &mut Device<AnyTransport>) -> Result<Keys, Failure> {
    world::configure(device)?;
    let mappings: Vec<Mapping> = (0..300).map(world::mapping).collect();
    device.set_mappings(&mappings)?;
    device.set_association(&world::association(0))?;
    let keys = Keys::new()?;
    device.install_sa(&world::sa(0), keys.of(&world::sa(0)))?;
    device.activate_sa(0)?;
    device.set_enabled(true)?;
    Ok(keys)
}

/// Checks that nothing is programmed, and that keys of before are refused.
fn is_clean(device: &mut Device<AnyTransport>, keys: &Keys, before: u64) -> Result<(), Failure> {
    ensure!(device.identity().generation != before, "the generation is the same");
    ensure!(!device.is_enabled()?, "frames flow after a reset");
    let left = read_back(device)?;
    ensure!(left == Default::default(), "still programmed: {left:?}");
    ensure!(device.sas().count() == 0, "an SA outlived the reset");
    world::configure(device)?;
    device.set_association(&world::association(0))?;
    let again = device.install_sa(&world::sa(0), keys.of(&world::sa(0)));
    let status = again.as_ref().err().and_then(Error::status);
    ensure!(status == Some(Status::KeyReused), "keys of before the reset: {again:?}");
    Ok(())
}

pub(super) fn a_soft_reset_leaves_nothing_behind(env: &mut Env<'_>) -> Result<(), Failure> {
    let mut device = env.attach()?;
    for command in [true, false] {
        let keys = fill(&mut device)?;
        let before = device.identity().generation;
        if command {
            device.reset()?;
        } else {
            device.soft_reset()?;
        }
        is_clean(&mut device, &keys, before)?;
        device.reset()?;
    }
    Ok(())
}

pub(super) fn a_function_reset_leaves_nothing_behind(env: &mut Env<'_>) -> Result<(), Failure> {
    let mut device = env.attach()?;
    for _ in 0..3 {
        let keys = fill(&mut device)?;
        let before = device.identity().generation;
        device.function_reset()?;
        is_clean(&mut device, &keys, before)?;
        device.function_reset()?;
    }
    Ok(())
}

pub(super) fn function_resets_during_traffic_do_no_harm(env: &mut Env<'_>) -> Result<(), Failure> {
    let mut device = env.attach()?;
    device.enable_event_ring(64)?;
    device.enable_frame_rings(32)?;
    let mappings: Vec<Mapping> = (0..1_200).map(world::mapping).collect();
    let header = HostFrame {
        kind: HostFrameKind::AsVm.into(),
        ..HostFrame::ZERO
    };
    for round in 0..8u16 {
        world::configure(&mut device)?;
        world::add_representors(&mut device)?;
        device.load_mappings(&mappings)?;
        // Frames on their way in and out, buffers filled and none collected, when the reset comes.
        for n in 0..20 + round {
            device.send_frame(&header, &world::frame(0, n, &[0x5A; 200]))?;
        }
        device.function_reset()?;
        ensure!(device.mappings().count() == 0, "mappings outlived the reset");
        device.drain_events()?;
        ensure!(device.has_command_ring(), "the command ring did not come back");
        world::check_balance(&mut device)?;
    }
    // All works as before.
    world::configure(&mut device)?;
    world::add_representors(&mut device)?;
    let frame = world::frame(0, 77, b"after the resets");
    device.send_frame(&header, &frame)?;
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(10) {
        if let Some(packet) = device.receive_frames(1)?.pop() {
            ensure!(packet.frame == frame, "a frame of before the reset came out");
            return Ok(());
        }
    }
    Err(Failure::Failed("no frame comes through after the resets".into()))
}

pub(super) fn a_driver_that_left_is_followed_by_the_next(env: &mut Env<'_>) -> Result<(), Failure> {
    let mut device = env.attach()?;
    let keys = fill(&mut device)?;
    let before = device.identity().generation;
    // Without a word: rings run, keys are in use.
    drop(device);
    let transport = env.open()?;
    let mut next = Device::attach_with(transport, Box::new(SystemClock::new()), PATIENT)?;
    if next.identity().generation == before {
        // The device lived on, as it does where closing resets nothing: all is there.
        ensure!(next.mappings().count() == 300, "mappings were lost with the driver");
        ensure!(
            next.query_sa(0)?.phase == u8::from(SaPhase::Active),
            "the SA was lost with the driver"
        );
        ensure!(next.is_enabled()?, "frames stopped with the driver");
        next.reset()?;
    }
    is_clean(&mut next, &keys, before).or_else(|failure| match failure {
        // A device that was made anew never saw those keys.
        Failure::Failed(text) if text.contains("keys of before") && next.identity().generation != before => Ok(()),
        failure => Err(failure),
    })
}

pub(super) fn a_device_that_restarts_is_attached_to_again(env: &mut Env<'_>) -> Result<(), Failure> {
    let mut device = env.attach()?;
    fill(&mut device)?;
    let before = device.identity().generation;
    env.restart()?;
    let start = Instant::now();
    let lost = device.identify();
    ensure!(
        matches!(lost, Err(Error::Transport(_) | Error::Mailbox(_))),
        "the old connection still works: {lost:?}"
    );
    ensure!(
        start.elapsed() < Duration::from_secs(40),
        "noticed after {:?}",
        start.elapsed()
    );
    drop(device);
    let mut device = env.attach()?;
    ensure!(device.identity().generation != before, "the generation is the same");
    ensure!(
        device.sas().count() == 0 && device.mappings().count() == 0,
        "state outlived the restart"
    );
    fill(&mut device)?;
    Ok(())
}
