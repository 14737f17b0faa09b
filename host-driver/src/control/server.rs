//! The daemon's socket. Every client has a thread of its own, with deadlines for all it has to do.

use super::line::{LineReader, Patience, write_line};
use super::ops::{Ended, Sink, execute};
use super::owner::OwnerHandle;
use super::place::{Place, PlaceError};
use super::protocol::{Answer, Body, Failure, FailureKind, MAX_REQUEST_LEN, Op, PROTOCOL_VERSION, Request};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Deserialize;
use serde_json::Value;
use std::collections::HashMap;
use std::io;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// What a server is made with.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Path of the socket.
    pub socket: PathBuf,
    /// Greatest number of clients at a time.
    pub max_clients: usize,
    /// How long to wait for a client.
    pub patience: Patience,
}

impl ServerConfig {
    /// The usual limits.
    #[must_use]
    pub const fn new(socket: PathBuf) -> Self {
        Self {
            socket,
            max_clients: 128,
            patience: Patience {
                idle: Duration::from_secs(60),
                line: Duration::from_secs(10),
                write: Duration::from_secs(10),
            },
        }
    }
}

/// How often the listening thread looks whether it shall stop.
const LOOK: Duration = Duration::from_millis(100);
/// A client needs little: its buffers are on the heap.
const STACK_LEN: usize = 512 * 1024;

/// Clients now connected, so that they can be hung up on.
type Clients = Arc<Mutex<HashMap<u64, UnixStream>>>;

/// A server that answers.
pub struct Server {
    place: Arc<Place>,
    stop: Arc<AtomicBool>,
    clients: Clients,
    thread: JoinHandle<()>,
}

/// Why a server can't begin.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The socket can't be had.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// There is no thread for it.
    #[error("the socket's thread can't be started: {0}; check the limits of this account")]
    Thread(#[source] io::Error),
}

impl Server {
    /// Begins to answer at a place.
    ///
    /// # Errors
    /// There is no thread for it.
    pub fn start(place: Place, config: ServerConfig, owner: OwnerHandle) -> Result<Self, ServerError> {
        place.listener.set_nonblocking(true).map_err(ServerError::Thread)?;
        let place = Arc::new(place);
        let stop = Arc::new(AtomicBool::new(false));
        let clients = Clients::default();
        let listening = Listening {
            place: Arc::clone(&place),
            stop: Arc::clone(&stop),
            clients: Arc::clone(&clients),
            config: Arc::new(config),
            owner,
            next: 0,
        };
        let thread = std::thread::Builder::new()
            .name("socket".to_owned())
            .spawn(move || listening.work())
            .map_err(ServerError::Thread)?;
        Ok(Self {
            place,
            stop,
            clients,
            thread,
        })
    }

    /// Stops: hangs up on every client, and gives the socket back.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Release);
        for stream in lock(&self.clients).values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        let _ = self.thread.join();
        drop(self.place);
    }
}

fn lock(clients: &Clients) -> std::sync::MutexGuard<'_, HashMap<u64, UnixStream>> {
    clients.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The listening thread.
struct Listening {
    place: Arc<Place>,
    stop: Arc<AtomicBool>,
    clients: Clients,
    config: Arc<ServerConfig>,
    owner: OwnerHandle,
    next: u64,
}

