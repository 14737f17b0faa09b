//! A waveform of FIFO handshakes and unit states, as an FST file.
//!
//! The hierarchy is that of the units, below one scope for each NIC: `host_a.egress0.parser`. In each unit:
//!
//! * `state.busy`, `state.output_full` …: one wire for each state; exactly one is high
//! * `in0.in_valid`, `in0.in_ready`: the producer's side of a FIFO; both high in a cycle is a frame accepted, and `in0.in_frame` says which
//! * `in0.out_valid`, `in0.out_ready`, `in0.out_frame`: the consumer's side
//! * `in0.occupancy`: frames in the FIFO, as it stands at the beginning of the cycle
//!
//! and below the NIC `line_tx` and `line_rx`: `frame_end` toggles when a frame's last bit passes; `octets` and `frame` are its.
//!
//! Time is in ps, counted from the first origin; where all NICs take a new origin after hours of idleness, those are left out. NICs advance in turns, so their changes come out of order: they wait in a heap of bounded
//! size. Should one come later than that heap can put right, the file would lie, and [`Probe::finish`] says so.

use crate::shared::{Axis, Clock, Output, Ps};
use fst_writer::{
    FstBodyWriter, FstFileType, FstHeaderWriter, FstInfo, FstScopeType, FstSignalId, FstSignalType, FstVarDirection,
    FstVarType, FstWriteError,
};
use sealnic_hw_model::cycle::{Direction, FifoId, FrameId, Probe, Topology, UnitId, UnitState};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};
use std::path::Path;
use std::sync::Arc;

/// Changes that wait to be put in order.
const HELD_CHANGES: usize = 1 << 18;
/// Octets of changes after which a section of the file is written.
const SECTION_LEN: usize = 8 << 20;
/// Frames that may wait for one FIFO before the oldest is forgotten: far more than units can hold a result for.
const WAITING_FRAMES: usize = 64;
const FRAME_BITS: u32 = 64;
const OCTETS_BITS: u32 = 16;
/// Exponent of ten of the unit of time: picoseconds.
const TIMESCALE: i8 = -12;

/// Makes the file, and one observer for each NIC, in the order of their names.
///
/// # Errors
/// The file can't be made.
pub fn create(path: &Path, nics: &[&str]) -> io::Result<Vec<WaveProbe<BufWriter<File>>>> {
    probes(BufWriter::new(File::create(path)?), nics)
}

/// The same over any output.
///
/// # Errors
/// The header can't be written.
pub fn probes<W: Write + Seek + Send>(out: W, nics: &[&str]) -> io::Result<Vec<WaveProbe<W>>> {
    let file = WaveFile::new(out, nics)?;
    let shared = Arc::new(Output::new(file, nics.len()));
    let probe = |nic| WaveProbe {
        nic,
        shared: Arc::clone(&shared),
        clock: Clock::default(),
        fifos: Vec::new(),
        units: Vec::new(),
        lines: [0; 2],
        line_ends: [false; 2],
        is_finished: false,
    };
    Ok((0..nics.len()).map(probe).collect())
}

/// Writes what one NIC does into a waveform.
pub struct WaveProbe<W: Write + Seek + Send> {
    /// Which NIC of the file.
    nic: usize,
    shared: Arc<Output<WaveFile<W>>>,
    clock: Clock,
    /// By FIFO, sorted.
    fifos: Vec<(FifoId, Fifo)>,
    /// By unit, sorted: first of its state wires, present state.
    units: Vec<(UnitId, u32, UnitState)>,
    /// First signal of the line in each direction.
    lines: [u32; 2],
    line_ends: [bool; 2],
    is_finished: bool,
}

/// A FIFO's signals and what they show.
struct Fifo {
    /// First of its signals, in the order of [`FIFO_SIGNALS`].
    signals: u32,
    depth: u32,
    /// Frames that were not taken when they were ready.
    waiting: VecDeque<u64>,
}

const IN_VALID: u32 = 0;
const IN_READY: u32 = 1;
const IN_FRAME: u32 = 2;
const OUT_VALID: u32 = 3;
const OUT_READY: u32 = 4;
const OUT_FRAME: u32 = 5;
const OCCUPANCY: u32 = 6;
const FIFO_SIGNALS: u32 = 7;

const FRAME_END: u32 = 0;
const LINE_OCTETS: u32 = 1;
const LINE_FRAME: u32 = 2;

