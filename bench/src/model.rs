//! The models from edge to edge: two VMs' frames through two devices, both ways at once, buffers and queues included.

use crate::device::{Host, program};
use crate::measure::{Effort, Runs, Stopwatch};
use crate::paths::{INNER_HEADERS, inner_headers};
use crate::report::{Sample, Table};
use anyhow::{Context, Result, anyhow, ensure};
use sealnic_driver::Device;
use sealnic_driver::transport::model::ModelTransport;
use sealnic_hw_model::cycle::{CycleModel, HwConfig};
use sealnic_hw_model::{Edge, FunctionalModel, HwModel, ModelConfig, Packet};
use std::time::Duration;

/// Frames of the VM, without FCS, in octets.
const SIZES: [usize; 2] = [64, 1454];

/// Flows that take turns.
const FLOWS: u32 = 1 << 10;

/// Octets that a frame of these VMs takes on the line besides its own: Ethernet, IPv4, UDP, record, VXLAN, FCS, preamble and gap.
const AROUND: usize = 98;

/// Time of an octet on a line of 100 Gbit/s, in picoseconds.
const PS_PER_OCTET: u64 = 80;

/// How long an idle device is left alone at a time, and how often.
const IDLE_STEP: Duration = Duration::from_millis(1);
const IDLE_STEPS: u64 = 1_000;

/// The names in the figures.
const FUNCTIONAL: &str = "functional";
const CYCLE: &str = "cycle";
const LOADED_CYCLE: &str = "cycle, one loaded cycle";
const IDLE_CYCLE: &str = "cycle, one idle cycle";

/// Two devices on one line, on one clock.
struct Pair {
    devices: [Box<dyn HwModel>; 2],
    now_ns: u64,
}

impl Pair {
    fn new(make: impl Fn(&ModelConfig) -> Result<Box<dyn HwModel>>) -> Result<Self> {
        let device = |host: Host| {
            let config = ModelConfig {
                seed: Some(host as u64),
                ..ModelConfig::default()
            };
            let mut device = Device::attach(ModelTransport::new(make(&config)?))?;
            program(&mut device, host)?;
            device.set_enabled(true)?;
            anyhow::Ok(device.into_transport().into_model())
        };
        Ok(Self {
            devices: [device(Host::A)?, device(Host::B)?],
            now_ns: 1_000_000,
        })
    }

    /// One frame of a flow from each VM, and whatever came out until then; gives the number of frames that VMs got.
    fn send(&mut self, at_ns: u64, load: &Load, n: usize) -> usize {
        for (device, frame) in self.devices.iter_mut().zip(load.frames(n)) {
            device.submit(Edge::Vf(0), Packet::new(frame, at_ns, n as u64));
        }
        self.now_ns = at_ns;
        self.carry(load)
    }

    /// Carries datagrams over; gives the number of frames that VMs got as they were sent.
    fn carry(&mut self, load: &Load) -> usize {
        let mut delivered = 0;
        for (from, to) in [(0, 1), (1, 0)] {
            while let Some((edge, packet)) = self.devices[from].collect() {
                match edge {
                    Edge::Wire => self.devices[to].submit(Edge::Wire, packet),
                    _ => delivered += usize::from(packet.frame() == load.frames(packet.tag as usize)[to]),
                }
            }
        }
        delivered
    }

    /// Waits until nothing is inside.
    fn settle(&mut self, load: &Load) -> usize {
        let mut delivered = self.carry(load);
        while let Some(next_ns) = self.devices.iter().filter_map(|device| device.next_event_ns()).min() {
            self.now_ns = self.now_ns.max(next_ns) + 100;
            for device in &mut self.devices {
                device.advance(self.now_ns);
            }
            delivered += self.carry(load);
        }
        delivered
    }
}

/// Frames of one size: of each flow one from either VM.
struct Load {
    octets: usize,
    flows: Vec<[Vec<u8>; 2]>,
}

impl Load {
    fn new(octets: usize) -> Self {
        let frame = |from, flow| {
            let mut frame = vec![0x5a; octets];
            frame[..INNER_HEADERS].copy_from_slice(&inner_headers(from, octets, flow));
            frame
        };
        Self {
            octets,
            flows: (0..FLOWS)
                .map(|flow| [Host::A, Host::B].map(|from| frame(from, flow)))
                .collect(),
        }
    }

    fn frames(&self, n: usize) -> &[Vec<u8>; 2] {
        &self.flows[n % self.flows.len()]
    }
}

