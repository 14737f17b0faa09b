//! Rings in host memory: commands, events, frames of the exception path, and what a wrong ring does.

use sealnic_abi::DropReason;
use sealnic_abi::event::{EventKind, HostFrame, HostFrameKind};
use sealnic_abi::mailbox::{
    EventDrain, Identify, Identity, MessageHeader, Opcode, Request, Status, VnetList, VnetPage,
};
use sealnic_abi::object::{Port, Vnet};
use sealnic_abi::registers::{Register, RingError};
use sealnic_abi::ring::{CommandDescriptor, CompletionStatus, Ring, Vector};
use sealnic_hw_model::pci::{Backing, MsixTable, Permissions};
use sealnic_hw_model::{Edge, Offload};
use sealnic_tests::pf::{HostRing, IOVA, Pf, bed};
use sealnic_tests::{Backend, Random, Setup, TestBed, for_each_backend};
use zerocopy::{FromBytes, IntoBytes};

const ROOM: u16 = 4096;

fn small(backend: &Backend) -> Pf {
    Pf::small(backend, MsixTable::Hosts)
}

#[test]
fn commands_are_answered_in_order_over_many_ways_round() {
    for_each_backend(|backend| {
        let pf = small(backend);
        pf.write32(Register::IrqMask.offset(), 0);
        let mut ring = HostRing::new(&pf, Ring::Command, 8);
        let _ = pf.interrupts(Vector::CommandsDone);
        for round in 0..40u32 {
            // From one to a full ring at a time.
            let count = 1 + round % 8;
            for n in 0..count {
                ring.post_command(Opcode::Identify, 1_000 * round + n + 1, &[], ROOM);
            }
            assert_eq!(ring.answer(), None, "nothing before the doorbell");
            ring.bell();
            for n in 0..count {
                let (header, payload) = ring.answer().unwrap();
                assert_eq!((header.status, header.sequence), (0, 1_000 * round + n + 1));
                assert_eq!(Identity::read_from_bytes(&payload).unwrap().configured, 0);
            }
            assert_eq!(ring.answer(), None);
            assert_eq!(pf.interrupts(Vector::CommandsDone), 1);
        }
    });
}

#[test]
fn indices_survive_their_own_wrap() {
    for_each_backend(|backend| {
        let pf = small(backend);
        let mut ring = HostRing::new(&pf, Ring::Command, 64);
        for n in 0..66_000u32 {
            // A descriptor that isn't allowed is the quickest.
            ring.post(&[0; 32]);
            if n % 61 == 60 {
                ring.bell();
                pf.go_on();
                for _ in 0..61 {
                    assert_eq!(ring.completion(), Some((CompletionStatus::BadDescriptor, 0)));
                }
            }
        }
        assert_eq!(pf.ring_state(Ring::Command), (true, RingError::None));
    });
}

#[test]
fn a_long_ring_is_worked_off_in_parts() {
    for_each_backend(|backend| {
        let pf = small(backend);
        let mut ring = HostRing::new(&pf, Ring::Command, 512);
        for _ in 0..512 {
            ring.post(&[0; 32]);
        }
        ring.bell();
        assert!(pf.function().model().next_event_ns().is_some());
        pf.go_on();
        assert_eq!((0..513).filter_map(|_| ring.completion()).count(), 512);
    });
}

#[test]
fn the_same_sequence_number_is_another_command_and_the_mailbox_does_not_mind() {
    for_each_backend(|backend| {
        let (mut bed, functions) = bed(backend, Setup::two_hosts().small());
        let mut ring = HostRing::new(&functions[0], Ring::Command, 4);
        for encryption in [0, 1] {
            let vnet = Vnet {
                vni: 77,
                encryption,
                ..Vnet::ZERO
            };
            ring.post_command(Opcode::VnetSet, 5, vnet.as_bytes(), ROOM);
            ring.post_command(Opcode::VnetList, 5, VnetList { cursor: 0 }.as_bytes(), ROOM);
            // The mailbox has requests of its own under way all the time.
            bed.device(0).identify().unwrap();
            ring.bell();
            bed.device(0).identify().unwrap();
            assert_eq!(ring.answer().unwrap().0.status, 0);
            let (_, page) = ring.answer().unwrap();
            let page = VnetPage::read_from_bytes(&page).unwrap();
            assert!(page.items[..page.count as usize].contains(&vnet));
        }
    });
}

