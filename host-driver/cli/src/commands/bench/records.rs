//! Sealing and opening records, through the code that the pipeline uses.

use std::hint::black_box;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use sealnic_dtls::{CipherSuite, ConnectionId, KeyMaterial, Limits, ReadState, RecordConfig, Version, WriteState};
use serde::Serialize;

use super::{CID_LEN, RECORD_SIZES, median_ns, wire_ns};
use crate::commands::CommandError;

/// Octets that a batch of records may take: they stay in a first-level cache.
const BATCH_OCTETS: usize = 20_480;
const APPLICATION_DATA: u8 = 23;

/// One size of records.
#[derive(Serialize)]
pub(super) struct Records {
    pub(super) dtls: &'static str,
    pub(super) cipher: &'static str,
    pub(super) plaintext_len: usize,
    pub(super) seal_ns: f64,
    pub(super) open_ns: f64,
    /// Time between two such records on the wire.
    pub(super) wire_ns: f64,
}

/// Both ends of a key that nobody uses for anything else.
fn states(dtls: &str, cipher: &str) -> Result<(WriteState, ReadState), CommandError> {
    let failed = |what: &str| CommandError::Bench(format!("{what}; this is a bug, please report it"));
    let config = RecordConfig {
        version: if dtls == "1.2" {
            Version::Dtls12
        } else {
            Version::Dtls13
        },
        suite: if cipher == "AES-128-GCM" {
            CipherSuite::Aes128Gcm
        } else {
            CipherSuite::Aes256Gcm
        },
        cid: ConnectionId::try_from(&[0x5a; CID_LEN][..]).map_err(|_| failed("a connection id is refused"))?,
        epoch: 3,
    };
    let keys = KeyMaterial {
        key: [1; 32],
        iv: [2; 12],
        sn_key: [3; 32],
    };
    let limits = Limits::default_for(config.version);
    let refused = |_| failed("a key is refused");
    let write = WriteState::new(&keys, config, 0, limits).map_err(refused)?;
    Ok((write, ReadState::new(&keys, config, 4096, limits).map_err(refused)?))
}

/// Measures every size; the seal and the open of a size share its budget.
pub(super) fn measure_records(
    dtls: &'static str,
    cipher: &'static str,
    budget: Duration,
    bar: &ProgressBar,
    into: &mut Vec<Records>,
) -> Result<(), CommandError> {
    let (mut write, mut read) = states(dtls, cipher)?;
    let around = write.header_len() + write.trailer_len();
    for plaintext_len in RECORD_SIZES {
        let mut batch = vec![vec![0u8; plaintext_len + around]; (BATCH_OCTETS / plaintext_len).clamp(1, 64)];
        let mut open_times = Vec::new();
        let seal_ns = median_ns(budget, || {
            let mut good = true;
            let start = Instant::now();
            for record in &mut batch {
                good &= write.seal(APPLICATION_DATA, black_box(record)).is_ok();
            }
            let sealed = start.elapsed();
            for record in &mut batch {
                let opened = read.open(0, black_box(record));
                good &= opened.is_ok_and(|opened| read.commit(opened.seq).is_ok());
            }
            open_times.push((start.elapsed() - sealed).as_nanos() as f64 / batch.len() as f64);
            if good {
                Ok((sealed, batch.len()))
            } else {
                Err(CommandError::Bench(
                    "a record didn't open as it was sealed; this is a bug, please report it".to_owned(),
                ))
            }
        })?;
        open_times.sort_by(f64::total_cmp);
        into.push(Records {
            dtls,
            cipher,
            plaintext_len,
            seal_ns,
            open_ns: open_times[open_times.len() / 2],
            wire_ns: wire_ns(dtls, plaintext_len),
        });
        bar.inc(1);
    }
    Ok(())
}
