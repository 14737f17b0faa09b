//! The one thread that touches the device. It carries out what it is handed, one thing after another, and in between takes events,
//! notices resets, and opens a device again that got lost.

use super::board::{Board, Wake};
use super::desired::{Desired, DesiredSource, KeyError, ensure_keys, program, rotate};
use super::flow_file::FlowFile;
use super::follow::Followers;
use super::ledger::Ledger;
use super::protocol::{Failure, FailureKind, Rotate};
use super::view::{DesiredView, DeviceView, EventView, FrameView, ReloadView};
use crate::clock::SystemClock;
use crate::device::Device;
use crate::error::Error;
use crate::flow_log::{FlowLog, FlowLogConfig};
use crate::mailbox::{MailboxConfig, MailboxError};
use crate::reconcile::Change;
use crate::transport::{Fired, TransportError};
use sealnic_abi::mailbox::Status;
use sealnic_abi::object::AssociationState;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TryRecvError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

/// A device behind any transport.
pub type OwnedDevice = Device<Box<dyn Board>>;

/// What an owner is made with.
pub struct OwnerConfig {
    /// How the device is reached, for people.
    pub name: String,
    /// Opens the way to the device; called again when it got lost.
    pub open: Box<dyn FnMut() -> Result<Box<dyn Board>, Error> + Send>,
    /// What to keep programmed; without, the device stays as it is found.
    pub desired: Option<Box<dyn DesiredSource>>,
    /// Which run ids were used.
    pub ledger: Ledger,
    /// Where the flow log goes.
    pub flow_file: Option<FlowFile>,
    /// Time between two looks at a device that can't tell by itself.
    pub poll: Duration,
}

/// Why an owner can't begin.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The device can't be had.
    #[error("{name}: {source}")]
    Device {
        /// How the device is reached.
        name: String,
        /// Why not.
        source: Error,
    },
    /// The desired state can't be loaded.
    #[error("{0}")]
    Desired(String),
    /// There is no thread for it.
    #[error("the device's thread can't be started: {0}; check the limits of this account")]
    Thread(#[source] std::io::Error),
    /// The thread ended at once.
    #[error("the device's thread ended at once; this is a bug, please report it")]
    Died,
}

type Job = Box<dyn FnOnce(&mut Owner) + Send>;

/// Jobs that may wait; whoever has one more waits himself.
const QUEUE: usize = 64;
/// Time between two looks at whether the device is still the one that was programmed: no interrupt tells that it was reset.
const BEAT: Duration = Duration::from_secs(1);
/// First and longest pause before a lost device is opened again.
const REOPEN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// Changes told in words.
const CHANGES_TOLD: usize = 50;

/// A way to hand jobs to the owner.
#[derive(Clone)]
pub struct OwnerHandle {
    jobs: SyncSender<Job>,
    wake: Arc<Wake>,
    stopping: Arc<AtomicBool>,
}

impl OwnerHandle {
    /// Has the owner do something, and waits for what comes of it.
    ///
    /// # Errors
    /// The owner is stopping, or gone.
    pub fn run<R: Send + 'static>(&self, job: impl FnOnce(&mut Owner) -> R + Send + 'static) -> Result<R, Failure> {
        let stopping = || Failure::new(FailureKind::Stopping, "the daemon is stopping; try again when it runs");
        let (done, result) = mpsc::sync_channel(1);
        let job: Job = Box::new(move |owner| {
            // Whoever asked may have gone meanwhile.
            let _ = done.send(job(owner));
        });
        if self.is_stopping() {
            return Err(stopping());
        }
        self.jobs.send(job).map_err(|_| stopping())?;
        self.wake.wake();
        result.recv().map_err(|_| stopping())
    }

    /// Whether the owner was told to stop.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }
}

/// The owner's thread.
pub struct OwnerThread {
    handle: OwnerHandle,
    thread: JoinHandle<()>,
}

impl OwnerThread {
    /// A way to hand jobs to the owner.
    #[must_use]
    pub fn handle(&self) -> OwnerHandle {
        self.handle.clone()
    }

    /// Whether the thread ended by itself, which it never should.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.thread.is_finished()
    }

    /// Lets clients know that the end is near: nothing new is begun.
    pub fn announce_stop(&self) {
        self.handle.stopping.store(true, Ordering::Release);
        self.handle.wake.wake();
    }

    /// Stops: jobs that wait are not begun, the flow log is brought up to date. The device goes on as programmed.
    pub fn stop(self) {
        self.announce_stop();
        drop(self.handle);
        let _ = self.thread.join();
    }
}

