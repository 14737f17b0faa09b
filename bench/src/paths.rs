//! The whole way of a packet through the pipeline, and what of it is not the cipher.
//!
//! For each figure three loops run in turn, on buffers of one pool: the whole path; seal or open alone, on records of the
//! same size; and, where a path needs its input written anew, that writing is part of both, so that the difference of the two
//! is the path's cost besides the cipher. Flows are drawn in random order; every one of them is in the table before timing starts.

use crate::contenders::record_states;
use crate::device::{BenchNic, CID_LEN, Host, Unexpected, VNI, pipeline, write_state};
use crate::measure::{Effort, Runs, Stopwatch, Timing};
use crate::report::{Sample, Table, ns};
use anyhow::{Result, ensure};
use sealnic_abi::Counter;
use sealnic_dtls::{ReadState, WriteState};
use sealnic_firmware::frame::HEADROOM;
use sealnic_firmware::{BURST, Frame, Offload, Queued, Verdict};
use std::hint::black_box;
use std::time::Duration;

/// Frames of the VM, without FCS, in octets.
pub(crate) const SIZES: [usize; 4] = [64, 256, 1024, 1454];

/// Numbers of flows.
pub(crate) const FLOWS: [u32; 4] = [1, 1 << 10, 1 << 16, 1 << 20];

/// Buffers in use: as many as a driver keeps in flight.
const POOL: usize = 64;

/// Octets between two buffers: room for 2 KB and an odd number of cache lines, so that they don't crowd in the same sets.
const STRIDE: usize = 2_112;

/// Octets of the VM's Ethernet, IPv4 and UDP headers.
pub(crate) const INNER_HEADERS: usize = 42;

/// Octets of the outer Ethernet, IPv4 and UDP headers.
const OUTER_HEADERS: usize = 42;

/// First record number of a sender without a NIC: above those that the NIC has used for its sample.
const FIRST_SEQ: u64 = 64;

/// Octets of VXLAN.
const VXLAN: usize = 8;

const CONTENT_TYPE: u8 = 23;

/// Headers of the frames of a flow from one VM to the other.
pub(crate) fn inner_headers(from: Host, octets: usize, flow: u32) -> [u8; INNER_HEADERS] {
    let mut headers = [0; INNER_HEADERS];
    let ip_len = octets - 14;
    headers[..6].copy_from_slice(&from.other().vm_mac());
    headers[6..12].copy_from_slice(&from.vm_mac());
    headers[12..16].copy_from_slice(&[8, 0, 0x45, 0]);
    headers[16..18].copy_from_slice(&(ip_len as u16).to_be_bytes());
    headers[20..24].copy_from_slice(&[0x40, 0, 64, 17]);
    headers[26..30].copy_from_slice(&from.ca().octets());
    headers[30..34].copy_from_slice(&from.other().ca().octets());
    headers[38..40].copy_from_slice(&(ip_len as u16 - 20).to_be_bytes());
    set_flow(&mut headers, flow);
    headers
}

#[inline]
fn set_flow(headers: &mut [u8; INNER_HEADERS], flow: u32) {
    // Twenty bits of flow in two ports, none of them a service that the NIC answers itself.
    headers[34..36].copy_from_slice(&(flow as u16).to_be_bytes());
    headers[36..38].copy_from_slice(&(1_000 + (flow >> 16) as u16).to_be_bytes());
}

/// Buffers that frames are written to, one after another.
struct Pool {
    octets: Vec<u8>,
}

impl Pool {
    fn new() -> Self {
        Self {
            octets: vec![0; POOL * STRIDE],
        }
    }

    #[inline]
    fn buffer(&mut self, n: usize) -> &mut [u8] {
        let start = n % POOL * STRIDE;
        &mut self.octets[start..start + STRIDE]
    }

    /// The buffers of the burst `n`: the halves of the pool in turn.
    #[inline]
    fn half(&mut self, n: usize) -> std::slice::ChunksExactMut<'_, u8> {
        let start = n % (POOL / BURST) * BURST * STRIDE;
        self.octets[start..start + BURST * STRIDE].chunks_exact_mut(STRIDE)
    }
}

