//! The virtual machine's parts: QEMU, a kernel with its VFIO modules, busybox. They come from Debian, verified by its keys, without
//! touching this system, and are kept in a cache that is checked before each use.

use crate::shell::{command, output, succeeds, which};
use anyhow::{Context as _, Result, bail};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The release that the parts are taken from; its backports hold a QEMU with a vfio-user client (from 10.1 on).
const RELEASE: &str = "trixie";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Modules that make a PCI function usable from user space, in the order in which they are loaded.
const MODULES: &[&str] = &["irqbypass", "vfio", "vfio_iommu_type1", "vfio-pci-core", "vfio-pci"];
/// Name of the cached folder: changed when what belongs into it changes.
const FOLDER: &str = "cosim-1";
const SUMS: &str = "SHA256SUMS";
const LIBRARIES: &str = "qemu/usr/lib/x86_64-linux-gnu";
const LOADER: &str = "ld-linux-x86-64.so.2";
const EMULATOR: &str = "qemu/usr/bin/qemu-system-x86_64";
/// Environment variable with the address of a Debian mirror, for systems that have none of their own.
const MIRROR_VARIABLE: &str = "SEALNIC_DEBIAN_MIRROR";

/// A folder that holds QEMU, a kernel, its modules and busybox, all checked.
pub(crate) struct Machine {
    folder: PathBuf,
}

impl Machine {
    /// Finds the parts in the cache, or fetches them.
    pub(crate) fn ensure() -> Result<Self> {
        if std::env::consts::ARCH != "x86_64" {
            bail!(
                "the co-simulation's machine is an x86-64 one, and this is {}",
                std::env::consts::ARCH
            );
        }
        let cache = cache()?;
        fs::create_dir_all(&cache).with_context(|| format!("cannot make {}", cache.display()))?;
        // Two runs at once fetch once.
        let lock = cache.join("cosim.lock");
        let lock = File::create(&lock).with_context(|| format!("cannot write {}", lock.display()))?;
        lock.lock().context("cannot lock the cache")?;
        let folder = cache.join(FOLDER);
        if folder.join(SUMS).exists() {
            if is_sound(&folder) {
                return Ok(Self { folder });
            }
            println!("{} is damaged: fetching it anew", folder.display());
        }
        let staging = cache.join(format!("{FOLDER}.new"));
        remove(&staging)?;
        let work = staging.join("work");
        fs::create_dir_all(&work)?;
        fetch(&work, &staging).context("cannot fetch QEMU and a kernel for the co-simulation")?;
        remove(&work)?;
        write_sums(&staging)?;
        remove(&folder)?;
        fs::rename(&staging, &folder).with_context(|| format!("cannot place {}", folder.display()))?;
        Ok(Self { folder })
    }

    /// QEMU, run by the loader and with the libraries that came with it.
    pub(crate) fn qemu(&self) -> Command {
        let libraries = self.folder.join(LIBRARIES);
        let mut qemu = command(libraries.join(LOADER));
        qemu.arg("--library-path")
            .arg(&libraries)
            .arg(self.folder.join(EMULATOR));
        for data in ["qemu/usr/share/seabios", "qemu/usr/share/qemu"] {
            qemu.arg("-L").arg(self.folder.join(data));
        }
        qemu
    }

    pub(crate) fn kernel(&self) -> PathBuf {
        self.folder.join("vmlinuz")
    }

    pub(crate) fn busybox(&self) -> PathBuf {
        self.folder.join("busybox")
    }

    /// The modules' files, in the order in which they are loaded.
    pub(crate) fn modules(&self) -> impl Iterator<Item = PathBuf> {
        MODULES
            .iter()
            .map(|name| self.folder.join("modules").join(format!("{name}.ko")))
    }

    /// Versions of the parts, for the log.
    pub(crate) fn versions(&self) -> String {
        fs::read_to_string(self.folder.join("VERSIONS")).unwrap_or_default()
    }
}

/// `$XDG_CACHE_HOME/sealnic`, or the same below the home directory.
fn cache() -> Result<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache")))
        .context("no place for a cache: set HOME or XDG_CACHE_HOME")?;
    Ok(base.join("sealnic"))
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

fn is_sound(folder: &Path) -> bool {
    succeeds(
        Command::new("sha256sum")
            .args(["--check", "--strict", "--status", SUMS])
            .current_dir(folder),
    )
}

/// Checksums of all files: a cache that was cut short or damaged is noticed before something strange happens in a guest.
fn write_sums(folder: &Path) -> Result<()> {
    let mut files = Vec::new();
    files_below(folder, &mut files)?;
    files.sort();
    let names = files.iter().filter_map(|file| file.strip_prefix(folder).ok());
    let sums = output(Command::new("sha256sum").arg("--").args(names).current_dir(folder))?;
    fs::write(folder.join(SUMS), sums)?;
    Ok(())
}

