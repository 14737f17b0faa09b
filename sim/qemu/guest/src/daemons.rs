//! Daemons of two hosts, each with a function that the kernel's VFIO gives it. One of them is killed again and again: the kernel resets
//! its function each time, and the next daemon programs fresh keys.
//!
//! The host stands in for both VMs: their frames come and go by the daemons' sockets.

use crate::two_hosts::udp_frame;
use sealnic_driver::bind::Bdf;
use sealnic_driver::control::protocol::{FrameSend, Items, RotateStep};
use sealnic_driver::control::spec::{PortSpec, VnetSpec};
use sealnic_driver::control::text::Octets;
use sealnic_driver::control::view::{DeviceView, FrameView, ReloadView, SaView, StatsView};
use sealnic_driver::control::{Client, ClientError};
use sealnic_driver_suite::kill_points::{Ask, TrafficPoint};
use sealnic_sim::Scenario;
use sealnic_sim::scenario::Vm;
use serde_json::{Value, json};
use std::cell::Cell;
use std::error::Error;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

/// What came of it, or what failed.
type Outcome<T> = Result<T, Box<dyn Error>>;

/// How long anything may take: the guest's processor is emulated, and shares what it has.
const LIMIT: Duration = Duration::from_secs(30);
/// `SIGKILL`.
const KILLED: i32 = 9;
/// Hosts of the scenario; the first one's daemons are killed.
const HOSTS: [&str; 2] = ["host-a", "host-b"];

/// Two hosts, whose second daemon runs throughout.
pub struct Daemons {
    program: PathBuf,
    scenario_file: PathBuf,
    vms: [Vm; 2],
    functions: [Bdf; 2],
    folder: PathBuf,
    /// Stands in every frame of the VMs.
    pub marker: String,
    next_frame: Cell<u32>,
    next_run: Cell<u8>,
    peer: Option<Daemon>,
}

impl Daemons {
    /// Starts the second host's daemon. `program` is the command line with fault points, `folder` a place for sockets, state and logs.
    ///
    /// # Errors
    /// Says what is missing.
    pub fn start(program: &Path, scenario: &Path, folder: &Path, functions: [Bdf; 2], marker: String) -> Outcome<Self> {
        let vms = Scenario::load(scenario)?.vms;
        let mut daemons = Self {
            program: program.to_owned(),
            scenario_file: scenario.to_owned(),
            vms: vms.try_into().map_err(|_| "the scenario has not two VMs")?,
            functions,
            folder: folder.to_owned(),
            marker,
            next_frame: Cell::new(0),
            next_run: Cell::new(1),
            peer: None,
        };
        fs::create_dir_all(folder)?;
        daemons.new_run()?;
        daemons.peer = Some(daemons.daemon(1, None)?.map_err(|said| format!("the peer: {said}"))?);
        Ok(daemons)
    }

    /// Frames handed to daemons so far.
    #[must_use]
    pub fn sent(&self) -> u32 {
        self.next_frame.get()
    }

    /// Kills a daemon while it programs, and has the next one take over.
    ///
    /// # Errors
    /// Says what did not go as it should.
    pub fn kill_programming(&self, point: &str) -> Outcome<()> {
        self.begin_run()?;
        let Err(said) = self.daemon(0, Some(point))? else {
            return Err("the point was not reached".into());
        };
        self.take_over(point, &said)
    }

    /// Kills a daemon in traffic, and has the next one take over.
    ///
    /// # Errors
    /// Says what did not go as it should.
    pub fn kill_in_traffic(&self, point: &TrafficPoint) -> Outcome<()> {
        self.begin_run()?;
        let said = match self.daemon(0, Some(point.name))? {
            // At its start already, as the last thing before it would be ready.
            Err(said) => said,
            Ok(mut daemon) => {
                match point.ask {
                    Some(ask) => self.ask(&daemon, ask)?,
                    // It gets there by itself, over the events that traffic makes; what is asked of it meanwhile may fail.
                    None => drop(self.stand_in(&daemon).and_then(|()| self.send(&daemon, 0))),
                }
                let status = daemon.wait()?;
                daemon.expect_killed(status)?
            }
        };
        self.take_over(point.name, &said)
    }

