//! Configuration space of a type 0 function: 4096 octets, each bit with a rule of its own. Section numbers are those of the PCI
//! Express Base Specification 6.0 unless another is named.

/// Octets of configuration space (7.2.2).
pub const CONFIG_LEN: usize = 4096;

/// Offsets of the registers that have an effect, in octets.
pub mod offset {
    /// Command (7.5.1.1.3).
    pub const COMMAND: usize = 0x04;
    /// Status (7.5.1.1.4).
    pub const STATUS: usize = 0x06;
    /// First base address register (7.5.1.2.1).
    pub const BAR0: usize = 0x10;
    /// Power management capability (7.5.2).
    pub const PM: usize = 0x40;
    /// Power management control and status (7.5.2.2).
    pub const PMCSR: usize = PM + 4;
    /// MSI-X capability (7.7.2).
    pub const MSIX: usize = 0x50;
    /// MSI-X message control (7.7.2.2).
    pub const MSIX_CONTROL: usize = MSIX + 2;
    /// PCI Express capability (7.5.3).
    pub const EXPRESS: usize = 0x60;
    /// Device control (7.5.3.4).
    pub const DEVICE_CONTROL: usize = EXPRESS + 8;
    /// Advanced error reporting (7.8.4).
    pub const AER: usize = 0x100;
    /// Device serial number (7.9.3).
    pub const SERIAL: usize = 0x150;
}

/// Bits of the registers that have an effect.
pub mod bits {
    /// Command: the function answers memory accesses.
    pub const MEMORY_ENABLE: u16 = 1 << 1;
    /// Command: the function may issue memory requests.
    pub const BUS_MASTER: u16 = 1 << 2;
    /// Command: no INTx. The function has none.
    pub const INTX_DISABLE: u16 = 1 << 10;
    /// Status: a request of the function was answered with completer abort.
    pub const RECEIVED_TARGET_ABORT: u16 = 1 << 12;
    /// Status: a request of the function was answered as unsupported.
    pub const RECEIVED_MASTER_ABORT: u16 = 1 << 13;
    /// PMCSR: power state.
    pub const POWER_STATE: u16 = 0b11;
    /// PMCSR: power state D3hot.
    pub const D3_HOT: u16 = 0b11;
    /// MSI-X control: enable.
    pub const MSIX_ENABLE: u16 = 1 << 15;
    /// MSI-X control: function mask.
    pub const MSIX_MASK: u16 = 1 << 14;
    /// Device control: function-level reset.
    pub const FLR: u16 = 1 << 15;
}

/// What a function is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FunctionSpec {
    /// Vendor id, also of the subsystem.
    pub vendor: u16,
    /// Device id, also of the subsystem.
    pub device: u16,
    /// Revision id.
    pub revision: u8,
    /// Class code: programming interface, subclass, base class.
    pub class: [u8; 3],
    /// Octets behind each 64-bit memory BAR: 0 and 1, 2 and 3, 4 and 5. A power of two of at least 128, or 0 for none.
    pub bar_lens: [u64; 3],
    /// MSI-X vectors (1 to 128).
    pub vectors: u16,
    /// The pair of BARs (0 to 2) that holds the MSI-X table at 0 and the pending bits at [`PBA_OFFSET`].
    pub msix_bar: u8,
    /// Serial number.
    pub serial: u64,
}

/// Where the pending bits stand behind the MSI-X BAR, in octets.
pub const PBA_OFFSET: u32 = 0x800;

/// Configuration space: what is read, and what a write may do to each bit. Any access of any length is defined.
pub struct ConfigSpace {
    octets: Box<[u8; CONFIG_LEN]>,
    initial: Box<[u8; CONFIG_LEN]>,
    /// Bits that take what is written.
    writable: Box<[u8; CONFIG_LEN]>,
    /// Bits that a written 1 clears.
    clear: Box<[u8; CONFIG_LEN]>,
    /// Bits that a function-level reset leaves (6.6.2: sticky).
    sticky: Box<[u8; CONFIG_LEN]>,
}

fn zeros() -> Box<[u8; CONFIG_LEN]> {
    Box::new([0; CONFIG_LEN])
}

impl ConfigSpace {
    /// The function's configuration space, as after a reset.
    #[must_use]
    pub fn new(spec: &FunctionSpec) -> Self {
        let mut config = Self {
            octets: zeros(),
            initial: zeros(),
            writable: zeros(),
            clear: zeros(),
            sticky: zeros(),
        };
        config.header(spec);
        config.power_management();
        config.msix(spec);
        config.express();
        config.extended(spec);
        config.initial = config.octets.clone();
        config
    }