/// A signal as the header declares it.
struct Signal {
    /// Scopes below the NIC's.
    scopes: Vec<String>,
    name: &'static str,
    bits: u32,
    initial: u64,
}

impl<W: Write + Seek + Send> WaveProbe<W> {
    /// Tells of changes of signals: time, signal, value.
    fn change<const N: usize>(&self, changes: [(Ps, u32, u64); N]) {
        let origin = self.clock.origin();
        self.shared.with(|file| {
            changes.into_iter().try_for_each(|(at, signal, value)| {
                let at = file.axis.place(origin, at);
                file.push(at, self.nic, signal, value)
            })
        });
    }

    fn fifo(&mut self, fifo: FifoId) -> Option<&mut Fifo> {
        let at = self.fifos.binary_search_by_key(&fifo, |(fifo, _)| *fifo).ok()?;
        Some(&mut self.fifos[at].1)
    }
}

impl<W: Write + Seek + Send> Probe for WaveProbe<W> {
    fn topology(&mut self, topology: &Topology) {
        self.clock.set_core_mhz(topology.core_mhz);
        let mut signals: Vec<Signal> = Vec::new();
        let scopes = |path: String| -> Vec<String> { path.split('.').map(identifier).collect() };
        for unit in &topology.units {
            self.units.push((*unit, signals.len() as u32, UnitState::WaitInput));
            for state in UnitState::ALL {
                let mut scopes = scopes(unit.path());
                scopes.push("state".to_owned());
                signals.push(Signal {
                    scopes,
                    name: state.name(),
                    bits: 1,
                    initial: u64::from(state == UnitState::WaitInput),
                });
            }
        }
        for info in &topology.fifos {
            let first = signals.len() as u32;
            let fifo = Fifo {
                signals: first,
                depth: info.depth,
                waiting: VecDeque::new(),
            };
            self.fifos.push((info.fifo, fifo));
            let occupancy_bits = 32 - info.depth.max(1).leading_zeros();
            let own = [
                ("in_valid", 1, 0),
                ("in_ready", 1, u64::from(info.depth > 0)),
                ("in_frame", FRAME_BITS, 0),
                ("out_valid", 1, 0),
                ("out_ready", 1, 0),
                ("out_frame", FRAME_BITS, 0),
                ("occupancy", occupancy_bits, 0),
            ];
            debug_assert_eq!(own.len() as u32, FIFO_SIGNALS);
            signals.extend(own.map(|(name, bits, initial)| Signal {
                scopes: scopes(info.fifo.path()),
                name,
                bits,
                initial,
            }));
        }
        for (line, name) in self.lines.iter_mut().zip(["line_rx", "line_tx"]) {
            *line = signals.len() as u32;
            let own = [("frame_end", 1), ("octets", OCTETS_BITS), ("frame", FRAME_BITS)];
            signals.extend(own.map(|(signal, bits)| Signal {
                scopes: vec![name.to_owned()],
                name: signal,
                bits,
                initial: 0,
            }));
        }
        self.fifos.sort_by_key(|(fifo, _)| *fifo);
        self.units.sort_by_key(|(unit, ..)| *unit);
        self.shared.with(|file| file.declare(self.nic, signals));
    }

    fn origin(&mut self, origin_ns: u64) {
        self.clock.set_origin(origin_ns);
    }

    fn fifo_push(&mut self, fifo: FifoId, cycle: u64, frame: FrameId, occupancy: u32) {
        let (now, next) = (self.clock.cycle(cycle), self.clock.cycle(cycle + 1));
        let Some(fifo) = self.fifo(fifo) else { return };
        fifo.waiting.retain(|waiting| *waiting != frame.number);
        let first = fifo.signals;
        let (is_valid, is_ready) = (!fifo.waiting.is_empty(), occupancy < fifo.depth);
        self.change([
            (now, first + IN_VALID, 1),
            (now, first + IN_READY, 1),
            (now, first + IN_FRAME, frame.number),
            (next, first + IN_VALID, u64::from(is_valid)),
            (next, first + IN_READY, u64::from(is_ready)),
            (next, first + OCCUPANCY, u64::from(occupancy)),
            (next, first + OUT_VALID, 1),
        ]);
    }

