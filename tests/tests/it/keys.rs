//! Keys: installed once, changed without a lost frame, limited, wiped, and never seen again.

use sealnic_abi::DropReason;
use sealnic_abi::event::EventKind;
use sealnic_abi::mailbox::{MessageHeader, Status, read_message, write_message};
use sealnic_abi::object::{Direction, DtlsVersion, SaInstall, SaPhase};
use sealnic_abi::registers::{Register, Window, offsets};
use sealnic_driver::Error;
use sealnic_driver::device::SaParams;
use sealnic_tests::{Setup, TestBed, for_each_backend, outer};
use zerocopy::IntoBytes;

const VERSIONS: [DtlsVersion; 2] = [DtlsVersion::Dtls12, DtlsVersion::Dtls13];

fn with_version(version: DtlsVersion) -> Setup {
    Setup::two_hosts().with(|s| s.version = version)
}

/// Installs a read SA at host 0, with the peer's keys of an epoch.
fn install(bed: &mut TestBed, sa: u32, epoch: u64, key_epoch: u64) -> Result<(), Error> {
    let pair = bed.pairs[0];
    let keys = bed.sa_keys(&pair, 1, key_epoch);
    bed.device(0)
        .install_sa(&SaParams::new(sa, pair.id, Direction::Read, epoch), keys)
}

fn status<V: std::fmt::Debug>(result: Result<V, Error>) -> Status {
    result.unwrap_err().status().unwrap()
}

fn transfer(bed: &mut TestBed) {
    for (from, to) in [(0, 1), (1, 0)] {
        let frame = bed.frame(from, to, false).udp(1, 2, b"still here").build();
        assert_eq!(bed.send(from, &frame).only_delivery().frame, frame);
    }
}

#[test]
fn keys_for_another_generation_are_refused() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, Setup::two_hosts().with(|s| s.keys = false));
        let before = bed.device(0).identity().generation;
        // Another party resets the device; this driver still believes in the old generation.
        bed.model(0)
            .write32(Register::Control.offset(), offsets::control::SOFT_RESET_MASK);
        let pair = bed.pairs[0];
        let association = bed.setup.association(&pair, 0);
        let config = bed.setup.desired(0).config;
        bed.device(0).configure(&config).unwrap();
        bed.device(0).set_association(&association).unwrap();
        assert_eq!(status(install(&mut bed, 1, 3, 3)), Status::StaleGeneration);
        let after = bed.device(0).identify().unwrap().generation;
        assert_ne!(before, after);
        install(&mut bed, 1, 3, 3).unwrap();
    });
}

#[test]
fn every_reset_draws_a_generation_of_its_own() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, Setup::two_hosts());
        let mut seen = std::collections::HashSet::new();
        for n in 0..50 {
            assert!(seen.insert(bed.device(0).identity().generation));
            if n % 2 == 0 {
                bed.device(0).reset()
            } else {
                bed.device(0).soft_reset()
            }
            .unwrap();
        }
    });
}

#[test]
fn a_key_is_never_installed_twice_not_after_removal_and_not_after_a_reset() {
    for_each_backend(|backend| {
        for version in VERSIONS {
            let mut bed = TestBed::new(backend, with_version(version).with(|s| s.keys = false));
            let epoch = bed.first_epoch();
            install(&mut bed, 1, epoch, epoch).unwrap();
            assert_eq!(status(install(&mut bed, 1, epoch, epoch)), Status::Conflict);
            assert_eq!(status(install(&mut bed, 2, epoch + 1, epoch)), Status::KeyReused);
            // The same key in the other direction is the same key.
            let pair = bed.pairs[0];
            let keys = bed.sa_keys(&pair, 1, epoch);
            let other_way = SaParams::new(3, pair.id, Direction::Write, epoch);
            assert_eq!(status(bed.device(0).install_sa(&other_way, keys)), Status::KeyReused);
            bed.device(0).remove_sa(1).unwrap();
            assert_eq!(status(install(&mut bed, 1, epoch, epoch)), Status::KeyReused);
            bed.device(0).remove_association(0).unwrap();
            bed.program(0);
            assert_eq!(status(install(&mut bed, 1, epoch, epoch)), Status::KeyReused);
            for soft in [false, true] {
                if soft {
                    bed.device(0).soft_reset()
                } else {
                    bed.device(0).reset()
                }
                .unwrap();
                bed.program(0);
                assert_eq!(status(install(&mut bed, 1, epoch, epoch)), Status::KeyReused);
            }
            install(&mut bed, 1, epoch, epoch + 1).unwrap();
        }
    });
}

