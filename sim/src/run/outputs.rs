//! Files that a run or a sweep writes: none takes another's place, or that of something else than a file.

use crate::run::{ModelKind, RunOptions};
use crate::scenario::Scenario;
use serde::Serialize;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Names of a run's outputs in its folder, besides the VMs' captures.
pub(crate) const WIRE: &str = "wire.pcapng";
pub(crate) const FLOW_LOG: &str = "flow-log.json";
pub(crate) const SUMMARY: &str = "summary.json";
pub(crate) const CYCLES: &str = "cycles.json";

/// Name of the capture of what a VM received.
pub(crate) fn vm_capture(vm: &str) -> String {
    format!("vm-{vm}.pcapng")
}

/// Two files of a run that are one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{first} and {second} are the same file, {path}; choose another path for one of them")]
pub struct Collision {
    /// What is read, or written, there.
    pub first: String,
    /// What is to be written there, too.
    pub second: String,
    /// Where.
    pub path: PathBuf,
}

/// Refuses outputs that would overwrite an input or each other. Nothing is touched.
///
/// # Errors
/// The first two that are the same file.
pub(crate) fn check(scenario: &Scenario, capture: &Path, options: &RunOptions) -> Result<(), Collision> {
    let inputs = options
        .inputs
        .iter()
        .map(|path| (path.display().to_string(), path.clone()));
    let mut inputs: Vec<_> = inputs.chain([("the capture".to_owned(), capture.to_owned())]).collect();
    // What isn't there can't be overwritten.
    inputs.retain(|(_, path)| path.exists());
    let mut outputs = Vec::new();
    if let Some(out) = &options.out {
        let cycles = (options.model == ModelKind::Cycle).then_some(CYCLES);
        let fixed = [WIRE, FLOW_LOG, SUMMARY].into_iter().chain(cycles).map(str::to_owned);
        let vms = scenario.vms.iter().map(|vm| vm_capture(&vm.name));
        outputs.extend(fixed.chain(vms).map(|name| {
            let path = out.join(&name);
            (format!("the output {name}"), path)
        }));
    }
    for (name, path) in [
        ("the waveform", &options.observation.wave),
        ("the trace", &options.observation.trace),
        ("the key file", &options.unsafe_write_keys),
    ] {
        outputs.extend(path.clone().map(|path| (name.to_owned(), path)));
    }
    check_distinct(&inputs, &outputs)
}

fn check_distinct(inputs: &[(String, PathBuf)], outputs: &[(String, PathBuf)]) -> Result<(), Collision> {
    let mut seen: Vec<(Identity, &str)> = Vec::new();
    let identified = |files: &'_ [(String, PathBuf)]| -> Vec<(Identity, usize)> {
        let ids = files.iter().enumerate();
        ids.filter_map(|(at, (_, path))| Some((Identity::of(path)?, at)))
            .collect()
    };
    // Inputs may be one.
    seen.extend(
        identified(inputs)
            .into_iter()
            .map(|(id, at)| (id, inputs[at].0.as_str())),
    );
    for (id, at) in identified(outputs) {
        let (second, path) = &outputs[at];
        if let Some((_, first)) = seen.iter().find(|(other, _)| *other == id) {
            return Err(Collision {
                first: (*first).to_owned(),
                second: second.clone(),
                path: path.clone(),
            });
        }
        seen.push((id, second));
    }
    Ok(())
}

/// What makes two paths one file.
#[derive(Debug, PartialEq, Eq)]
enum Identity {
    /// One that is there, by device and number: also by another name.
    There(u64, u64),
    /// One that is to be made.
    New(PathBuf),
}