#[test]
fn what_the_command_ring_cannot_do_is_refused_without_effect() {
    for_each_backend(|backend| {
        let pf = small(backend);
        let mut ring = HostRing::new(&pf, Ring::Command, 8);
        let _events = HostRing::new(&pf, Ring::Event, 8);
        let generation = pf.read32(Register::GenerationLo.offset());
        ring.post_command(Opcode::Reset, 1, &[], ROOM);
        ring.post_command(Opcode::EventDrain, 2, EventDrain { max: 4 }.as_bytes(), ROOM);
        // An answer that would find no room: the VNet is not set, the list not given.
        let list_len = (size_of::<MessageHeader>() + size_of::<VnetPage>()) as u16;
        ring.post_command(Opcode::VnetList, 3, VnetList { cursor: 0 }.as_bytes(), list_len - 1);
        ring.post_command(Opcode::VnetList, 4, VnetList { cursor: 0 }.as_bytes(), list_len);
        ring.post_command(Identify::OPCODE, 0, &[], ROOM);
        ring.bell();
        let expected = [
            Status::WrongState,
            Status::WrongState,
            Status::BadLength,
            Status::Ok,
            Status::BadParameter,
        ];
        for status in expected {
            assert_eq!(ring.answer().unwrap().0.status, u16::from(status));
        }
        assert_eq!(pf.read32(Register::GenerationLo.offset()), generation);
    });
}

#[test]
fn a_descriptor_with_lengths_that_are_not_allowed_comes_back_and_the_ring_goes_on() {
    for_each_backend(|backend| {
        let pf = small(backend);
        let mut ring = HostRing::new(&pf, Ring::Command, 16);
        let good = CommandDescriptor {
            request: IOVA,
            response: IOVA,
            request_len: 16,
            response_len: 16,
            reserved: [0; 12],
        };
        let bad = |change: fn(&mut CommandDescriptor)| {
            let mut descriptor = good;
            change(&mut descriptor);
            descriptor
        };
        let bad = [
            bad(|d| d.request_len = 15),
            bad(|d| d.request_len = 4097),
            bad(|d| d.response_len = 15),
            bad(|d| d.response_len = u16::MAX),
            bad(|d| d.reserved[11] = 1),
        ];
        for descriptor in &bad {
            ring.post(descriptor.as_bytes());
        }
        ring.post_command(Opcode::Identify, 1, &[], ROOM);
        ring.bell();
        for _ in &bad {
            assert_eq!(ring.completion(), Some((CompletionStatus::BadDescriptor, 0)));
        }
        assert_eq!(ring.answer().unwrap().0.status, 0);
    });
}

#[test]
fn no_event_is_lost_behind_a_small_ring() {
    for_each_backend(|backend| {
        let (mut bed, functions) = bed(backend, Setup::two_hosts());
        functions[0].write32(Register::IrqMask.offset(), 0);
        while !bed.device(0).drain_events().unwrap().is_empty() {}
        let mut ring = HostRing::new(&functions[0], Ring::Event, 4);
        let _ = functions[0].interrupts(Vector::EventsPending);
        let mut ports = Vec::new();
        for flow in 0..50u16 {
            let frame = bed.frame(0, 1, false).udp(1_000 + flow, 7, b"hello").build();
            bed.send(0, &frame);
        }
        assert!(bed.device(0).drain_events().is_err(), "the ring has the events");
        assert_ne!(functions[0].interrupts(Vector::EventsPending), 0);
        for _ in 0..60 {
            while let Some(event) = ring.event() {
                assert_eq!(event.kind, u8::from(EventKind::FlowBegin));
                ports.push(event.key.src_port);
            }
            ring.bell();
            functions[0].go_on();
        }
        let expected: Vec<u16> = (0..50).map(|flow| 1_000 + flow).collect();
        assert_eq!(ports, expected, "each once, and in order");
        functions[0].ring_write(Ring::Event, Register::CommandRingControl, 0);
        assert!(bed.device(0).drain_events().unwrap().is_empty());
    });
}

