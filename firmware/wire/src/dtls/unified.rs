//! The protected record of DTLS 1.3 with its unified header (RFC 9147 section 4).
//!
//! The first octet, `0 0 1 C S L E E`, says what follows: a connection id, a record number of 8 or 16 bits, a length. The epoch is
//! cut to two bits, and the record number is encrypted: this view shows it as it stands in the buffer.

use super::{MAX_CID_LEN, MAX_FRAGMENT_LEN_13};
use crate::bytes::{Field, get_slice, get_slice_mut, get_u8, get_u16, put_slice, put_u8, put_u16};
use crate::{Error, Result};

const FIXED_BITS: u8 = 0b0010_0000;
const FIXED_MASK: u8 = 0b1110_0000;
const FLAG_CID: u8 = 0b0001_0000;
const FLAG_SEQUENCE_16: u8 = 0b0000_1000;
const FLAG_LENGTH: u8 = 0b0000_0100;
const EPOCH_MASK: u8 = 0b0000_0011;

/// Octets of the first field.
const FLAGS_LEN: usize = 1;

/// The low bits of a record number, as many as are on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecordNumberBits {
    /// 8 bits.
    Eight(u8),
    /// 16 bits.
    Sixteen(u16),
}

impl RecordNumberBits {
    /// How many: 8 or 16.
    #[inline]
    pub const fn bits(self) -> u32 {
        match self {
            Self::Eight(_) => 8,
            Self::Sixteen(_) => 16,
        }
    }

    /// The number that they make.
    #[inline]
    pub const fn value(self) -> u16 {
        match self {
            Self::Eight(value) => value as u16,
            Self::Sixteen(value) => value,
        }
    }

    const fn len(self) -> usize {
        match self {
            Self::Eight(_) => 1,
            Self::Sixteen(_) => 2,
        }
    }
}

/// View of a protected DTLS 1.3 record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DtlsUnified<T> {
    buffer: T,
    cid_len: usize,
}

impl<T: AsRef<[u8]>> DtlsUnified<T> {
    /// A view without any check, with connection ids of `cid_len` octets, of which at most [`MAX_CID_LEN`] are taken.
    #[inline]
    pub const fn new_unchecked(buffer: T, cid_len: usize) -> Self {
        Self {
            buffer,
            cid_len: if cid_len > MAX_CID_LEN { MAX_CID_LEN } else { cid_len },
        }
    }

    /// A view of a whole record at the front of the buffer; a connection id in it has `cid_len` octets. Without a length field the
    /// record fills the buffer; otherwise [`Self::rest`] is what follows it.
    ///
    /// # Errors
    /// [`Error::Truncated`] when header or fragment end outside the buffer; [`Error::Malformed`] when the first bits are not 001, the
    /// fragment is longer than [`MAX_FRAGMENT_LEN_13`], `cid_len` is above [`MAX_CID_LEN`], or there is a connection id but `cid_len` is zero.
    #[inline]
    pub fn new_checked(buffer: T, cid_len: usize) -> Result<Self> {
        if cid_len > MAX_CID_LEN {
            return Err(Error::Malformed);
        }
        let record = Self { buffer, cid_len };
        let data = record.buffer.as_ref();
        if data.is_empty() {
            return Err(Error::Truncated);
        }
        if record.flags() & FIXED_MASK != FIXED_BITS || (record.has_connection_id() && cid_len == 0) {
            return Err(Error::Malformed);
        }
        let header_len = record.header_len();
        if data.len() < header_len {
            return Err(Error::Truncated);
        }
        let length = record.length().map_or(data.len() - header_len, usize::from);
        if length > MAX_FRAGMENT_LEN_13 {
            return Err(Error::Malformed);
        }
        if header_len + length > data.len() {
            return Err(Error::Truncated);
        }
        Ok(record)
    }

    /// Gives the buffer back.
    #[inline]
    pub fn into_inner(self) -> T {
        self.buffer
    }

    #[inline]
    fn flags(&self) -> u8 {
        get_u8(self.buffer.as_ref(), 0)
    }

    /// A connection id follows the first octet.
    #[inline]
    pub fn has_connection_id(&self) -> bool {
        self.flags() & FLAG_CID != 0
    }

    /// The low two bits of the epoch.
    #[inline]
    pub fn epoch_bits(&self) -> u8 {
        self.flags() & EPOCH_MASK
    }

    /// Octets of the connection id that is there: zero when there is none.
    #[inline]
    fn cid_len_present(&self) -> usize {
        if self.has_connection_id() { self.cid_len } else { 0 }
    }

