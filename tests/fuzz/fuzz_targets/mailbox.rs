//! Messages to the mailbox: any octets, and well-formed ones of every command, between frames of a VM. The device answers
//! all of them, wipes each request, and accounts for every frame. One device is reset and programmed anew for each input.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealnic_abi::mailbox::{MessageHeader, Opcode, WINDOW_LEN, write_message};
use sealnic_abi::registers::{Register, Window};
use sealnic_hw_model::Edge;
use sealnic_tests::{Setup, TestBed, backend::BACKENDS};
use std::cell::RefCell;

/// Opcode, payload, length to which it is repeated, whether it stands there without a header, doorbell.
type Message = (u8, Vec<u8>, u16, bool, Option<u32>);

thread_local! { static BED: RefCell<TestBed> = TestBed::new(&BACKENDS[0], Setup::two_hosts().small()).into(); }

fuzz_target!(|messages: Vec<Message>| {
    BED.with(|bed| run(&mut bed.borrow_mut(), &messages));
});

fn run(bed: &mut TestBed, messages: &[Message]) {
    bed.device(0).reset().unwrap();
    bed.program(0);
    bed.device(0).set_enabled(true).unwrap();
    let frame = bed.frame(0, 1, false).build();
    for (n, (opcode, payload, fill_to, is_raw, bell)) in messages.iter().take(64).enumerate() {
        let mut window = vec![0; WINDOW_LEN];
        let payload: Vec<u8> = payload
            .iter()
            .copied()
            .cycle()
            .take(usize::from(fill_to % 4_080))
            .collect();
        let opcode = Opcode::ALL[usize::from(*opcode) % Opcode::ALL.len()];
        let header = MessageHeader {
            opcode: opcode.into(),
            sequence: n as u32 + 1,
            ..MessageHeader::ZERO
        };
        let len = if *is_raw {
            window[..payload.len()].copy_from_slice(&payload);
            payload.len()
        } else {
            write_message(&mut window, header, &payload).unwrap()
        };
        let request = Window::MailboxRequest.offset();
        for (at, word) in window[..len].chunks(4).enumerate() {
            let mut octets = [0; 4];
            octets[..word.len()].copy_from_slice(word);
            bed.model(0)
                .write32(request + at as u32 * 4, u32::from_le_bytes(octets));
        }
        bed.model(0)
            .write32(Register::MailboxDoorbell.offset(), bell.unwrap_or(len as u32));
        assert!(
            (0..len as u32)
                .step_by(4)
                .all(|at| bed.model(0).read32(request + at) == 0),
            "request not wiped"
        );
        bed.push(0, Edge::Vf(0), &frame, Default::default());
        bed.settle();
    }
    bed.take_frames();
    bed.check();
}