/// A bed in which host 0 stands in for its VM.
fn represented(backend: &Backend) -> (TestBed, Pf, HostRing, HostRing) {
    let (mut bed, functions) = bed(backend, Setup::two_hosts());
    let port = Port {
        representor: 1,
        ..bed.setup.vms[0].object()
    };
    bed.device(0).set_port(&port).unwrap();
    let pf = functions[0].clone();
    let (receive, transmit) = (
        HostRing::new(&pf, Ring::HostReceive, 4),
        HostRing::new(&pf, Ring::HostTransmit, 4),
    );
    (bed, pf, receive, transmit)
}

fn as_vm(port: u16) -> HostFrame {
    HostFrame {
        kind: HostFrameKind::AsVm.into(),
        port,
        ..HostFrame::ZERO
    }
}

#[test]
fn the_host_speaks_and_listens_in_the_place_of_a_vm() {
    for_each_backend(|backend| {
        let (mut bed, pf, mut receive, mut transmit) = represented(backend);
        pf.write32(Register::IrqMask.offset(), 0);
        let frame = bed.frame(0, 1, false).build();
        transmit.send(&as_vm(bed.setup.vms[0].port), &frame);
        bed.hosts[0].ledger.vf_in += 1;
        bed.settle();
        let outcome = bed.take();
        assert_eq!(outcome.only_delivery().frame, frame);
        assert_ne!(outcome.only_datagram(), &frame[..], "sealed");
        assert_eq!(transmit.completion(), Some((CompletionStatus::Done, 32 + frame.len())));
        assert_eq!(pf.interrupts(Vector::HostFramesTaken), 1);

        let back = bed.frame(1, 0, true).build();
        assert!(bed.send(1, &back).delivered.is_empty(), "no virtual function gets it");
        receive.post_buffer(2048);
        receive.bell();
        let (header, frame) = receive.frame().unwrap();
        assert_eq!(
            (header.kind, header.port),
            (HostFrameKind::ForVm.into(), bed.setup.vms[0].port)
        );
        assert_eq!(frame, back);
        assert_ne!(pf.interrupts(Vector::HostFramePending), 0);
        bed.hosts[0].ledger.vf_out += 1;
    });
}

#[test]
fn what_the_host_says_in_the_place_of_a_vm_is_checked_as_the_vms() {
    for_each_backend(|backend| {
        let (mut bed, _pf, _receive, mut transmit) = represented(backend);
        let port = bed.setup.vms[0].port;
        let own = bed.frame(0, 1, false);
        let spoofed_mac = own.clone().with(|f| f.src_mac = [2, 9, 9, 9, 9, 9]).build();
        let spoofed_address = bed
            .frame(1, 0, false)
            .with(|f| f.src_mac = bed.setup.vms[0].mac)
            .build();
        let mut bad_segmentation = as_vm(port);
        bad_segmentation.segmentation = 9;
        let mut bad_flags = as_vm(port);
        bad_flags.offload_flags = 0x80;
        let own = own.build();
        for (header, frame, reason) in [
            (as_vm(port), &spoofed_mac, DropReason::SpoofedMac),
            (as_vm(port), &spoofed_address, DropReason::SpoofedAddress),
            (bad_segmentation, &own, DropReason::BadOffload),
            (bad_flags, &own, DropReason::BadOffload),
        ] {
            transmit.send(&header, frame);
            bed.hosts[0].ledger.vf_in += 1;
            bed.settle();
            bed.take().assert_dropped(0, reason);
            assert!(transmit.completion().is_some());
        }
        // Where the host doesn't stand in, it is the host, and may not say this.
        for port in [port + 1, u16::MAX] {
            transmit.send(&as_vm(port), &own);
            bed.hosts[0].ledger.host_in += 1;
            bed.settle();
            bed.take().assert_dropped(0, DropReason::HostRefused);
            assert!(transmit.completion().is_some());
        }
        // And where it does, the virtual function is shut.
        bed.send(0, &own).assert_dropped(0, DropReason::PortDown);
        let down = Port {
            up: 0,
            representor: 1,
            ..bed.setup.vms[0].object()
        };
        bed.device(0).set_port(&down).unwrap();
        transmit.send(&as_vm(port), &own);
        bed.hosts[0].ledger.vf_in += 1;
        bed.settle();
        bed.take().assert_dropped(0, DropReason::PortDown);
    });
}

