//! Discovery and the typed commands.

use super::mock::{Fault, Mock, MockTransport, TEST_CONFIG};
use crate::clock::ManualClock;
use crate::device::{FlushScope, SaParams};
use crate::keys::{KeyDerivation, KeyName, Sender};
use crate::{Device, Error, RunId, SaKeys};
use sealnic_abi::event::Event;
use sealnic_abi::mailbox::{Opcode, SelfTestResult, Status};
use sealnic_abi::object::*;
use sealnic_abi::registers::{Register, offsets};
use std::cell::RefCell;
use std::rc::Rc;

fn attach(mock: &Rc<RefCell<Mock>>) -> Result<Device<MockTransport>, Error> {
    Device::attach_with(
        MockTransport(mock.clone()),
        Box::new(ManualClock::default()),
        TEST_CONFIG,
    )
}

fn keys(epoch: u64) -> SaKeys {
    KeyDerivation::new(b"s", &RunId::UNSAFE_FIXED).sa_keys(&KeyName {
        association: b"a",
        sender: Sender::First,
        epoch,
        version: DtlsVersion::Dtls13,
        suite: CipherSuite::Aes256Gcm,
    })
}

/// A mock with one VNet and association 5.
fn with_association() -> (Rc<RefCell<Mock>>, Device<MockTransport>) {
    let (mock, mut device, _) = Mock::attached();
    device.configure(&DeviceConfig::ZERO).unwrap();
    device.set_vnet(&Vnet { vni: 1, ..Vnet::ZERO }).unwrap();
    let association = Association {
        id: 5,
        local_vni: 1,
        ..Association::ZERO
    };
    device.set_association(&association).unwrap();
    (mock, device)
}

#[test]
fn what_is_no_sealnic_or_speaks_another_abi_is_refused_before_anything_is_written() {
    for (register, mask, value, text) in [
        (Register::Magic, u32::MAX, 0x1234_5678, "0x12345678"),
        (Register::Magic, u32::MAX, u32::MAX, "0xffffffff"),
        (Register::AbiVersion, offsets::abi_version::MAJOR_MASK, 2, "2.1"),
        (Register::AbiVersion, offsets::abi_version::MAJOR_MASK, 0, "0.1"),
        (
            Register::CapMailbox,
            offsets::cap_mailbox::RESPONSE_LEN_MASK,
            2048,
            "2048",
        ),
    ] {
        let mock = Mock::new();
        mock.borrow_mut().registers.set_field(register, mask, value);
        let before = mock.borrow().registers.clone();
        let error = attach(&mock).err().unwrap();
        assert!(error.to_string().contains(text), "{error}");
        assert_eq!(mock.borrow().registers, before);
    }
}

#[test]
fn a_later_minor_version_is_accepted() {
    let mock = Mock::new();
    let minor = offsets::abi_version::MINOR_MASK;
    mock.borrow_mut().registers.set_field(Register::AbiVersion, minor, 7);
    mock.borrow_mut().identity.abi_minor = 7;
    assert_eq!(attach(&mock).unwrap().identity().abi_minor, 7);
}

#[test]
fn an_identity_of_another_abi_is_refused() {
    let mock = Mock::new();
    mock.borrow_mut().identity.abi_major = 9;
    assert!(matches!(attach(&mock), Err(Error::UnknownAbi { major: 9, .. })));
}

#[test]
fn a_device_that_never_gets_ready_or_is_in_fault_is_refused_and_a_reset_helps() {
    let mock = Mock::new();
    mock.borrow_mut()
        .registers
        .set_field(Register::Status, offsets::status::READY_MASK, 0);
    assert!(matches!(attach(&mock), Err(Error::NotReady { timeout_ms: 100 })));
    let mock = Mock::new();
    mock.borrow_mut()
        .registers
        .set_field(Register::Status, offsets::status::FAULT_MASK, 1);
    assert!(matches!(attach(&mock), Err(Error::Fault { .. })));
    let transport = MockTransport(mock);
    let device = Device::attach_after_reset(transport, Box::new(ManualClock::default()), TEST_CONFIG).unwrap();
    assert_eq!(device.identity().generation, 78);
}

