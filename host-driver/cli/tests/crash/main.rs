//! A daemon is killed at named points of programming and of traffic. The NIC, which is served by another process's thread, goes on; the
//! next daemon finds what is there and makes it what it should be; and over all records that any NIC sealed, no key has sealed a
//! sequence number twice.
//!
//! Needs `--features fault-points`.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test stops where it fails"
)]

#[allow(dead_code, reason = "shared with the tests of the daemon")]
#[path = "../daemon/harness.rs"]
mod harness;
#[allow(dead_code, reason = "shared with the tests of the daemon")]
mod nic;
#[allow(dead_code, reason = "shared with the tests of the daemon")]
mod rig;
mod wire;

use pcap_file::pcapng::{Block, PcapNgReader};
use rig::{Rig, RunNumber};
use sealnic_driver_suite::kill_points::{PROGRAMMING, TRAFFIC};
use std::fs::File;
use std::path::Path;
use wire::Records;

/// Takes the frames of a capture.
fn read(capture: &Path, records: &mut Records) {
    let mut reader = PcapNgReader::new(File::open(capture).unwrap()).unwrap();
    while let Some(block) = reader.next_block() {
        if let Block::EnhancedPacket(packet) = block.unwrap() {
            records.take(&packet.data);
        }
    }
}

#[test]
fn a_daemon_may_die_anywhere_and_the_next_one_takes_over() {
    let mut records = Records::default();
    for (number, point) in PROGRAMMING.iter().enumerate() {
        let rig = Rig::new(RunNumber::new(number));
        let peer = rig.daemon(1, None).expect("the peer's daemon starts");
        rig.die_at(point);
        // Whatever stands half programmed: nothing leaves that should not. The wire is looked at in the end.
        rig.send_both_ways();
        let daemon = rig.daemon(0, None).expect("the next daemon starts");
        rig.check_state(&daemon);
        rig.check_forwarding();
        drop((daemon, peer));
        println!("{point}: the next daemon took over");
        read(&rig.finish(), &mut records);
    }
    for (number, point) in TRAFFIC.iter().enumerate() {
        let rig = Rig::new(RunNumber::new(PROGRAMMING.len() + number));
        let peer = rig.daemon(1, None).expect("the peer's daemon starts");
        rig.die_in_traffic(point, &peer);
        // The peer may have switched meanwhile, or not: the NIC goes on in both directions without its daemon.
        rig.check_forwarding();
        let daemon = rig.daemon(0, None).expect("the next daemon starts");
        rig.check_state(&daemon);
        rig.check_forwarding();
        // An interrupted rotation is carried on, and one that was not begun can be.
        for step in ["prepare", "switch", "finish"] {
            for end in [&daemon, &peer] {
                rig.carry_on(end, step);
            }
            rig.check_forwarding();
        }
        drop((daemon, peer));
        println!("{}: the NIC went on, the next daemon took over", point.name);
        read(&rig.finish(), &mut records);
    }
    println!(
        "{} points, {} records sealed under {} keys, none of them with a sequence number twice, and {} frames in the clear",
        PROGRAMMING.len() + TRAFFIC.len(),
        records.sealed(),
        records.keys(),
        records.clear
    );
    assert!(records.sealed() > 100, "hardly anything was sealed");
    assert_eq!(records.twice, Vec::<String>::new());
    assert_eq!(records.clear, 0);
}