/// Owns the device.
pub struct Owner {
    config: OwnerConfig,
    started: Instant,
    pub(super) device: Option<OwnedDevice>,
    /// Why there is no device.
    lost_because: String,
    /// When to open it again, and how long to wait after that.
    reopen: (Instant, Duration),
    /// Generation in which the device was last programmed or seen.
    generation: u64,
    desired: Option<Desired>,
    problem: Option<String>,
    /// Interrupts tell of events and frames.
    pub(super) listens: bool,
    /// An interrupt may have gone unseen: the device was spoken to, or has more to say than goes at once.
    pub(super) stirred: bool,
    next_beat: Instant,
    /// For a device that can't tell by itself.
    next_poll: Instant,
    /// For a device whose time somebody has to let pass.
    next_tick: Option<Instant>,
    /// Nanoseconds since 1970 at device time zero.
    pub(super) epoch_ns: u64,
    /// Device time as it was last told, and when that was.
    device_time: (u64, Instant),
    pub(super) flow_log: FlowLog,
    pub(super) flow_errors: u64,
    pub(super) events: u64,
    pub(super) recent: VecDeque<EventView>,
    pub(super) followers: Followers<EventView>,
    pub(super) frame_followers: Followers<FrameView>,
}

impl Owner {
    /// Starts the owner's thread: opens the device, programs it when there is a desired state, and enables it then.
    ///
    /// # Errors
    /// The device can't be had, or the desired state not be loaded. That it can't be programmed is no error here: it is logged
    /// and shown, and the device stays as strict as it is.
    pub fn start(config: OwnerConfig) -> Result<OwnerThread, StartError> {
        let (jobs, waiting) = mpsc::sync_channel::<Job>(QUEUE);
        let stopping = Arc::new(AtomicBool::new(false));
        let (begun, outcome) = mpsc::sync_channel(1);
        let stop = Arc::clone(&stopping);
        let wake = Arc::new(Wake::new().map_err(StartError::Thread)?);
        let woken = Arc::clone(&wake);
        let thread = std::thread::Builder::new()
            .name("device".to_owned())
            .spawn(move || match Self::begin(config) {
                Ok(mut owner) => {
                    if begun.send(Ok(())).is_ok() {
                        owner.work(&waiting, &woken, &stop);
                        owner.close();
                    }
                }
                Err(error) => {
                    let _ = begun.send(Err(error));
                }
            })
            .map_err(StartError::Thread)?;
        outcome.recv().unwrap_or(Err(StartError::Died))?;
        Ok(OwnerThread {
            handle: OwnerHandle { jobs, wake, stopping },
            thread,
        })
    }

    fn begin(mut config: OwnerConfig) -> Result<Self, StartError> {
        let loaded = config.desired.as_mut().map(|source| load(&mut **source)).transpose();
        let desired = loaded.map_err(StartError::Desired)?;
        let now = Instant::now();
        let mut owner = Self {
            config,
            started: now,
            device: None,
            lost_because: String::new(),
            reopen: (now, REOPEN.0),
            generation: 0,
            desired,
            problem: None,
            listens: false,
            stirred: false,
            next_beat: now,
            next_poll: now,
            next_tick: None,
            epoch_ns: 0,
            device_time: (0, now),
            flow_log: FlowLog::new(FlowLogConfig::default(), &[]),
            flow_errors: 0,
            events: 0,
            recent: VecDeque::new(),
            followers: Followers::new(),
            frame_followers: Followers::new(),
        };
        owner.open().map_err(|source| StartError::Device {
            name: owner.config.name.clone(),
            source,
        })?;
        owner.program_again();
        Ok(owner)
    }

    fn work(&mut self, waiting: &Receiver<Job>, wake: &Wake, stop: &AtomicBool) {
        while !stop.load(Ordering::Acquire) {
            self.look();
            let board = self.device.as_ref().map(|device| &*device.transport);
            wake.wait(board, self.until_due());
            // Those that come meanwhile wake again.
            for _ in 0..QUEUE {
                match waiting.try_recv() {
                    Ok(job) => job(self),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return,
                }
                if stop.load(Ordering::Acquire) {
                    return;
                }
            }
        }
    }

    /// Time until there is something to do without anybody's word.
    fn until_due(&self) -> Duration {
        if self.device.is_some() && self.stirred {
            return Duration::ZERO;
        }
        let due = match self.device {
            None => self.reopen.0,
            Some(_) if self.listens => self.next_beat,
            Some(_) => self.next_beat.min(self.next_poll),
        };
        let due = self
            .next_tick
            .filter(|_| self.device.is_some())
            .map_or(due, |tick| tick.min(due));
        due.saturating_duration_since(Instant::now())
    }

