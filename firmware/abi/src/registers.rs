//! The registers of the PF's BAR0, generated from `sealnic.rdl`; see [`sealnic_regs`] for both sides' use of them.

pub use sealnic_regs::*;

// What the register block announces is what this crate is.
const _: () = assert!(offsets::abi_version::MAJOR_RESET == crate::ABI_MAJOR as u32);
const _: () = assert!(offsets::abi_version::MINOR_RESET == crate::ABI_MINOR as u32);
// Message framing and counter numbers fit the windows they are carried by.
const _: () = assert!(Window::MailboxRequest.byte_len() as usize == crate::mailbox::WINDOW_LEN);
const _: () = assert!(Window::MailboxResponse.byte_len() as usize == crate::mailbox::WINDOW_LEN);
const _: () = assert!(
    (crate::counter::DROP_COUNTER_BASE + crate::counter::DROP_REASONS) * 8 <= Window::Counters.byte_len() as usize
);