#[test]
fn frames_in_the_place_of_a_vm_count_as_its_own_also_when_they_are_turned_away() {
    for_each_backend(|backend| {
        let resets: [fn(&mut TestBed, &Pf); 3] = [
            |bed, _| bed.settle(),
            |_, pf| {
                pf.function().reset();
                pf.enable();
            },
            |bed, _| bed.device(0).reset().unwrap(),
        ];
        for reset in resets {
            let (mut bed, pf, _receive, _transmit) = represented(backend);
            let own = bed.frame(0, 1, false).build();
            let frame = [as_vm(bed.setup.vms[0].port).as_bytes(), &own].concat();
            // More than any way to the host holds at a time, and some are inside when the reset comes.
            const FRAMES: u64 = 1_000;
            for _ in 0..FRAMES {
                bed.push(0, Edge::Host, &frame, Offload::default());
            }
            let ledger = &mut bed.hosts[0].ledger;
            (ledger.host_in, ledger.vf_in) = (0, FRAMES);
            reset(&mut bed, &pf);
            bed.settle();
            bed.take_frames();
            let counters = bed.counters(0);
            counters.check_balance().unwrap();
            assert_eq!(counters.get(sealnic_abi::Counter::VfIn), FRAMES);
            assert_eq!(counters.get(sealnic_abi::Counter::HostIn), 0);
        }
    });
}

#[test]
fn the_nic_completes_a_checksum_for_the_host_as_for_the_vm() {
    for_each_backend(|backend| {
        let (mut bed, _pf, _receive, mut transmit) = represented(backend);
        let spec = bed.frame(0, 1, false).udp(5, 6, b"checksum, please");
        let (whole, at) = (spec.build(), spec.l4() + 6);
        let mut partial = whole.clone();
        // The sum of the pseudo-header alone, as a stack leaves it: what the NIC makes of it is what the library computed.
        let offload = Offload {
            needs_csum: true,
            csum_start: spec.l4() as u16,
            csum_offset: 6,
            ..Offload::default()
        };
        partial[at..at + 2].copy_from_slice(&pseudo_header_sum(&whole, spec.l3(), spec.l4()).to_be_bytes());
        let header = HostFrame {
            offload_flags: HostFrame::NEEDS_CSUM,
            csum_start: offload.csum_start,
            csum_offset: offload.csum_offset,
            ..as_vm(bed.setup.vms[0].port)
        };
        transmit.send(&header, &partial);
        bed.hosts[0].ledger.vf_in += 1;
        bed.settle();
        assert_eq!(bed.take().only_delivery().frame, whole);
    });
}

/// Folded sum of an IPv4 packet's pseudo-header (RFC 768), not complemented.
fn pseudo_header_sum(frame: &[u8], l3: usize, l4: usize) -> u16 {
    let len = frame.len() - l4;
    let addresses: u32 = frame[l3 + 12..l3 + 20]
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]))
        .sum();
    let sum = addresses + u32::from(frame[l3 + 9]) + len as u32;
    ((sum & 0xFFFF) + (sum >> 16)) as u16
}

#[test]
fn frames_wait_for_buffers_that_hold_them_and_too_many_are_dropped() {
    for_each_backend(|backend| {
        let (mut bed, pf, mut receive, _transmit) = represented(backend);
        let back = bed.frame(1, 0, false).build();
        let len = 32 + back.len();
        for _ in 0..600 {
            bed.push(1, Edge::Vf(bed.setup.vms[1].port), &back, Offload::default());
        }
        bed.settle();
        bed.take_frames();
        let counters = bed.counters(0);
        let dropped = counters.dropped(DropReason::HostPoliced);
        let held = counters.get(sealnic_abi::Counter::Held);
        assert_eq!((held + dropped, dropped > 20), (600, true), "{held} held");
        counters.check_balance().unwrap();

        // A buffer that is too short comes back; the frame stays.
        receive.post_buffer(len as u32 - 1);
        receive.post_buffer(0);
        receive.post_buffer(len as u32);
        receive.bell();
        assert_eq!(receive.completion(), Some((CompletionStatus::BufferTooShort, len)));
        assert_eq!(receive.completion(), Some((CompletionStatus::BadDescriptor, 0)));
        let (_, frame) = receive.frame().unwrap();
        assert_eq!(frame, back);
        let mut got = 1;
        for _ in 0..600 {
            receive.post_buffer(4096);
            receive.bell();
            pf.go_on();
            got += u64::from(receive.frame().is_some_and(|(_, frame)| frame == back));
        }
        assert_eq!(got, held);
        bed.hosts[0].ledger.vf_out += held;
    });
}

