//! The text of the package.

use sealnic_abi::fields::{FieldInfo, StructInfo};
use sealnic_abi::{counter, event, flow, mailbox, object};
use std::fmt::Write as _;

/// An enumeration: name, width and values.
pub(crate) struct Enumeration {
    name: &'static str,
    bits: usize,
    values: Vec<(&'static str, u64)>,
}

#[cfg(test)]
impl Enumeration {
    /// Number of values.
    pub(crate) const fn len(&self) -> usize {
        self.values.len()
    }
}

/// Every enumeration whose values stand in a shared structure.
pub(crate) fn enumerations() -> Vec<Enumeration> {
    macro_rules! table {
        ($( $module:ident::$name:ident: $repr:ident, )*) => {
            vec![ $( Enumeration {
                name: stringify!($name),
                bits: 8 * size_of::<$repr>(),
                values: $module::$name::ALL.iter().map(|&value| (value.name(), u64::from($repr::from(value)))).collect(),
            }, )* ]
        };
    }
    table! {
        counter::DropReason: u8,
        counter::Counter: u8,
        event::EventKind: u8,
        flow::ActionKind: u8,
        mailbox::Status: u16,
        mailbox::Opcode: u16,
        object::EncryptionCode: u8,
        object::Enforcement: u8,
        object::Capability: u8,
        object::MappingKind: u8,
        object::AssociationState: u8,
        object::DtlsVersion: u8,
        object::CipherSuite: u8,
        object::Direction: u8,
        object::SaPhase: u8,
    }
}

/// The whole package.
pub(crate) fn package(structs: &[StructInfo], enumerations: &[Enumeration]) -> String {
    let mut out = String::from(
        "// Structures and enumerations that firmware, driver and RTL share.\n\
         // Generated from the Rust definitions in firmware/abi by `cargo xtask regs`; edit those instead.\n\
         //\n\
         // Octet n of a structure in memory is bits [8n+7:8n] of its vector, and integers are little-endian. The first\n\
         // member of a packed structure is its most significant one, so members stand here from the last in memory to\n\
         // the first; element i of an array member is the i-th in memory.\n\
         \n\
         package sealnic_abi_pkg;\n",
    );
    for enumeration in enumerations {
        push_enumeration(&mut out, enumeration);
    }
    for info in structs {
        push_struct(&mut out, info);
    }
    out.push_str("\nendpackage\n");
    out
}

fn push_enumeration(out: &mut String, enumeration: &Enumeration) {
    let name = snake(enumeration.name);
    let _ = writeln!(out, "\n    typedef enum logic [{}:0] {{", enumeration.bits - 1);
    let last = enumeration.values.len().saturating_sub(1);
    for (index, (value_name, value)) in enumeration.values.iter().enumerate() {
        let label = format!("{name}_{}", snake(value_name)).to_uppercase();
        let comma = if index == last { "" } else { "," };
        let _ = writeln!(out, "        {label} = {}'d{value}{comma}", enumeration.bits);
    }
    let _ = writeln!(out, "    }} {name}_t;");
}

fn push_struct(out: &mut String, info: &StructInfo) {
    let name = snake(info.name);
    out.push('\n');
    push_comment(out, "    ", info.doc);
    let _ = writeln!(
        out,
        "    localparam int unsigned {}_LEN = {};",
        name.to_uppercase(),
        info.size
    );
    out.push_str("    typedef struct packed {\n");
    for field in info.fields.iter().rev() {
        push_comment(out, "        ", field.doc);
        let _ = writeln!(out, "        {} {};", vector(field), member_name(field.name));
    }
    let _ = writeln!(out, "    }} {name}_t;");
}

/// `logic` with the dimensions of the field.
fn vector(field: &FieldInfo) -> String {
    let element_bits = 8 * field.size / field.count;
    if field.count == 1 {
        format!("logic [{}:0]", element_bits - 1)
    } else {
        format!("logic [{}:0][{}:0]", field.count - 1, element_bits - 1)
    }
}

/// The first paragraph of a documentation text as a comment.
fn push_comment(out: &mut String, indent: &str, doc: &str) {
    for line in doc.lines().map(str::trim).take_while(|line| !line.is_empty()) {
        let _ = writeln!(out, "{indent}// {line}");
    }
}

/// The field's name, with an underscore appended where SystemVerilog reserves it.
pub(crate) fn member_name(name: &str) -> String {
    /// Those reserved words (IEEE 1800-2017 annex B) that may well be a field's name.
    const RESERVED: &[&str] = &[
        "alias",
        "and",
        "assert",
        "assign",
        "before",
        "begin",
        "bind",
        "bit",
        "break",
        "buf",
        "byte",
        "case",
        "cell",
        "checker",
        "class",
        "config",
        "const",
        "context",
        "continue",
        "cover",
        "cross",
        "default",
        "design",
        "disable",
        "do",
        "edge",
        "else",
        "end",
        "enum",
        "event",
        "expect",
        "export",
        "extends",
        "extern",
        "final",
        "first_match",
        "for",
        "force",
        "fork",
        "function",
        "generate",
        "global",
        "highz0",
        "if",
        "iff",
        "implements",
        "implies",
        "import",
        "initial",
        "inout",
        "input",
        "inside",
        "instance",
        "int",
        "integer",
        "interface",
        "join",
        "large",
        "let",
        "library",
        "local",
        "logic",
        "long",
        "matches",
        "medium",
        "module",
        "nand",
        "new",
        "nor",
        "not",
        "null",
        "or",
        "output",
        "package",
        "packed",
        "parameter",
        "primitive",
        "priority",
        "process",
        "program",
        "property",
        "protected",
        "pull0",
        "pure",
        "rand",
        "real",
        "ref",
        "reg",
        "release",
        "repeat",
        "restrict",
        "return",
        "scalared",
        "sequence",
        "shortint",
        "signed",
        "small",
        "soft",
        "solve",
        "static",
        "string",
        "strong",
        "struct",
        "super",
        "supply0",
        "table",
        "tagged",
        "task",
        "this",
        "throughout",
        "time",
        "timeunit",
        "tran",
        "tri",
        "type",
        "typedef",
        "union",
        "unique",
        "unsigned",
        "until",
        "use",
        "var",
        "vectored",
        "virtual",
        "void",
        "wait",
        "wand",
        "weak",
        "while",
        "wildcard",
        "wire",
        "with",
        "within",
        "wor",
        "xnor",
        "xor",
    ];
    if RESERVED.contains(&name) {
        format!("{name}_")
    } else {
        name.to_owned()
    }
}

/// `FlowKey` → `flow_key`, `Tls13` → `tls13`, `VNet` → `v_net`.
pub(crate) fn snake(name: &str) -> String {
    let mut out = String::new();
    for (index, letter) in name.char_indices() {
        if letter.is_uppercase() && index > 0 {
            out.push('_');
        }
        out.extend(letter.to_lowercase());
    }
    out
}
