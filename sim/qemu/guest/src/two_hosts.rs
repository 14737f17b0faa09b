//! Two NICs of one scenario, each programmed by its own driver, and traffic between their VMs. The host stands in for the VMs: what
//! they send and get goes by the NICs' rings.

use crate::Outcome;
use etherparse::PacketBuilder;
use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};
use sealnic_abi::event::{HostFrame, HostFrameKind};
use sealnic_abi::object::Direction;
use sealnic_driver::device::SaParams;
use sealnic_driver::keys::{KeyName, Sender};
use sealnic_driver::{Device, KeyDerivation, RunId, Transport, reconcile};
use sealnic_sim::Scenario;
use sealnic_sim::scenario::Vm;
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};
use zerocopy::FromZeros;

const SCENARIO: &str = include_str!("../../../../examples/two-hosts.toml");
/// Entries of the frame rings.
const ENTRIES: u16 = 64;
/// Frames under way at a time: less than the rings hold.
const BURST: usize = 16;
/// Frames of each size, way and IP version differ in these many octets from one size to the next.
const SIZE_STEP: usize = 100;
/// Octets of the shortest and the longest frame, without FCS; an IPv6 frame has at least 62 and the marker.
const SIZES: [usize; 2] = [100, 1514];
/// How long a burst may take from one VM to the other.
const LIMIT: Duration = Duration::from_secs(10);

/// What was exchanged.
pub struct Exchanged {
    /// Text that stands in every frame of the VMs.
    pub marker: String,
    /// Frames sent, each of which makes one datagram.
    pub sent: usize,
}

/// Programs both NICs as the scenario says, sends frames of all sizes both ways and expects each back octet for octet and in order.
///
/// # Errors
/// Says what did not go as it should.
pub fn exchange<T: Transport>(nics: [&mut Device<T>; 2]) -> Result<Exchanged, Box<dyn std::error::Error>> {
    let scenario = Scenario::parse(SCENARIO, Path::new("two-hosts.toml"))?;
    let [a, b] = nics;
    let mut random = random()?;
    program(&scenario, a, b, &mut random)?;
    let [alice, bob] = scenario.vms.as_slice() else {
        return Err("the scenario has not two VMs".into());
    };
    let marker = marker(&mut random);
    let mut sent = 0;
    for version in [4, 6] {
        let frames = [(alice, bob), (bob, alice)].map(|(from, to)| frames(from, to, version, &marker));
        let [there, back] = frames;
        for (there, back) in there?.chunks(BURST).zip(back?.chunks(BURST)) {
            carry(a, alice, b, bob, there)?;
            carry(b, bob, a, alice, back)?;
            sent += there.len() + back.len();
        }
    }
    for device in [a, b] {
        device.counters()?.check_balance()?;
    }
    Ok(Exchanged { marker, sent })
}

/// Random octets, from a seed of the kernel's.
///
/// # Errors
/// The kernel has none.
pub fn random() -> Result<ChaCha12Rng, Box<dyn std::error::Error>> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| format!("the kernel has no random octets: {error}"))?;
    Ok(ChaCha12Rng::from_seed(seed))
}

/// Text that no frame has by chance.
pub fn marker(random: &mut impl Rng) -> String {
    format!("clear:{:016x}{:016x}", random.next_u64(), random.next_u64())
}

fn program<T: Transport>(
    scenario: &Scenario,
    a: &mut Device<T>,
    b: &mut Device<T>,
    random: &mut ChaCha12Rng,
) -> Outcome {
    let mut states = scenario.desired_states(random);
    for state in &mut states {
        for port in &mut state.ports {
            port.representor = 1;
        }
    }
    let [state_a, state_b] = states.as_slice() else {
        return Err("the scenario has not two hosts".into());
    };
    let mut secret = [0; 32];
    random.fill_bytes(&mut secret);
    let derivation = KeyDerivation::new(&secret, &RunId::random()?);
    let epoch = 3;
    for (device, state, own) in [(a, state_a, Sender::First), (b, state_b, Sender::Second)] {
        reconcile(device, state)?;
        let [association] = state.associations.as_slice() else {
            return Err("the scenario's hosts have not one association".into());
        };
        let other = match own {
            Sender::First => Sender::Second,
            Sender::Second => Sender::First,
        };
        for (sa, direction, sender) in [(1, Direction::Write, own), (2, Direction::Read, other)] {
            let name = KeyName {
                association: b"two hosts",
                sender,
                epoch,
                version: scenario.association.version,
                suite: scenario.association.suite,
            };
            let params = SaParams::new(sa, association.id, direction, epoch);
            device.install_sa(&params, derivation.sa_keys(&name))?;
        }
        device.activate_sa(1)?;
        device.enable_frame_rings(ENTRIES)?;
        device.enable_interrupts()?;
        device.set_enabled(true)?;
    }
    Ok(())
}