fn files_below(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            files_below(&entry.path(), files)?;
        } else {
            files.push(entry.path());
        }
    }
    Ok(())
}

/// Downloads into `work` and leaves in `folder` what is needed.
fn fetch(work: &Path, folder: &Path) -> Result<()> {
    for program in ["apt-get", "apt-cache", "dpkg-deb"] {
        if which(program).is_none() {
            bail!(
                "`{program}` is missing; the machine's parts are Debian packages, so this needs Debian or a system made from it"
            );
        }
    }
    if !Path::new(KEYRING).exists() {
        bail!("{KEYRING} is missing, and nothing unverified is run; apt-get install debian-archive-keyring");
    }
    let apt = Apt::new(work)?;
    println!("fetching QEMU and a kernel (75 MB, once)");
    run_quietly(apt.get().arg("update")).context(
        "the package lists can't be fetched or verified; is this machine online, and debian-archive-keyring up to date?",
    )?;
    let kernel = apt.kernel()?;
    let archives = work.join("cache/archives");
    run_quietly(
        apt.get()
            .args(["--yes", "--target-release"])
            .arg(format!("{RELEASE}-backports"))
            .args(["--download-only", "install", "qemu-system-x86"]),
    )?;
    let downloads = work.join("downloads");
    fs::create_dir_all(&downloads)?;
    run_quietly(
        apt.get()
            .args(["download", "busybox-static", &kernel])
            .current_dir(&downloads),
    )?;

    let (closure, rest) = (work.join("closure"), work.join("rest"));
    let mut versions = Vec::new();
    for (packages, root) in [(&archives, &closure), (&downloads, &rest)] {
        fs::create_dir_all(root)?;
        for entry in fs::read_dir(packages)? {
            let package = entry?.path();
            if package.extension().is_some_and(|extension| extension == "deb") {
                run_quietly(Command::new("dpkg-deb").arg("--extract").arg(&package).arg(root))?;
                versions.extend(
                    package
                        .file_stem()
                        .map(|name| name.to_string_lossy().replace("%3a", ":")),
                );
            }
        }
    }
    versions.sort();
    versions.retain(|name| {
        ["qemu-system-x86_", "linux-image-", "busybox-"]
            .iter()
            .any(|start| name.starts_with(start))
    });
    fs::write(folder.join("VERSIONS"), versions.join("\n") + "\n")?;
    take_emulator(&closure, &folder.join("qemu"))?;
    take_kernel(&rest, folder)
}

/// A private apt: own sources, state and cache; an empty list of installed packages makes it resolve everything, libc included.
struct Apt {
    options: Vec<OsString>,
}

impl Apt {
    fn new(work: &Path) -> Result<Self> {
        let mirror = mirror()?;
        for folder in ["lists/partial", "cache/archives/partial", "preferences"] {
            fs::create_dir_all(work.join(folder))?;
        }
        File::create(work.join("status"))?;
        let mut sources = File::create(work.join("sources.list"))?;
        for suite in [RELEASE.to_owned(), format!("{RELEASE}-backports")] {
            writeln!(sources, "deb [signed-by={KEYRING}] {mirror} {suite} main")?;
        }
        let mut options = Vec::new();
        for (name, value) in [
            ("Dir::Etc::SourceList", "sources.list"),
            ("Dir::Etc::PreferencesParts", "preferences"),
            ("Dir::State", ""),
            ("Dir::State::Lists", "lists"),
            ("Dir::State::status", "status"),
            ("Dir::Cache", "cache"),
        ] {
            let mut option = OsString::from(format!("{name}="));
            option.push(work.join(value));
            options.extend([OsString::from("-o"), option]);
        }
        for option in [
            "Dir::Etc::SourceParts=/dev/null",
            "Dir::Etc::Preferences=/dev/null",
            "APT::Architecture=amd64",
            "APT::Install-Recommends=false",
            "APT::Sandbox::User=root",
            "Acquire::Languages=none",
            "Acquire::Retries=3",
            "Debug::NoLocking=1",
        ] {
            options.extend(["-o".into(), option.into()]);
        }
        Ok(Self { options })
    }

    fn get(&self) -> Command {
        let mut apt = command("apt-get");
        apt.args(&self.options).arg("-qq").env("LC_ALL", "C");
        apt
    }

    /// Name of the package with the release's current kernel for clouds: small, and built with an IOMMU and VFIO.
    fn kernel(&self) -> Result<String> {
        let meta = format!("linux-image-cloud-amd64/{RELEASE}");
        let mut cache = command("apt-cache");
        let listing = output(cache.args(&self.options).args(["depends", &meta]).env("LC_ALL", "C"))?;
        String::from_utf8_lossy(&listing)
            .lines()
            .filter_map(|line| line.trim().strip_prefix("Depends: "))
            .find(|name| name.starts_with("linux-image-"))
            .map(ToOwned::to_owned)
            .with_context(|| format!("{meta} depends on no kernel"))
    }
}

