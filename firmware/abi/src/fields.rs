//! The field-table macros: a structure is declared once and yields its `#[repr(C)]` type, its asserted size and a table
//! of its fields, from which `xtask regs` emits the SystemVerilog package.
//!
//! All integers are little-endian in memory, as on every host this device is attached to; a big-endian target is
//! refused at compile time rather than byte-swapped in a hundred places.

#[cfg(target_endian = "big")]
compile_error!("SealNIC's shared structures are little-endian in memory");

/// One field of a shared structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldInfo {
    /// Name as declared.
    pub name: &'static str,
    /// First paragraph of its documentation.
    pub doc: &'static str,
    /// Offset from the start of the structure, in octets.
    pub offset: usize,
    /// Size, in octets.
    pub size: usize,
    /// Number of array elements; 1 for a scalar.
    pub count: usize,
}

/// One shared structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StructInfo {
    /// Name of the Rust type.
    pub name: &'static str,
    /// Its documentation.
    pub doc: &'static str,
    /// Size, in octets.
    pub size: usize,
    /// Fields in memory order, without gaps.
    pub fields: &'static [FieldInfo],
}

/// A type that can be a field: how many elements it has.
pub trait FieldType {
    /// Number of array elements; 1 for a scalar.
    const COUNT: usize = 1;
}

impl FieldType for u8 {}
impl FieldType for u16 {}
impl FieldType for u32 {}
impl FieldType for u64 {}
impl<T, const N: usize> FieldType for [T; N] {
    const COUNT: usize = N;
}

/// Declares a structure that device and host (or firmware and RTL) share.
macro_rules! abi_struct {
    (
        $(#[doc = $sdoc:literal])*
        pub struct $name:ident: $size:literal {
            $( $(#[doc = $fdoc:literal])* $field:ident: $ty:ty, )*
        }
    ) => {
        $(#[doc = $sdoc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)]
        #[repr(C)]
        pub struct $name { $( $(#[doc = $fdoc])* pub $field: $ty, )* }

        impl $name {
            /// All octets zero.
            pub const ZERO: Self = zerocopy::transmute!([0u8; $size]);
            /// Layout, for generators and tests.
            pub const INFO: $crate::fields::StructInfo = $crate::fields::StructInfo {
                name: stringify!($name),
                doc: concat!($($sdoc, "\n"),*),
                size: $size,
                fields: &[ $( $crate::fields::FieldInfo {
                    name: stringify!($field),
                    doc: concat!($($fdoc, "\n"),*),
                    offset: core::mem::offset_of!($name, $field),
                    size: size_of::<$ty>(),
                    count: <$ty as $crate::fields::FieldType>::COUNT,
                }, )* ],
            };
        }

        const _: () = assert!(size_of::<$name>() == $size);

        impl Default for $name {
            fn default() -> Self { Self::ZERO }
        }
    };
}

/// Declares a structure that carries key material: like `abi_struct!`, without `Debug`, `Clone` or comparison.
macro_rules! abi_secret_struct {
    (
        $(#[doc = $sdoc:literal])*
        pub struct $name:ident: $size:literal {
            $( $(#[doc = $fdoc:literal])* $field:ident: $ty:ty, )*
        }
    ) => {
        $(#[doc = $sdoc])*
        #[derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout)]
        #[repr(C)]
        pub struct $name { $( $(#[doc = $fdoc])* pub $field: $ty, )* }

        impl $name {
            /// Layout, for generators and tests.
            pub const INFO: $crate::fields::StructInfo = $crate::fields::StructInfo {
                name: stringify!($name),
                doc: concat!($($sdoc, "\n"),*),
                size: $size,
                fields: &[ $( $crate::fields::FieldInfo {
                    name: stringify!($field),
                    doc: concat!($($fdoc, "\n"),*),
                    offset: core::mem::offset_of!($name, $field),
                    size: size_of::<$ty>(),
                    count: <$ty as $crate::fields::FieldType>::COUNT,
                }, )* ],
            };
        }

        const _: () = assert!(size_of::<$name>() == $size);
    };
}

/// Declares an enumeration whose values cross the boundary: checked conversion, list of all, stable names.
macro_rules! abi_enum {
    (
        $(#[$meta:meta])*
        pub enum $name:ident: $repr:ident {
            $( $(#[doc = $vdoc:literal])* $variant:ident = $value:literal, )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr($repr)]
        pub enum $name { $( $(#[doc = $vdoc])* $variant = $value, )* }

        impl $name {
            /// Every value, in order of declaration.
            pub const ALL: &'static [Self] = &[ $( Self::$variant, )* ];
            /// The value's name as declared.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $( Self::$variant => stringify!($variant), )* }
            }
        }

        impl TryFrom<$repr> for $name {
            type Error = $crate::UnknownValue;
            #[inline]
            fn try_from(value: $repr) -> Result<Self, Self::Error> {
                match value { $( $value => Ok(Self::$variant), )* _ => Err($crate::UnknownValue) }
            }
        }

        impl From<$name> for $repr {
            #[inline]
            fn from(value: $name) -> Self { value as $repr }
        }
    };
}

pub(crate) use {abi_enum, abi_secret_struct, abi_struct};

/// Every structure that crosses the boundary between host and device, or between firmware and RTL.
pub const STRUCTS: &[StructInfo] = &[
    crate::flow::FlowKey::INFO,
    crate::flow::FlowAction::INFO,
    crate::flow::FlowCounters::INFO,
    crate::flow::FlowBucket::INFO,
    crate::event::Event::INFO,
    crate::event::HostFrame::INFO,
    crate::mailbox::MessageHeader::INFO,
    crate::ring::CommandDescriptor::INFO,
    crate::ring::FrameDescriptor::INFO,
    crate::ring::Completion::INFO,
    crate::ring::EventEntry::INFO,
    crate::object::Address::INFO,
    crate::object::Vnet::INFO,
    crate::object::Port::INFO,
    crate::object::PortAddress::INFO,
    crate::object::Mapping::INFO,
    crate::object::Association::INFO,
    crate::object::SaInstall::INFO,
    crate::object::SaState::INFO,
    crate::object::Exclusion::INFO,
    crate::object::DeviceConfig::INFO,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_contiguous_and_fill_their_structure() {
        for info in STRUCTS {
            let mut next = 0;
            for field in info.fields {
                assert_eq!(field.offset, next, "{}.{}", info.name, field.name);
                assert_eq!(field.size % field.count, 0, "{}.{}", info.name, field.name);
                next += field.size;
            }
            assert_eq!(next, info.size, "{}", info.name);
        }
    }
}
