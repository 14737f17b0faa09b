//! The hardware file: what a device is built of. Presets lie in `hw/` of the repository.

use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Why a hardware file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum HwConfigError {
    /// The file can't be read.
    #[error("can't read the hardware file {path}: {source}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not TOML, or with a field that is missing, unknown or of the wrong type.
    #[error("the hardware file is not well formed: {0}")]
    Parse(#[from] toml::de::Error),
    /// A value out of its range.
    #[error("{field} is {value}; it must be from {least} to {greatest}")]
    Range {
        /// Field, with its table.
        field: &'static str,
        /// What it is.
        value: u64,
        /// Least value allowed.
        least: u64,
        /// Greatest value allowed.
        greatest: u64,
    },
    /// A value of the right size that means nothing.
    #[error("{field} is {value}; it must be {rule}")]
    Rule {
        /// Field, with its table.
        field: &'static str,
        /// What it is.
        value: u64,
        /// What it must be.
        rule: &'static str,
    },
}

macro_rules! section {
    ($(#[$meta:meta])* $name:ident in $table:literal {
        $($(#[$field_meta:meta])* $field:ident: $range:expr,)*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$field_meta])* pub $field: u32,)*
        }

        impl $name {
            fn check(&self) -> Result<(), HwConfigError> {
                $(check_range(concat!($table, ".", stringify!($field)), self.$field, $range)?;)*
                Ok(())
            }

            /// Names of the fields and what each may be.
            #[cfg(test)]
            fn ranges() -> Vec<(&'static str, std::ops::RangeInclusive<u32>)> {
                vec![$((concat!($table, ".", stringify!($field)), $range),)*]
            }
        }
    };
}

fn check_range(field: &'static str, value: u32, range: std::ops::RangeInclusive<u32>) -> Result<(), HwConfigError> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(HwConfigError::Range {
        field,
        value: value.into(),
        least: (*range.start()).into(),
        greatest: (*range.end()).into(),
    })
}

section! {
    /// Clock and width of the datapath.
    Core in "core" {
        /// Clock of the whole datapath.
        clock_mhz: 10..=2_000,
        /// Width of a datapath: octets of a frame that move in one cycle. A multiple of 64 bits.
        bus_bits: 64..=4_096,
        /// Pipelines side by side. Associations are spread over them: one association is served by one pipeline.
        pipelines: 1..=16,
        /// Octets of frames that may be inside in each direction.
        packet_buffer_octets: 16_384..=268_435_456,
    }
}

section! {
    /// The line.
    Link in "link" {
        /// Data rate of the line.
        rate_gbps: 1..=1_600,
        /// From the last bit on the line to the first unit: deserialiser, decoding, alignment.
        receive_ns: 0..=100_000,
        /// From the last unit to the first bit on the line.
        transmit_ns: 0..=100_000,
    }
}

section! {
    /// PCI Express: the way to the VMs' and the host's memory.
    Pcie in "pcie" {
        /// Generation: 3 (8 GT/s), 4 (16 GT/s) or 5 (32 GT/s).
        generation: 3..=5,
        /// Lanes.
        lanes: 1..=16,
        /// Greatest payload of a write or completion packet.
        max_payload_octets: 64..=4_096,
        /// Greatest read request.
        max_read_octets: 64..=4_096,
        /// What each packet costs besides its payload: framing, sequence number, header, LCRC, and its share of link-layer packets.
        packet_overhead_octets: 0..=64,
        /// From a read request's last octet to the answer's first.
        read_ns: 0..=100_000,
        /// From a write's last octet until it is visible to a VM.
        write_ns: 0..=100_000,
        /// Read requests that may be outstanding.
        outstanding_reads: 1..=4_096,
        /// Descriptors fetched by one read request.
        descriptors_per_read: 1..=256,
        /// Completions written by one write.
        completions_per_write: 1..=256,
    }
}

section! {
    /// The VMs' ports.
    Ports in "ports" {
        /// Frames that may wait in a port's transmit ring.
        queue_frames: 1..=65_536,
        /// What a port may send in its turn (deficit round robin).
        quantum_octets: 64..=1_048_576,
    }
}

section! {
    /// A unit that takes as long for each frame.
    Fixed in "parser" {
        /// Cycles from frame to frame.
        interval_cycles: 1..=10_000,
        /// Cycles from taking a frame to giving it on.
        latency_cycles: 1..=10_000,
    }
}

section! {
    /// The flow tables' way: a cache on chip in front of the table memory, for each direction of each pipeline.
    Lookup in "lookup" {
        /// Cycles from frame to frame.
        interval_cycles: 1..=10_000,
        /// Cycles of a round of the lookup whose lines are on chip.
        hit_cycles: 1..=10_000,
        /// Sets of the cache; a power of two.
        cache_sets: 1..=1_048_576,
        /// Ways of the cache, of lines of 512 bits.
        cache_ways: 1..=64,
        /// Frames whose lookup may be under way at once.
        outstanding_frames: 1..=1_024,
    }
}

section! {
    /// SA contexts: kept on chip as far as they fit, in the table memory beyond.
    SaFetch in "sa_fetch" {
        /// Cycles from frame to frame.
        interval_cycles: 1..=10_000,
        /// Cycles of a fetch that is on chip.
        hit_cycles: 1..=10_000,
        /// Sets of the cache; a power of two.
        cache_sets: 1..=1_048_576,
        /// Ways of the cache, of whole contexts.
        cache_ways: 1..=64,
        /// Lines of 512 bits of a context: keys, powers of H, number or window.
        context_lines: 1..=16,
        /// Frames whose fetch may be under way at once.
        outstanding_frames: 1..=1_024,
    }
}

section! {
    /// The table memory: DRAM or HBM, for all tables and all pipelines.
    TableMemory in "memory" {
        /// Channels that work side by side.
        channels: 1..=64,
        /// Banks of a channel.
        banks: 1..=256,
        /// From a read's turn until the line is there.
        latency_ns: 1..=10_000,
        /// Time a bank is busy with one access to a new row.
        bank_ns: 1..=10_000,
        /// Time a channel is busy moving one line, in tenths of a nanosecond.
        line_tenths_ns: 1..=10_000,
    }
}

section! {
    /// Record engines of each direction of each pipeline.
    Engines in "engines" {
        /// Engines side by side.
        count: 1..=64,
        /// Blocks of 128 bits that an engine takes in a cycle.
        lanes: 1..=32,
        /// Cycles before a record's first block: nonce, additional data, the mask of the tag.
        header_cycles: 0..=1_000,
        /// Cycles more when the record before was another SA's.
        key_switch_cycles: 0..=1_000,
        /// Cycles from a record's last block to its tag: depth of AES, GHASH's tail. The next record goes in meanwhile.
        tail_cycles: 1..=10_000,
        /// Records that may be done, or under way, and wait for their turn to leave.
        reorder_frames: 1..=1_024,
    }
}

section! {
    /// Commit units: the decision of a VM's frame, and the replay window.
    Commit in "commit" {
        /// Cycles from frame to frame.
        interval_cycles: 1..=10_000,
        /// Cycles from taking a frame to giving it on.
        latency_cycles: 1..=10_000,
    }
}

section! {
    /// Outer headers, and delivery.
    Rewrite in "rewrite" {
        /// Cycles from taking a frame's last word to giving it on. A frame occupies the unit for as many cycles as it has words.
        latency_cycles: 1..=10_000,
    }
}

section! {
    /// The control CPU and its firmware.
    ControlCpu in "control_cpu" {
        /// Clock.
        clock_mhz: 10..=10_000,
        /// CPU cycles to decide a flow's first packet and install its entry.
        decide_cycles: 1..=1_000_000,
        /// CPU cycles for a frame of the host.
        host_frame_cycles: 1..=1_000_000,
        /// CPU cycles for a command of the host.
        command_cycles: 1..=10_000_000,
        /// Frames that may wait for the CPU.
        queue_frames: 1..=65_536,
        /// The CPU looks at every flow entry (aging, flow log) once in this time.
        sweep_us: 1..=10_000_000,
    }
}

section! {
    /// FIFOs between units.
    Fifos in "fifos" {
        /// Room of each, in frames. Two let a unit give on a frame in every cycle.
        depth_frames: 2..=65_536,
    }
}

/// What a device is built of. Times are rounded up to whole cycles where they meet the core's clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HwConfig {
    /// Name, for reports.
    pub name: String,
    /// Clock and width.
    pub core: Core,
    /// Line.
    pub link: Link,
    /// PCI Express.
    pub pcie: Pcie,
    /// VMs' ports.
    pub ports: Ports,
    /// Header parsers.
    pub parser: Fixed,
    /// Flow lookup.
    pub lookup: Lookup,
    /// SA contexts.
    pub sa_fetch: SaFetch,
    /// Table memory.
    pub memory: TableMemory,
    /// Record engines.
    pub engines: Engines,
    /// Commit units.
    pub commit: Commit,
    /// Outer headers.
    pub rewrite: Rewrite,
    /// Control CPU.
    pub control_cpu: ControlCpu,
    /// FIFOs.
    pub fifos: Fifos,
}