    /// Opens the device and finds out who it is.
    fn open(&mut self) -> Result<(), Error> {
        let limits = MailboxConfig::default();
        let device = match Device::attach_with((self.config.open)()?, Box::new(SystemClock::new()), limits) {
            Err(Error::Fault { code }) => {
                tracing::warn!(?code, "the device has stopped after a fault; resetting it");
                let board = (self.config.open)()?;
                Device::attach_after_reset(board, Box::new(SystemClock::new()), limits)
            }
            other => other,
        }?;
        let identity = *device.identity();
        self.device_time = (identity.time_ns, Instant::now());
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now_ns = u64::try_from(since_1970.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX);
        self.epoch_ns = now_ns.saturating_sub(identity.time_ns);
        self.generation = identity.generation;
        self.device = Some(device);
        self.listen();
        self.restart_flow_log();
        Ok(())
    }

    /// A flow log for the device as it is now; what the last one held is written first.
    fn restart_flow_log(&mut self) {
        let template = self.desired.as_ref().map(|desired| desired.flow_log.clone());
        let config = FlowLogConfig {
            epoch_ns: self.epoch_ns,
            ..template.unwrap_or_default()
        };
        let old = std::mem::replace(&mut self.flow_log, FlowLog::new(config, &[]));
        self.write_records(&old.finish().records);
        self.learn_ports();
    }

    fn write_records(&mut self, records: &[crate::flow_log::Record]) {
        if let Some(file) = &mut self.config.flow_file
            && let Err(error) = file.append(records)
        {
            tracing::error!(%error, records = records.len(), "flow-log records are lost: the file can't be written; check the disk");
        }
    }

    /// Has the flow log know the ports that the device has now.
    pub(super) fn learn_ports(&mut self) {
        let Some(device) = &mut self.device else {
            return;
        };
        match device.ports().collect::<Result<Vec<_>, _>>() {
            Ok(ports) => self.flow_log.set_ports(&ports),
            Err(error) => tracing::warn!(%error, "the device's ports can't be listed for the flow log"),
        }
    }

    /// Does something with the device, and notices when it is lost.
    pub(super) fn device<R>(&mut self, act: impl FnOnce(&mut OwnedDevice) -> Result<R, Error>) -> Result<R, Failure> {
        // Commands wait for interrupts, too, and see those of events.
        self.stirred = true;
        self.quietly(act)
    }

    /// As [`device`](Self::device), for what waits for no interrupt.
    pub(super) fn quietly<R>(&mut self, act: impl FnOnce(&mut OwnedDevice) -> Result<R, Error>) -> Result<R, Failure> {
        let Some(device) = &mut self.device else {
            return Err(Failure::new(
                FailureKind::Unreachable,
                format!(
                    "the device ({}) can't be reached: {}; the daemon goes on trying",
                    self.config.name, self.lost_because
                ),
            ));
        };
        act(device).map_err(|error| {
            let failure = failure_of(&error);
            self.note(&error);
            failure
        })
    }

    /// Lets go of a device that is gone.
    fn note(&mut self, error: &Error) {
        if !is_loss(error) || self.device.is_none() {
            return;
        }
        tracing::error!(device = self.config.name, %error, "the device is lost; trying to reach it again");
        self.device = None;
        self.frame_followers.end();
        self.lost_because = error.to_string();
        self.reopen = (Instant::now() + REOPEN.0, REOPEN.0);
    }

    /// One look at the device: time, events, frames, generation; or an attempt to reach it again.
    fn look(&mut self) {
        let now = Instant::now();
        let Some(device) = &mut self.device else {
            if now >= self.reopen.0 {
                self.try_again();
            }
            return;
        };
        let due = device.transport_mut().tick(self.started.elapsed());
        self.next_tick = due.map(|due| now + due);
        let fired = if self.listens {
            self.quietly(|device| device.wait_for_interrupt(Duration::ZERO))
        } else {
            Ok(Fired::NONE)
        };
        let beats = now >= self.next_beat;
        let stirred = std::mem::take(&mut self.stirred);
        let told = self.listens && (stirred || fired.is_ok_and(|fired| !fired.is_empty()));
        let polls = !self.listens && now >= self.next_poll;
        if polls {
            self.next_poll = now + self.config.poll;
        }
        // An interrupt that got lost costs no more than a beat.
        if polls || beats || told {
            self.take_events();
            self.take_frames();
        }
        if beats {
            self.next_beat = now + BEAT;
            self.check_generation();
            let closed = self.flow_log.take_closed(self.device_now());
            self.write_records(&closed);
        }
    }