/// Measures one kind of model; the cycles of one that counts at `mhz` besides.
fn measure(what: &str, pair: &mut Pair, load: &Load, effort: Effort, mhz: Option<u32>) -> Result<Vec<Sample>> {
    let stopwatch = Stopwatch::new();
    // Each flow is decided before it is measured.
    for n in 0..load.flows.len() {
        let delivered = pair.send(pair.now_ns + 1_000, load, n) + pair.settle(load);
        ensure!(delivered == 2, "{what}: {delivered} of 2 first frames came through");
    }
    let count = effort.packets * 4;
    let slot_ps = (load.octets + AROUND) as u64 * PS_PER_OCTET;
    let (mut runs, mut cycles) = (Runs::default(), Runs::default());
    for run in 0..=effort.runs {
        let (mut delivered, start_ns) = (0, pair.now_ns + 1_000);
        let time = stopwatch.time(|| {
            for n in 0..count {
                delivered += pair.send(start_ns + n as u64 * slot_ps / 1_000, load, n);
            }
            delivered += pair.settle(load);
        });
        ensure!(
            delivered == 2 * count,
            "{what}: {delivered} of {} frames came through two models",
            2 * count
        );
        if run > 0 {
            // Each frame goes through two devices.
            runs.add(time, 4 * count);
            if let Some(mhz) = mhz {
                cycles.add(time, 2 * ((pair.now_ns - start_ns) * u64::from(mhz) / 1_000) as usize);
            }
        }
    }
    let mut samples = vec![Sample::new("model", what, load.octets, runs.timing())];
    if mhz.is_some() {
        samples.push(Sample::new("model", LOADED_CYCLE, load.octets, cycles.timing()));
    }
    Ok(samples)
}

/// Measures an idle device that is told the time every [`IDLE_STEP`].
fn idle(pair: &mut Pair, effort: Effort, mhz: u32) -> Sample {
    let stopwatch = Stopwatch::new();
    let mut runs = Runs::default();
    let step_ns = IDLE_STEP.as_nanos() as u64;
    for _ in 0..effort.runs {
        let time = stopwatch.time(|| {
            for _ in 0..IDLE_STEPS {
                pair.now_ns += step_ns;
                pair.devices[0].advance(pair.now_ns);
            }
        });
        runs.add(time, (IDLE_STEPS * step_ns / 1_000 * u64::from(mhz)) as usize);
    }
    Sample::new("model", IDLE_CYCLE, 0, runs.timing())
}

/// Measures the functional and the cycle model, one after the other at each size.
pub(crate) fn run(effort: Effort) -> Result<Vec<Sample>> {
    let hardware = HwConfig::default_preset()
        .map_err(|error| anyhow!("{error}"))
        .context("the default hardware")?;
    let mhz = hardware.core.clock_mhz;
    let mut functional = Pair::new(|config| {
        let model = FunctionalModel::new(config).map_err(|error| anyhow!("{error}"))?;
        Ok(Box::new(model))
    })?;
    let mut cycle = Pair::new(|config| {
        let model = CycleModel::new(config, &hardware).map_err(|error| anyhow!("{error}"))?;
        Ok(Box::new(model))
    })?;
    let mut samples = Vec::new();
    for load in SIZES.map(Load::new) {
        samples.extend(measure(FUNCTIONAL, &mut functional, &load, effort, None)?);
        samples.extend(measure(CYCLE, &mut cycle, &load, effort, Some(mhz))?);
    }
    samples.push(idle(&mut cycle, effort, mhz));
    Ok(samples)
}

/// Table of frame and cycle rates.
pub(crate) fn print(samples: &[Sample]) {
    println!("\n### models, VM to VM through two devices, both ways at once, one thread\n");
    let least = |what: &str, octets: usize| {
        let found = samples
            .iter()
            .find(|s| s.part == "model" && s.what == what && s.octets == octets);
        found.map_or(f64::NAN, |s| s.min_ns)
    };
    let mut table = Table::new(
        [
            "inner frame, octets",
            "functional, frames a second and device",
            "cycle, frames a second and device",
            "of functional",
            "cycles a second, loaded",
            "cycles a second, idle",
        ]
        .map(str::to_owned),
    );
    for octets in SIZES {
        let (functional, cycle) = (least(FUNCTIONAL, octets), least(CYCLE, octets));
        table.row([
            octets.to_string(),
            format!("{:.0}", 1e9 / functional),
            format!("{:.0}", 1e9 / cycle),
            format!("{:.0} %", 100.0 * functional / cycle),
            format!("{:.2} M", 1e3 / least(LOADED_CYCLE, octets)),
            format!("{:.0} M", 1e3 / least(IDLE_CYCLE, 0)),
        ]);
    }
    print!("{table}");
}
