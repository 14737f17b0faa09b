//! The report's figures: each a chart and, beside it, the table of what the chart shows.

use super::super::{Direction, DirectionFigures, Limit, LineRateReport, Point, Protection, Rates, Series as Sweep};
use super::axis::Axis;
use super::chart::{Chart, Look, Series};
use super::table::{Column, Table};

/// A chart and its data.
pub(super) struct Figure {
    pub(super) title: String,
    /// What is plotted, for all readers.
    pub(super) lead: String,
    pub(super) chart: Chart,
    pub(super) table: Table,
}

const SIZE_LABEL: &str = "Frame size at the VM, FCS included (octets)";
const SLOWER: &str =
    "Each point is the slower of the two directions, measured at once; dotted lines are what the wire allows.";
/// Least distance of the ticks of frame sizes, as a share of the axis.
const TICK_GAP: f64 = 0.055;

/// All that the report has data for.
pub(super) fn all(report: &LineRateReport) -> Vec<Figure> {
    let sizes: Vec<&Point> = in_sweep(report, Sweep::FrameSizes);
    let mut figures = Vec::new();
    if !sizes.is_empty() {
        figures.push(goodput(&sizes));
        figures.push(frame_rate(&sizes));
        figures.push(share(&sizes));
        figures.extend(
            protections(&sizes)
                .into_iter()
                .map(|protection| latency(&sizes, protection)),
        );
        figures.push(limiting_units(&sizes));
    }
    let flows = in_sweep(report, Sweep::Flows);
    let mut groups: Vec<(Protection, u32)> = flows.iter().map(|point| (point.protection, point.frame_len)).collect();
    groups.sort_unstable();
    groups.dedup();
    figures.extend(
        groups
            .into_iter()
            .map(|(protection, frame_len)| by_flows(&flows, protection, frame_len)),
    );
    figures
}

fn in_sweep(report: &LineRateReport, sweep: Sweep) -> Vec<&Point> {
    let mut points: Vec<&Point> = report.points.iter().filter(|point| point.series == sweep).collect();
    points.sort_by_key(|point| (point.frame_len, point.flows, point.protection));
    points
}

