//! The mailbox client on a link that loses and damages, towards a device that answers late, wrongly or never.

use super::mock::{Fault, Mock, MockTransport, TEST_CONFIG};
use crate::clock::{Clock, ManualClock};
use crate::mailbox::{Damage, Mailbox, MailboxError};
use crate::{Device, Error};
use sealnic_abi::mailbox::{Opcode, PolicyEpochBump, Status, VnetRemove};
use sealnic_abi::registers::{FaultCode, MailboxError as DoorbellError, Register};
use std::time::Duration;

/// More than four attempts with their pauses can take.
const LONGEST: Duration = Duration::from_millis(4 * 100 + 20);

fn bump(device: &mut Device<MockTransport>) -> Result<u32, MailboxError> {
    device.call(&PolicyEpochBump).map(|response| response.epoch)
}

#[test]
fn a_good_device_is_asked_once() {
    let (mock, mut device, clock) = Mock::attached();
    let before = clock.clone().now();
    assert_eq!(bump(&mut device).unwrap(), 1);
    assert_eq!(bump(&mut device).unwrap(), 2);
    assert_eq!(mock.borrow().executed, [Opcode::PolicyEpochBump; 2]);
    assert_eq!(clock.clone().now(), before, "nothing to wait for");
}

/// Every fault that passes: the command is carried out once, and its answer arrives.
#[test]
fn a_passing_fault_is_retried_and_the_command_carried_out_once() {
    let faults = [
        Fault::LostDoorbell,
        Fault::FlipRequest(3),
        Fault::FlipRequest(40),
        Fault::FlipRequest(100),
        Fault::WrongSequence,
        Fault::WrongOpcode,
        Fault::ResponseLen(0),
        Fault::ResponseLen(15),
        Fault::ResponseLen(16),
        Fault::ResponseLen(24),
        Fault::ResponseLen(4097),
        Fault::ResponseLen(u16::MAX),
        Fault::ShortPayload(4),
        Fault::Slow(1),
        Fault::Slow(30),
        Fault::Refuse(DoorbellError::Busy),
        Fault::Refuse(DoorbellError::BadLength),
        Fault::Refuse(DoorbellError::NotReady),
    ];
    for fault in faults {
        for times in 1..4 {
            let (mock, mut device, clock) = Mock::attached();
            mock.borrow_mut().faults = std::iter::repeat_n(Some(fault), times).collect();
            let start = clock.clone().now();
            assert_eq!(bump(&mut device).unwrap(), 1, "{fault:?} {times} times");
            assert!(clock.clone().now() - start < LONGEST, "{fault:?}");
            assert_eq!(
                mock.borrow().executed,
                [Opcode::PolicyEpochBump],
                "{fault:?} {times} times"
            );
            assert_eq!(bump(&mut device).unwrap(), 2, "the next command, after {fault:?}");
        }
    }
}

#[test]
fn any_flipped_bit_of_request_or_response_is_retried() {
    for bit in 0..(16 + 4) * 8 + 16 {
        let (mock, mut device, _) = Mock::attached();
        mock.borrow_mut().faults = [Some(Fault::FlipResponse(bit))].into();
        assert_eq!(bump(&mut device).unwrap(), 1, "response bit {bit}");
        assert_eq!(mock.borrow().executed, [Opcode::PolicyEpochBump], "response bit {bit}");
    }
    for bit in 0..128 {
        let (mock, mut device, _) = Mock::attached();
        mock.borrow_mut().faults = [Some(Fault::FlipRequest(bit))].into();
        assert_eq!(bump(&mut device).unwrap(), 1, "request bit {bit}");
        assert_eq!(mock.borrow().executed, [Opcode::PolicyEpochBump], "request bit {bit}");
    }
}

#[test]
fn an_answer_that_is_late_is_fetched_by_a_later_attempt() {
    let (mock, mut device, _) = Mock::attached();
    // About 100 looks fit into an attempt: this answer comes during the third.
    mock.borrow_mut().faults = [Some(Fault::Slow(250))].into();
    assert_eq!(bump(&mut device).unwrap(), 1);
    assert_eq!(mock.borrow().executed, [Opcode::PolicyEpochBump]);
}

