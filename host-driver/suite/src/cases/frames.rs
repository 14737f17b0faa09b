//! Frames of VMs for which the host stands in.

use crate::{Env, Failure, ensure, world};
use sealnic_abi::event::{HostFrame, HostFrameKind};
use std::time::{Duration, Instant};

pub(super) fn frames_come_back_as_they_were_sent(env: &mut Env<'_>) -> Result<(), Failure> {
    let mut device = env.attach()?;
    world::configure(&mut device)?;
    device.enable_frame_rings(64)?;
    world::add_representors(&mut device)?;
    let header = |port| HostFrame {
        port,
        kind: HostFrameKind::AsVm.into(),
        ..HostFrame::ZERO
    };
    // More frames than the ring has places, in both directions, of every size that matters.
    for n in 0..600u16 {
        let from = n % 2;
        let payload: Vec<u8> = (0..usize::from(n) * 2 % 1_400).map(|i| (i as u16 ^ n) as u8).collect();
        let frame = world::frame(from, 10_000 + n, &payload);
        device.send_frame(&header(from), &frame)?;
        let start = Instant::now();
        let packet = loop {
            if let Some(packet) = device.receive_frames(1)?.pop() {
                break packet;
            }
            ensure!(
                start.elapsed() < Duration::from_secs(10),
                "frame {n} does not come back"
            );
        };
        ensure!(
            packet.header.kind == u8::from(HostFrameKind::ForVm) && packet.header.port == 1 - from,
            "frame {n} came as {:?}",
            packet.header
        );
        ensure!(packet.frame == frame, "frame {n} came back changed");
    }
    device.flush_frames()?;
    // A frame with somebody else's source address is the VM's fault, and goes nowhere.
    let mut spoofed = world::frame(0, 1, b"spoofed");
    spoofed[11] ^= 1;
    device.send_frame(&header(0), &spoofed)?;
    device.flush_frames()?;
    ensure!(device.receive_frames(1)?.is_empty(), "a spoofed frame was delivered");
    world::check_balance(&mut device)
}
