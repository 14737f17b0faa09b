//! The guest: its initial RAM file system, and one boot of it with a NIC behind each socket.

use super::machine::Machine;
use crate::shell::root;
use anyhow::{Context as _, Result, bail};
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// What the first process says last.
const EXIT_LINE: &str = "cosim: guest exit ";
/// Memory of the guest in MiB.
const MEMORY_MIB: u32 = 512;
/// QEMU waits this long for an answer of a device; its default of 5 s kills the connection when a debugger stops the device.
const ANSWER_LIMIT_MS: u32 = 60_000;

/// Writes the initial RAM file system: busybox, the modules, the first process, and `more` under names of theirs.
pub(crate) fn write_initrd(machine: &Machine, more: &[(&Path, &str)], folder: &Path) -> Result<PathBuf> {
    let tree = folder.join("initrd");
    let _ = fs::remove_dir_all(&tree);
    for name in ["bin", "modules"] {
        fs::create_dir_all(tree.join(name))?;
    }
    let mut files = vec![
        (machine.busybox(), "bin/busybox".to_owned()),
        (root().join("sim/qemu/init"), "init".to_owned()),
    ];
    files.extend(
        more.iter()
            .map(|(source, name)| ((*source).to_owned(), (*name).to_owned())),
    );
    let mut order = String::new();
    for module in machine.modules() {
        let name = module.file_name().unwrap_or_default().to_string_lossy().into_owned();
        order.push_str(&name);
        order.push('\n');
        files.push((module, format!("modules/{name}")));
    }
    let mut names = vec!["bin".to_owned(), "modules".to_owned(), "modules/order".to_owned()];
    fs::write(tree.join("modules/order"), order)?;
    for (source, name) in files {
        fs::copy(&source, tree.join(&name)).with_context(|| format!("cannot copy {}", source.display()))?;
        names.push(name);
    }
    let initrd = folder.join("initrd.cpio");
    let mut archive = Command::new(machine.busybox())
        .args(["cpio", "-o", "-H", "newc", "-R", "0:0"])
        .current_dir(&tree)
        .stdin(Stdio::piped())
        .stdout(File::create(&initrd)?)
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start busybox")?;
    // Taken, so that the archive ends when the names do.
    if let Some(mut list) = archive.stdin.take() {
        list.write_all((names.join("\n") + "\n").as_bytes())?;
    }
    if !archive.wait()?.success() {
        bail!("the initial RAM file system can't be packed");
    }
    Ok(initrd)
}

/// One boot.
pub(crate) struct Boot<'a> {
    pub(crate) machine: &'a Machine,
    pub(crate) initrd: &'a Path,
    /// A vfio-user server listens on each.
    pub(crate) sockets: &'a [PathBuf],
    /// Where the serial console is written.
    pub(crate) log: &'a Path,
    /// The machine is stopped after this time.
    pub(crate) limit: Duration,
    /// `tcg` or `kvm`.
    pub(crate) accelerator: &'a str,
}

/// What the guest said.
pub(crate) struct Report {
    pub(crate) lines: Vec<String>,
    /// Time from QEMU's start to its end.
    pub(crate) elapsed: Duration,
}

impl Report {
    /// Results of one kind, without the word itself.
    pub(crate) fn results<'a>(&'a self, word: &'a str) -> impl Iterator<Item = &'a str> {
        self.lines
            .iter()
            .filter_map(move |line| line.strip_prefix(word)?.strip_prefix(' '))
    }
}

/// A started QEMU: it ends with its owner, whatever happens.
struct Emulator(Child);

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Boot<'_> {
    /// Boots, shows what the guest says, and waits for its end.
    pub(crate) fn run(&self) -> Result<Report> {
        let start = Instant::now();
        let deadline = start + self.limit;
        let mut emulator = Emulator(self.qemu().spawn().context("cannot start QEMU")?);
        let console = emulator.0.stdout.take().context("QEMU has no serial console")?;
        let (sender, lines) = mpsc::channel();
        // It ends with QEMU, which closes the pipe.
        std::thread::spawn(move || {
            for line in BufReader::new(console).split(b'\n').map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut log = File::create(self.log).with_context(|| format!("cannot write {}", self.log.display()))?;
        let mut report = Report {
            lines: Vec::new(),
            elapsed: Duration::ZERO,
        };
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match lines.recv_timeout(left) {
                Ok(line) => {
                    let line = String::from_utf8_lossy(&line).trim_end().to_owned();
                    writeln!(log, "{line}")?;
                    println!("  | {line}");
                    report.lines.push(line);
                }
                Err(mpsc::RecvTimeoutError::Timeout) => bail!(
                    "the guest did not end within {} s and was stopped; its console is in {}",
                    self.limit.as_secs(),
                    self.log.display()
                ),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
            }
        }
        let status = loop {
            match emulator.0.try_wait()? {
                Some(status) => break status,
                None if Instant::now() >= deadline => bail!("QEMU closed its console but did not end"),
                None => std::thread::sleep(Duration::from_millis(10)),
            }
        };
        report.elapsed = start.elapsed();
        if !status.success() {
            bail!(
                "QEMU failed: {status}; the guest's console is in {}",
                self.log.display()
            );
        }
        match report.lines.iter().find_map(|line| line.strip_prefix(EXIT_LINE)) {
            Some("0") => Ok(report),
            Some(status) => bail!(
                "the guest's program ended with status {status}; its console is in {}",
                self.log.display()
            ),
            None => bail!(
                "the guest never came to its end; its console is in {}",
                self.log.display()
            ),
        }
    }

    fn qemu(&self) -> Command {
        let accelerator = match self.accelerator {
            "tcg" => "tcg,thread=multi",
            other => other,
        };
        let mut qemu = self.machine.qemu();
        // The device reaches the guest's memory through a file descriptor, so the memory is shared; interrupts are
        // remapped by the IOMMU, which needs the split interrupt controller; caching mode tells QEMU of each mapping.
        qemu.args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"])
            .args(["-accel", accelerator, "-cpu", "max", "-smp", "1"])
            .args(["-M", "q35,kernel-irqchip=split,memory-backend=mem0"])
            .args(["-m", &MEMORY_MIB.to_string()])
            .args([
                "-object",
                &format!("memory-backend-memfd,id=mem0,size={MEMORY_MIB}M,share=on"),
            ])
            .args(["-device", "intel-iommu,intremap=on,caching-mode=on"])
            .args(["-serial", "stdio"])
            .arg("-kernel")
            .arg(self.machine.kernel())
            .arg("-initrd")
            .arg(self.initrd)
            .args(["-append", "console=ttyS0 quiet intel_iommu=on panic=-1"]);
        for (index, socket) in self.sockets.iter().enumerate() {
            let slot = index + 1;
            qemu.args([
                "-device",
                &format!("pcie-root-port,id=port{slot},bus=pcie.0,chassis={slot},slot={slot}"),
            ]);
            let device = serde_json::json!({
                "driver": "vfio-user-pci",
                "bus": format!("port{slot}"),
                "x-msg-timeout": ANSWER_LIMIT_MS,
                "socket": { "type": "unix", "path": socket },
            });
            qemu.args(["-device", &device.to_string()]);
        }
        qemu.stdin(Stdio::null()).stdout(Stdio::piped());
        qemu
    }
}