    fn fifo_pop(&mut self, fifo: FifoId, cycle: u64, frame: FrameId, occupancy: u32) {
        let (now, next) = (self.clock.cycle(cycle), self.clock.cycle(cycle + 1));
        let Some(fifo) = self.fifo(fifo) else { return };
        let first = fifo.signals;
        // What leaves makes room in the same cycle.
        self.change([
            (now, first + OUT_VALID, 1),
            (now, first + OUT_READY, 1),
            (now, first + OUT_FRAME, frame.number),
            (now, first + IN_READY, 1),
            (next, first + OUT_READY, 0),
            (next, first + OCCUPANCY, u64::from(occupancy)),
            (next, first + OUT_VALID, u64::from(occupancy > 0)),
        ]);
    }

    fn fifo_stall(&mut self, fifo: FifoId, cycle: u64, frame: FrameId, _occupancy: u32) {
        let now = self.clock.cycle(cycle);
        let Some(fifo) = self.fifo(fifo) else { return };
        if fifo.waiting.len() == WAITING_FRAMES {
            fifo.waiting.pop_front();
        }
        fifo.waiting.push_back(frame.number);
        let first = fifo.signals;
        self.change([
            (now, first + IN_VALID, 1),
            (now, first + IN_READY, 0),
            (now, first + IN_FRAME, frame.number),
        ]);
    }

    fn state(&mut self, unit: UnitId, cycle: u64, state: UnitState) {
        let now = self.clock.cycle(cycle);
        let Ok(at) = self.units.binary_search_by_key(&unit, |(unit, ..)| *unit) else {
            return;
        };
        let (_, first, present) = &mut self.units[at];
        let (first, former) = (*first, std::mem::replace(present, state));
        self.change([(now, first + former as u32, 0), (now, first + state as u32, 1)]);
    }

    fn stage(&mut self, _frame: FrameId, _unit: UnitId, _start: u64, _end: u64) {}

    fn wire(&mut self, direction: Direction, frame: FrameId, end_ps: u64, len: u32) {
        let line = usize::from(direction == Direction::Transmit);
        self.line_ends[line] = !self.line_ends[line];
        let (at, first) = (self.clock.ps(end_ps), self.lines[line]);
        self.change([
            (at, first + FRAME_END, u64::from(self.line_ends[line])),
            (at, first + LINE_OCTETS, u64::from(len)),
            (at, first + LINE_FRAME, frame.number),
        ]);
    }

    fn finish(&mut self) -> io::Result<()> {
        let is_first_call = !std::mem::replace(&mut self.is_finished, true);
        self.shared.finish(is_first_call, WaveFile::close)
    }
}

/// A name that viewers take as one: no dots, spaces or brackets.
fn identifier(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect()
}

/// A change of a signal. Ordered by time, then as it came.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Change {
    /// Place on the axis, in ps.
    at: u64,
    sequence: u64,
    nic: usize,
    signal: u32,
    value: u64,
}

/// The file of all NICs.
struct WaveFile<W: Write + Seek> {
    phase: Phase<W>,
    /// Name and signals of each NIC; none until it told of its parts.
    nics: Vec<(String, Option<Vec<Signal>>)>,
    held: BinaryHeap<Reverse<Change>>,
    sequence: u64,
    axis: Axis,
}

enum Phase<W: Write + Seek> {
    /// Until every NIC has told of its parts, and changes have to be written.
    Header(Box<FstHeaderWriter<W>>),
    Body(Box<Body<W>>),
    /// Between the two, and after an error.
    Gone,
}

struct Body<W: Write + Seek> {
    writer: FstBodyWriter<W>,
    /// Where a NIC's signals begin among all.
    first: Vec<usize>,
    signals: Vec<Written>,
    /// Signals that change at `now`.
    touched: Vec<usize>,
    now: u64,
    /// Changes that came for a time already written.
    late: u64,
    bits: Vec<u8>,
}

/// A signal in the file.
struct Written {
    id: FstSignalId,
    bits: u32,
    value: u64,
    /// The value at the end of `now`.
    next: Option<u64>,
}

