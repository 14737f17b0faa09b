//! What is wrong with a scenario file, said so that it can be put right.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use super::place::Place;

/// A scenario that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The file can't be read.
    #[error("{}: can't be read: {source}; give the path of a scenario file", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file breaks rules of the format.
    #[error(transparent)]
    Invalid(#[from] Problems),
}

/// All problems found in a file, in the order of their places, and never none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    /// The problems, at most [`Problems::SHOWN`] of them.
    pub shown: Vec<Problem>,
    /// Number of further ones.
    pub more: usize,
}

impl Problems {
    /// Greatest number of problems that are listed; a file that has more is wrong all over.
    pub const SHOWN: usize = 50;
}

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// File as it was named.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column, in characters from 1.
    pub column: usize,
    /// Path of the field, such as `vm[1].addresses[0]`; empty at the top of the file.
    pub field: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.file, self.line, self.column)?;
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        write!(f, "{}; {}", self.message, self.help)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.shown.iter().enumerate() {
            let separator = if i == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")?;
        }
        if self.more > 0 {
            write!(f, "\n{} more", self.more)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Collects problems while a file is checked.
#[derive(Debug, Default)]
pub(super) struct Findings {
    found: Vec<(Range<usize>, String, String)>,
}

impl Findings {
    /// Notes a problem at a place of the file.
    pub(super) fn add(&mut self, span: Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        self.found.push((span, message.into(), help.into()));
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Turns what was found into problems with line, column and field; `None` when nothing was.
    pub(super) fn into_problems(mut self, file: &str, place: &Place<'_>) -> Option<Problems> {
        if self.found.is_empty() {
            return None;
        }
        self.found.sort_by_key(|(span, ..)| span.start);
        self.found.dedup();
        let more = self.found.len().saturating_sub(Problems::SHOWN);
        let shown = self
            .found
            .into_iter()
            .take(Problems::SHOWN)
            .map(|(span, message, help)| {
                let (line, column) = place.line_and_column(span.start);
                Problem {
                    file: file.to_owned(),
                    line,
                    column,
                    field: place.field(&span),
                    message,
                    help,
                }
            });
        Some(Problems {
            shown: shown.collect(),
            more,
        })
    }
}
