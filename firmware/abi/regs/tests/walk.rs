//! Host and device meet: the generated access drives a register file in memory through a bus, as a transport would.

#![allow(clippy::unwrap_used, reason = "a test may stop here")]

use sealnic_regs::offsets::{self, status};
use sealnic_regs::{Bar, FaultCode, Location, Register, RegisterBus, RegisterFile, Window, WindowError};
use std::cell::RefCell;

/// A device that is nothing but its registers and windows; it refuses every access to an offset where nothing stands.
struct Device {
    state: RefCell<State>,
}

struct State {
    registers: RegisterFile,
    windows: [Vec<u8>; Window::ALL.len()],
    accesses: Vec<(char, u32)>,
}

#[derive(Debug, PartialEq)]
struct Refused(u32);

impl Device {
    fn new() -> Self {
        let windows = Window::ALL.map(|window| vec![0; window.byte_len() as usize]);
        Self {
            state: RefCell::new(State {
                registers: RegisterFile::new(),
                windows,
                accesses: Vec::new(),
            }),
        }
    }
}

impl RegisterBus for Device {
    type Error = Refused;

    fn read32(&self, offset: u32) -> Result<u32, Refused> {
        let mut state = self.state.borrow_mut();
        state.accesses.push(('r', offset));
        match Location::decode(offset).ok_or(Refused(offset))? {
            Location::Register(register) => Ok(state.registers.host_read(register)),
            Location::Window { window, offset } => {
                let octets = &state.windows[window as usize][offset as usize..offset as usize + 4];
                Ok(u32::from_le_bytes(octets.try_into().unwrap()))
            }
        }
    }

    fn write32(&self, offset: u32, value: u32) -> Result<(), Refused> {
        let mut state = self.state.borrow_mut();
        state.accesses.push(('w', offset));
        match Location::decode(offset).ok_or(Refused(offset))? {
            Location::Register(register) => {
                state.registers.host_write(register, value);
            }
            Location::Window { window, offset } => {
                if !window.is_writable() {
                    return Err(Refused(offset));
                }
                state.windows[window as usize][offset as usize..offset as usize + 4]
                    .copy_from_slice(&value.to_le_bytes());
            }
        }
        Ok(())
    }
}

#[test]
fn the_identity_is_read_through_the_generated_access() {
    let bar = Bar::new(Device::new());
    let registers = bar.registers();
    assert_eq!(registers.magic().try_read().unwrap().value().to_le_bytes(), *b"SEAL");
    let version = registers.abi_version().try_read().unwrap();
    assert_eq!(u32::from(version.major()), offsets::abi_version::MAJOR_RESET);
    assert_eq!(u32::from(version.minor()), offsets::abi_version::MINOR_RESET);
    assert_eq!(bar.bus().state.borrow().accesses, [('r', 0x0), ('r', 0x8)]);
}

