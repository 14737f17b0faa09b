//! A trace of frames through units, in Chrome's trace event format: JSON that Perfetto and `chrome://tracing` open.
//!
//! Each NIC is a process. Each unit is a thread with a slice for every frame in it; a unit that has several frames inside at once takes as many
//! threads (`egress0.engines`, `egress0.engines 2` …), so that the slices of one thread never overlap. A thread of its own shows what a unit
//! waited for. Flow events tie a frame's slices together, counters show the FIFOs' occupancy, instants the frames on the line.
//!
//! Times are in µs with three decimals, because viewers round to ns; a slice's arguments have its exact cycles. They count from
//! the first origin; where all NICs take a new origin after hours of idleness, those are left out.

use crate::shared::{Axis, Clock, Output, Ps};
use sealnic_hw_model::cycle::{Direction, FifoId, FrameId, Probe, Topology, UnitId, UnitState};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

/// Frames of one NIC whose next slice is awaited; when more are, the oldest frame's flow ends.
const OPEN_FLOWS: usize = 1 << 16;
/// Threads of one unit. What finds none free is left out, and counted.
const LANES: usize = 256;
/// Threads of a NIC begin with the two lines.
const LINE_THREADS: u64 = 2;

/// Makes the file, and one observer for each NIC, in the order of their names.
///
/// # Errors
/// The file can't be made.
pub fn create(path: &Path, nics: &[&str]) -> io::Result<Vec<TraceProbe<BufWriter<File>>>> {
    probes(BufWriter::new(File::create(path)?), nics)
}

/// The same over any output.
///
/// # Errors
/// The beginning can't be written.
pub fn probes<W: Write + Send>(mut out: W, nics: &[&str]) -> io::Result<Vec<TraceProbe<W>>> {
    out.write_all(b"{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n")?;
    let file = TraceFile {
        out,
        axis: Axis::default(),
        is_first: true,
        left_out: 0,
    };
    let shared = Arc::new(Output::new(file, nics.len()));
    let probe = |(name, process): (&&str, u64)| TraceProbe {
        name: (*name).to_owned(),
        process,
        shared: Arc::clone(&shared),
        clock: Clock::default(),
        units: Vec::new(),
        fifos: Vec::new(),
        flows: BTreeMap::new(),
        is_finished: false,
    };
    Ok(nics.iter().zip(1u64..).map(probe).collect())
}

/// Writes what one NIC does into a trace.
pub struct TraceProbe<W: Write + Send> {
    name: String,
    process: u64,
    shared: Arc<Output<TraceFile<W>>>,
    clock: Clock,
    /// By unit, sorted.
    units: Vec<Unit>,
    /// By FIFO, sorted, with the counter's name.
    fifos: Vec<(FifoId, String)>,
    /// The latest slice of each frame, whose place in the flow shows only when the next comes or none does.
    flows: BTreeMap<u64, LastSlice>,
    is_finished: bool,
}

struct Unit {
    id: UnitId,
    path: String,
    /// Thread of the first lane; that of the stalls is one below.
    thread: u64,
    /// Until when each lane is taken, in ns.
    lanes: Vec<u64>,
    state: UnitState,
    /// Cycle in which the state began.
    since: u64,
}

#[derive(Clone, Copy)]
struct LastSlice {
    thread: u64,
    at_ns: u64,
    /// There was one before.
    is_continued: bool,
}

/// The file of all NICs.
struct TraceFile<W: Write> {
    out: W,
    axis: Axis,
    is_first: bool,
    /// Slices for which no thread was free.
    left_out: u64,
}

/// One event. Fields and letters are those of the format.
#[derive(Serialize)]
struct Event<'a> {
    ph: &'static str,
    name: &'a str,
    pid: u64,
    tid: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    ts: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dur: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cat: Option<&'static str>,
    /// Of a flow.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    /// A flow's event belongs to the slice around it.
    #[serde(skip_serializing_if = "Option::is_none")]
    bp: Option<&'static str>,
    /// Scope of an instant: its thread.
    #[serde(skip_serializing_if = "Option::is_none")]
    s: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    args: Option<Arguments<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Arguments<'a> {
    Name {
        name: &'a str,
    },
    Order {
        sort_index: u64,
    },
    Stage {
        frame: u64,
        tag: u64,
        start_cycle: u64,
        end_cycle: u64,
    },
    Stall {
        start_cycle: u64,
        end_cycle: u64,
    },
    Occupancy {
        frames: u32,
    },
    Line {
        frame: u64,
        tag: u64,
        octets: u32,
    },
}

impl<'a> Event<'a> {
    fn new(ph: &'static str, name: &'a str, pid: u64, tid: u64) -> Self {
        Self {
            ph,
            name,
            pid,
            tid,
            ts: None,
            dur: None,
            cat: None,
            id: None,
            bp: None,
            s: None,
            args: None,
        }
    }
}

