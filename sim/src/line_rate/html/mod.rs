//! The report as one page that needs nothing else: no script, no network, no font of its own.
//!
//! * `figures`: what is plotted and tabulated
//! * `axis`, `chart`: plots as inline SVG. Drawn here and not by a plotting library: those found either set colours as
//!   attributes, so that one drawing cannot serve a light and a dark page, and give no title or description, or draw by
//!   script in the browser.
//! * `table`: the same figures as tables

mod axis;
mod chart;
mod figures;
mod table;

use super::{LineRateReport, Point, Protection};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use table::{Column, Table};

const STYLE: &str = include_str!("style.css");
/// Nothing is loaded from anywhere, and the browser holds the page to it.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// The page, as HTML.
#[must_use]
pub fn page(report: &LineRateReport) -> String {
    let hardware = &report.hardware;
    let gbit_per_s = hardware.line_mbit_per_s as f64 / 1e3;
    let figures = figures::all(report);
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="generator" content=(format!("sealnic {}", report.sealnic));
                title { "SealNIC line rate: " (hardware.name) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { "SealNIC line rate: " (hardware.name) }
                    p {
                        "Cycle model, " (gbit_per_s) " Gb/s on the wire, both directions loaded at once · sealnic "
                        (report.sealnic) " · report format " (report.format) " · seed " (report.seed)
                    }
                }
                main {
                    (facts(report))
                    @for (figure, number) in figures.iter().zip(1u32..) {
                        section aria-labelledby=(format!("{}-heading", figure.chart.id)) data-figure=(figure.chart.id) {
                            h2 id=(format!("{}-heading", figure.chart.id)) {
                                span class="number" { (number) } (figure.title)
                            }
                            p class="lead" { (figure.lead) }
                            div class="pair" {
                                figure { (figure.chart.svg()) }
                                (figure.table.html())
                            }
                        }
                    }
                    (losses(report))
                    (parameters(report))
                }
                footer {
                    p {
                        "A frame’s size is that at the VM, with FCS (RFC 2544). Goodput counts the VMs’ IP packets. The line’s \
                         own rate counts every octet around them: Ethernet, IPv4, UDP, record, VXLAN, inner Ethernet, FCS, \
                         preamble and gap. The same program with the same hardware file and seed gives the same figures on \
                         any machine. The data of this page stand in it as JSON, in the element "
                        code { "report-data" } "."
                    }
                }
                script type="application/json" id="report-data" { (PreEscaped(embedded(report))) }
            }
        }
    };
    markup.into_string()
}

/// The report as JSON that cannot end the element it stands in.
fn embedded(report: &LineRateReport) -> String {
    // A report has string keys and plain values, which always can be written.
    let json = serde_json::to_string(report).unwrap_or_default();
    json.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
}

/// The figures that a reader asks for first.
fn facts(report: &LineRateReport) -> Markup {
    let sizes = || {
        report
            .points
            .iter()
            .filter(|point| point.series == super::Series::FrameSizes)
    };
    let encrypted = || sizes().filter(|point| point.protection != Protection::Clear);
    let share = |point: &Point| {
        let shares = point.directions.iter().map(super::DirectionFigures::percent_of_line);
        shares.fold(f64::NAN, f64::min)
    };
    let worst = |points: &mut dyn Iterator<Item = &Point>| {
        points
            .map(|point| (share(point), point.protection.name(), point.frame_len))
            .min_by(|a, b| a.0.total_cmp(&b.0))
    };
    let greatest_rate = encrypted()
        .map(|point| {
            let rates = point.directions.iter().map(|figures| figures.achieved.mframes_per_s());
            (rates.fold(f64::NAN, f64::min), point.protection.name(), point.frame_len)
        })
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let latency = encrypted()
        .flat_map(|point| point.directions.iter().map(move |figures| (figures.latency.p99, point)))
        .max_by_key(|(latency, _)| *latency);
    let most_flows = report
        .points
        .iter()
        .filter(|point| point.series == super::Series::Flows)
        .max_by(|a, b| a.flows.cmp(&b.flows).then(share(b).total_cmp(&share(a))));
    html! {
        dl class="facts" {
            @if let Some((percent, name, frame_len)) = worst(&mut encrypted()) {
                (fact("Encrypted, least share of the line", &format!("{percent:.2}"), "%", &format!("{name}, {frame_len} octets")))
            }
            @if let Some((percent, _, frame_len)) = worst(&mut sizes().filter(|point| point.protection == Protection::Clear)) {
                (fact("Clear, least share of the line", &format!("{percent:.2}"), "%", &format!("{frame_len} octets")))
            }
            @if let Some((rate, name, frame_len)) = greatest_rate {
                (fact("Encrypted, most frames a direction", &format!("{rate:.2}"), "Mframes/s", &format!("{name}, {frame_len} octets")))
            }
            @if let Some((ns, point)) = latency {
                (fact("Encrypted, greatest p99 latency", &format!("{:.3}", ns as f64 / 1e3), "µs",
                    &format!("{}, {} octets, full load", point.protection.name(), point.frame_len)))
            }
            @if let Some(point) = most_flows {
                (fact(&format!("{} flows, least share", axis::short(f64::from(point.flows))), &format!("{:.2}", share(point)), "%",
                    &format!("{}, {}, {} octets", point.protection.name(), point.distribution.name(), point.frame_len)))
            }
        }
    }
}

