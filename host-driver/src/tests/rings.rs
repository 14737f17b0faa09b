//! Rings: what is right goes through, whatever the device does is an error in time, and no memory is lost or used twice.

use super::ring_mock::{RingFault, RingMock};
use crate::clock::Clock;
use crate::desired::mapping_key;
use crate::device::SaParams;
use crate::keys::{KeyDerivation, KeyName, Sender};
use crate::ring::RingError;
use crate::{Device, Error, RunId};
use sealnic_abi::event::{Event, HostFrame, HostFrameKind};
use sealnic_abi::mailbox::{Opcode, Status};
use sealnic_abi::object::*;
use sealnic_abi::registers::RingError as StopCode;
use std::time::Duration;
use zerocopy::IntoBytes;

fn programmed(device: &mut Device<RingMock>) {
    device
        .configure(&DeviceConfig {
            dtls_port: 4433,
            ..DeviceConfig::ZERO
        })
        .unwrap();
    device.set_vnet(&Vnet { vni: 1, ..Vnet::ZERO }).unwrap();
}

fn mappings(count: u16) -> Vec<Mapping> {
    (0..count)
        .map(|i| Mapping {
            src_vni: 1,
            prefix: Address {
                octets: [10, 0, (i >> 8) as u8, i as u8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
                family: 4,
                ..Address::ZERO
            },
            prefix_len: 32,
            ..Mapping::ZERO
        })
        .collect()
}

fn executed(device: &mut Device<RingMock>) -> Vec<Opcode> {
    std::mem::take(&mut device.transport_mut().inner.0.borrow_mut().executed)
}

#[test]
fn bulk_commands_go_by_the_ring_and_the_rest_by_the_mailbox() {
    let (mut device, _) = RingMock::attached();
    assert!(device.has_command_ring());
    programmed(&mut device);
    let doorbells = device.transport_mut().inner.0.borrow().sequences.len();
    let wanted = mappings(1000);
    device.load_mappings(&wanted).unwrap();
    assert!(device.transport_mut().most_outstanding > 8, "many stand in the ring");
    let mut listed: Vec<_> = device.mappings().collect::<Result<_, _>>().unwrap();
    listed.sort_by_key(mapping_key);
    assert_eq!(listed, wanted);
    device.set_mappings(&wanted[..100]).unwrap();
    assert_eq!(device.mappings().count(), 1000);
    // 17 messages of 60, as many pages, 2 messages, and 17 pages again, without any reaching the mailbox's doorbell.
    assert_eq!(
        device.transport_mut().inner.0.borrow().sequences.len() - doorbells,
        17 + 17 + 2 + 17
    );
    assert_eq!(
        device.transport_mut().inner.0.borrow().last.as_ref().map(|l| l.0),
        Some(u32::MAX - 3)
    );
}

#[test]
fn a_refused_mapping_is_named_and_strict_order_stops_at_it() {
    let (mut device, _) = RingMock::attached();
    programmed(&mut device);
    let mut wanted = mappings(200);
    wanted[70].src_vni = 9;
    let error = device.set_mappings(&wanted).unwrap_err();
    assert!(
        matches!(
            error,
            Error::MappingRefused {
                index: 70,
                status: Status::NotFound,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(device.mappings().count(), 70);
    let error = device.load_mappings(&wanted).unwrap_err();
    assert!(matches!(error, Error::MappingRefused { index: 70, .. }), "{error}");
    assert_eq!(device.mappings().count(), 70 + 80, "later messages are carried out");
    assert!(device.has_command_ring());
}

#[test]
fn keys_go_by_the_ring_and_stay_nowhere() {
    let (mut device, _) = RingMock::attached();
    programmed(&mut device);
    let secret = KeyDerivation::new(b"a secret", &RunId::UNSAFE_FIXED);
    let keys = |epoch| {
        secret.sa_keys(&KeyName {
            association: b"a",
            sender: Sender::First,
            epoch,
            version: DtlsVersion::Dtls13,
            suite: CipherSuite::Aes256Gcm,
        })
    };
    device
        .set_association(&Association {
            id: 1,
            local_vni: 1,
            ..Association::ZERO
        })
        .unwrap();
    let sas = (0..100).map(|n| {
        (
            SaParams::new(n, 1, Direction::Read, u64::from(n) + 3),
            keys(u64::from(n) + 3),
        )
    });
    device.install_sas(sas).unwrap();
    assert_eq!(device.sas().count(), 100);
    let seen = device.transport_mut().inner.0.borrow().keys_seen.clone();
    assert!(seen.len() >= 100 * 32);
    let mut memory = vec![0; 1 << 20];
    crate::dma::DmaMemory::read(&*device.transport_mut().memory, 0, &mut memory).unwrap();
    for key in seen.chunks(16).filter(|key| key.iter().any(|&o| o != 0)) {
        assert!(
            !memory.windows(key.len()).any(|w| w == key),
            "key material stays in DMA memory"
        );
    }
}

#[test]
fn whatever_a_device_writes_to_the_command_ring_is_an_error_in_time() {
    use RingFault::*;
    for fault in [
        Hang,
        WrongIndex,
        WrongStatus,
        Refuse,
        Len(4097),
        Len(u32::MAX),
        Len(0),
        Len(15),
        Phase(2),
        Phase(u32::MAX),
        FlipAnswer(3),
        FlipAnswer(200),
        Stop,
        Slow(1 << 20),
    ] {
        let (mut device, clock) = RingMock::attached();
        programmed(&mut device);
        let wanted = mappings(300);
        device.transport_mut().faults.extend([Slow(1), fault]);
        let before = clock.clone().now();
        let error = device.load_mappings(&wanted).unwrap_err();
        let text = format!("{fault:?}: {error}");
        assert!(clock.clone().now() - before < Duration::from_millis(400), "{text}");
        match fault {
            Stop => {
                assert!(
                    matches!(
                        error,
                        Error::Ring(RingError::Stopped {
                            code: Some(StopCode::DmaFault),
                            fault_iova: 0xdead_b000,
                            head: 1,
                            ..
                        })
                    ),
                    "{text}"
                );
                assert!(text.contains("0xdeadb000"), "{text}");
            }
            Hang | Slow(_) => assert!(matches!(error, Error::Ring(RingError::Timeout { .. })), "{text}"),
            _ => assert!(matches!(error, Error::Ring(RingError::Misbehaving { .. })), "{text}"),
        }
        // The mailbox goes on, what was programmed can be completed, and no memory is lost.
        assert!(!device.has_command_ring());
        assert_eq!(device.transport_mut().taken(), 0, "{text}");
        device.set_mappings(&wanted).unwrap();
        assert_eq!(device.mappings().count(), 300, "{text}");
    }
}

#[test]
fn an_answer_that_takes_its_time_is_waited_for() {
    let (mut device, _) = RingMock::attached();
    programmed(&mut device);
    for looks in [0, 1, 7, 20] {
        device.transport_mut().faults.push_back(RingFault::Slow(looks));
        device.set_mappings(&mappings(10)).unwrap();
    }
    assert!(device.has_command_ring());
}

#[test]
fn a_completion_that_nobody_asked_for_is_found() {
    let (mut device, _) = RingMock::attached();
    programmed(&mut device);
    device.transport_mut().faults.push_back(RingFault::Twice);
    device.set_mappings(&mappings(1)).unwrap();
    let error = device.set_mappings(&mappings(1)).unwrap_err();
    assert!(error.to_string().contains("without a descriptor"), "{error}");
}

#[test]
fn memory_of_a_ring_that_does_not_stop_is_never_used_again() {
    let (mut device, _) = RingMock::attached();
    programmed(&mut device);
    let taken = device.transport_mut().taken();
    device.transport_mut().never_stops = true;
    device.transport_mut().faults.push_back(RingFault::Hang);
    device.set_mappings(&mappings(1)).unwrap_err();
    assert_eq!(device.transport_mut().taken(), taken);
    device.set_mappings(&mappings(1)).unwrap();
}

#[test]
fn a_reset_starts_the_rings_anew() {
    let (mut device, _) = RingMock::attached();
    device.enable_event_ring(16).unwrap();
    device.enable_frame_rings(8).unwrap();
    let taken = device.transport_mut().taken();
    for _ in 0..20 {
        device.reset().unwrap();
        programmed(&mut device);
        device.load_mappings(&mappings(200)).unwrap();
    }
    assert_eq!(device.transport_mut().taken(), taken);
    assert!(device.has_command_ring());
    let transport = device.into_transport();
    assert_eq!(transport.taken(), 0, "all memory comes back");
}

#[test]
fn every_event_comes_once_and_in_order_however_many_there_are() {
    let (mut device, _) = RingMock::attached();
    device.enable_event_ring(16).unwrap();
    let mut next = 0;
    let mut taken = Vec::new();
    // More than 65,536, so that indices wrap.
    for n in [0, 1, 15, 16, 17, 1_000, 0, 70_000] {
        let events = (next..next + n).map(|i| Event {
            packets: i,
            ..Event::ZERO
        });
        device.transport_mut().inner.0.borrow_mut().events.extend(events);
        next += n;
        taken.extend(device.drain_events().unwrap());
        assert_eq!(taken.len() as u64, next);
    }
    assert!(taken.iter().zip(0..).all(|(event, i)| event.packets == i));
    assert!(!executed(&mut device).contains(&Opcode::EventDrain));
}

#[test]
fn an_event_out_of_its_turn_is_an_error_and_the_mailbox_takes_over() {
    let (mut device, _) = RingMock::attached();
    device.enable_event_ring(16).unwrap();
    device.transport_mut().skip_event = true;
    device
        .transport_mut()
        .inner
        .0
        .borrow_mut()
        .events
        .extend([Event::ZERO; 40]);
    let error = device.drain_events().unwrap_err();
    assert!(error.to_string().contains("out of its turn"), "{error}");
    let left = device.drain_events().unwrap();
    assert_eq!(left.len(), 40 - 16, "what had not left the device");
}

#[test]
fn an_index_beyond_what_was_written_is_an_error_and_no_event_is_lost() {
    for phantom in [1, 6] {
        let (mut device, _) = RingMock::attached();
        device.enable_event_ring(16).unwrap();
        let events = (0..10).map(|i| Event {
            packets: i,
            ..Event::ZERO
        });
        device.transport_mut().inner.0.borrow_mut().events.extend(events);
        device.transport_mut().phantom_events = phantom;
        // What was taken before the lie came out is handed out.
        let taken = device.drain_events().unwrap();
        assert!(taken.iter().map(|event| event.packets).eq(0..10), "{phantom}");
        device.enable_event_ring(16).unwrap();
        let error = device.drain_events().unwrap_err();
        assert!(error.to_string().contains("beyond the events"), "{phantom}: {error}");
    }
    let (mut device, _) = RingMock::attached();
    device.enable_event_ring(16).unwrap();
    device.transport_mut().phantom_events = 17;
    let error = device.drain_events().unwrap_err();
    assert!(error.to_string().contains("more events than"), "{error}");
}

#[test]
fn frames_go_both_ways_in_order() {
    let (mut device, _) = RingMock::attached();
    assert!(device.receive_frames(1).is_err());
    device.enable_frame_rings(8).unwrap();
    let header = HostFrame {
        port: 3,
        kind: HostFrameKind::ForVm.into(),
        ..HostFrame::ZERO
    };
    for n in 0..1_000u32 {
        let mut frame = header.as_bytes().to_vec();
        frame.extend(n.to_le_bytes());
        device.transport_mut().to_host.push_back(frame);
    }
    let mut received = Vec::new();
    while received.len() < 1_000 {
        let some = device.receive_frames(7).unwrap();
        assert!(!some.is_empty() && some.len() <= 7);
        received.extend(some);
    }
    for (n, packet) in (0u32..).zip(&received) {
        assert_eq!((packet.header, &packet.frame[..]), (header, &n.to_le_bytes()[..]));
    }
    assert!(device.receive_frames(7).unwrap().is_empty());

    for n in 0..100u8 {
        device.send_frame(&header, &[n; 60]).unwrap();
    }
    device.flush_frames().unwrap();
    let sent = &device.transport_mut().from_host;
    assert_eq!(sent.len(), 100);
    assert!(
        (0..)
            .zip(sent)
            .all(|(n, f)| f[..32] == *header.as_bytes() && f[32..] == [n; 60])
    );
    let error = device.send_frame(&header, &[0; 2017]).unwrap_err();
    assert!(error.to_string().contains("2049 octets"), "{error}");
    device.send_frame(&header, &[0; 2016]).unwrap();
}

#[test]
fn a_device_that_breaks_the_frame_rings_is_an_error_and_they_can_be_enabled_again() {
    let (mut device, clock) = RingMock::attached();
    for fault in [
        RingFault::Hang,
        RingFault::WrongIndex,
        RingFault::Stop,
        RingFault::Phase(9),
        RingFault::Len(4_000),
    ] {
        device.enable_frame_rings(2).unwrap();
        let taken = device.transport_mut().taken();
        device.transport_mut().faults.push_back(fault);
        let before = clock.clone().now();
        let mut sent = 0;
        while device.send_frame(&HostFrame::ZERO, &[1; 20]).is_ok() && device.flush_frames().is_ok() {
            sent += 1;
            assert!(sent < 10, "{fault:?}");
        }
        assert!(clock.clone().now() - before < Duration::from_millis(300), "{fault:?}");
        assert!(
            device.send_frame(&HostFrame::ZERO, &[1; 20]).is_err(),
            "not enabled any more"
        );
        assert!(device.transport_mut().taken() < taken);
        device.transport_mut().faults.clear();
    }
    device.enable_frame_rings(2).unwrap();
    device.transport_mut().to_host.push_back(vec![0; 31]);
    let error = device.receive_frames(1).unwrap_err();
    assert!(error.to_string().contains("shorter than its header"), "{error}");
}