    /// Type 0 header (7.5.1).
    fn header(&mut self, spec: &FunctionSpec) {
        self.set16(0x00, spec.vendor);
        self.set16(0x02, spec.device);
        let command = bits::MEMORY_ENABLE | bits::BUS_MASTER | bits::INTX_DISABLE | 1 << 6 | 1 << 8;
        self.allow16(offset::COMMAND, command);
        // There is a list of capabilities; the errors are cleared by a 1.
        self.set16(offset::STATUS, 1 << 4);
        self.clear_by_one16(offset::STATUS, 0xF900);
        self.set(0x08, &[spec.revision, spec.class[0], spec.class[1], spec.class[2]]);
        // Cache line size: kept, without effect.
        self.allow(0x0C, &[0xFF]);
        for (pair, len) in spec.bar_lens.into_iter().enumerate().filter(|(_, len)| *len != 0) {
            let at = offset::BAR0 + 8 * pair;
            // 64-bit memory, not prefetchable; the bits below the size stay zero, by which the host finds the size.
            self.set(at, &0b100u64.to_le_bytes());
            self.allow(at, &(!(len - 1) & !0xF).to_le_bytes());
        }
        self.set16(0x2C, spec.vendor);
        self.set16(0x2E, spec.device);
        self.set(0x34, &[offset::PM as u8]);
        // Interrupt line: kept, without effect. Interrupt pin 0: no INTx.
        self.allow(0x3C, &[0xFF]);
    }

    /// Power management: D0 and D3hot; the state of the function survives D3hot (No_Soft_Reset).
    fn power_management(&mut self) {
        self.set(offset::PM, &[0x01, offset::MSIX as u8]);
        self.set16(offset::PM + 2, 0b011);
        self.set16(offset::PMCSR, 1 << 3);
        self.allow16(offset::PMCSR, bits::POWER_STATE);
    }

    fn msix(&mut self, spec: &FunctionSpec) {
        self.set(offset::MSIX, &[0x11, offset::EXPRESS as u8]);
        self.set16(offset::MSIX_CONTROL, spec.vectors.saturating_sub(1) & 0x7FF);
        self.allow16(offset::MSIX_CONTROL, bits::MSIX_ENABLE | bits::MSIX_MASK);
        let indicator = u32::from(spec.msix_bar) * 2;
        self.set(offset::MSIX + 4, &indicator.to_le_bytes());
        self.set(offset::MSIX + 8, &(PBA_OFFSET | indicator).to_le_bytes());
    }

    /// PCI Express capability, version 2, of an endpoint on a link of 16 lanes at 16 GT/s.
    fn express(&mut self) {
        let at = offset::EXPRESS;
        self.set(at, &[0x10, 0x00]);
        self.set16(at + 2, 0x0002);
        // Device capabilities (7.5.3.3): payloads of 256 octets, role-based error reporting, function-level reset.
        let capabilities = 1u32 | 1 << 15 | 1 << 28;
        self.set(at + 4, &capabilities.to_le_bytes());
        // Device control: relaxed ordering, no snoop and reads of 512 octets are on after a reset.
        self.set16(offset::DEVICE_CONTROL, 1 << 4 | 1 << 11 | 2 << 12);
        self.allow16(offset::DEVICE_CONTROL, 0x78FF | bits::FLR);
        self.clear_by_one16(at + 0x0A, 0x000F);
        let link = 4u32 | 16 << 4;
        self.set(at + 0x0C, &link.to_le_bytes());
        self.allow16(at + 0x10, 0x00CB);
        self.set16(at + 0x12, link as u16);
        // Device capabilities 2 (7.5.3.15): the completion timeout can be disabled.
        self.set(at + 0x24, &(1u32 << 4).to_le_bytes());
        self.allow16(at + 0x28, 1 << 4);
        // Link capabilities 2 (7.5.3.18): 2.5, 5, 8 and 16 GT/s; link control 2: target speed.
        self.set(at + 0x2C, &(0b1111u32 << 1).to_le_bytes());
        self.set16(at + 0x30, 4);
        self.allow16(at + 0x30, 0x000F);
    }

