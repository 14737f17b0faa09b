//! Two NICs on a wire, served by a thread of the test, and their daemons.

use crate::harness::{Daemon, Folder, SCENARIO, eventually};
use crate::nic::{Vm, nic};
use sealnic_driver::RunId;
use sealnic_driver::control::spec::{AssociationSpec, MappingSpec, PortSpec, VnetSpec};
use sealnic_driver_suite::kill_points::{Ask, TrafficPoint};
use sealnic_sim::Scenario;
use sealnic_sim::serve::Server;
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

/// Number of a run: each has a run id, and so keys and connection ids, of its own.
#[derive(Clone, Copy)]
pub(crate) struct RunNumber(u8);

impl RunNumber {
    pub(crate) fn new(number: usize) -> Self {
        Self(u8::try_from(number + 1).unwrap())
    }

    fn octets(self) -> [u8; 16] {
        [self.0; 16]
    }

    fn text(self) -> String {
        format!("{:02x}", self.0).repeat(16)
    }
}

pub(crate) struct Rig {
    folder: Folder,
    run: RunNumber,
    scenario: Scenario,
    served: RefCell<Option<Served>>,
    next_frame: Cell<u32>,
}

/// The NICs and the thread that serves them.
struct Served {
    vms: [Vm; 2],
    stop: UnixStream,
    server: JoinHandle<()>,
}

const HOSTS: [&str; 2] = ["host-a", "host-b"];
const SOCKETS: [&str; 2] = ["a.nic", "b.nic"];
const CAPTURE: &str = "wire.pcapng";

impl Rig {
    pub(crate) fn new(run: RunNumber) -> Self {
        let folder = Folder::new();
        let text = SCENARIO.replace("dtls = \"1.3\"", "dtls = \"1.2\"");
        assert_ne!(text, SCENARIO, "records of DTLS 1.2 show their numbers");
        folder.write("scenario.toml", &text);
        let scenario = Scenario::parse(&text, &folder.path("scenario.toml")).unwrap();
        let rig = Self {
            folder,
            run,
            scenario,
            served: RefCell::new(None),
            next_frame: Cell::new(0),
        };
        rig.serve();
        rig
    }

    /// Serves NICs as they come from the factory.
    pub(crate) fn serve(&self) {
        let (mut nics, mut vms) = (Vec::new(), Vec::new());
        for (name, serial) in SOCKETS.into_iter().zip(1..) {
            let (nic, vm) = nic(&self.folder.path(name), serial);
            nics.push(nic);
            vms.push(vm);
        }
        let server = Server::bind(nics, Some(&self.scenario), Some(&self.folder.path(CAPTURE))).unwrap();
        let (stop, stopped) = UnixStream::pair().unwrap();
        *self.served.borrow_mut() = Some(Served {
            vms: vms.try_into().ok().unwrap(),
            stop,
            server: std::thread::spawn(move || server.run(stopped.as_fd()).unwrap()),
        });
    }

    /// Switches the NICs off.
    pub(crate) fn switch_off(&self) {
        if let Some(served) = self.served.borrow_mut().take() {
            drop(served.stop);
            served.server.join().unwrap();
        }
    }

    pub(crate) fn vm(&self, host: usize) -> Vm {
        self.served.borrow().as_ref().unwrap().vms[host].clone()
    }

    pub(crate) fn folder(&self) -> &Folder {
        &self.folder
    }

    /// How a daemon reaches a host's NIC.
    pub(crate) fn device(&self, host: usize) -> String {
        format!("vfio-user:{}", self.folder.text(SOCKETS[host]))
    }

