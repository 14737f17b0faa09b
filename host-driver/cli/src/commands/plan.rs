//! `sealnic plan`: which pairs of VMs are encrypted, and the reason for each that is not.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use comfy_table::{ContentArrangement, Table, TableStyle, presets};
use sealnic_sim::Scenario;
use sealnic_sim::scenario::Plan;
use sealnic_sim::scenario::plan::{BlockedPair, PlannedExclusion, PlannedFate, PlannedPair};

use super::CommandError;

/// Says which pairs of VMs are encrypted, and the reason for each that is not.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Scenario file.
    scenario: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<(), CommandError> {
    let plan = Scenario::load(&args.scenario)?.plan();
    let stdout = io::stdout();
    let style = if stdout.is_terminal() {
        presets::UTF8_FULL_CONDENSED
    } else {
        presets::NOTHING
    };
    let mut out = io::BufWriter::new(stdout.lock());
    if args.json {
        serde_json::to_writer_pretty(&mut out, &plan).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        write_text(&mut out, &plan, style)?;
    }
    out.flush()?;
    Ok(())
}

/// Writes the plan for people.
fn write_text(out: &mut impl Write, plan: &Plan, style: TableStyle) -> io::Result<()> {
    writeln!(out, "Plan of scenario {}", plan.scenario)?;
    writeln!(out)?;
    if plan.pairs.is_empty() {
        writeln!(out, "There are no two VMs, so there is nothing to plan.")?;
    } else {
        writeln!(out, "{}", pairs_table(&plan.pairs, style).trim_fmt())?;
        writeln!(out)?;
        writeln!(out, "{}", sums(&plan.pairs))?;
    }

    if !plan.exclusions.is_empty() {
        writeln!(out)?;
        writeln!(out, "Exclusions, sent in the clear although policy would encrypt it:")?;
        writeln!(out, "{}", exclusions_table(&plan.exclusions, style).trim_fmt())?;
    }

    writeln!(out)?;
    let outlook = &plan.enforcement;
    if outlook.blocked.is_empty() {
        writeln!(out, "With DropUnencrypted on every VNet, no pair would be dropped.")?;
    } else {
        writeln!(out, "With DropUnencrypted on every VNet, these would be dropped:")?;
        writeln!(out, "{}", blocked_table(&outlook.blocked, style).trim_fmt())?;
    }
    for vnet in &outlook.vnets_without_encryption {
        writeln!(
            out,
            "Encryption is off on VNet {vnet}: enable it before you enforce it."
        )?;
    }
    Ok(())
}

/// One row for both directions where they are alike, and one for two VNets that aren't connected.
fn pairs_table(pairs: &[PlannedPair], style: TableStyle) -> Table {
    let mut table = table(style, ["from", "", "to", "code", "fate", "reason"]);
    let by_names: HashMap<(&str, &str), &PlannedPair> =
        pairs.iter().map(|p| ((p.from.as_str(), p.to.as_str()), p)).collect();
    let mut apart: BTreeMap<(&str, &str), &PlannedPair> = BTreeMap::new();
    for pair in pairs {
        if pair.fate == PlannedFate::NotConnected {
            let (a, b) = (pair.from_vnet.as_str(), pair.to_vnet.as_str());
            apart.entry((a.min(b), a.max(b))).or_insert(pair);
            continue;
        }
        let back = by_names
            .get(&(pair.to.as_str(), pair.from.as_str()))
            .filter(|back| alike(pair, back));
        if back.is_some() && pair.from > pair.to {
            continue;
        }
        let arrow = if back.is_some() { "<->" } else { "->" };
        let code = pair.code.unwrap_or("");
        table.add_row([&pair.from, arrow, &pair.to, code, pair.fate.name(), &remark(pair)]);
    }
    for ((a, b), pair) in apart {
        let reason = pair.reason.as_deref().unwrap_or("");
        table.add_row([
            &format!("(VNet {a})"),
            "<->",
            &format!("(VNet {b})"),
            "",
            pair.fate.name(),
            reason,
        ]);
    }
    table
}

fn alike(pair: &PlannedPair, back: &PlannedPair) -> bool {
    pair.code == back.code && pair.fate == back.fate && remark(pair) == remark(back)
}

/// The reason, and what exclusions take from the pair.
fn remark(pair: &PlannedPair) -> String {
    let reason = pair.reason.clone().unwrap_or_default();
    if pair.partly_excluded.is_empty() {
        return reason;
    }
    let separator = if reason.is_empty() { "" } else { "; " };
    format!(
        "{reason}{separator}in the clear: what exclusion {} matches",
        pair.partly_excluded.join(" or ")
    )
}

fn sums(pairs: &[PlannedPair]) -> String {
    let mut by_fate: BTreeMap<PlannedFate, usize> = BTreeMap::new();
    for pair in pairs {
        *by_fate.entry(pair.fate).or_default() += 1;
    }
    let parts: Vec<String> = by_fate
        .iter()
        .map(|(fate, count)| format!("{count} {}", fate.name()))
        .collect();
    format!("{} pairs, each direction counted: {}", pairs.len(), parts.join(", "))
}

fn exclusions_table(exclusions: &[PlannedExclusion], style: TableStyle) -> Table {
    let mut table = table(style, ["name", "from VNet", "to", "protocol", "port"]);
    for exclusion in exclusions {
        let any = |value: Option<u16>| value.map_or_else(|| "any".to_owned(), |value| value.to_string());
        let protocol = any(exclusion.protocol.map(u16::from));
        table.add_row([
            &exclusion.name,
            &exclusion.vnet,
            &exclusion.prefix,
            &protocol,
            &any(exclusion.port),
        ]);
    }
    table
}

fn blocked_table(blocked: &[BlockedPair], style: TableStyle) -> Table {
    let mut table = table(style, ["from", "", "to", "code", "reason"]);
    let reasons: HashMap<(&str, &str), &str> = blocked
        .iter()
        .map(|b| ((b.from.as_str(), b.to.as_str()), b.reason.as_str()))
        .collect();
    for pair in blocked {
        let both = reasons.get(&(pair.to.as_str(), pair.from.as_str())) == Some(&pair.reason.as_str());
        if both && pair.from > pair.to {
            continue;
        }
        let arrow = if both { "<->" } else { "->" };
        table.add_row([&pair.from, arrow, &pair.to, pair.code, &pair.reason]);
    }
    table
}

/// A table that is as wide as its content: where lines end is the terminal's business.
fn table<const N: usize>(style: TableStyle, header: [&str; N]) -> Table {
    let mut table = Table::new();
    table
        .load_style(style)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(header);
    table
}
