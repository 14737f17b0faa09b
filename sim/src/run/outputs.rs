//! Files that a run or a sweep writes.

use serde::Serialize;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

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
