//! Events in, flow log out: pairs, minutes, sums, and the file byte by byte.

use super::random::Random;
use super::tuple_parser::{Parsed, parse};
use crate::flow_log::{FlowEventError, FlowLog, FlowLogConfig, FlowLogFile};
use sealnic_abi::EncryptionCode;
use sealnic_abi::event::{Event, EventKind};
use sealnic_abi::flow::FlowKey;
use sealnic_abi::object::Port;
use std::collections::HashMap;

/// 2022-09-14 09:00:00 UTC, in milliseconds.
const START_MS: u64 = 1_663_146_000_000;
const VM: [u8; 4] = [10, 0, 0, 6];
const PEER: [u8; 4] = [10, 0, 1, 7];

fn ports() -> Vec<Port> {
    vec![
        Port {
            port: 1,
            mac: [0x11, 0x22, 0x33, 0xaa, 0xbb, 0xcc],
            ..Port::ZERO
        },
        Port {
            port: 2,
            mac: [0x02, 0, 0, 0, 0, 2],
            ..Port::ZERO
        },
    ]
}

/// An event of the flow between 10.0.0.6:23956, the VM, and 10.0.1.7:443.
fn event(at_ms: u64, egress: bool, kind: EventKind, code: EncryptionCode, packets: u64, octets: u64) -> Event {
    let wide = |a: [u8; 4]| {
        let mut octets = [0; 16];
        octets[..4].copy_from_slice(&a);
        octets
    };
    let mut key = FlowKey {
        src: wide(VM),
        dst: wide(PEER),
        src_port: 23956,
        dst_port: 443,
        protocol: 6,
        scope: 1,
        ..FlowKey::ZERO
    };
    if !egress {
        (key.src, key.dst) = (key.dst, key.src);
        (key.src_port, key.dst_port) = (key.dst_port, key.src_port);
        key.flags = FlowKey::INGRESS | FlowKey::SEALED;
        key.scope = 5001;
    }
    Event {
        time_ns: (START_MS + at_ms) * 1_000_000 + 599_999,
        packets,
        octets,
        vni: 5001,
        port: 1,
        kind: kind.into(),
        code: code.into(),
        reason: 0xff,
        key,
        ..Event::ZERO
    }
}

fn log(events: &[Event]) -> FlowLogFile {
    let mut log = FlowLog::new(FlowLogConfig::default(), &ports());
    for event in events {
        log.push(event).unwrap();
    }
    log.finish()
}

fn tuples(file: &FlowLogFile) -> Vec<String> {
    file.records
        .iter()
        .flat_map(|r| &r.flow_records.flows)
        .flat_map(|f| &f.flow_groups)
        .flat_map(|g| g.flow_tuples.clone())
        .collect()
}

use EncryptionCode::{Nx, NxFallback, NxNotAccepted, X};
use EventKind::{FlowBegin, FlowContinue, FlowDeny, FlowEnd};

#[test]
fn both_directions_of_a_flow_make_one_tuple_from_the_vms_point_of_view() {
    let file = log(&[
        event(0, true, FlowBegin, X, 0, 0),
        event(4, false, FlowBegin, X, 0, 0),
        event(20_000, true, FlowContinue, X, 1021, 588_096),
        event(20_001, false, FlowContinue, X, 8005, 4_610_880),
        event(70_000, true, FlowEnd, X, 52, 29_952),
        event(70_007, false, FlowEnd, X, 47, 27_072),
    ]);
    assert_eq!(
        tuples(&file),
        [
            "1663146000000,10.0.0.6,10.0.1.7,23956,443,6,O,B,X,0,0,0,0",
            "1663146020001,10.0.0.6,10.0.1.7,23956,443,6,O,C,X,1021,588096,8005,4610880",
            "1663146070007,10.0.0.6,10.0.1.7,23956,443,6,O,E,X,52,29952,47,27072",
        ]
    );
    assert_eq!(file.records.len(), 2, "two minutes");
}

#[test]
fn a_flow_first_seen_from_outside_is_inbound_with_the_peer_as_source() {
    let file = log(&[
        event(0, false, FlowBegin, X, 0, 0),
        event(1, true, FlowBegin, X, 0, 0),
        event(9, true, FlowEnd, X, 5, 500),
        event(9, false, FlowEnd, X, 7, 700),
    ]);
    assert_eq!(
        tuples(&file),
        [
            "1663146000000,10.0.1.7,10.0.0.6,443,23956,6,I,B,X,0,0,0,0",
            "1663146000009,10.0.1.7,10.0.0.6,443,23956,6,I,E,X,7,700,5,500",
        ]
    );
    assert_eq!(
        file.records[0].flow_records.flows[0].flow_groups[0].rule,
        "DefaultRule_AllowVNetInBound"
    );
}

