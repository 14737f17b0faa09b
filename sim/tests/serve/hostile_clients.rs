//! Clients that are wrong, broken or hostile: each mistake is answered or ends the connection, and the next client is served.

use crate::client::{
    self, DEVICE_INFO, DMA_MAP, DMA_UNMAP, EBADF, EBUSY, EINVAL, EOPNOTSUPP, EPROTO, IRQ_INFO, REGION_INFO,
    REGION_READ, REGION_WRITE, RESET, Raw, SET_IRQS, VERSION, access, count, event, irqs, mapping, memory, message,
    unmapping, words,
};
use crate::device::{BAR_LEN, DOORBELL, FAULT, SOURCE, Served, TARGET};
use rand_chacha::ChaCha12Rng;
use rand_core::{Rng as _, SeedableRng as _};
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

/// A good client is served, and soon.
fn is_well(served: &Served) {
    let start = Instant::now();
    let mut raw = Raw::set_up(&served.socket);
    raw.write(0x100, b"well");
    assert_eq!(raw.read(0x100, 4), b"well");
    assert!(start.elapsed() < Duration::from_secs(5), "took {:?}", start.elapsed());
}

#[test]
fn every_wrong_command_is_answered_with_an_error_and_the_connection_goes_on() {
    let served = Served::start();
    let mut raw = Raw::set_up(&served.socket);
    let over = u32::try_from(BAR_LEN).unwrap();
    let cases: Vec<(u16, Vec<u8>, u32)> = vec![
        (VERSION, vec![0, 0, 0, 0], EPROTO),
        (0, vec![], EOPNOTSUPP),
        (6, words(&[16, 0, 0, 0]), EOPNOTSUPP),
        (11, vec![0; 16], EOPNOTSUPP),
        (15, vec![0; 8], EOPNOTSUPP),
        (0xffff, vec![1, 2, 3], EOPNOTSUPP),
        (DMA_MAP, vec![], EINVAL),
        (DMA_MAP, vec![0; 31], EINVAL),
        (DMA_MAP, vec![0; 33], EINVAL),
        (DMA_UNMAP, vec![0; 23], EINVAL),
        (DMA_UNMAP, words(&[24, 4, 0, 0, 0, 0]), EINVAL),
        (DEVICE_INFO, vec![0; 15], EINVAL),
        (DEVICE_INFO, vec![0; 17], EINVAL),
        (REGION_INFO, words(&[32, 0, 9, 0, 0, 0, 0, 0]), EINVAL),
        (REGION_INFO, words(&[32, 0, u32::MAX, 0, 0, 0, 0, 0]), EINVAL),
        (REGION_INFO, vec![0; 8], EINVAL),
        (IRQ_INFO, words(&[16, 0, 5, 0]), EINVAL),
        (IRQ_INFO, vec![], EINVAL),
        (SET_IRQS, irqs(0x24, 5, 0, 1), EINVAL),
        (SET_IRQS, irqs(0x24, 2, 0, 5), EINVAL),
        (SET_IRQS, irqs(0x24, 2, u32::MAX, 2), EINVAL),
        (SET_IRQS, irqs(0x24, 0, 0, 1), EINVAL),
        (SET_IRQS, irqs(0x26, 2, 0, 1), EINVAL),
        (SET_IRQS, irqs(0x09, 2, 0, 1), EINVAL),
        (SET_IRQS, irqs(0x22, 2, 0, 2), EINVAL),
        (SET_IRQS, irqs(0, 2, 0, 1), EINVAL),
        (SET_IRQS, vec![0; 19], EINVAL),
        (REGION_READ, access(9, 0, 4), EINVAL),
        (REGION_READ, access(1, 0, 1), EINVAL),
        (REGION_READ, access(0, u64::from(over) - 3, 4), EINVAL),
        (REGION_READ, access(0, u64::MAX, 4), EINVAL),
        (REGION_READ, access(0, 0, u32::MAX), EINVAL),
        (REGION_READ, access(7, 4095, 2), EINVAL),
        (REGION_READ, vec![0; 15], EINVAL),
        (REGION_WRITE, access(0, 0, 4), EINVAL),
        (REGION_WRITE, [access(0, 0, 4), vec![0; 5]].concat(), EINVAL),
        (REGION_WRITE, [access(0, u64::from(over), 1), vec![0]].concat(), EINVAL),
        (RESET, vec![0], EINVAL),
    ];
    for (command, body, error) in cases {
        let answer = raw.ask(command, &body, &[]);
        assert_eq!(
            (answer.error, answer.body.len()),
            (error, 0),
            "command {command}, body {body:02x?}"
        );
    }
    // An access of nothing is no mistake.
    assert_eq!(raw.ask(REGION_READ, &access(0, 0, 0), &[]).error, 0);
    raw.write(0x100, b"well");
    assert_eq!(raw.read(0x100, 4), b"well");
}