impl Listening {
    fn work(mut self) {
        let look = Timespec::try_from(LOOK).ok();
        while !self.stop.load(Ordering::Acquire) {
            let mut waiting = [PollFd::new(&self.place.listener, PollFlags::IN)];
            match poll(&mut waiting, look.as_ref()) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => self.accept(),
                Err(error) => {
                    tracing::error!(%error, "waiting for clients failed");
                    std::thread::sleep(LOOK);
                }
            }
        }
    }

    fn accept(&mut self) {
        match self.place.listener.accept() {
            Ok((stream, _)) => {
                if let Err(error) = self.admit(stream) {
                    tracing::warn!(%error, "a client could not be served");
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => {
                // Too many open files, say: give them time to be closed.
                tracing::warn!(%error, "a client could not be accepted");
                std::thread::sleep(LOOK);
            }
        }
    }

    fn admit(&mut self, stream: UnixStream) -> io::Result<()> {
        stream.set_nonblocking(false)?;
        let peer = rustix::net::sockopt::socket_peercred(&stream)?;
        if !peer.uid.is_root() && peer.uid != rustix::process::geteuid() {
            tracing::warn!(uid = peer.uid.as_raw(), "a client of another account was turned away");
            return Ok(());
        }
        if lock(&self.clients).len() >= self.config.max_clients {
            // Said without waiting: the line fits any socket's buffer.
            let patience = Patience {
                write: LOOK,
                ..self.config.patience
            };
            let message = format!(
                "the daemon has {} clients already; try again later",
                self.config.max_clients
            );
            let busy = Body::Error(Failure::new(FailureKind::Busy, message));
            return answer(&stream, 0, busy, &patience);
        }
        let number = self.next;
        self.next += 1;
        lock(&self.clients).insert(number, stream.try_clone()?);
        let (clients, config, owner) = (Arc::clone(&self.clients), Arc::clone(&self.config), self.owner.clone());
        let spawned = std::thread::Builder::new()
            .name(format!("client-{number}"))
            .stack_size(STACK_LEN)
            .spawn(move || {
                let _leaving = Leaving { clients, number };
                if let Err(error) = converse(&stream, &config.patience, &owner) {
                    tracing::debug!(client = number, %error, "a client was lost");
                }
            });
        if spawned.is_err() {
            lock(&self.clients).remove(&number);
        }
        spawned.map(|_| ())
    }
}

/// Strikes a client off the list, also when its thread panics.
struct Leaving {
    clients: Clients,
    number: u64,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        lock(&self.clients).remove(&self.number);
    }
}

/// Answers one client until it goes.
fn converse(stream: &UnixStream, patience: &Patience, owner: &OwnerHandle) -> io::Result<()> {
    let mut reader = LineReader::new(stream.try_clone()?, MAX_REQUEST_LEN);
    loop {
        let (id, parsed) = match reader.next(patience) {
            Ok(None) => return Ok(()),
            Ok(Some(line)) => parse(line),
            Err(error) => {
                // Where it is still listening it may know why.
                let failure = Failure::bad(format!("{error}; the connection is closed"));
                return answer(stream, 0, Body::Error(failure), patience);
            }
        };
        let result = parsed.map_err(Ended::Failed).and_then(|op| {
            let mut parts = Parts { stream, id, patience };
            execute(op, owner, &mut parts)
        });
        let body = match result {
            Ok(value) => Body::Ok(value),
            Err(Ended::Failed(failure)) => Body::Error(failure),
            Err(Ended::Gone(error)) => return Err(error),
        };
        answer(stream, id, body, patience)?;
    }
}

fn parse(line: &[u8]) -> (u64, Result<Op, Failure>) {
    /// What every version has.
    #[derive(Deserialize)]
    struct Header {
        v: u32,
        #[serde(default)]
        id: u64,
    }
    let unreadable = |error: serde_json::Error| Failure::bad(format!("the line is no request: {error}"));
    let header: Header = match serde_json::from_slice(line) {
        Ok(header) => header,
        Err(error) => return (0, Err(unreadable(error))),
    };
    let op = if header.v == PROTOCOL_VERSION {
        let request = serde_json::from_slice::<Request<'_>>(line).map_err(unreadable);
        request.and_then(|request| Op::parse(request.op, request.args))
    } else {
        Err(Failure::new(
            FailureKind::Version,
            format!(
                "the client speaks version {} of the protocol, this daemon {PROTOCOL_VERSION}; use the same version of both",
                header.v
            ),
        ))
    };
    (header.id, op)
}

fn answer(stream: &UnixStream, id: u64, body: Body, patience: &Patience) -> io::Result<()> {
    let mut line = serde_json::to_vec(&Answer { id, body })?;
    line.push(b'\n');
    write_line(stream, &line, patience)
}

/// The parts of one answer.
struct Parts<'s> {
    stream: &'s UnixStream,
    id: u64,
    patience: &'s Patience,
}

impl Sink for Parts<'_> {
    fn more(&mut self, part: Value) -> io::Result<()> {
        answer(self.stream, self.id, Body::More(part), self.patience)
    }

    fn is_gone(&self) -> bool {
        let mut state = [PollFd::new(self.stream, PollFlags::empty())];
        let now = Timespec::default();
        let gone = PollFlags::HUP | PollFlags::ERR;
        matches!(poll(&mut state, Some(&now)), Ok(1)) && state[0].revents().intersects(gone)
    }
}
