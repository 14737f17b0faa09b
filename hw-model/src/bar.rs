//! PF BAR0 of a model: which effect an access has. Where registers stand and which bits may be written is generated.

use crate::core::ModelNic;
use sealnic_abi::mailbox::{CounterValues, MessageHeader, WINDOW_LEN};
use sealnic_abi::registers::offsets::{
    cap_counters, cap_mailbox, control, counter_snapshot, irq_cause, mailbox_doorbell, mailbox_response_len,
    mailbox_status, status,
};
use sealnic_abi::registers::{Location, MailboxError, Register, RegisterFile, Window};
use sealnic_firmware::Output;
use zerocopy::IntoBytes;
use zeroize::Zeroize;

/// Registers and windows.
pub(crate) struct Bar {
    file: RegisterFile,
    request: [u8; WINDOW_LEN],
    response: [u8; WINDOW_LEN],
    counters: CounterValues,
}

impl Bar {
    pub(crate) fn new(nic: &ModelNic) -> Self {
        let mut bar = Self {
            file: RegisterFile::new(),
            request: [0; WINDOW_LEN],
            response: [0; WINDOW_LEN],
            counters: CounterValues::ZERO,
        };
        bar.reset(nic);
        bar
    }

    /// Registers at reset values, capabilities and generation of the device, windows empty.
    pub(crate) fn reset(&mut self, nic: &ModelNic) {
        self.request.zeroize();
        self.response.zeroize();
        self.counters = CounterValues::ZERO;
        self.file = RegisterFile::new();
        let identity = nic.identity();
        for (register, value) in [
            (Register::CapFlows, identity.max_flows),
            (Register::CapAssociations, identity.max_associations),
            (Register::CapSas, identity.max_sas),
            (Register::CapPorts, identity.max_ports),
            (Register::CapMappings, identity.max_mappings),
            (Register::CapVnets, identity.max_vnets),
            (Register::CapReplayWindow, u32::from(identity.max_replay_window)),
            (Register::CapReceiveEpochs, u32::from(identity.max_read_epochs)),
            (Register::GenerationLo, identity.generation as u32),
            (Register::GenerationHi, (identity.generation >> 32) as u32),
        ] {
            self.file.set_bits(register, u32::MAX, value);
        }
        self.file
            .set_field(Register::CapMailbox, cap_mailbox::REQUEST_LEN_MASK, WINDOW_LEN as u32);
        self.file
            .set_field(Register::CapMailbox, cap_mailbox::RESPONSE_LEN_MASK, WINDOW_LEN as u32);
        self.file.set_field(
            Register::CapCounters,
            cap_counters::COUNT_MASK,
            self.counters.values.len() as u32,
        );
        self.file
            .set_bits(Register::Status, status::READY_MASK, status::READY_MASK);
    }

    pub(crate) fn read(&mut self, nic: &ModelNic, host_frames: bool, offset: u32) -> u32 {
        match Location::decode(offset) {
            Some(Location::Register(register)) => {
                if register == Register::IrqCause {
                    let level = |pending, mask| if pending { mask } else { 0 };
                    let levels = level(nic.events_waiting() != 0, irq_cause::EVENTS_PENDING_MASK)
                        | level(host_frames, irq_cause::HOST_FRAME_PENDING_MASK);
                    let mask = irq_cause::EVENTS_PENDING_MASK | irq_cause::HOST_FRAME_PENDING_MASK;
                    self.file.set_bits(register, mask, levels);
                }
                self.file.host_read(register)
            }
            Some(Location::Window { window, offset }) => {
                let octets = match window {
                    Window::MailboxRequest => &self.request[..],
                    Window::MailboxResponse => &self.response[..],
                    Window::Counters => self.counters.as_bytes(),
                };
                octets
                    .get(offset as usize..)
                    .and_then(|rest| rest.first_chunk())
                    .map_or(u32::MAX, |word| u32::from_le_bytes(*word))
            }
            None => u32::MAX,
        }
    }

    pub(crate) fn write(&mut self, nic: &mut ModelNic, out: &mut dyn Output, now_ns: u64, offset: u32, value: u32) {
        match Location::decode(offset) {
            Some(Location::Register(register)) => {
                let pulses = self.file.host_write(register, value);
                match register {
                    Register::Control if pulses & control::SOFT_RESET_MASK != 0 => {
                        nic.reset();
                        self.reset(nic);
                    }
                    Register::Control => nic.set_enabled(value & control::ENABLE_MASK != 0),
                    Register::MailboxDoorbell => self.doorbell(nic, out, now_ns),
                    Register::CounterSnapshot if value & counter_snapshot::LATCH_MASK != 0 => {
                        self.counters = nic.counter_values();
                        self.file.set_field(register, counter_snapshot::LATCH_MASK, 0);
                    }
                    _ => {}
                }
            }
            Some(Location::Window {
                window: Window::MailboxRequest,
                offset,
            }) => {
                if let Some(word) = self
                    .request
                    .get_mut(offset as usize..)
                    .and_then(|rest| rest.first_chunk_mut())
                {
                    *word = value.to_le_bytes();
                }
            }
            _ => {}
        }
    }

    fn doorbell(&mut self, nic: &mut ModelNic, out: &mut dyn Output, now_ns: u64) {
        let len = self
            .file
            .field(Register::MailboxDoorbell, mailbox_doorbell::REQUEST_LEN_MASK) as usize;
        let state = mailbox_status::BUSY_MASK | mailbox_status::DONE_MASK | mailbox_status::ERROR_MASK;
        let all = state | mailbox_status::ERROR_CODE_MASK;
        let generation = nic.generation();
        let in_bounds = (size_of::<MessageHeader>()..=WINDOW_LEN).contains(&len) && len.is_multiple_of(4);
        if let Some(request) = self.request.get_mut(..len).filter(|_| in_bounds) {
            let response_len = nic.mailbox(now_ns, request, &mut self.response, out);
            if nic.generation() != generation {
                // A reset command: its answer outlives the registers it reset.
                let answer = self.response;
                self.reset(nic);
                self.response = answer;
            }
            self.file.set_field(
                Register::MailboxResponseLen,
                mailbox_response_len::LEN_MASK,
                response_len as u32,
            );
            self.file
                .set_bits(Register::MailboxStatus, all, mailbox_status::DONE_MASK);
        } else {
            self.file
                .set_bits(Register::MailboxStatus, all, mailbox_status::ERROR_MASK);
            self.file.set_field(
                Register::MailboxStatus,
                mailbox_status::ERROR_CODE_MASK,
                MailboxError::BadLength as u32,
            );
        }
        // All of it: a key may lie beyond the length that the doorbell told.
        self.request.zeroize();
        self.file.set_bits(
            Register::IrqCause,
            irq_cause::MAILBOX_DONE_MASK,
            irq_cause::MAILBOX_DONE_MASK,
        );
    }
}
