//! The main job: a capture's frames go from VM to VM through the NICs of a scenario, and each is accounted for.
//!
//! * [`capture`]: reading and writing captures
//! * [`sender`]: which VM sent a frame
//! * [`bring_up`](mod@bring_up): NICs ready for traffic
//! * [`network`]: the hosts on their wire
//! * [`outputs`]: files that are written
//! * [`keys`]: static keys of a run
//! * [`shared`]: a model with several holders
//! * `sight`: what was seen of a frame, and its fate
//! * [`summary`]: what a run says about itself
//! * [`timed`]: models that take time

pub mod bring_up;
pub mod capture;
pub mod keys;
pub mod network;
pub mod outputs;
pub mod sender;
pub mod shared;
mod sight;
pub mod summary;
pub mod timed;

use crate::scenario::Scenario;
pub use bring_up::{BroughtUp, bring_up, bring_up_with};
use capture::{CaptureError, CaptureWriter, CapturedFrame};
use network::{Network, Observed, Restless, is_answer};
use sealnic_abi::DropReason;
use sealnic_abi::event::Event;
use sealnic_driver::flow_log::{FlowLogConfig, FlowLogFile};
use sealnic_driver::{CounterSnapshot, FlowLog, RunId};
use sealnic_hw_model::cycle::{CycleModelError, HwConfig, ReplayError};
use sealnic_hw_model::middleware::Impairments;
use sealnic_hw_model::{Packet, Verdict};
use sealnic_wire::{EthernetFrame, UdpPacket, vxlan};
use sender::Senders;
use sight::Sight;
use std::fs;
use std::path::{Path, PathBuf};
use summary::{Accounting, FrameFate, Frames, Summary, VmFrames};
use timed::{Observation, TimedModels};

/// Frames scheduled at a time, after which waiting events are taken from the devices.
const SCHEDULED: usize = 256;
/// Device time that passes after the last frame, so that what is held back comes out.
const LINGER_NS: u64 = 1_000_000;

/// Which model stands for the NICs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ModelKind {
    /// What happens to a frame, at once.
    #[default]
    Functional,
    /// When it happens too: units, FIFOs and memories of a hardware file.
    Cycle,
}

impl ModelKind {
    /// Name on the command line and in the summary.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Functional => "functional",
            Self::Cycle => "cycle",
        }
    }
}

