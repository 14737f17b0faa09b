//! How much of a line's rate a NIC reaches: theory, measurement, and the report of both.
//!
//! * [`theory`]: what a line allows at most, from the octets around each frame
//! * [`traffic`]: frames, flows and who sends them
//! * [`bed`]: a NIC under load in both directions at once
//! * [`inside`]: what measures inside a cycle model
//! * [`sweep`]: the points of a sweep, one after another
//! * [`csv`]: a sweep as comma-separated values
//! * [`report`]: what a sweep found, as data

pub mod bed;
pub mod csv;
pub mod html;
pub mod inside;
pub mod report;
pub mod sweep;
pub mod theory;
pub mod traffic;

pub use report::{
    Direction, DirectionFigures, Distribution, Drops, Hardware, LatencyNs, Limit, LineRateReport, Parameter, Point,
    Protection, Rates, Series,
};