    fn peer(&self) -> Outcome<&Daemon> {
        Ok(self.peer.as_ref().ok_or("the peer does not run")?)
    }

    /// Asks for what leads to the point, with traffic before it.
    fn ask(&self, daemon: &Daemon, ask: Ask) -> Outcome<()> {
        self.stand_in(daemon)?;
        self.check_forwarding(daemon)?;
        let peer = self.peer()?;
        if ask.is_rotation() {
            peer.rotate(RotateStep::Prepare)?;
        }
        if ask == Ask::Finish {
            daemon.rotate(RotateStep::Prepare)?;
            for end in [daemon, peer] {
                end.rotate(RotateStep::Switch)?;
            }
            peer.rotate(RotateStep::Finish)?;
        }
        let (op, args) = ask.operation();
        let args: Value = serde_json::from_str(args)?;
        let args = serde_json::value::to_raw_value(&args)?;
        match daemon.client()?.request(op, Some(&args), false, |_| Ok(())) {
            Err(ClientError::Broken(_)) => Ok(()),
            other => Err(format!("the daemon should have been killed: {other:?}").into()),
        }
    }

    /// After a kill: the function was reset, the run's keys are not used again, and with a new run all is as it should be.
    fn take_over(&self, point: &str, said: &str) -> Outcome<()> {
        if !said.contains(&format!("fault point {point}")) {
            return Err(format!("it ended elsewhere: {}", tail(said)).into());
        }
        let before = generation_in(said).ok_or("the killed daemon named no generation")?;
        // Nobody takes this frame; on the wire it is a record all the same.
        self.send(self.peer()?, 1)?;
        let claimed = self.is_claimed()?;
        let next = self
            .daemon(0, None)?
            .map_err(|said| format!("the next daemon: {said}"))?;
        let info: DeviceView = next.call("device-info", &json!({}))?;
        if info.generation == before {
            return Err("the function was not reset: its generation is the same".into());
        }
        let problem = info.desired.and_then(|desired| desired.problem).unwrap_or_default();
        let sas: Vec<SaView> = next.client()?.list("sa-list")?;
        if claimed && (!sas.is_empty() || !problem.contains("another life")) {
            return Err(format!("the run of before is used again: {sas:?}, {problem:?}").into());
        }
        if !claimed && (sas.len() != 2 || !problem.is_empty()) {
            return Err(format!("a run that was never used: {sas:?}, {problem:?}").into());
        }
        if claimed {
            self.new_run()?;
            for end in [&next, self.peer()?] {
                end.reload()?;
            }
        }
        self.check_policy(&next)?;
        self.stand_in(&next)?;
        self.stand_in(self.peer()?)?;
        self.check_forwarding(&next)?;
        for end in [&next, self.peer()?] {
            let stats: StatsView = end.call("stats", &json!({}))?;
            if stats.counters.get("WireClear") != Some(&0) || !stats.balanced {
                return Err(format!("frames in the clear, or lost: {stats:?}").into());
            }
        }
        Ok(())
    }

    /// A run that no daemon had before, at the peer already.
    fn begin_run(&self) -> Outcome<()> {
        self.new_run()?;
        self.peer()?.reload()?;
        self.stand_in(self.peer()?)
    }

    fn new_run(&self) -> Outcome<()> {
        let number = self.next_run.get();
        self.next_run.set(number.checked_add(1).ok_or("too many runs")?);
        Ok(fs::write(self.run_id_file(), run_id(number))?)
    }

    fn run_id_file(&self) -> PathBuf {
        self.folder.join("run-id")
    }

