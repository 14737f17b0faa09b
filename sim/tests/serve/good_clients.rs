//! Clients that do what the protocol says.

use crate::client::{self, EBADF, EEXIST, EINVAL, Raw, count, event, memory};
use crate::device::{self, COPY_LEN, DETACHED, DOORBELL, FAULT, RESETS, SOURCE, Served, TARGET};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt as _;

const MAP_BOTH: u32 = 3;
const MAP_READ: u32 = 1;
const MAP_WRITE: u32 = 2;

/// Copies from `source` to `target`, interrupting `vector`; whether there was a fault.
fn copy(raw: &mut Raw, source: u64, target: u64, vector: u8) -> bool {
    raw.write(SOURCE, &source.to_le_bytes());
    raw.write(TARGET, &target.to_le_bytes());
    raw.write(DOORBELL, &[vector]);
    raw.read(FAULT, 1)[0] != 0
}

#[test]
fn an_independent_client_finds_the_function_and_drives_it() {
    let served = Served::start();
    let mut client = vfio_user::Client::new(&served.socket).unwrap();
    let mut id = [0; 4];
    client.region_read(7, 0, &mut id).unwrap();
    assert_eq!(id, [0xe5, 0x1d, 0x01, 0x00]);
    assert_eq!(client.region(0).unwrap().size, device::BAR_LEN as u64);
    assert_eq!(client.region(7).unwrap().size, 4096);
    assert_eq!(client.region(1).unwrap().size, 0);
    assert_eq!(client.get_irq_info(2).unwrap().count, u32::from(device::VECTORS));
    assert_eq!(client.get_irq_info(0).unwrap().count, 0);

    let ram = memory(0x10000);
    ram.write_all_at(&[0xab; COPY_LEN], 0x2000).unwrap();
    client.dma_map(0, 0x10_0000, 0x10000, ram.as_raw_fd()).unwrap();
    let events = [event(), event()];
    let fds: Vec<_> = events.iter().map(AsRawFd::as_raw_fd).collect();
    client.set_irqs(2, 0x24, 1, 2, &fds).unwrap();
    client.region_write(0, SOURCE, &0x10_2000u64.to_le_bytes()).unwrap();
    client.region_write(0, TARGET, &0x10_3fe0u64.to_le_bytes()).unwrap();
    client.region_write(0, DOORBELL, &[2]).unwrap();
    let mut fault = [0xff];
    client.region_read(0, FAULT, &mut fault).unwrap();
    assert_eq!(fault, [0]);
    let mut copied = [0; COPY_LEN];
    ram.read_exact_at(&mut copied, 0x3fe0).unwrap();
    assert_eq!(copied, [0xab; COPY_LEN]);
    assert_eq!(events.each_ref().map(count), [0, 1]);

    client.reset().unwrap();
    let mut resets = [0; 4];
    client.region_read(0, RESETS, &mut resets).unwrap();
    assert_eq!(u32::from_le_bytes(resets), 1);
    client.shutdown().unwrap();
}

#[test]
fn the_device_keeps_its_state_between_clients_but_no_way_to_the_old_one() {
    let served = Served::start();
    let ram = memory(0x4000);
    let event = event();
    let mut first = Raw::set_up(&served.socket);
    assert_eq!(first.map(0x1000, 0x4000, MAP_BOTH, &ram, 0), 0);
    assert_eq!(first.set_vector(3, &event), 0);
    first.write(0x100, b"kept");
    assert!(!copy(&mut first, 0x1000, 0x2000, 3));
    assert_eq!(count(&event), 1);
    drop(first);

    let mut second = Raw::set_up(&served.socket);
    assert_eq!(second.read(0x100, 4), b"kept");
    assert_eq!(second.read(DETACHED, 4), [1, 0, 0, 0]);
    assert!(
        copy(&mut second, 0x1000, 0x2000, 3),
        "the first client's memory is still reached"
    );
    assert_eq!(count(&event), 0, "the first client is still interrupted");
    assert_eq!(second.ask(client::RESET, &[], &[]).error, 0);
    assert_eq!(second.read(0x100, 4), [0; 4]);
}

#[test]
fn a_hundred_clients_come_and_go() {
    let served = Served::start();
    for number in 0u32..100 {
        let mut raw = Raw::set_up(&served.socket);
        assert_eq!(raw.read(DETACHED, 4), number.to_le_bytes());
    }
}

#[test]
fn a_range_is_reached_page_by_page_through_all_that_maps_it_and_only_as_permitted() {
    let served = Served::start();
    let mut raw = Raw::set_up(&served.socket);
    let (a, b) = (memory(0x3000), memory(0x3000));
    // Neighbours in address that are none in memory, of two files.
    assert_eq!(raw.map(0x10000, 0x1000, MAP_BOTH, &a, 0x2000), 0);
    assert_eq!(raw.map(0x11000, 0x1000, MAP_BOTH, &b, 0x1000), 0);
    assert_eq!(raw.map(0x20000, 0x1000, MAP_READ, &a, 0), 0);
    assert_eq!(raw.map(0x30000, 0x1000, MAP_WRITE, &a, 0), 0);
    // The last page of all.
    assert_eq!(raw.map(u64::MAX - 0xfff, 0x1000, MAP_BOTH, &a, 0x1000), 0);
    let pattern: Vec<u8> = (0..COPY_LEN as u8).collect();
    a.write_all_at(&pattern[..32], 0x2fe0).unwrap();
    b.write_all_at(&pattern[32..], 0x1000).unwrap();
    assert!(!copy(&mut raw, 0x10fe0, u64::MAX - 0x3f, 0));
    let mut copied = vec![0; COPY_LEN];
    a.read_exact_at(&mut copied, 0x1fc0).unwrap();
    assert_eq!(copied, pattern);

    assert!(!copy(&mut raw, 0x20000, 0x30000, 0));
    assert!(
        copy(&mut raw, 0x20000, 0x20000, 0),
        "written where only reading is permitted"
    );
    assert!(
        copy(&mut raw, 0x30000, 0x10000, 0),
        "read where only writing is permitted"
    );
    assert!(copy(&mut raw, 0x11fe0, 0x10000, 0), "read beyond the last page");
    assert!(copy(&mut raw, 0x10000, u64::MAX - 0x3e, 0), "an address wrapped round");
    assert!(copy(&mut raw, 0xfff0, 0x10000, 0), "read before the first page");

    assert_eq!(raw.unmap(0x10000, 0x2000), 0);
    assert!(copy(&mut raw, 0x10000, 0x30000, 0), "read what was unmapped");
}