/// Walks a one through every bit of every register as the device drives it, and compares what the generated access
/// decodes with what the generated offsets say: two generators, one description.
#[test]
fn every_field_of_the_access_lies_where_the_offsets_say() {
    macro_rules! walk_one {
        ([$($path:ident).+] $register:expr, $module:ident { $( $field:ident $mask:ident ),* }) => {
            let register: Register = $register;
            for bit in 0..32 {
                let device = Device::new();
                device.state.borrow_mut().registers.set_bits(register, u32::MAX, 1 << bit);
                let bar = Bar::new(&device);
                let value = bar.registers()$(.$path())+.try_read().unwrap();
                $(
                    let expected = device.state.borrow().registers.field(register, offsets::$module::$mask);
                    assert_eq!(u64::from(value.$field()), u64::from(expected), "{}.{} bit {bit}", register.name(), stringify!($field));
                )*
                assert_eq!(device.state.borrow().accesses, [('r', register.offset())]);
            }
            let mut covered = 0;
            $(
                assert_eq!(covered & offsets::$module::$mask, 0, "{}: fields overlap", register.name());
                covered |= offsets::$module::$mask;
            )*
            assert_eq!(covered, register.readable_mask() & !NOT_WALKED[register as usize]);
        };
    }
    macro_rules! walk {
        ($( $register:ident $variant:ident { $($fields:tt)* } )*) => {
            $( walk_one!([$register] Register::$variant, $register { $($fields)* }); )*
        };
    }
    /// Every register of a ring, each by its distance from the first.
    macro_rules! walk_ring {
        ($( $ring:ident $first:ident )*) => { $(
            let at = |distance: u32| Register::from_offset(Register::$first.offset() + distance).unwrap();
            walk_one!([$ring.descriptors_lo] at(0x00), ring_descriptors_lo { value VALUE_MASK });
            walk_one!([$ring.descriptors_hi] at(0x04), ring_descriptors_hi { value VALUE_MASK });
            walk_one!([$ring.completions_lo] at(0x08), ring_completions_lo { value VALUE_MASK });
            walk_one!([$ring.completions_hi] at(0x0C), ring_completions_hi { value VALUE_MASK });
            walk_one!([$ring.size] at(0x10), ring_size { entries ENTRIES_MASK });
            walk_one!([$ring.control] at(0x14), ring_control { enable ENABLE_MASK });
            walk_one!([$ring.status] at(0x18), ring_status { running RUNNING_MASK });
            walk_one!([$ring.doorbell] at(0x1C), ring_doorbell { index INDEX_MASK });
            walk_one!([$ring.head] at(0x20), ring_head { index INDEX_MASK });
            walk_one!([$ring.fault_iova_lo] at(0x24), ring_fault_iova_lo { value VALUE_MASK });
            walk_one!([$ring.fault_iova_hi] at(0x28), ring_fault_iova_hi { value VALUE_MASK });
        )* };
    }
    /// Fields that decode into an enumeration have tests of their own below.
    const NOT_WALKED: [u32; Register::ALL.len()] = {
        let mut masks = [0; Register::ALL.len()];
        masks[Register::Status as usize] = status::FAULT_CODE_MASK;
        masks[Register::MailboxStatus as usize] = offsets::mailbox_status::ERROR_CODE_MASK;
        masks[Register::CommandRingStatus as usize] = offsets::ring_status::ERROR_MASK;
        masks[Register::EventRingStatus as usize] = offsets::ring_status::ERROR_MASK;
        masks[Register::HostReceiveRingStatus as usize] = offsets::ring_status::ERROR_MASK;
        masks[Register::HostTransmitRingStatus as usize] = offsets::ring_status::ERROR_MASK;
        masks
    };
    walk! {
        magic Magic { value VALUE_MASK }
        device_id DeviceId { device DEVICE_MASK, revision REVISION_MASK }
        abi_version AbiVersion { minor MINOR_MASK, major MAJOR_MASK }
        cap_flows CapFlows { count COUNT_MASK }
        cap_associations CapAssociations { count COUNT_MASK }
        cap_sas CapSas { count COUNT_MASK }
        cap_ports CapPorts { count COUNT_MASK }
        cap_mappings CapMappings { count COUNT_MASK }
        cap_vnets CapVnets { count COUNT_MASK }
        cap_replay_window CapReplayWindow { records RECORDS_MASK }
        cap_receive_epochs CapReceiveEpochs { count COUNT_MASK }
        cap_mailbox CapMailbox { request_len REQUEST_LEN_MASK, response_len RESPONSE_LEN_MASK }
        cap_counters CapCounters { count COUNT_MASK }
        cap_rings CapRings { max_entries MAX_ENTRIES_MASK, host_frame_len HOST_FRAME_LEN_MASK }
        control Control { enable ENABLE_MASK, soft_reset SOFT_RESET_MASK }
        status Status { ready READY_MASK, fault FAULT_MASK }
        generation_lo GenerationLo { value VALUE_MASK }
        generation_hi GenerationHi { value VALUE_MASK }
        irq_cause IrqCause {
            mailbox_done MAILBOX_DONE_MASK, events_pending EVENTS_PENDING_MASK,
            host_frame_pending HOST_FRAME_PENDING_MASK, fault FAULT_MASK,
            commands_done COMMANDS_DONE_MASK, host_frames_taken HOST_FRAMES_TAKEN_MASK
        }
        irq_mask IrqMask {
            mailbox_done MAILBOX_DONE_MASK, events_pending EVENTS_PENDING_MASK,
            host_frame_pending HOST_FRAME_PENDING_MASK, fault FAULT_MASK,
            commands_done COMMANDS_DONE_MASK, host_frames_taken HOST_FRAMES_TAKEN_MASK
        }
        mailbox_doorbell MailboxDoorbell { request_len REQUEST_LEN_MASK }
        mailbox_status MailboxStatus { busy BUSY_MASK, done DONE_MASK, error ERROR_MASK }
        mailbox_response_len MailboxResponseLen { len LEN_MASK }
        counter_snapshot CounterSnapshot { latch LATCH_MASK }
    }
    walk_ring! {
        command_ring CommandRingDescriptorsLo
        event_ring EventRingDescriptorsLo
        host_receive_ring HostReceiveRingDescriptorsLo
        host_transmit_ring HostTransmitRingDescriptorsLo
    }
}

