//! The order in which a timed model changed the device's state, and the functional device that does the same again.
//!
//! A timed model decides when each step happens, and so in which order; what each does is the firmware's. A record holds
//! every step with its input and what came of it. [`Record::replay`] carries the steps out on a device that takes no time, and
//! compares octet for octet. What the device found in its host's memory is in the record, too: the functional device is plugged into a
//! host that answers as the other did, and what it writes there must be the same.

use crate::core::{Core, OutQueue};
use crate::cycle::nic::Made;
use crate::host_log::{Access, Tape, wipe};
use crate::packet::{Edge, Packet};
use crate::{FunctionalModel, ModelConfig, ModelError};
use sealnic_abi::{Counter, DropReason};
use sealnic_firmware::stages::Arrived;
use sealnic_firmware::{Destination, Frame, Offload, Verdict};
use std::collections::HashMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use zeroize::Zeroize;

/// One change of state. What it holds may be keys and plaintext: it is wiped with the record, and never shown.
#[derive(Clone)]
pub(crate) enum Step {
    /// A VM's frame: decided, sealed, counted.
    Vf {
        port: u16,
        offload: Offload,
        frame: Vec<u8>,
    },
    /// A datagram: opened, its number committed.
    Arrive { frame: Vec<u8> },
    /// What arrived in that step: delivered.
    Deliver { arrive: usize },
    /// A frame of the host.
    Host { frame: Vec<u8> },
    /// A frame that found no room at the edge, or was inside at a reset.
    TurnAway { counter: Counter, reason: DropReason },
    /// A register was written.
    Write { offset: u32, value: u32 },
    /// A register was read.
    Read { offset: u32 },
    /// The control CPU looked after its tables.
    Poll { entries: usize },
    /// Function-level reset.
    Reset,
    /// The device was plugged into a host.
    Connect,
    /// A frame for the host came to the place where such wait for their ring.
    ToHost { frame: Vec<u8> },
    /// Commands of the ring were carried out, frames of the host taken; what was read is in the outcome.
    FromRings,
    /// Events and frames were written to the host's rings, and interrupts raised; what was read is in the outcome.
    ToRings,
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vf { port, frame, .. } => write!(f, "a frame of {} octets from port {port}", frame.len()),
            Self::Arrive { frame } => write!(f, "the arrival of {} octets", frame.len()),
            Self::Deliver { arrive } => write!(f, "the delivery of what arrived in step {arrive}"),
            Self::Host { frame } => write!(f, "a frame of {} octets from the host", frame.len()),
            Self::TurnAway { counter, reason } => write!(f, "a frame turned away ({counter:?}, {reason:?})"),
            Self::Write { offset, .. } => write!(f, "a write at {offset:#06x}"),
            Self::Read { offset } => write!(f, "a read at {offset:#06x}"),
            Self::Poll { entries } => write!(f, "a look at {entries} entries"),
            Self::Reset => f.write_str("a reset"),
            Self::Connect => f.write_str("a host"),
            Self::ToHost { frame } => write!(f, "{} octets for the host", frame.len()),
            Self::FromRings => f.write_str("work on the host's commands and frames"),
            Self::ToRings => f.write_str("work on what the host is told"),
        }
    }
}

/// What came of a step.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    verdict: Option<Verdict>,
    /// The frame as it goes on; empty when it doesn't.
    frame: Vec<u8>,
    made: Vec<(Destination, Vec<u8>)>,
    value: u32,
    /// What was done to the host: reads with their answers, writes, interrupts.
    accesses: Vec<Access>,
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Octets may be secret; a digest that can't be turned back tells whether they are the same.
        let mut hasher = DefaultHasher::new();
        (
            &self.frame,
            &self.made.iter().map(|(_, frame)| frame).collect::<Vec<_>>(),
            self.value,
            self.accesses
                .iter()
                .map(|a| (a.at, a.len, &a.octets))
                .collect::<Vec<_>>(),
        )
            .hash(&mut hasher);
        let (len, made, digest) = (self.frame.len(), self.made.len(), hasher.finish() as u16);
        write!(
            f,
            "verdict {:?}, {len} octets, {made} frames made, {} accesses to the host, digest {digest:#06x}",
            self.verdict,
            self.accesses.len()
        )
    }
}