#[test]
fn a_third_read_epoch_is_refused_until_one_is_gone() {
    for_each_backend(|backend| {
        for version in VERSIONS {
            let mut bed = TestBed::new(backend, with_version(version));
            let first = bed.first_epoch();
            install(&mut bed, 10, first + 1, first + 1).unwrap();
            assert_eq!(
                status(install(&mut bed, 11, first + 2, first + 2)),
                Status::TooManyEpochs
            );
            assert_eq!(status(install(&mut bed, 11, first + 1, first + 2)), Status::Conflict);
            let pair = bed.pairs[0];
            let read = TestBed::sa_id(&pair, 0, Direction::Read);
            bed.device(0).remove_sa(read).unwrap();
            install(&mut bed, 11, first + 2, first + 2).unwrap();
        }
    });
}

#[test]
fn two_epochs_that_look_alike_on_the_wire_are_never_live_together() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, Setup::two_hosts());
        // DTLS 1.3 shows two bits of the epoch (RFC 9147 section 4).
        assert_eq!(status(install(&mut bed, 10, 7, 7)), Status::TooManyEpochs);
        install(&mut bed, 10, 6, 6).unwrap();
    });
}

#[test]
fn keys_that_do_not_fit_are_refused() {
    for_each_backend(|backend| {
        for version in VERSIONS {
            let mut bed = TestBed::new(backend, with_version(version).with(|s| s.keys = false));
            let wrong: &[u64] = match version {
                DtlsVersion::Dtls12 => &[0, 0x1_0000, u64::MAX],
                DtlsVersion::Dtls13 => &[0, 1, 2, 1 << 48, u64::MAX],
            };
            for epoch in wrong {
                assert_eq!(
                    status(install(&mut bed, 1, *epoch, 9)),
                    Status::BadParameter,
                    "epoch {epoch}"
                );
            }
            assert_eq!(status(install(&mut bed, u32::MAX, 5, 9)), Status::BadParameter);
            let pair = bed.pairs[0];
            let keys = bed.sa_keys(&pair, 1, 9);
            let nowhere = SaParams::new(1, 60, Direction::Read, 5);
            assert_eq!(status(bed.device(0).install_sa(&nowhere, keys)), Status::NotFound);
            // None of it used the key up.
            install(&mut bed, 1, 5, 9).unwrap();
        }
    });
}

#[test]
fn keys_change_under_traffic_without_a_lost_frame() {
    for_each_backend(|backend| {
        for version in VERSIONS {
            for cid_len in [0, 8] {
                let mut bed = TestBed::new(backend, with_version(version).with(|s| s.cid_len = cid_len));
                let pair = bed.pairs[0];
                let first = bed.first_epoch();
                for round in 1..12_u64 {
                    let (old, new) = ((round as u32 + 1) % 2, round as u32 % 2);
                    transfer(&mut bed);
                    bed.install(&pair, new, first + round);
                    transfer(&mut bed);
                    // One end changes first: both epochs are on the wire.
                    for host in pair.hosts {
                        bed.device(host)
                            .activate_sa(TestBed::sa_id(&pair, new, Direction::Write))
                            .unwrap();
                        transfer(&mut bed);
                    }
                    for host in pair.hosts {
                        let gone = bed.device(host).query_sa(TestBed::sa_id(&pair, old, Direction::Write));
                        assert_eq!(status(gone), Status::NotFound, "the old write key is wiped at once");
                        bed.device(host)
                            .retire_sa(TestBed::sa_id(&pair, old, Direction::Read))
                            .unwrap();
                        transfer(&mut bed);
                    }
                    bed.advance(1_000_000_000);
                    transfer(&mut bed);
                }
                assert_eq!(bed.counters(0).dropped_total() + bed.counters(1).dropped_total(), 0);
            }
        }
    });
}