/// How to run.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// Directory for the outputs; none are written without.
    pub out: Option<PathBuf>,
    /// Model.
    pub model: ModelKind,
    /// What the cycle model is built of; the default hardware when none is given.
    pub hardware: Option<HwConfig>,
    /// What the cycle model shows of its inside.
    pub observation: Observation,
    /// Do what the cycle models did again, on functional ones, and fail where it comes out differently.
    pub check_replay: bool,
    /// What the wire does to frames.
    pub impairments: Impairments,
    /// Seed of all that is drawn for the NICs and is no key: connection ids, hash secrets, generations.
    pub seed: u64,
    /// Fixed keys: the same octets on the wire in every run of a seed. For tests only.
    pub unsafe_fixed_keys: bool,
    /// File for the run's record keys.
    pub unsafe_write_keys: Option<PathBuf>,
    /// Put the fate of every frame into the summary.
    pub frame_fates: bool,
    /// Files that the scenario and these options were read from, so that no output overwrites them.
    pub inputs: Vec<PathBuf>,
}

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The scenario has no traffic.
    #[error("the scenario has no traffic: add a [traffic] table with a capture to {0}")]
    NoTraffic(String),
    /// A capture can't be read or written.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// An output would overwrite an input or another output.
    #[error(transparent)]
    Collision(#[from] outputs::Collision),
    /// A file can't be written.
    #[error("{path}: {source}")]
    Output {
        /// File or directory.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// A device could not be made.
    #[error("the model of a NIC can't be made: {0}")]
    Model(#[from] sealnic_hw_model::ModelError),
    /// A cycle model could not be made.
    #[error("the cycle model of a NIC can't be made: {0}")]
    Cycle(#[from] CycleModelError),
    /// What is inside a cycle model can't be shown.
    #[error("the waveform or the trace can't be written: {0}; check the disk's free space")]
    Observation(std::io::Error),
    /// The functional model does something else than the cycle model did.
    #[error("host {host}: {source}; this is a bug, please report it")]
    Replay {
        /// Host's name.
        host: String,
        /// Where.
        source: ReplayError,
    },
    /// A driver failed.
    #[error("host {host}: {source}")]
    Driver {
        /// Host's name.
        host: String,
        /// Cause.
        source: sealnic_driver::Error,
    },
    /// No randomness.
    #[error("the operating system has no random octets for the run's keys: {0}")]
    Random(std::io::Error),
    /// The outcome can't be right.
    #[error("{0}; this is a bug, please report it")]
    Wrong(String),
}

/// Hears how far a run is.
pub trait Progress {
    /// `done` of `total` frames have been carried.
    fn frames(&mut self, done: usize, total: usize);
}

/// Runs without telling anybody.
impl Progress for () {
    fn frames(&mut self, _done: usize, _total: usize) {}
}

/// Runs a scenario's capture through its NICs.
///
/// # Errors
/// [`RunError`]; [`RunError::Wrong`] when the conservation law doesn't hold or a frame arrived damaged: then the outputs are
/// written all the same.
pub fn run(scenario: &Scenario, options: &RunOptions, progress: &mut dyn Progress) -> Result<Summary, RunError> {
    let traffic = scenario
        .traffic
        .as_ref()
        .ok_or_else(|| RunError::NoTraffic(scenario.name.clone()))?;
    outputs::check(scenario, &traffic.capture, options)?;
    let frames = capture::read(&traffic.capture)?;
    let mut run = Run::prepare(scenario, options, &frames)?;
    let senders = Senders::new(scenario);
    for start in (0..frames.len()).step_by(SCHEDULED) {
        let end = frames.len().min(start + SCHEDULED);
        for (index, frame) in frames.iter().enumerate().take(end).skip(start) {
            run.schedule(index, senders.of(&frame.octets));
        }
        // Frames that come together with the next ones wait for these.
        if let Some(next) = frames.get(end) {
            run.follow(Until::Time(next.time_ns))?;
        }
        run.take_events()?;
        progress.frames(end, frames.len());
    }
    progress.frames(frames.len(), frames.len());
    run.finish()
}

/// A run under way.
struct Run<'a> {
    scenario: &'a Scenario,
    options: &'a RunOptions,
    /// The capture.
    capture: &'a [CapturedFrame],
    /// What was seen of each of its frames so far.
    sights: Vec<Sight>,
    network: Network,
    timed: TimedModels,
    run_id: RunId,
    flow_logs: Vec<FlowLog>,
    /// Index of the VM behind each port, by host.
    vms_by_port: Vec<Vec<Option<usize>>>,
    outputs: Option<Outputs>,
    vms: Vec<VmFrames>,
    wire: summary::WireSummary,
    now_ns: u64,
}

/// Captures being written.
struct Outputs {
    wire: CaptureWriter,
    vms: Vec<CaptureWriter>,
}

impl<'a> Run<'a> {
    fn prepare(
        scenario: &'a Scenario,
        options: &'a RunOptions,
        capture: &'a [CapturedFrame],
    ) -> Result<Self, RunError> {
        let BroughtUp {
            network,
            states,
            timed,
            run_id,
        } = bring_up(scenario, options)?;
        timed.begin(&host_names(scenario), &options.observation)?;
        let mut flow_logs = Vec::new();
        let mut vms_by_port = Vec::new();
        for (index, state) in states.iter().enumerate() {
            flow_logs.push(FlowLog::new(flow_log_config(scenario), &state.ports));
            let ports = scenario
                .vms_on(index)
                .map(|vm| usize::from(scenario.vms[vm].port))
                .max()
                .map_or(0, |port| port + 1);
            let mut by_port = vec![None; ports];
            scenario
                .vms_on(index)
                .for_each(|vm| by_port[usize::from(scenario.vms[vm].port)] = Some(vm));
            vms_by_port.push(by_port);
        }
        Ok(Self {
            scenario,
            options,
            capture,
            sights: vec![Sight::default(); capture.len()],
            network,
            timed,
            run_id,
            flow_logs,
            vms_by_port,
            outputs: options
                .out
                .as_deref()
                .map(|out| Outputs::create(scenario, out))
                .transpose()?,
            vms: vec![VmFrames::default(); scenario.vms.len()],
            wire: summary::WireSummary::default(),
            now_ns: 0,
        })
    }

    /// Has a frame of the capture handed over by its sender when its time comes.
    fn schedule(&mut self, index: usize, sender: Option<usize>) {
        let frame = &self.capture[index];
        self.now_ns = self.now_ns.max(frame.time_ns);
        self.sights[index].sender = sender;
        let Some(sender) = sender else {
            return;
        };
        self.vms[sender].sent += 1;
        let vm = &self.scenario.vms[sender];
        let packet = Packet::new(&frame.octets, self.now_ns, index as u64);
        self.network.schedule(vm.host, vm.port, packet);
    }

    /// Lets things happen, and writes down what is seen.
    fn follow(&mut self, until: Until) -> Result<(), RunError> {
        let mut written = Ok(());
        let mut witness = Witness {
            capture: self.capture,
            sights: &mut self.sights,
            outputs: &mut self.outputs,
            wire: &mut self.wire,
            vms: &mut self.vms,
            vms_by_port: &self.vms_by_port,
        };
        let mut observe = |observed: Observed<'_>| {
            if let Err(error) = witness.see(&observed) {
                written = Err(error);
            }
        };
        let followed = match until {
            Until::Time(time_ns) => self.network.run_until(time_ns, &mut observe),
            Until::End(time_ns) => self.network.finish(time_ns, &mut observe),
        };
        written?;
        followed.map_err(|restless| self.restless(&restless))
    }

    /// Names the first frame that a NIC still holds.
    fn restless(&self, restless: &Restless) -> RunError {
        let held = self.sights.iter().position(|sight| sight.fate().is_none());
        let held = held.map_or_else(String::new, |index| format!(", and frame {index} comes to no end"));
        RunError::Wrong(format!("{restless}{held}"))
    }

    /// Frames of the capture by what became of them, and each one's fate when asked for.
    fn fates(&self) -> Result<(Frames, Vec<FrameFate>), RunError> {
        let (mut frames, mut fates) = (Frames::default(), Vec::new());
        let name = |vm: Option<usize>| vm.map_or_else(String::new, |vm| self.scenario.vms[vm].name.clone());
        for (index, sight) in self.sights.iter().enumerate() {
            let fate = sight
                .fate()
                .ok_or_else(|| RunError::Wrong(format!("nobody can tell what became of frame {index}")))?;
            frames.add(fate, sight.receiver.is_some(), sight.damaged);
            if self.options.frame_fates {
                fates.push(FrameFate {
                    index: index as u64,
                    fate,
                    from: name(sight.sender),
                    to: name(sight.receiver),
                    reason: sight.drop_reason(),
                });
            }
        }
        Ok((frames, fates))
    }

    fn counters(&mut self, host: usize) -> Result<CounterSnapshot, RunError> {
        let name = &self.scenario.hosts[host].name;
        self.network.host(host).counters().map_err(|source| RunError::Driver {
            host: name.clone(),
            source,
        })
    }

    fn take_events(&mut self) -> Result<(), RunError> {
        for host in 0..self.network.hosts() {
            let name = &self.scenario.hosts[host].name;
            let driver = |source| RunError::Driver {
                host: name.clone(),
                source,
            };
            let events: Vec<Event> = self.network.host(host).drain_events().map_err(driver)?;
            for event in &events {
                self.flow_logs[host]
                    .push(event)
                    .map_err(|error| RunError::Wrong(format!("host {name}: {error}")))?;
            }
        }
        Ok(())
    }

    /// Lets everything come to its end, writes the outputs, and checks that all is accounted for.
    fn finish(mut self) -> Result<Summary, RunError> {
        self.now_ns += LINGER_NS;
        self.follow(Until::End(self.now_ns))?;
        for host in 0..self.network.hosts() {
            // The log takes what the ring holds; the rest stays until there is room again.
            loop {
                self.take_events()?;
                let name = self.scenario.hosts[host].name.clone();
                let flush = sealnic_driver::device::FlushScope::All;
                let flushed = self.network.host(host).flush_flows(flush);
                if flushed.map_err(|source| RunError::Driver { host: name, source })? == 0 {
                    break;
                }
            }
        }
        self.take_events()?;
        self.wire.add_impairments(&self.network.wire());
        let cycles = self.timed.finish(&host_names(self.scenario))?;
        let replayed_steps = self.timed.check_replay(&host_names(self.scenario))?;
        let (frames, frame_fates) = self.fates()?;
        let mut summary = Summary {
            scenario: self.scenario.name.clone(),
            model: self.options.model.name(),
            hardware: cycles.values().next().map(|figures| figures.hardware.clone()),
            run_id: hex(self.run_id.octets()),
            replayed_steps,
            frames,
            frame_fates,
            wire: self.wire,
            accounting: Accounting {
                balanced: true,
                ..Accounting::default()
            },
            ..Summary::default()
        };
        for host in 0..self.network.hosts() {
            let counters = self.counters(host)?;
            let accounting = Accounting::of(&counters);
            summary.accounting = summary.accounting.plus(accounting);
            summary.hosts.insert(self.scenario.hosts[host].name.clone(), accounting);
            for reason in DropReason::ALL.iter().filter(|reason| counters.dropped(**reason) != 0) {
                *summary.drops.entry(reason.name()).or_default() += counters.dropped(*reason);
            }
        }
        summary.frames.generated = summary.accounting.generated;
        for (vm, frames) in self.scenario.vms.iter().zip(&self.vms) {
            summary.vms.insert(vm.name.clone(), *frames);
        }
        let mut flow_log = FlowLogFile { records: Vec::new() };
        for log in self.flow_logs {
            flow_log.records.extend(log.finish().records);
        }
        flow_log
            .records
            .sort_by(|a, b| (&a.time, &a.mac_address).cmp(&(&b.time, &b.mac_address)));
        let groups = flow_log
            .records
            .iter()
            .flat_map(|record| &record.flow_records.flows)
            .flat_map(|flows| &flows.flow_groups);
        summary.flow_log_tuples = groups.map(|group| group.flow_tuples.len()).sum();
        if let (Some(outputs), Some(out)) = (self.outputs, &self.options.out) {
            outputs.finish()?;
            write_json(&out.join(outputs::FLOW_LOG), &flow_log)?;
            write_json(&out.join(outputs::SUMMARY), &summary)?;
            if !cycles.is_empty() {
                write_json(&out.join(outputs::CYCLES), &cycles)?;
            }
        }
        let lossless = self.options.impairments == Impairments::default();
        if !summary.accounting.balanced {
            return Err(RunError::Wrong(
                "frames in and frames out do not balance; see accounting in the summary".to_owned(),
            ));
        }
        if summary.frames.damaged != 0 {
            return Err(RunError::Wrong(format!(
                "{} frames arrived damaged",
                summary.frames.damaged
            )));
        }
        if lossless && summary.frames.lost != 0 {
            return Err(RunError::Wrong(format!(
                "{} frames were lost on a wire that loses none",
                summary.frames.lost
            )));
        }
        Ok(summary)
    }
}

/// How far to follow what happens.
#[derive(Clone, Copy)]
enum Until {
    /// Until just before a time.
    Time(u64),
    /// Until nothing happens any more, and then until a time.
    End(u64),
}

/// Writes down what is seen.
struct Witness<'a> {
    capture: &'a [CapturedFrame],
    sights: &'a mut [Sight],
    outputs: &'a mut Option<Outputs>,
    wire: &'a mut summary::WireSummary,
    vms: &'a mut [VmFrames],
    vms_by_port: &'a [Vec<Option<usize>>],
}

