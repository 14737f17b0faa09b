//! The flow table and its log: entries come, age, are flushed and judged anew, and every record gets written.

use sealnic_abi::event::{Event, EventKind};
use sealnic_abi::object::AssociationState;
use sealnic_abi::{Counter, DropReason, EncryptionCode};
use sealnic_driver::device::FlushScope;
use sealnic_hw_model::Edge;
use sealnic_tests::{Random, Setup, TestBed, for_each_backend, outer};
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

const MS: u64 = 1_000_000;

fn events(bed: &mut TestBed, host: usize) -> Vec<Event> {
    let mut events = bed.device(host).drain_events().unwrap();
    events.retain(|event| event.kind <= EventKind::FlowDeny.into());
    events
}

fn send_flow(bed: &mut TestBed, flow: u16) {
    let frame = bed.frame(0, 1, flow.is_multiple_of(3)).udp(flow, 9, b"flow").build();
    bed.push(0, Edge::Vf(0), &frame, Default::default());
    bed.settle();
}

#[test]
fn the_first_frame_of_a_flow_misses_and_later_ones_hit() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, Setup::two_hosts());
        for _ in 0..10 {
            for flow in 0..5 {
                send_flow(&mut bed, flow);
            }
        }
        for host in 0..2 {
            let counters = bed.counters(host);
            let get = |counter| counters.get(counter);
            assert_eq!(
                (get(Counter::FlowMiss), get(Counter::FlowHit), get(Counter::FlowsLive)),
                (5, 45, 5)
            );
        }
        let rows: Vec<_> = bed.device(0).flows().map(Result::unwrap).collect();
        assert_eq!(rows.len(), 5);
        for row in rows {
            assert_eq!((row.counters.packets, row.key.dst_port, row.key.protocol), (10, 9, 17));
        }
    });
}

#[test]
fn clear_and_local_flows_are_answered_by_the_table_too_and_logged_at_both_ends() {
    for_each_backend(|backend| {
        let setup = Setup::two_hosts()
            .vm(0, 10)
            .with(|s| (s.vnets[0].drop, s.state) = (false, AssociationState::Failed));
        let mut bed = TestBed::new(backend, setup);
        for (to, host, port, code) in [
            (1, 1, 0, EncryptionCode::NxFallback),
            (2, 0, 1, EncryptionCode::NxLocalDst),
        ] {
            let frame = bed.frame(0, to, false).udp(7, 9, b"known").build();
            events(&mut bed, host);
            let before: Vec<_> = (0..2).map(|host| bed.counters(host)).collect();
            for _ in 0..3 {
                assert_eq!(bed.send(0, &frame).only_delivery().frame, frame);
            }
            let since = |bed: &mut TestBed, counter| {
                let counts = (0..2).map(|host| bed.counters(host).get(counter) - before[host].get(counter));
                counts.sum::<u64>()
            };
            // One decision and two hits at either end, be they on one host or on two.
            assert_eq!(
                (since(&mut bed, Counter::FlowMiss), since(&mut bed, Counter::FlowHit)),
                (2, 4)
            );
            let arrived = events(&mut bed, host);
            let arrived: Vec<_> = arrived.iter().filter(|event| event.key.flags & 1 == 1).collect();
            assert_eq!(arrived.len(), 1);
            assert_eq!((arrived[0].port, arrived[0].code), (port, code.into()));
        }
    });
}

#[test]
fn a_bump_of_the_policy_epoch_has_every_flow_decided_again() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, Setup::two_hosts());
        for flow in 0..5 {
            send_flow(&mut bed, flow);
        }
        let before = bed.device(0).identity().policy_epoch;
        assert_ne!(bed.device(0).bump_policy_epoch().unwrap(), before);
        for flow in 0..5 {
            send_flow(&mut bed, flow);
        }
        let counters = bed.counters(0);
        assert_eq!(
            (counters.get(Counter::FlowMiss), counters.get(Counter::FlowsLive)),
            (10, 5)
        );
        assert_eq!(
            bed.counters(1).get(Counter::FlowMiss),
            5,
            "the other device has an epoch of its own"
        );
    });
}

#[test]
fn idle_flows_age_out_with_their_last_record_and_busy_ones_stay() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, Setup::two_hosts().with(|s| s.flow_idle_ms = 1_000));
        for flow in 0..20 {
            send_flow(&mut bed, flow);
        }
        for _ in 0..4 {
            bed.advance(600 * MS);
            send_flow(&mut bed, 0);
        }
        for host in 0..2 {
            let counters = bed.counters(host);
            assert_eq!(
                (counters.get(Counter::FlowsLive), counters.get(Counter::FlowsAged)),
                (1, 19)
            );
            let ends = events(&mut bed, host)
                .iter()
                .filter(|e| e.kind == u8::from(EventKind::FlowEnd))
                .count();
            assert_eq!(ends, 19);
        }
        bed.advance(1_001 * MS);
        assert_eq!(bed.counters(0).get(Counter::FlowsLive), 0);
    });
}

