//! Events: each once, in order.

use crate::world::{self, Keys};
use crate::{AnyTransport, Env, Failure, ensure};
use sealnic_abi::event::EventKind;
use sealnic_abi::object::Direction;
use sealnic_driver::Device;
use sealnic_driver::device::SaParams;

/// Has the device report one event for each number, by retiring an SA of that number, and drains now and then.
fn retire(device: &mut Device<AnyTransport>, rounds: u32, a_round: u32) -> Result<(), Failure> {
    world::configure(device)?;
    let keys = Keys::new()?;
    device.set_association(&world::association(0))?;
    device.drain_events()?;
    for round in 0..rounds {
        let ids = round * a_round..(round + 1) * a_round;
        let params: Vec<_> = ids
            .clone()
            .map(|sa| SaParams::new(sa, 0, Direction::Write, 3))
            .collect();
        device.install_sas(params.iter().map(|params| (*params, keys.of(params))))?;
        let mut seen = Vec::new();
        for sa in ids.clone() {
            device.retire_sa(sa)?;
            // At odd moments, so that queue and ring are met in every state.
            if sa % 97 == 0 {
                seen.extend(device.drain_events()?);
            }
        }
        seen.extend(device.drain_events()?);
        let retired: Vec<u32> = seen
            .iter()
            .filter(|event| event.kind == u8::from(EventKind::SaRetired))
            .map(|event| event.subject)
            .collect();
        ensure!(
            retired.iter().copied().eq(ids.clone()),
            "{} events for SAs {ids:?}, from {:?} on",
            retired.len(),
            retired.first()
        );
    }
    Ok(())
}

pub(super) fn no_event_is_lost_by_the_mailbox(env: &mut Env<'_>) -> Result<(), Failure> {
    let mut device = env.attach()?;
    retire(&mut device, 2, 500)
}

pub(super) fn no_event_is_lost_by_the_ring(env: &mut Env<'_>) -> Result<(), Failure> {
    for entries in [2, 64] {
        let mut device = env.attach()?;
        device.enable_event_ring(entries)?;
        retire(&mut device, 2, 500)?;
        // The mailbox gives nothing while the ring runs, so the ring it was.
        device.enable_event_ring(entries)?;
        ensure!(device.drain_events()?.is_empty(), "events came twice");
    }
    Ok(())
}