/// A frame of a burst; one without a buffer is empty, and dropped.
#[inline]
fn queued(buffer: &mut [u8], start: usize, end: usize) -> Queued<'_> {
    let frame = if end <= buffer.len() {
        Frame::new(buffer, start, end)
    } else {
        None
    };
    Queued::new(frame.unwrap_or_default(), Offload::default())
}

/// Numbers below `flows` in random order, over and over: each comes once before any comes again.
struct Order {
    flows: Vec<u32>,
    at: usize,
}

impl Order {
    fn new(flows: u32) -> Self {
        let mut order: Vec<u32> = (0..flows).collect();
        let mut random = 0x2545_f491_4f6c_dd1d_u64;
        for n in (1..order.len()).rev() {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            order.swap(n, (random % (n as u64 + 1)) as usize);
        }
        Self { flows: order, at: 0 }
    }

    #[inline]
    fn next(&mut self) -> u32 {
        self.at = if self.at + 1 >= self.flows.len() {
            0
        } else {
            self.at + 1
        };
        self.flows[self.at]
    }
}

/// Runs of the whole path and of the cipher alone.
#[derive(Default)]
struct Pair {
    whole: Runs,
    burst: Runs,
    cipher: Runs,
}

impl Pair {
    fn samples(&mut self, part: &str, octets: usize, flows: u32, pages: &str, samples: &mut Vec<Sample>) {
        let (whole, burst, cipher) = (self.whole.timing(), self.burst.timing(), self.cipher.timing());
        let besides_cipher = |path: Timing| Timing {
            min_ns: path.min_ns - cipher.min_ns,
            median_ns: path.median_ns - cipher.median_ns,
        };
        for (what, timing) in [
            ("whole path, one by one", whole),
            ("whole path, bursts of 32", burst),
            ("cipher alone", cipher),
            ("besides the cipher, one by one", besides_cipher(whole)),
            ("besides the cipher, bursts of 32", besides_cipher(burst)),
        ] {
            samples.push(Sample {
                flows: Some(flows),
                pages: Some(pages.into()),
                ..Sample::new(part, what, octets, timing)
            });
        }
    }
}

/// Seal or open alone, on records like those of the path.
struct Cipher {
    write: WriteState,
    read: ReadState,
}

impl Cipher {
    fn new() -> Result<Self> {
        let (write, read) = record_states(
            sealnic_dtls::CipherSuite::Aes128Gcm,
            sealnic_dtls::Version::Dtls13,
            CID_LEN.into(),
        )?;
        Ok(Self { write, read })
    }

    /// Where a record around a frame of `octets` at `HEADROOM` begins and ends.
    fn record(&self, octets: usize) -> (usize, usize) {
        let start = HEADROOM - VXLAN - self.write.header_len();
        (start, HEADROOM + octets + self.write.trailer_len())
    }
}

/// A path under measurement, with all that it needs.
struct Bench {
    nic: BenchNic,
    pool: Pool,
    order: Order,
    cipher: Cipher,
    stopwatch: Stopwatch,
}

impl Bench {
    fn new(host: Host, flows: u32) -> Result<Self> {
        Ok(Self {
            nic: pipeline(host, flows)?,
            pool: Pool::new(),
            order: Order::new(flows),
            cipher: Cipher::new()?,
            stopwatch: Stopwatch::new(),
        })
    }

    /// Frames from the VM, each one written to its buffer and sent.
    fn egress(&mut self, octets: usize, packets: usize) -> Result<Duration> {
        let headers = inner_headers(Host::A, octets, 0);
        let (mut good, mut out) = (0, Unexpected::default());
        let Self {
            nic,
            pool,
            order,
            stopwatch,
            ..
        } = self;
        let time = stopwatch.time(|| {
            for n in 0..packets {
                let buffer = restore(pool.buffer(n), &headers, order.next());
                if let Some(mut frame) = Frame::new(buffer, HEADROOM, HEADROOM + octets) {
                    let verdict = nic.from_vf(black_box(1), black_box(0), Offload::default(), &mut frame, &mut out);
                    good += usize::from(black_box(verdict) == Verdict::WireSealed);
                }
            }
        });
        ensure!(good == packets && out.0 == 0, "{good} of {packets} frames were sealed");
        Ok(time)
    }