/// Microseconds.
fn us(ns: u64) -> f64 {
    ns as f64 / 1e3
}

impl<W: Write> TraceFile<W> {
    fn write(&mut self, event: &Event<'_>) -> io::Result<()> {
        if !std::mem::replace(&mut self.is_first, false) {
            self.out.write_all(b",\n")?;
        }
        serde_json::to_writer(&mut self.out, event)?;
        Ok(())
    }

    /// A name for a process or thread, and its place among others.
    fn name(&mut self, of: [&'static str; 2], pid: u64, tid: u64, name: &str) -> io::Result<()> {
        let mut event = Event::new("M", of[0], pid, tid);
        event.args = Some(Arguments::Name { name });
        self.write(&event)?;
        let mut event = Event::new("M", of[1], pid, tid);
        let sort_index = if tid == 0 { pid } else { tid };
        event.args = Some(Arguments::Order { sort_index });
        self.write(&event)
    }

    fn name_thread(&mut self, pid: u64, tid: u64, name: &str) -> io::Result<()> {
        self.name(["thread_name", "thread_sort_index"], pid, tid, name)
    }

    /// Place of a time on the axis, in whole ns.
    fn ns(&mut self, clock: Clock, at: Ps) -> u64 {
        self.axis.place(clock.origin(), at) / 1_000
    }

    fn flow(&mut self, process: u64, frame: u64, slice: LastSlice, is_last: bool) -> io::Result<()> {
        let phase = match (slice.is_continued, is_last) {
            (false, false) => "s",
            (true, false) => "t",
            (true, true) => "f",
            // A frame with a single slice has nothing to tie.
            (false, true) => return Ok(()),
        };
        let id = format!("{process}.{frame}");
        let mut event = Event::new(phase, "frame", process, slice.thread);
        event.ts = Some(us(slice.at_ns));
        event.cat = Some("frame");
        event.id = Some(&id);
        event.bp = Some("e");
        self.write(&event)
    }

    fn close(mut self) -> io::Result<()> {
        write!(
            self.out,
            "\n],\"otherData\":{{\"generator\":\"sealnic {}\",\"slices_left_out\":\"{}\"}}}}\n",
            env!("CARGO_PKG_VERSION"),
            self.left_out
        )?;
        self.out.flush()
    }
}

impl<W: Write + Send> TraceProbe<W> {
    fn counter(&self, fifo: FifoId, cycle: u64, frames: u32) {
        let Ok(at) = self.fifos.binary_search_by_key(&fifo, |(fifo, _)| *fifo) else {
            return;
        };
        let (name, at) = (&self.fifos[at].1, self.clock.cycle(cycle));
        self.shared.with(|file| {
            let mut event = Event::new("C", name, self.process, 0);
            event.ts = Some(us(file.ns(self.clock, at)));
            event.args = Some(Arguments::Occupancy { frames });
            file.write(&event)
        });
    }

    /// Ends a unit's present stall, if it is in one.
    fn end_state(&mut self, unit: usize, cycle: u64) {
        let Unit {
            thread, state, since, ..
        } = self.units[unit];
        if matches!(state, UnitState::WaitInput | UnitState::Busy) || cycle <= since {
            return;
        }
        let (start, end) = (self.clock.cycle(since), self.clock.cycle(cycle));
        self.shared.with(|file| {
            let (start, end) = (file.ns(self.clock, start), file.ns(self.clock, end));
            let mut event = Event::new("X", state.name(), self.process, thread - 1);
            event.ts = Some(us(start));
            event.dur = Some(us(end.saturating_sub(start)));
            event.cat = Some("stall");
            event.args = Some(Arguments::Stall {
                start_cycle: since,
                end_cycle: cycle,
            });
            file.write(&event)
        });
    }
}

impl<W: Write + Send> Probe for TraceProbe<W> {
    fn topology(&mut self, topology: &Topology) {
        self.clock.set_core_mhz(topology.core_mhz);
        self.units = topology
            .units
            .iter()
            .zip(0u64..)
            .map(|(unit, i)| Unit {
                id: *unit,
                path: unit.path(),
                thread: LINE_THREADS + 2 + i * (LANES as u64 + 1),
                lanes: Vec::new(),
                state: UnitState::WaitInput,
                since: 0,
            })
            .collect();
        self.units.sort_by_key(|unit| unit.id);
        self.fifos = topology
            .fifos
            .iter()
            .map(|info| (info.fifo, info.fifo.path()))
            .collect();
        self.fifos.sort_by_key(|(fifo, _)| *fifo);
        self.shared.with(|file| {
            let name = format!("{} ({})", self.name, topology.hardware);
            file.name(["process_name", "process_sort_index"], self.process, 0, &name)?;
            file.name_thread(self.process, 1, "line rx")?;
            file.name_thread(self.process, 2, "line tx")?;
            for unit in &self.units {
                file.name_thread(self.process, unit.thread - 1, &format!("{} waits for", unit.path))?;
            }
            Ok(())
        });
    }