#[test]
fn a_reset_drops_what_waits_for_the_host_and_counts_it() {
    for_each_backend(|backend| {
        let (mut bed, pf, mut receive, _transmit) = represented(backend);
        let back = bed.frame(1, 0, false).build();
        for _ in 0..5 {
            bed.send(1, &back);
        }
        let generation = pf.read32(Register::GenerationLo.offset());
        receive.post_buffer(4096);
        // A reset with traffic and a posted buffer; then the buffer isn't touched.
        pf.function().reset();
        pf.enable();
        receive.bell();
        assert_eq!(receive.completion(), None);
        for ring in Ring::ALL {
            assert_eq!(pf.ring_state(*ring), (false, RingError::None));
        }
        assert_ne!(pf.read32(Register::GenerationLo.offset()), generation);
        assert_eq!(pf.read32(Register::CapRings.offset()) & 0xFFFF, 4096);
        let counters = bed.counters(0);
        counters.check_balance().unwrap();
        assert_eq!(counters.dropped(DropReason::Reset), 5);
        assert_eq!(counters.get(sealnic_abi::Counter::Held), 0);
    });
}

/// A ring that must not start, by its registers.
type Wrong = (Ring, u64, u64, u32, RingError);

#[test]
fn rings_that_cannot_be_are_refused_and_the_host_is_told() {
    for_each_backend(|backend| {
        let pf = small(backend);
        pf.write32(Register::IrqMask.offset(), 0);
        let other = HostRing::new(&pf, Ring::HostTransmit, 16);
        let (free, taken) = (IOVA + 0xC_0000, IOVA + 0x6_0000);
        let wrong: &[Wrong] = &[
            (Ring::Command, free, free + 0x1000, 0, RingError::BadSize),
            (Ring::Command, free, free + 0x1000, 1, RingError::BadSize),
            (Ring::Command, free, free + 0x1000, 3, RingError::BadSize),
            (Ring::Command, free, free + 0x1000, 8192, RingError::BadSize),
            (Ring::Command, free, free + 0x1000, 0xFFFF, RingError::BadSize),
            (Ring::Command, free + 32, free + 0x1000, 4, RingError::BadAddress),
            (Ring::Command, free, free + 0x1010, 4, RingError::BadAddress),
            (Ring::Command, u64::MAX - 63, free, 4, RingError::BadAddress),
            (Ring::Event, 0, u64::MAX - 63, 4, RingError::BadAddress),
            (Ring::Command, free, free, 4, RingError::Overlap),
            (Ring::Command, free, free + 64, 4, RingError::Overlap),
            (Ring::Event, 0, taken, 4, RingError::Overlap),
            (Ring::Event, 0, taken + 0x1_0000, 4, RingError::Overlap),
            (Ring::Command, taken + 0x1_0000, free, 4, RingError::Overlap),
        ];
        for (ring, descriptors, completions, entries, error) in wrong {
            let _ = pf.interrupts(Vector::Fault);
            pf.ring_enable(*ring, *descriptors, *completions, *entries);
            assert_eq!(
                pf.ring_state(*ring),
                (false, *error),
                "{descriptors:#x} {completions:#x}"
            );
            assert_eq!(pf.interrupts(Vector::Fault), 1);
            pf.ring_write(*ring, Register::CommandRingDoorbell, 4);
        }
        assert_eq!(pf.ring_state(Ring::HostTransmit), (true, RingError::None));
        // Both only read: that is allowed.
        pf.ring_enable(Ring::Command, taken, free, 4);
        assert_eq!(pf.ring_state(Ring::Command), (true, RingError::None));
        drop(other);
    });
}

#[test]
fn a_doorbell_that_cannot_be_stops_its_ring_alone() {
    for_each_backend(|backend| {
        let pf = small(backend);
        let mut commands = HostRing::new(&pf, Ring::Command, 4);
        for (ring, index) in [
            (Ring::HostReceive, 5),
            (Ring::HostTransmit, 0xFFFF),
            (Ring::Event, 0x8000),
        ] {
            let _ring = HostRing::new(&pf, ring, 4);
            pf.ring_write(ring, Register::CommandRingDoorbell, index);
            assert_eq!(pf.ring_state(ring), (false, RingError::BadDoorbell));
        }
        commands.post_command(Opcode::Identify, 1, &[], ROOM);
        commands.bell();
        assert_eq!(commands.answer().unwrap().0.status, 0);
    });
}

