//! A socket that belongs to one server: taken over from a dead one, never from one that lives, and removed at the end.

use rustix::fs::FlockOperation;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Why a socket can't be listened on.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Another server has it.
    #[error("{0}: another server has this socket; stop it, or choose another path")]
    Taken(PathBuf),
    /// Something else is there.
    #[error("{0}: something that is no socket is in the way; choose another path")]
    InTheWay(PathBuf),
    /// The system doesn't allow it.
    #[error("{path}: {source}; its folder must exist and be writable, and the path be shorter than 108 octets")]
    Io {
        /// The socket.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
}

/// A socket of this server's own.
#[derive(Debug)]
pub(crate) struct OwnSocket {
    pub(crate) listener: UnixListener,
    path: PathBuf,
    lock_path: PathBuf,
    /// Held for as long as the socket is: two servers that start at once don't remove each other's.
    _lock: File,
}

impl OwnSocket {
    /// Listens at a path, for this user alone.
    pub(crate) fn bind(path: &Path) -> Result<Self, SocketError> {
        let io = |source| SocketError::Io {
            path: path.to_owned(),
            source,
        };
        let mut lock_path = path.as_os_str().to_owned();
        lock_path.push(".lock");
        let lock_path = PathBuf::from(lock_path);
        let lock = Self::lock(&lock_path).map_err(|error| match error {
            rustix::io::Errno::WOULDBLOCK => SocketError::Taken(path.to_owned()),
            other => io(other.into()),
        })?;
        match fs::symlink_metadata(path) {
            Ok(metadata) if !metadata.file_type().is_socket() => return Err(SocketError::InTheWay(path.to_owned())),
            // The lock says that no server of this kind has it; but it may be somebody else's.
            Ok(_) if UnixStream::connect(path).is_ok() => return Err(SocketError::Taken(path.to_owned())),
            Ok(_) => fs::remove_file(path).map_err(io)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(io(error)),
        }
        let listener = UnixListener::bind(path).map_err(io)?;
        let own = Self {
            listener,
            path: path.to_owned(),
            lock_path,
            _lock: lock,
        };
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(io)?;
        own.listener.set_nonblocking(true).map_err(io)?;
        Ok(own)
    }

    /// Takes the lock, on the file that is there now: its last owner may have removed it in between.
    fn lock(path: &Path) -> Result<File, rustix::io::Errno> {
        use rustix::fs::{Mode, OFlags, fstat, open, stat};
        loop {
            let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
            let file = open(path, flags, Mode::RUSR | Mode::WUSR)?;
            rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
            let ours = fstat(&file)?;
            if stat(path).is_ok_and(|there| (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)) {
                return Ok(File::from(file));
            }
        }
    }
}

impl Drop for OwnSocket {
    fn drop(&mut self) {
        // In this order: until the lock is given back, nobody else makes either.
        let _ = fs::remove_file(&self.path);
        let _ = fs::remove_file(&self.lock_path);
    }
}
