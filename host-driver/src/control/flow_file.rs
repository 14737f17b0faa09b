//! The flow log as a file of JSON lines, one record each, that is put aside when it is full.

use crate::flow_log::Record;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Name of the file that grows; those put aside are `flow-log.jsonl.1`, the last one, and so on.
const NAME: &str = "flow-log.jsonl";

/// A flow log in a folder.
#[derive(Debug)]
pub struct FlowFile {
    folder: PathBuf,
    max_len: u64,
    keep: u32,
    file: File,
    len: u64,
}

impl FlowFile {
    /// Opens the flow log of a folder, which is made when it is missing, and goes on at its end. A file that would grow beyond
    /// `max_len` octets is put aside, and `keep` such files are kept.
    ///
    /// # Errors
    /// The folder can't be made or the file not be opened.
    pub fn open(folder: &Path, max_len: u64, keep: u32) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let file = open(&folder.join(NAME))?;
        let len = file.metadata()?.len();
        let mut this = Self {
            folder: folder.to_owned(),
            max_len,
            keep,
            file,
            len,
        };
        this.end_torn_line()?;
        Ok(this)
    }

    /// Appends records.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn append(&mut self, records: &[Record]) -> io::Result<()> {
        for record in records {
            let mut line = serde_json::to_vec(record)?;
            line.push(b'\n');
            let len = u64::try_from(line.len()).unwrap_or(u64::MAX);
            if self.len != 0 && self.len.saturating_add(len) > self.max_len {
                self.rotate()?;
            }
            self.file.write_all(&line)?;
            self.len += len;
        }
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        let aside = |number: u32| self.folder.join(format!("{NAME}.{number}"));
        for number in (1..self.keep).rev() {
            match fs::rename(aside(number), aside(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        let current = self.folder.join(NAME);
        if self.keep == 0 {
            fs::remove_file(&current)?;
        } else {
            fs::rename(&current, aside(1))?;
        }
        self.file = open(&current)?;
        self.len = 0;
        Ok(())
    }

    /// A daemon that was killed may have left half a line: it must not spoil the next one.
    fn end_torn_line(&mut self) -> io::Result<()> {
        use std::os::unix::fs::FileExt;
        let mut last = [b'\n'];
        if let Some(at) = self.len.checked_sub(1) {
            self.file.read_exact_at(&mut last, at)?;
        }
        if last != [b'\n'] {
            self.file.write_all(b"\n")?;
            self.len += 1;
        }
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .read(true)
        .mode(0o600)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow_log::FlowRecords;

    fn record(minute: u32) -> Record {
        Record {
            time: format!("minute {minute}"),
            flow_log_version: 4,
            flow_log_guid: String::new(),
            mac_address: String::new(),
            category: "FlowLogFlowEvent",
            flow_log_resource_id: String::new(),
            target_resource_id: String::new(),
            operation_name: "FlowLogFlowEvent",
            flow_records: FlowRecords { flows: Vec::new() },
        }
    }

    #[test]
    fn files_are_put_aside_when_full_and_the_oldest_go() {
        let folder = std::env::temp_dir().join(format!("sealnic-flow-file-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        let line_len = serde_json::to_vec(&record(0)).unwrap().len() as u64 + 1;
        let mut log = FlowFile::open(&folder, line_len * 2, 2).unwrap();
        log.append(&(0..5).map(record).collect::<Vec<_>>()).unwrap();
        drop(log);
        OpenOptions::new()
            .append(true)
            .open(folder.join(NAME))
            .unwrap()
            .write_all(b"{\"torn")
            .unwrap();
        let mut log = FlowFile::open(&folder, line_len * 2, 2).unwrap();
        log.append(&[record(5), record(6), record(7), record(8)]).unwrap();
        let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap_or_default();
        let minutes = |name: &str| {
            let lines: Vec<_> = read(name).lines().map(str::to_owned).collect();
            let good = lines
                .iter()
                .filter_map(|l| serde_json::from_str::<serde_json::Value>(l).ok());
            good.map(|r| r["time"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(minutes(NAME), ["minute 7", "minute 8"]);
        assert_eq!(minutes("flow-log.jsonl.1"), ["minute 5", "minute 6"]);
        assert_eq!(minutes("flow-log.jsonl.2"), ["minute 4"]);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 3);
        fs::remove_dir_all(folder).unwrap();
    }
}
