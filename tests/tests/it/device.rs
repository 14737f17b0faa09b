//! The device as a whole: registers, interrupts, self-test, time, repeatability, and one association after another.

use sealnic_abi::DropReason;
use sealnic_abi::event::{EventKind, HostFrameKind};
use sealnic_abi::object::{Association, Direction, DtlsVersion};
use sealnic_abi::registers::{BAR_LEN, Location, Register, Window};
use sealnic_driver::device::SaParams;
use sealnic_hw_model::{Edge, Packet, Verdict};
use sealnic_tests::backend::settle;
use sealnic_tests::{Body, Random, Setup, TestBed, for_each_backend, outer};
use std::net::{IpAddr, Ipv4Addr};

#[test]
fn the_self_test_runs_everything_it_has_and_passes() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, Setup::two_hosts());
        let outcomes = bed.device(0).self_test().unwrap();
        assert_eq!(outcomes.len(), 6);
        for outcome in outcomes {
            assert!(outcome.run && outcome.passed, "{outcome:?}");
        }
    });
}

#[test]
fn interrupt_causes_tell_what_waits_and_no_more() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, Setup::two_hosts());
        bed.device(0).drain_events().unwrap();
        let causes = bed.device(0).interrupt_causes().unwrap();
        assert!(!causes.events_pending && !causes.host_frame_pending && !causes.fault);
        let frame = bed.frame(0, 1, false).build();
        assert_eq!(bed.send(0, &frame).delivered.len(), 1);
        assert!(bed.device(0).interrupt_causes().unwrap().events_pending);
        bed.device(0).drain_events().unwrap();
        assert!(!bed.device(0).interrupt_causes().unwrap().events_pending);
        let spec = bed.frame(0, 1, false).udp(68, 67, b"dhcp");
        let discover = spec
            .with(|s| (s.src, s.dst) = (Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::BROADCAST.into()))
            .build();
        bed.push(0, Edge::Vf(0), &discover, Default::default());
        settle(bed.model(0));
        if bed.device(0).interrupt_causes().unwrap().host_frame_pending {
            bed.settle();
            let outcome = bed.take();
            assert_eq!(outcome.host[0].1[22], u8::from(HostFrameKind::Dhcp));
        } else {
            panic!("a frame waits for the host, and nobody says so");
        }
        assert!(!bed.device(0).interrupt_causes().unwrap().host_frame_pending);
    });
}

#[test]
fn a_frame_that_ends_inside_is_told_once_by_its_tag_and_one_that_leaves_is_not() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, Setup::two_hosts());
        while bed.model(0).ended().is_some() {}
        let good = bed.frame(0, 1, false).build();
        let mut spoofed = good.clone();
        spoofed[6] ^= 2;
        bed.push(0, Edge::Vf(0), &good, Default::default());
        bed.push(0, Edge::Vf(0), &spoofed, Default::default());
        bed.push(0, Edge::Vf(0), &good, Default::default());
        bed.settle();
        let outcome = bed.take();
        assert_eq!(outcome.delivered.len(), 2);
        // Tags count up, and the one between the two delivered is the spoofed frame's.
        let tag = outcome.delivered[0].tag + 1;
        let ended = bed.model(0).ended().unwrap();
        assert_eq!((ended.tag, ended.verdict), (tag, Verdict::Drop(DropReason::SpoofedMac)));
        assert!(ended.time_ns <= bed.now_ns);
        assert_eq!(bed.model(0).ended(), None);
        assert_eq!(bed.model(1).ended(), None);
        for host in 0..2 {
            assert_eq!(
                bed.model(host).next_event_ns(),
                None,
                "something moves after all has settled"
            );
        }
    });
}

#[test]
fn where_nothing_stands_ones_are_read_and_writes_are_lost() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, Setup::two_hosts());
        let frame = bed.frame(0, 1, false).build();
        let mut holes = 0;
        for offset in (0..BAR_LEN + 64).step_by(4) {
            match Location::decode(offset) {
                None => {
                    holes += 1;
                    bed.model(0).write32(offset, 0x1234_5678);
                    assert_eq!(bed.model(0).read32(offset), u32::MAX, "{offset:#x}");
                }
                Some(Location::Window {
                    window: Window::MailboxResponse | Window::Counters,
                    ..
                }) => {
                    let before = bed.model(0).read32(offset);
                    bed.model(0).write32(offset, !before);
                    assert_eq!(bed.model(0).read32(offset), before, "{offset:#x}");
                }
                _ => {}
            }
        }
        assert!(holes > 0);
        for offset in [u32::MAX - 3, u32::MAX, 1 << 31] {
            bed.model(0).write32(offset, 1);
            assert_eq!(bed.model(0).read32(offset), u32::MAX);
        }
        assert_eq!(bed.send(0, &frame).only_delivery().frame, frame);
    });
}