    /// Finds out whether the device is still the one that was programmed, without asking where it has shown that it is.
    fn check_generation(&mut self) {
        // A reset stops the event ring, and that was seen when events were taken.
        if self.listens && self.device.as_ref().is_some_and(OwnedDevice::has_event_ring) {
            return;
        }
        let Ok(identity) = self.device(OwnedDevice::identify) else {
            return;
        };
        self.device_time = (identity.time_ns, Instant::now());
        let was_reset = identity.generation != self.generation;
        if was_reset && self.device(OwnedDevice::start_rings_again).is_err() {
            return;
        }
        if was_reset || self.listens {
            self.listen();
        }
        if was_reset {
            tracing::warn!("the device was reset by somebody else; programming it again");
            self.after_reset();
        }
    }

    /// Device time, a beat late: what the device reported until then is here.
    fn device_now(&self) -> u64 {
        let (told, at) = self.device_time;
        let since = at.elapsed().saturating_sub(BEAT).as_nanos();
        told.saturating_add(u64::try_from(since).unwrap_or(u64::MAX))
    }

    /// The device's time as it stands in something it reported.
    pub(super) fn note_time(&mut self, time_ns: u64) {
        if time_ns > self.device_time.0 {
            self.device_time = (time_ns, Instant::now());
        }
    }

    fn try_again(&mut self) {
        let before = self.generation;
        match self.open() {
            Ok(()) => {
                tracing::info!(device = self.config.name, "the device is back");
                if self.generation != before {
                    tracing::warn!("the device was reset meanwhile: its keys are gone");
                }
                self.program_again();
            }
            Err(error) => {
                let pause = (self.reopen.1 * 2).min(REOPEN.1);
                self.reopen = (Instant::now() + pause, pause);
                self.lost_because = error.to_string();
            }
        }
    }

    /// Programs the desired state, if there is one, keeping what went wrong for whoever asks.
    fn program_again(&mut self) {
        if let Some(Err(failure)) = self.desired.is_some().then(|| self.program()) {
            tracing::error!("{failure}");
        }
    }

    /// Programs the desired state and its keys, and enables the device.
    fn program(&mut self) -> Result<ReloadView, Failure> {
        let Some(desired) = self.desired.take() else {
            return Ok(ReloadView::default());
        };
        let result = self.program_this(&desired);
        self.desired = Some(desired);
        self.problem = result.as_ref().err().map(|failure| failure.message.clone());
        self.learn_ports();
        result
    }

    fn program_this(&mut self, desired: &Desired) -> Result<ReloadView, Failure> {
        let failed =
            |what: &str, why: &dyn std::fmt::Display| Failure::new(FailureKind::Desired, format!("{what}: {why}"));
        let report = self
            .device(|device| program(device, desired))
            .map_err(|failure| failed("the desired state is not in place", &failure))?;
        let ledger = self.config.ledger.clone();
        let (installed, errors) = self.device(|device| Ok(ensure_keys(device, desired, &ledger)))?;
        for error in &errors {
            if let KeyError::Device { source, .. } = error {
                self.note(source);
            }
        }
        self.device(|device| device.set_enabled(true))
            .map_err(|failure| failed("the device could not be enabled", &failure))?;
        self.generation = self.device(|device| Ok(device.identity().generation))?;
        if let Some(first) = errors.first() {
            let others = match errors.len() - 1 {
                0 => String::new(),
                more => format!(" (and {more} more)"),
            };
            return Err(failed(
                "keys are missing, so what needs them is dropped",
                &format!("{first}{others}"),
            ));
        }
        let changes = report.changes.iter().take(CHANGES_TOLD);
        Ok(ReloadView {
            added: report.count(Change::Added),
            changed: report.count(Change::Changed),
            removed: report.count(Change::Removed),
            installed,
            changes: changes
                .map(|(change, object)| format!("{object}: {}", change_text(*change)))
                .collect(),
            problem: None,
        })
    }

    /// Loads the desired state again and programs it. What can't be loaded changes nothing.
    ///
    /// # Errors
    /// There is none, it can't be loaded, or it can't be programmed.
    pub fn reload(&mut self) -> Result<ReloadView, Failure> {
        let Some(source) = &mut self.config.desired else {
            return Err(Failure::new(
                FailureKind::Desired,
                "this daemon keeps no desired state; start it with --scenario to have one",
            ));
        };
        match load(&mut **source) {
            Ok(desired) => {
                let same_log = self
                    .desired
                    .as_ref()
                    .is_some_and(|old| old.flow_log == desired.flow_log);
                self.desired = Some(desired);
                if !same_log {
                    self.restart_flow_log();
                }
                self.program()
            }
            Err(problem) => {
                let message = format!("not reloaded, everything stays as it was: {problem}");
                self.problem = Some(message.clone());
                Err(Failure::new(FailureKind::Desired, message))
            }
        }
    }

