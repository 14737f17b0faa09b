//! The record of DTLS 1.2 with a connection id (RFC 9146 section 4): the header of DTLS 1.2 with the id in front of the length.

use super::{ContentType, MAX_CID_LEN, MAX_FRAGMENT_LEN_12, RECORD_HEADER_LEN, SEQUENCE_END, Version};
use crate::bytes::{Field, get_array, get_slice, get_u8, get_u16, get_u48, put_slice, put_u8, put_u16, put_u48};
use crate::{Error, Result};

mod field {
    use super::Field;
    pub(super) const TYPE: usize = 0;
    pub(super) const VERSION: Field = 1..3;
    pub(super) const EPOCH: Field = 3..5;
    pub(super) const SEQUENCE: Field = 5..11;
    pub(super) const EPOCH_SEQUENCE: Field = 3..11;
    /// The connection id.
    #[inline]
    pub(super) const fn cid(cid_len: usize) -> Field {
        11..11 + cid_len
    }
    #[inline]
    pub(super) const fn length(cid_len: usize) -> Field {
        11 + cid_len..13 + cid_len
    }
}

/// View of a DTLS 1.2 record with connection id. Content type and padding are inside the protection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DtlsCidRecord<T> {
    buffer: T,
    cid_len: usize,
}

impl<T: AsRef<[u8]>> DtlsCidRecord<T> {
    /// A view without any check, with connection ids of `cid_len` octets, of which at most [`MAX_CID_LEN`] are taken.
    #[inline]
    pub const fn new_unchecked(buffer: T, cid_len: usize) -> Self {
        Self {
            buffer,
            cid_len: if cid_len > MAX_CID_LEN { MAX_CID_LEN } else { cid_len },
        }
    }

    /// A view of a whole record at the front of the buffer, with a connection id of `cid_len` octets; [`Self::rest`] is what follows it.
    ///
    /// # Errors
    /// [`Error::Truncated`] when header or fragment end outside the buffer; [`Error::Malformed`] when the type is not 25, the version
    /// not DTLS 1.2, the length above [`MAX_FRAGMENT_LEN_12`], or `cid_len` above [`MAX_CID_LEN`] or zero: who has negotiated an empty id
    /// must not use this record (RFC 9146 section 3).
    #[inline]
    pub fn new_checked(buffer: T, cid_len: usize) -> Result<Self> {
        if cid_len == 0 || cid_len > MAX_CID_LEN {
            return Err(Error::Malformed);
        }
        let record = Self { buffer, cid_len };
        let data = record.buffer.as_ref();
        if data.len() < record.header_len() {
            return Err(Error::Truncated);
        }
        if record.content_type() != ContentType::TLS12_CID
            || record.version() != Version::DTLS_1_2
            || record.length() > MAX_FRAGMENT_LEN_12
        {
            return Err(Error::Malformed);
        }
        if record.record_len() > data.len() {
            return Err(Error::Truncated);
        }
        Ok(record)
    }

    /// Gives the buffer back.
    #[inline]
    pub fn into_inner(self) -> T {
        self.buffer
    }

    /// The outer content type: 25.
    #[inline]
    pub fn content_type(&self) -> ContentType {
        ContentType(get_u8(self.buffer.as_ref(), field::TYPE))
    }

    /// Protocol version.
    #[inline]
    pub fn version(&self) -> Version {
        Version(get_u16(self.buffer.as_ref(), field::VERSION))
    }

    /// Epoch.
    #[inline]
    pub fn epoch(&self) -> u16 {
        get_u16(self.buffer.as_ref(), field::EPOCH)
    }

    /// Sequence number within the epoch, 48 bits.
    #[inline]
    pub fn sequence(&self) -> u64 {
        get_u48(self.buffer.as_ref(), field::SEQUENCE)
    }

    /// Epoch and sequence number together, as additional data and nonces have them.
    #[inline]
    pub fn epoch_and_sequence(&self) -> u64 {
        u64::from_be_bytes(get_array(self.buffer.as_ref(), field::EPOCH_SEQUENCE))
    }

    /// The connection id.
    #[inline]
    pub fn connection_id(&self) -> &[u8] {
        get_slice(self.buffer.as_ref(), field::cid(self.cid_len))
    }

    /// Octets of the fragment.
    #[inline]
    pub fn length(&self) -> usize {
        usize::from(get_u16(self.buffer.as_ref(), field::length(self.cid_len)))
    }

