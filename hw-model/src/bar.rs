//! PF BAR0 of a model: which effect an access has. Where registers stand and which bits may be written is generated.

use crate::core::ModelNic;
use crate::rings::MAX_ENTRIES;
use sealnic_abi::mailbox::{CounterValues, MessageHeader, WINDOW_LEN};
use sealnic_abi::registers::offsets::{
    cap_counters, cap_mailbox, cap_rings, control, counter_snapshot, mailbox_doorbell, mailbox_response_len,
    mailbox_status, ring_control, ring_doorbell, ring_head, ring_size, ring_status, status,
};
use sealnic_abi::registers::{Location, MailboxError, Register, RegisterFile, RingError, Window};
use sealnic_abi::ring::{Ring, Vector};
use sealnic_firmware::Output;
use zerocopy::IntoBytes;
use zeroize::Zeroize;

/// Registers and windows.
pub(crate) struct Bar {
    file: RegisterFile,
    request: [u8; WINDOW_LEN],
    response: [u8; WINDOW_LEN],
    counters: CounterValues,
    /// Longest frame of the host frame rings; 0 while the device is attached to no host memory.
    host_frame_len: usize,
    /// Vectors to be signalled, one bit each.
    signals: u32,
}

/// What a write calls for besides what the registers themselves do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing.
    None,
    /// A ring's enable bit has changed.
    RingEnable(Ring, bool),
    /// A ring's doorbell rang.
    RingDoorbell(Ring, u16),
    /// Causes came out of the mask.
    Unmasked(u32),
}

/// First register of each ring, in the order of [`Ring`].
const RING_BASES: [Register; Ring::ALL.len()] = [
    Register::CommandRingDescriptorsLo,
    Register::EventRingDescriptorsLo,
    Register::HostReceiveRingDescriptorsLo,
    Register::HostTransmitRingDescriptorsLo,
];

/// A register of a ring, named as that of the command ring.
fn of_ring(ring: Ring, register: Register) -> Register {
    let distance = register.offset() - RING_BASES[0].offset();
    let offset = RING_BASES[usize::from(u8::from(ring))].offset() + distance;
    // All rings have the same registers, as they are one type of register file.
    Register::from_offset(offset).unwrap_or(register)
}

/// The ring that a register belongs to, and the command ring's register of that kind.
fn ring_of(register: Register) -> Option<(Ring, Register)> {
    let of = |(base, &ring): (&Register, &Ring)| {
        let distance = register.offset().checked_sub(base.offset())?;
        Some((ring, Register::from_offset(RING_BASES[0].offset() + distance)?))
    };
    RING_BASES.iter().zip(Ring::ALL).rev().find_map(of)
}