    /// Resets the device and programs it again.
    pub(super) fn reset(&mut self) -> Result<ReloadView, Failure> {
        self.take_events();
        self.device(OwnedDevice::reset)?;
        Ok(self.after_reset())
    }

    fn after_reset(&mut self) -> ReloadView {
        if let Some(device) = &self.device {
            self.generation = device.identity().generation;
        }
        self.restart_flow_log();
        self.program().unwrap_or_else(|failure| {
            tracing::error!("{failure}");
            ReloadView {
                problem: Some(failure.message),
                ..ReloadView::default()
            }
        })
    }

    /// Carries a rotation of static keys on.
    pub(super) fn rotate(&mut self, request: Rotate) -> Result<u64, Failure> {
        let desired = self.desired.take();
        let keys = desired.as_ref().and_then(|desired| desired.keys.as_ref());
        let ledger = self.config.ledger.clone();
        let result = self.device(|device| Ok(rotate(device, keys, &ledger, request.association, request.step)));
        self.desired = desired;
        result?.map_err(|error| {
            if let KeyError::Device { source, .. } = &error {
                self.note(source);
            }
            Failure::new(FailureKind::Device, error.to_string())
        })
    }

    /// The device and this daemon.
    pub(super) fn info(&mut self) -> Result<DeviceView, Failure> {
        let name = self.config.name.clone();
        let mut view = self.device(|device| {
            let identity = device.identify()?;
            let enabled = device.is_enabled()?;
            Ok(DeviceView::new(&name, &identity, enabled, device.interrupt_causes()?))
        })?;
        view.events = self.events;
        let source = self.config.desired.as_ref().map(|source| source.describe());
        if let (Some(desired), Some(source)) = (&self.desired, source) {
            let is_ready = |state: u8| state == u8::from(AssociationState::Ready);
            view.desired = Some(DesiredView {
                source,
                run_id: desired.keys.as_ref().map(|keys| {
                    let octets = keys.run_id.octets();
                    octets.iter().map(|octet| format!("{octet:02x}")).collect()
                }),
                ready: desired.state.associations.iter().filter(|a| is_ready(a.state)).count(),
                problem: self.problem.clone(),
            });
        }
        Ok(view)
    }

    /// Writes what is still to be written.
    fn close(mut self) {
        if self.device.is_some() {
            self.take_events();
        }
        let log = std::mem::replace(&mut self.flow_log, FlowLog::new(FlowLogConfig::default(), &[]));
        self.write_records(&log.finish().records);
        let board = self.device.as_mut().map(Device::transport_mut);
        let what_comes = if board.is_none_or(|board| board.outlives_us()) {
            "gave the device up; it goes on as programmed"
        } else {
            "gave the device up; it ends with this process"
        };
        tracing::info!(device = self.config.name, events = self.events, "{what_comes}");
    }
}

/// Loads a desired state that doesn't contradict itself.
fn load(source: &mut dyn DesiredSource) -> Result<Desired, String> {
    let desired = source.load()?;
    match desired.state.check() {
        Ok(()) => Ok(desired),
        Err(error) => Err(format!("{}: {error}", source.describe())),
    }
}

fn change_text(change: Change) -> &'static str {
    match change {
        Change::Added => "added",
        Change::Changed => "changed",
        Change::Removed => "removed",
    }
}

/// Whether an error means that the device is not there any more.
fn is_loss(error: &Error) -> bool {
    // Not those that mean the transport never could.
    let transport = |error: &TransportError| {
        !matches!(
            error,
            TransportError::Unsupported { .. } | TransportError::TooManyVectors { .. } | TransportError::Dma(_)
        )
    };
    match error {
        Error::Transport(error) | Error::Mailbox(MailboxError::Transport(error)) => transport(error),
        Error::NotSealNic { .. } | Error::Mailbox(MailboxError::Gone { .. }) => true,
        Error::Step { source, .. } => is_loss(source),
        _ => false,
    }
}

fn failure_of(error: &Error) -> Failure {
    let kind = match error.status() {
        Some(Status::NotFound) => FailureKind::NotFound,
        _ if is_loss(error) => FailureKind::Unreachable,
        _ => FailureKind::Device,
    };
    let mut message = error.to_string();
    let mut source = std::error::Error::source(error);
    // A transport's message names the register; what the system said stands in its source.
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !message.contains(&cause_text) {
            message = format!("{message}: {cause_text}");
        }
        source = cause.source();
    }
    Failure::new(kind, message)
}
