//! A sweep as comma-separated values (RFC 4180): the report's rows, and what the wire port saw.

use super::bed::WireMark;
use super::sweep::{Observer, PlannedPoint};
use super::{Direction, DirectionFigures, LineRateReport, Point, Protection};
use std::io::{self, Write};

/// Frames of each direction of a point that are written, at most.
const MARKS_PER_DIRECTION: usize = 4_000;

/// Columns of [`write_report`].
pub const REPORT_COLUMNS: &str = "point,series,protection,frame_octets,flows,distribution,direction,line_gbit_per_s,\
     theory_goodput_gbit_per_s,offered_goodput_gbit_per_s,achieved_goodput_gbit_per_s,theory_mframes_per_s,offered_mframes_per_s,\
     achieved_mframes_per_s,percent_of_theory,latency_p50_ns,latency_p90_ns,latency_p99_ns,latency_p99_9_ns,latency_max_ns,\
     sample_frames,dropped_frames,drops,limiting_unit,limiting_percent,limiting_cause";

/// Columns of the wire port's file.
pub const WIRE_COLUMNS: &str = "point,direction,end_ps,octets,carried";

/// Protection's name in the files.
#[must_use]
pub const fn protection_name(protection: Protection) -> &'static str {
    match protection {
        Protection::Clear => "clear",
        Protection::Dtls12 => "dtls12",
        Protection::Dtls13 => "dtls13",
    }
}

/// Writes one row for each point and direction, under [`REPORT_COLUMNS`].
///
/// # Errors
/// As the writer.
pub fn write_report(out: &mut impl Write, report: &LineRateReport) -> io::Result<()> {
    writeln!(out, "{REPORT_COLUMNS}")?;
    let gbit_per_s = report.hardware.line_mbit_per_s as f64 / 1_000.0;
    for (number, point) in report.points.iter().enumerate() {
        for figures in &point.directions {
            write_row(out, number, gbit_per_s, point, figures)?;
        }
    }
    Ok(())
}

fn write_row(
    out: &mut impl Write,
    number: usize,
    line_gbit_per_s: f64,
    point: &Point,
    figures: &DirectionFigures,
) -> io::Result<()> {
    let series = match point.series {
        super::Series::FrameSizes => "frame_sizes",
        super::Series::Flows => "flows",
    };
    let distribution = match point.distribution {
        super::Distribution::Uniform => "uniform",
        super::Distribution::Zipf => "zipf",
        super::Distribution::Cyclic => "cyclic",
    };
    let drops: Vec<String> = figures
        .drops
        .iter()
        .map(|drops| format!("{} {} {}", drops.unit, drops.reason, drops.frames))
        .collect();
    let (line, offered, achieved, latency) = (&figures.line, &figures.offered, &figures.achieved, &figures.latency);
    writeln!(
        out,
        "{number},{series},{},{},{},{distribution},{},{line_gbit_per_s},{:.6},{:.6},{:.6},{:.6},{:.6},{:.6},{:.4},{},{},{},{},{},{},{},{},{},{:.2},{}",
        protection_name(point.protection),
        point.frame_len,
        point.flows,
        figures.direction.name(),
        line.goodput_gbit_per_s,
        offered.goodput_gbit_per_s,
        achieved.goodput_gbit_per_s,
        line.mframes_per_s(),
        offered.mframes_per_s(),
        achieved.mframes_per_s(),
        figures.percent_of_line(),
        latency.p50,
        latency.p90,
        latency.p99,
        latency.p99_9,
        latency.max,
        point.sample_frames,
        figures.dropped(),
        quoted(&drops.join("; ")),
        quoted(&figures.limit.unit),
        figures.limit.busy_percent,
        quoted(&figures.limit.cause),
    )
}

