//! NICs as vfio-user devices: QEMU, a daemon or a test finds each at a Unix socket and drives it as it would a card.
//!
//! * [`function`]: what can be served, and the client's side of it
//! * [`nic`](mod@nic): a NIC's physical function
//! * `message`: the protocol's octets
//! * `connection`: a client's socket
//! * `memory`: a client's memory
//! * `session`: commands and answers
//! * `server`: one client after another
//! * `signal`: a client's events
//! * `wire`: the wire between the NICs, and their time
//!
//! The protocol's server is our own because the one of the `vfio_user` crate panics on a malformed first message, allocates what a
//! client says, loses its place after a short header, and can't be stopped; its client is what the tests use.

mod connection;
pub mod function;
mod memory;
mod message;
pub mod nic;
mod server;
mod session;
mod signal;
mod wire;

use crate::run::capture::{CaptureError, CaptureWriter};
use crate::scenario::Scenario;
use function::{ClientPort, NetworkFunction};
use rustix::event::{PollFd, PollFlags, poll};
use sealnic_driver::control::place::{Place, PlaceError};
use std::io::{self, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;
use std::time::Instant;
use wire::{Bell, Topology, Wire};

/// Why serving failed.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A socket can't be listened on.
    #[error(transparent)]
    Socket(#[from] PlaceError),
    /// No folder for a socket: one that was mistyped is not made.
    #[error("{0}: there is no such folder for a socket; make it, or choose another path")]
    NoFolder(PathBuf),
    /// The wire's capture can't be written.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The system failed.
    #[error("the system can't wait for clients any more: {0}")]
    System(#[from] io::Error),
    /// Part of the server panicked.
    #[error("a part of the server failed; this is a bug, please report it")]
    Wrong,
    /// Neither one NIC alone nor two back to back.
    #[error(
        "{0} sockets without a scenario: one NIC stands alone, two are wired back to back, for more give a scenario"
    )]
    TooMany(usize),
    /// A scenario's wire with another number of NICs.
    #[error("the scenario has {hosts} hosts, but {sockets} sockets are given")]
    Mismatch {
        /// Hosts of the scenario.
        hosts: usize,
        /// Sockets given.
        sockets: usize,
    },
}

/// One NIC to serve.
pub struct ServedNic<F> {
    /// Where clients find it.
    pub socket: PathBuf,
    /// The function, connected to `port`.
    pub function: F,
    /// Its way to the client.
    pub port: ClientPort,
}

/// NICs that listen; nothing happens before [`run`](Self::run).
pub struct Server<F> {
    nics: Vec<(Place, Mutex<F>, ClientPort)>,
    topology: Topology,
    capture: Option<CaptureWriter>,
}

impl<F: NetworkFunction> Server<F> {
    /// Listens at each NIC's socket. With a scenario there is one NIC for each of its hosts, in its order, on its wire.
    ///
    /// # Errors
    /// See [`ServeError`].
    pub fn bind(
        nics: Vec<ServedNic<F>>,
        scenario: Option<&Scenario>,
        capture: Option<&Path>,
    ) -> Result<Self, ServeError> {
        let topology = match (scenario, nics.len()) {
            (Some(scenario), sockets) if scenario.hosts.len() != sockets => {
                let hosts = scenario.hosts.len();
                return Err(ServeError::Mismatch { hosts, sockets });
            }
            (Some(scenario), _) => Topology::of(scenario),
            (None, 0 | 1) => Topology::Open,
            (None, 2) => Topology::BackToBack,
            (None, more) => return Err(ServeError::TooMany(more)),
        };
        let mut bound = Vec::new();
        for nic in nics {
            let folder = nic.socket.parent().filter(|folder| !folder.as_os_str().is_empty());
            if folder.is_some_and(|folder| !folder.is_dir()) {
                return Err(ServeError::NoFolder(nic.socket));
            }
            let place = Place::take(&nic.socket)?;
            place.listener.set_nonblocking(true)?;
            bound.push((place, Mutex::new(nic.function), nic.port));
        }
        let capture = capture.map(|path| CaptureWriter::create(path, "wire")).transpose()?;
        Ok(Self {
            nics: bound,
            topology,
            capture,
        })
    }

    /// Serves until `stop` is readable or closed, then puts everything away.
    ///
    /// # Errors
    /// See [`ServeError`].
    pub fn run(self, stop: BorrowedFd<'_>) -> Result<(), ServeError> {
        let Self {
            nics,
            topology,
            capture,
        } = self;
        let bell = Bell::default();
        // Readable once it is over, for whatever reason; nobody reads it, so that all see it.
        let (over, end) = UnixStream::pair()?;
        let wire = Wire {
            nics: nics.iter().map(|(_, function, _)| function).collect(),
            topology,
            capture,
            start: Instant::now(),
        };
        thread::scope(|scope| {
            let over = over.as_fd();
            let ends = || Ends { bell: &bell, end: &end };
            let (wire_ends, wire_bell) = (ends(), &bell);
            let wire = scope.spawn(move || {
                let _ends = wire_ends;
                wire.run(wire_bell)
            });
            let servers: Vec<_> = nics
                .iter()
                .map(|(place, function, port)| {
                    let ends = ends();
                    let bell = &bell;
                    scope.spawn(move || {
                        let _ends = ends;
                        server::serve(&place.listener, function, port, over, &|| bell.stir())
                    })
                })
                .collect();
            let waited = wait_for_either(stop, over);
            drop(ends());
            for server in servers {
                server.join().map_err(|_| ServeError::Wrong)??;
            }
            wire.join().map_err(|_| ServeError::Wrong)??;
            Ok(waited?)
        })
    }
}

/// Ends everything when one part ends, also by a panic: half a server is none.
struct Ends<'a> {
    bell: &'a Bell,
    end: &'a UnixStream,
}

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.bell.end();
        // Full means that it was said often enough.
        let _ = { self.end }.write_all(&[0]);
    }
}

fn wait_for_either(stop: BorrowedFd<'_>, over: BorrowedFd<'_>) -> io::Result<()> {
    let mut fds = [stop, over].map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
    loop {
        match poll(&mut fds, None) {
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
