//! The devices outside the guest: `sealnic serve` as a process of its own.

use crate::shell::{command, succeeds};
use anyhow::{Context as _, Result, bail};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to put everything away.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// A running server; it ends with its owner.
pub(crate) struct Nics {
    server: Child,
    name: &'static str,
    sockets: Vec<PathBuf>,
    folder: PathBuf,
}

impl Nics {
    /// Starts a server with `arguments`, the last of which is followed by a socket or a folder for some, and waits until it
    /// serves.
    pub(crate) fn serve(
        sealnic: &Path,
        folder: &Path,
        name: &'static str,
        arguments: &[&str],
        capture: Option<&Path>,
    ) -> Result<Self> {
        // A short path: sockets have a limit that a workspace deep down would reach.
        let own = std::env::temp_dir().join(format!("sealnic-cosim-{}-{name}", std::process::id()));
        fs::create_dir_all(&own)?;
        let place = if arguments.last() == Some(&"--socket") {
            own.join("nic.sock")
        } else {
            own.clone()
        };
        let mut serve = command(sealnic);
        serve.args(["serve", "--json"]).args(arguments).arg(place);
        if let Some(capture) = capture {
            serve.arg("--capture").arg(capture);
        }
        let log = fs::File::create(folder.join(format!("serve-{name}.log")))?;
        let server = serve
            .env("RUST_LOG", "info")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", sealnic.display()))?;
        let mut nics = Self {
            server,
            name,
            sockets: Vec::new(),
            folder: own,
        };
        let mut line = String::new();
        if let Some(out) = nics.server.stdout.take() {
            BufReader::new(out).read_line(&mut line)?;
        }
        let said: serde_json::Value = serde_json::from_str(&line).with_context(|| {
            format!(
                "`sealnic serve` does not serve; see serve-{name}.log in {}",
                folder.display()
            )
        })?;
        let sockets = said.get("sockets").and_then(|sockets| sockets.as_array());
        nics.sockets = sockets
            .into_iter()
            .flatten()
            .filter_map(|socket| socket.as_str().map(PathBuf::from))
            .collect();
        Ok(nics)
    }

    pub(crate) fn sockets(&self) -> &[PathBuf] {
        &self.sockets
    }

    /// Has the server put everything away, as an operator would, and fails when it doesn't do so cleanly.
    pub(crate) fn stop(mut self) -> Result<()> {
        if !succeeds(Command::new("kill").args(["-TERM", &self.server.id().to_string()])) {
            bail!("the server of NICs `{}` ended before its time", self.name);
        }
        let deadline = Instant::now() + STOP_LIMIT;
        loop {
            match self.server.try_wait()? {
                Some(status) if status.success() => break,
                Some(status) => bail!("the server of NICs `{}` failed: {status}", self.name),
                None if Instant::now() >= deadline => bail!("the server of NICs `{}` does not stop", self.name),
                None => std::thread::sleep(Duration::from_millis(10)),
            }
        }
        if let Some(left) = self.sockets.iter().find(|socket| socket.exists()) {
            bail!("the server of NICs `{}` left {} behind", self.name, left.display());
        }
        Ok(())
    }
}

impl Drop for Nics {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