#[test]
fn what_lasts_is_an_error_in_time_that_says_what_it_is() {
    type Check = fn(&MailboxError) -> bool;
    let cases: [(Fault, Check); 11] = [
        (Fault::Hang, |e| matches!(e, MailboxError::Timeout { attempts: 4, .. })),
        (Fault::FlipRequest(100), |e| e.status() == Some(Status::BadChecksum)),
        (Fault::FlipRequest(77), |e| e.status() == Some(Status::BadLength)),
        (Fault::FlipResponse(150), |e| {
            matches!(
                e,
                MailboxError::Damaged {
                    damage: Damage::Checksum,
                    attempts: 4,
                    ..
                }
            )
        }),
        (Fault::WrongSequence, |e| {
            matches!(
                e,
                MailboxError::Damaged {
                    damage: Damage::Sequence(_),
                    ..
                }
            )
        }),
        (Fault::WrongOpcode, |e| {
            matches!(
                e,
                MailboxError::Damaged {
                    damage: Damage::Opcode(_),
                    ..
                }
            )
        }),
        (Fault::ResponseLen(5000), |e| {
            matches!(
                e,
                MailboxError::Damaged {
                    damage: Damage::Length(5000),
                    ..
                }
            )
        }),
        (Fault::ResponseLen(24), |e| {
            matches!(
                e,
                MailboxError::Damaged {
                    damage: Damage::Length(24),
                    ..
                }
            )
        }),
        (Fault::ShortPayload(4), |e| {
            matches!(
                e,
                MailboxError::Damaged {
                    damage: Damage::Payload(0),
                    ..
                }
            )
        }),
        (Fault::Refuse(DoorbellError::NotReady), |e| {
            matches!(
                e,
                MailboxError::Refused {
                    code: Some(DoorbellError::NotReady),
                    ..
                }
            )
        }),
        (Fault::Stop, |e| {
            matches!(
                e,
                MailboxError::Fault {
                    code: Some(FaultCode::Firmware),
                    ..
                }
            )
        }),
    ];
    for (fault, check) in cases {
        let (mock, mut device, clock) = Mock::attached();
        mock.borrow_mut().faults = std::iter::repeat_n(Some(fault), 10).collect();
        let start = clock.clone().now();
        let error = bump(&mut device).unwrap_err();
        assert!(check(&error), "{fault:?}: {error:?}");
        assert!(clock.clone().now() - start < LONGEST, "{fault:?}");
        assert!(mock.borrow().executed.len() <= 1, "{fault:?}");
        assert!(error.to_string().starts_with("PolicyEpochBump: "), "{error}");
    }
}

#[test]
fn a_lost_doorbell_before_any_answer_times_out_and_later_ones_are_told_by_their_number() {
    let mock = Mock::new();
    mock.borrow_mut().faults = std::iter::repeat_n(Some(Fault::LostDoorbell), 4).collect();
    let clock = ManualClock::default();
    let error = Device::attach_with(MockTransport(mock.clone()), Box::new(clock.clone()), TEST_CONFIG)
        .err()
        .unwrap();
    assert!(
        matches!(
            error,
            Error::Mailbox(MailboxError::Timeout {
                opcode: Opcode::Identify,
                ..
            })
        ),
        "{error:?}"
    );
    assert!(clock.clone().now() < LONGEST);
    assert!(mock.borrow().executed.is_empty());
}

#[test]
fn a_device_that_vanishes_is_reported_at_once() {
    let (mock, mut device, clock) = Mock::attached();
    mock.borrow_mut().faults = [Some(Fault::Vanish)].into();
    let start = clock.clone().now();
    let error = bump(&mut device).unwrap_err();
    assert!(matches!(error, MailboxError::Gone { magic: u32::MAX, .. }), "{error:?}");
    assert_eq!(clock.clone().now(), start);
}

#[test]
fn the_devices_own_errors_are_not_retried() {
    let (mock, mut device, _) = Mock::attached();
    for &status in &Status::ALL[1..] {
        mock.borrow_mut().executed.clear();
        mock.borrow_mut().refuse_with = Some(status);
        let error = bump(&mut device).unwrap_err();
        assert_eq!(error.status(), Some(status));
        assert!(error.to_string().contains(&status.to_string()), "{error}");
        assert_eq!(mock.borrow().executed, [Opcode::PolicyEpochBump]);
    }
    mock.borrow_mut().refuse_with = None;
    let error = device.call(&VnetRemove { id: 4 }).unwrap_err();
    assert_eq!(error.status(), Some(Status::NotFound));
    assert_eq!(error.to_string(), "VnetRemove: no such object");
}

#[test]
fn sequence_numbers_rise_and_never_are_zero() {
    let (mock, mut device, _) = Mock::attached();
    for _ in 0..8 {
        bump(&mut device).unwrap();
    }
    let max = u32::MAX;
    assert_eq!(
        mock.borrow().sequences,
        [max - 4, max - 3, max - 2, max - 1, max, 1, 2, 3]
    );
}

#[test]
fn the_first_sequence_number_of_two_drivers_differs() {
    let first = || {
        let mock = Mock::new();
        let mut mailbox = Mailbox::new(crate::MailboxConfig::default());
        mailbox
            .call(
                &mut MockTransport(mock.clone()),
                &mut ManualClock::default(),
                &PolicyEpochBump,
            )
            .unwrap();
        mock.borrow().sequences[0]
    };
    let firsts: std::collections::HashSet<u32> = (0..20).map(|_| first()).collect();
    assert!(firsts.len() > 15, "{firsts:?}");
}

#[test]
fn the_mailbox_cause_is_cleared_before_it_can_mean_this_request() {
    let (mock, mut device, _) = Mock::attached();
    mock.borrow_mut()
        .registers
        .set_bits(Register::IrqCause, u32::MAX, 0b1011);
    bump(&mut device).unwrap();
    assert_eq!(mock.borrow().registers.get(Register::IrqCause), 0b1010);
    assert_eq!(
        mock.borrow().registers.get(Register::IrqMask),
        0b10_0110,
        "mailbox, command ring and fault are let through"
    );
}