    /// Octets of the header, connection id included.
    #[inline]
    pub const fn header_len(&self) -> usize {
        RECORD_HEADER_LEN + self.cid_len
    }

    /// Octets of header and fragment.
    #[inline]
    pub fn record_len(&self) -> usize {
        self.header_len() + self.length()
    }

    /// The header.
    #[inline]
    pub fn header(&self) -> &[u8] {
        get_slice(self.buffer.as_ref(), 0..self.header_len())
    }

    /// All after the header, up to the length: with AES-GCM explicit nonce, ciphertext and tag.
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

impl<T: AsRef<[u8]> + AsMut<[u8]>> DtlsCidRecord<T> {
    /// Sets content type 25 and version DTLS 1.2.
    #[inline]
    pub fn set_type_and_version(&mut self) {
        let data = self.buffer.as_mut();
        put_u8(data, field::TYPE, ContentType::TLS12_CID.0);
        put_u16(data, field::VERSION, Version::DTLS_1_2.0);
    }

    /// Sets the epoch.
    #[inline]
    pub fn set_epoch(&mut self, epoch: u16) {
        put_u16(self.buffer.as_mut(), field::EPOCH, epoch);
    }

    /// Sets the sequence number, 48 bits.
    #[inline]
    pub fn set_sequence(&mut self, sequence: u64) {
        put_u48(self.buffer.as_mut(), field::SEQUENCE, sequence);
    }

    /// Sets the connection id, if it has this view's length.
    #[inline]
    pub fn set_connection_id(&mut self, connection_id: &[u8]) {
        put_slice(self.buffer.as_mut(), field::cid(self.cid_len), connection_id);
    }

    /// Sets the octets of the fragment.
    #[inline]
    pub fn set_length(&mut self, length: u16) {
        put_u16(self.buffer.as_mut(), field::length(self.cid_len), length);
    }

    /// Header, and fragment to be opened or sealed in place.
    #[inline]
    pub fn split_mut(&mut self) -> (&mut [u8], &mut [u8]) {
        let (header_len, end) = (self.header_len(), self.record_len());
        let record = self.buffer.as_mut().get_mut(..end).unwrap_or(&mut []);
        record.split_at_mut_checked(header_len).unwrap_or((&mut [], &mut []))
    }
}

/// The header of a DTLS 1.2 record with connection id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DtlsCidRecordRepr<'a> {
    /// Epoch.
    pub epoch: u16,
    /// Sequence number, 48 bits.
    pub sequence: u64,
    /// The receiver's connection id, 1 to [`MAX_CID_LEN`] octets.
    pub connection_id: &'a [u8],
    /// Octets of the fragment.
    pub length: u16,
}

impl<'a> DtlsCidRecordRepr<'a> {
    /// Reads the header.
    ///
    /// # Errors
    /// [`Error::Malformed`] when type or version are not those of this record.
    #[inline]
    pub fn parse<T: AsRef<[u8]>>(record: &'a DtlsCidRecord<T>) -> Result<Self> {
        if record.content_type() != ContentType::TLS12_CID || record.version() != Version::DTLS_1_2 {
            return Err(Error::Malformed);
        }
        Ok(Self {
            epoch: record.epoch(),
            sequence: record.sequence(),
            connection_id: record.connection_id(),
            length: record.length() as u16,
        })
    }

    /// Octets that [`Self::emit`] writes.
    #[inline]
    pub const fn buffer_len(&self) -> usize {
        RECORD_HEADER_LEN + self.connection_id.len()
    }

