//! `sealnic bench`: what this machine makes of records and of the functional model, beside what a 100 GbE wire allows.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::CommandError;
use frames::{Frames, measure_frames};
use records::{Records, measure_records};

mod frames;
mod line_rate;
mod records;

/// Plaintexts of records, in octets; the greatest is the most a record takes.
const RECORD_SIZES: [usize; 7] = [64, 256, 512, 1024, 1454, 8192, 16384];
/// Frames at the VM with their FCS, in octets (RFC 2544).
const FRAME_SIZES: [usize; 5] = [64, 256, 512, 1024, 1454];
const VERSIONS: [&str; 2] = ["1.2", "1.3"];
const CIPHERS: [&str; 2] = ["AES-128-GCM", "AES-256-GCM"];
/// Octets of connection id in everything measured.
const CID_LEN: usize = 8;
const WIRE_GBIT_PER_S: f64 = 100.0;

/// Measures sealing and opening of records, and frames from VM to VM through the functional model, on one thread.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: Option<What>,
    /// Numbers of flows that the frames belong to, in random order.
    #[arg(long, value_name = "NUMBERS", value_delimiter = ',', default_values_t = [1, 1_000],
          value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    flows: Vec<u32>,
    /// Time to take for all of it, in seconds.
    #[arg(long, value_name = "NUMBER", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=60))]
    seconds: u16,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Other things to measure.
#[derive(Debug, clap::Subcommand)]
enum What {
    LineRate(line_rate::Args),
}

/// What was measured.
#[derive(Serialize)]
struct Measurements {
    wire_gbit_per_s: f64,
    records: Vec<Records>,
    frames: Vec<Frames>,
}

/// Octets that a record puts on the wire around its plaintext: record (with connection id), UDP and IPv4 headers, Ethernet
/// header and FCS, preamble and gap between frames.
const fn octets_around(is_dtls13: bool, cid_len: usize) -> usize {
    let record = match (is_dtls13, cid_len) {
        // RFC 9147 section 4: flags, id, 16-bit number; content type; tag.
        (true, _) => 1 + cid_len + 2 + 1 + 16,
        // RFC 6347 section 4.1, RFC 5288 section 3: header, explicit nonce, tag.
        (false, 0) => 13 + 8 + 16,
        // RFC 9146 section 4: the id, and the true content type inside.
        (false, _) => 13 + cid_len + 8 + 1 + 16,
    };
    record + 8 + 20 + 14 + 4 + 8 + 12
}

/// How long 100 GbE takes for a record with `plaintext_len` octets inside, in nanoseconds.
fn wire_ns(version: &str, plaintext_len: usize) -> f64 {
    (plaintext_len + octets_around(version == "1.3", CID_LEN)) as f64 * 8.0 / WIRE_GBIT_PER_S
}

/// Calls `batch`, which says how long its measured part took and over how many items, until `budget` is spent; the
/// median over all calls but the first, in nanoseconds per item.
fn median_ns<E>(budget: Duration, mut batch: impl FnMut() -> Result<(Duration, usize), E>) -> Result<f64, E> {
    batch()?;
    let (start, mut times) = (Instant::now(), Vec::new());
    while times.len() < 3 || start.elapsed() < budget {
        let (time, items) = batch()?;
        times.push(time.as_nanos() as f64 / items as f64);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<(), CommandError> {
    if let Some(What::LineRate(args)) = &args.what {
        return line_rate::run(args);
    }
    let kinds = (VERSIONS.len() * CIPHERS.len()) as u32;
    let figures = kinds * (RECORD_SIZES.len() + FRAME_SIZES.len() * args.flows.len()) as u32;
    let budget = Duration::from_secs(args.seconds.into()) / figures.max(1);
    let bar = ProgressBar::with_draw_target(Some(figures.into()), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} measurements, {eta} left") {
        bar.set_style(style);
    }
    let (mut records, mut frames) = (Vec::new(), Vec::new());
    for version in VERSIONS {
        for cipher in CIPHERS {
            measure_records(version, cipher, budget, &bar, &mut records)?;
            for &flows in &args.flows {
                measure_frames(version, cipher, flows, budget, &bar, &mut frames)?;
            }
        }
    }
    bar.finish_and_clear();
    let measured = Measurements {
        wire_gbit_per_s: WIRE_GBIT_PER_S,
        records,
        frames,
    };
    let mut out = io::BufWriter::new(io::stdout().lock());
    if args.json {
        serde_json::to_writer_pretty(&mut out, &measured).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        write_text(&mut out, &measured)?;
    }
    out.flush()?;
    Ok(())
}

/// Writes the figures for people.
fn write_text(out: &mut impl Write, measured: &Measurements) -> io::Result<()> {
    writeln!(
        out,
        "Records with an {CID_LEN}-octet connection id, one thread, median; the last column is how often 100 GbE brings one"
    )?;
    let mut table = table(["DTLS", "cipher", "plaintext", "seal, ns", "open, ns", "wire, ns"]);
    for r in &measured.records {
        table.add_row([
            r.dtls.to_owned(),
            r.cipher.to_owned(),
            r.plaintext_len.to_string(),
            format!("{:.0}", r.seal_ns),
            format!("{:.0}", r.open_ns),
            format!("{:.1}", r.wire_ns),
        ]);
    }
    writeln!(out, "{}\n", table.trim_fmt())?;
    writeln!(
        out,
        "Frames from VM to VM through two functional models, one thread, median; sizes with FCS, at the VM; bound: 100 GbE"
    )?;
    let mut table = self::table([
        "DTLS", "cipher", "flows", "frame", "frames/s", "bound", "Gbit/s", "bound",
    ]);
    for f in &measured.frames {
        table.add_row([
            f.dtls.to_owned(),
            f.cipher.to_owned(),
            f.flows.to_string(),
            f.frame_len.to_string(),
            format!("{:.0}", f.frames_per_s),
            format!("{:.0}", f.bound_frames_per_s),
            format!("{:.3}", f.gbit_per_s),
            format!("{:.1}", f.bound_gbit_per_s),
        ]);
    }
    writeln!(out, "{}", table.trim_fmt())
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(header);
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::octets_around;

    #[test]
    fn goodput_is_that_of_the_design() {
        // Share of the wire that is the VM's IP packet, in tenths of a percent.
        let goodput = |is_dtls13, cid_len, ip_len: usize| {
            let wire = ip_len + 14 + 8 + octets_around(is_dtls13, cid_len);
            (ip_len as f64 / wire as f64 * 1000.0).round() as u32
        };
        for (ip_len, dtls12, dtls13) in [
            (64, 339, 356),
            (256, 672, 688),
            (512, 804, 815),
            (1024, 891, 898),
            (1500, 923, 928),
            (9000, 986, 987),
        ] {
            assert_eq!((goodput(false, 0, ip_len), goodput(true, 8, ip_len)), (dtls12, dtls13));
        }
    }
}
