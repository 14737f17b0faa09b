//! Registers that read anything: an error in time, never a panic, a hang, or a wrong answer.

use super::mock::{Mock, MockTransport, TEST_CONFIG};
use super::random::Random;
use crate::clock::{Clock, ManualClock};
use crate::transport::{Fired, Transport, TransportError};
use crate::{Device, Error, reconcile::read_back};
use sealnic_abi::event::Event;
use sealnic_abi::registers::{Location, Register};
use std::io;
use std::time::Duration;

/// A device of which some words read as noise.
struct Noisy {
    inner: MockTransport,
    random: Random,
    /// One in so many reads is noise; 1 for all.
    rate: usize,
    /// Identity and version still read well, so that the driver gets further.
    spare_identity: bool,
}

impl Transport for Noisy {
    fn read32(&mut self, offset: u32) -> Result<u32, TransportError> {
        let value = self.inner.read32(offset)?;
        let identity = matches!(
            Location::decode(offset),
            Some(Location::Register(
                Register::Magic | Register::AbiVersion | Register::CapMailbox | Register::Status
            ))
        );
        if identity && self.spare_identity || !self.random.one_in(self.rate) {
            return Ok(value);
        }
        let noise = self.random.next();
        Ok(match noise >> 62 {
            0 => u32::MAX,
            1 => 0,
            2 => value ^ (1 << (noise & 31)),
            _ => u32::try_from(noise & 0xffff_ffff).unwrap(),
        })
    }

    fn write32(&mut self, offset: u32, value: u32) -> Result<(), TransportError> {
        self.inner.write32(offset, value)
    }

    /// Returns at once without time passing, as a transport with spurious interrupts may.
    fn wait(&mut self, _: Duration, _: &mut dyn Clock) -> Result<Fired, TransportError> {
        Ok(Fired::NONE)
    }
}

#[test]
fn noise_in_the_registers_ends_in_an_error_or_the_right_answer() {
    let mut attached = 0;
    for seed in 0..400u64 {
        for rate in [1, 2, 30, 300] {
            let clock = ManualClock::default();
            let transport = Noisy {
                inner: MockTransport(Mock::new()),
                random: Random(seed),
                rate,
                spare_identity: seed % 4 != 0,
            };
            let Ok(mut device) = Device::attach_with(transport, Box::new(clock.clone()), TEST_CONFIG) else {
                assert!(clock.clone().now() < Duration::from_millis(700));
                continue;
            };
            attached += 1;
            assert_eq!(device.identity().generation, 77);
            let start = clock.clone().now();
            if let Ok(state) = read_back(&mut device) {
                assert_eq!(state, crate::plan::Programmed::default());
            }
            // Six lists of one page, four attempts each.
            assert!(clock.clone().now() - start < Duration::from_millis(6 * 420));
        }
    }
    assert!(attached > 100, "the test gets past the door ({attached})");
}

#[test]
fn a_list_that_never_ends_is_an_error() {
    use sealnic_abi::mailbox::{MessageHeader, Opcode, VnetPage, write_message};
    use zerocopy::IntoBytes;

    /// Answers every request with one page, whatever was asked for.
    struct Endless {
        inner: MockTransport,
        page: VnetPage,
        rising: bool,
        asked: u32,
    }
    impl Transport for Endless {
        fn read32(&mut self, offset: u32) -> Result<u32, TransportError> {
            self.inner.read32(offset)
        }
        fn write32(&mut self, offset: u32, value: u32) -> Result<(), TransportError> {
            let mut header = MessageHeader::ZERO;
            let is_doorbell = Location::decode(offset) == Some(Location::Register(Register::MailboxDoorbell));
            if is_doorbell {
                let request = self.inner.0.borrow().request.clone();
                header = zerocopy::FromBytes::read_from_prefix(&request).unwrap().0;
            }
            self.inner.write32(offset, value)?;
            if is_doorbell && header.opcode == u16::from(Opcode::VnetList) {
                self.asked += 1;
                if self.rising {
                    self.page.next = self.asked;
                }
                let len = write_message(&mut self.inner.0.borrow_mut().response, header, self.page.as_bytes()).unwrap();
                assert_eq!(len, 16 + size_of::<VnetPage>());
            }
            Ok(())
        }
    }

    for (count, next, rising, what) in [
        (501, 0, false, "more items than it has room"),
        (u32::MAX, 0, false, "more items than it has room"),
        (1, 1, false, "circles"),
        (0, 1, false, "circles"),
        (1, 0, true, "longer than its table"),
        (0, 0, true, "longer than its table"),
    ] {
        let page = VnetPage {
            count,
            next,
            ..VnetPage::ZERO
        };
        let transport = Endless {
            inner: MockTransport(Mock::new()),
            page,
            rising,
            asked: 0,
        };
        let mut device = Device::attach_with(transport, Box::new(ManualClock::default()), TEST_CONFIG).unwrap();
        let error = device.vnets().find_map(Result::err).unwrap();
        assert!(error.to_string().contains(what), "{error}");
        let asked = device.transport_mut().asked;
        assert!(asked <= 602, "no more pages than the table has slots: {asked}");
    }
}

#[test]
fn a_broken_transport_is_reported_as_such() {
    struct Broken;
    impl Transport for Broken {
        fn read32(&mut self, offset: u32) -> Result<u32, TransportError> {
            Err(TransportError::Read {
                offset,
                source: io::Error::other("unplugged"),
            })
        }
        fn write32(&mut self, _: u32, _: u32) -> Result<(), TransportError> {
            Ok(())
        }
    }
    let error = Device::attach(Broken).err().unwrap();
    assert!(
        matches!(error, Error::Transport(TransportError::Read { offset: 0, .. })),
        "{error:?}"
    );
    assert!(error.to_string().contains("0x0000"), "{error}");
}

#[test]
fn events_that_never_end_are_an_error() {
    let (mock, mut device, _) = Mock::attached();
    mock.borrow_mut().events.extend([Event::ZERO; 3]);
    mock.borrow_mut().phantom_events = 1;
    let error = device.drain_events().unwrap_err();
    assert!(error.to_string().contains("never gets empty"), "{error}");
    mock.borrow_mut().phantom_events = 0;
    assert!(device.drain_events().unwrap().is_empty());
}
