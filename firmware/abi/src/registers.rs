//! The registers of the PF's BAR0, generated from `sealnic.rdl`; see [`sealnic_regs`] for both sides' use of them.

pub use sealnic_regs::*;

// What the register block announces is what this crate is.
const _: () = assert!(offsets::abi_version::MAJOR_RESET == crate::ABI_MAJOR as u32);
const _: () = assert!(offsets::abi_version::MINOR_RESET == crate::ABI_MINOR as u32);