impl Outcome {
    pub(crate) fn of(verdict: Verdict, packet: &Packet, made: &[(Destination, Vec<u8>)]) -> Self {
        Self::with(verdict, packet.frame(), made)
    }

    fn with(verdict: Verdict, frame: &[u8], made: &[(Destination, Vec<u8>)]) -> Self {
        let goes_on = verdict.destination().is_some();
        Self {
            verdict: Some(verdict),
            frame: if goes_on { frame.to_vec() } else { Vec::new() },
            made: made.to_vec(),
            ..Self::default()
        }
    }

    /// A frame that was opened and waits for its delivery.
    pub(crate) fn arrived(packet: &Packet) -> Self {
        Self {
            frame: packet.frame().to_vec(),
            ..Self::default()
        }
    }

    pub(crate) fn value(value: u32) -> Self {
        Self {
            value,
            ..Self::default()
        }
    }

    pub(crate) fn by_rings(made: Vec<(Destination, Vec<u8>)>, accesses: Vec<Access>) -> Self {
        Self {
            made,
            accesses,
            ..Self::default()
        }
    }

    pub(crate) fn made(made: Vec<(Destination, Vec<u8>)>) -> Self {
        Self {
            made,
            ..Self::default()
        }
    }
}

/// Every step of a device since it was made.
#[derive(Debug, Clone, Default)]
pub struct Record {
    steps: Vec<(u64, Step, Outcome)>,
}

/// Where a replay came out differently.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The functional device can't be made.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A step did something else.
    #[error("step {step} of {steps}, {what}, came out differently: {recorded} in the record, {replayed} in the replay")]
    Different {
        /// Number of the step.
        step: usize,
        /// How many there are.
        steps: usize,
        /// What it is.
        what: String,
        /// What came of it in the timed model.
        recorded: String,
        /// What came of it now.
        replayed: String,
    },
    /// All steps came out the same, and yet not the counters.
    #[error("the counters of the replay differ from those of the cycle model")]
    Counters,
    /// The model wasn't told to record.
    #[error("nothing was recorded")]
    NotRecorded,
}

impl Drop for Record {
    fn drop(&mut self) {
        for (_, step, outcome) in &mut self.steps {
            match step {
                Step::Vf { frame, .. } | Step::Arrive { frame } | Step::Host { frame } | Step::ToHost { frame } => {
                    frame.zeroize();
                }
                Step::Write { value, .. } => value.zeroize(),
                _ => {}
            }
            outcome.frame.zeroize();
            outcome.made.iter_mut().for_each(|(_, frame)| frame.zeroize());
            wipe(&mut outcome.accesses);
        }
    }
}

impl Record {
    pub(crate) fn add(&mut self, time_ns: u64, step: Step, outcome: Outcome) -> usize {
        self.steps.push((time_ns, step, outcome));
        self.steps.len() - 1
    }

    /// Number of steps.
    #[must_use]
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether nothing was recorded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Carries all steps out on a functional device made in the same way, and returns it: its counters, tables and events are
    /// those of the timed one. Where that was plugged into a host, this one is plugged into a host that no longer answers.
    ///
    /// # Errors
    /// The first step whose verdict, octets, made frames, register value or accesses to the host differ.
    pub fn replay(&self, config: &ModelConfig) -> Result<FunctionalModel, ReplayError> {
        let mut core = Core::new(config)?;
        let mut arrived = HashMap::new();
        let tape = Tape::default();
        for (number, (time_ns, step, recorded)) in self.steps.iter().enumerate() {
            core.at(*time_ns);
            let replayed = carry_out(&mut core, number, step, recorded, &tape, &mut arrived);
            if replayed != *recorded {
                return Err(ReplayError::Different {
                    step: number,
                    steps: self.steps.len(),
                    what: format!("{step:?}"),
                    recorded: format!("{recorded:?}"),
                    replayed: format!("{replayed:?}"),
                });
            }
        }
        Ok(FunctionalModel::from_core(core))
    }
}

