//! A client of the daemon's socket.

use super::line::{LineError, LineReader, Patience, write_line};
use super::place::{PlaceError, runtime_folder, sockets_in};
use super::protocol::{Answer, Body, Failure, MAX_ANSWER_LEN, PROTOCOL_VERSION, Request};
use crate::unix_socket;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;
use zeroize::Zeroizing;

/// Name of the socket when nobody names one.
pub const DEFAULT_SOCKET: &str = "default.sock";

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// There is no daemon.
    #[error("no daemon answers at {}: {source}; start one (sealnic daemon --device model), or name its socket (--socket){}", path.display(), others_text(.others))]
    NoDaemon {
        /// Where one was looked for.
        path: PathBuf,
        /// Cause.
        source: io::Error,
        /// Sockets of other daemons.
        others: Vec<PathBuf>,
    },
    /// There is no place to look for a socket.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The daemon refused or failed.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// The connection broke.
    #[error("the connection to the daemon broke: {0}; look at what the daemon says, and try again")]
    Broken(String),
    /// The answer can't be read.
    #[error("the daemon's answer can't be read: {0}; use the same version of both")]
    Strange(String),
    /// Whoever takes the parts of an answer can't.
    #[error(transparent)]
    Taker(#[from] io::Error),
}

fn others_text(others: &[PathBuf]) -> String {
    if others.is_empty() {
        return String::new();
    }
    let names: Vec<String> = others.iter().map(|path| path.display().to_string()).collect();
    format!("; there are {}", names.join(", "))
}

/// A connection to a daemon.
pub struct Client {
    stream: UnixStream,
    reader: LineReader,
    next_id: u64,
}

/// How long a client waits: a reset or a reload of a large scenario takes its time, and followers wait for events.
const PATIENCE: Patience = Patience {
    idle: Duration::from_secs(120),
    line: Duration::from_secs(30),
    write: Duration::from_secs(30),
};
/// Followers look again after so long; the daemon may have nothing to say for as long as it likes.
const FOLLOWING: Patience = Patience {
    idle: Duration::from_secs(7 * 24 * 3600),
    ..PATIENCE
};

impl Client {
    /// Connects to the daemon at a path; without one, to the default socket, or to the only other one there is.
    ///
    /// # Errors
    /// No daemon answers.
    pub fn connect(path: Option<&Path>) -> Result<Self, ClientError> {
        let (path, others) = match path {
            Some(path) => (path.to_owned(), Vec::new()),
            None => {
                let folder = runtime_folder()?;
                let default = folder.join(DEFAULT_SOCKET);
                let others: Vec<PathBuf> = sockets_in(&folder)
                    .into_iter()
                    .filter(|path| *path != default)
                    .collect();
                match others.as_slice() {
                    [only] if !default.exists() => (only.clone(), Vec::new()),
                    _ => (default, others),
                }
            }
        };
        let stream = unix_socket::connect(&path, PATIENCE.write).map_err(|source| ClientError::NoDaemon {
            path,
            source,
            others,
        })?;
        let broken = |error: io::Error| ClientError::Broken(error.to_string());
        Ok(Self {
            reader: LineReader::new(stream.try_clone().map_err(broken)?, MAX_ANSWER_LEN),
            stream,
            next_id: 1,
        })
    }

    /// Has the daemon do something. `part` takes the parts of the answer as they come.
    ///
    /// # Errors
    /// The daemon refused or failed, the connection broke, or `part` failed.
    pub fn request(
        &mut self,
        op: &str,
        args: Option<&RawValue>,
        follow: bool,
        mut part: impl FnMut(Value) -> io::Result<()>,
    ) -> Result<Value, ClientError> {
        let id = self.next_id;
        self.next_id += 1;
        let request = Request {
            v: PROTOCOL_VERSION,
            id,
            op,
            args,
        };
        // It may carry keys: room for all of it at once, so that no smaller buffer is left behind, and wiped in the end.
        let len = args.map_or(0, |args| args.get().len()) + op.len() + 128;
        let mut line = Zeroizing::new(Vec::with_capacity(len));
        serde_json::to_writer(&mut *line, &request).map_err(|error| ClientError::Strange(error.to_string()))?;
        line.push(b'\n');
        // A daemon that turned us away has said why and does not read: its word counts, not that it hung up.
        let written = write_line(&self.stream, &line, &PATIENCE);
        let patience = if follow { FOLLOWING } else { PATIENCE };
        loop {
            let next = match self.reader.next(&patience) {
                Ok(Some(next)) => next,
                Ok(None) => {
                    let why = written
                        .err()
                        .map_or_else(|| "it was closed".to_owned(), |error| error.to_string());
                    return Err(ClientError::Broken(why));
                }
                Err(LineError::TooLong(len)) => {
                    return Err(ClientError::Strange(format!("a line is longer than {len} octets")));
                }
                Err(error) => return Err(ClientError::Broken(error.to_string())),
            };
            let answer: Answer =
                serde_json::from_slice(next).map_err(|error| ClientError::Strange(error.to_string()))?;
            match answer.body {
                // Whatever it was about, the daemon gave up on us.
                Body::Error(failure) => return Err(failure.into()),
                _ if answer.id != id => {
                    return Err(ClientError::Strange(format!(
                        "it answers request {}, not {id}",
                        answer.id
                    )));
                }
                Body::More(value) => part(value)?,
                Body::Ok(value) => return Ok(value),
            }
        }
    }

    /// As [`Client::request`], for an operation whose answer has no parts.
    ///
    /// # Errors
    /// As [`Client::request`]; or the answer is not of the expected kind.
    pub fn call<A: DeserializeOwned>(&mut self, op: &str, args: &impl Serialize) -> Result<A, ClientError> {
        let args = raw(args)?;
        let value = self.request(op, Some(&args), false, |_| Ok(()))?;
        serde_json::from_value(value).map_err(|error| ClientError::Strange(error.to_string()))
    }

    /// As [`Client::request`], for an operation that lists.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn list<V: DeserializeOwned>(&mut self, op: &str) -> Result<Vec<V>, ClientError> {
        let mut all = Vec::new();
        self.request(op, None, false, |part| {
            all.extend(serde_json::from_value::<Vec<V>>(part)?);
            Ok(())
        })?;
        Ok(all)
    }
}

fn raw(args: &impl Serialize) -> Result<Box<RawValue>, ClientError> {
    serde_json::value::to_raw_value(args).map_err(|error| ClientError::Strange(error.to_string()))
}
