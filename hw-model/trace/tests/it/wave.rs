//! Waveforms, read back by an independent reader.

use crate::pipeline::{self, Beat, CORE_MHZ, topology};
use sealnic_hw_model::cycle::{Probe, UnitState};
use sealnic_trace::wave;
use std::collections::BTreeMap;
use std::io::{self, Cursor, Seek, SeekFrom, Write};
use std::path::PathBuf;
use wellen::simple::Waveform;

/// A file that goes when the test ends.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("sealnic-trace-{}-{name}", std::process::id())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A waveform's signals by path, as values at a time.
struct Reading(Waveform);

impl Reading {
    fn of(file: &Scratch) -> Self {
        let mut waveform = wellen::simple::read(&file.0).unwrap();
        let all: Vec<_> = waveform
            .hierarchy()
            .all_vars()
            .map(|var| waveform.hierarchy()[var].signal_ref())
            .collect();
        waveform.load_signals(&all);
        Self(waveform)
    }

    fn names(&self) -> Vec<String> {
        let hierarchy = self.0.hierarchy();
        hierarchy
            .all_vars()
            .map(|var| hierarchy[var].full_name(hierarchy))
            .collect()
    }

    /// Values of a signal at times that only rise.
    fn sample(&self, path: &str, times: impl Iterator<Item = u64>) -> Vec<u64> {
        let hierarchy = self.0.hierarchy();
        let (scope, name) = path.rsplit_once('.').unwrap();
        let scope: Vec<&str> = scope.split('.').collect();
        let var = hierarchy
            .lookup_var(&scope, name)
            .unwrap_or_else(|| panic!("no {path}"));
        let signal = self.0.get_signal(hierarchy[var].signal_ref()).unwrap();
        let table = self.0.time_table();
        let number = |bits: String| u64::from_str_radix(&bits, 2).unwrap_or_else(|_| panic!("{path}: {bits}"));
        let mut changes = signal.iter_changes().peekable();
        let mut value = None;
        times
            .map(|time| {
                while let Some((index, bits)) = changes.next_if(|(index, _)| table[*index as usize] <= time) {
                    let _ = index;
                    value = Some(number(bits.to_bit_string().unwrap()));
                }
                value.unwrap_or_else(|| panic!("{path} has no value at {time} ps"))
            })
            .collect()
    }
}

/// When a cycle begins, from the first origin, and the cycles of a run.
fn starts(first_cycle: u64, cycles: u64) -> impl Iterator<Item = u64> + Clone {
    (first_cycle..first_cycle + cycles).map(|cycle| cycle * 1_000_000 / u64::from(CORE_MHZ))
}

/// Compares a FIFO's signals, sampled at the beginning of each cycle, with what happened in it.
fn assert_handshakes(reading: &Reading, path: &str, beats: &[Beat], times: &(impl Iterator<Item = u64> + Clone)) {
    let sample = |name: &str| reading.sample(&format!("{path}.{name}"), times.clone());
    let (in_valid, in_ready, in_frame) = (sample("in_valid"), sample("in_ready"), sample("in_frame"));
    let (out_valid, out_ready, out_frame) = (sample("out_valid"), sample("out_ready"), sample("out_frame"));
    let occupancy = sample("occupancy");
    let handshake = |valid: u64, ready: u64, frame: u64| (valid & ready == 1).then_some(frame);
    for (i, beat) in beats.iter().enumerate() {
        let seen = Beat {
            pushed: handshake(in_valid[i], in_ready[i], in_frame[i]),
            popped: handshake(out_valid[i], out_ready[i], out_frame[i]),
            is_blocked: in_valid[i] == 1 && in_ready[i] == 0,
            occupancy: occupancy[i] as u32,
        };
        assert_eq!(seen, *beat, "{path}, cycle {i}");
    }
}

#[test]
fn handshakes_and_states_read_back_as_they_happened() {
    const CYCLES: u64 = 20_000;
    let file = Scratch::new("handshakes.fst");
    let mut probe = wave::create(&file.0, &["nic"]).unwrap().remove(0);
    probe.topology(&topology());
    probe.origin(5_000);
    let record = pipeline::run(&mut probe, 1, 0, CYCLES);
    probe.finish().unwrap();

    let blocked = record.parser_in.iter().filter(|beat| beat.is_blocked).count();
    assert!(blocked > 100, "the pipeline is never pressed: {blocked}");
    let reading = Reading::of(&file);
    assert_eq!(reading.0.hierarchy().timescale().unwrap().unit.to_exponent(), Some(-12));
    assert_handshakes(
        &reading,
        "nic.egress0.parser.in0",
        &record.parser_in,
        &starts(0, CYCLES),
    );
    assert_handshakes(
        &reading,
        "nic.egress0.engines.in0",
        &record.engines_in,
        &starts(0, CYCLES),
    );
    for state in UnitState::ALL {
        let path = format!("nic.egress0.parser.state.{}", state.name());
        let high: Vec<bool> = reading
            .sample(&path, starts(0, CYCLES))
            .into_iter()
            .map(|v| v == 1)
            .collect();
        let expected: Vec<bool> = record.parser_states.iter().map(|now| *now == state).collect();
        assert!(high == expected, "{path}");
    }
    // Of frames that end at one time, the last is seen.
    let line: BTreeMap<u64, u32> = record.line.iter().map(|(_, ps, octets)| (*ps, *octets)).collect();
    let octets = reading.sample("nic.line_tx.octets", line.keys().copied());
    assert!(octets.into_iter().eq(line.values().map(|octets| u64::from(*octets))));
}