    /// Whether a daemon of the first host wrote down that the present run's keys are about to be used.
    fn is_claimed(&self) -> Outcome<bool> {
        let run = fs::read_to_string(self.run_id_file())?;
        let end: String = HOSTS[0].bytes().map(|octet| format!("{octet:02x}")).collect();
        Ok(self.folder.join("state/runs").join(format!("{run}-{end}")).exists())
    }

    /// Starts a daemon; what it said when it was not ready.
    fn daemon(&self, host: usize, point: Option<&str>) -> Outcome<Result<Daemon, String>> {
        let name = HOSTS[host];
        let log = self.folder.join(format!("{name}.log"));
        let mut command = Command::new(&self.program);
        command
            .args(["daemon", "--device", &format!("vfio:{}", self.functions[host])])
            .args(["--host", name, "--scenario"])
            .arg(&self.scenario_file)
            .arg("--run-id-file")
            .arg(self.run_id_file())
            .arg("--state")
            .arg(self.folder.join("state"))
            .env("XDG_RUNTIME_DIR", &self.folder)
            .env("RUST_LOG", "info")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log)?);
        if let Some(point) = point {
            command.env("SEALNIC_FAULT_POINT", point);
        }
        let mut child = command.spawn()?;
        let mut line = String::new();
        if let Some(out) = child.stdout.take() {
            BufReader::new(out.take(4096)).read_line(&mut line)?;
        }
        let mut daemon = Daemon {
            child,
            log,
            socket: PathBuf::new(),
            arrivals: None,
        };
        let Some(socket) = line.trim_end().strip_prefix("ready at ") else {
            let status = daemon.wait()?;
            return Ok(Err(match point {
                Some(_) => daemon.expect_killed(status)?,
                None => format!("{status}: {}", tail(&daemon.said()?)),
            }));
        };
        daemon.socket = socket.into();
        daemon.follow();
        Ok(Ok(daemon))
    }

    /// Has the host stand in for the VM.
    fn stand_in(&self, daemon: &Daemon) -> Outcome<()> {
        let mut items: Vec<PortSpec> = daemon.client()?.list("port-list")?;
        for port in &mut items {
            port.representor = true;
        }
        let _: Value = daemon.call("port-add", &Items { items })?;
        Ok(())
    }

    fn check_policy(&self, daemon: &Daemon) -> Outcome<()> {
        let vnets: Vec<VnetSpec> = daemon.client()?.list("vnet-list")?;
        let info: DeviceView = daemon.call("device-info", &json!({}))?;
        let sas: Vec<SaView> = daemon.client()?.list("sa-list")?;
        let has = |direction: &str, phase: &str| sas.iter().any(|sa| sa.direction == direction && sa.phase == phase);
        let is_ready = info.enabled && info.desired.is_some_and(|desired| desired.problem.is_none());
        if vnets.len() != 1 || !is_ready || sas.len() != 2 || !has("Write", "Active") || !has("Read", "Installed") {
            return Err(format!("programmed is {vnets:?} with {sas:?}").into());
        }
        Ok(())
    }

    /// Sends a frame of a host's VM to the other one's; returns the frame.
    fn send(&self, daemon: &Daemon, from: usize) -> Outcome<Vec<u8>> {
        let number = self.next_frame.get();
        self.next_frame.set(number + 1);
        let payload = format!("{} {number:06}", self.marker);
        let frame = udp_frame(&self.vms[from], &self.vms[1 - from], 4, payload.as_bytes())?;
        let send = FrameSend {
            port: self.vms[from].port,
            items: vec![Octets(frame.clone())],
        };
        let _: Value = daemon.call("frame-send", &send)?;
        Ok(frame)
    }

    /// Frames arrive, in both directions, each at the first attempt and octet for octet.
    fn check_forwarding(&self, daemon: &Daemon) -> Outcome<()> {
        let ends = [daemon, self.peer()?];
        for from in [0, 1, 0, 1] {
            let frame = self.send(ends[from], from)?;
            ends[1 - from].expect_arrival(&frame, self.vms[1 - from].port)?;
        }
        Ok(())
    }
}