    #[inline]
    fn cid_field(&self) -> Field {
        FLAGS_LEN..FLAGS_LEN + self.cid_len_present()
    }

    #[inline]
    fn sequence_field(&self) -> Field {
        let start = self.cid_field().end;
        start..start + if self.flags() & FLAG_SEQUENCE_16 != 0 { 2 } else { 1 }
    }

    #[inline]
    fn length_field(&self) -> Field {
        let start = self.sequence_field().end;
        start..start + if self.flags() & FLAG_LENGTH != 0 { 2 } else { 0 }
    }

    /// The connection id, if there is one.
    #[inline]
    pub fn connection_id(&self) -> Option<&[u8]> {
        self.has_connection_id()
            .then(|| get_slice(self.buffer.as_ref(), self.cid_field()))
    }

    /// The record number's bits as they stand in the buffer: encrypted until somebody uncovers them in [`Self::record_number_mut`].
    #[inline]
    pub fn record_number(&self) -> RecordNumberBits {
        let (data, field) = (self.buffer.as_ref(), self.sequence_field());
        if field.len() == 2 {
            RecordNumberBits::Sixteen(get_u16(data, field))
        } else {
            RecordNumberBits::Eight(get_u8(data, field.start))
        }
    }

    /// The length field, if there is one: octets of the fragment.
    #[inline]
    pub fn length(&self) -> Option<u16> {
        let field = self.length_field();
        (!field.is_empty()).then(|| get_u16(self.buffer.as_ref(), field))
    }

    /// Octets of the header.
    #[inline]
    pub fn header_len(&self) -> usize {
        self.length_field().end
    }

    /// Octets of header and fragment.
    #[inline]
    pub fn record_len(&self) -> usize {
        match self.length() {
            Some(length) => self.header_len() + usize::from(length),
            None => self.buffer.as_ref().len(),
        }
    }

    /// The header; with the record number uncovered it is the additional data (RFC 9147 section 4).
    #[inline]
    pub fn header(&self) -> &[u8] {
        get_slice(self.buffer.as_ref(), 0..self.header_len())
    }

    /// Ciphertext and tag.
    #[inline]
    pub fn fragment(&self) -> &[u8] {
        get_slice(self.buffer.as_ref(), self.header_len()..self.record_len())
    }

    /// What follows the record in its datagram.
    #[inline]
    pub fn rest(&self) -> &[u8] {
        let data = self.buffer.as_ref();
        get_slice(data, self.record_len()..data.len())
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> DtlsUnified<T> {
    /// The record number's one or two octets, for record number encryption in place (RFC 9147 section 4.2.3).
    #[inline]
    pub fn record_number_mut(&mut self) -> &mut [u8] {
        let field = self.sequence_field();
        get_slice_mut(self.buffer.as_mut(), field)
    }

    /// Header, and fragment to be opened or sealed in place.
    #[inline]
    pub fn split_mut(&mut self) -> (&mut [u8], &mut [u8]) {
        let (header_len, end) = (self.header_len(), self.record_len());
        let record = self.buffer.as_mut().get_mut(..end).unwrap_or(&mut []);
        record.split_at_mut_checked(header_len).unwrap_or((&mut [], &mut []))
    }
}

/// The unified header of a DTLS 1.3 record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DtlsUnifiedRepr<'a> {
    /// The receiver's connection id, 1 to [`MAX_CID_LEN`] octets, if one was negotiated.
    pub connection_id: Option<&'a [u8]>,
    /// The low two bits of the epoch.
    pub epoch_bits: u8,
    /// The low bits of the record number, in the state (plain or encrypted) in which they are written.
    pub record_number: RecordNumberBits,
    /// Octets of the fragment; without it the record fills its datagram.
    pub length: Option<u16>,
}

impl<'a> DtlsUnifiedRepr<'a> {
    /// Reads the header.
    ///
    /// # Errors
    /// [`Error::Malformed`] when the first bits are not 001.
    #[inline]
    pub fn parse<T: AsRef<[u8]>>(record: &'a DtlsUnified<T>) -> Result<Self> {
        if record.flags() & FIXED_MASK != FIXED_BITS {
            return Err(Error::Malformed);
        }
        Ok(Self {
            connection_id: record.connection_id(),
            epoch_bits: record.epoch_bits(),
            record_number: record.record_number(),
            length: record.length(),
        })
    }