#[test]
fn names_show_where_a_signal_is() {
    let file = Scratch::new("names.fst");
    let mut probes = wave::create(&file.0, &["host-a", "host-b"]).unwrap();
    for probe in &mut probes {
        probe.topology(&topology());
    }
    for probe in &mut probes {
        probe.finish().unwrap();
    }
    let names = Reading::of(&file).names();
    for name in [
        "host_a.egress0.parser.in0.occupancy",
        "host_b.egress0.engines.state.busy",
        "host_b.line_rx.octets",
    ] {
        assert!(names.iter().any(|present| present == name), "no {name} in {names:?}");
    }
    let mut unique = names.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), names.len());
}

#[test]
fn nics_that_advance_in_turns_share_one_axis() {
    const TURN: u64 = 300;
    let file = Scratch::new("turns.fst");
    let mut probes = wave::create(&file.0, &["a", "b"]).unwrap();
    for probe in &mut probes {
        probe.topology(&topology());
        probe.origin(7);
    }
    let records: Vec<Vec<pipeline::Record>> = (0..20)
        .map(|turn| {
            let run = |probe: &mut wave::WaveProbe<_>| pipeline::run(probe, turn, turn * (TURN + 50), TURN);
            probes.iter_mut().map(run).collect()
        })
        .collect();
    for probe in &mut probes {
        probe.finish().unwrap();
    }
    let reading = Reading::of(&file);
    // A run starts with empty FIFOs, which the signals show from its first change on.
    let first = &records[0];
    for (name, record) in ["a", "b"].iter().zip(first) {
        let path = format!("{name}.egress0.parser.in0");
        assert_handshakes(&reading, &path, &record.parser_in, &starts(0, TURN));
    }
}

#[test]
fn a_long_run_goes_through_many_sections() {
    const CYCLES: u64 = 600_000;
    let file = Scratch::new("long.fst");
    let mut probe = wave::create(&file.0, &["nic"]).unwrap().remove(0);
    probe.topology(&topology());
    probe.origin(0);
    let record = pipeline::run(&mut probe, 3, 0, CYCLES);
    probe.finish().unwrap();
    let reading = Reading::of(&file);
    assert_handshakes(
        &reading,
        "nic.egress0.engines.in0",
        &record.engines_in,
        &starts(0, CYCLES),
    );
}

#[test]
fn the_same_run_gives_the_same_file() {
    let run = || {
        let file = Scratch::new("same.fst");
        let mut probe = wave::create(&file.0, &["nic"]).unwrap().remove(0);
        probe.topology(&topology());
        probe.origin(0);
        pipeline::run(&mut probe, 2, 0, 1_000);
        probe.finish().unwrap();
        std::fs::read(&file.0).unwrap()
    };
    let first = run();
    assert!(!first.is_empty());
    assert!(first == run());
}

/// GTKWave's own reader, where it is installed.
#[test]
fn gtkwaves_reader_sees_the_same_handshakes() {
    let file = Scratch::new("gtkwave.fst");
    let mut probe = wave::create(&file.0, &["nic"]).unwrap().remove(0);
    probe.topology(&topology());
    probe.origin(0);
    let record = pipeline::run(&mut probe, 5, 0, 5_000);
    probe.finish().unwrap();
    let output = match std::process::Command::new("fst2vcd").arg(&file.0).output() {
        Ok(output) => output,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            println!("not tried: no fst2vcd on this machine (Debian: apt-get install gtkwave)");
            return;
        }
        Err(error) => panic!("fst2vcd: {error}"),
    };
    assert!(output.status.success());
    let vcd = String::from_utf8(output.stdout).unwrap();
    let (header, body) = vcd.split_once("$enddefinitions").unwrap();
    assert!(
        header
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
            .contains("$timescale 1ps $end")
    );
    let mut scopes: Vec<&str> = Vec::new();
    let mut code = None;
    for line in header.lines() {
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            ["$scope", "module", name, "$end"] => scopes.push(name),
            ["$upscope", "$end"] => drop(scopes.pop()),
            ["$var", _, _, short, "out_ready", "$end"] if scopes.ends_with(&["parser", "in0"]) => code = Some(short),
            _ => {}
        }
    }
    let code = code.expect("the parser's FIFO is declared");
    let times_taken = body.lines().filter(|line| line.strip_prefix('1') == Some(code)).count();
    // The parser takes two cycles a frame, so each is a pulse of its own.
    let taken = record.parser_in.iter().filter(|beat| beat.popped.is_some()).count();
    assert!(taken > 100);
    assert_eq!(times_taken, taken);
}

/// An output with room for so many octets.
struct Small {
    inner: Cursor<Vec<u8>>,
    room: u64,
}

impl Write for Small {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        if self.inner.position() + buffer.len() as u64 > self.room {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "no room"));
        }
        self.inner.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl Seek for Small {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}

#[test]
fn a_full_disk_is_reported_at_the_end_and_stops_nothing_before() {
    let out = Small {
        inner: Cursor::new(Vec::new()),
        room: 1_000,
    };
    let mut probes = wave::probes(out, &["a", "b"]).unwrap();
    for probe in &mut probes {
        probe.topology(&topology());
    }
    for probe in &mut probes {
        probe.origin(0);
        pipeline::run(probe, 4, 0, 60_000);
    }
    // Who finishes last closes the file, and so learns what came of it.
    let results = probes.iter_mut().map(Probe::finish).collect::<Vec<_>>();
    let error = results.into_iter().next_back().unwrap().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{error}");
    assert!(probes[0].finish().is_err(), "and who asks again is told, too");
}

#[test]
fn a_file_that_cannot_be_made_is_an_error() {
    assert!(wave::create(std::path::Path::new("/nowhere/at/all.fst"), &["nic"]).is_err());
}