impl Bar {
    pub(crate) fn new(nic: &ModelNic) -> Self {
        let mut bar = Self {
            host_frame_len: 0,
            signals: 0,
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
        self.announce_rings(self.host_frame_len);
        self.signals = 0;
    }

    /// Tells the host that there are rings, for frames of up to `host_frame_len` octets.
    pub(crate) fn announce_rings(&mut self, host_frame_len: usize) {
        self.host_frame_len = host_frame_len;
        let entries = if host_frame_len == 0 { 0 } else { MAX_ENTRIES };
        self.file
            .set_field(Register::CapRings, cap_rings::MAX_ENTRIES_MASK, entries);
        self.file.set_field(
            Register::CapRings,
            cap_rings::HOST_FRAME_LEN_MASK,
            host_frame_len as u32,
        );
    }

    /// A cause of interrupt occurs.
    pub(crate) fn raise(&mut self, vector: Vector) {
        self.file.set_bits(Register::IrqCause, vector.mask(), vector.mask());
        self.signal(vector.mask());
    }

    /// Signals the vectors of some causes, as far as they aren't masked.
    pub(crate) fn signal(&mut self, causes: u32) {
        self.signals |= causes & !self.file.get(Register::IrqMask);
    }

    /// Takes the vectors to be signalled, one bit each.
    pub(crate) fn take_signals(&mut self) -> u32 {
        std::mem::take(&mut self.signals)
    }

    /// Causes that stand, those included whose reason persists.
    pub(crate) fn causes(&self, levels: u32) -> u32 {
        self.file.get(Register::IrqCause) | levels
    }

    /// Array addresses and number of entries that the host has set for a ring.
    pub(crate) fn ring_setup(&self, ring: Ring) -> (u64, u64, u32) {
        let get = |register| self.file.get(of_ring(ring, register));
        let address = |lo, hi| u64::from(get(hi)) << 32 | u64::from(get(lo));
        (
            address(Register::CommandRingDescriptorsLo, Register::CommandRingDescriptorsHi),
            address(Register::CommandRingCompletionsLo, Register::CommandRingCompletionsHi),
            get(Register::CommandRingSize) & ring_size::ENTRIES_MASK,
        )
    }

    /// A ring begins anew: indices at 0, no error.
    pub(crate) fn ring_started(&mut self, ring: Ring) {
        let doorbell = of_ring(ring, Register::CommandRingDoorbell);
        self.file.set_field(doorbell, ring_doorbell::INDEX_MASK, 0);
        self.set_ring_head(ring, 0);
        self.ring_failed(ring, RingError::None, 0);
    }

    pub(crate) fn set_ring_running(&mut self, ring: Ring, running: bool) {
        let register = of_ring(ring, Register::CommandRingStatus);
        self.file.set_field(register, ring_status::RUNNING_MASK, running.into());
    }

    pub(crate) fn set_ring_head(&mut self, ring: Ring, head: u16) {
        let register = of_ring(ring, Register::CommandRingHead);
        self.file.set_field(register, ring_head::INDEX_MASK, head.into());
    }

    /// A ring doesn't run, because of an error.
    pub(crate) fn ring_failed(&mut self, ring: Ring, error: RingError, iova: u64) {
        self.set_ring_running(ring, false);
        let mut set = |register, mask, value| self.file.set_field(of_ring(ring, register), mask, value);
        set(
            Register::CommandRingStatus,
            ring_status::ERROR_MASK,
            error.bits().into(),
        );
        set(Register::CommandRingFaultIovaLo, u32::MAX, iova as u32);
        set(Register::CommandRingFaultIovaHi, u32::MAX, (iova >> 32) as u32);
    }

    /// `levels`: causes whose reason persists at this moment.
    pub(crate) fn read(&self, levels: u32, offset: u32) -> u32 {
        match Location::decode(offset) {
            Some(Location::Register(Register::IrqCause)) => self.causes(levels),
            Some(Location::Register(register)) => self.file.host_read(register),
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

    pub(crate) fn write(
        &mut self,
        nic: &mut ModelNic,
        out: &mut dyn Output,
        now_ns: u64,
        offset: u32,
        value: u32,
    ) -> Effect {
        match Location::decode(offset) {
            Some(Location::Register(register)) => {
                let before = self.file.get(register);
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
                    Register::IrqMask => return Effect::Unmasked(before & !self.file.get(register)),
                    _ => return self.ring_effect(register, before),
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
        Effect::None
    }

    /// What the write of a ring's register calls for; `before` is what stood there.
    fn ring_effect(&self, register: Register, before: u32) -> Effect {
        let now = self.file.get(register);
        match ring_of(register) {
            Some((ring, Register::CommandRingControl)) if (now ^ before) & ring_control::ENABLE_MASK != 0 => {
                Effect::RingEnable(ring, now & ring_control::ENABLE_MASK != 0)
            }
            Some((ring, Register::CommandRingDoorbell)) => {
                Effect::RingDoorbell(ring, (now & ring_doorbell::INDEX_MASK) as u16)
            }
            _ => Effect::None,
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
        self.raise(Vector::MailboxDone);
    }
}