/// A daemon that dies with its owner.
struct Daemon {
    child: Child,
    log: PathBuf,
    socket: PathBuf,
    arrivals: Option<Receiver<FrameView>>,
}

impl Daemon {
    fn client(&self) -> Outcome<Client> {
        Ok(Client::connect(Some(&self.socket))?)
    }

    fn call<A: serde::de::DeserializeOwned>(&self, op: &str, args: &impl serde::Serialize) -> Outcome<A> {
        let answer = self.client()?.call(op, args);
        Ok(answer.map_err(|error| format!("{op}: {error}"))?)
    }

    fn rotate(&self, step: RotateStep) -> Outcome<()> {
        let _: Value = self.call("sa-rotate", &json!({ "association": 0, "step": step }))?;
        Ok(())
    }

    /// Loads the scenario again, with a new run.
    fn reload(&self) -> Outcome<()> {
        let done: ReloadView = self.call("reload", &json!({}))?;
        if done.installed != 2 {
            return Err(format!("a reload with a new run: {done:?}").into());
        }
        Ok(())
    }

    /// Takes the frames for the VM from here on.
    fn follow(&mut self) {
        // One that was killed meanwhile has no frames, and whoever asks it for something learns of it.
        let Ok(mut client) = self.client() else {
            return;
        };
        let (sender, arrivals) = mpsc::channel();
        let (ready, begun) = mpsc::channel();
        // It ends with the daemon, or when nobody wants its frames.
        std::thread::spawn(move || {
            let nothing = serde_json::value::to_raw_value(&json!({}));
            client.request("frame-follow", nothing.ok().as_deref(), true, |part| {
                let _ = ready.send(());
                for frame in serde_json::from_value::<Vec<FrameView>>(part)? {
                    sender.send(frame).map_err(std::io::Error::other)?;
                }
                Ok(())
            })
        });
        let _ = begun.recv_timeout(LIMIT);
        self.arrivals = Some(arrivals);
    }

    fn expect_arrival(&self, frame: &[u8], port: u16) -> Outcome<()> {
        let arrivals = self.arrivals.as_ref().ok_or("nobody takes frames")?;
        let arrived = arrivals.recv_timeout(LIMIT).map_err(|_| "a frame did not arrive")?;
        if arrived.frame.0 != frame || arrived.port != Some(port) || arrived.kind != "ForVm" {
            return Err(format!("another frame arrived: {arrived:?}").into());
        }
        Ok(())
    }

    fn said(&self) -> Outcome<String> {
        Ok(fs::read_to_string(&self.log)?)
    }

    fn wait(&mut self) -> Outcome<ExitStatus> {
        let deadline = Instant::now() + LIMIT;
        loop {
            match self.child.try_wait()? {
                Some(status) => return Ok(status),
                None if Instant::now() >= deadline => return Err("the daemon does not end".into()),
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// What a daemon said that was killed.
    fn expect_killed(&self, status: ExitStatus) -> Outcome<String> {
        let said = self.said()?;
        if status.signal() == Some(KILLED) {
            Ok(said)
        } else {
            Err(format!("not killed but {status}: {}", tail(&said)).into())
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A run's id: each number gives its own.
fn run_id(number: u8) -> String {
    format!("{number:02x}").repeat(16)
}

/// The generation that a daemon's log says it attached to, as `device-info` writes it.
fn generation_in(said: &str) -> Option<String> {
    let (_, rest) = said.split_once("generation=")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok().map(|generation: u64| format!("{generation:016x}"))
}

/// The end of a log, which says why.
fn tail(said: &str) -> String {
    let lines: Vec<&str> = said.lines().rev().take(3).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
}
