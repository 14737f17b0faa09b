//! `sealnic serve` as a user meets it: sockets, a driver on them, messages, signals, exit status.
#![allow(clippy::expect_used, reason = "a test stops where it fails")]

use sealnic_driver::Device;
use sealnic_driver::transport::vfio_user::VfioUserTransport;
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

const SCENARIO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/two-hosts.toml");

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sealnic"));
    command.arg("serve").args(args);
    command
}

/// A server that ends with the test, whatever that finds.
struct Serving {
    server: Child,
    out: BufReader<ChildStdout>,
}

impl Serving {
    /// Starts it and waits until it serves; what it says first is the result.
    fn start(args: &[&str]) -> (Self, String) {
        let mut server = command(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let out = BufReader::new(server.stdout.take().expect("a pipe"));
        let mut serving = Self { server, out };
        let mut line = String::new();
        serving.out.read_line(&mut line).expect("a line");
        (serving, line)
    }

    fn signal(&self, signal: &str) {
        let id = self.server.id().to_string();
        let status = Command::new("kill").args([signal, &id]).status().expect("kill runs");
        assert!(status.success());
    }

    /// Waits for its end; the rest of its messages must be empty.
    fn end(mut self) -> Option<i32> {
        let status = self.server.wait().expect("it ends");
        let mut errors = String::new();
        let mut pipe = self.server.stderr.take().expect("a pipe");
        pipe.read_to_string(&mut errors).expect("text");
        assert_eq!(errors, "");
        status.code()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn folder(test: &str) -> PathBuf {
    // Not below the target folder: a socket's path must be short.
    let folder = std::env::temp_dir().join(format!("sealnic-{test}-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

fn as_arg(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

fn run(args: &[&str]) -> Output {
    command(args).output().expect("the binary runs")
}

fn errors(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).expect("UTF-8")
}

#[test]
fn a_driver_finds_a_device_that_outlives_it_and_a_signal_ends_all() {
    for (signal, model) in [("-TERM", "functional"), ("-INT", "cycle")] {
        let folder = folder("serve-one");
        let socket = folder.join("nic.sock");
        let (serving, line) = Serving::start(&["--socket", as_arg(&socket), "--model", model]);
        assert_eq!(line, format!("serving a NIC at {}\n", socket.display()));
        let attach = || Device::attach(VfioUserTransport::connect(&socket).expect("a connection")).expect("a device");
        let mut first = attach();
        let generation = first.identify().expect("an identity").generation;
        first.set_enabled(true).expect("enabled");
        drop(first);
        let mut second = attach();
        assert_eq!(second.identify().expect("an identity").generation, generation);
        assert!(
            second.is_enabled().expect("a register"),
            "the NIC forgot what it was told"
        );

        let refused = run(&["--socket", as_arg(&socket)]);
        assert_eq!(refused.status.code(), Some(1));
        assert!(
            errors(&refused).contains("belongs to another process"),
            "{}",
            errors(&refused)
        );

        serving.signal(signal);
        assert_eq!(serving.end(), Some(0));
        assert_eq!(
            fs::read_dir(&folder).expect("a folder").count(),
            0,
            "something was left behind"
        );
        fs::remove_dir(&folder).expect("it was empty");
    }
}

#[test]
fn a_scenario_has_a_nic_for_each_host_and_its_wire_is_captured() {
    let folder = folder("serve-scenario");
    let capture = folder.join("wire.pcapng");
    let (serving, line) = Serving::start(&[
        "--scenario",
        SCENARIO,
        "--socket-dir",
        as_arg(&folder),
        "--capture",
        as_arg(&capture),
        "--json",
    ]);
    // The file can be followed: its beginning is there while the server runs.
    let began = Instant::now();
    while fs::metadata(&capture).expect("a capture").len() == 0 {
        assert!(began.elapsed() < Duration::from_secs(10), "nothing is written");
        std::thread::sleep(Duration::from_millis(5));
    }
    let said: Value = serde_json::from_str(&line).expect("JSON");
    let sockets = ["host-a", "host-b"].map(|name| folder.join(format!("{name}.sock")));
    assert_eq!(said, serde_json::json!({ "sockets": sockets }));
    for socket in &sockets {
        Device::attach(VfioUserTransport::connect(socket).expect("a connection")).expect("a device");
    }
    serving.signal("-TERM");
    assert_eq!(serving.end(), Some(0));
    let capture = fs::read(&capture).expect("a capture");
    assert_eq!(capture[..4], 0x0A0D_0D0Au32.to_le_bytes());
    fs::remove_dir_all(&folder).expect("a folder");
}

#[test]
fn wrong_arguments_are_told_apart_from_what_can_not_be_done() {
    for args in [
        &[][..],
        &["--scenario", SCENARIO],
        &["--socket-dir", "x"],
        &["--socket", "x", "--model", "best"],
        &["--socket", "/nowhere/nic.sock", "--hw", "100g"],
    ] {
        assert_eq!(run(args).status.code(), Some(2), "{args:?}");
    }
    let three = run(&[
        "--socket",
        "/nowhere/a",
        "--socket",
        "/nowhere/b",
        "--socket",
        "/nowhere/c",
    ]);
    assert_eq!(three.status.code(), Some(1));
    assert!(errors(&three).contains("back to back"), "{}", errors(&three));
    let nowhere = run(&["--socket", "/nowhere/nic.sock"]);
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(errors(&nowhere).contains("/nowhere/nic.sock"), "{}", errors(&nowhere));
}