impl Witness<'_> {
    fn see(&mut self, observed: &Observed<'_>) -> Result<(), CaptureError> {
        let tag = observed.tag();
        let index = usize::try_from(tag).unwrap_or(usize::MAX);
        let (Some(sight), Some(frame)) = (self.sights.get_mut(index), self.capture.get(index)) else {
            return Ok(());
        };
        match *observed {
            Observed::Sent { packet } => {
                let is_clear = is_clear_overlay(packet.frame());
                self.wire.datagrams += 1;
                *(if is_clear {
                    &mut self.wire.clear
                } else {
                    &mut self.wire.sealed
                }) += 1;
                sight.clear |= is_clear;
                sight.sealed |= !is_clear;
                if let Some(outputs) = self.outputs {
                    outputs.wire.write(packet.time_ns, packet.frame(), "")?;
                }
            }
            Observed::Delivered { host, port, packet } => {
                let vm = self.vms_by_port[host].get(usize::from(port)).copied().flatten();
                if let Some(vm) = vm {
                    self.vms[vm].received += 1;
                }
                let comment = if is_answer(packet) {
                    "generated".to_owned()
                } else {
                    sight.receiver = vm;
                    // Pieces of a frame that was cut are checked by putting them together, not here.
                    sight.damaged |= !packet.is_generated && packet.frame() != frame.octets;
                    format!("frame {tag}")
                };
                let outputs = self.outputs.as_mut();
                if let Some(writer) = outputs.zip(vm).and_then(|(outputs, vm)| outputs.vms.get_mut(vm)) {
                    writer.write(packet.time_ns, packet.frame(), &comment)?;
                }
            }
            Observed::Punted { .. } => sight.punted = true,
            Observed::Left { .. } => {
                self.wire.left += 1;
                sight.left = true;
            }
            Observed::Ended { ended } => match ended.verdict {
                Verdict::Drop(reason) => {
                    sight.reason.get_or_insert(reason);
                }
                Verdict::Consumed => sight.consumed = true,
                // Those with a destination don't end.
                Verdict::WireSealed | Verdict::WireClear | Verdict::Vf(_) | Verdict::Represented(_) | Verdict::Host => {
                }
            },
        }
        Ok(())
    }
}