impl<W: Write + Seek> WaveFile<W> {
    fn new(out: W, nics: &[&str]) -> io::Result<Self> {
        let info = FstInfo {
            start_time: 0,
            timescale_exponent: TIMESCALE,
            version: concat!("sealnic ", env!("CARGO_PKG_VERSION")).to_owned(),
            // The same run gives the same file.
            date: String::new(),
            file_type: FstFileType::Verilog,
        };
        Ok(Self {
            phase: Phase::Header(Box::new(FstHeaderWriter::new(out, &info).map_err(io_error)?)),
            nics: nics.iter().map(|name| (identifier(name), None)).collect(),
            held: BinaryHeap::new(),
            sequence: 0,
            axis: Axis::default(),
        })
    }

    fn declare(&mut self, nic: usize, signals: Vec<Signal>) -> io::Result<()> {
        if self.nics[nic].1.replace(signals).is_some() {
            return Err(invalid(format!("{} told of its parts twice", self.nics[nic].0)));
        }
        Ok(())
    }

    fn push(&mut self, at: u64, nic: usize, signal: u32, value: u64) -> io::Result<()> {
        self.sequence += 1;
        self.held.push(Reverse(Change {
            at,
            sequence: self.sequence,
            nic,
            signal,
            value,
        }));
        if self.held.len() > HELD_CHANGES {
            self.write_down_to(HELD_CHANGES / 2)?;
        }
        Ok(())
    }

    /// Writes the oldest changes until no more than `count` are held.
    fn write_down_to(&mut self, count: usize) -> io::Result<()> {
        let Self { phase, nics, held, .. } = self;
        if matches!(phase, Phase::Header(_)) {
            *phase = match std::mem::replace(phase, Phase::Gone) {
                Phase::Header(header) => Phase::Body(Box::new(Body::begin(*header, nics)?)),
                other => other,
            };
        }
        let Phase::Body(body) = phase else { return Ok(()) };
        while held.len() > count {
            let Some(Reverse(change)) = held.pop() else { break };
            body.apply(&change)?;
        }
        Ok(())
    }

    fn close(mut self) -> io::Result<()> {
        self.write_down_to(0)?;
        let Phase::Body(mut body) = self.phase else {
            return Ok(());
        };
        body.write_step()?;
        if body.now == 0 {
            // Readers want at least one step.
            body.writer.time_change(1).map_err(io_error)?;
        }
        body.writer.finish().map_err(io_error)?.flush()?;
        if body.late > 0 {
            let late = body.late;
            return Err(invalid(format!(
                "the waveform is not to be trusted: {late} changes came after later ones had been written"
            )));
        }
        Ok(())
    }
}

impl<W: Write + Seek> Body<W> {
    fn begin(mut header: FstHeaderWriter<W>, nics: &[(String, Option<Vec<Signal>>)]) -> io::Result<Self> {
        let mut first = Vec::with_capacity(nics.len());
        let mut written: Vec<Written> = Vec::new();
        for (name, signals) in nics {
            let Some(signals) = signals else {
                return Err(invalid(format!("{name} has not told of its parts")));
            };
            first.push(written.len());
            written.extend(declare(&mut header, name, signals).map_err(io_error)?);
        }
        let mut body = Self {
            writer: header.finish().map_err(io_error)?,
            first,
            touched: (0..written.len()).collect(),
            signals: written,
            now: 0,
            late: 0,
            bits: Vec::new(),
        };
        // Before the first step all values are unknown.
        body.write_values()?;
        Ok(body)
    }

    fn apply(&mut self, change: &Change) -> io::Result<()> {
        if change.at > self.now {
            self.write_step()?;
            self.now = change.at;
        } else if change.at < self.now {
            self.late += 1;
        }
        let index = self.first[change.nic] + change.signal as usize;
        let Some(signal) = self.signals.get_mut(index) else {
            return Ok(());
        };
        if signal.next.replace(change.value).is_none() {
            self.touched.push(index);
        }
        Ok(())
    }

    /// Writes what changed at `now`.
    fn write_step(&mut self) -> io::Result<()> {
        let signals = &mut self.signals;
        self.touched.retain(|index| {
            let signal = &mut signals[*index];
            let next = signal.next.take().unwrap_or(signal.value);
            next != std::mem::replace(&mut signal.value, next)
        });
        if self.touched.is_empty() {
            return Ok(());
        }
        // A section can only end before a new step.
        if self.writer.size() > SECTION_LEN && self.now > 0 {
            self.writer.flush().map_err(io_error)?;
        }
        self.writer.time_change(self.now).map_err(io_error)?;
        self.write_values()
    }