#[test]
fn before_the_version_is_agreed_upon_nothing_else_is_done() {
    let served = Served::start();
    let mut raw = Raw::connect(&served.socket);
    assert_eq!(raw.ask(REGION_READ, &access(0, 0, 4), &[]).error, EPROTO);
    assert_eq!(raw.ask(RESET, &[], &[]).error, EPROTO);
    assert_eq!(raw.ask(VERSION, &[0, 0], &[]).error, EINVAL);
    assert_eq!(raw.ask(VERSION, &[7, 0, 0, 0], &[]).error, EOPNOTSUPP);
    for json in [&b"{}"[..], b"no json\0", b"[]\0", b"\0", b"\xff\xfe\0", b"{\"a\":\0"] {
        let body = [&[0; 4], json].concat();
        assert_eq!(raw.ask(VERSION, &body, &[]).error, EINVAL, "{json:?}");
    }
    assert_eq!(
        raw.ask(VERSION, b"\0\0\0\0{\"capabilities\":{\"max_msg_fds\":8}}\0", &[])
            .error,
        0
    );
    assert_eq!(raw.read(0, 4).len(), 4);
}

#[test]
fn a_message_of_an_impossible_length_ends_the_connection_with_an_error() {
    let served = Served::start();
    for len in [0u32, 1, 15, 1 << 20, u32::MAX] {
        let mut raw = Raw::set_up(&served.socket);
        let mut octets = message(REGION_READ, &access(0, 0, 4));
        octets[4..8].copy_from_slice(&len.to_ne_bytes());
        raw.send(&octets, &[]);
        assert_eq!(raw.answer(REGION_READ).unwrap().error, EINVAL, "length {len}");
        assert_eq!(raw.answer(REGION_READ), None);
        is_well(&served);
    }
}

#[test]
fn a_client_that_goes_within_a_message_makes_room_at_once() {
    let served = Served::start();
    let whole = message(REGION_WRITE, &[access(0, 0, 4), vec![1; 4]].concat());
    for len in 1..whole.len() {
        let mut raw = Raw::set_up(&served.socket);
        raw.send(&whole[..len], &[]);
        drop(raw);
        is_well(&served);
    }
    // Half closed: no more will come, so it is over too.
    let mut raw = Raw::set_up(&served.socket);
    raw.send(&whole[..20], &[]);
    raw.0.shutdown(Shutdown::Write).unwrap();
    assert_eq!(raw.answer(0), None);
    is_well(&served);
}

#[test]
fn a_client_that_trickles_a_message_is_dropped_in_time_and_an_idle_one_is_not() {
    let served = Served::start();
    let mut raw = Raw::set_up(&served.socket);
    let start = Instant::now();
    let octets = message(REGION_READ, &access(0, 0, 4));
    let mut dropped = false;
    for octet in octets.iter().take(30) {
        if raw.0.write_all(&[*octet]).is_err() {
            dropped = true;
            break;
        }
        std::thread::sleep(Duration::from_millis(250));
    }
    assert!(
        dropped || matches!(raw.0.read(&mut [0]), Ok(0) | Err(_)),
        "it still waits"
    );
    assert!(start.elapsed() < Duration::from_secs(8));
    let mut idle = Raw::set_up(&served.socket);
    std::thread::sleep(Duration::from_millis(3500));
    assert_eq!(idle.read(0, 4).len(), 4);
}

