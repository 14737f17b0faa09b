use super::super::{
    Direction, DirectionFigures, Distribution, Drops, Hardware, LatencyNs, Limit, LineRateReport, Parameter, Point,
    Protection, Rates, Series,
};
use super::page;

fn point(series: Series, protection: Protection, frame_len: u32, flows: u32) -> Point {
    let line = Rates::of_line(protection, frame_len, 100_000);
    let figures = |direction: Direction, share: f64| DirectionFigures {
        direction,
        line,
        offered: Rates::new(frame_len, line.frames_per_s * 1.01),
        achieved: Rates::new(frame_len, line.frames_per_s * share),
        latency: LatencyNs {
            p50: 1_000,
            p90: 1_100,
            p99: 1_234,
            p99_9: 2_000,
            max: 3_000,
        },
        drops: Vec::new(),
        limit: Limit {
            unit: format!("{}.engine", direction.name()),
            busy_percent: 98.76,
            cause: "busy".to_owned(),
        },
    };
    Point {
        series,
        protection,
        frame_len,
        flows,
        distribution: Distribution::Uniform,
        sample_frames: 1_000,
        directions: vec![figures(Direction::Egress, 0.9951), figures(Direction::Ingress, 0.9972)],
    }
}

fn report(points: Vec<Point>) -> LineRateReport {
    LineRateReport {
        format: super::super::report::FORMAT,
        sealnic: "1.2.3".to_owned(),
        seed: 77,
        hardware: Hardware {
            name: "100g".to_owned(),
            line_mbit_per_s: 100_000,
            parameters: vec![Parameter {
                name: "engine.lanes".to_owned(),
                value: "8".to_owned(),
            }],
        },
        points,
    }
}

#[test]
fn a_page_names_hardware_seed_and_version_and_asks_for_nothing() {
    let html = page(&report(vec![point(Series::FrameSizes, Protection::Dtls13, 64, 1)]));
    for expected in ["100g", "seed 77", "sealnic 1.2.3", "<caption>engine</caption>", "lanes"] {
        assert!(html.contains(expected), "{expected} is missing");
    }
    for forbidden in ["http://", "https://", "src=", "href=", "@import", "url("] {
        assert!(!html.contains(forbidden), "{forbidden} is in the page");
    }
}

#[test]
fn a_table_shows_the_figures_of_its_point() {
    let html = page(&report(vec![point(Series::FrameSizes, Protection::Dtls13, 64, 1)]));
    // 162 octets of line a frame at 100 Gbit/s: 77.160 million a second, 46 octets of goodput each.
    let row = "<td class=\"word\">DTLS 1.3</td><td>28.395</td><td>28.679</td><td>28.256</td><td>28.316</td>";
    assert!(html.contains(row), "{html}");
    assert!(html.contains("<td>99.51</td><td>99.72</td><td>0</td>"));
    assert!(html.contains("<td>1.000</td><td>1.100</td><td>1.234</td><td>2.000</td><td>3.000</td>"));
    assert!(html.contains("<td class=\"word\">egress.engine: busy</td><td>98.8</td>"));
}

#[test]
fn names_from_outside_cannot_leave_their_place() {
    let mut hostile = point(Series::FrameSizes, Protection::Clear, 64, 1);
    hostile.directions[0].limit.unit = "</script><script>alert(1)</script>".to_owned();
    hostile.directions[0].drops.push(Drops {
        unit: "<img src=x>".to_owned(),
        reason: "\"onload=\"".to_owned(),
        frames: 3,
    });
    let mut report = report(vec![hostile]);
    report.hardware.name = "</title><b>".to_owned();
    let html = page(&report);
    assert_eq!(html.matches("<script").count(), 1, "only the data");
    assert_eq!(html.matches("</script").count(), 1);
    assert!(!html.contains("<img") && !html.contains("<b>") && !html.contains("\"onload=\""));
}

#[test]
fn the_embedded_data_are_the_report() {
    let mut report = report(vec![point(Series::Flows, Protection::Dtls12, 1454, 1_000_000)]);
    report.hardware.name = "a < b & c > d".to_owned();
    let html = page(&report);
    let json = html
        .split("id=\"report-data\">")
        .nth(1)
        .unwrap()
        .split("</script>")
        .next()
        .unwrap();
    let embedded: serde_json::Value = serde_json::from_str(json).unwrap();
    let stored: serde_json::Value = serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
    assert_eq!(embedded, stored);
    assert_eq!(embedded["hardware"]["name"], "a < b & c > d");
}

#[test]
fn losses_name_the_unit_and_the_share_of_the_sample() {
    let mut lossy = point(Series::Flows, Protection::Dtls13, 256, 1_000_000);
    lossy.directions[1].drops.push(Drops {
        unit: "ingress.queue".to_owned(),
        reason: "WireQueueFull".to_owned(),
        frames: 125,
    });
    let html = page(&report(vec![lossy]));
    let row = "<td class=\"word\">ingress.queue</td><td class=\"word\">WireQueueFull</td><td>125</td><td>12.50</td>";
    assert!(html.contains(row), "{html}");
    assert!(!page(&report(Vec::new())).contains("losses-table"));
}

#[test]
fn a_report_without_points_and_one_with_a_single_direction_still_make_a_page() {
    assert!(page(&report(Vec::new())).contains("No frame of any sample was dropped."));
    let mut single = point(Series::FrameSizes, Protection::Dtls13, 64, 1);
    single.directions.pop();
    assert!(page(&report(vec![single.clone()])).contains("<td>28.256</td><td>–</td>"));
    single.directions.clear();
    let html = page(&report(vec![single]));
    assert!(!html.contains("NaN</"), "a table shows a dash where there is no figure");
}