    /// Writes the header to the front of `buffer`.
    ///
    /// # Errors
    /// [`Error::Truncated`] when `buffer` is shorter than [`Self::buffer_len`]; [`Error::Malformed`] when the sequence number is above
    /// 48 bits (cutting it would use one twice), the length above [`MAX_FRAGMENT_LEN_12`], or the connection id empty or too long.
    #[inline]
    pub fn emit(&self, buffer: &mut [u8]) -> Result<()> {
        let cid_len = self.connection_id.len();
        if self.sequence >= SEQUENCE_END || usize::from(self.length) > MAX_FRAGMENT_LEN_12 {
            return Err(Error::Malformed);
        }
        if cid_len == 0 || cid_len > MAX_CID_LEN {
            return Err(Error::Malformed);
        }
        let header = buffer.get_mut(..self.buffer_len()).ok_or(Error::Truncated)?;
        let mut record = DtlsCidRecord::new_unchecked(header, cid_len);
        record.set_type_and_version();
        record.set_epoch(self.epoch);
        record.set_sequence(self.sequence);
        record.set_connection_id(self.connection_id);
        record.set_length(self.length);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{hex, refuses_every_truncation};

    // The Finished message of an Mbed TLS server to a client whose connection id is c1c1c101.
    const RECORD: &str = "19 fefd 0001 000000000000 c1c1c101 0038 0001000000000000
        a72d18cc9d36855bfdf38febc5b0ec45e98d7f2289fd09a25a5432dfbae55edd637a6a94365d4587ed68eef086ed6f3f";

    #[test]
    fn takes_a_record_apart() {
        let mut octets = hex(RECORD);
        octets.push(0x19);
        let record = DtlsCidRecord::new_checked(&octets, 4).unwrap();
        assert_eq!((record.epoch(), record.sequence(), record.length()), (1, 0, 56));
        assert_eq!(record.epoch_and_sequence(), 1 << 48);
        assert_eq!(record.connection_id(), [0xc1, 0xc1, 0xc1, 0x01]);
        assert_eq!(record.header(), &octets[..17]);
        assert_eq!(record.fragment(), &octets[17..73]);
        assert_eq!(record.rest(), [0x19]);
    }

    #[test]
    fn builds_a_header() {
        let connection_id = [1, 2, 3, 4, 5, 6, 7, 8];
        let repr = DtlsCidRecordRepr {
            epoch: 1,
            sequence: 0xa0b0_c0d0_e0f0,
            connection_id: &connection_id,
            length: 24,
        };
        let mut buffer = [0xff; 21 + 24];
        repr.emit(&mut buffer).unwrap();
        assert_eq!(buffer[..21], hex("19 fefd 0001 a0b0c0d0e0f0 0102030405060708 0018"));
        let record = DtlsCidRecord::new_checked(&buffer[..], 8).unwrap();
        assert_eq!(DtlsCidRecordRepr::parse(&record), Ok(repr));
        assert_eq!(repr.emit(&mut buffer[..20]), Err(Error::Truncated));
        for wrong in [
            DtlsCidRecordRepr {
                sequence: SEQUENCE_END,
                ..repr
            },
            DtlsCidRecordRepr { length: 18433, ..repr },
            DtlsCidRecordRepr {
                connection_id: &[],
                ..repr
            },
            DtlsCidRecordRepr {
                connection_id: &[0; 21],
                ..repr
            },
        ] {
            assert_eq!(wrong.emit(&mut buffer), Err(Error::Malformed), "{wrong:?}");
        }
        DtlsCidRecordRepr {
            connection_id: &[7; 20],
            ..repr
        }
        .emit(&mut buffer)
        .unwrap();
    }

    #[test]
    fn splits_for_opening_in_place() {
        let mut octets = hex(RECORD);
        let mut record = DtlsCidRecord::new_checked(&mut octets[..], 4).unwrap();
        let (header, fragment) = record.split_mut();
        assert_eq!((header.len(), fragment.len()), (17, 56));
        fragment[0] ^= 0xff;
        assert_eq!(octets[17], 0xff);
    }

    #[test]
    fn refuses_truncations_and_what_is_no_such_record() {
        refuses_every_truncation(&hex(RECORD), |data| DtlsCidRecord::new_checked(data, 4).is_ok());
        for cid_len in [0, 21, usize::MAX] {
            assert_eq!(
                DtlsCidRecord::new_checked(&hex(RECORD)[..], cid_len),
                Err(Error::Malformed),
                "{cid_len}"
            );
        }
        for (at, value) in [(0, 23), (1, 0x03), (2, 0xff)] {
            let mut octets = hex(RECORD);
            octets[at] = value;
            assert_eq!(
                DtlsCidRecord::new_checked(&octets, 4),
                Err(Error::Malformed),
                "octet {at} = {value}"
            );
        }
        let mut octets = hex(RECORD);
        octets[15..17].copy_from_slice(&18433u16.to_be_bytes());
        octets.resize(17 + 18433, 0);
        assert_eq!(DtlsCidRecord::new_checked(&octets, 4), Err(Error::Malformed));
    }
}