    /// As `egress`, in bursts.
    fn egress_burst(&mut self, octets: usize, packets: usize) -> Result<Duration> {
        let headers = inner_headers(Host::A, octets, 0);
        let (mut good, mut out) = (0, Unexpected::default());
        let Self {
            nic,
            pool,
            order,
            stopwatch,
            ..
        } = self;
        let time = stopwatch.time(|| {
            for n in 0..packets / BURST {
                let mut buffers = pool.half(n);
                let mut burst: [Queued<'_>; BURST] = std::array::from_fn(|_| {
                    let buffer = restore(buffers.next().unwrap_or_default(), &headers, order.next());
                    queued(buffer, HEADROOM, HEADROOM + octets)
                });
                nic.from_vf_burst(black_box(1), black_box(0), &mut burst, &mut out);
                good += burst.iter().filter(|q| q.verdict == Verdict::WireSealed).count();
            }
        });
        ensure!(good == packets && out.0 == 0, "{good} of {packets} frames were sealed");
        Ok(time)
    }

    /// The same writing, and seal alone.
    fn seal(&mut self, octets: usize, packets: usize) -> Result<Duration> {
        let headers = inner_headers(Host::A, octets, 0);
        let (start, end) = self.cipher.record(octets);
        let mut good = 0;
        let Self {
            cipher,
            pool,
            order,
            stopwatch,
            ..
        } = self;
        let time = stopwatch.time(|| {
            for n in 0..packets {
                let buffer = restore(pool.buffer(n), &headers, order.next());
                let sealed = cipher
                    .write
                    .seal(black_box(CONTENT_TYPE), black_box(&mut buffer[start..end]));
                good += usize::from(black_box(sealed).is_ok());
            }
        });
        ensure!(good == packets, "{good} of {packets} records were sealed");
        Ok(time)
    }

    /// Datagrams from the wire: a pool of them is sealed, and then taken in while the clock runs.
    fn ingress(&mut self, sender: &mut Sender, packets: usize) -> Result<Duration> {
        let (mut good, mut time) = (0, Duration::ZERO);
        let Self {
            nic,
            pool,
            order,
            stopwatch,
            ..
        } = self;
        for _ in 0..packets / POOL {
            let range = sender.fill(pool, order)?;
            time += stopwatch.time(|| {
                for n in 0..POOL {
                    if let Some(mut frame) = Frame::new(pool.buffer(n), range.0, range.1) {
                        let verdict = nic.from_wire(black_box(1), &mut frame);
                        good += usize::from(black_box(verdict) == Verdict::Vf(0));
                    }
                }
            });
        }
        ensure!(
            good == packets / POOL * POOL,
            "{good} of {packets} frames were delivered"
        );
        Ok(time)
    }

    /// As `ingress`, in bursts.
    fn ingress_burst(&mut self, sender: &mut Sender, packets: usize) -> Result<Duration> {
        let (mut good, mut time) = (0, Duration::ZERO);
        let Self {
            nic,
            pool,
            order,
            stopwatch,
            ..
        } = self;
        for _ in 0..packets / POOL {
            let range = sender.fill(pool, order)?;
            time += stopwatch.time(|| {
                for n in 0..POOL / BURST {
                    let mut buffers = pool.half(n);
                    let mut burst: [Queued<'_>; BURST] =
                        std::array::from_fn(|_| queued(buffers.next().unwrap_or_default(), range.0, range.1));
                    nic.from_wire_burst(black_box(1), &mut burst);
                    good += burst.iter().filter(|q| q.verdict == Verdict::Vf(0)).count();
                }
            });
        }
        ensure!(good == packets, "{good} of {packets} frames were delivered");
        Ok(time)
    }

    /// The same records opened and committed, without the pipeline.
    fn open(&mut self, octets: usize, packets: usize) -> Result<Duration> {
        let headers = inner_headers(Host::A, octets, 0);
        let (start, end) = self.cipher.record(octets);
        let (mut good, mut time) = (0, Duration::ZERO);
        let Self {
            cipher,
            pool,
            order,
            stopwatch,
            ..
        } = self;
        for _ in 0..packets / POOL {
            for n in 0..POOL {
                let buffer = restore(pool.buffer(n), &headers, order.next());
                let sealed = cipher.write.seal(CONTENT_TYPE, &mut buffer[start..end]);
                ensure!(sealed.is_ok(), "a record was not sealed");
            }
            time += stopwatch.time(|| {
                for n in 0..POOL {
                    let opened = cipher
                        .read
                        .open(black_box(1), black_box(&mut pool.buffer(n)[start..end]));
                    good += usize::from(black_box(opened).is_ok_and(|opened| cipher.read.commit(opened.seq).is_ok()));
                }
            });
        }
        ensure!(good == packets / POOL * POOL, "{good} of {packets} records were opened");
        Ok(time)
    }
}