    fn write_values(&mut self) -> io::Result<()> {
        for index in self.touched.drain(..) {
            let signal = &self.signals[index];
            self.bits.clear();
            let bits = (0..signal.bits).rev();
            self.bits.extend(bits.map(|bit| b'0' + (signal.value >> bit & 1) as u8));
            self.writer.signal_change(signal.id, &self.bits).map_err(io_error)?;
        }
        Ok(())
    }
}

/// Declares a NIC's signals in their scopes. The answer is in the order of `signals`.
fn declare<W: Write + Seek>(
    header: &mut FstHeaderWriter<W>,
    nic: &str,
    signals: &[Signal],
) -> Result<Vec<Written>, FstWriteError> {
    let mut order: Vec<usize> = (0..signals.len()).collect();
    // Scopes have to be closed before others open; within one, signals stay in their order.
    order.sort_by(|a, b| signals[*a].scopes.cmp(&signals[*b].scopes));
    let mut ids: Vec<Option<FstSignalId>> = vec![None; signals.len()];
    let mut open: &[String] = &[];
    header.scope(nic, "nic", FstScopeType::Module)?;
    for index in order {
        let signal = &signals[index];
        let common = open.iter().zip(&signal.scopes).take_while(|(a, b)| a == b).count();
        for _ in common..open.len() {
            header.up_scope()?;
        }
        for scope in &signal.scopes[common..] {
            header.scope(scope, "", FstScopeType::Module)?;
        }
        open = &signal.scopes;
        let kind = FstSignalType::bit_vec(signal.bits);
        ids[index] = Some(header.var(signal.name, kind, FstVarType::Wire, FstVarDirection::Implicit, None)?);
    }
    for _ in open {
        header.up_scope()?;
    }
    header.up_scope()?;
    let written = signals.iter().zip(ids).filter_map(|(signal, id)| {
        id.map(|id| Written {
            id,
            bits: signal.bits,
            value: signal.initial,
            next: None,
        })
    });
    Ok(written.collect())
}

fn io_error(error: FstWriteError) -> io::Error {
    match error {
        FstWriteError::Io(error) => error,
        other => io::Error::other(other),
    }
}

fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn file(nics: &[&str]) -> WaveFile<Cursor<Vec<u8>>> {
        WaveFile::new(Cursor::new(Vec::new()), nics).unwrap()
    }

    fn signal() -> Signal {
        Signal {
            scopes: vec!["unit".to_owned()],
            name: "busy",
            bits: 8,
            initial: 0,
        }
    }

    #[test]
    fn no_more_changes_are_held_than_the_bound() {
        let mut file = file(&["a"]);
        file.declare(0, vec![signal()]).unwrap();
        for i in 0..3 * HELD_CHANGES as u64 {
            file.push(i, 0, 0, i & 0xff).unwrap();
            assert!(file.held.len() <= HELD_CHANGES);
        }
        file.close().unwrap();
    }

    #[test]
    fn changes_of_nics_that_take_turns_are_put_in_order_within_the_bound() {
        let mut file = file(&["a", "b"]);
        for nic in 0..2 {
            file.declare(nic, vec![signal()]).unwrap();
        }
        for turn in 0..64u64 {
            for nic in 0..2 {
                for i in 0..10_000 {
                    file.push(turn * 10_000 + i, nic, 0, i & 0xff).unwrap();
                }
            }
        }
        file.close().unwrap();
    }

    #[test]
    fn a_change_that_comes_too_late_is_reported() {
        let mut file = file(&["a"]);
        file.declare(0, vec![signal()]).unwrap();
        for i in 0..=HELD_CHANGES as u64 {
            file.push(1_000 + i, 0, 0, i & 0xff).unwrap();
        }
        file.push(1_000, 0, 0, 7).unwrap();
        let error = file.close().unwrap_err();
        assert!(error.to_string().contains("1 changes came after"), "{error}");
    }

    #[test]
    fn a_nic_that_never_tells_of_its_parts_is_named() {
        let mut file = file(&["a", "host-b"]);
        file.declare(0, vec![signal()]).unwrap();
        assert!(file.close().unwrap_err().to_string().contains("host_b has not told"));
    }

    #[test]
    fn names_are_made_fit_for_viewers() {
        assert_eq!(identifier("host-a.rack 1[0]"), "host_a_rack_1_0_");
    }
}
