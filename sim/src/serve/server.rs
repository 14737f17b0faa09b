//! One function at one socket: a loop that serves one client at a time and is never kept waiting by any.

use super::connection::{Connection, PATIENCE, Received};
use super::function::{ClientPort, ServedFunction};
use super::message::{HEADER_LEN, Header, Refusal};
use super::session::Session;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Messages that a client gets through before others are looked at.
const TURN: usize = 64;
/// How long a client that can't be served may take to say hello and be told so.
const FAREWELL: Duration = Duration::from_millis(50);
/// Wait after the system had no descriptor left for a client.
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
    // A client may have sent more than one turn's messages: then there is no waiting.
    let mut goes_on = false;
    loop {
        let deadline = client.as_ref().and_then(|(connection, _)| connection.deadline());
        let ready = wait(
            listener,
            client.as_ref().map(|(connection, _)| connection),
            stop,
            deadline,
            goes_on,
        )?;
        if ready.stop {
            break;
        }
        goes_on = false;
        // The client comes first: when it is gone, the next may have its place at once.
        if let Some((connection, session)) = client.as_mut() {
            let fate = if ready.client {
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
        if ready.listener {
            match listener.accept() {
                Ok((stream, _)) if client.is_some() => turn_away(&stream),
                Ok((stream, _)) => match Connection::new(stream) {
                    Ok(connection) => client = Some((connection, Session::new(function, port))),
                    Err(error) => log::warn!("a client's socket can't be used: {error}"),
                },
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Err(error) => {
                    log::warn!("no client can be taken for now: {error}");
                    std::thread::sleep(RECOVERY);
                }
            }
        }
    }
    drop(client);
    detach(function, port);
    Ok(())
}

/// What is worth a look.
struct Ready {
    stop: bool,
    client: bool,
    listener: bool,
}

fn wait(
    listener: &UnixListener,
    client: Option<&Connection>,
    stop: BorrowedFd<'_>,
    deadline: Option<Instant>,
    at_once: bool,
) -> io::Result<Ready> {
    let mut fds = vec![
        PollFd::from_borrowed_fd(stop, PollFlags::IN),
        PollFd::new(listener, PollFlags::IN),
    ];
    fds.extend(client.map(|client| PollFd::new(client, PollFlags::IN)));
    let left = if at_once {
        Some(Duration::ZERO)
    } else {
        deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    };
    let timeout = left.map(|left| Timespec {
        tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: left.subsec_nanos().into(),
    });
    match poll(&mut fds, timeout.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    let is_ready = |index: usize| fds.get(index).is_some_and(|fd| !fd.revents().is_empty());
    Ok(Ready {
        stop: is_ready(0),
        listener: is_ready(1),
        client: is_ready(2) || (at_once && client.is_some()),
    })
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

/// Tells a client that another has the device.
fn turn_away(stream: &UnixStream) {
    log::warn!("a second client was turned away: the device has one");
    let polite = || -> io::Result<()> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(FAREWELL))?;
        stream.set_write_timeout(Some(FAREWELL))?;
        let mut header = [0; HEADER_LEN];
        io::Read::read_exact(&mut { stream }, &mut header)?;
        io::Write::write_all(&mut { stream }, &Header::parse(&header).refuse(Refusal::Busy))
    };
    // A client that says nothing is not waited for, and gets to see the end of the connection.
    let _ = polite();
}

/// The client is gone: its memory and its interrupts with it, at once. What it made the device do goes on.
fn detach<F: ServedFunction>(function: &Mutex<F>, port: &ClientPort) {
    let mut function = function.lock().unwrap_or_else(PoisonError::into_inner);
    function.detach();
    port.lock().clear();
}

const _: () = assert!(FAREWELL.as_millis() < PATIENCE.as_millis());