/// The other host, reduced to what its NIC puts on the wire: its own flow table would push this host's out of the caches.
struct Sender {
    write: WriteState,
    octets: usize,
    /// All before the record's plaintext, as the NIC itself writes it, VXLAN behind.
    outer: [u8; OUTER_HEADERS],
    vxlan: [u8; VXLAN],
}

impl Sender {
    /// Learns from the other host's NIC how datagrams around frames of `octets` look.
    fn new(octets: usize, first_seq: u64) -> Result<Self> {
        let write = write_state(Host::A, first_seq)?;
        let (mut nic, mut pool) = (pipeline(Host::A, 1)?, Pool::new());
        let buffer = restore(pool.buffer(0), &inner_headers(Host::A, octets, 0), 0);
        let mut frame = Frame::new(buffer, HEADROOM, HEADROOM + octets).unwrap_or_default();
        let verdict = nic.from_vf(1, 0, Offload::default(), &mut frame, &mut Unexpected::default());
        ensure!(verdict == Verdict::WireSealed, "the sender's verdict is {verdict:?}");
        let outer = frame.octets().first_chunk().copied().unwrap_or([0; OUTER_HEADERS]);
        Ok(Self {
            write,
            octets,
            outer,
            vxlan: vxlan_header(),
        })
    }

    /// Fills the pool with datagrams of the next flows; returns where in its buffer each lies.
    fn fill(&mut self, pool: &mut Pool, order: &mut Order) -> Result<(usize, usize)> {
        let headers = inner_headers(Host::A, self.octets, 0);
        let record = HEADROOM - VXLAN - self.write.header_len();
        let end = HEADROOM + self.octets + self.write.trailer_len();
        for n in 0..POOL {
            let buffer = restore(pool.buffer(n), &headers, order.next());
            buffer[record - OUTER_HEADERS..record].copy_from_slice(&self.outer);
            buffer[HEADROOM - VXLAN..HEADROOM].copy_from_slice(&self.vxlan);
            let sealed = self.write.seal(CONTENT_TYPE, &mut buffer[record..end]);
            ensure!(sealed.is_ok(), "a record was not sealed");
        }
        Ok((record - OUTER_HEADERS, end))
    }
}

/// The VXLAN header of the VNet (RFC 7348 section 5): flag I, and the VNI in octets 4 to 6.
fn vxlan_header() -> [u8; VXLAN] {
    let [_, vni @ ..] = VNI.to_be_bytes();
    [8, 0, 0, 0, vni[0], vni[1], vni[2], 0]
}

/// Writes a frame's headers to where a VM's frame begins; what follows may be anything.
#[inline]
fn restore<'a>(buffer: &'a mut [u8], headers: &[u8; INNER_HEADERS], flow: u32) -> &'a mut [u8] {
    let mut headers = *headers;
    set_flow(&mut headers, flow);
    buffer[HEADROOM..HEADROOM + INNER_HEADERS].copy_from_slice(&headers);
    buffer
}

/// Runs `work` and makes sure that it allocates nothing.
fn without_allocation(work: impl FnOnce() -> Result<Duration>) -> Result<Duration> {
    let mut result = Ok(Duration::ZERO);
    let allocations = allocation_counter::measure(|| result = work());
    let time = result?;
    ensure!(
        allocations.count_total == 0,
        "the path allocated memory {} times",
        allocations.count_total
    );
    Ok(time)
}

/// Measures both directions for each number of flows. `pages` names what the tables' memory is made of.
pub(crate) fn run(effort: Effort, pages: &str) -> Result<Vec<Sample>> {
    let miss_ns = crate::machine::miss_ns();
    let timing = Timing {
        min_ns: miss_ns,
        median_ns: miss_ns,
    };
    let mut samples = vec![Sample {
        pages: Some(pages.into()),
        ..Sample::new("latency", "dependent load beyond the caches", 8, timing)
    }];
    for flows in FLOWS
        .into_iter()
        .filter(|flows| (effort.flows.0..=effort.flows.1).contains(flows))
    {
        egress(effort, flows, pages, &mut samples)?;
        ingress(effort, flows, pages, &mut samples)?;
    }
    Ok(samples)
}