#[test]
fn memory_that_is_not_there_stops_a_ring_and_tells_where() {
    for_each_backend(|backend| {
        let pf = small(backend);
        let nowhere = 0x7000_0000_0000;
        pf.host.give(nowhere, 4096, Permissions::READ).unwrap();
        pf.write32(Register::IrqMask.offset(), 0);
        let fault = |ring| {
            let half = |register| u64::from(pf.ring_read(ring, register));
            assert_eq!(pf.ring_state(ring), (false, RingError::DmaFault));
            half(Register::CommandRingFaultIovaHi) << 32 | half(Register::CommandRingFaultIovaLo)
        };
        // Descriptors that can't be read.
        pf.ring_enable(Ring::Command, nowhere + 4096, IOVA, 4);
        pf.ring_write(Ring::Command, Register::CommandRingDoorbell, 1);
        assert_eq!(fault(Ring::Command), nowhere + 4096);
        assert_eq!(pf.ring_read(Ring::Command, Register::CommandRingHead), 0);
        // A request that can't be read is not carried out; an answer that can't be written was.
        for (request, response, head) in [(nowhere + 4096, IOVA + 0x8_0000, 0), (IOVA + 0x8_0000, nowhere, 1)] {
            let mut ring = HostRing::new(&pf, Ring::Command, 4);
            ring.post_command(Opcode::Identify, 1, &[], ROOM);
            let descriptor = CommandDescriptor {
                request,
                response,
                request_len: 16,
                response_len: ROOM,
                reserved: [0; 12],
            };
            pf.memory.write(0, descriptor.as_bytes()).unwrap();
            ring.bell();
            let expected = if head == 0 { request } else { response };
            assert_eq!(fault(Ring::Command), expected);
            assert_eq!(pf.ring_read(Ring::Command, Register::CommandRingHead), head);
            assert_eq!(ring.completion(), None);
        }
        // Completions that may not be written.
        pf.ring_enable(Ring::Command, IOVA, nowhere, 4);
        pf.memory.write(0, &[0; 32]).unwrap();
        pf.ring_write(Ring::Command, Register::CommandRingDoorbell, 1);
        assert_eq!(fault(Ring::Command), nowhere);
        assert_eq!(pf.interrupts(Vector::Fault), 4);
        // The events tell of it, by a ring of their own.
        let mut events = HostRing::new(&pf, Ring::Event, 64);
        pf.ring_write(Ring::Event, Register::CommandRingDoorbell, 0);
        let stopped = |event: &sealnic_abi::event::Event| event.kind == u8::from(EventKind::RingStopped);
        let codes: Vec<u8> = std::iter::from_fn(|| events.event())
            .filter(stopped)
            .map(|event| event.code)
            .collect();
        assert_eq!(codes, [RingError::DmaFault.bits(); 4]);
        // And the ring starts again.
        let mut ring = HostRing::new(&pf, Ring::Command, 4);
        ring.post_command(Opcode::Identify, 1, &[], ROOM);
        ring.bell();
        assert_eq!(ring.answer().unwrap().0.status, 0);
    });
}

#[test]
fn an_event_ring_that_loses_its_memory_loses_no_event() {
    for_each_backend(|backend| {
        let pf = small(backend);
        let _ring = HostRing::new(&pf, Ring::Event, 4);
        pf.host.unmap(IOVA, 1 << 20).unwrap();
        // An error of another ring is an event.
        pf.ring_enable(Ring::Command, IOVA, IOVA, 0);
        assert_eq!(pf.ring_state(Ring::Event), (false, RingError::DmaFault));
        pf.host
            .map(
                IOVA,
                1 << 20,
                std::sync::Arc::new(pf.memory.clone()),
                0,
                Permissions::READ_WRITE,
            )
            .unwrap();
        let mut ring = HostRing::new(&pf, Ring::Event, 4);
        pf.ring_write(Ring::Event, Register::CommandRingDoorbell, 0);
        let subjects: Vec<(u8, u32)> = std::iter::from_fn(|| ring.event())
            .map(|event| (event.kind, event.subject))
            .collect();
        let stopped = EventKind::RingStopped.into();
        assert_eq!(subjects, [(stopped, 0), (stopped, 1)]);
    });
}