fn protections(points: &[&Point]) -> Vec<Protection> {
    let mut all: Vec<Protection> = points.iter().map(|point| point.protection).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Colour of a protection, the same in all figures.
fn colour(protection: Protection) -> u8 {
    match protection {
        Protection::Clear => 2,
        Protection::Dtls12 => 4,
        Protection::Dtls13 => 1,
    }
}

/// The figures of one direction.
pub(super) fn of(point: &Point, direction: Direction) -> Option<&DirectionFigures> {
    point.directions.iter().find(|figures| figures.direction == direction)
}

/// The least that `value` is in any direction of the point.
fn least(point: &Point, value: impl Fn(&DirectionFigures) -> f64) -> f64 {
    point.directions.iter().map(value).fold(f64::NAN, f64::min)
}

fn greatest(point: &Point, value: impl Fn(&DirectionFigures) -> f64) -> f64 {
    point.directions.iter().map(value).fold(f64::NAN, f64::max)
}

fn sizes_axis(points: &[&Point]) -> Axis {
    Axis::at_values(
        SIZE_LABEL,
        points.iter().map(|point| f64::from(point.frame_len)),
        TICK_GAP,
    )
}

/// One line for each protection, over frame sizes.
fn by_size(points: &[&Point], look: fn(u8) -> Look, suffix: &str, value: impl Fn(&Point) -> f64) -> Vec<Series> {
    let series = |protection: Protection| Series {
        name: format!("{}{suffix}", protection.name()),
        look: look(colour(protection)),
        points: points
            .iter()
            .filter(|point| point.protection == protection)
            .map(|point| (f64::from(point.frame_len), value(point)))
            .collect(),
    };
    protections(points).into_iter().map(series).collect()
}

fn all_values(series: &[Series]) -> impl Iterator<Item = f64> + Clone {
    series
        .iter()
        .flat_map(|series| series.points.iter().map(|point| point.1))
}

/// A figure's number with this many decimals; a dash where there is none.
fn cell(value: Option<f64>, decimals: usize) -> String {
    value
        .filter(|value| value.is_finite())
        .map_or_else(|| "–".to_owned(), |value| format!("{value:.decimals$}"))
}

/// Cells of both directions.
fn both(point: &Point, decimals: usize, value: impl Fn(&DirectionFigures) -> f64) -> [String; 2] {
    [Direction::Egress, Direction::Ingress].map(|direction| cell(of(point, direction).map(&value), decimals))
}

/// The unit that limits, and what it did.
fn limit_cell(limit: Option<&Limit>) -> String {
    limit.map_or_else(|| "–".to_owned(), |limit| format!("{}: {}", limit.unit, limit.cause))
}

fn size_columns() -> Vec<Column> {
    vec![Column::figures("Frame", "octets"), Column::words("Protection")]
}

fn size_cells(point: &Point) -> Vec<String> {
    vec![point.frame_len.to_string(), point.protection.name().to_owned()]
}

/// A rate over frame sizes, against what the line allows.
fn rate(points: &[&Point], id: &'static str, name: &str, unit: &'static str, value: impl Fn(&Rates) -> f64) -> Figure {
    let value = &value;
    let line = |figures: &DirectionFigures| value(&figures.line);
    let achieved = |figures: &DirectionFigures| value(&figures.achieved);
    let mut series = by_size(points, Look::Limit, ", line", |point| least(point, line));
    series.extend(by_size(points, Look::Line, "", |point| least(point, achieved)));
    let mut columns = size_columns();
    columns.extend(["Line", "Offered", "Egress", "Ingress"].map(|name| Column::figures(name, unit)));
    let rows = points.iter().map(|point| {
        let mut row = size_cells(point);
        row.push(cell(Some(least(point, line)), 3));
        row.push(cell(Some(least(point, |figures| value(&figures.offered))), 3));
        row.extend(both(point, 3, achieved));
        row
    });
    Figure {
        title: format!("{name} by frame size"),
        lead: SLOWER.to_owned(),
        table: Table {
            id: format!("{id}-table"),
            caption: format!("{name} of one direction, both loaded at once"),
            columns,
            rows: rows.collect(),
        },
        chart: Chart {
            id: id.to_owned(),
            title: format!("{name} by frame size, against what the line allows"),
            description: share_in_words(points),
            x: sizes_axis(points),
            y: Axis::from_zero(&format!("{name} ({unit})"), all_values(&series)),
            series,
        },
    }
}

fn goodput(points: &[&Point]) -> Figure {
    let mut figure = rate(points, "goodput", "Goodput", "Gb/s", |rates| rates.goodput_gbit_per_s);
    figure.lead = format!("The VMs’ IP packets, without Ethernet header and FCS. {SLOWER}");
    figure
}

fn frame_rate(points: &[&Point]) -> Figure {
    rate(points, "frame-rate", "Frame rate", "Mframes/s", Rates::mframes_per_s)
}

/// The least share of each protection, in words.
fn share_in_words(points: &[&Point]) -> String {
    let words = protections(points).into_iter().map(|protection| {
        let points = points.iter().filter(|point| point.protection == protection);
        let worst = points.map(|point| (least(point, DirectionFigures::percent_of_line), point.frame_len));
        let worst = worst.min_by(|a, b| a.0.total_cmp(&b.0));
        let (percent, frame_len) = worst.unwrap_or((f64::NAN, 0));
        format!(
            "{} reaches at least {percent:.2} % of the line, the least at {frame_len} octets.",
            protection.name()
        )
    });
    words.collect::<Vec<_>>().join(" ")
}

fn share(points: &[&Point]) -> Figure {
    let series = by_size(points, Look::Line, "", |point| {
        least(point, DirectionFigures::percent_of_line)
    });
    let mut columns = size_columns();
    columns.extend(["Egress", "Ingress"].map(|name| Column::figures(name, "% of line")));
    columns.push(Column::figures("Dropped", "frames"));
    let rows = points.iter().map(|point| {
        let mut row = size_cells(point);
        row.extend(both(point, 2, DirectionFigures::percent_of_line));
        row.push(dropped(point).to_string());
        row
    });
    Figure {
        title: "Share of the line by frame size".to_owned(),
        lead: "Achieved rate over the line’s own. Mind where the vertical axis starts. Above 100 % the model would be wrong."
            .to_owned(),
        table: Table {
            id: "share-table".to_owned(),
            caption: "Share of the line, and frames of the sample that were dropped in either direction".to_owned(),
            columns,
            rows: rows.collect(),
        },
        chart: Chart {
            id: "share".to_owned(),
            title: "Share of the line’s rate by frame size".to_owned(),
            description: share_in_words(points),
            x: sizes_axis(points),
            y: Axis::share("Share of the line’s rate (%)", all_values(&series)),
            series,
        },
    }
}

/// Frames of the sample that were dropped in either direction.
pub(super) fn dropped(point: &Point) -> u64 {
    point.directions.iter().map(DirectionFigures::dropped).sum()
}

/// A percentile: its name, and how to read it in microseconds.
type Percentile = (&'static str, fn(&DirectionFigures) -> f64);

const PERCENTILES: [Percentile; 5] = [
    ("p50", |figures| figures.latency.p50 as f64 / 1e3),
    ("p90", |figures| figures.latency.p90 as f64 / 1e3),
    ("p99", |figures| figures.latency.p99 as f64 / 1e3),
    ("p99.9", |figures| figures.latency.p99_9 as f64 / 1e3),
    ("max", |figures| figures.latency.max as f64 / 1e3),
];

fn latency(points: &[&Point], protection: Protection) -> Figure {
    let points: Vec<&Point> = points
        .iter()
        .copied()
        .filter(|point| point.protection == protection)
        .collect();
    let series: Vec<Series> = PERCENTILES
        .iter()
        .zip(1u8..)
        .map(|((name, value), colour)| Series {
            name: (*name).to_owned(),
            look: Look::Line(colour),
            points: points
                .iter()
                .map(|point| (f64::from(point.frame_len), greatest(point, value)))
                .collect(),
        })
        .collect();
    let mut columns = vec![Column::figures("Frame", "octets"), Column::words("Direction")];
    columns.extend(PERCENTILES.map(|(name, _)| Column::figures(name, "µs")));
    let rows = points.iter().flat_map(|point| {
        point.directions.iter().map(|figures| {
            let mut row = vec![point.frame_len.to_string(), figures.direction.name().to_owned()];
            row.extend(PERCENTILES.map(|(_, value)| cell(Some(value(figures)), 3)));
            row
        })
    });
    let name = protection.name();
    let id = match protection {
        Protection::Clear => "latency-clear",
        Protection::Dtls12 => "latency-dtls12",
        Protection::Dtls13 => "latency-dtls13",
    };
    let worst = points
        .iter()
        .map(|point| greatest(point, PERCENTILES[2].1))
        .fold(f64::NAN, f64::max);
    Figure {
        title: format!("Latency by frame size, {name}"),
        lead: "From the offer of a frame to its last bit on the wire, or to the write of its completion, at full load; the \
               greater of the two directions."
            .to_owned(),
        table: Table {
            id: format!("{id}-table"),
            caption: format!("Latency percentiles, {name}"),
            columns,
            rows: rows.collect(),
        },
        chart: Chart {
            id: id.to_owned(),
            title: format!("Latency percentiles by frame size, {name}"),
            description: format!("At every size 99 % of the frames take at most {worst:.3} microseconds."),
            x: sizes_axis(&points),
            y: Axis::decades("Latency at full load (µs)", all_values(&series)),
            series,
        },
    }
}

fn limiting_units(points: &[&Point]) -> Figure {
    let mut units: Vec<String> = points
        .iter()
        .flat_map(|point| point.directions.iter().map(|figures| figures.limit.unit.clone()))
        .collect();
    units.sort_unstable();
    units.dedup();
    let protections = protections(points);
    let series = protections.iter().zip(0u32..).map(|(protection, i)| {
        // Side by side where several stand on one unit.
        let shift = (f64::from(i) - (protections.len() as f64 - 1.0) / 2.0) * 0.2;
        let own = points.iter().filter(|point| point.protection == *protection);
        let dots = own.flat_map(|point| {
            let units = &units;
            point.directions.iter().filter_map(move |figures| {
                let unit = units.iter().position(|unit| *unit == figures.limit.unit)?;
                Some((f64::from(point.frame_len), unit as f64 + shift))
            })
        });
        Series {
            name: protection.name().to_owned(),
            look: Look::Dots(colour(*protection)),
            points: dots.collect(),
        }
    });
    let mut columns = size_columns();
    for name in ["Egress", "Ingress"] {
        columns.push(Column::words(name));
        columns.push(Column::figures("", "% of time"));
    }
    let rows = points.iter().map(|point| {
        let mut row = size_cells(point);
        for direction in [Direction::Egress, Direction::Ingress] {
            let limit = of(point, direction).map(|figures| &figures.limit);
            row.push(limit_cell(limit));
            row.push(cell(limit.map(|limit| limit.busy_percent), 1));
        }
        row
    });
    Figure {
        title: "Which unit limits".to_owned(),
        lead: "The unit of each direction that let frames wait for the greatest part of the time: at line rate, the line itself.".to_owned(),
        table: Table {
            id: "limits-table".to_owned(),
            caption: "What limits each direction, and for how much of the time".to_owned(),
            columns,
            rows: rows.collect(),
        },
        chart: Chart {
            id: "limits".to_owned(),
            title: "Limiting unit by frame size".to_owned(),
            description: format!("Units that limit at some size: {}.", units.join(", ")),
            x: sizes_axis(points),
            y: Axis::names("Limiting unit (name)", &units),
            series: series.collect(),
        },
    }
}

fn by_flows(points: &[&Point], protection: Protection, frame_len: u32) -> Figure {
    let points: Vec<&Point> = points
        .iter()
        .copied()
        .filter(|point| (point.protection, point.frame_len) == (protection, frame_len))
        .collect();
    let mut distributions: Vec<_> = points.iter().map(|point| point.distribution).collect();
    distributions.sort_unstable();
    distributions.dedup();
    let series: Vec<Series> = distributions
        .iter()
        .zip(1u8..)
        .map(|(distribution, colour)| Series {
            name: distribution.name().to_owned(),
            look: Look::Line(colour),
            points: points
                .iter()
                .filter(|point| point.distribution == *distribution)
                .map(|point| (f64::from(point.flows), least(point, DirectionFigures::percent_of_line)))
                .collect(),
        })
        .collect();
    let mut columns = vec![Column::figures("Flows", "a direction"), Column::words("Distribution")];
    columns.extend(["Egress", "Ingress"].map(|name| Column::figures(name, "% of line")));
    columns.push(Column::figures("Dropped", "frames"));
    columns.extend(["Egress limit", "Ingress limit"].map(Column::words));
    let rows = points.iter().map(|point| {
        let mut row = vec![point.flows.to_string(), point.distribution.name().to_owned()];
        row.extend(both(point, 2, DirectionFigures::percent_of_line));
        row.push(dropped(point).to_string());
        for direction in [Direction::Egress, Direction::Ingress] {
            row.push(limit_cell(of(point, direction).map(|figures| &figures.limit)));
        }
        row
    });
    let name = protection.name();
    let id = match protection {
        Protection::Clear => "flows-clear",
        Protection::Dtls12 => "flows-dtls12",
        Protection::Dtls13 => "flows-dtls13",
    };
    let worst = points
        .iter()
        .map(|point| least(point, DirectionFigures::percent_of_line))
        .fold(f64::NAN, f64::min);
    Figure {
        title: format!("Share of the line by number of flows, {name}, {frame_len} octets"),
        lead:
            "What tables that do not fit on chip cost. Worst case: flows in turn, in an order drawn once, so that each frame’s \
               flow is the one unused for longest and no cache helps. The slower of the two directions."
                .to_owned(),
        table: Table {
            id: format!("{id}-{frame_len}-table"),
            caption: format!("Share of the line, drops and limiting units by flows, {name}, {frame_len} octets"),
            columns,
            rows: rows.collect(),
        },
        chart: Chart {
            id: format!("{id}-{frame_len}"),
            title: format!("Share of the line’s rate by number of flows, {name}, frames of {frame_len} octets"),
            description: format!("The least share is {worst:.2} % of the line."),
            x: Axis::decades(
                "Flows in each direction (number)",
                points.iter().map(|point| f64::from(point.flows)),
            ),
            y: Axis::share("Share of the line’s rate (%)", all_values(&series)),
            series,
        },
    }
}