#[test]
fn a_one_sided_flow_ends_with_its_only_direction_and_may_begin_again() {
    let file = log(&[
        event(0, true, FlowBegin, Nx, 0, 0),
        event(5, true, FlowEnd, Nx, 3, 300),
        event(6, false, FlowBegin, X, 0, 0),
    ]);
    let lines = tuples(&file);
    assert_eq!(lines.len(), 3);
    assert!(lines.contains(&"1663146000005,10.0.0.6,10.0.1.7,23956,443,6,O,E,NX,3,300,0,0".to_owned()));
    assert!(lines.contains(&"1663146000006,10.0.1.7,10.0.0.6,443,23956,6,I,B,X,0,0,0,0".to_owned()));
}

#[test]
fn a_denied_flow_has_unspecified_rules_and_no_statistics() {
    let file = log(&[event(1, true, FlowDeny, NxNotAccepted, 9, 900)]);
    let flows = &file.records[0].flow_records.flows;
    assert_eq!(flows.len(), 1);
    assert_eq!(
        (flows[0].acl_id.as_str(), flows[0].flow_groups[0].rule.as_str()),
        ("unspecified", "unspecified")
    );
    assert_eq!(
        flows[0].flow_groups[0].flow_tuples,
        ["1663146000001,10.0.0.6,10.0.1.7,23956,443,6,O,D,NX_NOT_ACCEPTED,0,0,0,0"]
    );
}

#[test]
fn a_flow_that_gets_denied_ends_first_and_may_begin_again() {
    let file = log(&[
        event(0, true, FlowBegin, X, 0, 0),
        event(1, true, FlowContinue, X, 2, 20),
        event(2, true, FlowDeny, NxNotAccepted, 0, 0),
        event(3, true, FlowDeny, NxNotAccepted, 0, 0),
        event(4, true, FlowBegin, X, 0, 0),
    ]);
    let flow = "10.0.0.6,10.0.1.7,23956,443,6,O";
    assert_eq!(
        tuples(&file),
        [
            format!("1663146000000,{flow},B,X,0,0,0,0"),
            format!("1663146000002,{flow},E,X,2,20,0,0"),
            format!("1663146000004,{flow},B,X,0,0,0,0"),
            format!("1663146000002,{flow},D,NX_NOT_ACCEPTED,0,0,0,0"),
            format!("1663146000003,{flow},D,NX_NOT_ACCEPTED,0,0,0,0"),
        ]
    );
}

#[test]
fn traffic_under_two_codes_is_told_apart() {
    let file = log(&[
        event(0, true, FlowBegin, X, 0, 0),
        event(1, true, FlowContinue, X, 2, 20),
        event(2, true, FlowContinue, NxFallback, 3, 30),
        event(3, true, FlowEnd, NxFallback, 4, 40),
    ]);
    assert_eq!(
        tuples(&file)[1..],
        [
            "1663146000001,10.0.0.6,10.0.1.7,23956,443,6,O,C,X,2,20,0,0",
            "1663146000003,10.0.0.6,10.0.1.7,23956,443,6,O,E,NX_FALLBACK,7,70,0,0",
        ]
    );
}

#[test]
fn events_that_make_no_sense_are_errors_and_others_are_passed_over() {
    let mut log = FlowLog::new(FlowLogConfig::default(), &ports());
    let good = event(0, true, FlowBegin, X, 0, 0);
    assert_eq!(
        log.push(&Event { kind: 0, ..good }),
        Err(FlowEventError::UnknownKind(0))
    );
    assert_eq!(
        log.push(&Event { code: 8, ..good }),
        Err(FlowEventError::UnknownCode(8))
    );
    assert_eq!(
        log.push(&Event { port: 3, ..good }),
        Err(FlowEventError::UnknownPort(3))
    );
    for kind in [
        EventKind::SaSoftLimit,
        EventKind::SaHardLimit,
        EventKind::SaRetired,
        EventKind::Reset,
    ] {
        assert_eq!(
            log.push(&Event {
                kind: kind.into(),
                port: 9,
                ..good
            }),
            Ok(())
        );
    }
    assert_eq!(log.tuple_count(), 0);
    assert!(log.finish().records.is_empty());
}