impl Identity {
    /// None for what may be written more than once, as devices and pipes, and for what can't be written at all.
    fn of(path: &Path) -> Option<Self> {
        match fs::metadata(path) {
            Ok(there) if there.is_file() => Some(Self::There(there.dev(), there.ino())),
            Ok(_) => None,
            Err(_) => {
                let whole = std::path::absolute(path).ok()?;
                // The folders that are there by their true names, the rest as it will be made.
                let (there, real) = whole
                    .ancestors()
                    .find_map(|folder| Some((folder, folder.canonicalize().ok()?)))?;
                Some(Self::New(real.join(whole.strip_prefix(there).ok()?)))
            }
        }
    }
}

/// Writes a value as JSON for people, all of it.
///
/// # Errors
/// The file can't be made, or not all of it written.
pub fn write_json(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    serde_json::to_writer_pretty(&mut file, value)?;
    // What is still buffered when a writer is dropped is lost without a word where it can't be written.
    file.flush()
}

/// Writes a value as JSON to a new file that nobody else may read, in the place of a regular file or of none.
///
/// # Errors
/// Something else is there, or the file can't be written; then what was there still is.
pub(crate) fn write_private_json(path: &Path, value: &impl Serialize) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(there) if !there.is_file() => {
            let problem = "something that is no regular file is there, and is left alone; choose another path";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, problem));
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut aside = OsString::from(path);
    aside.push(format!(".{}.new", std::process::id()));
    let aside = PathBuf::from(aside);
    // Readable by nobody else from the beginning, and nobody's link followed.
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&aside)?;
    let written = serde_json::to_writer_pretty(file, value).map_err(io::Error::from);
    let placed = written.and_then(|()| fs::rename(&aside, path));
    if placed.is_err() {
        // The first error is the one to tell.
        let _ = fs::remove_file(&aside);
    }
    placed
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn folder(test: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("sealnic-outputs-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn named(files: &[(&str, PathBuf)]) -> Vec<(String, PathBuf)> {
        files
            .iter()
            .map(|(name, path)| ((*name).to_owned(), path.clone()))
            .collect()
    }

    #[test]
    fn one_file_is_known_by_all_its_names() {
        let folder = folder("names");
        let (file, link, hard) = (folder.join("file"), folder.join("link"), folder.join("hard"));
        fs::write(&file, "x").unwrap();
        symlink(&file, &link).unwrap();
        fs::hard_link(&file, &hard).unwrap();
        symlink(&folder, folder.join("again")).unwrap();
        let collide = |a: &Path, b: &Path| {
            let as_input = check_distinct(&named(&[("a", a.to_owned())]), &named(&[("b", b.to_owned())]));
            let as_output = check_distinct(&[], &named(&[("a", a.to_owned()), ("b", b.to_owned())]));
            assert_eq!(as_input, as_output);
            as_input.is_err()
        };
        for name in [&link, &hard, &folder.join("./file"), &folder.join("again/file")] {
            assert!(collide(&file, name), "{}", name.display());
        }
        let new = folder.join("to/be/made");
        assert!(collide(&new, &folder.join("again/to/be/made")));
        assert!(!collide(&new, &folder.join("to/be/made2")) && !collide(&file, &new));
        // Devices take what comes.
        assert!(!collide(Path::new("/dev/null"), Path::new("/dev/null")));
        assert_eq!(
            check_distinct(&named(&[("a", file.clone()), ("b", file.clone())]), &[]),
            Ok(()),
            "two inputs are no harm"
        );
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn only_regular_files_give_way_to_private_ones() {
        let folder = folder("private");
        let (file, link) = (folder.join("file"), folder.join("link"));
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        symlink(&file, &link).unwrap();
        let socket = folder.join("socket");
        drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        for other in [&link, &socket, &folder] {
            let before = fs::symlink_metadata(other).unwrap();
            let error = write_private_json(other, &"new").unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AlreadyExists, "{error}");
            assert_eq!(fs::symlink_metadata(other).unwrap().ino(), before.ino());
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), "old");
        write_private_json(&file, &"new").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "\"new\"");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 3, "something was left behind");
        fs::remove_dir_all(folder).unwrap();
    }
}
