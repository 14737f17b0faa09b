//! One function at one socket: a loop that serves one client at a time and is never kept waiting by any.

use super::connection::{Connection, Received};
use super::function::{ClientPort, ServedFunction};
use super::message::{HEADER_LEN, Header, Refusal};
use super::session::Session;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::os::fd::BorrowedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Messages that a client gets through before others are looked at.
const TURN: usize = 64;
/// How long a client that can't be served may take to say hello and be told so; and how many such there are at a time.
const FAREWELL: Duration = Duration::from_secs(1);
const GUESTS: usize = 8;
/// Time without a look at new clients after the system had no descriptor left for one.
const RECOVERY: Duration = Duration::from_millis(50);

/// Serves `function` at `listener`, which doesn't block, until `stop` is readable or closed. `stir` is called after each access that may have changed something
/// for others.
///
/// # Errors
/// The system can't wait for sockets any more.
pub(crate) fn serve<F: ServedFunction>(
    listener: &UnixListener,
    function: &Mutex<F>,
    port: &ClientPort,
    stop: BorrowedFd<'_>,
    stir: &dyn Fn(),
) -> io::Result<()> {
    let mut client: Option<(Connection, Session<'_, F>)> = None;
    let mut guests: VecDeque<Guest> = VecDeque::new();
    let mut looks_from = None;
    // A client may have sent more than one turn's messages: then there is no waiting.
    let mut goes_on = false;
    loop {
        let deadline = client.as_ref().and_then(|(connection, _)| connection.deadline());
        let guests_until = guests.front().map(|guest| guest.until);
        let now = Instant::now();
        looks_from = looks_from.filter(|from| now < *from);
        let until = [deadline, guests_until, looks_from, goes_on.then_some(now)];
        let mut fds = vec![
            PollFd::from_borrowed_fd(stop, PollFlags::IN),
            PollFd::new(
                listener,
                if looks_from.is_none() {
                    PollFlags::IN
                } else {
                    PollFlags::empty()
                },
            ),
        ];
        fds.extend(guests.iter().map(|guest| PollFd::new(&guest.stream, PollFlags::IN)));
        fds.extend(
            client
                .iter()
                .map(|(connection, _)| PollFd::new(connection, PollFlags::IN)),
        );
        wait(&mut fds, until.into_iter().flatten().min())?;
        let is_ready = |fd: Option<&PollFd<'_>>| fd.is_some_and(|fd| !fd.revents().is_empty());
        let calls = is_ready(fds.get(1));
        let client_is_ready = client.is_some() && (goes_on || is_ready(fds.last()));
        if is_ready(fds.first()) {
            break;
        }
        goes_on = false;
        // The client comes first: when it is gone, the next may have its place at once.
        if let Some((connection, session)) = client.as_mut() {
            let fate = if client_is_ready {
                turn(connection, session, stir)
            } else {
                Fate::Waits
            };
            let is_late = connection.deadline().is_some_and(|deadline| deadline <= Instant::now());
            match fate {
                Fate::Waits if is_late => {
                    log::warn!("a client did not finish a message: the connection is closed");
                    client = None;
                    detach(function, port);
                }
                Fate::Waits => {}
                Fate::HasMore => goes_on = true,
                Fate::Ended => {
                    client = None;
                    detach(function, port);
                    stir();
                }
            }
        }
        guests.retain(Guest::stays);
        if calls {
            match listener.accept() {
                Ok((stream, _)) if client.is_some() => {
                    log::warn!("a second client is turned away: the device has one");
                    if guests.len() == GUESTS {
                        guests.pop_front();
                    }
                    guests.extend(Guest::new(stream));
                }
                Ok((stream, _)) => match Connection::new(stream) {
                    Ok(connection) => client = Some((connection, Session::new(function, port))),
                    Err(error) => log::warn!("a client's socket can't be used: {error}"),
                },
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Err(error) => {
                    log::warn!("no client can be taken for now: {error}");
                    looks_from = Some(Instant::now() + RECOVERY);
                }
            }
        }
    }
    drop(client);
    detach(function, port);
    Ok(())
}

/// Waits for any of the descriptors, at most until `until`.
fn wait(fds: &mut [PollFd<'_>], until: Option<Instant>) -> io::Result<()> {
    let left = until.map(|until| until.saturating_duration_since(Instant::now()));
    let timeout = left.map(|left| Timespec {
        tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: left.subsec_nanos().into(),
    });
    match poll(fds, timeout.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// What a client's turn left.
enum Fate {
    Waits,
    HasMore,
    Ended,
}

fn turn<F: ServedFunction>(connection: &mut Connection, session: &mut Session<'_, F>, stir: &dyn Fn()) -> Fate {
    for _ in 0..TURN {
        match connection.receive() {
            Received::Message(message) => {
                let answer = session.handle(message);
                if let Some(reply) = answer.reply
                    && let Err(error) = connection.send(&reply)
                {
                    log::warn!("a client doesn't take its answers: {error}; the connection is closed");
                    return Fate::Ended;
                }
                if answer.stirred {
                    stir();
                }
            }
            Received::Nothing => return Fate::Waits,
            Received::Closed => return Fate::Ended,
            Received::Lost(header, why) => {
                log::warn!("{why}: the connection is closed");
                if let Some(header) = header.filter(Header::is_command) {
                    let _ = connection.send(&header.refuse(Refusal::Invalid));
                }
                return Fate::Ended;
            }
        }
    }
    Fate::HasMore
}

/// A client that came while another has the device: it is told so when it says hello. Nobody waits for that.
struct Guest {
    stream: UnixStream,
    until: Instant,
}

impl Guest {
    fn new(stream: UnixStream) -> Option<Self> {
        stream.set_nonblocking(true).ok()?;
        let until = Instant::now() + FAREWELL;
        Some(Self { stream, until })
    }

    /// Whether there is still something to come; a guest that doesn't stay sees the end of its connection.
    fn stays(&self) -> bool {
        let mut header = [0; HEADER_LEN];
        match (&self.stream).read(&mut header) {
            Ok(HEADER_LEN) => {
                // What has no room is this client's loss.
                let _ = (&self.stream).write(&Header::parse(&header).refuse(Refusal::Busy));
                false
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Instant::now() < self.until,
            // The end, or a hello that comes in pieces.
            Ok(_) | Err(_) => false,
        }
    }
}

/// The client is gone: its memory and its interrupts with it, at once. What it made the device do goes on.
fn detach<F: ServedFunction>(function: &Mutex<F>, port: &ClientPort) {
    let mut function = function.lock().unwrap_or_else(PoisonError::into_inner);
    function.detach();
    port.lock().clear();
}
