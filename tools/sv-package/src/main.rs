//! Writes the SystemVerilog package of the structures and enumerations that firmware, driver and RTL share to standard
//! output; `cargo xtask regs` puts it where it is committed.
//!
//! * [`emit`]: the text
//! * `layout` (tests): reads the text back and says which bits each member takes, to prove it against the Rust types

mod emit;
#[cfg(test)]
mod layout;

use sealnic_abi::fields::STRUCTS;
use std::io::Write as _;

fn main() -> std::io::Result<()> {
    std::io::stdout()
        .lock()
        .write_all(emit::package(STRUCTS, &emit::enumerations()).as_bytes())
}