    /// Starts a host's daemon, to die at a point.
    pub(crate) fn daemon(&self, host: usize, point: Option<&str>) -> Result<Daemon<'_>, String> {
        let device = self.device(host);
        let (scenario, run_id) = (self.folder.text("scenario.toml"), self.run.text());
        let args = [
            "--device",
            &device,
            "--scenario",
            &scenario,
            "--host",
            HOSTS[host],
            "--run-id",
            &run_id,
        ];
        let variables: Vec<_> = point.iter().map(|point| ("SEALNIC_FAULT_POINT", *point)).collect();
        self.folder.try_daemon_with(&args, &variables)
    }

    /// Starts a host's daemon with further options.
    pub(crate) fn daemon_with(&self, host: usize, more: &[&str]) -> Daemon<'_> {
        let device = self.device(host);
        let (scenario, run_id) = (self.folder.text("scenario.toml"), self.run.text());
        let args = [
            "--device",
            &device,
            "--scenario",
            &scenario,
            "--host",
            HOSTS[host],
            "--run-id",
            &run_id,
        ];
        self.folder.daemon(&[&args, more].concat())
    }

    /// Resets a NIC, as a watchdog of its own would.
    pub(crate) fn reset(&self, host: usize) {
        self.vm(host).reset_nic();
        std::thread::sleep(Duration::from_millis(100));
    }

    /// Has host a's daemon die while it programs.
    pub(crate) fn die_at(&self, point: &str) {
        let said = self
            .daemon(0, Some(point))
            .err()
            .unwrap_or_else(|| panic!("{point} was not reached"));
        assert!(said.contains(&format!("fault point {point}")), "{point}: {said}");
        assert!(said.contains("signal: 9"), "{point}: {said}");
    }

    /// Has host a's daemon die while traffic flows.
    pub(crate) fn die_in_traffic(&self, point: &TrafficPoint, peer: &Daemon<'_>) {
        let TrafficPoint { name: point, ask } = *point;
        match self.daemon(0, Some(point)) {
            Ok(mut daemon) => {
                if let Some(ask) = ask {
                    self.check_forwarding();
                    if ask.is_rotation() {
                        // The peer must be able to open what the new epoch seals.
                        peer.ok(&["sa", "rotate", "0", "--step", "prepare"]);
                    }
                    if ask == Ask::Finish {
                        daemon.ok(&["sa", "rotate", "0", "--step", "prepare"]);
                        for end in [&daemon, peer] {
                            end.ok(&["sa", "rotate", "0", "--step", "switch"]);
                        }
                        peer.ok(&["sa", "rotate", "0", "--step", "finish"]);
                    }
                    daemon.fails(ask.args());
                    if ask == Ask::Finish {
                        // The overlap of the old epoch, a second, ends without the daemon.
                        std::thread::sleep(Duration::from_millis(1500));
                    }
                } else {
                    // It gets there by itself, over the events that traffic makes.
                    self.send_both_ways();
                }
                assert_eq!(daemon.wait(), None, "{point}: not killed");
                assert!(
                    daemon.said().contains(&format!("fault point {point}")),
                    "{point}: {}",
                    daemon.said()
                );
            }
            // At its start already, as the last thing before it would be ready.
            Err(said) => {
                assert!(said.contains(&format!("fault point {point}")), "{point}: {said}");
                // All is programmed but for the switch that lets frames flow: a second start does that.
                let daemon = self.daemon(0, None).expect("the next daemon starts");
                drop(daemon);
            }
        }
    }

    /// One step of a rotation, where it is not done already.
    pub(crate) fn carry_on(&self, daemon: &Daemon<'_>, step: &str) {
        let output = daemon.client(&["sa", "rotate", "0", "--step", step]);
        let said = String::from_utf8(output.stderr).unwrap();
        let is_done = said.contains("prepare the rotation first") || said.contains("finish that rotation first");
        assert!(output.status.success() || is_done, "{step}: {said}");
    }

    /// The next frame of a host's VM to the other one's.
    pub(crate) fn frame(&self, from: usize) -> Vec<u8> {
        let number = self.next_frame.get();
        self.next_frame.set(number + 1);
        udp_frame(from, number)
    }

    /// Sends a frame in each direction, whatever becomes of it.
    pub(crate) fn send_both_ways(&self) {
        for from in 0..2 {
            self.vm(from).send(self.frame(from));
        }
        // Longer than the wire's clock ticks.
        std::thread::sleep(Duration::from_millis(100));
    }

    /// Frames arrive, in both directions, each at the first attempt.
    pub(crate) fn check_forwarding(&self) {
        for from in [0, 1, 0, 1] {
            let frame = self.frame(from);
            self.vm(from).send(frame.clone());
            let to = self.vm(1 - from);
            eventually(&format!("a frame of {} arrives", HOSTS[from]), || {
                to.has_received(&frame)
            });
        }
    }

    /// What is programmed is exactly what the scenario says, and there are the keys that seal and open.
    pub(crate) fn check_state(&self, daemon: &Daemon<'_>) {
        let end = self.scenario.end(0, &RunId::from_octets(self.run.octets()));
        let state = &end.state;
        let expected = [
            sorted(state.vnets.iter().map(|v| json(&VnetSpec::from_abi(v).unwrap()))),
            sorted(state.mappings.iter().map(|m| json(&MappingSpec::from_abi(m).unwrap()))),
            sorted(
                state
                    .associations
                    .iter()
                    .map(|a| json(&AssociationSpec::from_abi(a).unwrap())),
            ),
            sorted(state.ports.iter().map(|p| {
                let mut spec = PortSpec::from_abi(p, &state.port_addresses).unwrap();
                spec.addresses.as_mut().unwrap().sort_by_key(ToString::to_string);
                json(&spec)
            })),
            Vec::new(),
        ];
        let list = |kind: &str| daemon.json(&[kind, "list"]).as_array().unwrap().clone();
        let ports = list("port").into_iter().map(|mut port| {
            let addresses = port["addresses"].as_array_mut().unwrap();
            addresses.sort_by_key(ToString::to_string);
            port.to_string()
        });
        let plain = |kind: &str| sorted(list(kind).into_iter().map(|object| object.to_string()));
        let found = [
            plain("vnet"),
            plain("mapping"),
            plain("association"),
            sorted(ports),
            plain("exclusion"),
        ];
        assert_eq!(found, expected);
        let info = daemon.json(&["device", "info"]);
        assert_eq!(info["enabled"], true);
        assert!(info["desired"].get("problem").is_none(), "{info}");
        let sas = list("sa");
        let is = |sa: &Value, direction: &str, phase: &str| sa["direction"] == direction && sa["phase"] == phase;
        assert_eq!(sas.iter().filter(|sa| is(sa, "Write", "Active")).count(), 1, "{sas:?}");
        let epoch = sas.iter().find(|sa| is(sa, "Write", "Active")).unwrap()["epoch"].clone();
        assert!(
            sas.iter().any(|sa| is(sa, "Read", "Installed") && sa["epoch"] == epoch),
            "{sas:?}"
        );
        assert!(sas.iter().all(|sa| sa["phase"] != "Dead"), "{sas:?}");
    }

    /// Switches the NICs off; the wire's capture, which goes with this rig.
    pub(crate) fn finish(self) -> Capture {
        self.switch_off();
        Capture {
            path: self.folder.path(CAPTURE),
            _rig: self,
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if let Some(served) = self.served.get_mut().take() {
            drop(served.stop);
            let _ = served.server.join();
        }
    }
}