    /// Octets that [`Self::emit`] writes.
    #[inline]
    pub const fn buffer_len(&self) -> usize {
        let cid_len = match self.connection_id {
            Some(connection_id) => connection_id.len(),
            None => 0,
        };
        let length_len = if self.length.is_some() { 2 } else { 0 };
        FLAGS_LEN + cid_len + self.record_number.len() + length_len
    }

    /// Writes the header to the front of `buffer`.
    ///
    /// # Errors
    /// [`Error::Truncated`] when `buffer` is shorter than [`Self::buffer_len`]; [`Error::Malformed`] when the connection id is empty or
    /// too long, the epoch has more than two bits, or the length is above [`MAX_FRAGMENT_LEN_13`].
    #[inline]
    pub fn emit(&self, buffer: &mut [u8]) -> Result<()> {
        if self.epoch_bits & !EPOCH_MASK != 0 {
            return Err(Error::Malformed);
        }
        let mut flags = FIXED_BITS | self.epoch_bits;
        let header = buffer.get_mut(..self.buffer_len()).ok_or(Error::Truncated)?;
        let mut at = FLAGS_LEN;
        if let Some(connection_id) = self.connection_id {
            if connection_id.is_empty() || connection_id.len() > MAX_CID_LEN {
                return Err(Error::Malformed);
            }
            flags |= FLAG_CID;
            put_slice(header, at..at + connection_id.len(), connection_id);
            at += connection_id.len();
        }
        match self.record_number {
            RecordNumberBits::Eight(number) => put_u8(header, at, number),
            RecordNumberBits::Sixteen(number) => {
                flags |= FLAG_SEQUENCE_16;
                put_u16(header, at..at + 2, number);
            }
        }
        at += self.record_number.len();
        if let Some(length) = self.length {
            if usize::from(length) > MAX_FRAGMENT_LEN_13 {
                return Err(Error::Malformed);
            }
            flags |= FLAG_LENGTH;
            put_u16(header, at..at + 2, length);
        }
        put_u8(header, 0, flags);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{hex, refuses_every_truncation};

    // Acknowledgements of a BoringSSL server, and of a wolfSSL server to a client whose connection id is c1c1c101.
    const RECORD: &str = "2f 58b8 0023 7ec9b18b82a21d671590fff0e2194b907f1f917a05fc00332b09a3a87093efc61db152";
    const WITH_CID: &str =
        "3f c1c1c101 2ad6 0023 fb03012fa43793ab7ab682ac66ed39799a9619399500c72d059954f87cd5f38c86c8e1";

    #[test]
    fn takes_a_record_apart() {
        let mut octets = hex(RECORD);
        octets.push(0x2f);
        let record = DtlsUnified::new_checked(&octets, 8).unwrap();
        assert_eq!((record.epoch_bits(), record.length()), (3, Some(35)));
        assert_eq!(record.record_number(), RecordNumberBits::Sixteen(0x58b8));
        assert_eq!(record.connection_id(), None);
        assert_eq!(record.header(), &octets[..5]);
        assert_eq!(record.fragment(), &octets[5..40]);
        assert_eq!(record.rest(), [0x2f]);
    }

    #[test]
    fn takes_a_record_with_connection_id_apart() {
        let octets = hex(WITH_CID);
        let record = DtlsUnified::new_checked(&octets, 4).unwrap();
        assert_eq!(record.connection_id(), Some(&[0xc1, 0xc1, 0xc1, 0x01][..]));
        assert_eq!(record.record_number(), RecordNumberBits::Sixteen(0x2ad6));
        assert_eq!((record.header_len(), record.record_len()), (9, 44));
        assert_eq!(record.fragment().len(), 35);
    }

    #[test]
    fn without_a_length_the_record_fills_the_datagram() {
        let octets = hex("21 07 0102030405");
        let record = DtlsUnified::new_checked(&octets, 8).unwrap();
        assert_eq!(
            (record.epoch_bits(), record.length(), record.record_len()),
            (1, None, 7)
        );
        assert_eq!(record.record_number(), RecordNumberBits::Eight(7));
        assert_eq!(record.header(), &octets[..2]);
        assert_eq!(record.fragment(), &octets[2..]);
        assert!(record.rest().is_empty());
    }

    #[test]
    fn builds_every_form_of_the_header() {
        let cid = [0xaa, 0xbb];
        let mut seen = std::vec::Vec::new();
        for connection_id in [None, Some(&cid[..])] {
            for record_number in [RecordNumberBits::Eight(9), RecordNumberBits::Sixteen(0x0908)] {
                for length in [None, Some(3)] {
                    for epoch_bits in 0..4 {
                        let repr = DtlsUnifiedRepr {
                            connection_id,
                            epoch_bits,
                            record_number,
                            length,
                        };
                        let mut buffer = [0xff; 10];
                        repr.emit(&mut buffer).unwrap();
                        let whole = repr.buffer_len() + 3;
                        let record = DtlsUnified::new_checked(&buffer[..whole], 2).unwrap();
                        assert_eq!(DtlsUnifiedRepr::parse(&record), Ok(repr));
                        assert_eq!(record.fragment(), [0xff; 3]);
                        assert_eq!(repr.emit(&mut buffer[..repr.buffer_len() - 1]), Err(Error::Truncated));
                        seen.push(buffer[0]);
                    }
                }
            }
        }
        seen.sort_unstable();
        assert!(seen.iter().copied().eq(32..64));
    }

    #[test]
    fn builds_the_headers_that_libraries_sent() {
        let repr = DtlsUnifiedRepr {
            connection_id: Some(&[0xc1, 0xc1, 0xc1, 0x01]),
            epoch_bits: 3,
            record_number: RecordNumberBits::Sixteen(0x2ad6),
            length: Some(35),
        };
        let mut buffer = [0; 9];
        repr.emit(&mut buffer).unwrap();
        assert_eq!(buffer[..], hex(WITH_CID)[..9]);
        let repr = DtlsUnifiedRepr {
            connection_id: None,
            record_number: RecordNumberBits::Sixteen(0x58b8),
            ..repr
        };
        repr.emit(&mut buffer).unwrap();
        assert_eq!(buffer[..5], hex(RECORD)[..5]);
        assert_eq!((repr.record_number.bits(), repr.record_number.value()), (16, 0x58b8));
        assert_eq!(
            (RecordNumberBits::Eight(5).bits(), RecordNumberBits::Eight(5).value()),
            (8, 5)
        );
        for wrong in [
            DtlsUnifiedRepr { epoch_bits: 4, ..repr },
            DtlsUnifiedRepr {
                length: Some(16641),
                ..repr
            },
            DtlsUnifiedRepr {
                connection_id: Some(&[]),
                ..repr
            },
            DtlsUnifiedRepr {
                connection_id: Some(&[0; 21]),
                ..repr
            },
        ] {
            assert_eq!(wrong.emit(&mut [0; 40]), Err(Error::Malformed), "{wrong:?}");
        }
    }

    #[test]
    fn uncovers_the_record_number_in_place() {
        // BoringSSL's record has number 0; the mask is what its key yields.
        let mut octets = hex(RECORD);
        let mut record = DtlsUnified::new_checked(&mut octets[..], 0).unwrap();
        for (octet, mask) in record.record_number_mut().iter_mut().zip([0x58, 0xb8]) {
            *octet ^= mask;
        }
        let (header, fragment) = record.split_mut();
        assert_eq!(header, hex("2f00000023"), "the additional data that the library used");
        assert_eq!(fragment.len(), 35);
        let mut short = hex("21 07 00");
        assert_eq!(DtlsUnified::new_unchecked(&mut short[..], 0).record_number_mut(), [7]);
    }

    #[test]
    fn refuses_truncations_and_what_is_no_such_record() {
        refuses_every_truncation(&hex(RECORD), |data| DtlsUnified::new_checked(data, 4).is_ok());
        refuses_every_truncation(&hex(WITH_CID), |data| DtlsUnified::new_checked(data, 4).is_ok());
        refuses_every_truncation(&hex("31 aabbccdd 07"), |data| DtlsUnified::new_checked(data, 4).is_ok());
        assert_eq!(DtlsUnified::new_checked(hex(WITH_CID), 0), Err(Error::Malformed));
        assert_eq!(DtlsUnified::new_checked(hex(WITH_CID), 21), Err(Error::Malformed));
        for first in [0x1f, 0x40, 0x17, 0xff] {
            let mut octets = hex(RECORD);
            octets[0] = first;
            assert_eq!(
                DtlsUnified::new_checked(&octets, 4),
                Err(Error::Malformed),
                "{first:#x}"
            );
        }
        for first in [0x20, 0x24] {
            let mut octets = std::vec![first, 0, 0x41, 0x01];
            octets.resize(5 + 16641, 0);
            assert_eq!(
                DtlsUnified::new_checked(&octets, 0),
                Err(Error::Malformed),
                "{first:#x}"
            );
        }
    }
}