#[test]
fn a_client_that_takes_no_answers_is_dropped_in_time() {
    let served = Served::start();
    let mut raw = Raw::set_up(&served.socket);
    raw.0.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    let octets = message(REGION_READ, &access(0, 0, 4096)).repeat(100);
    // Until nothing goes in any more.
    while raw.0.write(&octets).is_ok_and(|len| len != 0) {}
    let start = Instant::now();
    // Until the server has closed.
    raw.0.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
    while raw.0.write(&octets).is_ok_and(|len| len != 0) {}
    assert!(start.elapsed() < Duration::from_secs(10));
    is_well(&served);
}

#[test]
fn a_second_client_is_told_that_the_device_is_busy_and_the_first_goes_on() {
    let served = Served::start();
    let mut first = Raw::set_up(&served.socket);
    first.write(0x100, b"mine");
    let mut second = Raw::connect(&served.socket);
    assert_eq!(second.ask(VERSION, &[0, 0, 0, 0], &[]).error, EBUSY);
    assert_eq!(second.answer(VERSION), None);
    assert!(vfio_user::Client::new(&served.socket).is_err());
    // Ones that say nothing are not waited for, however many.
    let start = Instant::now();
    let silent: Vec<Raw> = (0..40).map(|_| Raw::connect(&served.socket)).collect();
    for _ in 0..200 {
        assert_eq!(first.read(0x100, 4), b"mine");
    }
    assert!(
        start.elapsed() < Duration::from_millis(800),
        "took {:?}",
        start.elapsed()
    );
    // And they see the end, as does one that says half a word.
    let mut half = Raw::connect(&served.socket);
    half.send(&message(VERSION, &[])[..7], &[]);
    for mut guest in silent.into_iter().chain([half]) {
        assert_eq!(guest.answer(VERSION), None);
    }
    drop(first);
    is_well(&served);
}

#[test]
fn files_that_are_no_memory_and_events_that_are_none_are_refused() {
    let served = Served::start();
    let mut raw = Raw::set_up(&served.socket);
    let (pipe, _other_end) = std::io::pipe().unwrap();
    let disk = std::fs::File::open(std::env::current_exe().unwrap()).unwrap();
    let ram = memory(0x1000);
    for fd in [
        pipe.as_fd(),
        disk.as_fd(),
        event().as_fd(),
        raw.0.try_clone().unwrap().as_fd(),
    ] {
        assert_eq!(raw.ask(DMA_MAP, &mapping(0x1000, 0x1000, 3, 0), &[fd]).error, EBADF);
    }
    for fd in [pipe.as_fd(), disk.as_fd(), ram.as_fd()] {
        assert_eq!(raw.ask(SET_IRQS, &irqs(0x24, 2, 0, 1), &[fd]).error, EINVAL);
    }
    // More descriptors than a command takes.
    assert_eq!(
        raw.ask(DMA_MAP, &mapping(0x1000, 0x1000, 3, 0), &[ram.as_fd(), ram.as_fd()])
            .error,
        EINVAL
    );
    let event = event();
    assert_eq!(
        raw.ask(SET_IRQS, &irqs(0x24, 2, 0, 3), &[event.as_fd(), event.as_fd()])
            .error,
        EINVAL
    );
    // More than any message may carry.
    raw.send(&message(RESET, &[]), &[ram.as_fd(); 20]);
    assert_eq!(raw.answer(RESET), None);
    is_well(&served);
}

#[test]
fn memory_that_is_cut_short_under_the_device_is_a_fault_and_no_more() {
    let served = Served::start();
    let mut raw = Raw::set_up(&served.socket);
    let ram = memory(0x4000);
    assert_eq!(raw.map(0x1000, 0x4000, 3, &ram, 0), 0);
    ram.set_len(0x1000).unwrap();
    for (source, target) in [(0x2000u64, 0x1000u64), (0x1fe0, 0x1000)] {
        raw.write(SOURCE, &source.to_le_bytes());
        raw.write(TARGET, &target.to_le_bytes());
        raw.write(DOORBELL, &[0]);
        assert_eq!(raw.read(FAULT, 1), [1]);
    }
    drop(raw);
    is_well(&served);
}

