//! The machine that the figures are of.

use serde::Serialize;
use std::hint::black_box;
use std::time::Instant;

/// What a reader must know to compare figures.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Machine {
    /// Processor, as it calls itself.
    pub(crate) cpu: String,
    /// Family, model and stepping: a virtual machine often hides the name.
    pub(crate) cpu_family: String,
    /// Clock while measuring, in GHz.
    pub(crate) ghz: f64,
    /// Compiler.
    pub(crate) rustc: String,
    /// Version of the system's OpenSSL, when it takes part.
    pub(crate) openssl: Option<String>,
}

impl Machine {
    /// This one.
    pub(crate) fn here() -> Self {
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let field = |name: &str| {
            cpuinfo
                .lines()
                .find(|line| line.split(':').next().is_some_and(|key| key.trim() == name))
                .and_then(|line| line.split(':').nth(1))
                .map_or_else(|| "unknown".to_owned(), |value| value.trim().to_owned())
        };
        Self {
            cpu: field("model name"),
            cpu_family: format!(
                "family {}, model {}, stepping {}",
                field("cpu family"),
                field("model"),
                field("stepping")
            ),
            ghz: clock_ghz(),
            rustc: command("rustc", &["--version"]).unwrap_or_else(|| "rustc unknown".to_owned()),
            #[cfg(feature = "openssl")]
            openssl: Some(openssl::version::version().to_owned()),
            #[cfg(not(feature = "openssl"))]
            openssl: None,
        }
    }
}

fn command(program: &str, args: &[&str]) -> Option<String> {
    let output = std::process::Command::new(program).args(args).output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Lines of memory that [`miss_ns`] wanders over: 128 MB, as much as the entries of a table for a million flows.
const LINES: usize = 1 << 21;

/// Nanoseconds from one load to the next whose address it is, over memory far larger than the caches.
pub(crate) fn miss_ns() -> f64 {
    const STEPS: u32 = 200_000;
    // All lines in an order that no prefetcher guesses: each step is one-to-one modulo a power of two.
    let line = |n: usize| {
        let scattered = n.wrapping_mul(0x9e37_79b1) % LINES;
        (scattered ^ scattered >> 11).wrapping_mul(0x85eb_ca6b) % LINES * 8
    };
    let mut memory = vec![0u64; LINES * 8];
    for n in 0..LINES {
        memory[line(n)] = line((n + 1) % LINES) as u64;
    }
    let mut at = line(0);
    let best = (0..5)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..STEPS {
                at = memory[at] as usize;
            }
            black_box(at);
            start.elapsed().as_nanos() as f64
        })
        .fold(f64::INFINITY, f64::min);
    best / f64::from(STEPS)
}

/// Clock of this core, from a chain of dependent operations of one cycle each (addition, rotation, exclusive or), which holds on every
/// core of the last twenty years.
fn clock_ghz() -> f64 {
    const ROUNDS: u32 = 200_000;
    let best = (0..25)
        .map(|_| {
            let mut x = black_box(1u64);
            let start = Instant::now();
            for n in 0..u64::from(ROUNDS) {
                // Three operations that depend on each other and that no compiler can fold.
                x = (x.wrapping_add(n)).rotate_left(7) ^ n;
            }
            black_box(x);
            start.elapsed().as_nanos() as f64
        })
        .fold(f64::INFINITY, f64::min);
    f64::from(ROUNDS) * 3.0 / best
}
