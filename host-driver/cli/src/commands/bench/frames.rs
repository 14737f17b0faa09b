//! Frames from one VM to another through two functional models.

use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use sealnic_hw_model::Packet;
use sealnic_sim::Scenario;
use sealnic_sim::run::network::{Network, Observed};
use sealnic_sim::run::{BroughtUp, RunOptions, bring_up};
use sealnic_sim::scenario::ScenarioError;
use serde::Serialize;

use super::{FRAME_SIZES, median_ns, wire_ns};
use crate::commands::CommandError;

const FCS_LEN: usize = 4;
const VXLAN_HEADER_LEN: usize = 8;
/// Frames of a batch, after which the clock is read.
const BATCH: u32 = 256;

/// One size of frames.
#[derive(Serialize)]
pub(super) struct Frames {
    pub(super) dtls: &'static str,
    pub(super) cipher: &'static str,
    pub(super) flows: u32,
    /// With FCS.
    pub(super) frame_len: usize,
    pub(super) frames_per_s: f64,
    pub(super) gbit_per_s: f64,
    /// What 100 GbE allows.
    pub(super) bound_frames_per_s: f64,
    pub(super) bound_gbit_per_s: f64,
}

/// Measures every size.
pub(super) fn measure_frames(
    dtls: &'static str,
    cipher: &'static str,
    flows: u32,
    budget: Duration,
    bar: &ProgressBar,
    into: &mut Vec<Frames>,
) -> Result<(), CommandError> {
    let text = scenario(dtls, cipher, flows);
    let scenario = Scenario::parse(&text, Path::new("bench")).map_err(ScenarioError::from)?;
    let BroughtUp { mut network, .. } = bring_up(&scenario, &RunOptions::default())?;
    let mut time_ns = 0;
    // Every flow once, so that no decision is left to be made.
    let first = frame(FRAME_SIZES[0]);
    for flow in 0..flows {
        carry(&mut network, &first, flow, &mut time_ns)?;
    }
    let mut next = 0u32;
    for frame_len in FRAME_SIZES {
        let frame = frame(frame_len);
        let ns = median_ns(budget, || {
            let start = Instant::now();
            for _ in 0..BATCH {
                // A full-period generator modulo 2^32: its high bits choose the flow.
                next = next.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let flow = (u64::from(next) * u64::from(flows)) >> 32;
                carry(&mut network, &frame, flow as u32, &mut time_ns)?;
            }
            Ok::<_, CommandError>((start.elapsed(), BATCH as usize))
        })?;
        let wire_ns = wire_ns(dtls, frame_len - FCS_LEN + VXLAN_HEADER_LEN);
        let bits = frame_len as f64 * 8.0;
        into.push(Frames {
            dtls,
            cipher,
            flows,
            frame_len,
            frames_per_s: 1e9 / ns,
            gbit_per_s: bits / ns,
            bound_frames_per_s: 1e9 / wire_ns,
            bound_gbit_per_s: bits / wire_ns,
        });
        bar.inc(1);
    }
    Ok(())
}

/// Two hosts with a VM each.
fn scenario(dtls: &str, cipher: &str, flows: u32) -> String {
    let mut text = String::from("name = \"bench\"\n");
    for n in [1, 2] {
        // Room to spare: a bucketed table can't be filled to the brim.
        let table = (flows * 2).max(1_024).next_power_of_two();
        text += &format!(
            "[[host]]\nname = \"host-{n}\"\npa = [\"192.0.2.{n}\"]\nnic = {{ flows = {table} }}\n\
             [[vm]]\nname = \"vm-{n}\"\nhost = \"host-{n}\"\nvnet = \"blue\"\nmac = \"02:00:00:00:00:0{n}\"\naddresses = [\"10.1.0.{n}\"]\n"
        );
    }
    text + &format!(
        "[[vnet]]\nname = \"blue\"\nvni = 1\nprefixes = [\"10.1.0.0/16\"]\n\
         encryption = {{ enabled = true, enforcement = \"DropUnencrypted\" }}\n\
         [association]\ndtls = \"{dtls}\"\ncipher = \"{cipher}\"\nconnection_id = {}\n",
        super::CID_LEN
    )
}

/// A UDP frame from the first VM to the second, without FCS; its flow is not yet set.
fn frame(frame_len: usize) -> Vec<u8> {
    let ip_len = frame_len - FCS_LEN - 14;
    let mut frame = vec![0; frame_len - FCS_LEN];
    frame[..12].copy_from_slice(&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1]);
    frame[12..16].copy_from_slice(&[8, 0, 0x45, 0]);
    frame[16..18].copy_from_slice(&(ip_len as u16).to_be_bytes());
    frame[20..24].copy_from_slice(&[0x40, 0, 64, 17]);
    frame[26..34].copy_from_slice(&[10, 1, 0, 1, 10, 1, 0, 2]);
    frame[38..40].copy_from_slice(&(ip_len as u16 - 20).to_be_bytes());
    frame
}

/// Carries one frame of a flow to the other VM.
fn carry(network: &mut Network, frame: &[u8], flow: u32, time_ns: &mut u64) -> Result<(), CommandError> {
    *time_ns += 100;
    let mut packet = Packet::new(frame, *time_ns, 0);
    // Twenty bits of flow in two ports, none of them a service that the NIC hands to the host.
    packet.frame_mut()[34..36].copy_from_slice(&(flow as u16).to_be_bytes());
    packet.frame_mut()[36..38].copy_from_slice(&(1_000 + (flow >> 16) as u16).to_be_bytes());
    let mut has_arrived = false;
    let mut observe = |observed: Observed<'_>| {
        has_arrived |= matches!(observed, Observed::Delivered { packet, .. } if packet.frame().len() == frame.len());
    };
    network
        .submit(0, 0, packet, &mut observe)
        .map_err(|restless| CommandError::Bench(format!("{restless}; this is a bug, please report it")))?;
    if has_arrived {
        Ok(())
    } else {
        Err(CommandError::Bench(format!(
            "a frame of flow {flow} didn't arrive; this is a bug, please report it"
        )))
    }
}