/// Preamble with start delimiter and the least gap between frames: what a frame costs on the line besides itself
/// (IEEE 802.3 clauses 3.2 and 4.4.2), in octets.
pub const LINE_OVERHEAD_OCTETS: u64 = 20;
/// Frame check sequence, which frames inside don't carry, in octets.
pub const FCS_OCTETS: u64 = 4;
/// Shortest frame on the line, with FCS, in octets.
pub const LEAST_FRAME_OCTETS: u64 = 64;

/// A preset: its name and the file's text.
pub const PRESETS: [(&str, &str); 4] = [
    ("100g", include_str!("../../../hw/100g.toml")),
    ("200g", include_str!("../../../hw/200g.toml")),
    ("400g", include_str!("../../../hw/400g.toml")),
    ("entry", include_str!("../../../hw/entry.toml")),
];

impl HwConfig {
    /// The default hardware: 100 Gbit/s, one pipeline.
    ///
    /// # Errors
    /// Never with the presets that are built in; the tests read them all.
    pub fn default_preset() -> Result<Self, HwConfigError> {
        Self::from_toml(PRESETS[0].1)
    }

    /// A preset by its name; `None` when there is none of this name.
    ///
    /// # Errors
    /// Never with the presets that are built in; the tests read them all.
    pub fn preset(name: &str) -> Option<Result<Self, HwConfigError>> {
        let (_, text) = PRESETS.iter().find(|(preset, _)| *preset == name)?;
        Some(Self::from_toml(text))
    }

