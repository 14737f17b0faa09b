//! Total reads and writes of big-endian fields: what lies outside the buffer reads as zero and is not written, so no accessor can panic.
//!
//! After an inlined length check the compiler removes these bounds checks, so totality costs the data path nothing.

use core::ops::Range;

/// Where a field lies in its header, in octets.
pub(crate) type Field = Range<usize>;

#[inline]
pub(crate) fn get_u8(data: &[u8], at: usize) -> u8 {
    data.get(at).copied().unwrap_or(0)
}

#[inline]
pub(crate) fn get_array<const N: usize>(data: &[u8], field: Field) -> [u8; N] {
    data.get(field)
        .and_then(|octets| octets.try_into().ok())
        .unwrap_or([0; N])
}

#[inline]
pub(crate) fn get_u16(data: &[u8], field: Field) -> u16 {
    u16::from_be_bytes(get_array(data, field))
}

#[inline]
pub(crate) fn get_u32(data: &[u8], field: Field) -> u32 {
    u32::from_be_bytes(get_array(data, field))
}

#[inline]
pub(crate) fn get_u24(data: &[u8], field: Field) -> u32 {
    let [a, b, c] = get_array(data, field);
    u32::from_be_bytes([0, a, b, c])
}

#[inline]
pub(crate) fn get_u48(data: &[u8], field: Field) -> u64 {
    let [a, b, c, d, e, f] = get_array(data, field);
    u64::from_be_bytes([0, 0, a, b, c, d, e, f])
}

/// `data[from..to]`, or nothing where the range is not inside `data`.
#[inline]
pub(crate) fn get_slice(data: &[u8], field: Field) -> &[u8] {
    data.get(field).unwrap_or(&[])
}

/// `data[from..to]`, or nothing where the range is not inside `data`.
#[inline]
pub(crate) fn get_slice_mut(data: &mut [u8], field: Field) -> &mut [u8] {
    data.get_mut(field).unwrap_or(&mut [])
}

#[inline]
pub(crate) fn put_u8(data: &mut [u8], at: usize, value: u8) {
    if let Some(octet) = data.get_mut(at) {
        *octet = value;
    }
}

/// Writes `value` if the field is inside `data` and exactly as long as `value`.
#[inline]
pub(crate) fn put_slice(data: &mut [u8], field: Field, value: &[u8]) {
    if let Some(octets) = data.get_mut(field)
        && octets.len() == value.len()
    {
        octets.copy_from_slice(value);
    }
}

#[inline]
pub(crate) fn put_u16(data: &mut [u8], field: Field, value: u16) {
    put_slice(data, field, &value.to_be_bytes());
}

#[inline]
pub(crate) fn put_u32(data: &mut [u8], field: Field, value: u32) {
    put_slice(data, field, &value.to_be_bytes());
}

/// Writes the low 24 bits of `value`.
#[inline]
pub(crate) fn put_u24(data: &mut [u8], field: Field, value: u32) {
    let [_, a, b, c] = value.to_be_bytes();
    put_slice(data, field, &[a, b, c]);
}

/// Writes the low 48 bits of `value`.
#[inline]
pub(crate) fn put_u48(data: &mut [u8], field: Field, value: u64) {
    let [_, _, a, b, c, d, e, f] = value.to_be_bytes();
    put_slice(data, field, &[a, b, c, d, e, f]);
}