#[test]
fn a_tcp_flow_that_was_closed_ages_early() {
    for_each_backend(|backend| {
        for flag in [0x01, 0x04] {
            let mut bed = TestBed::new(backend, Setup::two_hosts().with(|s| s.flow_idle_ms = 300_000));
            for flags in [0x10, 0x10 | flag] {
                let frame = bed.frame(0, 1, false).tcp(1, 2, flags, b"").build();
                assert_eq!(bed.send(0, &frame).only_delivery().frame, frame);
            }
            bed.advance(11_000 * MS);
            assert_eq!(bed.counters(0).get(Counter::FlowsLive), 0);
        }
    });
}

#[test]
fn flows_are_flushed_by_port_by_vni_or_all() {
    for_each_backend(|backend| {
        let setup = Setup::two_hosts().vnet(20, true, true).vm(0, 20).vm(1, 20);
        let mut bed = TestBed::new(backend, setup);
        let fill = |bed: &mut TestBed| {
            for n in 0..6 {
                for (from, to) in [(0, 1), (1, 0), (2, 3), (3, 2)] {
                    let frame = bed.frame(from, to, false).udp(n, 1, b"").build();
                    assert_eq!(bed.send(from, &frame).delivered.len(), 1);
                }
            }
            bed.counters(0).get(Counter::FlowsLive)
        };
        assert_eq!(fill(&mut bed), 24);
        assert_eq!(bed.device(0).flush_flows(FlushScope::Port(0)).unwrap(), 6);
        assert_eq!(bed.device(0).flush_flows(FlushScope::Port(0)).unwrap(), 0);
        assert_eq!(bed.device(0).flush_flows(FlushScope::Vni(20)).unwrap(), 6);
        assert_eq!(bed.device(0).flows().count(), 12);
        assert_eq!(bed.device(0).flush_flows(FlushScope::All).unwrap(), 12);
        assert_eq!(bed.device(0).flows().count(), 0);
        assert_eq!(fill(&mut bed), 24);
    });
}

/// More flows than the least table of 1,024 entries holds, from VM 0.
fn overfill(bed: &mut TestBed) {
    for flow in 0..3_000 {
        send_flow(bed, flow);
    }
    bed.take_frames();
    assert!(
        bed.counters(0).get(Counter::FlowTableFull) > 0,
        "the table never was full"
    );
}

#[test]
fn a_full_flow_table_seals_on_and_lets_nothing_clear_out_where_encryption_is_demanded() {
    for_each_backend(|backend| {
        let gateway: IpAddr = "192.0.2.254".parse().unwrap();
        for drop in [true, false] {
            let setup = Setup::two_hosts().with(|s| (s.vnets[0].drop, s.gateways) = (drop, vec![(10, gateway)]));
            let mut bed = TestBed::new(backend, setup);
            overfill(&mut bed);
            let (mut sealed, mut clear, mut refused) = (0, 0, 0);
            for flow in 0..500 {
                let frame = bed.frame(0, 1, false).tcp(flow, 77, 0x10, b"beyond").build();
                let outcome = bed.send(0, &frame);
                assert_eq!(outcome.delivered.len(), 1, "{:?}", outcome.drops);
                assert!(outer::read(outcome.only_datagram()).vxlan().is_none());
                sealed += 1;
                let outside = bed
                    .frame(0, 1, false)
                    .tcp(flow, 77, 0x10, b"out")
                    .with(|s| s.dst = "8.8.8.8".parse().unwrap())
                    .build();
                let outcome = bed.send(0, &outside);
                if outcome.wire.is_empty() {
                    outcome.assert_dropped(0, DropReason::FlowTableFull);
                    refused += 1;
                } else {
                    clear += 1;
                }
            }
            println!("{sealed} sealed, {clear} clear, {refused} refused");
            if drop {
                assert!(refused > 0);
            } else {
                assert_eq!(refused, 0);
            }
            // Room again after aging.
            bed.advance(31_000 * MS);
            bed.advance(1);
            let _ = (events(&mut bed, 0), events(&mut bed, 1));
            bed.advance(31_000 * MS);
            assert_eq!(bed.counters(0).get(Counter::FlowsLive), 0);
        }
    });
}

/// What a flow log must add up to: per flow, begin, then continuing records, then an end; packets and octets of all.
fn add_up(events: &[Event]) -> HashMap<Vec<u8>, (Vec<u8>, u64, u64)> {
    use zerocopy::IntoBytes;
    let mut flows: HashMap<Vec<u8>, (Vec<u8>, u64, u64)> = HashMap::new();
    for event in events {
        let flow = flows.entry(event.key.as_bytes().to_vec()).or_default();
        flow.0.push(event.kind);
        flow.1 += event.packets;
        flow.2 += event.octets;
    }
    flows
}

