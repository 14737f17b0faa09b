//! Draws the page of a stored line-rate report: `line_rate_page REPORT.json PAGE.html`.

use sealnic_sim::line_rate::{LineRateReport, html};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [report, page] = arguments.as_slice() else {
        return Err("usage: line_rate_page REPORT.json PAGE.html".into());
    };
    let text = std::fs::read_to_string(report).map_err(|error| format!("cannot read {report}: {error}"))?;
    let data: LineRateReport =
        serde_json::from_str(&text).map_err(|error| format!("{report} is no line-rate report: {error}"))?;
    std::fs::write(page, html::page(&data)).map_err(|error| format!("cannot write {page}: {error}"))?;
    Ok(())
}