fn egress(effort: Effort, flows: u32, pages: &str, samples: &mut Vec<Sample>) -> Result<()> {
    let mut bench = Bench::new(Host::A, flows)?;
    bench.egress(SIZES[0], flows as usize)?;
    let misses = flow_misses(&bench.nic);
    for octets in SIZES {
        let mut pair = Pair::default();
        for run in 0..=effort.path_runs {
            let whole = without_allocation(|| bench.egress(octets, effort.packets))?;
            let burst = without_allocation(|| bench.egress_burst(octets, effort.packets))?;
            let cipher = bench.seal(octets, effort.packets)?;
            if run > 0 {
                pair.whole.add(whole, effort.packets);
                pair.burst.add(burst, effort.packets);
                pair.cipher.add(cipher, effort.packets);
            }
        }
        pair.samples("egress", octets, flows, pages, samples);
    }
    ensure!(
        flow_misses(&bench.nic) == misses,
        "a flow was decided while the clock ran"
    );
    Ok(())
}

fn ingress(effort: Effort, flows: u32, pages: &str, samples: &mut Vec<Sample>) -> Result<()> {
    let mut bench = Bench::new(Host::B, flows)?;
    let mut sender = Sender::new(SIZES[0], FIRST_SEQ)?;
    bench.ingress(&mut sender, (flows as usize).max(POOL))?;
    let misses = flow_misses(&bench.nic);
    for octets in SIZES {
        sender = Sender::new(octets, sender.write.next_seq())?;
        let mut pair = Pair::default();
        for run in 0..=effort.path_runs {
            let whole = without_allocation(|| bench.ingress(&mut sender, effort.packets))?;
            let burst = without_allocation(|| bench.ingress_burst(&mut sender, effort.packets))?;
            let cipher = bench.open(octets, effort.packets)?;
            if run > 0 {
                pair.whole.add(whole, effort.packets);
                pair.burst.add(burst, effort.packets);
                pair.cipher.add(cipher, effort.packets);
            }
        }
        pair.samples("ingress", octets, flows, pages, samples);
    }
    ensure!(
        flow_misses(&bench.nic) == misses,
        "a flow was decided while the clock ran"
    );
    Ok(())
}

fn flow_misses(nic: &BenchNic) -> u64 {
    nic.counter_values().values[usize::from(u8::from(Counter::FlowMiss))]
}

/// Tables of both directions: the whole path, the cipher alone, and the difference.
pub(crate) fn print(samples: &[Sample]) {
    for part in ["egress", "ingress"] {
        for pages in ["4K", "huge"] {
            let rows: Vec<&Sample> = samples
                .iter()
                .filter(|s| s.part == part && s.pages.as_deref() == Some(pages))
                .collect();
            if rows.is_empty() {
                continue;
            }
            let latency = samples
                .iter()
                .find(|s| s.part == "latency" && s.pages.as_deref() == Some(pages))
                .map_or(f64::NAN, |s| s.min_ns);
            println!("\n### {part}, tables in {pages} pages: ns per packet, quickest run (median)\n");
            println!(
                "A load whose address the one before it brings, from 128 MB: {} ns.\n",
                ns(latency)
            );
            let mut table = Table::new(
                ["what".to_owned(), "flows".to_owned()]
                    .into_iter()
                    .chain(SIZES.map(|octets| format!("{octets} octets"))),
            );
            let mut lines: Vec<(&str, Option<u32>)> = Vec::new();
            for row in &rows {
                let line = (row.what.as_str(), row.flows);
                if !lines.contains(&line) {
                    lines.push(line);
                }
            }
            for (what, flows) in lines {
                let cells = SIZES.map(|octets| {
                    rows.iter()
                        .find(|s| s.what == what && s.flows == flows && s.octets == octets)
                        .map_or_else(String::new, |s| format!("{} ({})", ns(s.min_ns), ns(s.median_ns)))
                });
                let flows = flows.map_or_else(String::new, |flows| flows.to_string());
                table.row([what.to_owned(), flows].into_iter().chain(cells));
            }
            print!("{table}");
        }
    }
}
