//! How much of a line's rate a NIC reaches: theory, measurement, and the report of both.
//!
//! * [`theory`]: what a line allows at most, from the octets around each frame
//! * [`report`]: what a sweep found, as data

pub mod html;
pub mod report;
pub mod theory;

pub use report::{
    Direction, DirectionFigures, Distribution, Drops, Hardware, LatencyNs, Limit, LineRateReport, Parameter, Point,
    Protection, Rates, Series,
};
