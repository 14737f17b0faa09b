//! Great tables, programmed and read back.

use crate::latency::Figure;
use crate::world::{self, Keys};
use crate::{AnyTransport, Env, Failure, ensure};
use sealnic_abi::object::{Mapping, SaPhase};
use sealnic_driver::Device;
use std::time::Instant;

fn check(device: &mut Device<AnyTransport>, wanted: &[Mapping]) -> Result<(), Failure> {
    let mut listed = device.mappings().collect::<Result<Vec<_>, _>>()?;
    ensure!(
        listed.len() == wanted.len(),
        "{} mappings are listed, {} were programmed",
        listed.len(),
        wanted.len()
    );
    listed.sort_by_key(|mapping| mapping.prefix.octets);
    for (listed, wanted) in listed.iter().zip(wanted) {
        ensure!(listed == wanted, "{listed:?} is listed instead of {wanted:?}");
    }
    Ok(())
}

pub(super) fn sixty_four_thousand_mappings_are_read_back(env: &mut Env<'_>) -> Result<(), Failure> {
    let mut device = env.attach()?;
    world::configure(&mut device)?;
    let capacity = device.identity().max_mappings;
    ensure!(capacity >= 65_536, "the device has room for {capacity} mappings");
    let wanted: Vec<Mapping> = (0..65_536).map(world::mapping).collect();
    let start = Instant::now();
    device.load_mappings(&wanted)?;
    env.figures.extend(Figure::of_rate(
        "mappings programmed, 64 K",
        wanted.len(),
        start.elapsed(),
    ));
    let start = Instant::now();
    check(&mut device, &wanted)?;
    env.figures.extend(Figure::of_rate(
        "mappings read back, 64 K",
        wanted.len(),
        start.elapsed(),
    ));
    let mut beyond = wanted[0];
    beyond.prefix = world::mapping(65_536).prefix;
    ensure!(device.set_mappings(&[beyond]).is_err(), "a mapping too many was taken");
    // In strict order, and again: nothing changes.
    device.set_mappings(&wanted[..6_000])?;
    device.remove_mapping(&wanted[65_535])?;
    check(&mut device, &wanted[..65_535])
}

pub(super) fn four_thousand_sas_are_read_back(env: &mut Env<'_>) -> Result<(), Failure> {
    let mut device = env.attach()?;
    world::configure(&mut device)?;
    let keys = Keys::new()?;
    for id in 0..1_024 {
        device.set_association(&world::association(id))?;
    }
    let params: Vec<_> = (0..4_096).map(world::sa).collect();
    let start = Instant::now();
    device.install_sas(params.iter().map(|params| (*params, keys.of(params))))?;
    env.figures
        .extend(Figure::of_rate("SAs installed, 4 K", params.len(), start.elapsed()));
    let mut listed = device.sas().collect::<Result<Vec<_>, _>>()?;
    listed.sort_by_key(|sa| sa.sa);
    ensure!(listed.len() == params.len(), "{} SAs are listed", listed.len());
    let generation = device.identity().generation;
    for (listed, params) in listed.iter().zip(&params) {
        let is_same = listed.sa == params.sa
            && listed.association == params.association
            && listed.epoch == params.epoch
            && listed.direction == u8::from(params.direction)
            && listed.phase == u8::from(SaPhase::Installed)
            && listed.generation == generation;
        ensure!(is_same, "{listed:?} is listed instead of {params:?}");
    }
    ensure!(
        device.associations().count() == 1_024,
        "associations are missing from the list"
    );
    let again = device.install_sa(&params[0], keys.of(&params[0]));
    ensure!(again.is_err(), "an SA was installed twice");
    Ok(())
}

pub(super) fn many_commands_stand_in_the_ring(env: &mut Env<'_>) -> Result<(), Failure> {
    let mut device = env.attach()?;
    world::configure(&mut device)?;
    let wanted: Vec<Mapping> = (0..6_000).map(world::mapping).collect();
    // More commands than 16 bits of index hold, over ever the same entries.
    for _ in 0..20 {
        device.load_mappings(&wanted)?;
        ensure!(device.has_command_ring(), "the ring was given up");
    }
    check(&mut device, &wanted)
}