/// Sends a burst as one VM and takes it as the other.
fn carry<T: Transport>(
    from: &mut Device<T>,
    sender: &Vm,
    to: &mut Device<T>,
    receiver: &Vm,
    frames: &[Vec<u8>],
) -> Outcome {
    let mut header = HostFrame::new_zeroed();
    (header.kind, header.port) = (HostFrameKind::AsVm.into(), sender.port);
    for frame in frames {
        from.send_frame(&header, frame)?;
    }
    let deadline = Instant::now() + LIMIT;
    let mut arrived = Vec::new();
    while arrived.len() < frames.len() {
        arrived.extend(to.receive_frames(ENTRIES.into())?);
        if arrived.len() < frames.len() {
            if Instant::now() >= deadline {
                let (sender, receiver) = (&sender.name, &receiver.name);
                let drops: Vec<_> = to.counters()?.drops().chain(from.counters()?.drops()).collect();
                let count = format!(
                    "{} of {} frames from {sender} reached {receiver}",
                    arrived.len(),
                    frames.len()
                );
                return Err(format!("{count}; drops: {drops:?}").into());
            }
            to.wait_for_interrupt(Duration::from_millis(100))?;
        }
    }
    for (frame, packet) in frames.iter().zip(&arrived) {
        if packet.header.kind != u8::from(HostFrameKind::ForVm) || packet.header.port != receiver.port {
            return Err(format!(
                "a frame of kind {} for port {} arrived",
                packet.header.kind, packet.header.port
            )
            .into());
        }
        if packet.frame != *frame {
            return Err(format!("a frame of {} octets arrived otherwise than it was sent", frame.len()).into());
        }
    }
    if arrived.len() != frames.len() {
        return Err(format!("{} frames arrived where {} were sent", arrived.len(), frames.len()).into());
    }
    from.flush_frames()?;
    Ok(())
}

/// Frames of all sizes from one VM to another.
fn frames(from: &Vm, to: &Vm, version: u8, marker: &str) -> Result<Vec<Vec<u8>>, Box<dyn std::error::Error>> {
    let [shortest, longest] = SIZES;
    let mut frames = Vec::new();
    for len in (shortest..=longest).step_by(SIZE_STEP).chain([longest]) {
        let headers = udp_frame(from, to, version, &[])?.len();
        let mut payload = marker.as_bytes().to_vec();
        payload.extend((payload.len() + headers..len).map(|at| at as u8));
        frames.push(udp_frame(from, to, version, &payload)?);
    }
    Ok(frames)
}

/// A UDP datagram from one VM to another, by the IP version given.
pub(crate) fn udp_frame(
    from: &Vm,
    to: &Vm,
    version: u8,
    payload: &[u8],
) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let address = |vm: &Vm| {
        let mut addresses = vm.addresses.iter().map(ipnet::IpNet::addr);
        addresses.find(|address| address.is_ipv4() == (version == 4))
    };
    let ends = address(from).zip(address(to));
    let ethernet = PacketBuilder::ethernet2(from.mac.0, to.mac.0);
    let ip = match ends {
        Some((IpAddr::V4(source), IpAddr::V4(target))) => ethernet.ipv4(source.octets(), target.octets(), 64),
        Some((IpAddr::V6(source), IpAddr::V6(target))) => ethernet.ipv6(source.octets(), target.octets(), 64),
        _ => return Err("a VM has no address of this version".into()),
    };
    let udp = ip.udp(5000, 5001);
    let mut frame = Vec::with_capacity(udp.size(payload.len()));
    udp.write(&mut frame, payload)?;
    Ok(frame)
}