#[test]
fn lists_of_any_length_come_back_whole_and_in_order() {
    for len in [0, 1, 199, 200, 201, 299] {
        let (mock, mut device, _) = Mock::attached();
        let ports: Vec<Port> = (0..len).map(|port| Port { port, ..Port::ZERO }).collect();
        mock.borrow_mut().state.ports.clone_from(&ports);
        let listed: Vec<Port> = device.ports().collect::<Result<_, _>>().unwrap();
        assert_eq!(listed, ports, "{len}");
    }
}

#[test]
fn mappings_travel_sixty_at_a_time_and_the_refused_one_is_named() {
    let (mock, mut device, _) = Mock::attached();
    device.configure(&DeviceConfig::ZERO).unwrap();
    device.set_vnet(&Vnet { vni: 1, ..Vnet::ZERO }).unwrap();
    let mut mappings: Vec<Mapping> = (0..150u8)
        .map(|i| Mapping {
            src_vni: 1,
            prefix: Address::from(std::net::IpAddr::from([10, 0, 0, i])),
            prefix_len: 32,
            ..Mapping::ZERO
        })
        .collect();
    mock.borrow_mut().executed.clear();
    device.set_mappings(&mappings).unwrap();
    assert_eq!(mock.borrow().executed, [Opcode::MappingSet; 3]);
    assert_eq!(mock.borrow().state.mappings, mappings);
    mappings[130].src_vni = 2;
    let error = device.set_mappings(&mappings).unwrap_err();
    assert_eq!(error.to_string(), "mapping 130 (VNI 2 10.0.0.130/32): no such object");
    device.set_mappings(&[]).unwrap();
}

#[test]
fn an_sa_is_installed_activated_retired_and_removed() {
    let (mock, mut device) = with_association();
    let params = SaParams::new(9, 5, Direction::Write, 3);
    device.install_sa(&params, keys(3)).unwrap();
    let state = device.query_sa(9).unwrap();
    assert_eq!(
        (state.association, state.epoch, state.generation, state.direction),
        (5, 3, 77, 0)
    );
    device.activate_sa(9).unwrap();
    assert_eq!(device.query_sa(9).unwrap().phase, u8::from(SaPhase::Active));
    device.retire_sa(9).unwrap();
    assert_eq!(device.query_sa(9).unwrap().phase, u8::from(SaPhase::Retiring));
    assert_eq!(device.sas().count(), 1);
    device.remove_sa(9).unwrap();
    assert_eq!(device.query_sa(9).unwrap_err().status(), Some(Status::NotFound));
    let expected = keys(3);
    assert!(mock.borrow().keys_seen[..32] == *expected.expose_key());
    assert!(mock.borrow().keys_seen[32..44] == *expected.expose_iv());
    assert!(mock.borrow().keys_seen[44..76] == *expected.expose_sn_key());
}

#[test]
fn keys_of_an_older_generation_are_refused() {
    let (mock, mut device) = with_association();
    mock.borrow_mut().identity.generation += 1;
    let error = device
        .install_sa(&SaParams::new(9, 5, Direction::Read, 3), keys(3))
        .unwrap_err();
    assert_eq!(error.status(), Some(Status::StaleGeneration));
    assert!(mock.borrow().keys_seen.is_empty());
}

/// Whatever happens to the doorbell, the request window holds no key afterwards.
#[test]
fn keys_do_not_stay_in_the_request_window() {
    for fault in [None, Some(Fault::LostDoorbell), Some(Fault::Hang), Some(Fault::Slow(9))] {
        let (mock, mut device) = with_association();
        mock.borrow_mut().faults = std::iter::repeat_n(fault, 4).collect();
        let result = device.install_sa(&SaParams::new(9, 5, Direction::Write, 3), keys(3));
        assert_eq!(
            result.is_ok(),
            fault.is_none() || fault == Some(Fault::Slow(9)),
            "{fault:?}"
        );
        let window = mock.borrow().request.clone();
        assert!(window.iter().all(|&octet| octet == 0), "{fault:?}");
    }
}

