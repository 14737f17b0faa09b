//! The driver's test suite: what must hold of driver and device on every transport, written once. A [`Stand`] says how the
//! device is reached; [`run`] runs every test on it that it can carry, and says PASS, FAIL or SKIP of each.
//!
//! * [`cases`]: the tests
//! * [`faulty`]: a transport that loses, repeats and damages
//! * [`hostile`]: a device that does what it likes
//! * [`kill_points`]: where a daemon is killed
//! * [`latency`]: how long things take
//! * [`stand`]: devices behind a vfio-user socket and behind the kernel's VFIO
//! * `world`: what the tests program
#![forbid(unsafe_code)]

pub mod cases;
pub mod faulty;
pub mod hostile;
pub mod kill_points;
pub mod latency;
pub mod stand;
mod world;

pub use cases::TESTS;

use latency::Figure;
use sealnic_driver::clock::SystemClock;
use sealnic_driver::{Device, Error, MailboxConfig, RingError, Transport, TransportError};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// A device, however it is reached.
pub type AnyTransport = Box<dyn Transport>;

/// Where the device under test stands.
pub trait Stand {
    /// Name of the transport, for reports.
    fn name(&self) -> String;

    /// Opens the device. What was opened before is closed by then, but where the test is about that.
    ///
    /// # Errors
    /// The transport's own.
    fn open(&mut self) -> Result<AnyTransport, TransportError>;

    /// Whether the transport refuses a second owner; one that lives in the test's own process has no other.
    fn is_exclusive(&self) -> bool {
        true
    }

    /// Ends whatever the device runs in, and starts it anew.
    ///
    /// # Errors
    /// [`Failure::Skipped`] says why that can't be done here.
    fn restart(&mut self) -> Result<(), Failure> {
        Err(Failure::Skipped("this stand can't restart its device"))
    }
}

/// What a test needs of a stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Needs {
    /// Rings in host memory.
    pub rings: bool,
    /// Interrupt vectors.
    pub interrupts: bool,
    /// Function-level reset.
    pub reset: bool,
    /// A second owner that could be refused.
    pub exclusive: bool,
}