#[test]
fn extreme_times_and_counts_do_no_harm() {
    let mut log = FlowLog::new(
        FlowLogConfig {
            epoch_ns: u64::MAX,
            ..FlowLogConfig::default()
        },
        &ports(),
    );
    for kind in [FlowBegin, FlowContinue, FlowContinue, FlowEnd] {
        let e = event(0, true, kind, X, u64::MAX, u64::MAX);
        log.push(&Event { time_ns: u64::MAX, ..e }).unwrap();
        log.push(&Event { time_ns: 0, ..e }).unwrap();
    }
    assert!(!log.finish().records.is_empty());
}

/// The whole file, octet by octet: field order, names, grouping by VM, minute, rule set and rule.
#[test]
fn the_file_is_what_readers_of_the_azure_flow_log_expect() {
    let other_vm = |e: Event| Event { port: 2, ..e };
    let other_flow = |mut e: Event| {
        e.key.src_port += 1;
        e
    };
    let mut log = FlowLog::new(
        FlowLogConfig {
            flow_log_guid: "66aa66aa-bb77-cc88-dd99-00ee00ee00ee".into(),
            flow_log_resource_id: "/subscriptions/s/flowLogs/log".into(),
            target_resource_id: "/subscriptions/s/virtualNetworks/myVNet".into(),
            acl_id: "00aa00aa-bb11-cc22-dd33-44ee44ee44ee".into(),
            ..FlowLogConfig::default()
        },
        &ports(),
    );
    for e in [
        event(3_599, true, FlowBegin, X, 0, 0),
        other_flow(event(4_000, true, FlowDeny, NxNotAccepted, 1, 60)),
        other_vm(event(5_000, false, FlowBegin, Nx, 0, 0)),
        event(61_000, true, FlowEnd, X, 22, 2217),
    ] {
        log.push(&e).unwrap();
    }
    let json = serde_json::to_string(&log.finish()).unwrap();
    let record = |time: &str, mac: &str, flows: &str| {
        format!(
            r#"{{"time":"{time}","flowLogVersion":4,"flowLogGUID":"66aa66aa-bb77-cc88-dd99-00ee00ee00ee","macAddress":"{mac}","category":"FlowLogFlowEvent","flowLogResourceID":"/SUBSCRIPTIONS/S/FLOWLOGS/LOG","targetResourceID":"/subscriptions/s/virtualNetworks/myVNet","operationName":"FlowLogFlowEvent","flowRecords":{{"flows":[{flows}]}}}}"#
        )
    };
    let flows = |acl: &str, rule: &str, tuple: &str| {
        format!(r#"{{"aclID":"{acl}","flowGroups":[{{"rule":"{rule}","flowTuples":["{tuple}"]}}]}}"#)
    };
    let acl = "00aa00aa-bb11-cc22-dd33-44ee44ee44ee";
    let expected = [
        record(
            "2022-09-14T09:01:00.0000000Z",
            "020000000002",
            &flows(
                acl,
                "DefaultRule_AllowVNetInBound",
                "1663146005000,10.0.1.7,10.0.0.6,443,23956,6,I,B,NX,0,0,0,0",
            ),
        ),
        record(
            "2022-09-14T09:01:00.0000000Z",
            "112233AABBCC",
            &[
                flows(
                    acl,
                    "DefaultRule_AllowVNetOutBound",
                    "1663146003599,10.0.0.6,10.0.1.7,23956,443,6,O,B,X,0,0,0,0",
                ),
                flows(
                    "unspecified",
                    "unspecified",
                    "1663146004000,10.0.0.6,10.0.1.7,23957,443,6,O,D,NX_NOT_ACCEPTED,0,0,0,0",
                ),
            ]
            .join(","),
        ),
        record(
            "2022-09-14T09:02:00.0000000Z",
            "112233AABBCC",
            &flows(
                acl,
                "DefaultRule_AllowVNetOutBound",
                "1663146061000,10.0.0.6,10.0.1.7,23956,443,6,O,E,X,22,2217,0,0",
            ),
        ),
    ];
    assert_eq!(json, format!(r#"{{"records":[{}]}}"#, expected.join(",")));
}

/// Random flows: every tuple is well-formed, what the events carried is in the tuples to the packet, each flow begins
/// once before it goes on, and nothing follows its end but a new beginning.
#[test]
fn every_packet_is_in_exactly_one_tuple_and_every_flow_has_its_states_in_order() {
    for seed in 0..300 {
        let mut random = Random(seed);
        let mut log = FlowLog::new(FlowLogConfig::default(), &ports());
        // Legs that live, by (flow, egress).
        let mut live: Vec<(u16, bool)> = Vec::new();
        let (mut packets, mut octets, mut now) = (0u64, 0u64, 0);
        for _ in 0..400 {
            now += random.next() % 9_000;
            let leg = (u16::try_from(random.below(6)).unwrap(), random.one_in(2));
            let is_live = live.contains(&leg);
            let kind = match (is_live, random.below(4)) {
                (false, _) => {
                    live.push(leg);
                    FlowBegin
                }
                (true, 0) => {
                    live.retain(|l| *l != leg);
                    FlowEnd
                }
                (true, _) => FlowContinue,
            };
            let code = *random.pick(&[X, X, X, Nx]);
            let (p, o) = if kind == FlowBegin {
                (0, 0)
            } else {
                (random.next() % 100, random.next() % 10_000)
            };
            let mut e = event(now, leg.1, kind, code, p, o);
            if leg.1 {
                e.key.src_port = 1000 + leg.0;
            } else {
                e.key.dst_port = 1000 + leg.0;
            }
            log.push(&e).unwrap();
            packets += p;
            octets += o;
        }
        let parsed: Vec<Parsed> = tuples(&log.finish()).iter().map(|t| parse(t).unwrap()).collect();
        assert_eq!(
            parsed.iter().map(|t| t.numbers[0] + t.numbers[2]).sum::<u64>(),
            packets,
            "seed {seed}"
        );
        assert_eq!(
            parsed.iter().map(|t| t.numbers[1] + t.numbers[3]).sum::<u64>(),
            octets,
            "seed {seed}"
        );
        let mut ordered = parsed;
        ordered.sort_by_key(|t| t.time_ms);
        let mut begun: HashMap<u16, bool> = HashMap::new();
        for t in &ordered {
            let vm_port = if t.outbound { t.ports.0 } else { t.ports.1 };
            let begun = begun.entry(vm_port).or_default();
            assert_eq!(*begun, t.state != 'B', "seed {seed}: {t:?}");
            *begun = t.state != 'E';
        }
    }
}

/// A log that goes on gives the records of a minute away once, when it is over, and in the end nothing is missing or twice.
#[test]
fn a_log_taken_minute_by_minute_is_the_log_taken_at_once() {
    let mut taken_early = 0;
    for seed in 0..100 {
        let mut random = Random(seed);
        let mut whole = FlowLog::new(FlowLogConfig::default(), &ports());
        let mut pieces = FlowLog::new(FlowLogConfig::default(), &[]);
        pieces.set_ports(&ports());
        let mut records = Vec::new();
        let mut now = 0;
        for step in 0..200 {
            now += random.next() % 20_000;
            let kind = *random.pick(&[FlowBegin, FlowContinue, FlowContinue, FlowEnd, FlowDeny]);
            let mut e = event(now, random.one_in(2), kind, X, step, step * 100);
            e.port = if random.one_in(2) { 1 } else { 2 };
            // Device time goes on between events, too.
            let early = (START_MS + now - random.next() % 1000) * 1_000_000;
            let closed = pieces.take_closed(early.min(e.time_ns));
            assert!(
                closed.iter().all(|r| r.time <= minute_after(&e)),
                "seed {seed}: not over yet"
            );
            taken_early += closed.len();
            records.extend(closed);
            whole.push(&e).unwrap();
            pieces.push(&e).unwrap();
        }
        records.extend(pieces.finish().records);
        assert_eq!(records, whole.finish().records, "seed {seed}");
    }
    assert!(taken_early > 1000);
}

/// Time of a record of the minute before an event's.
fn minute_after(event: &Event) -> String {
    let mut log = FlowLog::new(FlowLogConfig::default(), &ports());
    let before = Event {
        time_ns: event.time_ns - 60_000_000_000,
        kind: FlowDeny.into(),
        ..*event
    };
    log.push(&before).unwrap();
    log.finish().records[0].time.clone()
}