/// A field of text.
fn quoted(text: &str) -> String {
    if text.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// Writes what the wire port sees, under [`WIRE_COLUMNS`], while a sweep goes on: for each point the first frames of the sample in
/// each direction, with the time of their last bit, their octets with FCS, and 1 when they were sent or reached a VM, else 0.
pub struct WireWriter<W> {
    out: W,
    /// The first error, after which nothing is written.
    error: Option<io::Error>,
}

impl<W: Write> WireWriter<W> {
    /// Begins the file.
    ///
    /// # Errors
    /// As the writer.
    pub fn new(mut out: W) -> io::Result<Self> {
        writeln!(out, "{WIRE_COLUMNS}")?;
        Ok(Self { out, error: None })
    }

    fn write(&mut self, number: usize, marks: &[(WireMark, bool)]) -> io::Result<()> {
        for direction in [Direction::Egress, Direction::Ingress] {
            let own = marks.iter().filter(|(mark, _)| mark.direction == direction);
            for (mark, carried) in own.take(MARKS_PER_DIRECTION) {
                let (name, carried) = (direction.name(), u8::from(*carried));
                writeln!(self.out, "{number},{name},{},{},{carried}", mark.end_ps, mark.len)?;
            }
        }
        Ok(())
    }

    /// Ends the file.
    ///
    /// # Errors
    /// The first error since the beginning.
    pub fn finish(mut self) -> io::Result<()> {
        match self.error {
            Some(error) => Err(error),
            None => self.out.flush(),
        }
    }
}

impl<W: Write> Observer for WireWriter<W> {
    fn begin(&mut self, _: usize, _: usize, _: &PlannedPoint) {}

    fn wire(&mut self, number: usize, marks: &[(WireMark, bool)]) {
        if self.error.is_none() {
            self.error = self.write(number, marks).err();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Distribution, Drops, Hardware, LatencyNs, Limit, Rates, Series};
    use super::*;

    #[test]
    fn every_row_has_a_field_for_every_column_and_text_is_quoted() {
        let line = Rates::of_line(Protection::Dtls13, 64, 100_000);
        let figures = DirectionFigures {
            direction: Direction::Egress,
            line,
            offered: line,
            achieved: line,
            latency: LatencyNs::default(),
            drops: vec![Drops {
                unit: "vf_fetch".to_owned(),
                reason: "VfQueueFull".to_owned(),
                frames: 3,
            }],
            limit: Limit {
                unit: "a \"unit\", odd".to_owned(),
                busy_percent: 12.345,
                cause: "busy".to_owned(),
            },
        };
        let report = LineRateReport {
            format: 1,
            sealnic: String::new(),
            seed: 0,
            hardware: Hardware {
                name: String::new(),
                line_mbit_per_s: 100_000,
                parameters: Vec::new(),
            },
            points: vec![Point {
                series: Series::Flows,
                protection: Protection::Dtls13,
                frame_len: 64,
                flows: 9,
                distribution: Distribution::Zipf,
                sample_frames: 5,
                directions: vec![figures.clone(), figures],
            }],
        };
        let mut text = Vec::new();
        write_report(&mut text, &report).unwrap();
        let text = String::from_utf8(text).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        let rest = lines[1].strip_suffix(",\"a \"\"unit\"\", odd\",12.35,busy").unwrap();
        let columns = lines[0].split(',').count();
        assert_eq!(rest.split(',').count() + 3, columns);
        assert!(rest.starts_with("0,flows,dtls13,64,9,zipf,egress,100,28.395062,"));
        assert!(rest.ends_with(",5,3,vf_fetch VfQueueFull 3"));
    }

    #[test]
    fn the_wire_file_holds_the_first_frames_of_each_direction() {
        let mark = |direction, end_ps| WireMark {
            end_ps,
            len: 166,
            direction,
        };
        let mut marks: Vec<_> = (0..5_000).map(|n| (mark(Direction::Egress, n), true)).collect();
        marks.push((mark(Direction::Ingress, 7), false));
        let mut out = Vec::new();
        let mut writer = WireWriter::new(&mut out).unwrap();
        writer.wire(3, &marks);
        writer.finish().unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().count(), 1 + MARKS_PER_DIRECTION + 1);
        assert_eq!(text.lines().nth(1), Some("3,egress,0,166,1"));
        assert_eq!(text.lines().last(), Some("3,ingress,7,166,0"));
    }
}