    /// Extended capabilities: advanced error reporting and serial number.
    fn extended(&mut self, spec: &FunctionSpec) {
        let at = offset::AER;
        self.set(at, &extended_header(0x0001, 2, offset::SERIAL));
        // 7.8.4.2 to 7.8.4.7: which errors there are, with the severities that a reset sets.
        const UNCORRECTABLE: u32 = 0x007F_F030;
        const CORRECTABLE: u32 = 0x0000_F1C1;
        self.clear_by_one(at + 0x04, UNCORRECTABLE);
        for (register, initial) in [(0x08, 0u32), (0x0C, 0x0046_2030)] {
            self.set(at + register, &initial.to_le_bytes());
            self.allow(at + register, &UNCORRECTABLE.to_le_bytes());
            self.stick(at + register, UNCORRECTABLE);
        }
        self.clear_by_one(at + 0x10, CORRECTABLE);
        self.set(at + 0x14, &(1u32 << 13).to_le_bytes());
        self.allow(at + 0x14, &CORRECTABLE.to_le_bytes());
        for (register, errors) in [(0x04, UNCORRECTABLE), (0x10, CORRECTABLE), (0x14, CORRECTABLE)] {
            self.stick(at + register, errors);
        }
        self.set(offset::SERIAL, &extended_header(0x0003, 1, 0));
        self.set(offset::SERIAL + 4, &spec.serial.to_le_bytes());
    }

    fn set(&mut self, at: usize, octets: &[u8]) {
        put(&mut self.octets, at, octets);
    }

    fn set16(&mut self, at: usize, value: u16) {
        self.set(at, &value.to_le_bytes());
    }

    fn allow(&mut self, at: usize, mask: &[u8]) {
        put(&mut self.writable, at, mask);
    }

    fn allow16(&mut self, at: usize, mask: u16) {
        self.allow(at, &mask.to_le_bytes());
    }

    fn clear_by_one(&mut self, at: usize, mask: u32) {
        put(&mut self.clear, at, &mask.to_le_bytes());
    }

    fn clear_by_one16(&mut self, at: usize, mask: u16) {
        put(&mut self.clear, at, &mask.to_le_bytes());
    }

    fn stick(&mut self, at: usize, mask: u32) {
        put(&mut self.sticky, at, &mask.to_le_bytes());
    }

    /// Reads from `at` on; past the end all ones are read, as of a function that isn't there.
    pub fn read(&self, at: u16, octets: &mut [u8]) {
        let rest = self.octets.get(usize::from(at)..).unwrap_or_default();
        let len = rest.len().min(octets.len());
        octets[..len].copy_from_slice(&rest[..len]);
        octets[len..].fill(0xFF);
    }

    /// Writes from `at` on, each bit by its rule; what lies past the end is ignored.
    pub fn write(&mut self, at: u16, octets: &[u8]) {
        for (at, value) in (usize::from(at)..CONFIG_LEN).zip(octets) {
            let (writable, clear) = (self.writable[at], self.clear[at]);
            let octet = &mut self.octets[at];
            *octet = (*octet & !writable & !(clear & value)) | (value & writable);
        }
    }

    /// Back to the initial values, but for what sticks.
    pub fn reset(&mut self) {
        for (at, octet) in self.octets.iter_mut().enumerate() {
            let sticky = self.sticky[at];
            *octet = (*octet & sticky) | (self.initial[at] & !sticky);
        }
    }

    /// A 16-bit register.
    #[must_use]
    pub fn get16(&self, at: usize) -> u16 {
        let octet = |at: usize| self.octets.get(at).copied().unwrap_or(0xFF);
        u16::from_le_bytes([octet(at), octet(at + 1)])
    }

    /// The function itself changes bits of a 16-bit register.
    pub fn change16(&mut self, at: usize, mask: u16, value: u16) {
        let value = (self.get16(at) & !mask) | (value & mask);
        self.set16(at, value);
    }
}

/// Writes octets that lie inside; the layout above sees to that.
fn put(space: &mut [u8; CONFIG_LEN], at: usize, octets: &[u8]) {
    if let Some(place) = space.get_mut(at..at + octets.len()) {
        place.copy_from_slice(octets);
    }
}

