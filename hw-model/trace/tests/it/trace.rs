//! Traces, parsed by another program's rules: JSON, and what viewers demand of events.

use crate::pipeline::{self, CORE_MHZ, ENGINES, PARSER, topology};
use sealnic_hw_model::cycle::{Probe, UnitState};
use sealnic_trace::{Tee, trace};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

/// Memory that the test keeps a hand on.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Write for Memory {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(buffer);
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn traced(nics: &[&str], cycles: u64) -> (Vec<pipeline::Record>, Value) {
    let memory = Memory::default();
    let mut probes = trace::probes(memory.clone(), nics).unwrap();
    let mut records = Vec::new();
    for (probe, seed) in probes.iter_mut().zip(1..) {
        probe.topology(&topology());
        probe.origin(1_000);
        records.push(pipeline::run(probe, seed, 0, cycles));
    }
    for probe in &mut probes {
        probe.finish().unwrap();
    }
    let text = memory.0.lock().unwrap();
    (records, serde_json::from_slice(&text).unwrap())
}

fn events<'a>(trace: &'a Value, phase: &str) -> Vec<&'a Value> {
    let all = trace["traceEvents"].as_array().unwrap();
    all.iter().filter(|event| event["ph"] == phase).collect()
}

/// Whole nanoseconds of a field in µs.
fn ns(event: &Value, field: &str) -> u64 {
    (event[field].as_f64().unwrap() * 1e3).round() as u64
}

fn thread(event: &Value) -> (u64, u64) {
    (event["pid"].as_u64().unwrap(), event["tid"].as_u64().unwrap())
}

/// Names of threads.
fn names(trace: &Value) -> BTreeMap<(u64, u64), String> {
    let named = events(trace, "M")
        .into_iter()
        .filter(|event| event["name"] == "thread_name");
    named
        .map(|event| (thread(event), event["args"]["name"].as_str().unwrap().to_owned()))
        .collect()
}

#[test]
fn every_stage_is_one_slice_on_its_units_thread() {
    let (records, trace) = traced(&["host-a"], 5_000);
    let names = names(&trace);
    let mut seen: Vec<(u64, String, u64, u64)> = events(&trace, "X")
        .into_iter()
        .filter(|event| event["cat"] == "stage")
        .map(|event| {
            let arguments = &event["args"];
            let number = |name: &str| arguments[name].as_u64().unwrap();
            let start = number("start_cycle") * 1_000_000 / u64::from(CORE_MHZ) / 1_000;
            let end = number("end_cycle") * 1_000_000 / u64::from(CORE_MHZ) / 1_000;
            assert_eq!(ns(event, "ts"), start);
            assert_eq!(ns(event, "ts") + ns(event, "dur"), end);
            assert_eq!(number("tag"), 1_000 + number("frame"));
            let unit = names[&thread(event)].split(' ').next().unwrap().to_owned();
            (number("frame"), unit, number("start_cycle"), number("end_cycle"))
        })
        .collect();
    let stages = records[0].stages.iter();
    let mut expected: Vec<_> = stages
        .map(|(frame, unit, start, end)| (*frame, unit.path(), *start, *end))
        .collect();
    seen.sort();
    expected.sort();
    assert!(seen.len() > 100);
    assert_eq!(seen, expected);
    assert_eq!(trace["otherData"]["slices_left_out"], "0");
}

#[test]
fn slices_of_one_thread_never_overlap_and_a_unit_that_is_not_pipelined_needs_one_thread() {
    let (_, trace) = traced(&["host-a", "host-b"], 5_000);
    let mut threads: BTreeMap<(u64, u64), Vec<(u64, u64)>> = BTreeMap::new();
    for event in events(&trace, "X") {
        let start = ns(event, "ts");
        threads
            .entry(thread(event))
            .or_default()
            .push((start, start + ns(event, "dur")));
    }
    for (thread, slices) in &mut threads {
        slices.sort_unstable();
        assert!(
            slices.windows(2).all(|pair| pair[0].1 <= pair[1].0),
            "thread {thread:?}"
        );
    }
    let names = names(&trace);
    let lanes = |process: u64, unit: &str| {
        let is_lane = |name: &str| {
            name == unit
                || name
                    .strip_prefix(unit)
                    .is_some_and(|rest| rest.strip_prefix(' ').is_some_and(|lane| lane.parse::<u32>().is_ok()))
        };
        names
            .iter()
            .filter(|((pid, _), name)| *pid == process && is_lane(name))
            .count()
    };
    for process in [1, 2] {
        assert_eq!(lanes(process, &PARSER.path()), 1);
        assert_eq!(lanes(process, &ENGINES.path()), 3, "as many as hold a frame at once");
    }
}

