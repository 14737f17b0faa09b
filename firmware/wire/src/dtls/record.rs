//! The record of DTLS 1.2 without connection id (RFC 6347 section 4.1).

use super::{ContentType, MAX_FRAGMENT_LEN_12, RECORD_HEADER_LEN, RecordKind, SEQUENCE_END, Version, classify};
use crate::bytes::{Field, get_array, get_slice, get_u8, get_u16, get_u48, put_u8, put_u16, put_u48};
use crate::{Error, Result};

mod field {
    use super::Field;
    pub(super) const TYPE: usize = 0;
    pub(super) const VERSION: Field = 1..3;
    pub(super) const EPOCH: Field = 3..5;
    pub(super) const SEQUENCE: Field = 5..11;
    pub(super) const EPOCH_SEQUENCE: Field = 3..11;
    pub(super) const LENGTH: Field = 11..13;
}

/// View of a DTLS 1.2 record, or of a plaintext record of DTLS 1.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DtlsRecord<T> {
    buffer: T,
}

impl<T: AsRef<[u8]>> DtlsRecord<T> {
    /// A view without any check.
    #[inline]
    pub const fn new_unchecked(buffer: T) -> Self {
        Self { buffer }
    }

    /// A view of a whole record at the front of the buffer; [`Self::rest`] is what follows it.
    ///
    /// # Errors
    /// [`Error::Truncated`] when header or fragment end outside the buffer; [`Error::Malformed`] when the type has not this header,
    /// the version is none of DTLS, or the length is above [`MAX_FRAGMENT_LEN_12`].
    #[inline]
    pub fn new_checked(buffer: T) -> Result<Self> {
        let record = Self { buffer };
        let data = record.buffer.as_ref();
        if data.len() < RECORD_HEADER_LEN {
            return Err(Error::Truncated);
        }
        let known = matches!(
            classify(record.content_type().0),
            RecordKind::Plaintext(_) | RecordKind::ApplicationData
        );
        if !known || !record.version().is_dtls() || record.length() > MAX_FRAGMENT_LEN_12 {
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

    /// What the record contains.
    #[inline]
    pub fn content_type(&self) -> ContentType {
        ContentType(get_u8(self.buffer.as_ref(), field::TYPE))
    }

    /// Protocol version.
    #[inline]
    pub fn version(&self) -> Version {
        Version(get_u16(self.buffer.as_ref(), field::VERSION))
    }

    /// Epoch; zero is not protected.
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

    /// Octets of the fragment.
    #[inline]
    pub fn length(&self) -> usize {
        usize::from(get_u16(self.buffer.as_ref(), field::LENGTH))
    }

    /// Octets of the header.
    #[inline]
    pub const fn header_len(&self) -> usize {
        RECORD_HEADER_LEN
    }

    /// Octets of header and fragment.
    #[inline]
    pub fn record_len(&self) -> usize {
        RECORD_HEADER_LEN + self.length()
    }

    /// The header.
    #[inline]
    pub fn header(&self) -> &[u8] {
        get_slice(self.buffer.as_ref(), 0..RECORD_HEADER_LEN)
    }

    /// All after the header, up to the length: with AES-GCM explicit nonce, ciphertext and tag.
    #[inline]
    pub fn fragment(&self) -> &[u8] {
        get_slice(self.buffer.as_ref(), RECORD_HEADER_LEN..self.record_len())
    }

    /// What follows the record in its datagram.
    #[inline]
    pub fn rest(&self) -> &[u8] {
        let data = self.buffer.as_ref();
        get_slice(data, self.record_len()..data.len())
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> DtlsRecord<T> {
    /// Sets what the record contains.
    #[inline]
    pub fn set_content_type(&mut self, content_type: ContentType) {
        put_u8(self.buffer.as_mut(), field::TYPE, content_type.0);
    }

    /// Sets the protocol version.
    #[inline]
    pub fn set_version(&mut self, version: Version) {
        put_u16(self.buffer.as_mut(), field::VERSION, version.0);
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

    /// Sets the octets of the fragment.
    #[inline]
    pub fn set_length(&mut self, length: u16) {
        put_u16(self.buffer.as_mut(), field::LENGTH, length);
    }

    /// Header, and fragment to be opened or sealed in place.
    #[inline]
    pub fn split_mut(&mut self) -> (&mut [u8], &mut [u8]) {
        let end = self.record_len();
        let record = self.buffer.as_mut().get_mut(..end).unwrap_or(&mut []);
        record
            .split_at_mut_checked(RECORD_HEADER_LEN)
            .unwrap_or((&mut [], &mut []))
    }
}

/// The header of a DTLS 1.2 record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DtlsRecordRepr {
    /// What the record contains.
    pub content_type: ContentType,
    /// Protocol version.
    pub version: Version,
    /// Epoch.
    pub epoch: u16,
    /// Sequence number, 48 bits.
    pub sequence: u64,
    /// Octets of the fragment.
    pub length: u16,
}

impl DtlsRecordRepr {
    /// Reads the header.
    ///
    /// # Errors
    /// [`Error::Malformed`] when the version is none of DTLS.
    #[inline]
    pub fn parse<T: AsRef<[u8]>>(record: &DtlsRecord<T>) -> Result<Self> {
        if !record.version().is_dtls() {
            return Err(Error::Malformed);
        }
        Ok(Self {
            content_type: record.content_type(),
            version: record.version(),
            epoch: record.epoch(),
            sequence: record.sequence(),
            length: record.length() as u16,
        })
    }

    /// Octets that [`Self::emit`] writes.
    #[inline]
    pub const fn buffer_len(&self) -> usize {
        RECORD_HEADER_LEN
    }

    /// Writes the header to the front of `buffer`.
    ///
    /// # Errors
    /// [`Error::Truncated`] when `buffer` is shorter than [`Self::buffer_len`]; [`Error::Malformed`] when the sequence number is above
    /// 48 bits (cutting it would use one twice) or the length above [`MAX_FRAGMENT_LEN_12`].
    #[inline]
    pub fn emit(&self, buffer: &mut [u8]) -> Result<()> {
        if self.sequence >= SEQUENCE_END || usize::from(self.length) > MAX_FRAGMENT_LEN_12 {
            return Err(Error::Malformed);
        }
        let header = buffer.get_mut(..RECORD_HEADER_LEN).ok_or(Error::Truncated)?;
        let mut record = DtlsRecord::new_unchecked(header);
        record.set_content_type(self.content_type);
        record.set_version(self.version);
        record.set_epoch(self.epoch);
        record.set_sequence(self.sequence);
        record.set_length(self.length);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{hex, refuses_every_truncation};

    // The Finished message of an OpenSSL server, protected.
    const RECORD: &str = "16 fefd 0001 000000000000 0030 2c6d8119a9df20bf
        6a36181e3a2a2b6c8743b12a9e270557222b7cec034854953d5e77f9de42a4608622f3b53440723d";

    #[test]
    fn takes_a_record_apart() {
        let mut octets = hex(RECORD);
        octets.extend(hex("17fefd"));
        let record = DtlsRecord::new_checked(&octets).unwrap();
        assert_eq!(record.content_type(), ContentType::HANDSHAKE);
        assert_eq!(record.version(), Version::DTLS_1_2);
        assert_eq!((record.epoch(), record.sequence(), record.length()), (1, 0, 48));
        assert_eq!(record.epoch_and_sequence(), 1 << 48);
        assert_eq!(record.header(), &octets[..13]);
        assert_eq!(record.fragment(), &octets[13..61]);
        assert_eq!(record.rest(), hex("17fefd"));
    }

    #[test]
    fn builds_a_header() {
        let repr = DtlsRecordRepr {
            content_type: ContentType::APPLICATION_DATA,
            version: Version::DTLS_1_2,
            epoch: 2,
            sequence: 0x0102_0304_0506,
            length: 24,
        };
        let mut buffer = [0xff; 13 + 24];
        repr.emit(&mut buffer).unwrap();
        assert_eq!(buffer[..13], hex("17 fefd 0002 010203040506 0018"));
        let record = DtlsRecord::new_checked(&buffer).unwrap();
        assert_eq!(DtlsRecordRepr::parse(&record), Ok(repr));
        assert_eq!(record.epoch_and_sequence(), 0x0002_0102_0304_0506);
        assert_eq!(repr.emit(&mut buffer[..12]), Err(Error::Truncated));
        assert_eq!(
            DtlsRecordRepr {
                sequence: SEQUENCE_END,
                ..repr
            }
            .emit(&mut buffer),
            Err(Error::Malformed)
        );
        assert_eq!(
            DtlsRecordRepr {
                sequence: SEQUENCE_END - 1,
                ..repr
            }
            .emit(&mut buffer),
            Ok(())
        );
        assert_eq!(
            DtlsRecordRepr { length: 18433, ..repr }.emit(&mut buffer),
            Err(Error::Malformed)
        );
    }

    #[test]
    fn splits_for_opening_in_place() {
        let mut octets = hex(RECORD);
        octets.push(0xaa);
        let mut record = DtlsRecord::new_checked(&mut octets[..]).unwrap();
        let (header, fragment) = record.split_mut();
        assert_eq!((header.len(), fragment.len()), (13, 48));
        fragment.fill(0);
        assert_eq!(octets[..13], hex(RECORD)[..13]);
        assert_eq!(octets[13..61], [0; 48]);
        assert_eq!(octets[61], 0xaa);
    }

    #[test]
    fn refuses_truncations_and_what_is_no_such_record() {
        refuses_every_truncation(&hex(RECORD), |data| DtlsRecord::new_checked(data).is_ok());
        for (at, value) in [(0, 25), (0, 24), (0, 19), (0, 0x2f), (1, 0x03)] {
            let mut octets = hex(RECORD);
            octets[at] = value;
            assert_eq!(
                DtlsRecord::new_checked(&octets),
                Err(Error::Malformed),
                "octet {at} = {value}"
            );
        }
        let mut octets = hex(RECORD);
        octets[11..13].copy_from_slice(&18433u16.to_be_bytes());
        octets.resize(13 + 18433, 0);
        assert_eq!(DtlsRecord::new_checked(&octets), Err(Error::Malformed));
        octets[12] -= 1;
        assert!(DtlsRecord::new_checked(&octets).is_ok());
    }

    #[test]
    fn an_unchecked_view_over_nothing_is_harmless() {
        let mut record = DtlsRecord::new_unchecked([0u8; 0]);
        record.set_length(9);
        assert_eq!(
            (record.length(), record.fragment().len(), record.rest().len()),
            (0, 0, 0)
        );
        assert_eq!(record.split_mut(), (&mut [][..], &mut [][..]));
    }
}
