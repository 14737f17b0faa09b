//! The device as a PCIe function: what the host turns off stays off, whatever the driver does.

use sealnic_abi::mailbox::Opcode;
use sealnic_abi::registers::{BAR_LEN, Register, RingError, Window};
use sealnic_abi::ring::{Ring, Vector};
use sealnic_hw_model::Edge;
use sealnic_hw_model::pci::config::{CONFIG_LEN, bits, offset};
use sealnic_hw_model::pci::{Backing, MsixTable, Permissions};
use sealnic_tests::pf::{HostRing, IOVA, MEMORY, Pf, bed};
use sealnic_tests::{Random, Setup, for_each_backend};

const MAGIC: u32 = 0x4C41_4553;

#[test]
fn registers_answer_only_with_memory_on_and_in_d0() {
    for_each_backend(|backend| {
        let pf = Pf::small(backend, MsixTable::Own);
        assert_eq!(pf.read32(0), MAGIC);
        let enable = |on: bool| pf.write32(Register::Control.offset(), on.into());
        let is_enabled = || pf.read32(Register::Control.offset()) == 1;
        enable(true);
        pf.config_write16(offset::COMMAND, bits::BUS_MASTER);
        assert_eq!(pf.read32(0), u32::MAX);
        enable(false);
        pf.enable();
        assert!(is_enabled());
        // States that the function doesn't have aren't taken.
        for (state, taken) in [(1, 0), (2, 0), (3, 3), (1, 3), (3, 3)] {
            pf.config_write16(offset::PMCSR, state);
            assert_eq!(pf.config_read16(offset::PMCSR) & bits::POWER_STATE, taken);
        }
        assert_eq!(pf.read32(0), u32::MAX);
        enable(false);
        pf.config_write16(offset::PMCSR, 0);
        assert!(is_enabled(), "what stood there outlives D3hot");
    });
}

#[test]
fn without_bus_mastering_nothing_in_memory_is_touched() {
    for_each_backend(|backend| {
        let pf = Pf::small(backend, MsixTable::Hosts);
        pf.write32(Register::IrqMask.offset(), 0);
        let mut ring = HostRing::new(&pf, Ring::Command, 4);
        ring.post_command(Opcode::Identify, 1, &[], 4096);
        let mut before = vec![0; MEMORY];
        pf.memory.read(0, &mut before).unwrap();
        let _ = pf.interrupts(Vector::Fault);
        pf.config_write16(offset::COMMAND, bits::MEMORY_ENABLE);
        ring.bell();
        assert_eq!(pf.ring_state(Ring::Command), (false, RingError::DmaFault));
        let mut after = vec![0; MEMORY];
        pf.memory.read(0, &mut after).unwrap();
        assert!(before == after);
        assert_eq!(pf.interrupts(Vector::Fault), 0, "an interrupt is a write, too");
        pf.enable();
        assert_eq!(pf.interrupts(Vector::Fault), 1, "it waited");
    });
}

#[test]
fn a_read_that_fails_shows_in_the_status_register() {
    for_each_backend(|backend| {
        let pf = Pf::small(backend, MsixTable::Hosts);
        pf.ring_enable(Ring::Command, 0x9000_0000, IOVA, 4);
        pf.ring_write(Ring::Command, Register::CommandRingDoorbell, 1);
        let status = pf.config_read16(offset::STATUS);
        assert_ne!(status & bits::RECEIVED_MASTER_ABORT, 0);
        pf.config_write16(offset::STATUS, bits::RECEIVED_MASTER_ABORT);
        assert_eq!(pf.config_read16(offset::STATUS) & bits::RECEIVED_MASTER_ABORT, 0);
    });
}

/// Makes the device raise the mailbox vector.
fn ring_mailbox(pf: &Pf) {
    pf.write32(Register::MailboxDoorbell.offset(), 16);
}