    fn origin(&mut self, origin_ns: u64) {
        self.clock.set_origin(origin_ns);
        for unit in &mut self.units {
            unit.since = 0;
        }
    }

    fn fifo_push(&mut self, fifo: FifoId, cycle: u64, _frame: FrameId, occupancy: u32) {
        self.counter(fifo, cycle, occupancy);
    }

    fn fifo_pop(&mut self, fifo: FifoId, cycle: u64, _frame: FrameId, occupancy: u32) {
        self.counter(fifo, cycle, occupancy);
    }

    fn fifo_stall(&mut self, _fifo: FifoId, _cycle: u64, _frame: FrameId, _occupancy: u32) {}

    fn state(&mut self, unit: UnitId, cycle: u64, state: UnitState) {
        let Ok(at) = self.units.binary_search_by_key(&unit, |unit| unit.id) else {
            return;
        };
        if self.units[at].state == state {
            return;
        }
        self.end_state(at, cycle);
        self.units[at].state = state;
        self.units[at].since = cycle;
    }

    fn stage(&mut self, frame: FrameId, unit: UnitId, start: u64, end: u64) {
        let Ok(at) = self.units.binary_search_by_key(&unit, |unit| unit.id) else {
            return;
        };
        let unit = &mut self.units[at];
        let (process, flows) = (self.process, &mut self.flows);
        let clock = self.clock;
        let (start_ps, end_ps) = (clock.cycle(start), clock.cycle(end));
        self.shared.with(|file| {
            let (start_ns, end_ns) = (file.ns(clock, start_ps), file.ns(clock, end_ps));
            // The lane that was free for the shortest time: the others fit slices that began earlier, which may still come.
            let lanes = unit.lanes.iter().enumerate();
            let free = lanes
                .filter(|(_, taken)| **taken <= start_ns)
                .max_by_key(|(_, taken)| **taken);
            let free = free.map(|(lane, _)| lane);
            let Some(lane) = free.or_else(|| (unit.lanes.len() < LANES).then_some(unit.lanes.len())) else {
                file.left_out += 1;
                return Ok(());
            };
            let thread = unit.thread + lane as u64;
            if lane == unit.lanes.len() {
                unit.lanes.push(0);
                let name = match lane {
                    0 => unit.path.clone(),
                    _ => format!("{} {}", unit.path, lane + 1),
                };
                file.name_thread(process, thread, &name)?;
            }
            unit.lanes[lane] = end_ns;

            let name = format!("frame {}", frame.number);
            let mut event = Event::new("X", &name, process, thread);
            event.ts = Some(us(start_ns));
            event.dur = Some(us(end_ns.saturating_sub(start_ns)));
            event.cat = Some("stage");
            event.args = Some(Arguments::Stage {
                frame: frame.number,
                tag: frame.tag,
                start_cycle: start,
                end_cycle: end,
            });
            file.write(&event)?;

            let last = flows.get(&frame.number).copied();
            let slice = LastSlice {
                thread,
                at_ns: start_ns,
                is_continued: last.is_some(),
            };
            flows.insert(frame.number, slice);
            if let Some(last) = last {
                file.flow(process, frame.number, last, false)?;
            } else if flows.len() > OPEN_FLOWS
                && let Some((oldest, last)) = flows.pop_first()
            {
                file.flow(process, oldest, last, true)?;
            }
            Ok(())
        });
    }

    fn wire(&mut self, direction: Direction, frame: FrameId, end_ps: u64, len: u32) {
        let at = self.clock.ps(end_ps);
        let thread = match direction {
            Direction::Receive => 1,
            Direction::Transmit => 2,
        };
        self.shared.with(|file| {
            let name = format!("frame {}", frame.number);
            let mut event = Event::new("i", &name, self.process, thread);
            event.ts = Some(us(file.ns(self.clock, at)));
            event.s = Some("t");
            event.args = Some(Arguments::Line {
                frame: frame.number,
                tag: frame.tag,
                octets: len,
            });
            file.write(&event)
        });
    }

    fn finish(&mut self) -> io::Result<()> {
        let is_first_call = !std::mem::replace(&mut self.is_finished, true);
        let (process, flows) = (self.process, std::mem::take(&mut self.flows));
        self.shared.with(|file| {
            flows
                .into_iter()
                .try_for_each(|(frame, last)| file.flow(process, frame, last, true))
        });
        self.shared.finish(is_first_call, TraceFile::close)
    }
}