#[test]
fn the_counter_window_shows_what_the_counter_command_says_at_the_moment_of_the_latch() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, Setup::two_hosts());
        let frame = bed.frame(0, 1, false).build();
        for _ in 0..7 {
            assert_eq!(bed.send(0, &frame).delivered.len(), 1);
        }
        let wanted = bed.counters(0);
        bed.model(0).write32(Register::CounterSnapshot.offset(), 1);
        assert_eq!(bed.send(0, &frame).delivered.len(), 1);
        for (counter, value) in wanted.counters() {
            let offset = Window::Counters.offset() + 8 * u32::from(u8::from(counter));
            let low = bed.model(0).read32(offset);
            let high = bed.model(0).read32(offset + 4);
            assert_eq!(u64::from(high) << 32 | u64::from(low), value, "{counter:?}");
        }
    });
}

#[test]
fn time_is_the_frames_and_never_goes_back() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, Setup::two_hosts());
        bed.is_connected = false;
        let frame = bed.frame(0, 1, false).build();
        bed.device(0).drain_events().unwrap();
        let times = [5_000_000, 4_000_000, 0, 6_000_000, 5_999_999];
        for (n, time_ns) in times.into_iter().enumerate() {
            let frame = bed.frame(0, 1, false).udp(n as u16, 1, b"").build();
            bed.hosts[0].ledger.vf_in += 1;
            bed.model(0).submit(Edge::Vf(0), Packet::new(&frame, time_ns, 0));
            bed.settle();
        }
        let seen: Vec<u64> = bed
            .device(0)
            .drain_events()
            .unwrap()
            .iter()
            .map(|event| event.time_ns)
            .collect();
        // A decision is taken after the frame came, and not long after.
        let came = [5_000_000, 5_000_000, 5_000_000, 6_000_000, 6_000_000];
        assert!(seen.is_sorted(), "{seen:?}");
        for (seen, came) in seen.iter().zip(came) {
            assert!(
                (came..=came + 3 * backend.slowest_ns).contains(seen),
                "{seen} for {came}"
            );
        }
        assert_eq!(seen.len(), came.len());
        let end = bed.device(0).identify().unwrap().time_ns;
        assert!((6_000_000..=6_000_000 + 3 * backend.slowest_ns).contains(&end), "{end}");
        bed.take();
        bed.now_ns = 7_000_000;
        assert_eq!(bed.send(0, &frame).wire.len(), 1);
    });
}

#[test]
fn the_same_seed_keys_and_frames_give_the_same_octets() {
    for_each_backend(|backend| {
        let run = |seed| {
            let mut bed = TestBed::new(backend, Setup::two_hosts().with(|s| s.seed = seed));
            let mut random = Random::new(8);
            let mut octets = Vec::new();
            for _ in 0..200 {
                let (flow, len) = (random.below(20) as u16, random.below(1_200));
                let frame = bed
                    .frame(0, 1, flow.is_multiple_of(2))
                    .udp(flow, 7, &random.octets(len))
                    .build();
                octets.extend(bed.send(0, &frame).wire);
            }
            octets
        };
        assert!(run(5) == run(5));
        assert!(run(5) != run(6));
    });
}

#[test]
fn frames_with_extension_headers_arrive_and_show_their_ports_to_policy() {
    for_each_backend(|backend| {
        // Hop-by-hop, routing, destination options; each of eight octets, the last naming UDP.
        let chain = |headers: &[u8], upper: &[u8]| {
            let mut octets = Vec::new();
            for next in headers {
                octets.extend([*next, 0, 1, 4, 0, 0, 0, 0]);
            }
            octets.extend(upper);
            octets
        };
        let setup = Setup::two_hosts();
        let exclusion = sealnic_abi::object::Exclusion {
            id: 1,
            vni: 10,
            prefix: IpAddr::from(setup.vms[1].v6).into(),
            prefix_len: 128,
            dst_port: 53,
            protocol: 17,
        };
        let mut bed = TestBed::new(backend, setup.with(|s| s.exclusions = vec![exclusion]));
        for dst in [53, 54] {
            let upper = bed.frame(0, 1, true).udp(9, dst, b"behind headers").upper().1;
            let octets = chain(&[43, 60, 17], &upper);
            let frame = bed.frame(0, 1, true).body(Body::Other { protocol: 0, octets }).build();
            let outcome = bed.send(0, &frame);
            assert_eq!(outcome.only_delivery().frame, frame);
            assert_eq!(outer::read(outcome.only_datagram()).vxlan().is_some(), dst == 53);
        }
        // Eight are walked, more are not.
        let upper = bed.frame(0, 1, true).udp(9, 53, b"").upper().1;
        for (count, fits) in [(8, true), (9, false)] {
            let mut headers = vec![60; count - 1];
            headers.push(17);
            let frame = bed
                .frame(0, 1, true)
                .body(Body::Other {
                    protocol: 60,
                    octets: chain(&headers, &upper),
                })
                .build();
            let outcome = bed.send(0, &frame);
            if fits {
                assert_eq!(outcome.only_delivery().frame, frame);
            } else {
                outcome.assert_dropped(0, DropReason::Malformed);
            }
        }
    });
}