#[test]
fn an_event_whose_count_is_full_holds_nothing_up() {
    let served = Served::start();
    let mut raw = Raw::set_up(&served.socket);
    let event = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).unwrap();
    rustix::io::write(&event, &(u64::MAX - 1).to_ne_bytes()).unwrap();
    assert_eq!(raw.set_vector(0, &event), 0);
    let start = Instant::now();
    raw.write(DOORBELL, &[0]);
    assert!(start.elapsed() < Duration::from_secs(2));
    raw.read(0, 4);
    assert_eq!(count(&event), u64::MAX);
    raw.write(DOORBELL, &[0]);
    assert_eq!(count(&event), 1);
}

/// A message that is sometimes right, often nearly, and now and then nothing like one.
fn random_message(random: &mut ChaCha12Rng) -> Vec<u8> {
    let command = (random.next_u32() % 20) as u16;
    let small = |random: &mut ChaCha12Rng| match random.next_u32() % 4 {
        0 => random.next_u32() % 8,
        1 => random.next_u32() % 5000,
        2 => u32::MAX - random.next_u32() % 8,
        _ => random.next_u32(),
    };
    let mut body = match command {
        DMA_MAP => mapping(
            u64::from(small(random)) << 12,
            u64::from(random.next_u32() % 4) << 12,
            random.next_u32() % 5,
            u64::from(random.next_u32() % 4) << 12,
        ),
        DMA_UNMAP => unmapping(u64::from(small(random)) << 12, u64::from(small(random)) << 12),
        SET_IRQS => irqs(
            1 << 5 | 1 << (random.next_u32() % 6),
            random.next_u32() % 6,
            small(random),
            small(random),
        ),
        REGION_READ => access(random.next_u32() % 10, small(random).into(), small(random)),
        REGION_WRITE => {
            let len = random.next_u32() % 64;
            let mut body = access(random.next_u32() % 10, small(random).into(), len);
            body.extend((0..len).map(|_| random.next_u32() as u8));
            body
        }
        _ => (0..random.next_u32() % 64).map(|_| random.next_u32() as u8).collect(),
    };
    if random.next_u32().is_multiple_of(8) {
        body.truncate(random.next_u32() as usize % (body.len() + 1));
    }
    let mut octets = message(command, &body);
    match random.next_u32() % 24 {
        0 => octets[4..8].copy_from_slice(&small(random).to_ne_bytes()),
        1 => octets.truncate(1 + random.next_u32() as usize % octets.len()),
        2 => {
            let at = random.next_u32() as usize % octets.len();
            octets[at] ^= 1 << (random.next_u32() % 8);
        }
        3 => octets[8] = random.next_u32() as u8,
        _ => {}
    }
    octets
}

#[test]
fn random_messages_never_bring_the_server_down() {
    let served = Served::start();
    let mut random = ChaCha12Rng::seed_from_u64(4);
    let (ram, event) = (memory(0x8000), event());
    for _ in 0..300 {
        let mut raw = Raw::connect(&served.socket);
        // Answers are thrown away, so that the server isn't kept waiting here.
        let mut answers = raw.0.try_clone().unwrap();
        let reader = std::thread::spawn(move || {
            let mut sink = [0; 4096];
            while answers.read(&mut sink).is_ok_and(|len| len != 0) {}
        });
        if !random.next_u32().is_multiple_of(8) {
            raw.send(&message(VERSION, &[0, 0, 0, 0]), &[]);
        }
        for _ in 0..random.next_u32() % 200 {
            let octets = random_message(&mut random);
            let fds = match random.next_u32() % 8 {
                0 | 1 => vec![ram.as_fd()],
                2 => vec![event.as_fd()],
                3 => vec![event.as_fd(); random.next_u32() as usize % 20],
                _ => vec![],
            };
            if client::try_send(&raw, &octets, &fds).is_err() {
                break;
            }
        }
        let _ = raw.0.shutdown(Shutdown::Both);
        reader.join().unwrap();
    }
    is_well(&served);
}
