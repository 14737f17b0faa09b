//! The functional model from edge to edge: one VM's frames through two devices, buffers and queues included.

use crate::device::{Host, program};
use crate::measure::{Effort, Runs, Stopwatch};
use crate::report::{Sample, Table};
use anyhow::{Result, anyhow, ensure};
use sealnic_driver::Device;
use sealnic_driver::transport::model::ModelTransport;
use sealnic_hw_model::{Edge, FunctionalModel, HwModel, ModelConfig, Packet};

/// Frames of the VM, without FCS, in octets.
const SIZES: [usize; 2] = [64, 1454];

/// Flows that take turns.
const FLOWS: u32 = 1 << 10;

fn model(host: Host) -> Result<Box<dyn HwModel>> {
    let config = ModelConfig {
        seed: Some(host as u64),
        ..ModelConfig::default()
    };
    let model = FunctionalModel::new(&config).map_err(|error| anyhow!("{error}"))?;
    let mut device = Device::attach(ModelTransport::new(Box::new(model)))?;
    program(&mut device, host)?;
    device.set_enabled(true)?;
    Ok(device.into_transport().into_model())
}

/// Measures frames from the VM of one device to the VM of the other.
pub(crate) fn run(effort: Effort) -> Result<Vec<Sample>> {
    let (mut a, mut b) = (model(Host::A)?, model(Host::B)?);
    let stopwatch = Stopwatch::new();
    let mut samples = Vec::new();
    let mut time_ns = 0;
    for octets in SIZES {
        let (mut runs, mut frame) = (Runs::default(), vec![0x5a; octets]);
        for run in 0..=effort.runs {
            let mut delivered = 0;
            let time = stopwatch.time(|| {
                for n in 0..effort.packets {
                    let headers = crate::paths::inner_headers(octets, n as u32 % FLOWS);
                    frame[..headers.len()].copy_from_slice(&headers);
                    time_ns += 1_000;
                    a.submit(Edge::Vf(0), Packet::new(&frame, time_ns, n as u64));
                    while let Some((_, datagram)) = a.collect() {
                        b.submit(Edge::Wire, datagram);
                    }
                    while let Some((edge, packet)) = b.collect() {
                        delivered += usize::from(edge == Edge::Vf(0) && packet.frame() == frame);
                    }
                }
            });
            ensure!(
                delivered == effort.packets,
                "{delivered} of {} frames came through two models",
                effort.packets
            );
            if run > 0 {
                runs.add(time, effort.packets);
            }
        }
        samples.push(Sample::new("model", "two functional models", octets, runs.timing()));
    }
    Ok(samples)
}

/// Table of frame rates.
pub(crate) fn print(samples: &[Sample]) {
    println!("\n### functional model, VM to VM through two devices, one thread\n");
    let mut table = Table::new(["inner frame, octets", "frames a second", "ns per frame (median)"].map(str::to_owned));
    for sample in samples.iter().filter(|s| s.part == "model") {
        table.row([
            sample.octets.to_string(),
            format!("{:.0}", 1e9 / sample.min_ns),
            format!("{:.0} ({:.0})", sample.min_ns, sample.median_ns),
        ]);
    }
    print!("{table}");
}