#[test]
fn a_new_association_takes_a_pair_over_without_a_lost_frame_and_gives_it_back_when_it_goes() {
    for_each_backend(|backend| {
        for (version, cid_len) in [
            (DtlsVersion::Dtls12, 8),
            (DtlsVersion::Dtls13, 8),
            (DtlsVersion::Dtls12, 0),
            (DtlsVersion::Dtls13, 0),
        ] {
            let mut bed = TestBed::new(
                backend,
                Setup::two_hosts().with(|s| (s.version, s.cid_len) = (version, cid_len)),
            );
            let transfer = |bed: &mut TestBed| {
                for (from, to) in [(0, 1), (1, 0)] {
                    let frame = bed.frame(from, to, false).udp(1, 2, b"over").build();
                    assert_eq!(bed.send(from, &frame).only_delivery().frame, frame);
                }
            };
            transfer(&mut bed);
            // The second association of the same pair: number 1, with connection ids or ports, and keys, of its own.
            let second = sealnic_tests::setup::Pair { id: 1, ..bed.pairs[0] };
            let epoch = bed.first_epoch();
            for end in 0..2 {
                let association: Association = bed.setup.association(&second, end);
                bed.device(end).set_association(&association).unwrap();
                transfer(&mut bed);
            }
            bed.install(&second, 0, epoch);
            transfer(&mut bed);
            for host in 0..2 {
                bed.device(host)
                    .activate_sa(TestBed::sa_id(&second, 0, Direction::Write))
                    .unwrap();
                transfer(&mut bed);
            }
            let before = bed
                .device(0)
                .query_sa(TestBed::sa_id(&second, 0, Direction::Write))
                .unwrap()
                .packets;
            transfer(&mut bed);
            let after = bed
                .device(0)
                .query_sa(TestBed::sa_id(&second, 0, Direction::Write))
                .unwrap()
                .packets;
            assert_eq!(after, before + 1, "the newer association seals");
            for host in 0..2 {
                bed.device(host).remove_association(second.id).unwrap();
            }
            transfer(&mut bed);
            assert_eq!(bed.device(0).sas().count(), 2, "only the first one's are left");
            // Its keys are gone for good.
            for host in 0..2 {
                let association = bed.setup.association(&second, host);
                bed.device(host).set_association(&association).unwrap();
            }
            let keys = bed.sa_keys(&second, 0, epoch);
            assert!(
                bed.device(0)
                    .install_sa(&SaParams::new(9, 1, Direction::Write, epoch), keys)
                    .is_err()
            );
        }
    });
}

#[test]
fn frames_inside_at_a_soft_reset_are_dropped_and_not_decided_by_what_comes_after() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, Setup::two_hosts());
        let frame = bed.frame(0, 1, false).udp(1, 2, b"before").build();
        for _ in 0..20 {
            let now_ns = bed.now_ns;
            bed.push(0, Edge::Vf(0), &frame, Default::default());
            bed.now_ns = now_ns;
        }
        bed.device(0).soft_reset().unwrap();
        // The same again, as far as the frames can tell.
        bed.program(0);
        bed.device(0).set_enabled(true).unwrap();
        bed.settle();
        let outcome = bed.take();
        let dropped: u64 = outcome.drops.iter().map(|(_, _, count)| count).sum();
        assert!(outcome.drops.iter().all(|(_, reason, _)| *reason == DropReason::Reset));
        assert_eq!(outcome.wire.len() as u64 + dropped, 20);
        assert_eq!(dropped != 0, backend.slowest_ns != 0, "{dropped} were inside");
    });
}

#[test]
fn a_reset_is_told_of_once_with_the_new_generation() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, Setup::two_hosts());
        for soft in [true, false] {
            bed.advance(5_000);
            bed.device(0).drain_events().unwrap();
            if soft {
                bed.device(0).soft_reset().unwrap();
            } else {
                bed.device(0).reset().unwrap();
            }
            let events = bed.device(0).drain_events().unwrap();
            let told: Vec<_> = events.iter().map(|event| (event.kind, event.subject)).collect();
            assert!(
                events
                    .iter()
                    .all(|event| event.time_ns >= bed.now_ns && event.reason == 0xff)
            );
            let generation = bed.device(0).identity().generation;
            assert_eq!(told, [(u8::from(EventKind::Reset), generation as u32)]);
            let register = bed.model(0).read32(Register::GenerationLo.offset());
            assert_eq!(register, generation as u32, "the registers, too");
        }
    });
}
