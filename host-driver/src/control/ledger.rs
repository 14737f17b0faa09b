//! Which run belongs to which life of a device.
//!
//! Static keys follow from a scenario's secret and a run id. A device forgets at power-off which keys it has sealed with, and how
//! far; so before a run's first key is derived, the host writes down which generation of the device the run belongs to, and never
//! gives the run's keys to another one. The device's own memory of keys is the second guard.

use crate::keys::RunId;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Why a run's keys can't be used.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// It belongs to another life of the device.
    #[error(
        "run id {run_id} has served another life of this device (generation {first:016x}, now {now:016x}): its keys must not seal again; give both ends a new run id, then reload"
    )]
    Used {
        /// The run id, in hexadecimal.
        run_id: String,
        /// Generation for which it was used.
        first: u64,
        /// Generation of the device now.
        now: u64,
    },
    /// The ledger can't be read or written.
    #[error("{}: the ledger of run ids can't be kept: {source}; no key is installed without it: put it right or choose another folder (--state)", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// The ledger holds what was not written by a daemon.
    #[error("{}: not a generation as a daemon writes it; no key of this run is installed: give both ends a new run id, then reload", .0.display())]
    Damaged(PathBuf),
}

/// A folder with a small file for each run and end.
#[derive(Debug, Clone)]
pub struct Ledger {
    folder: PathBuf,
}

impl Ledger {
    /// A ledger in that folder, which is made when it is needed.
    #[must_use]
    pub const fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Claims a run for one end and a generation of its device: succeeds for the generation that claimed it first, and for no other,
    /// also when the host fails in between.
    ///
    /// # Errors
    /// Another generation has it, or the claim can't be made to last.
    pub fn claim(&self, run_id: &RunId, end: &str, generation: u64) -> Result<(), LedgerError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| LedgerError::Io { path, source }
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)
            .map_err(at(&self.folder))?;
        let run: String = hex(run_id.octets());
        let path = self.folder.join(format!("{run}-{}", hex(end.as_bytes())));
        match fs::read_to_string(&path) {
            Ok(text) => return check(&text, &run, generation, path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(at(&path)(error)),
        }
        // Written aside and linked into place: a claim is there as a whole or not at all, and the first one stays.
        let aside = self.folder.join(format!(".{run}-{}", std::process::id()));
        let written = write_through(&aside, &format!("{generation:016x}\n"));
        let linked = written.and_then(|()| fs::hard_link(&aside, &path));
        let removed = fs::remove_file(&aside);
        match linked {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let text = fs::read_to_string(&path).map_err(at(&path))?;
                return check(&text, &run, generation, path);
            }
            Err(error) => return Err(at(&path)(error)),
        }
        removed.map_err(at(&aside))?;
        let folder = File::open(&self.folder).and_then(|folder| folder.sync_all());
        folder.map_err(at(&self.folder))
    }
}

fn check(text: &str, run: &str, now: u64, path: PathBuf) -> Result<(), LedgerError> {
    match u64::from_str_radix(text.trim_end(), 16) {
        Ok(first) if first == now => Ok(()),
        Ok(first) => Err(LedgerError::Used {
            run_id: run.to_owned(),
            first,
            now,
        }),
        Err(_) => Err(LedgerError::Damaged(path)),
    }
}

fn write_through(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("sealnic-ledger-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        folder
    }

    #[test]
    fn a_run_serves_one_life_of_each_end() {
        let folder = folder("lives");
        let ledger = Ledger::new(folder.clone());
        let (one, two) = (RunId::from_octets([1; 16]), RunId::from_octets([2; 16]));
        ledger.claim(&one, "a", 7).unwrap();
        ledger.claim(&one, "a", 7).unwrap();
        ledger.claim(&one, "b", 8).unwrap();
        ledger.claim(&two, "a", 8).unwrap();
        assert!(matches!(
            ledger.claim(&one, "a", 8),
            Err(LedgerError::Used { first: 7, now: 8, .. })
        ));
        let again = Ledger::new(folder.clone());
        assert!(matches!(again.claim(&two, "a", 9), Err(LedgerError::Used { .. })));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_cannot_be_read_or_written_claims_nothing() {
        let folder = folder("damaged");
        let ledger = Ledger::new(folder.clone());
        let run = RunId::from_octets([3; 16]);
        ledger.claim(&run, "a/../b", 1).unwrap();
        let file = fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
        fs::write(&file, "").unwrap();
        assert!(matches!(ledger.claim(&run, "a/../b", 1), Err(LedgerError::Damaged(_))));
        let nowhere = Ledger::new(file.join("below"));
        assert!(matches!(nowhere.claim(&run, "a", 1), Err(LedgerError::Io { .. })));
        fs::remove_dir_all(folder).unwrap();
    }
}
