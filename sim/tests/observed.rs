//! What observers of a whole run write, against the figures that the models count themselves.
#![allow(clippy::expect_used, clippy::panic, reason = "a test stops where it fails")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sealnic_sim::Scenario;
use sealnic_sim::run::timed::Observation;
use sealnic_sim::run::{ModelKind, RunOptions, run};
use serde_json::Value;
use wellen::simple::Waveform;

/// Clock of the default hardware, in MHz.
const CORE_MHZ: u64 = 322;

/// A folder that goes when the test ends.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("sealnic-observed-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).expect("the folder for temporary files can be written");
        Self(path)
    }

    fn json(&self, name: &str) -> Value {
        let text = std::fs::read(self.0.join(name)).expect("the run wrote the file");
        serde_json::from_slice(&text).expect("the file is JSON")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs the example on cycle models.
fn run_example(folder: &Scratch, observation: Observation) {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/two-hosts.toml");
    let scenario = Scenario::load(&example).expect("the example is sound");
    let options = RunOptions {
        out: Some(folder.0.clone()),
        model: ModelKind::Cycle,
        observation,
        unsafe_fixed_keys: true,
        ..RunOptions::default()
    };
    run(&scenario, &options, &mut ()).expect("the example runs");
}

/// Host, unit and the unit's figures, in the order of the hosts.
fn units(cycles: &Value) -> Vec<(usize, &str, &Value)> {
    let hosts = cycles.as_object().expect("figures by host");
    let mut all = Vec::new();
    for (i, host) in hosts.values().enumerate() {
        for unit in host["units"].as_array().expect("units") {
            all.push((i, unit["unit"].as_str().expect("a name"), unit));
        }
    }
    all
}

fn count(value: &Value, name: &str) -> u64 {
    value[name].as_u64().expect("a count")
}

#[test]
fn every_frame_that_a_unit_counts_is_a_slice_of_the_trace() {
    let folder = Scratch::new("trace");
    let trace = folder.0.join("trace.json");
    run_example(
        &folder,
        Observation {
            trace: Some(trace),
            wave: None,
        },
    );
    let (cycles, trace) = (folder.json("cycles.json"), folder.json("trace.json"));
    let events = trace["traceEvents"].as_array().expect("events");
    let thread = |event: &Value| (count(event, "pid"), count(event, "tid"));
    let names: BTreeMap<(u64, u64), &str> = events
        .iter()
        .filter(|event| event["name"] == "thread_name")
        .map(|event| (thread(event), event["args"]["name"].as_str().expect("a name")))
        .collect();
    let mut slices: BTreeMap<(u64, &str), u64> = BTreeMap::new();
    for event in events.iter().filter(|event| event["cat"] == "stage") {
        let unit = names[&thread(event)].split(' ').next().expect("a unit");
        *slices.entry((count(event, "pid"), unit)).or_default() += 1;
    }
    let mut total = 0;
    for (host, unit, figures) in units(&cycles) {
        let seen = slices.get(&(host as u64 + 1, unit)).copied().unwrap_or_default();
        assert_eq!(
            seen,
            count(figures, "left") + count(figures, "ended"),
            "host {host}, {unit}"
        );
        total += seen;
    }
    assert!(total > 1_000, "the example goes through the units: {total}");
}

/// Times and values of a signal.
fn changes(waveform: &Waveform, path: &[&str], name: &str) -> Vec<(u64, u64)> {
    let hierarchy = waveform.hierarchy();
    let var = hierarchy
        .lookup_var(path, name)
        .unwrap_or_else(|| panic!("no {path:?} {name}"));
    let signal = waveform.get_signal(hierarchy[var].signal_ref()).expect("loaded");
    let value = |bits: Option<String>| {
        bits.and_then(|bits| u64::from_str_radix(&bits, 2).ok())
            .expect("a number")
    };
    let table = waveform.time_table();
    let all = signal.iter_changes();
    all.map(|(at, bits)| (table[at as usize], value(bits.to_bit_string())))
        .collect()
}

/// Cycles in which both signals are high.
fn cycles_with_both(a: &[(u64, u64)], b: &[(u64, u64)]) -> u64 {
    let mut edges: Vec<(u64, usize, u64)> = Vec::new();
    for (which, signal) in [a, b].into_iter().enumerate() {
        edges.extend(signal.iter().map(|(at, value)| (*at, which, *value)));
    }
    edges.sort_unstable();
    let (mut now, mut values, mut cycles) = (0, [0, 0], 0);
    for (at, which, value) in edges {
        if values == [1, 1] {
            // A cycle is 3,105 or 3,106 ps.
            cycles += ((at - now) * CORE_MHZ + 500_000) / 1_000_000;
        }
        now = at;
        values[which] = value;
    }
    cycles
}

#[test]
fn handshakes_of_the_waveform_are_those_that_the_fifos_count() {
    let folder = Scratch::new("wave");
    let wave = folder.0.join("wave.fst");
    run_example(
        &folder,
        Observation {
            wave: Some(wave.clone()),
            trace: None,
        },
    );
    let cycles = folder.json("cycles.json");
    let mut waveform = wellen::simple::read(&wave).expect("the waveform can be read");
    let hierarchy = waveform.hierarchy();
    let all: Vec<_> = hierarchy.all_vars().map(|var| hierarchy[var].signal_ref()).collect();
    waveform.load_signals(&all);
    let mut total = 0;
    for (host, _, figures) in units(&cycles) {
        for fifo in figures["fifos"].as_array().expect("FIFOs") {
            let name = fifo["fifo"].as_str().expect("a name");
            let mut path = vec![["host_a", "host_b"][host]];
            path.extend(name.split('.'));
            let signal = |name| changes(&waveform, &path, name);
            let pushed = cycles_with_both(&signal("in_valid"), &signal("in_ready"));
            let popped = cycles_with_both(&signal("out_valid"), &signal("out_ready"));
            assert_eq!(pushed, count(fifo, "pushed"), "pushed into {path:?}");
            assert_eq!(popped, count(fifo, "popped"), "popped from {path:?}");
            let most = signal("occupancy").into_iter().map(|(_, frames)| frames).max();
            assert!(most <= fifo["high_water"].as_u64(), "{path:?} holds {most:?}");
            total += pushed;
        }
    }
    assert!(total > 1_000, "the example goes through the FIFOs: {total}");
}

#[test]
fn a_run_that_is_observed_goes_as_one_that_is_not() {
    let (plain, observed) = (Scratch::new("plain"), Scratch::new("both"));
    run_example(&plain, Observation::default());
    let observation = Observation {
        wave: Some(observed.0.join("wave.fst")),
        trace: Some(observed.0.join("trace.json")),
    };
    run_example(&observed, observation);
    let read = |folder: &Scratch, name: &str| std::fs::read(folder.0.join(name)).expect("the run wrote the file");
    for name in ["cycles.json", "wire.pcapng", "vm-alice.pcapng", "vm-bob.pcapng"] {
        assert!(read(&plain, name) == read(&observed, name), "{name} differs");
    }
}
