//! The device's storage of its registers, with the rules by which the host's writes act on them.

use crate::offsets::Register;

/// One word per register.
///
/// The host's accesses go through [`RegisterFile::host_read`] and [`RegisterFile::host_write`], which obey each field's
/// access; the device's own go through [`RegisterFile::get`], [`RegisterFile::set_bits`] and [`RegisterFile::set_field`].
/// What a write *means* (a doorbell, a reset) is the device's affair: it looks at the register and the value written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterFile {
    words: [u32; Register::ALL.len()],
}

impl RegisterFile {
    /// All registers at their reset values.
    #[must_use]
    pub fn new() -> Self {
        Self {
            words: Register::ALL.map(Register::reset),
        }
    }

    /// What the host reads.
    #[must_use]
    pub fn host_read(&self, register: Register) -> u32 {
        self.get(register) & register.readable_mask()
    }

    /// The host writes `value`: plain bits take it, write-one-to-clear and write-one-to-set bits obey, all others stay.
    ///
    /// Returns the self-clearing bits (such as `control.soft_reset`) in which a 1 was written; they are not stored.
    pub fn host_write(&mut self, register: Register, value: u32) -> u32 {
        let kept = self.get(register) & !register.write_mask() & !(value & register.write_one_to_clear_mask());
        let taken = value & (register.write_mask() | register.write_one_to_set_mask());
        self.words[register as usize] = kept | taken;
        value & register.pulse_mask()
    }

    /// The stored word, whether or not the host may see it.
    #[must_use]
    pub const fn get(&self, register: Register) -> u32 {
        self.words[register as usize]
    }

    /// The device replaces the bits of `mask` by those of `value`.
    pub const fn set_bits(&mut self, register: Register, mask: u32, value: u32) {
        let word = &mut self.words[register as usize];
        *word = (*word & !mask) | (value & mask);
    }

    /// The device sets the field that `mask` covers to `value`, given unshifted; bits that do not fit are lost.
    pub const fn set_field(&mut self, register: Register, mask: u32, value: u32) {
        if mask != 0 {
            self.set_bits(register, mask, value << mask.trailing_zeros());
        }
    }

    /// The field that `mask` covers, shifted down.
    #[must_use]
    pub const fn field(&self, register: Register, mask: u32) -> u32 {
        if mask == 0 {
            0
        } else {
            (self.get(register) & mask) >> mask.trailing_zeros()
        }
    }
}

impl Default for RegisterFile {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offsets::{control, counter_snapshot, irq_cause, status};

    #[test]
    fn host_writes_change_writable_bits_only() {
        for register in Register::ALL {
            let mut file = RegisterFile::new();
            let before = file.get(register);
            let pulses = file.host_write(register, u32::MAX);
            let may_change =
                register.write_mask() | register.write_one_to_clear_mask() | register.write_one_to_set_mask();
            assert_eq!((file.get(register) ^ before) & !may_change, 0, "{}", register.name());
            assert_eq!(
                file.get(register) & register.write_mask(),
                register.write_mask(),
                "{}",
                register.name()
            );
            assert_eq!(pulses, register.pulse_mask(), "{}", register.name());
            assert_eq!(file.get(register) & register.pulse_mask(), 0, "{}", register.name());
        }
    }

    #[test]
    fn causes_are_cleared_by_a_one_and_kept_by_a_zero() {
        let mut file = RegisterFile::new();
        file.set_bits(
            Register::IrqCause,
            u32::MAX,
            irq_cause::FAULT_MASK | irq_cause::MAILBOX_DONE_MASK,
        );
        file.host_write(
            Register::IrqCause,
            irq_cause::MAILBOX_DONE_MASK | irq_cause::EVENTS_PENDING_MASK,
        );
        assert_eq!(file.host_read(Register::IrqCause), irq_cause::FAULT_MASK);
    }

    #[test]
    fn the_snapshot_latch_is_set_by_the_host_and_cleared_by_the_device() {
        let mut file = RegisterFile::new();
        file.host_write(Register::CounterSnapshot, counter_snapshot::LATCH_MASK);
        file.host_write(Register::CounterSnapshot, 0);
        assert_eq!(file.field(Register::CounterSnapshot, counter_snapshot::LATCH_MASK), 1);
        file.set_field(Register::CounterSnapshot, counter_snapshot::LATCH_MASK, 0);
        assert_eq!(file.host_read(Register::CounterSnapshot), 0);
    }

    #[test]
    fn a_soft_reset_is_reported_and_not_kept() {
        let mut file = RegisterFile::new();
        let pulses = file.host_write(Register::Control, control::SOFT_RESET_MASK | control::ENABLE_MASK);
        assert_eq!(pulses, control::SOFT_RESET_MASK);
        assert_eq!(file.host_read(Register::Control), control::ENABLE_MASK);
    }

    #[test]
    fn fields_are_placed_by_their_mask() {
        let mut file = RegisterFile::new();
        file.set_field(Register::Status, status::FAULT_CODE_MASK, 0x1FF);
        assert_eq!(file.get(Register::Status), 0xFF << status::FAULT_CODE_SHIFT);
        assert_eq!(file.field(Register::Status, status::FAULT_CODE_MASK), 0xFF);
    }
}