impl Outputs {
    fn create(scenario: &Scenario, out: &Path) -> Result<Self, RunError> {
        fs::create_dir_all(out).map_err(|source| RunError::Output {
            path: out.to_owned(),
            source,
        })?;
        let vms = scenario
            .vms
            .iter()
            .map(|vm| CaptureWriter::create(&out.join(outputs::vm_capture(&vm.name)), &vm.name));
        Ok(Self {
            wire: CaptureWriter::create(&out.join(outputs::WIRE), "wire")?,
            vms: vms.collect::<Result<_, _>>()?,
        })
    }

    fn finish(self) -> Result<(), RunError> {
        self.wire.finish()?;
        for vm in self.vms {
            vm.finish()?;
        }
        Ok(())
    }
}

fn host_names(scenario: &Scenario) -> Vec<&str> {
    scenario.hosts.iter().map(|host| host.name.as_str()).collect()
}

fn flow_log_config(scenario: &Scenario) -> FlowLogConfig {
    FlowLogConfig {
        target_resource_id: format!("/providers/SealNIC/scenarios/{}", scenario.name),
        ..FlowLogConfig::default()
    }
}

fn is_clear_overlay(datagram: &[u8]) -> bool {
    let payload = EthernetFrame::new_unchecked(datagram);
    let payload = payload.payload();
    // Both IP headers of our own making have a fixed length.
    let udp = if payload.first().is_some_and(|octet| octet >> 4 == 6) {
        40
    } else {
        20
    };
    payload
        .get(udp..)
        .is_some_and(|udp| UdpPacket::new_unchecked(udp).dst_port() == vxlan::UDP_PORT)
}

fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<(), RunError> {
    outputs::write_json(path, value).map_err(|source| RunError::Output {
        path: path.to_owned(),
        source,
    })
}

pub(crate) fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