#[test]
fn the_flow_log_counts_every_frame_once_however_small_the_event_ring_is() {
    for_each_backend(|backend| {
        for ring in [2, 3, 16, 4_096] {
            let setup = Setup::two_hosts().with(|s| {
                (s.sizes.events, s.flow_idle_ms, s.flow_log_ms) = (ring, 5_000, 1_000);
            });
            let mut bed = TestBed::new(backend, setup);
            bed.device(0).drain_events().unwrap();
            let mut random = Random::new(3);
            let mut log = Vec::new();
            let (mut frames, mut octets) = (HashMap::<u16, u64>::new(), 0);
            for n in 0..2_000 {
                let flow = random.below(40) as u16;
                let len = random.below(100);
                let frame = bed.frame(0, 1, false).udp(flow, 9, &vec![1; len]).build();
                octets += frame.len() as u64;
                *frames.entry(flow).or_default() += 1;
                bed.push(0, Edge::Vf(0), &frame, Default::default());
                bed.settle();
                if n % 100 == 0 {
                    bed.advance(700 * MS);
                }
                if n % 37 == 0 {
                    log.extend(events(&mut bed, 0));
                }
            }
            // All go idle; the host drains what comes.
            for _ in 0..200 {
                bed.advance(1_000 * MS);
                log.extend(events(&mut bed, 0));
            }
            let counters = bed.counters(0);
            assert_eq!(counters.get(Counter::FlowsLive), 0, "ring of {ring}");
            assert_eq!(counters.get(Counter::EventsLost), 0);
            let flows = add_up(&log);
            assert_eq!(flows.len(), frames.len());
            assert_eq!(flows.values().map(|(_, packets, _)| packets).sum::<u64>(), 2_000);
            assert_eq!(flows.values().map(|(.., octets)| octets).sum::<u64>(), octets);
            for (kinds, ..) in flows.values() {
                // B, then C or nothing, then E; and the same again for a flow that came back after it had aged.
                let mut open = false;
                for kind in kinds {
                    match kind {
                        1 => assert!(!std::mem::replace(&mut open, true), "{kinds:?}"),
                        2 => assert!(open, "{kinds:?}"),
                        3 => assert!(std::mem::replace(&mut open, false), "{kinds:?}"),
                        other => panic!("kind {other}"),
                    }
                }
                assert!(!open);
            }
        }
    });
}

#[test]
fn a_denied_flow_is_logged_once_and_again_when_it_changes() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, Setup::two_hosts().with(|s| s.keys = false));
        let frame = bed.frame(0, 1, false).build();
        for _ in 0..5 {
            bed.send(0, &frame).assert_dropped(0, DropReason::SwNotReady);
        }
        let denied = events(&mut bed, 0);
        assert_eq!(denied.len(), 1);
        assert_eq!((denied[0].kind, denied[0].packets), (EventKind::FlowDeny.into(), 0));
        assert_eq!(denied[0].reason, u8::from(DropReason::SwNotReady));
        let pair = bed.pairs[0];
        bed.install(&pair, 0, 3);
        bed.activate(&pair, 0);
        assert_eq!(bed.send(0, &frame).only_delivery().frame, frame);
        bed.advance(60_000 * MS);
        let log = events(&mut bed, 0);
        let kinds: Vec<u8> = log.iter().map(|event| event.kind).collect();
        assert_eq!(kinds, [EventKind::FlowBegin, EventKind::FlowEnd].map(u8::from));
        assert_eq!(log[1].packets, 1, "denied frames are not in the log's sum");
    });
}

#[test]
fn flow_tables_of_a_thousand_and_of_a_million_entries_hold_what_they_promise() {
    for_each_backend(|backend| {
        for (size, flows) in [(1_024, 400_u32), (1 << 20, 100_000)] {
            let setup = Setup::two_hosts().with(|s| (s.sizes.flows, s.sizes.events) = (size, 1 << 18));
            let mut bed = TestBed::new(backend, setup);
            assert_eq!(bed.device(0).identity().max_flows as usize, size);
            bed.records_wire = false;
            for n in 0..flows {
                let frame = bed.frame(0, 1, false).udp((n >> 8) as u16, n as u16, b"").build();
                bed.push(0, Edge::Vf(0), &frame, Default::default());
                bed.settle();
            }
            assert_eq!(bed.take().delivered.len() as u32, flows);
            // Source ports repeat in the high half, destination ports in the low one.
            let distinct = (0..flows)
                .map(|n| ((n >> 8) as u16, n as u16))
                .collect::<HashSet<_>>()
                .len() as u64;
            for host in 0..2 {
                let counters = bed.counters(host);
                assert_eq!(counters.get(Counter::FlowsLive), distinct);
                assert_eq!(counters.get(Counter::FlowTableFull), 0);
            }
            assert_eq!(
                bed.device(0).flows().count() as u64,
                distinct,
                "every entry is listed once"
            );
        }
    });
}
