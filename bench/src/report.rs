//! What was measured, as data and as tables.

use crate::measure::Timing;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

/// One figure.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// Which part of the benchmark: `seal`, `open`, `egress`, `ingress`, `model`, `memory`.
    pub(crate) part: String,
    /// Who or what was measured.
    pub(crate) what: String,
    /// Cipher, where one is at work.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) cipher: Option<String>,
    /// Record payload or inner frame, in octets.
    pub(crate) octets: usize,
    /// Flows in random order, where flows matter.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) flows: Option<u32>,
    /// Memory pages behind the tables: `4K` or `huge`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) pages: Option<String>,
    /// Nanoseconds per record or packet, quickest run.
    pub(crate) min_ns: f64,
    /// Nanoseconds per record or packet, median run.
    pub(crate) median_ns: f64,
}

impl Sample {
    /// A figure without cipher, flows or pages.
    pub(crate) fn new(part: &str, what: &str, octets: usize, timing: Timing) -> Self {
        Self {
            part: part.into(),
            what: what.into(),
            cipher: None,
            octets,
            flows: None,
            pages: None,
            min_ns: timing.min_ns,
            median_ns: timing.median_ns,
        }
    }
}

/// A table in Markdown.
#[derive(Debug)]
pub(crate) struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these column names.
    pub(crate) fn new(header: impl IntoIterator<Item = String>) -> Self {
        Self {
            header: header.into_iter().collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all = || std::iter::once(&self.header).chain(&self.rows);
        let width = |column: usize| {
            all()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.header.len()).map(width).collect();
        for (n, row) in all().enumerate() {
            let mut line = String::from("|");
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                // Names to the left, figures to the right.
                if column == 0 {
                    write!(line, " {cell:<width$} |")?;
                } else {
                    write!(line, " {cell:>width$} |")?;
                }
            }
            writeln!(f, "{line}")?;
            if n == 0 {
                let rule: Vec<String> = widths
                    .iter()
                    .enumerate()
                    .map(|(column, width)| match column {
                        0 => "-".repeat(width + 2),
                        _ => "-".repeat(width + 1) + ":",
                    })
                    .collect();
                writeln!(f, "|{}|", rule.join("|"))?;
            }
        }
        Ok(())
    }
}

/// Nanoseconds, with as many digits as mean something.
pub(crate) fn ns(value: f64) -> String {
    if value < 100.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}