/// The mirror that this system's own packages come from.
fn mirror() -> Result<String> {
    if let Ok(mirror) = std::env::var(MIRROR_VARIABLE)
        && !mirror.is_empty()
    {
        return Ok(mirror);
    }
    let targets = output(command("apt-get").args(["indextargets", "--format", "$(REPO_URI)"]))?;
    String::from_utf8_lossy(&targets)
        .lines()
        .find(|uri| uri.trim_end_matches('/').ends_with("/debian"))
        .map(ToOwned::to_owned)
        .with_context(|| format!("apt knows no Debian mirror here; name one in {MIRROR_VARIABLE}"))
}

/// QEMU, its loader, the libraries it needs and the firmware that its PC boots with: less than half of what was unpacked.
fn take_emulator(root: &Path, folder: &Path) -> Result<()> {
    let libraries = root.join("usr/lib/x86_64-linux-gnu");
    let emulator = root.join("usr/bin/qemu-system-x86_64");
    let mut loader = Command::new(libraries.join(LOADER));
    loader.arg("--library-path").arg(&libraries);
    let listing = output(loader.arg("--list").arg(&emulator))?;
    let mut files = vec![
        (emulator, "usr/bin"),
        (libraries.join(LOADER), "usr/lib/x86_64-linux-gnu"),
    ];
    for line in String::from_utf8_lossy(&listing).lines() {
        // `name => /path (address)`
        if let Some(path) = line.split(" => ").nth(1).and_then(|rest| rest.split(" (").next()) {
            if !Path::new(path).starts_with(root) {
                bail!("QEMU's library {path} is not among the packages fetched for it");
            }
            files.push((path.into(), "usr/lib/x86_64-linux-gnu"));
        }
    }
    files.push((root.join("usr/share/seabios/bios-256k.bin"), "usr/share/seabios"));
    for name in ["kvmvapic.bin", "linuxboot_dma.bin", "pvh.bin"] {
        files.push((root.join("usr/share/qemu").join(name), "usr/share/qemu"));
    }
    for (file, below) in files {
        copy_into(&file, &folder.join(below))?;
    }
    let mut qemu = Command::new(folder.join("usr/lib/x86_64-linux-gnu").join(LOADER));
    qemu.arg("--library-path").arg(folder.join("usr/lib/x86_64-linux-gnu"));
    let devices = output(
        qemu.arg(folder.join("usr/bin/qemu-system-x86_64"))
            .args(["-device", "help"]),
    )?;
    if !String::from_utf8_lossy(&devices).contains("\"vfio-user-pci\"") {
        bail!("this QEMU has no vfio-user-pci device; 10.1 or later has");
    }
    Ok(())
}

/// Kernel, modules, which are kept unpacked, and busybox.
fn take_kernel(root: &Path, folder: &Path) -> Result<()> {
    let busybox = folder.join("busybox");
    fs::copy(root.join("usr/bin/busybox"), &busybox).context("busybox-static holds no usr/bin/busybox")?;
    let mut files = Vec::new();
    files_below(root, &mut files)?;
    let named = |name: &str| {
        files
            .iter()
            .find(|file| {
                file.file_name()
                    .is_some_and(|found| found.to_string_lossy().starts_with(name))
            })
            .with_context(|| format!("the kernel's package holds no {name}"))
    };
    fs::copy(named("vmlinuz")?, folder.join("vmlinuz"))?;
    let modules = folder.join("modules");
    fs::create_dir_all(&modules)?;
    for name in MODULES {
        let source = named(&format!("{name}.ko"))?;
        let copied = modules.join(source.file_name().unwrap_or_default());
        fs::copy(source, &copied)?;
        if copied.extension().is_some_and(|extension| extension == "xz") {
            run_quietly(Command::new(&busybox).arg("unxz").arg(&copied))?;
        }
    }
    Ok(())
}

fn copy_into(file: &Path, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    let name = file
        .file_name()
        .with_context(|| format!("{} names no file", file.display()))?;
    fs::copy(file, folder.join(name)).with_context(|| format!("cannot copy {}", file.display()))?;
    Ok(())
}

/// Runs a command that is not worth a line of the log each time.
fn run_quietly(command: &mut Command) -> Result<()> {
    let done = command.stdin(Stdio::null()).output();
    let done = done.with_context(|| format!("cannot start {}", command.get_program().to_string_lossy()))?;
    if !done.status.success() {
        bail!(
            "{} failed: {}",
            command.get_program().to_string_lossy(),
            String::from_utf8_lossy(&done.stderr).trim()
        );
    }
    Ok(())
}