#[test]
fn a_retired_read_sa_opens_until_its_overlap_ends_and_not_a_nanosecond_longer() {
    for_each_backend(|backend| {
        for idle in [false, true] {
            let mut bed = TestBed::new(backend, Setup::two_hosts().with(|s| s.overlap_ms = 250));
            let pair = bed.pairs[0];
            let read = TestBed::sa_id(&pair, 0, Direction::Read);
            let frame = bed.frame(0, 1, false).build();
            bed.is_connected = false;
            let caught: Vec<Vec<u8>> = (0..3).map(|_| bed.send(0, &frame).only_datagram().to_vec()).collect();
            bed.device(1).retire_sa(read).unwrap();
            let state = bed.device(1).query_sa(read).unwrap();
            assert_eq!(state.phase, u8::from(SaPhase::Retiring));
            // The device's time is that of the last frame it saw; it has seen none after `retire_ns - 250 ms`.
            let end = state.retire_ns;
            assert_eq!(bed.inject_routed(1, &caught[0]).delivered.len(), 1);
            // A frame is a microsecond later than the one before, and its record is opened while the device has it.
            bed.now_ns = end - 1_001 - backend.slowest_ns;
            assert_eq!(bed.inject_routed(1, &caught[1]).delivered.len(), 1);
            if idle {
                bed.now_ns = end;
                bed.advance(0);
                assert_eq!(
                    status(bed.device(1).query_sa(read)),
                    Status::NotFound,
                    "wiped without a frame"
                );
                let kinds: Vec<u8> = bed.device(1).drain_events().unwrap().iter().map(|e| e.kind).collect();
                assert!(kinds.contains(&EventKind::SaRetired.into()));
            }
            bed.now_ns = end - 1_000;
            bed.inject_routed(1, &caught[2])
                .assert_dropped(1, DropReason::UnknownEpoch);
        }
    });
}

#[test]
fn without_a_write_key_nothing_leaves_not_sealed_and_not_clear() {
    for_each_backend(|backend| {
        for drop in [false, true] {
            let mut bed = TestBed::new(backend, Setup::two_hosts().with(|s| s.vnets[0].drop = drop));
            let pair = bed.pairs[0];
            let write = TestBed::sa_id(&pair, 0, Direction::Write);
            let known = bed.frame(0, 1, false).build();
            let fresh = bed.frame(0, 1, true).build();
            assert_eq!(bed.send(0, &known).delivered.len(), 1);
            bed.device(0).remove_sa(write).unwrap();
            for frame in [&known, &fresh] {
                let outcome = bed.send(0, frame);
                outcome.assert_dropped(0, DropReason::SwNotReady);
                assert!(outcome.wire.is_empty());
            }
            // The other direction has its own key.
            let back = bed.frame(1, 0, false).build();
            assert_eq!(bed.send(1, &back).only_delivery().frame, back);
            bed.device(0).remove_association(pair.id).unwrap();
            let outcome = bed.send(0, &known);
            outcome.assert_dropped(0, DropReason::SwNotReady);
            bed.send(1, &back).assert_dropped(0, DropReason::UnknownAssociation);
        }
    });
}

#[test]
fn the_soft_limit_is_told_once_and_the_hard_limit_ends_a_key_for_good() {
    for_each_backend(|backend| {
        for version in VERSIONS {
            let mut bed = TestBed::new(backend, with_version(version).with(|s| s.keys = false));
            let (pair, epoch) = (bed.pairs[0], bed.first_epoch());
            bed.device(0).set_enabled(true).unwrap();
            let params = SaParams {
                soft_packets: 5,
                hard_packets: 8,
                ..SaParams::new(1, 0, Direction::Write, epoch)
            };
            let keys = bed.sa_keys(&pair, 0, epoch);
            bed.device(0).install_sa(&params, keys).unwrap();
            bed.device(0).activate_sa(1).unwrap();
            bed.device(0).drain_events().unwrap();
            bed.is_connected = false;
            let frame = bed.frame(0, 1, false).build();
            let mut told = Vec::new();
            for n in 1..=12 {
                let outcome = bed.send(0, &frame);
                if n <= 8 {
                    assert!(outcome.drops.is_empty() && outcome.wire.len() == 1);
                } else {
                    outcome.assert_dropped(0, DropReason::NoWriteSa);
                    assert!(outcome.wire.is_empty());
                }
                for event in bed.device(0).drain_events().unwrap() {
                    if event.kind > EventKind::FlowDeny.into() {
                        assert_eq!(event.subject, 1);
                        told.push((n, event.kind));
                    }
                }
            }
            assert_eq!(
                told,
                [(5, EventKind::SaSoftLimit.into()), (9, EventKind::SaHardLimit.into())]
            );
            let state = bed.device(0).query_sa(1).unwrap();
            assert_eq!((state.phase, state.packets), (SaPhase::Dead.into(), 8));
            assert_eq!(status(bed.device(0).activate_sa(1)), Status::WrongState);
            assert!(bed.device(0).seal_control_record(0, 21, b"x").is_err());
        }
    });
}

