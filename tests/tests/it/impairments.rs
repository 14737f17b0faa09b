//! A bad underlay: what arrives arrives once and whole, and what doesn't is counted.
//!
//! The full run of a million frames for each version: `cargo test --release -p sealnic-tests impairments`.

use sealnic_abi::object::DtlsVersion;
use sealnic_hw_model::Edge;
use sealnic_hw_model::middleware::Impairments;
use sealnic_tests::{Random, Setup, TestBed, for_each_backend};

/// Frames of one run.
const FRAMES: u64 = if cfg!(debug_assertions) { 50_000 } else { 1_000_000 };

fn run(backend: &sealnic_tests::Backend, setup: Setup, frames: u64) {
    let mut bed = TestBed::new(backend, setup);
    bed.records_wire = false;
    let padding = Random::new(1).octets(1_000);
    let frame_of = |bed: &TestBed, n: u64| {
        // A few hundred flows of all sizes; which frame it is stands in the payload.
        let payload = [&n.to_be_bytes()[..], &padding[..(n as usize * 7) % padding.len()]].concat();
        bed.frame(0, 1, n.is_multiple_of(5))
            .udp((n % 300) as u16, 4_000, &payload)
            .build()
    };
    let mut seen = vec![false; frames as usize];
    let mut arrived = 0_u64;
    let mut arrive = |bed: &TestBed, deliveries: Vec<sealnic_tests::bed::Delivery>| {
        for delivery in deliveries {
            assert_eq!((delivery.host, delivery.port), (1, 0));
            let at = if delivery.frame[12] == 0x08 { 42 } else { 62 };
            let n = u64::from_be_bytes(delivery.frame[at..at + 8].try_into().unwrap());
            assert!(delivery.frame == frame_of(bed, n), "frame {n} is corrupt");
            assert!(!std::mem::replace(&mut seen[n as usize], true), "frame {n} came twice");
            arrived += 1;
        }
    };
    for n in 0..frames {
        let frame = frame_of(&bed, n);
        bed.push(0, Edge::Vf(0), &frame, Default::default());
        bed.settle();
        if n % 1_000 == 0 {
            let outcome = bed.take_frames();
            arrive(&bed, outcome.delivered);
        }
    }
    let outcome = bed.flush_wire();
    arrive(&bed, outcome.delivered);

    let wire = bed.wire_counters();
    assert_eq!(
        (wire.sent, bed.counters(0).dropped_total()),
        (frames, 0),
        "every frame went on the wire"
    );
    assert_eq!(wire.delivered, frames - wire.lost + wire.duplicated);
    assert_eq!(
        wire.delivered,
        bed.hosts[1].ledger.wire_in + bed.off_bed(),
        "but for damaged outer addresses"
    );
    let receiver = bed.counters(1);
    assert_eq!(
        u128::from(bed.hosts[1].ledger.wire_in - arrived - bed.hosts[1].ledger.host_out),
        receiver.dropped_total()
    );
    // Nothing is missing but what the wire lost or damaged: copies make up for some of it.
    let missing = frames - arrived;
    assert!(missing <= wire.lost + wire.corrupted, "{missing} missing of {wire:?}");
    assert!(missing + wire.duplicated >= wire.lost, "{missing} missing of {wire:?}");
    let drops: Vec<_> = receiver.drops().filter(|(_, count)| *count != 0).collect();
    println!(
        "{arrived} of {frames} arrived; {wire:?}; {} off the bed; {drops:?}",
        bed.off_bed()
    );
}

#[test]
fn impairments_of_the_wire_neither_double_nor_corrupt_a_frame_and_every_loss_is_counted() {
    for_each_backend(|backend| {
        for (version, cid_len, underlay_v6) in [(DtlsVersion::Dtls13, 8, false), (DtlsVersion::Dtls12, 0, true)] {
            let impairments = Impairments {
                loss: 0.01,
                reorder: 0.05,
                duplicate: 0.01,
                corrupt: 0.001,
                seed: 99,
            };
            let setup = Setup::two_hosts().with(|s| {
                (s.version, s.cid_len, s.underlay_v6, s.impairments) = (version, cid_len, underlay_v6, impairments);
            });
            run(backend, setup, FRAMES);
        }
    });
}

#[test]
fn a_wire_that_mostly_damages_and_repeats_still_delivers_nothing_wrong() {
    for_each_backend(|backend| {
        for version in [DtlsVersion::Dtls12, DtlsVersion::Dtls13] {
            let impairments = Impairments {
                loss: 0.2,
                reorder: 0.5,
                duplicate: 0.5,
                corrupt: 0.7,
                seed: 7,
            };
            run(
                backend,
                Setup::two_hosts().with(|s| (s.version, s.impairments) = (version, impairments)),
                10_000,
            );
        }
    });
}

#[test]
fn a_burst_of_losses_longer_than_the_number_on_the_wire_deafens_nobody_for_ever() {
    // DTLS 1.3 shows sixteen bits of the record number: half of their range lost in a row is the hard case.
    for_each_backend(|backend| {
        for version in [DtlsVersion::Dtls12, DtlsVersion::Dtls13] {
            let mut bed = TestBed::new(backend, Setup::two_hosts().with(|s| s.version = version));
            bed.records_wire = false;
            let frame = bed.frame(0, 1, false).build();
            bed.push(0, Edge::Vf(0), &frame, Default::default());
            bed.settle();
            assert_eq!(bed.take_frames().delivered.len(), 1);
            bed.is_connected = false;
            for _ in 0..40_000 {
                bed.push(0, Edge::Vf(0), &frame, Default::default());
                bed.settle();
            }
            bed.take_frames();
            bed.is_connected = true;
            // A second of traffic later it hears again.
            let mut heard = 0;
            for _ in 0..1_000 {
                bed.now_ns += 1_000_000;
                bed.push(0, Edge::Vf(0), &frame, Default::default());
                bed.settle();
                heard += bed.take_frames().delivered.len();
            }
            assert!(heard > 500, "{heard} of 1,000 heard");
        }
    });
}
