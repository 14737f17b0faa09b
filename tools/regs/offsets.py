#!/usr/bin/env python3
"""Writes the device side's view of the registers (Rust) to standard output.

usage: offsets.py firmware/abi/sealnic.rdl

The register access that PeakRDL generates is the host's: it reads and writes through a bus. A device, a model or a
test bench needs the other view: which register stands at an offset, what its bits do when they are written, and where
each field lies. Everything here is derived from the same compiled SystemRDL.
"""

import sys

from systemrdl import RDLCompiler
from systemrdl.node import FieldNode, MemNode, RegfileNode, RegNode
from systemrdl.rdltypes import OnWriteType


def camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def doc(node, indent: str = "", place: str = "") -> str:
    """Rustdoc lines: the name as a sentence, then the description."""
    lines = [f"{indent}/// {place}{node.get_property('name')}."]
    if description := node.get_property("desc"):
        lines += [f"{indent}///", f"{indent}/// {' '.join(description.split())}"]
    return "\n".join(lines)


def hexa(value: int) -> str:
    """A u32 literal with its halves separated, as rustfmt's users write them."""
    return f"0x{value >> 16:04X}_{value & 0xFFFF:04X}"


def in_place_mask(field: FieldNode) -> int:
    return ((1 << field.width) - 1) << field.low


def reset_of(reg: RegNode) -> int:
    value = 0
    for field in reg.fields():
        reset = field.get_property("reset")
        if isinstance(reset, int):
            value |= reset << field.low
    return value


def flat_name(reg: RegNode) -> str:
    """A register of a register file bears its file's name in front: two files of one type have registers of one name."""
    if isinstance(reg.parent, RegfileNode):
        return f"{reg.parent.inst_name}_{reg.inst_name}"
    return reg.inst_name


def flatten(top) -> list[RegNode]:
    """All registers, those of register files included, by rising offset."""
    registers = []
    for node in top.children():
        if isinstance(node, RegNode):
            registers.append(node)
        elif isinstance(node, RegfileNode):
            registers += [reg for reg in node.children() if isinstance(reg, RegNode)]
    return sorted(registers, key=lambda reg: reg.absolute_address)


def modules(registers: list[RegNode]) -> list[tuple[str, RegNode]]:
    """The modules of field constants: one a register, and one for all registers of one place in one type of register file."""
    found = {}
    for reg in registers:
        name = reg.inst_name
        if isinstance(reg.parent, RegfileNode):
            name = f"{reg.parent.type_name.removesuffix('_rf')}_{name}"
        found.setdefault(name, reg)
    return list(found.items())


class Masks:
    """What a write does to each bit of a register."""

    def __init__(self, reg: RegNode) -> None:
        self.readable = self.plain = self.clear = self.set = self.pulse = 0
        for field in reg.fields():
            mask = in_place_mask(field)
            if field.is_sw_readable:
                self.readable |= mask
            if not field.is_sw_writable:
                continue
            onwrite = field.get_property("onwrite")
            if field.get_property("singlepulse"):
                self.pulse |= mask
            elif onwrite is None:
                self.plain |= mask
            elif onwrite == OnWriteType.woclr:
                self.clear |= mask
            elif onwrite == OnWriteType.woset:
                self.set |= mask
            else:
                sys.exit(f"{field.get_path()}: no rule for onwrite = {onwrite.name}")


def match_method(what: str, signature: str, arms: list[tuple[str, str]]) -> str:
    """A const method that maps each variant to a value; variants with equal values share an arm."""
    by_value: dict[str, list[str]] = {}
    for variant, value in arms:
        by_value.setdefault(value, []).append(variant)
    out = [f"    /// {what}", "    #[must_use]", f"    pub const fn {signature} {{"]
    if len(by_value) == 1:
        out.append(f"        {next(iter(by_value))}")
    elif set(by_value) == {"true", "false"}:
        out.append(f"        matches!(self, {' | '.join('Self::' + v for v in by_value['true'])})")
    else:
        out.append("        match self {")
        rest = max(by_value, key=lambda value: len(by_value[value]))
        for value, variants in by_value.items():
            if value == rest and len(variants) > 1:
                continue
            out.append(f"            {' | '.join('Self::' + v for v in variants)} => {value},")
        if len(by_value[rest]) > 1:
            out.append(f"            _ => {rest},")
        out.append("        }")
    out.append("    }")
    return "\n".join(out)