    /// Reads a hardware file's text.
    ///
    /// # Errors
    /// It is not TOML, has fields that are missing, unknown or of the wrong type, or values that can't be.
    pub fn from_toml(text: &str) -> Result<Self, HwConfigError> {
        let config: Self = toml::from_str(text)?;
        config.check()?;
        Ok(config)
    }

    /// Reads a hardware file.
    ///
    /// # Errors
    /// It can't be read, or as [`from_toml`](Self::from_toml).
    pub fn read(path: &Path) -> Result<Self, HwConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| HwConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::from_toml(&text)
    }

    /// Whether every value is in its range and they fit together.
    ///
    /// # Errors
    /// The first that is not or doesn't.
    pub fn check(&self) -> Result<(), HwConfigError> {
        self.core.check()?;
        self.link.check()?;
        self.pcie.check()?;
        self.ports.check()?;
        self.parser.check()?;
        self.lookup.check()?;
        self.sa_fetch.check()?;
        self.memory.check()?;
        self.engines.check()?;
        self.commit.check()?;
        self.rewrite.check()?;
        self.control_cpu.check()?;
        self.fifos.check()?;
        let rule = |holds: bool, field, value: u32, rule| {
            if holds {
                return Ok(());
            }
            Err(HwConfigError::Rule {
                field,
                value: value.into(),
                rule,
            })
        };
        let power = "a power of two";
        rule(
            self.core.bus_bits.is_multiple_of(64),
            "core.bus_bits",
            self.core.bus_bits,
            "a multiple of 64",
        )?;
        rule(self.pcie.lanes.is_power_of_two(), "pcie.lanes", self.pcie.lanes, power)?;
        for (field, value) in [
            ("pcie.max_payload_octets", self.pcie.max_payload_octets),
            ("pcie.max_read_octets", self.pcie.max_read_octets),
            ("lookup.cache_sets", self.lookup.cache_sets),
            ("sa_fetch.cache_sets", self.sa_fetch.cache_sets),
            ("memory.channels", self.memory.channels),
            ("memory.banks", self.memory.banks),
        ] {
            rule(value.is_power_of_two(), field, value, power)?;
        }
        // A slower CPU keeps frames waiting for so long that flows age before their frames have left.
        let cpu = &self.control_cpu;
        for (field, cycles, most_us, text) in [
            (
                "control_cpu.decide_cycles",
                cpu.decide_cycles,
                10_000,
                "such that the CPU takes at most 10 ms (cycles by clock_mhz)",
            ),
            (
                "control_cpu.host_frame_cycles",
                cpu.host_frame_cycles,
                10_000,
                "such that the CPU takes at most 10 ms (cycles by clock_mhz)",
            ),
            (
                "control_cpu.command_cycles",
                cpu.command_cycles,
                100_000,
                "such that the CPU takes at most 100 ms (cycles by clock_mhz)",
            ),
        ] {
            rule(
                u64::from(cycles) <= most_us * u64::from(cpu.clock_mhz),
                field,
                cycles,
                text,
            )?;
        }
        // Each pipeline has its own, in each direction; the model keeps a few octets for each line.
        for (field, sets, ways) in [
            ("lookup.cache_ways", self.lookup.cache_sets, self.lookup.cache_ways),
            (
                "sa_fetch.cache_ways",
                self.sa_fetch.cache_sets,
                self.sa_fetch.cache_ways,
            ),
        ] {
            rule(
                u64::from(sets) * u64::from(ways) * u64::from(self.core.pipelines) <= 1 << 22,
                field,
                ways,
                "such that sets times ways times pipelines are at most 4,194,304",
            )?;
        }
        rule(
            8_000 % self.link.rate_gbps == 0,
            "link.rate_gbps",
            self.link.rate_gbps,
            "a rate at which an octet takes a whole number of picoseconds",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_read_and_bears_its_name() {
        for (name, text) in PRESETS {
            let config = HwConfig::from_toml(text).unwrap();
            assert_eq!(config.name, name);
            assert_eq!(HwConfig::preset(name).unwrap().unwrap(), config);
        }
        assert_eq!(HwConfig::default_preset().unwrap().name, "100g");
        assert!(HwConfig::preset("1t").is_none());
    }

    #[test]
    fn what_is_written_out_is_read_back() {
        for (_, text) in PRESETS {
            let config = HwConfig::from_toml(text).unwrap();
            let written = toml::to_string(&config).unwrap();
            assert_eq!(HwConfig::from_toml(&written).unwrap(), config);
        }
    }

    /// The default preset with one field of one table changed.
    fn with(field: &str, value: i64) -> Result<HwConfig, HwConfigError> {
        let (section, key) = field.split_once('.').unwrap();
        let mut table: toml::Table = PRESETS[0].1.parse().unwrap();
        let section = table[section].as_table_mut().unwrap();
        section[key] = value.into();
        HwConfig::from_toml(&toml::to_string(&table).unwrap())
    }

    #[test]
    fn each_value_out_of_its_range_is_named_with_its_range() {
        let mut tried = 0;
        for ranges in [
            Core::ranges(),
            Link::ranges(),
            Pcie::ranges(),
            Ports::ranges(),
            Lookup::ranges(),
            SaFetch::ranges(),
            TableMemory::ranges(),
            Engines::ranges(),
            Commit::ranges(),
            Rewrite::ranges(),
            ControlCpu::ranges(),
            Fifos::ranges(),
            Fixed::ranges(),
        ] {
            for (field, range) in ranges {
                let beyond = [i64::from(*range.start()) - 1, i64::from(*range.end()) + 1];
                for wrong in beyond.into_iter().filter(|wrong| *wrong >= 0) {
                    let error = with(field, wrong).unwrap_err().to_string();
                    let (least, greatest) = (range.start(), range.end());
                    assert_eq!(
                        error,
                        format!("{field} is {wrong}; it must be from {least} to {greatest}")
                    );
                    tried += 1;
                }
            }
        }
        assert!(tried > 80, "only {tried} values were tried");
    }

    #[test]
    fn values_that_mean_nothing_are_refused_with_the_rule_they_break() {
        for (field, value, rule) in [
            ("core.bus_bits", 500, "multiple of 64"),
            ("pcie.lanes", 3, "power of two"),
            ("pcie.max_payload_octets", 200, "power of two"),
            ("lookup.cache_sets", 1_000, "power of two"),
            ("lookup.cache_sets", 1_048_576, "at most 4,194,304"),
            ("memory.banks", 3, "power of two"),
            ("link.rate_gbps", 3, "whole number of picoseconds"),
        ] {
            let error = with(field, value).unwrap_err().to_string();
            assert!(error.contains(rule), "{error}");
        }
    }

    #[test]
    fn a_control_cpu_may_be_slow_but_not_without_bound() {
        let mut table: toml::Table = PRESETS[0].1.parse().unwrap();
        let mut set = |key: &str, value: i64| {
            table["control_cpu"].as_table_mut().unwrap()[key] = value.into();
            HwConfig::from_toml(&toml::to_string(&table).unwrap())
        };
        set("clock_mhz", 10).unwrap();
        for (key, most) in [
            ("decide_cycles", 100_000),
            ("host_frame_cycles", 100_000),
            ("command_cycles", 1_000_000),
        ] {
            let error = set(key, most + 1).unwrap_err().to_string();
            assert!(error.starts_with(&format!("control_cpu.{key} is ")), "{error}");
            set(key, most).unwrap();
        }
    }

    #[test]
    fn caches_of_all_pipelines_together_have_a_bound() {
        for section in ["lookup", "sa_fetch"] {
            let mut table: toml::Table = PRESETS[0].1.parse().unwrap();
            let mut set = |section: &str, key: &str, value: i64| {
                table[section].as_table_mut().unwrap()[key] = value.into();
                HwConfig::from_toml(&toml::to_string(&table).unwrap())
            };
            set(section, "cache_sets", 65_536).unwrap();
            set(section, "cache_ways", 64).unwrap();
            let error = set("core", "pipelines", 2).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{section}.cache_ways is 64; ")), "{error}");
            set(section, "cache_ways", 32).unwrap();
        }
    }

    #[test]
    fn fields_that_are_missing_or_unknown_are_named() {
        let text = PRESETS[0].1;
        let missing = HwConfig::from_toml(&text.replace("lanes = 4\n", ""))
            .unwrap_err()
            .to_string();
        assert!(missing.contains("missing field `lanes`"), "{missing}");
        let unknown = HwConfig::from_toml(&text.replace("[core]", "[core]\nclock_ghz = 1"))
            .unwrap_err()
            .to_string();
        assert!(unknown.contains("unknown field `clock_ghz`"), "{unknown}");
        let negative = with("engines.count", -1).unwrap_err().to_string();
        assert!(negative.contains("engines") || negative.contains("count"), "{negative}");
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = HwConfig::read(Path::new("/nowhere/at/all.toml"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("/nowhere/at/all.toml"), "{error}");
    }
}
