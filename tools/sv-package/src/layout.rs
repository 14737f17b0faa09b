//! Reads the emitted package back, by the rules of the language and not by the emitter's: the last member of a packed
//! structure starts at bit 0.

use std::ops::Range;

/// A packed structure as SystemVerilog lays it out.
#[derive(Debug, PartialEq)]
struct Layout {
    name: String,
    /// Bits that the whole structure takes.
    bits: usize,
    members: Vec<Member>,
}

/// A member: its bits in the structure's vector and the width of one element.
#[derive(Debug, PartialEq)]
struct Member {
    name: String,
    bits: Range<usize>,
    element_bits: usize,
}

/// The packed structures of a package.
fn parse(text: &str) -> Vec<Layout> {
    let text: String = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default().trim())
        .collect::<Vec<_>>()
        .join(" ");
    let structures = text.split("typedef struct packed {").skip(1);
    structures
        .map(|rest| {
            let (body, after) = rest.split_once('}').expect("a closing brace");
            let (name, _) = after.split_once(';').expect("a type's name");
            let mut declared: Vec<(String, usize, usize)> = Vec::new();
            for declaration in body
                .split(';')
                .map(str::trim)
                .filter(|declaration| !declaration.is_empty())
            {
                let (kind, name) = declaration.rsplit_once(' ').expect("a type and a name");
                let dimensions: Vec<usize> = kind
                    .strip_prefix("logic ")
                    .expect("only logic is understood")
                    .split_terminator(']')
                    .map(|range| {
                        let high = range
                            .strip_prefix('[')
                            .and_then(|r| r.strip_suffix(":0"))
                            .expect("a range down to 0");
                        high.parse::<usize>().expect("a number") + 1
                    })
                    .collect();
                declared.push((
                    name.to_owned(),
                    dimensions.iter().product(),
                    *dimensions.last().expect("a dimension"),
                ));
            }
            let mut low = 0;
            let mut members = Vec::new();
            for (name, bits, element_bits) in declared.into_iter().rev() {
                members.push(Member {
                    name,
                    bits: low..low + bits,
                    element_bits,
                });
                low += bits;
            }
            Layout {
                name: name.trim().to_owned(),
                bits: low,
                members,
            }
        })
        .collect()
}

mod tests {
    use super::*;
    use crate::emit::{Enumeration, enumerations, member_name, package, snake};
    use sealnic_abi::fields::{FieldInfo, STRUCTS, StructInfo};

    /// A single one walks through every bit of every structure: the member that SystemVerilog finds it in, and the place in
    /// that member, are the field and the place that a little-endian host finds it in.
    #[test]
    fn a_walking_one_is_found_in_the_same_field_on_both_sides() {
        let layouts = parse(&package(STRUCTS, &[]));
        assert_eq!(layouts.len(), STRUCTS.len());
        let mut walked = 0;
        for (layout, info) in layouts.iter().zip(STRUCTS) {
            assert_eq!(layout.name, format!("{}_t", snake(info.name)));
            assert_eq!(layout.bits, 8 * info.size, "{}", info.name);
            for bit in 0..8 * info.size {
                let member = layout.members.iter().find(|member| member.bits.contains(&bit)).unwrap();
                let in_member = bit - member.bits.start;
                let in_sv = (in_member / member.element_bits, in_member % member.element_bits);

                let octet = bit / 8;
                let field = info
                    .fields
                    .iter()
                    .find(|f| (f.offset..f.offset + f.size).contains(&octet))
                    .unwrap();
                let element_len = field.size / field.count;
                let in_field = octet - field.offset;
                let in_rust = (in_field / element_len, 8 * (in_field % element_len) + bit % 8);

                assert_eq!(member.name, member_name(field.name), "{} bit {bit}", info.name);
                assert_eq!(in_sv, in_rust, "{}.{} bit {bit}", info.name, field.name);
                walked += 1;
            }
        }
        assert_eq!(walked, STRUCTS.iter().map(|info| 8 * info.size).sum::<usize>());
    }

    /// Written by hand, so that the emitter and the parser cannot be wrong together.
    #[test]
    fn a_small_structure_is_laid_out_as_written_by_hand() {
        const FIELDS: &[FieldInfo] = &[
            FieldInfo {
                name: "first",
                doc: " In memory first.\n",
                offset: 0,
                size: 1,
                count: 1,
            },
            FieldInfo {
                name: "type",
                doc: "",
                offset: 1,
                size: 6,
                count: 3,
            },
            FieldInfo {
                name: "last",
                doc: " Line.\n\n More.\n",
                offset: 7,
                size: 1,
                count: 1,
            },
        ];
        let text = package(
            &[StructInfo {
                name: "SmallThing",
                doc: " Doc.\n",
                size: 8,
                fields: FIELDS,
            }],
            &[],
        );
        let body = text.split_once("package sealnic_abi_pkg;\n").unwrap().1;
        assert_eq!(
            body,
            "
    // Doc.
    localparam int unsigned SMALL_THING_LEN = 8;
    typedef struct packed {
        // Line.
        logic [7:0] last;
        logic [2:0][15:0] type_;
        // In memory first.
        logic [7:0] first;
    } small_thing_t;

endpackage
"
        );
        let layouts = parse(&text);
        let members: Vec<(&str, Range<usize>)> = layouts[0]
            .members
            .iter()
            .map(|member| (member.name.as_str(), member.bits.clone()))
            .collect();
        assert_eq!(members, [("first", 0..8), ("type_", 8..56), ("last", 56..64)]);
    }

    #[test]
    fn enumeration_labels_and_member_names_are_unique() {
        let text = package(STRUCTS, &enumerations());
        let mut labels: Vec<&str> = text
            .lines()
            .filter(|line| line.contains("'d"))
            .map(|line| line.split_whitespace().next().unwrap())
            .collect();
        let count = labels.len();
        assert_eq!(count, enumerations().iter().map(Enumeration::len).sum::<usize>());
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), count, "a label stands twice");
        for info in STRUCTS {
            let mut names: Vec<String> = info.fields.iter().map(|field| member_name(field.name)).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), info.fields.len(), "{}", info.name);
        }
    }
}