#[test]
fn the_last_sequence_number_ends_a_key_and_never_wraps() {
    for_each_backend(|backend| {
        for version in VERSIONS {
            let mut bed = TestBed::new(backend, with_version(version).with(|s| s.keys = false));
            let (pair, epoch) = (bed.pairs[0], bed.first_epoch());
            let last = (1 << 48) - 1;
            let first_seq = last - 2;
            for (host, direction) in [(0, Direction::Write), (1, Direction::Read)] {
                let keys = bed.sa_keys(&pair, 0, epoch);
                let params = SaParams {
                    first_seq,
                    ..SaParams::new(1, 0, direction, epoch)
                };
                bed.device(host).install_sa(&params, keys).unwrap();
            }
            bed.device(0).activate_sa(1).unwrap();
            let frame = bed.frame(0, 1, false).build();
            for _ in first_seq..=last {
                assert_eq!(bed.send(0, &frame).only_delivery().frame, frame);
            }
            for _ in 0..3 {
                let outcome = bed.send(0, &frame);
                outcome.assert_dropped(0, DropReason::NoWriteSa);
                assert!(outcome.wire.is_empty());
            }
        }
    });
}

#[test]
fn a_limit_of_octets_ends_a_key_too() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, Setup::two_hosts().with(|s| s.keys = false));
        let pair = bed.pairs[0];
        let params = SaParams {
            hard_octets: 10_000,
            ..SaParams::new(1, 0, Direction::Write, 3)
        };
        let keys = bed.sa_keys(&pair, 0, 3);
        bed.device(0).install_sa(&params, keys).unwrap();
        bed.device(0).activate_sa(1).unwrap();
        bed.is_connected = false;
        let frame = bed.frame(0, 1, false).udp(1, 2, &[0; 958]).build();
        let sent: usize = (0..20).map(|_| bed.send(0, &frame).wire.len()).sum();
        assert_eq!(sent, 9, "1,008 octets a record, and one block for the tag of each");
        assert_eq!(bed.device(0).query_sa(1).unwrap().phase, u8::from(SaPhase::Dead));
    });
}

/// The keys of the bed in the form that a leak would have.
fn secrets(bed: &TestBed) -> Vec<Vec<u8>> {
    let mut secrets = Vec::new();
    for pair in &bed.pairs {
        for sender in 0..2 {
            let keys = bed.sa_keys(pair, sender, bed.first_epoch());
            secrets.extend([
                keys.expose_key().to_vec(),
                keys.expose_iv().to_vec(),
                keys.expose_sn_key().to_vec(),
            ]);
        }
    }
    secrets.retain(|secret| !secret.is_empty());
    secrets
}

fn read_bar(bed: &mut TestBed) -> Vec<u8> {
    let mut octets = Vec::new();
    for offset in (0..sealnic_abi::registers::BAR_LEN).step_by(4) {
        octets.extend(bed.model(0).read32(offset).to_le_bytes());
    }
    octets
}

#[test]
fn no_register_and_no_answer_shows_key_material() {
    for_each_backend(|backend| {
        for version in VERSIONS {
            let mut bed = TestBed::new(backend, with_version(version));
            let secrets = secrets(&bed);
            assert!(secrets.len() >= 4);
            let look = |bed: &mut TestBed| {
                let octets = read_bar(bed);
                for secret in &secrets {
                    assert!(!octets.windows(secret.len()).any(|window| window == secret));
                }
            };
            look(&mut bed);
            transfer(&mut bed);
            // After each of these the response window holds an answer.
            let _ = bed.device(0).sas().map(Result::unwrap).count();
            look(&mut bed);
            for sa in 0..8 {
                let _ = bed.device(0).query_sa(sa);
                look(&mut bed);
            }
            let _ = bed.device(0).associations().count();
            look(&mut bed);
            bed.device(0).drain_events().unwrap();
            look(&mut bed);
            bed.device(0).counters().unwrap();
            look(&mut bed);
            bed.device(0).reset().unwrap();
            look(&mut bed);
        }
    });
}