#[test]
fn flows_tie_the_slices_of_a_frame_from_the_first_to_the_last() {
    let (records, trace) = traced(&["host-a", "host-b"], 3_000);
    let slices: BTreeMap<((u64, u64), u64), u64> = events(&trace, "X")
        .into_iter()
        .filter(|event| event["cat"] == "stage")
        .map(|event| {
            (
                (thread(event), ns(event, "ts")),
                event["args"]["frame"].as_u64().unwrap(),
            )
        })
        .collect();
    let mut flows: BTreeMap<(u64, String), Vec<(u64, &str)>> = BTreeMap::new();
    for phase in ["s", "t", "f"] {
        for event in events(&trace, phase) {
            let id = event["id"].as_str().unwrap().to_owned();
            let frame = slices[&(thread(event), ns(event, "ts"))];
            assert_eq!(
                id,
                format!("{}.{frame}", thread(event).0),
                "the flow stands on its own frame's slice"
            );
            flows
                .entry((thread(event).0, id))
                .or_default()
                .push((ns(event, "ts"), phase));
        }
    }
    for (process, record) in (1..).zip(&records) {
        let sealed: Vec<u64> = record
            .stages
            .iter()
            .filter(|stage| stage.1 == ENGINES)
            .map(|stage| stage.0)
            .collect();
        assert!(!sealed.is_empty());
        for frame in sealed {
            let flow = &mut flows.remove(&(process, format!("{process}.{frame}"))).unwrap();
            flow.sort_unstable();
            let phases: Vec<&str> = flow.iter().map(|(_, phase)| *phase).collect();
            assert_eq!(phases, ["s", "f"], "frame {frame}");
        }
    }
    assert!(flows.is_empty(), "flows of frames with one slice: {flows:?}");
}

#[test]
fn counters_follow_the_occupancy_and_stalls_the_states() {
    let (records, trace) = traced(&["host-a"], 5_000);
    let counters = events(&trace, "C");
    let of = |name: &str| -> Vec<u64> {
        let own = counters.iter().filter(|event| event["name"] == name);
        own.map(|event| event["args"]["frames"].as_u64().unwrap()).collect()
    };
    let beats = &records[0].parser_in;
    let handshakes = beats.iter().filter(|beat| beat.pushed.is_some()).count()
        + beats.iter().filter(|beat| beat.popped.is_some()).count();
    let frames = of("egress0.parser.in0");
    assert_eq!(frames.len(), handshakes);
    assert!(
        frames.windows(2).all(|pair| pair[0].abs_diff(pair[1]) == 1),
        "a frame at a time"
    );
    let times: Vec<u64> = counters.iter().map(|event| ns(event, "ts")).collect();
    assert!(times.windows(2).all(|pair| pair[0] <= pair[1]), "time goes on");

    let stalls = events(&trace, "X").into_iter().filter(|event| event["cat"] == "stall");
    let stalled: u64 = stalls
        .inspect(|event| assert_eq!(event["name"], UnitState::OutputFull.name()))
        .map(|event| event["args"]["end_cycle"].as_u64().unwrap() - event["args"]["start_cycle"].as_u64().unwrap())
        .sum();
    let expected = records[0]
        .parser_states
        .iter()
        .filter(|state| **state == UnitState::OutputFull)
        .count() as u64;
    assert!(expected > 0);
    // One stall may last beyond the end of the run.
    assert!(
        stalled <= expected && stalled + 64 > expected,
        "{stalled} of {expected}"
    );
}

/// An output that fails after so many octets.
struct Small(usize);

impl Write for Small {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(buffer.len()).ok_or(io::ErrorKind::StorageFull)?;
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_is_reported_at_the_end_and_stops_nothing_before() {
    let probe = trace::probes(Small(100_000), &["nic"]).unwrap().remove(0);
    let other = trace::probes(Memory::default(), &["nic"]).unwrap().remove(0);
    let mut both = Tee(Box::new(probe), Box::new(other));
    both.topology(&topology());
    both.origin(0);
    pipeline::run(&mut both, 1, 0, 5_000);
    assert_eq!(both.finish().unwrap_err().kind(), io::ErrorKind::StorageFull);
}