/// Header of an extended capability (7.6.3).
fn extended_header(id: u16, version: u32, next: usize) -> [u8; 4] {
    (u32::from(id) | version << 16 | (next as u32) << 20).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEC: FunctionSpec = FunctionSpec {
        vendor: 0x1234,
        device: 0x5678,
        revision: 9,
        class: [1, 2, 3],
        bar_lens: [0x4000, 0x1000, 0],
        vectors: 6,
        msix_bar: 1,
        serial: 0x0102_0304_0506_0708,
    };

    fn get32(config: &ConfigSpace, at: u16) -> u32 {
        let mut octets = [0; 4];
        config.read(at, &mut octets);
        u32::from_le_bytes(octets)
    }

    #[test]
    fn both_capability_lists_end_and_lead_to_what_the_function_has() {
        let config = ConfigSpace::new(&SPEC);
        let mut at = get32(&config, 0x34) as u16 & 0xFF;
        let mut found = Vec::new();
        while at != 0 && found.len() < 48 {
            let header = get32(&config, at);
            found.push(header & 0xFF);
            at = (header >> 8) as u16 & 0xFF;
        }
        assert_eq!(found, [0x01, 0x11, 0x10], "power management, MSI-X, PCI Express");
        let mut at = 0x100;
        let mut found = Vec::new();
        while at != 0 && found.len() < 48 {
            let header = get32(&config, at);
            found.push(header & 0xFFFF);
            at = (header >> 20) as u16;
        }
        assert_eq!(found, [0x0001, 0x0003], "errors, serial number");
        assert_eq!(get32(&config, offset::SERIAL as u16 + 4), 0x0506_0708);
        assert_eq!(get32(&config, 0), 0x5678_1234);
        assert_eq!(get32(&config, 8), 0x0302_0109);
    }

    #[test]
    fn the_size_of_a_bar_is_found_by_writing_ones() {
        let mut config = ConfigSpace::new(&SPEC);
        for at in (0x10..0x28).step_by(4) {
            config.write(at, &[0xFF; 4]);
        }
        let bars: Vec<u32> = (0x10..0x28).step_by(4).map(|at| get32(&config, at)).collect();
        assert_eq!(bars, [0xFFFF_C004, u32::MAX, 0xFFFF_F004, u32::MAX, 0, 0]);
    }

    #[test]
    fn a_bit_changes_by_its_own_rule_only_whatever_the_width_of_the_access() {
        for width in 1..=8 {
            for at in 0..CONFIG_LEN as u16 {
                let mut config = ConfigSpace::new(&SPEC);
                let before = config.octets.clone();
                let ones = vec![0xFF; width];
                config.write(at, &ones);
                for octet in 0..CONFIG_LEN {
                    let hit = (usize::from(at)..usize::from(at) + width).contains(&octet);
                    let may = if hit {
                        config.writable[octet] | config.clear[octet]
                    } else {
                        0
                    };
                    assert_eq!((config.octets[octet] ^ before[octet]) & !may, 0);
                }
                if at % 64 != 0 {
                    continue;
                }
                let mut read = vec![0; width];
                config.read(at, &mut read);
                assert_eq!(read, config.octets[usize::from(at)..][..width]);
            }
        }
    }

    #[test]
    fn past_the_end_nothing_is_written_and_ones_are_read() {
        let mut config = ConfigSpace::new(&SPEC);
        let before = config.octets.clone();
        config.write(4094, &[0xFF; 8]);
        config.write(u16::MAX, &[0xFF; 8]);
        assert_eq!(config.octets, before);
        let mut octets = [0; 4];
        config.read(4094, &mut octets);
        assert_eq!(octets, [0, 0, 0xFF, 0xFF]);
        config.read(u16::MAX, &mut octets);
        assert_eq!(octets, [0xFF; 4]);
    }

    #[test]
    fn errors_outlive_a_reset_until_a_one_clears_them_and_nothing_else_does() {
        let mut config = ConfigSpace::new(&SPEC);
        let aer = offset::AER as u16;
        config.set(offset::AER + 4, &0x10u32.to_le_bytes());
        config.write(aer + 8, &u32::MAX.to_le_bytes());
        config.write(0x04, &u16::MAX.to_le_bytes());
        config.change16(offset::STATUS, bits::RECEIVED_MASTER_ABORT, u16::MAX);
        config.reset();
        assert_eq!(get32(&config, aer + 4), 0x10);
        assert_eq!(get32(&config, aer + 8), 0x007F_F030);
        assert_eq!(get32(&config, 0x04), 0x0010_0000, "command and status are new");
        config.write(aer + 4, &u32::MAX.to_le_bytes());
        assert_eq!(get32(&config, aer + 4), 0);
    }
}
