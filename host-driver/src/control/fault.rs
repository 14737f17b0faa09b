//! Test only: ends the process at a named point of its work, at once and without a word to anybody, as a power cut would.
//!
//! The point stands in the environment variable `SEALNIC_FAULT_POINT`:
//!
//! * `before:COMMAND:N`, `after:COMMAND:N`: before the device is given that command for the N-th time, or after it has answered
//! * `half:COMMAND:N`: with the command half written
//! * `rung:COMMAND:N`: after the doorbell, with the answer unread
//! * `at:NAME:N`: where the daemon's code says [`here`]

use super::board::Board;
use crate::clock::Clock;
use crate::dma::DmaBuffer;
use crate::transport::{Capabilities, Fired, Transport, TransportError};
use rustix::process::{Signal, getpid, kill_process};
use sealnic_abi::mailbox::Opcode;
use sealnic_abi::registers::{Register, Window};
use std::collections::HashMap;
use std::io::Write;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

/// Environment variable that names the point.
pub const VARIABLE: &str = "SEALNIC_FAULT_POINT";

static STATE: LazyLock<Mutex<State>> = LazyLock::new(|| {
    Mutex::new(State {
        plan: std::env::var(VARIABLE).unwrap_or_default(),
        counts: HashMap::new(),
        command: String::new(),
        writes: 0,
    })
});

struct State {
    plan: String,
    /// How often each point was passed.
    counts: HashMap<String, u32>,
    /// The command that the device is being given, with its number.
    command: String,
    /// Register writes since it began.
    writes: u32,
}

/// Writes after which a command stands half in the mailbox's window: the cause is cleared, and part of the header written.
const HALF: u32 = 4;

impl State {
    fn pass(&self, point: &str) {
        if point != self.plan {
            return;
        }
        let _ = writeln!(std::io::stderr(), "fault point {point}");
        let _ = kill_process(getpid(), Signal::KILL);
        loop {
            std::thread::park();
        }
    }

    fn count(&mut self, name: &str) -> u32 {
        let count = self.counts.entry(name.to_owned()).or_default();
        *count += 1;
        *count
    }
}

fn with(act: impl FnOnce(&mut State)) {
    act(&mut STATE.lock().unwrap_or_else(PoisonError::into_inner));
}

/// A point of the daemon's own.
pub fn here(name: &str) {
    with(|state| {
        let number = state.count(name);
        state.pass(&format!("at:{name}:{number}"));
    });
}

/// The device is about to be given a command.
pub(crate) fn before(command: Opcode) {
    with(|state| {
        let number = state.count(command.name());
        state.command = format!("{}:{number}", command.name());
        state.writes = 0;
        state.pass(&format!("before:{}", state.command));
    });
}

/// The device has answered it.
pub(crate) fn after() {
    with(|state| {
        state.pass(&format!("after:{}", state.command));
        state.command.clear();
    });
}

/// Passes everything on, and counts what a command writes.
pub struct FaultBoard(pub Box<dyn Board>);

impl Board for FaultBoard {
    fn tick(&mut self, now: Duration) -> Option<Duration> {
        self.0.tick(now)
    }

    fn polled<'b>(&'b self, polled: &mut Vec<rustix::event::PollFd<'b>>) {
        self.0.polled(polled);
    }

    fn outlives_us(&self) -> bool {
        self.0.outlives_us()
    }
}

impl Transport for FaultBoard {
    fn read32(&mut self, offset: u32) -> Result<u32, TransportError> {
        self.0.read32(offset)
    }

    fn write32(&mut self, offset: u32, value: u32) -> Result<(), TransportError> {
        self.0.write32(offset, value)?;
        with(|state| {
            if state.command.is_empty() {
                return;
            }
            state.writes += 1;
            let window = Window::MailboxRequest.offset()..Window::MailboxRequest.offset() + 4096;
            if window.contains(&offset) && state.writes == HALF {
                state.pass(&format!("half:{}", state.command));
            }
            // What else is written clears the cause of an earlier answer, or is a doorbell.
            if !window.contains(&offset) && offset != Register::IrqCause.offset() {
                // It may be posted; a read comes after it.
                let _ = self.0.read32(0);
                state.pass(&format!("rung:{}", state.command));
            }
        });
        Ok(())
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    fn dma_alloc(&mut self, len: usize) -> Result<DmaBuffer, TransportError> {
        self.0.dma_alloc(len)
    }

    fn enable_interrupts(&mut self, vectors: u16) -> Result<(), TransportError> {
        self.0.enable_interrupts(vectors)
    }

    fn wait(&mut self, at_most: Duration, clock: &mut dyn Clock) -> Result<Fired, TransportError> {
        self.0.wait(at_most, clock)
    }

    fn reset(&mut self) -> Result<(), TransportError> {
        self.0.reset()
    }

    fn set_bus_master(&mut self, allowed: bool) -> Result<(), TransportError> {
        self.0.set_bus_master(allowed)
    }
}
