//! A daemon in a folder of its own, and clients of it.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

pub(crate) const SCENARIO: &str = include_str!("../../../../examples/two-hosts.toml");
pub(crate) const RUN_ID: &str = "0123456789abcdef0123456789abcdef";

/// A folder that goes with its test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("sealnic-daemon-{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        std::fs::write(self.path(name), text).unwrap();
        self.text(name)
    }

    /// `sealnic` with sockets and state in this folder.
    pub(crate) fn sealnic(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sealnic"));
        command
            .args(args)
            .env("XDG_RUNTIME_DIR", &self.0)
            .env("XDG_STATE_HOME", self.path("state"))
            .env_remove("SEALNIC_SOCKET")
            .env_remove("RUST_LOG");
        command
    }

    /// Starts a daemon and waits until it is ready.
    pub(crate) fn daemon(&self, args: &[&str]) -> Daemon<'_> {
        self.try_daemon(args)
            .unwrap_or_else(|said| panic!("the daemon did not start: {said}"))
    }

    /// As [`Self::daemon`]; what it said when it did not start.
    pub(crate) fn try_daemon(&self, args: &[&str]) -> Result<Daemon<'_>, String> {
        self.try_daemon_with(args, &[])
    }

    /// As [`Self::try_daemon`], with variables in its environment.
    pub(crate) fn try_daemon_with(&self, args: &[&str], variables: &[(&str, &str)]) -> Result<Daemon<'_>, String> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let log = self.path(&format!("daemon-{}.log", NUMBER.fetch_add(1, Ordering::Relaxed)));
        let mut child = self
            .sealnic(&["daemon"])
            .args(args)
            .env("RUST_LOG", "trace")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        match line.trim_end().strip_prefix("ready at ") {
            Some(socket) => Ok(Daemon {
                folder: self,
                socket: socket.into(),
                log,
                child,
            }),
            None => {
                let status = child.wait().unwrap();
                Err(format!("{status}: {}", std::fs::read_to_string(log).unwrap()))
            }
        }
    }

    /// A daemon with the scenario of two hosts.
    pub(crate) fn scenario_daemon(&self, host: &str) -> Daemon<'_> {
        let scenario = self.write("scenario.toml", SCENARIO);
        self.daemon(&[
            "--device",
            "model",
            "--scenario",
            &scenario,
            "--host",
            host,
            "--run-id",
            RUN_ID,
        ])
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A daemon that dies with its test.
pub(crate) struct Daemon<'f> {
    folder: &'f Folder,
    pub(crate) socket: PathBuf,
    log: PathBuf,
    child: Child,
}

impl Daemon<'_> {
    /// All it has said so far.
    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end; its exit status.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < deadline, "the daemon goes on: {}", self.said());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A client's command.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.folder.sealnic(args);
        command.arg("--socket").arg(&self.socket);
        command
    }

    pub(crate) fn client(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// What a client prints that succeeds.
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let output = self.client(args);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {said}");
        assert_eq!(said, "", "{args:?}");
        text(&output.stdout).to_owned()
    }

    /// What a client says that fails.
    pub(crate) fn fails(&self, args: &[&str]) -> String {
        let output = self.client(args);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {}", text(&output.stdout));
        assert_eq!(text(&output.stdout), "", "{args:?}");
        text(&output.stderr).to_owned()
    }

    /// What a client prints as JSON.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let mut args = args.to_vec();
        args.push("--json");
        serde_json::from_str(&self.ok(&args)).unwrap()
    }

    /// A connection of our own.
    pub(crate) fn connect(&self) -> Connection {
        Connection::to(&self.socket)
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection that speaks the protocol by hand.
pub(crate) struct Connection {
    pub(crate) stream: UnixStream,
    reader: BufReader<UnixStream>,
}

impl Connection {
    pub(crate) fn to(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
        Self {
            reader: BufReader::new(stream.try_clone().unwrap()),
            stream,
        }
    }

    pub(crate) fn send(&mut self, octets: &[u8]) {
        self.stream.write_all(octets).unwrap();
    }

    /// The next line; `None` at the end.
    pub(crate) fn line(&mut self) -> Option<Value> {
        let mut line = String::new();
        match self.reader.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(serde_json::from_str(&line).unwrap()),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// Sends a line and returns the last line of its answer.
    pub(crate) fn ask(&mut self, line: &str) -> Value {
        self.send(line.as_bytes());
        self.send(b"\n");
        loop {
            let answer = self.line().expect("an answer");
            if answer.get("more").is_none() {
                return answer;
            }
        }
    }
}

pub(crate) fn text(octets: &[u8]) -> &str {
    std::str::from_utf8(octets).unwrap()
}

/// Waits until something holds.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
