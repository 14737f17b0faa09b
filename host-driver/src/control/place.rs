//! Where sockets and locks are, and that each has one owner.

use crate::unix_socket;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a socket that is there already may take to show whether somebody listens.
const LIFE_SIGN: Duration = Duration::from_millis(10);

/// Why a place can't be had.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// Nobody says where sockets go.
    #[error("there is no folder for sockets: XDG_RUNTIME_DIR is not set; set it, or name the socket (--socket)")]
    NoRuntimeFolder,
    /// Nobody says where state goes.
    #[error(
        "there is no folder for the daemon's state: neither XDG_STATE_HOME nor HOME is set; set one, or name a folder (--state)"
    )]
    NoStateFolder,
    /// Somebody else has it.
    #[error("{what} belongs to another process{}; stop that one first, or use another {kind}", .pid.map(|pid| format!(" ({pid})")).unwrap_or_default())]
    Taken {
        /// What is taken.
        what: String,
        /// Socket or device.
        kind: &'static str,
        /// Process of the owner, where it is known.
        pid: Option<u32>,
    },
    /// Something else than a socket is there.
    #[error("{}: there is something that is no socket; remove it or choose another path", .0.display())]
    NotSocket(PathBuf),
    /// The system refused.
    #[error("{}: {source}; check path and permissions", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
}

/// Folder of sockets and locks: `$XDG_RUNTIME_DIR/sealnic`, and for root without that variable `/run/sealnic`.
///
/// # Errors
/// There is none.
pub fn runtime_folder() -> Result<PathBuf, PlaceError> {
    match std::env::var_os("XDG_RUNTIME_DIR").filter(|folder| !folder.is_empty()) {
        Some(folder) => Ok(Path::new(&folder).join("sealnic")),
        None if rustix::process::geteuid().is_root() => Ok(PathBuf::from("/run/sealnic")),
        None => Err(PlaceError::NoRuntimeFolder),
    }
}

/// Folder of lasting state: `$XDG_STATE_HOME/sealnic`, `/var/lib/sealnic` for root, else `$HOME/.local/state/sealnic`.
///
/// # Errors
/// There is none.
pub fn state_folder() -> Result<PathBuf, PlaceError> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(folder) = variable("XDG_STATE_HOME") {
        return Ok(Path::new(&folder).join("sealnic"));
    }
    if rustix::process::geteuid().is_root() {
        return Ok(PathBuf::from("/var/lib/sealnic"));
    }
    let home = variable("HOME").ok_or(PlaceError::NoStateFolder)?;
    Ok(Path::new(&home).join(".local/state/sealnic"))
}

/// Sockets in a folder, alive or not, by name.
#[must_use]
pub fn sockets_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut sockets: Vec<PathBuf> = entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_socket()))
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sock"))
        .collect();
    sockets.sort();
    sockets
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> PlaceError {
    let path = path.to_owned();
    move |source| PlaceError::Io { path, source }
}

fn make_folder_of(path: &Path) -> Result<(), PlaceError> {
    let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) else {
        return Ok(());
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(at(folder))
}

/// A lock that ends with its process, however that ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
    path: PathBuf,
}

impl Lock {
    /// Takes a lock.
    ///
    /// # Errors
    /// Another process has it, or the file can't be made.
    pub fn take(path: &Path, what: &str, kind: &'static str) -> Result<Self, PlaceError> {
        make_folder_of(path)?;
        let mut file = loop {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(path)
                .map_err(at(path))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    let mut text = String::new();
                    let _ = (&file).take(32).read_to_string(&mut text);
                    return Err(PlaceError::Taken {
                        what: what.to_owned(),
                        kind,
                        pid: text.trim().parse().ok(),
                    });
                }
                Err(TryLockError::Error(error)) => return Err(at(path)(error)),
            }
            // Its last owner may have removed it between opening and locking: then another may hold the file of that name.
            let ours = file.metadata().map_err(at(path))?;
            if fs::symlink_metadata(path).is_ok_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino())) {
                break file;
            }
        };
        let written = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        written.map_err(at(path))?;
        Ok(Self {
            _file: file,
            path: path.to_owned(),
        })
    }

    /// Takes the lock of a device, by the name under which it is reached.
    ///
    /// # Errors
    /// Another daemon of this account owns the device.
    pub fn of_device(folder: &Path, device: &str) -> Result<Self, PlaceError> {
        let plain = |c: char| {
            if c.is_ascii_alphanumeric() || matches!(c, '-' | '.') {
                c
            } else {
                '_'
            }
        };
        let plain: String = device.chars().map(plain).collect();
        // Long paths share their ends more often than their beginnings; the whole decides through its hash.
        let tail: String = plain
            .chars()
            .rev()
            .take(80)
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
            .collect();
        let hash = device.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, octet| {
            (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3)
        });
        let path = folder.join(format!("device-{tail}-{hash:016x}.lock"));
        Self::take(&path, &format!("device {device}"), "device")
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Before the lock is given back, so that it is nobody else's.
        let _ = fs::remove_file(&self.path);
    }
}

