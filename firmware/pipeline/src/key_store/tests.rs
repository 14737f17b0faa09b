//! That keys are gone from the store's memory, not only out of its reach.
extern crate std;

use crate::nic::Nic;
use crate::testing::{TestNic, device};
use sealnic_abi::object::{Direction, SaInstall};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::vec::Vec;
use zerocopy::FromZeros;

const KEY: [u8; 16] = *b"the AES key here";
const SN_KEY: [u8; 16] = *b"its number's key";
const IV: [u8; 12] = *b"and its IV..";

/// Secrets that lie in the place of an SA, in the octets that the process has there.
fn secrets_in_slot(nic: &TestNic, sa: usize) -> usize {
    let slot = &nic.keys.sas[sa];
    let mut octets = std::vec![0; size_of_val(slot)];
    let memory = File::open("/proc/self/mem").unwrap();
    let address = std::ptr::from_ref(slot).addr() as u64;
    memory.read_exact_at(&mut octets, address).unwrap();
    [&KEY[..], &SN_KEY, &IV]
        .iter()
        .filter(|secret| octets.windows(secret.len()).any(|window| window == **secret))
        .count()
}

/// A device with one more SA, whose secrets are the ones above.
fn installed(direction: Direction) -> TestNic {
    let mut nic = device(0);
    let mut install = SaInstall::new_zeroed();
    (install.sa, install.direction, install.epoch) = (2, direction.into(), 4);
    install.key[..16].copy_from_slice(&KEY);
    install.sn_key[..16].copy_from_slice(&SN_KEY);
    install.iv = IV;
    nic.keys.install(&install, 0).unwrap();
    assert!(
        secrets_in_slot(&nic, 2) >= 2,
        "the secrets aren't where they are looked for"
    );
    nic
}

/// A way in which keys go: its name, of what SA, and how.
type Way = (&'static str, Direction, fn(&mut TestNic));

fn ways() -> Vec<Way> {
    std::vec![
        ("removal", Direction::Read, |nic| nic.keys.remove(2).unwrap()),
        ("removal", Direction::Write, |nic| nic.keys.remove(2).unwrap()),
        ("retirement", Direction::Write, |nic| assert!(
            nic.keys.retire(2, 0).unwrap()
        )),
        ("end of the overlap", Direction::Read, |nic| {
            assert!(!nic.keys.retire(2, 0).unwrap());
            while nic.poll(1_000_000_000_000, 0) {}
        }),
        ("replacement", Direction::Write, |nic| {
            nic.keys.activate(2).unwrap();
            let mut install = SaInstall::new_zeroed();
            (install.sa, install.direction, install.epoch) = (3, Direction::Write.into(), 5);
            install.key[0] = 9;
            nic.keys.install(&install, 0).unwrap();
            assert_eq!(nic.keys.activate(3).unwrap(), Some(2));
        }),
        ("removal of the association", Direction::Read, |nic| {
            nic.keys.remove_association(0).map(drop).unwrap();
        }),
        ("reset", Direction::Read, Nic::reset),
    ]
}

#[test]
#[cfg(target_os = "linux")]
fn keys_that_go_are_wiped_where_they_lay() {
    for (name, direction, act) in ways() {
        let mut nic = installed(direction);
        act(&mut nic);
        assert!(nic.keys.sa(2).is_none(), "{name} of a {direction:?} SA");
        assert_eq!(secrets_in_slot(&nic, 2), 0, "{name} of a {direction:?} SA");
    }
}

#[test]
fn overlaps_that_end_at_once_are_found_in_one_pass() {
    let mut nic = device(0);
    let mut install = SaInstall::new_zeroed();
    (install.sa, install.direction, install.epoch, install.key[0]) = (7, Direction::Read.into(), 4, 8);
    nic.keys.install(&install, 0).unwrap();
    // The later one lies before the other: it is behind where the search goes on.
    for (sa, at) in [(7, 5), (1, 6)] {
        assert!(!nic.keys.retire(sa, at).unwrap());
    }
    assert_eq!(nic.keys.expired(4), None);
    assert_eq!(nic.keys.expired(5), Some(7));
    assert_eq!(nic.keys.expired(6), Some(7), "nobody removed it");
    nic.keys.remove(7).unwrap();
    assert_eq!(nic.keys.expired(5), None);
    assert_eq!(nic.keys.expired(6), Some(1));
    nic.keys.remove(1).unwrap();
    assert_eq!(nic.keys.expired(u64::MAX - 1), None);
}