/// One test.
#[derive(Clone, Copy)]
pub struct Test {
    /// What holds when it passes.
    pub name: &'static str,
    /// What it needs.
    pub needs: Needs,
    /// The test.
    pub run: fn(&mut Env<'_>) -> Result<(), Failure>,
}

/// Why a test did not pass.
#[derive(Debug)]
pub enum Failure {
    /// It failed.
    Failed(String),
    /// The stand can't carry it after all.
    Skipped(&'static str),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(why) => f.write_str(why),
            Self::Skipped(why) => f.write_str(why),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<TransportError> for Failure {
    fn from(error: TransportError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<RingError> for Failure {
    fn from(error: RingError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<sealnic_driver::MailboxError> for Failure {
    fn from(error: sealnic_driver::MailboxError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Fails the test unless the condition holds.
#[macro_export]
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err($crate::Failure::Failed(format!($($message)+)));
        }
    };
}

/// What a test works with.
pub struct Env<'s> {
    stand: &'s mut dyn Stand,
    /// Figures for the report.
    pub figures: Vec<Figure>,
}

/// Limits of the mailbox in these tests: generous, since guests share their processors.
pub const PATIENT: MailboxConfig = MailboxConfig {
    timeout: Duration::from_secs(10),
    attempts: 3,
    first_sequence: None,
};

impl<'s> Env<'s> {
    /// A test's surroundings on a stand.
    pub fn new(stand: &'s mut dyn Stand) -> Self {
        Self {
            stand,
            figures: Vec::new(),
        }
    }

    /// Opens the transport alone.
    ///
    /// # Errors
    /// The transport's own.
    pub fn open(&mut self) -> Result<AnyTransport, TransportError> {
        self.stand.open()
    }

    /// Attaches to the device, reset.
    ///
    /// # Errors
    /// No device, or none that answers.
    pub fn attach(&mut self) -> Result<Device<AnyTransport>, Failure> {
        let transport = self.stand.open()?;
        self.attach_over(transport, PATIENT)
    }

    /// As [`attach`](Self::attach), over a transport that is there.
    ///
    /// # Errors
    /// As [`attach`](Self::attach).
    pub fn attach_over<T: Transport>(&mut self, transport: T, config: MailboxConfig) -> Result<Device<T>, Failure> {
        Ok(Device::attach_after_reset(
            transport,
            Box::new(SystemClock::new()),
            config,
        )?)
    }

    /// Restarts the device.
    ///
    /// # Errors
    /// It can't be, or did not come back.
    pub fn restart(&mut self) -> Result<(), Failure> {
        self.stand.restart()
    }

    /// What the stand has of a test's needs.
    fn missing(&mut self, needs: Needs) -> Result<Option<&'static str>, Failure> {
        if needs == Needs::default() {
            return Ok(None);
        }
        if needs.exclusive && !self.stand.is_exclusive() {
            return Ok(Some("this stand has one owner by nature"));
        }
        let transport = self.stand.open()?;
        let capabilities = transport.capabilities();
        if needs.interrupts && capabilities.vectors == 0 {
            return Ok(Some("no interrupts on this transport"));
        }
        if needs.reset && !capabilities.reset {
            return Ok(Some("no function-level reset on this transport"));
        }
        if needs.rings {
            if !capabilities.dma {
                return Ok(Some("no DMA on this transport"));
            }
            if !self.attach_over(transport, PATIENT)?.has_command_ring() {
                return Ok(Some("this device has no rings"));
            }
        }
        Ok(None)
    }
}

/// How a test ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// All that it says holds.
    Passed,
    /// Something doesn't.
    Failed(String),
    /// The stand can't carry it.
    Skipped(String),
}

/// One test's result.
#[derive(Debug, Clone)]
pub struct Line {
    /// The test.
    pub name: &'static str,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took.
    pub took: Duration,
}

impl fmt::Display for Line {
    /// `PASS name ms`, `FAIL name reason`, `SKIP name reason`, each on one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name;
        match &self.outcome {
            Outcome::Passed => write!(f, "PASS {name} {:.1} ms", self.took.as_secs_f64() * 1e3),
            Outcome::Failed(why) => write!(f, "FAIL {name} {}", why.replace('\n', " | ")),
            Outcome::Skipped(why) => write!(f, "SKIP {name} {why}"),
        }
    }
}

/// Results of a whole run.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Name of the transport.
    pub transport: String,
    /// Tests, in order.
    pub lines: Vec<Line>,
    /// How long things take.
    pub figures: Vec<Figure>,
}

impl Report {
    /// Tests that failed.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.lines
            .iter()
            .filter(|line| matches!(line.outcome, Outcome::Failed(_)))
            .count()
    }
}

/// Runs the tests whose name contains `filter`, and tells of each as it ends.
pub fn run(stand: &mut dyn Stand, filter: &str, mut tell: impl FnMut(&Line)) -> Report {
    let mut report = Report {
        transport: stand.name(),
        ..Report::default()
    };
    for test in TESTS.iter().filter(|test| test.name.contains(filter)) {
        let start = Instant::now();
        let mut env = Env::new(stand);
        let result = catch_unwind(AssertUnwindSafe(|| match env.missing(test.needs)? {
            Some(missing) => Err(Failure::Skipped(missing)),
            None => (test.run)(&mut env),
        }));
        let outcome = match result {
            Ok(Ok(())) => Outcome::Passed,
            Ok(Err(Failure::Failed(why))) => Outcome::Failed(why),
            Ok(Err(Failure::Skipped(why))) => Outcome::Skipped(why.into()),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                Outcome::Failed(format!("panicked: {}", text.unwrap_or_default()))
            }
        };
        report.figures.append(&mut env.figures);
        let line = Line {
            name: test.name,
            outcome,
            took: start.elapsed(),
        };
        tell(&line);
        report.lines.push(line);
    }
    report
}