/// A listening socket that is this process's alone, and is removed with it.
#[derive(Debug)]
pub struct Place {
    /// The socket.
    pub listener: UnixListener,
    path: PathBuf,
    _lock: Lock,
}

impl Place {
    /// Listens at a path, mode 0600. A socket that a process left behind when it died is replaced; one on which somebody listens is
    /// not.
    ///
    /// # Errors
    /// Another process listens there, something else is there, or the system refuses.
    pub fn take(path: &Path) -> Result<Self, PlaceError> {
        let mut lock_path = path.as_os_str().to_owned();
        lock_path.push(".lock");
        let (what, kind) = (format!("socket {}", path.display()), "socket (--socket)");
        let lock = Lock::take(Path::new(&lock_path), &what, kind)?;
        match fs::symlink_metadata(path) {
            Ok(there) if !there.file_type().is_socket() => return Err(PlaceError::NotSocket(path.to_owned())),
            Ok(_) => match unix_socket::connect(path, LIFE_SIGN) {
                Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound) => {}
                // It may be one of those that know nothing of locks.
                Ok(_) | Err(_) => {
                    return Err(PlaceError::Taken { what, kind, pid: None });
                }
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(at(path)(error)),
        }
        // Bound aside, given its mode, and moved into place: nobody finds it half made.
        let mut aside = path.as_os_str().to_owned();
        aside.push(".new");
        let aside = PathBuf::from(aside);
        let _ = fs::remove_file(&aside);
        let listener = UnixListener::bind(&aside).map_err(at(path))?;
        fs::set_permissions(&aside, fs::Permissions::from_mode(0o600)).map_err(at(&aside))?;
        fs::rename(&aside, path).map_err(at(path))?;
        Ok(Self {
            listener,
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything in a folder, by name.
    fn names_in(folder: &Path) -> Vec<std::ffi::OsString> {
        fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect()
    }

    #[test]
    fn a_socket_has_one_owner_and_a_stale_one_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        // The folder is made, too.
        let folder = folder.path().join("run");
        let path = folder.join("a.sock");
        let first = Place::take(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let error = Place::take(&path).unwrap_err();
        assert!(
            matches!(error, PlaceError::Taken { pid: Some(pid), .. } if pid == std::process::id()),
            "{error}"
        );
        drop(first);
        assert!(!path.exists());
        // As a daemon leaves it that was killed.
        drop(UnixListener::bind(&path).unwrap());
        assert_eq!(sockets_in(&folder), std::slice::from_ref(&path));
        let second = Place::take(&path).unwrap();
        std::os::unix::net::UnixStream::connect(second.path()).unwrap();
        drop(second);
        assert!(names_in(&folder).is_empty(), "{:?}", names_in(&folder));
    }

    #[test]
    fn a_socket_of_a_program_without_a_lock_is_not_taken_while_it_listens() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        let listener = UnixListener::bind(&path).unwrap();
        assert!(matches!(Place::take(&path), Err(PlaceError::Taken { pid: None, .. })));
        assert_eq!(
            names_in(folder.path()),
            ["a.sock"],
            "and nothing is left of the attempt"
        );
        drop(listener);
        Place::take(&path).unwrap();
    }

    #[test]
    fn of_many_that_take_and_give_back_a_lock_one_has_it_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.lock");
        let owners = std::sync::atomic::AtomicU32::new(0);
        let taken = std::sync::atomic::AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    use std::sync::atomic::Ordering::SeqCst;
                    while taken.load(SeqCst) < 2_000 {
                        let Ok(lock) = Lock::take(&path, "it", "one") else {
                            continue;
                        };
                        assert_eq!(owners.fetch_add(1, SeqCst), 0);
                        taken.fetch_add(1, SeqCst);
                        owners.fetch_sub(1, SeqCst);
                        drop(lock);
                    }
                });
            }
        });
        assert!(!path.exists());
    }

    #[test]
    fn what_is_no_socket_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("precious");
        fs::write(&path, "x").unwrap();
        assert!(matches!(Place::take(&path), Err(PlaceError::NotSocket(_))));
        assert_eq!(fs::read(&path).unwrap(), b"x");
    }

    #[test]
    fn a_device_has_one_owner() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let first = Lock::of_device(folder, "vfio:0000:01:00.0").unwrap();
        assert!(Lock::of_device(folder, "vfio:0000:01:00.0").is_err());
        let other = Lock::of_device(folder, "vfio:0000_01:00.0").unwrap();
        drop((first, other));
        assert!(Lock::of_device(folder, "vfio:0000:01:00.0").is_ok());
    }
}