def main() -> None:
    rdl = RDLCompiler()
    rdl.compile_file(sys.argv[1])
    top = rdl.elaborate().top
    registers = flatten(top)
    windows = [node for node in top.children() if isinstance(node, MemNode)]
    others = [node.inst_name for node in top.children() if not isinstance(node, (RegNode, RegfileNode, MemNode))]
    if others or any(reg.get_property("regwidth") != 32 for reg in registers):
        sys.exit(f"only 32-bit registers, files of them and memories are understood here: {others}")
    if any(window.get_property("memwidth") != 32 for window in windows):
        sys.exit("only memories of 32-bit words are understood here")

    bar_len = 1
    while bar_len < top.size:
        bar_len *= 2

    out = [
        "//! The device side's view of the registers: which one stands at an offset, what a write does to it, where its",
        "//! fields lie.",
        "//!",
        "//! Generated from `sealnic.rdl` by `cargo xtask regs`; edit that file instead.",
        "",
        "/// Size of the BAR in octets: the registers' and windows' extent rounded up to a power of two.",
        f"pub const BAR_LEN: u32 = {hexa(bar_len)};",
        "",
        "/// A register of the PF's BAR0.",
        "#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]",
        "pub enum Register {",
    ]
    for reg in registers:
        file = reg.parent.inst_name.replace("_", " ").capitalize() if isinstance(reg.parent, RegfileNode) else ""
        place = f"{file}: " if file else ""
        out += [doc(reg, "    ", place), f"    {camel(flat_name(reg))},"]
    out += ["}", "", "impl Register {", "    /// Every register, by rising offset."]
    out.append(f"    pub const ALL: [Self; {len(registers)}] = [")
    out += [f"        Self::{camel(flat_name(reg))}," for reg in registers]
    out += ["    ];", ""]

    def arms(value):
        return [(camel(flat_name(reg)), value(reg)) for reg in registers]

    methods = [
        ("Offset from the start of the BAR, in octets.", "offset(self) -> u32",
         arms(lambda reg: hexa(reg.absolute_address))),
        ("Name as in the SystemRDL source.", "name(self) -> &'static str",
         arms(lambda reg: f'"{flat_name(reg)}"')),
        ("Value after a reset; bits that the device drives count as zero.", "reset(self) -> u32",
         arms(lambda reg: hexa(reset_of(reg)))),
        ("Bits that a read shows; all others read as zero.", "readable_mask(self) -> u32",
         arms(lambda reg: hexa(Masks(reg).readable))),
        ("Bits that take the value written to them.", "write_mask(self) -> u32",
         arms(lambda reg: hexa(Masks(reg).plain))),
        ("Bits that a written 1 clears.", "write_one_to_clear_mask(self) -> u32",
         arms(lambda reg: hexa(Masks(reg).clear))),
        ("Bits that a written 1 sets and that only the device clears.", "write_one_to_set_mask(self) -> u32",
         arms(lambda reg: hexa(Masks(reg).set))),
        ("Bits of which a written 1 starts something and is not kept.", "pulse_mask(self) -> u32",
         arms(lambda reg: hexa(Masks(reg).pulse))),
    ]
    out.append("\n\n".join(match_method(*method) for method in methods))
    out += [
        "",
        "    /// The register at `offset`; nothing where no register stands or the offset is not aligned.",
        "    #[must_use]",
        "    pub const fn from_offset(offset: u32) -> Option<Self> {",
        "        Some(match offset {",
    ]
    out += [f"            {hexa(reg.absolute_address)} => Self::{camel(flat_name(reg))}," for reg in registers]
    out += ["            _ => return None,", "        })", "    }", "}", ""]

    out += [
        "/// A window of the PF's BAR0: a memory of 32-bit words.",
        "#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]",
        "pub enum Window {",
    ]
    for window in windows:
        out += [doc(window, "    "), f"    {camel(window.inst_name)},"]
    out += ["}", "", "impl Window {", "    /// Every window, by rising offset."]
    out.append(f"    pub const ALL: [Self; {len(windows)}] = [")
    out += [f"        Self::{camel(window.inst_name)}," for window in windows]
    out += ["    ];", ""]

    def window_arms(value):
        return [(camel(window.inst_name), value(window)) for window in windows]

    methods = [
        ("Offset from the start of the BAR, in octets.", "offset(self) -> u32",
         window_arms(lambda window: hexa(window.absolute_address))),
        ("Length in octets.", "byte_len(self) -> u32", window_arms(lambda window: hexa(window.size))),
        ("Name as in the SystemRDL source.", "name(self) -> &'static str",
         window_arms(lambda window: f'"{window.inst_name}"')),
        ("Whether the host may write it.", "is_writable(self) -> bool",
         window_arms(lambda window: str(window.is_sw_writable).lower())),
    ]
    out.append("\n\n".join(match_method(*method) for method in methods))
    out += ["}", ""]

    for name, reg in modules(registers):
        out += [doc(reg), f"pub mod {name} {{"]
        for field in reg.fields():
            name = field.inst_name.upper()
            reset = field.get_property("reset")
            reset = reset if isinstance(reset, int) else 0
            title = f"`{field.inst_name}`"
            out += [
                doc(field, "    "),
                f"    pub const {name}_MASK: u32 = {hexa(in_place_mask(field))};",
                f"    /// Place of the lowest bit of {title}.",
                f"    pub const {name}_SHIFT: u32 = {field.low};",
                f"    /// Value of {title} after a reset, not shifted; zero where the device drives it.",
                f"    pub const {name}_RESET: u32 = {hexa(reset)};",
            ]
        out += ["}", ""]
    print("\n".join(out))


main()