#[test]
fn masks_hold_messages_back_and_pending_ones_go_when_they_fall() {
    for_each_backend(|backend| {
        let pf = Pf::small(backend, MsixTable::Own);
        pf.write32(Register::IrqMask.offset(), 0);
        let _ = pf.interrupts(Vector::MailboxDone);
        let pending = || {
            let mut octets = [0; 8];
            pf.function().bar_read(2, 0x800, &mut octets);
            u64::from_le_bytes(octets)
        };
        let entry_mask = |on: bool| pf.function().bar_write(2, 12, &u32::from(on).to_le_bytes());
        let control = |value: u16| pf.config_write16(offset::MSIX_CONTROL, value);
        let bit = u64::from(Vector::MailboxDone.mask());
        pf.function().bar_write(2, 0, &0x1234_5678_FEE0_0000u64.to_le_bytes());
        pf.function().bar_write(2, 8, &0x42u32.to_le_bytes());
        let message = pf.function().message(0).unwrap();
        assert_eq!((message.address, message.data), (0x1234_5678_FEE0_0000, 0x42));

        // Each step: what is done, and whether the message goes then.
        let steps: [(&dyn Fn(), u64); 9] = [
            (&|| entry_mask(false), 0),
            (&|| ring_mailbox(&pf), 0),
            (&|| control(bits::MSIX_ENABLE | bits::MSIX_MASK), 0),
            (&|| control(bits::MSIX_ENABLE), 1),
            (&|| ring_mailbox(&pf), 1),
            (&|| entry_mask(true), 0),
            (&|| ring_mailbox(&pf), 0),
            (&|| ring_mailbox(&pf), 0),
            (&|| entry_mask(false), 1),
        ];
        for (at, (step, sent)) in steps.into_iter().enumerate() {
            step();
            assert_eq!(pf.interrupts(Vector::MailboxDone), sent, "step {at}");
            let waits = matches!(at, 1 | 2 | 6 | 7);
            assert_eq!(pending() & bit != 0, waits, "step {at}");
        }
    });
}

#[test]
fn a_function_level_reset_in_traffic_leaves_a_clean_function_and_a_balance() {
    for_each_backend(|backend| {
        let (mut bed, functions) = bed(backend, Setup::two_hosts());
        let pf = &functions[0];
        pf.write32(Register::IrqMask.offset(), 0);
        let mut ring = HostRing::new(pf, Ring::Command, 4);
        let frame = bed.frame(0, 1, false).build();
        assert_eq!(bed.send(0, &frame).delivered.len(), 1);
        let generation = pf.read32(Register::GenerationLo.offset());
        ring.post_command(Opcode::Identify, 1, &[], 4096);
        // A request is half written, frames are on their way.
        pf.write32(0x1000, 0x5EC2_E700);
        bed.push(0, Edge::Vf(bed.setup.vms[0].port), &frame, Default::default());
        let control = pf.config_read16(offset::DEVICE_CONTROL);
        pf.config_write16(offset::DEVICE_CONTROL, control | bits::FLR);
        assert_eq!(pf.config_read16(offset::DEVICE_CONTROL), control, "the bit reads as 0");
        assert_eq!(pf.config_read16(offset::COMMAND), 0);
        assert_eq!(pf.read32(0), u32::MAX);
        pf.enable();
        assert_eq!(pf.read32(0), MAGIC);
        assert_eq!(pf.read32(0x1000), 0, "the window is wiped");
        assert_ne!(pf.read32(Register::GenerationLo.offset()), generation);
        assert_eq!(pf.read32(Register::IrqMask.offset()), 0x3F);
        ring.bell();
        assert_eq!(ring.completion(), None);
        // Nothing passes, in the clear or else; then the host programs it anew, with keys of the new generation.
        bed.settle();
        bed.take();
        let outcome = bed.send(0, &frame);
        assert!(outcome.delivered.is_empty() && outcome.wire.is_empty());
        bed.program(0);
        assert!(bed.counters(0).check_balance().is_ok());
        bed.device(0).set_enabled(true).unwrap();
        let outcome = bed.send(0, &frame);
        assert!(outcome.wire.is_empty(), "no key, no datagram");
    });
}