#[test]
fn fault_codes_decode_and_unknown_ones_are_errors() {
    let bar = Bar::new(Device::new());
    let set = |code: u32| {
        bar.bus()
            .state
            .borrow_mut()
            .registers
            .set_field(Register::Status, status::FAULT_CODE_MASK, code);
        bar.registers().status().try_read().unwrap().fault_code()
    };
    assert_eq!(set(0), Ok(FaultCode::None));
    assert_eq!(set(FaultCode::Watchdog.bits().into()), Ok(FaultCode::Watchdog));
    assert!(set(0xFF).is_err());
}

#[test]
fn writes_start_from_reset_values_and_reach_the_device() {
    let bar = Bar::new(Device::new());
    let registers = bar.registers();
    registers
        .irq_mask()
        .try_write(|mask| mask.set_mailbox_done(false))
        .unwrap();
    registers
        .mailbox_doorbell()
        .try_write(|doorbell| doorbell.set_request_len(64))
        .unwrap();
    registers
        .control()
        .try_modify(|control| control.set_enable(true))
        .unwrap();
    let state = bar.bus().state.borrow();
    assert_eq!(
        state.registers.get(Register::IrqMask),
        0b11_1110,
        "the other causes stay masked"
    );
    assert_eq!(state.registers.get(Register::MailboxDoorbell), 64);
    assert_eq!(state.registers.get(Register::Control), 1);
}

#[test]
fn windows_carry_octets_in_memory_order() {
    let bar = Bar::new(Device::new());
    bar.write_window(Window::MailboxRequest, 4, b"SealNIC").unwrap();
    let mut back = [0xAA; 9];
    bar.read_window(Window::MailboxRequest, 4, &mut back).unwrap();
    assert_eq!(&back, b"SealNIC\0\0");
    let offsets: Vec<u32> = bar
        .bus()
        .state
        .borrow()
        .accesses
        .iter()
        .map(|access| access.1)
        .collect();
    assert_eq!(offsets, [0x1004, 0x1008, 0x1004, 0x1008, 0x100C]);
}

#[test]
fn windows_refuse_what_does_not_fit() {
    let bar = Bar::new(Device::new());
    let len = Window::MailboxRequest.byte_len();
    assert_eq!(bar.write_window(Window::MailboxRequest, len - 4, &[0; 4]), Ok(()));
    assert_eq!(
        bar.write_window(Window::MailboxRequest, len - 4, &[0; 5]),
        Err(WindowError::Range)
    );
    assert_eq!(
        bar.write_window(Window::MailboxRequest, 2, &[0; 4]),
        Err(WindowError::Range)
    );
    assert_eq!(
        bar.write_window(Window::MailboxRequest, u32::MAX - 3, &[0; 4]),
        Err(WindowError::Range)
    );
    assert_eq!(
        bar.write_window(Window::MailboxResponse, 0, &[0; 4]),
        Err(WindowError::ReadOnly)
    );
    assert_eq!(
        bar.read_window(Window::Counters, 0, &mut vec![0; 1025]),
        Err(WindowError::Range)
    );
}

#[test]
fn counters_join_their_halves() {
    let bar = Bar::new(Device::new());
    bar.bus().state.borrow_mut().windows[Window::Counters as usize][8 * 127..]
        .copy_from_slice(&0x0123_4567_89AB_CDEF_u64.to_le_bytes());
    assert_eq!(bar.counter(127), Ok(0x0123_4567_89AB_CDEF));
    assert_eq!(bar.counter(126), Ok(0));
    assert_eq!(bar.counter(128), Err(WindowError::Range));
    assert_eq!(bar.counter(u32::MAX), Err(WindowError::Range));
}

#[test]
fn a_failing_bus_is_reported_by_register_and_window() {
    struct Dead;
    impl RegisterBus for Dead {
        type Error = Refused;
        fn read32(&self, offset: u32) -> Result<u32, Refused> {
            Err(Refused(offset))
        }
        fn write32(&self, offset: u32, _: u32) -> Result<(), Refused> {
            Err(Refused(offset))
        }
    }
    let dynamic: &dyn RegisterBus<Error = Refused> = &Dead;
    let bar = Bar::new(dynamic);
    assert_eq!(
        bar.registers().status().try_read(),
        Err(Refused(Register::Status.offset()))
    );
    assert_eq!(
        bar.registers().control().try_write(|_| ()),
        Err(Refused(Register::Control.offset()))
    );
    assert_eq!(
        bar.write_window(Window::MailboxRequest, 0, &[1]),
        Err(WindowError::Bus(Refused(0x1000)))
    );
}