#[test]
fn mappings_that_make_no_sense_are_refused_and_change_nothing() {
    let served = Served::start();
    let mut raw = Raw::set_up(&served.socket);
    let ram = memory(0x4000);
    assert_eq!(raw.map(0x1000, 0x2000, MAP_BOTH, &ram, 0), 0);
    for (iova, len, flags, offset, error) in [
        (0x8000, 0, MAP_BOTH, 0, EINVAL),
        (0x8000, 0x800, MAP_BOTH, 0, EINVAL),
        (0x8001, 0x1000, MAP_BOTH, 0, EINVAL),
        (0x8000, 0x1000, MAP_BOTH, 0x10, EINVAL),
        (0x8000, 0x1000, 0, 0, EINVAL),
        (0x8000, 0x1000, 7, 0, EINVAL),
        (u64::MAX - 0xfff, 0x2000, MAP_BOTH, 0, EINVAL),
        (0x8000, 0x5000, MAP_BOTH, 0, EBADF),
        (0x8000, 0x1000, MAP_BOTH, u64::MAX - 0xfff, EBADF),
        (0x0, 0x2000, MAP_BOTH, 0, EEXIST),
        (0x2000, 0x1000, MAP_BOTH, 0, EEXIST),
        (0x2000, 0x2000, MAP_BOTH, 0, EEXIST),
        (0x0, 0x4000, MAP_BOTH, 0, EEXIST),
    ] {
        assert_eq!(
            raw.map(iova, len, flags, &ram, offset),
            error,
            "{iova:#x} {len:#x} {flags} {offset:#x}"
        );
    }
    for (iova, len) in [
        (0x1000, 0x1000),
        (0x2000, 0x1000),
        (0x2000, 0x2000),
        (0x0, 0x2000),
        (0x0, 0),
        (1 << 63, 1 << 63 | 1),
    ] {
        assert_eq!(raw.unmap(iova, len), EINVAL, "{iova:#x} {len:#x}");
    }
    // Nothing is mapped there, so nothing is left of it: that is what was asked for.
    assert_eq!(raw.unmap(0x10_0000, 0x1000), 0);
    assert!(!copy(&mut raw, 0x1000, 0x2000, 0));
    // Memory that can't be shared is known, and gone again when it is unmapped.
    assert_eq!(
        raw.ask(client::DMA_MAP, &client::mapping(0xc_0000, 0x1000, MAP_READ, 0), &[])
            .error,
        0
    );
    assert!(copy(&mut raw, 0xc_0000, 0x1000, 0));
    assert_eq!(raw.unmap(0, u64::MAX), 0);
    assert!(copy(&mut raw, 0x1000, 0x2000, 0));
}

#[test]
fn interrupts_are_set_one_by_one_or_together_triggered_and_given_up() {
    let served = Served::start();
    let mut raw = Raw::set_up(&served.socket);
    let events: Vec<_> = (0..4).map(|_| event()).collect();
    let counts = |events: &[_]| events.iter().map(count).collect::<Vec<_>>();
    for (vector, event) in events.iter().enumerate() {
        assert_eq!(raw.set_vector(vector as u32, event), 0);
    }
    // Triggered by the client: all, then some.
    assert_eq!(raw.ask(client::SET_IRQS, &client::irqs(0x21, 2, 0, 4), &[]).error, 0);
    assert_eq!(counts(&events), [1, 1, 1, 1]);
    let mut body = client::irqs(0x22, 2, 1, 3);
    body.extend([1, 0, 1]);
    assert_eq!(raw.ask(client::SET_IRQS, &body, &[]).error, 0);
    assert_eq!(counts(&events), [0, 1, 0, 1]);
    // One given up, then all.
    assert_eq!(raw.ask(client::SET_IRQS, &client::irqs(0x24, 2, 1, 1), &[]).error, 0);
    raw.write(DOORBELL, &[1]);
    raw.write(DOORBELL, &[2]);
    assert_eq!(counts(&events), [0, 0, 1, 0]);
    assert_eq!(raw.ask(client::SET_IRQS, &client::irqs(0x21, 2, 0, 0), &[]).error, 0);
    raw.write(DOORBELL, &[2]);
    assert_eq!(counts(&events), [0; 4]);
}

#[test]
fn posted_writes_are_done_in_order_and_answered_by_nothing() {
    let served = Served::start();
    let mut raw = Raw::set_up(&served.socket);
    let mut octets = Vec::new();
    for number in 0u32..1000 {
        let mut body = client::access(0, 0x100, 4);
        body.extend(number.to_le_bytes());
        let mut message = client::message(client::REGION_WRITE, &body);
        message[8] = 1 << 4;
        octets.extend(message);
    }
    raw.send(&octets, &[]);
    assert_eq!(raw.read(0x100, 4), 999u32.to_le_bytes());
}