fn fact(name: &str, value: &str, unit: &str, of: &str) -> Markup {
    html! { div { dt { (name) } dd { (value) " " small { (unit) } br; small { (of) } } } }
}

/// What was lost, and to which unit.
fn losses(report: &LineRateReport) -> Markup {
    let rows: Vec<Vec<String>> = report
        .points
        .iter()
        .flat_map(|point| point.directions.iter().map(move |figures| (point, figures)))
        .flat_map(|(point, figures)| figures.drops.iter().map(move |drops| (point, figures.direction, drops)))
        .map(|(point, direction, drops)| {
            let share = drops.frames as f64 / f64::from(point.sample_frames.max(1)) * 100.0;
            vec![
                point.frame_len.to_string(),
                point.protection.name().to_owned(),
                point.flows.to_string(),
                point.distribution.name().to_owned(),
                direction.name().to_owned(),
                drops.unit.clone(),
                drops.reason.clone(),
                drops.frames.to_string(),
                format!("{share:.2}"),
            ]
        })
        .collect();
    let table = Table {
        id: "losses-table".to_owned(),
        caption: "Frames of the samples that were dropped, by place and reason".to_owned(),
        columns: vec![
            Column::figures("Frame", "octets"),
            Column::words("Protection"),
            Column::figures("Flows", "a direction"),
            Column::words("Distribution"),
            Column::words("Direction"),
            Column::words("Unit"),
            Column::words("Reason"),
            Column::figures("Dropped", "frames"),
            Column::figures("Of the sample", "%"),
        ],
        rows,
    };
    html! {
        section aria-labelledby="losses-heading" {
            h2 id="losses-heading" { "What was lost" }
            @if table.rows.is_empty() {
                p class="lead" { "No frame of any sample was dropped." }
            } @else {
                p class="lead" { "Frames are offered at the line’s own rate. What a NIC cannot carry waits, and is lost where the queues in front are full." }
                (table.html())
            }
        }
    }
}

/// The hardware file, a table for each of its parts.
fn parameters(report: &LineRateReport) -> Markup {
    let part = |name: &str| name.rsplit_once('.').map_or("", |(part, _)| part).to_owned();
    let mut parts: Vec<(String, Vec<(&str, &str)>)> = Vec::new();
    for parameter in &report.hardware.parameters {
        let own = part(&parameter.name);
        let field = parameter.name.rsplit('.').next().unwrap_or_default();
        let place = parts.iter().position(|(name, _)| *name == own).unwrap_or_else(|| {
            parts.push((own.clone(), Vec::new()));
            parts.len() - 1
        });
        parts[place].1.push((field, &parameter.value));
    }
    html! {
        section aria-labelledby="hardware-heading" {
            h2 id="hardware-heading" { "Hardware file: " (report.hardware.name) }
            p class="lead" { "Units stand at the end of the names." }
            div class="sheet" {
                @for (part, fields) in &parts {
                    table {
                        caption { @if part.is_empty() { "general" } @else { (part) } }
                        tbody {
                            @for (field, value) in fields { tr { th scope="row" { (field) } td { (value) } } }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