#[test]
fn a_host_that_went_away_is_left_alone() {
    for_each_backend(|backend| {
        let pf = Pf::small(backend, MsixTable::Hosts);
        pf.write32(Register::IrqMask.offset(), 0);
        let mut ring = HostRing::new(&pf, Ring::Command, 4);
        ring.post_command(Opcode::Identify, 1, &[], 4096);
        let window =
            Window::MailboxRequest.offset()..Window::MailboxRequest.offset() + Window::MailboxRequest.byte_len();
        let half_a_request = [window.start, window.end - 4];
        half_a_request.iter().for_each(|at| pf.write32(*at, 0x5EC2E7));
        pf.function().detach();
        // Another host comes, and has memory where the first one had it: nothing of the first one's is carried out there.
        pf.enable();
        for at in half_a_request {
            assert_eq!(pf.read32(at), 0, "what the first one wrote is not for the second one");
        }
        for vector in Vector::ALL {
            pf.function().set_vector(u8::from(*vector).into(), true);
            let _ = pf.interrupts(*vector);
        }
        ring.bell();
        assert_eq!(ring.completion(), None);
        assert_eq!(pf.interrupts(Vector::CommandsDone), 0);
    });
}

/// Anything at all, aimed at where it hurts: configuration space, registers of the rings, ring memory, mappings.
#[test]
fn a_raving_driver_gets_answers_and_harms_nobody() {
    for_each_backend(|backend| {
        for seed in 0..20 {
            let mut random = Random::new(seed);
            let (mut bed, functions) = bed(backend, Setup::two_hosts().small());
            let pf = &functions[0];
            let rings = [0x100u32, 0x140, 0x180, 0x1C0];
            for _ in 0..600 {
                match random.below(12) {
                    0 => {
                        let (at, len) = (random.below(CONFIG_LEN + 16), 1 + random.below(8));
                        let octets = random.octets(len);
                        pf.function().config_write(at as u16, &octets);
                        pf.enable();
                    }
                    1 => {
                        let (bar, at) = (random.below(8), random.below(BAR_LEN as usize + 8));
                        let mut octets = vec![0; random.below(17)];
                        pf.function().bar_read(bar as u8, at as u64, &mut octets);
                        octets = random.octets(octets.len());
                        pf.function().bar_write(bar as u8, at as u64, &octets);
                    }
                    2..=4 => {
                        // A ring that could be, and descriptors that could be as well.
                        let ring = Ring::ALL[random.below(4)];
                        let base = IOVA + 64 * random.below(8_192) as u64;
                        let entries = 1 << random.below(8);
                        pf.ring_enable(ring, base, base + 64 * random.below(4_096) as u64, entries);
                    }
                    5..=7 => {
                        let register = random.pick(&rings) + 4 * random.below(16) as u32;
                        let value = random.pick(&[0, 1, 2, 3, 16, 64, 0xFFFF, u32::MAX]);
                        pf.write32(register, value);
                    }
                    8 => {
                        let register = random.pick(&rings) + 0x1C;
                        pf.write32(register, random.below(300) as u32);
                    }
                    9 => {
                        let at = 8 * random.below(MEMORY / 8 - 8);
                        let words = [IOVA + random.below(MEMORY) as u64, random.value() & 0x0FFF_0FFF];
                        for (n, word) in words.into_iter().enumerate() {
                            pf.memory.write((at + 8 * n) as u64, &word.to_le_bytes()).unwrap();
                        }
                    }
                    10 => {
                        let page = IOVA + 4096 * random.below(MEMORY / 4096) as u64;
                        pf.host.unmap(page, 4096).unwrap();
                        let memory = std::sync::Arc::new(pf.memory.clone());
                        let permissions = random.pick(&[Permissions::READ, Permissions::READ_WRITE]);
                        pf.host.map(page, 4096, memory, page - IOVA, permissions).unwrap();
                    }
                    _ => {
                        let frame = bed.frame(0, 1, false).build();
                        bed.push(0, Edge::Vf(0), &frame, Default::default());
                    }
                }
                pf.go_on();
            }
            // It answers, and a reset makes it whole again.
            pf.host.unmap(IOVA, MEMORY as u64).unwrap();
            let memory = std::sync::Arc::new(pf.memory.clone());
            pf.host
                .map(IOVA, MEMORY as u64, memory, 0, Permissions::READ_WRITE)
                .unwrap();
            pf.function().reset();
            pf.enable();
            let mut ring = HostRing::new(pf, Ring::Command, 4);
            ring.post_command(Opcode::Identify, 1, &[], 4096);
            ring.bell();
            assert!(ring.completion().is_some());
            bed.settle();
            bed.take_frames();
            bed.counters(0).check_balance().unwrap();
            std::mem::forget(bed);
        }
    });
}