#[test]
fn a_stopped_ring_touches_nothing() {
    for_each_backend(|backend| {
        let pf = small(backend);
        let mut ring = HostRing::new(&pf, Ring::Command, 4);
        ring.post_command(Opcode::Identify, 1, &[], ROOM);
        pf.ring_write(Ring::Command, Register::CommandRingControl, 0);
        ring.bell();
        assert_eq!(pf.ring_state(Ring::Command), (false, RingError::None));
        assert_eq!(ring.completion(), None);
        // Enabling it anew begins at the first entry, with no descriptor posted.
        pf.ring_write(Ring::Command, Register::CommandRingControl, 1);
        assert_eq!(ring.completion(), None);
        ring.bell();
        assert_eq!(ring.answer().unwrap().0.status, 0);
    });
}

#[test]
fn a_cause_behind_the_mask_is_signalled_when_the_mask_goes() {
    for_each_backend(|backend| {
        let pf = small(backend);
        let mut ring = HostRing::new(&pf, Ring::Command, 4);
        ring.post_command(Opcode::Identify, 1, &[], ROOM);
        ring.bell();
        assert_eq!(pf.interrupts(Vector::CommandsDone), 0, "masked after a reset");
        let mask = Register::IrqMask.offset();
        pf.write32(mask, !Vector::CommandsDone.mask());
        assert_eq!(pf.interrupts(Vector::CommandsDone), 1);
        pf.write32(mask, u32::MAX);
        pf.write32(Register::IrqCause.offset(), Vector::CommandsDone.mask());
        pf.write32(mask, 0);
        assert_eq!(pf.interrupts(Vector::CommandsDone), 0, "cleared in between");
    });
}

/// Octets that the device may write.
type Room = std::ops::Range<u64>;

#[test]
fn the_device_writes_where_it_was_told_and_nowhere_else() {
    for_each_backend(|backend| {
        for seed in 0..30 {
            let mut random = Random::new(seed);
            let pf = small(backend);
            let noise = random.octets(1 << 20);
            pf.memory.write(0, &noise).unwrap();
            let mut ring = HostRing::new(&pf, Ring::Command, 16);
            // Completions of both rings.
            let mut rooms: Vec<Room> = vec![0x1_0000..0x1_0000 + 16 * 16, 0x3_0000..0x3_0000 + 2 * 128];
            let opcodes = [
                Opcode::Identify,
                Opcode::VnetList,
                Opcode::Counters,
                Opcode::SelfTest,
                Opcode::FlowFlush,
            ];
            for n in 0..16 {
                let response_len = 16 + random.below(4081) as u16;
                let opcode = random.pick(&opcodes);
                let payload: &[u8] = match opcode {
                    Opcode::VnetList => &[0; 4],
                    Opcode::FlowFlush => &[0xFF; 8],
                    _ => &[],
                };
                ring.post_command(opcode, n + 1, payload, response_len);
                // Anywhere, page borders included, and no multiple of anything.
                let response = 0xA_0000 + 0x2000 * u64::from(n) + random.below(4096) as u64;
                let at = 32 * u64::from(n);
                pf.memory.write(at + 8, &(IOVA + response).to_le_bytes()).unwrap();
                rooms.push(response..response + u64::from(response_len));
            }
            // An event ring of few entries, and more events than that.
            let _events = HostRing::new(&pf, Ring::Event, 2);
            let mut before = vec![0; 1 << 20];
            pf.memory.read(0, &mut before).unwrap();
            ring.bell();
            pf.ring_enable(Ring::HostReceive, 0, 0, 0);
            pf.ring_enable(Ring::HostTransmit, 0, 0, 1);
            pf.go_on();
            assert_eq!((0..17).filter_map(|_| ring.completion()).count(), 16);
            let mut after = vec![0; 1 << 20];
            pf.memory.read(0, &mut after).unwrap();
            let stray = (0..1u64 << 20)
                .find(|at| before[*at as usize] != after[*at as usize] && !rooms.iter().any(|room| room.contains(at)));
            assert_eq!(stray, None, "seed {seed}");
            assert_ne!(before, after);
            assert!(pf.host.faults().is_empty());
        }
    });
}