/// A frame in a buffer of its own, as the timed model had it.
fn in_buffer(octets: &[u8]) -> Packet {
    Packet::new(octets, 0, 0)
}

fn carry_out(
    core: &mut Core,
    number: usize,
    step: &Step,
    recorded: &Outcome,
    tape: &Tape,
    arrived: &mut HashMap<usize, (Packet, Arrived)>,
) -> Outcome {
    let now_ns = core.now_ns;
    match step {
        Step::Vf { port, offload, frame } => {
            let mut packet = in_buffer(frame);
            let mut made = Made::default();
            let mut frame = packet.as_frame();
            // As a whole, by the functional path's own entry.
            let verdict = core.nic.from_vf(now_ns, *port, *offload, &mut frame, &mut made);
            Outcome::with(verdict, frame.octets(), &made.0)
        }
        Step::Arrive { frame } => {
            let mut packet = in_buffer(frame);
            let mut state = Arrived::EMPTY;
            let mut frame = packet.as_frame();
            let ended = core.nic.ingress_arrive(now_ns, &mut frame, &mut state);
            let range = frame.range();
            let outcome = match ended {
                Some(verdict) => Outcome::with(verdict, frame.octets(), &[]),
                None => Outcome {
                    frame: frame.octets().to_vec(),
                    ..Outcome::default()
                },
            };
            (packet.start, packet.end) = (range.start, range.end);
            if ended.is_none() {
                arrived.insert(number, (packet, state));
            }
            outcome
        }
        Step::Deliver { arrive } => {
            let Some((mut packet, state)) = arrived.remove(arrive) else {
                return Outcome::default();
            };
            let mut frame = packet.as_frame();
            let verdict = core.nic.ingress_deliver(now_ns, &state, &mut frame);
            Outcome::with(verdict, frame.octets(), &[])
        }
        Step::Host { frame } => {
            let mut packet = in_buffer(frame);
            let mut frame = packet.as_frame();
            let mut made = Made::default();
            let verdict = core.nic.from_host(now_ns, &mut frame, &mut made);
            Outcome::with(verdict, frame.octets(), &made.0)
        }
        Step::TurnAway { counter, reason } => {
            let verdict = core.nic.turn_away(now_ns, *counter, *reason, &mut Frame::default());
            Outcome::with(verdict, &[], &[])
        }
        Step::Write { offset, value } => {
            core.write32(*offset, *value);
            Outcome::made(taken(&mut core.out))
        }
        Step::Read { offset } => Outcome::value(core.read32(*offset)),
        Step::Poll { entries } => {
            core.nic.poll(now_ns, *entries);
            Outcome::default()
        }
        Step::Reset => {
            core.reset();
            Outcome::default()
        }
        Step::Connect => {
            core.connect(Box::new(tape.clone()));
            (core.log.is_on, core.log.keeps_octets) = (true, true);
            Outcome::default()
        }
        Step::ToHost { frame } => {
            core.out.push(Edge::Host, in_buffer(frame));
            Outcome::default()
        }
        Step::FromRings => {
            tape.put_in(&recorded.accesses);
            core.fetch();
            // Each comes in a step of its own.
            while core.next_from_host().is_some() {}
            Outcome::by_rings(taken(&mut core.out), core.log.take().1)
        }
        Step::ToRings => {
            tape.put_in(&recorded.accesses);
            core.deliver();
            Outcome::by_rings(Vec::new(), core.log.take().1)
        }
    }
}

/// What a device has given out, as octets.
fn taken(out: &mut OutQueue) -> Vec<(Destination, Vec<u8>)> {
    let mut frames = Vec::new();
    while let Some((edge, packet)) = out.pop() {
        frames.push((edge.into(), packet.frame().to_vec()));
    }
    frames
}