#[test]
fn the_device_wipes_the_request_window_after_an_install_accepted_refused_or_damaged() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, Setup::two_hosts().with(|s| s.keys = false));
        let generation = bed.device(0).identity().generation;
        let install = |sa: u32, key: u8| {
            let mut install: SaInstall = zerocopy::FromZeros::new_zeroed();
            (install.sa, install.generation, install.epoch) = (sa, generation, 3);
            (install.key, install.iv, install.sn_key) = ([key; 32], [key; 12], [key; 32]);
            install
        };
        let mut sequence = 0x5ea1_0000;
        let mut give = |bed: &mut TestBed, install: &SaInstall, damage: bool, len: Option<u32>| {
            sequence += 1;
            let header = MessageHeader {
                opcode: 80,
                sequence,
                ..MessageHeader::ZERO
            };
            let mut message = vec![0; 4_096];
            let used = write_message(&mut message, header, install.as_bytes()).unwrap();
            message[40] ^= u8::from(damage);
            let window = Window::MailboxRequest.offset();
            for (n, word) in message[..used].chunks(4).enumerate() {
                let word = u32::from_le_bytes(word.try_into().unwrap());
                bed.model(0).write32(window + 4 * n as u32, word);
            }
            let bell = Register::MailboxDoorbell.offset();
            bed.model(0).write32(bell, len.unwrap_or(used as u32));
            for offset in (0..Window::MailboxRequest.byte_len()).step_by(4) {
                assert_eq!(bed.model(0).read32(window + offset), 0, "request window at {offset}");
            }
            let mut response = Vec::new();
            for offset in (0..Window::MailboxResponse.byte_len()).step_by(4) {
                response.extend(
                    bed.model(0)
                        .read32(Window::MailboxResponse.offset() + offset)
                        .to_le_bytes(),
                );
            }
            let status = read_message(&response).map(|(header, _)| header.status);
            for octet in [0xa1_u8, 0xa2, 0xa3, 0xa4] {
                assert!(!response.windows(12).any(|window| window == [octet; 12]));
            }
            status
        };
        assert_eq!(give(&mut bed, &install(1, 0xa1), false, None), Ok(Status::Ok.into()));
        assert_eq!(
            give(&mut bed, &install(1, 0xa2), false, None),
            Ok(Status::Conflict.into())
        );
        assert_eq!(
            give(&mut bed, &install(2, 0xa3), true, None),
            Ok(Status::BadChecksum.into())
        );
        // A doorbell that is no length of a message.
        for len in [0, 3, 17, 4_097, 8_192, u32::MAX] {
            let _ = give(&mut bed, &install(2, 0xa4), false, Some(len));
        }
    });
}

#[test]
fn a_reset_wipes_keys_and_lets_nothing_pass_until_all_is_programmed_again() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, Setup::two_hosts());
        let pair = bed.pairs[0];
        let frame = bed.frame(0, 1, false).build();
        transfer(&mut bed);
        bed.device(0).reset().unwrap();
        assert_eq!(bed.device(0).sas().count(), 0);
        bed.send(0, &frame).assert_dropped(0, DropReason::PortDown);
        bed.program(0);
        bed.send(0, &frame).assert_dropped(0, DropReason::PortDown);
        bed.device(0).set_enabled(true).unwrap();
        bed.send(0, &frame).assert_dropped(0, DropReason::SwNotReady);
        // The peer keeps sealing under the old epoch, for which there is no key here.
        let back = bed.frame(1, 0, false).build();
        bed.send(1, &back).assert_dropped(0, DropReason::UnknownEpoch);
        bed.install(&pair, 1, 4);
        bed.activate(&pair, 1);
        transfer(&mut bed);
        assert!(outer::read(bed.send(0, &frame).only_datagram()).vxlan().is_none());
    });
}
