//! The suite on NICs served over vfio-user, in threads of this process.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may fail, and its runner shows what it prints when it does"
)]

use sealnic_driver::TransportError;
use sealnic_driver::transport::vfio_user::VfioUserTransport;
use sealnic_driver_suite::latency::table;
use sealnic_driver_suite::{AnyTransport, Failure, Outcome, Stand, run};
use sealnic_hw_model::cycle::{CycleModel, HwConfig};
use sealnic_hw_model::{FunctionalModel, HwModel, ModelConfig};
use sealnic_sim::serve::function::ClientPort;
use sealnic_sim::serve::nic::nic;
use sealnic_sim::serve::{ServedNic, Server};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread::JoinHandle;
use tempfile::TempDir;

/// A server that can be ended and started anew.
struct ServedStand {
    name: &'static str,
    path: PathBuf,
    _folder: TempDir,
    make: fn() -> Box<dyn HwModel>,
    running: Option<(UnixStream, JoinHandle<()>)>,
}

impl ServedStand {
    fn new(name: &'static str, make: fn() -> Box<dyn HwModel>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut stand = Self {
            name,
            path: folder.path().join("nic.sock"),
            _folder: folder,
            make,
            running: None,
        };
        stand.start();
        stand
    }

    fn start(&mut self) {
        let (stop, stopper) = UnixStream::pair().unwrap();
        let port = ClientPort::default();
        let server = Server::bind(
            vec![ServedNic {
                socket: self.path.clone(),
                function: nic((self.make)(), &port, 1),
                port,
            }],
            None,
            None,
        )
        .unwrap();
        let thread = std::thread::spawn(move || server.run(stop.as_fd()).unwrap());
        self.running = Some((stopper, thread));
    }

    fn stop(&mut self) {
        if let Some((stopper, thread)) = self.running.take() {
            drop(stopper);
            thread.join().unwrap();
        }
    }
}

impl Stand for ServedStand {
    fn name(&self) -> String {
        format!("vfio-user, {}", self.name)
    }

    fn open(&mut self) -> Result<AnyTransport, TransportError> {
        Ok(Box::new(VfioUserTransport::connect(&self.path)?))
    }

    fn restart(&mut self) -> Result<(), Failure> {
        self.stop();
        self.start();
        Ok(())
    }
}

impl Drop for ServedStand {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Runs everything; nothing may be left out.
#[track_caller]
fn all_pass(mut stand: ServedStand) {
    let report = run(&mut stand, "", |line| println!("{line}"));
    println!("{}", table(&report.transport, &report.figures));
    assert!(report.lines.iter().all(|line| line.outcome == Outcome::Passed));
    assert!(report.lines.len() > 20);
}

#[test]
fn the_suite_passes_on_a_served_functional_model() {
    all_pass(ServedStand::new("functional model", || {
        Box::new(FunctionalModel::new(&ModelConfig::default()).unwrap())
    }));
}

#[test]
fn the_suite_passes_on_a_served_cycle_model() {
    all_pass(ServedStand::new("cycle model", || {
        let hardware = HwConfig::default_preset().unwrap();
        Box::new(CycleModel::new(&ModelConfig::default(), &hardware).unwrap())
    }));
}