#[test]
fn a_control_record_is_checked_before_it_is_sent() {
    let (mock, mut device) = with_association();
    let sealed = device.seal_control_record(5, 22, &[1, 2, 3]).unwrap();
    assert_eq!((sealed.sequence, sealed.epoch), (3, 6));
    assert_eq!(device.seal_control_record(5, 22, &[1; 2048]).unwrap().epoch, 2048);
    mock.borrow_mut().executed.clear();
    for len in [0, 2049, 70_000] {
        let error = device.seal_control_record(5, 22, &vec![1; len]).unwrap_err();
        assert!(matches!(error, Error::ControlRecordLen { max: 2048, .. }), "{error:?}");
    }
    assert!(mock.borrow().executed.is_empty());
}

#[test]
fn all_events_are_drained_in_order() {
    let (mock, mut device, _) = Mock::attached();
    for count in [0u64, 1, 40, 41, 100] {
        let events: Vec<Event> = (0..count).map(|time_ns| Event { time_ns, ..Event::ZERO }).collect();
        mock.borrow_mut().events.extend(&events);
        assert_eq!(device.drain_events().unwrap(), events);
    }
}

#[test]
fn events_of_a_damaged_answer_are_not_lost() {
    let (mock, mut device, _) = Mock::attached();
    mock.borrow_mut().events.extend([Event::ZERO; 50]);
    mock.borrow_mut().faults = [Some(Fault::FlipResponse(999)), None, Some(Fault::WrongSequence)].into();
    assert_eq!(device.drain_events().unwrap().len(), 50);
}

#[test]
fn flows_are_flushed_by_scope_and_the_policy_epoch_is_bumped() {
    let (_, mut device, _) = Mock::attached();
    assert_eq!(device.flush_flows(FlushScope::All).unwrap(), u32::MAX);
    assert_eq!(device.flush_flows(FlushScope::Port(6)).unwrap(), 6);
    assert_eq!(device.flush_flows(FlushScope::Vni(6)).unwrap(), 7);
    assert_eq!(device.flows().count(), 0);
    assert_eq!(device.bump_policy_epoch().unwrap(), 1);
    assert_eq!(device.identity().policy_epoch, 1);
}

#[test]
fn the_self_test_is_reported_by_name_and_an_unknown_failure_is_seen() {
    let (mock, mut device, _) = Mock::attached();
    assert!(device.self_test().unwrap().iter().all(|t| t.run && t.passed));
    mock.borrow_mut().self_test = SelfTestResult {
        run: 0b0100_1011,
        failed: 0b0100_0010,
    };
    let outcome = device.self_test().unwrap();
    let passed: Vec<_> = outcome.iter().filter(|t| t.passed).map(|t| t.name).collect();
    assert_eq!(passed, ["AES-128-GCM", "DTLS 1.3 record"]);
    assert_eq!(outcome.iter().filter(|t| t.run).count(), 4);
    assert_eq!(outcome.len(), 7);
}

#[test]
fn a_reset_is_over_when_the_generation_is_new() {
    let (mock, mut device) = with_association();
    device.set_enabled(true).unwrap();
    assert!(device.is_enabled().unwrap());
    device.reset().unwrap();
    assert_eq!(device.identity().generation, 78);
    assert!(mock.borrow().state.vnets.is_empty());
    device.soft_reset().unwrap();
    assert_eq!(device.identity().generation, 79);
    mock.borrow_mut().keep_generation = true;
    assert!(matches!(device.reset(), Err(Error::ResetIneffective)));
}

#[test]
fn a_reset_whose_answer_is_lost_is_found_out() {
    let (mock, mut device, _) = Mock::attached();
    mock.borrow_mut().faults = std::iter::repeat_n(Some(Fault::FlipResponse(5)), 4).collect();
    device.reset().unwrap();
    assert_eq!(device.identity().generation, 78);
}