/// A capture that lasts as long as this.
pub(crate) struct Capture {
    path: PathBuf,
    _rig: Rig,
}

impl std::ops::Deref for Capture {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.path
    }
}

fn sorted(objects: impl Iterator<Item = String>) -> Vec<String> {
    let mut objects: Vec<String> = objects.collect();
    objects.sort();
    objects
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).unwrap().to_string()
}

/// A UDP datagram from one VM to the other, with a number in it.
fn udp_frame(from: usize, number: u32) -> Vec<u8> {
    let macs = [[0x00, 0x0d, 0x3a, 0, 0, 1], [0x00, 0x0d, 0x3a, 0, 0, 2]];
    let ips = [[10, 1, 0, 4], [10, 1, 0, 5]];
    let mut frame = Vec::new();
    frame.extend(macs[1 - from]);
    frame.extend(macs[from]);
    frame.extend([0x08, 0x00]);
    let payload = number.to_be_bytes();
    let mut ip = vec![0x45, 0, 0, 28 + 4, 0, 0, 0x40, 0, 64, 17, 0, 0];
    ip.extend(ips[from]);
    ip.extend(ips[1 - from]);
    let sum: u32 = ip
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]))
        .sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    let checksum = !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
    ip[10..12].copy_from_slice(&checksum.to_be_bytes());
    frame.extend(ip);
    let ports = [12_345u16, 12_346];
    frame.extend(ports[from].to_be_bytes());
    frame.extend(ports[1 - from].to_be_bytes());
    // No checksum, as IPv4 allows (RFC 768).
    frame.extend([0, 12, 0, 0]);
    frame.extend(payload);
    frame
}
