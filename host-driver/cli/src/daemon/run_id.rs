//! The run id that both ends of a scenario share.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use sealnic_driver::RunId;

/// Where a daemon gets its run id from.
#[derive(Debug)]
pub(super) enum RunIdSource {
    /// From the command line.
    Given(RunId),
    /// From a file, which is read again at each reload.
    File(PathBuf),
}

impl RunIdSource {
    /// The run id as it is now.
    pub(super) fn get(&self) -> Result<RunId, String> {
        match self {
            Self::Given(run_id) => Ok(*run_id),
            Self::File(path) => from_file(path),
        }
    }
}

/// Reads a run id from its 32 hexadecimal digits.
pub(super) fn parse_run_id(text: &str) -> Result<RunId, String> {
    let bad = || "a run id is 32 hexadecimal digits, such as `openssl rand -hex 16` prints".to_owned();
    let mut octets = [0; 16];
    if text.len() != 32 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(bad());
    }
    for (octet, digits) in octets.iter_mut().zip(text.as_bytes().chunks(2)) {
        let digits = std::str::from_utf8(digits).map_err(|_| bad())?;
        *octet = u8::from_str_radix(digits, 16).map_err(|_| bad())?;
    }
    let run_id = RunId::from_octets(octets);
    if run_id == RunId::UNSAFE_FIXED {
        return Err("the run id of all zeros is everybody's; draw a random one".to_owned());
    }
    Ok(run_id)
}

fn from_file(path: &Path) -> Result<RunId, String> {
    let at = |error: io::Error| format!("{}: the run id can't be read or written: {error}", path.display());
    match fs::read_to_string(path) {
        Ok(text) => parse_run_id(text.trim()).map_err(|error| format!("{}: {error}", path.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let run_id = RunId::random().map_err(at)?;
            make(path, &run_id).map_err(at)?;
            // Another daemon may have been faster; what stands in the file counts.
            let text = fs::read_to_string(path).map_err(at)?;
            parse_run_id(text.trim()).map_err(|error| format!("{}: {error}", path.display()))
        }
        Err(error) => Err(at(error)),
    }
}

/// Makes the file, whole and lasting, unless it is there.
fn make(path: &Path, run_id: &RunId) -> io::Result<()> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(format!(".{}", std::process::id()));
    let aside = PathBuf::from(aside);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&aside)?;
    let digits: String = run_id.octets().iter().map(|octet| format!("{octet:02x}")).collect();
    let linked = writeln!(file, "{digits}")
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::hard_link(&aside, path));
    let removed = fs::remove_file(&aside);
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => removed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_id_is_32_digits_and_not_all_zeros() {
        assert!(parse_run_id("000102030405060708090a0b0c0d0e0F").is_ok());
        for text in [
            "",
            "00",
            "000102030405060708090a0b0c0d0e0g",
            "+00102030405060708090a0b0c0d0e0f",
        ] {
            assert!(parse_run_id(text).is_err(), "{text}");
        }
        assert!(parse_run_id(&"0".repeat(32)).is_err());
    }

    #[test]
    fn a_file_is_made_once_and_read_by_all() {
        let path = std::env::temp_dir().join(format!("sealnic-run-id-{}", std::process::id()));
        let _ = fs::remove_file(&path);
        let source = RunIdSource::File(path.clone());
        let first = source.get().unwrap();
        assert_ne!(first, RunId::UNSAFE_FIXED);
        assert_eq!(source.get(), Ok(first));
        fs::write(&path, "nonsense").unwrap();
        assert!(source.get().unwrap_err().contains("32 hexadecimal digits"));
        fs::remove_file(&path).unwrap();
    }
}
