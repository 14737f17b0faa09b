//! VLAN tags (IEEE 802.1Q-2022 clause 9): two octets of tag control information and the EtherType of what follows.
//!
//! The tag's own EtherType (0x8100 or 0x88a8) stands in front of it, in the Ethernet header or in the tag before.

use crate::bytes::{Field, get_slice, get_slice_mut, get_u16, put_u16};
use crate::ethernet::{self, EtherType, EthernetFrame};
use crate::{Error, Result};

/// Octets of one tag after the EtherType that announces it.
pub const TAG_LEN: usize = 4;

/// Tags that [`network_layer`] walks over: a service tag and a customer tag.
pub const MAX_TAGS: usize = 2;

mod field {
    use super::Field;
    pub(super) const TCI: Field = 0..2;
    pub(super) const TYPE: Field = 2..4;
}

/// View of a tag and what follows it: the payload of a frame whose EtherType is a VLAN's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VlanTag<T> {
    buffer: T,
}

impl<T: AsRef<[u8]>> VlanTag<T> {
    /// A view without any check.
    #[inline]
    pub const fn new_unchecked(buffer: T) -> Self {
        Self { buffer }
    }

    /// A view of a buffer that holds a whole tag.
    ///
    /// # Errors
    /// [`Error::Truncated`] below 4 octets.
    #[inline]
    pub fn new_checked(buffer: T) -> Result<Self> {
        if buffer.as_ref().len() < TAG_LEN {
            return Err(Error::Truncated);
        }
        Ok(Self { buffer })
    }

    /// Gives the buffer back.
    #[inline]
    pub fn into_inner(self) -> T {
        self.buffer
    }

    /// Tag control information: priority, drop eligibility and VLAN identifier together.
    #[inline]
    pub fn tci(&self) -> u16 {
        get_u16(self.buffer.as_ref(), field::TCI)
    }

    /// VLAN identifier, 12 bits; zero tags a priority only.
    #[inline]
    pub fn vid(&self) -> u16 {
        self.tci() & 0x0fff
    }

    /// Priority code point, 3 bits.
    #[inline]
    pub fn pcp(&self) -> u8 {
        (self.tci() >> 13) as u8
    }

    /// Drop eligible indicator.
    #[inline]
    pub fn dei(&self) -> bool {
        self.tci() & 0x1000 != 0
    }

    /// What follows the tag.
    #[inline]
    pub fn inner_ethertype(&self) -> EtherType {
        EtherType(get_u16(self.buffer.as_ref(), field::TYPE))
    }

    /// All after the tag.
    #[inline]
    pub fn payload(&self) -> &[u8] {
        let data = self.buffer.as_ref();
        get_slice(data, TAG_LEN..data.len())
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> VlanTag<T> {
    /// Sets priority, drop eligibility and VLAN identifier together.
    #[inline]
    pub fn set_tci(&mut self, tci: u16) {
        put_u16(self.buffer.as_mut(), field::TCI, tci);
    }

    /// Sets the VLAN identifier to the low 12 bits of `vid`.
    #[inline]
    pub fn set_vid(&mut self, vid: u16) {
        let tci = (self.tci() & 0xf000) | (vid & 0x0fff);
        self.set_tci(tci);
    }

    /// Sets the priority code point to the low 3 bits of `pcp`.
    #[inline]
    pub fn set_pcp(&mut self, pcp: u8) {
        let tci = (self.tci() & 0x1fff) | (u16::from(pcp & 0x07) << 13);
        self.set_tci(tci);
    }

    /// Sets the drop eligible indicator.
    #[inline]
    pub fn set_dei(&mut self, dei: bool) {
        let tci = (self.tci() & 0xefff) | (u16::from(dei) << 12);
        self.set_tci(tci);
    }

    /// Sets what follows the tag.
    #[inline]
    pub fn set_inner_ethertype(&mut self, ethertype: EtherType) {
        put_u16(self.buffer.as_mut(), field::TYPE, ethertype.0);
    }

    /// All after the tag.
    #[inline]
    pub fn payload_mut(&mut self) -> &mut [u8] {
        let data = self.buffer.as_mut();
        let end = data.len();
        get_slice_mut(data, TAG_LEN..end)
    }
}

/// A VLAN tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VlanRepr {
    /// VLAN identifier, 12 bits.
    pub vid: u16,
    /// Priority code point, 3 bits.
    pub pcp: u8,
    /// Drop eligible indicator.
    pub dei: bool,
    /// What follows.
    pub inner_ethertype: EtherType,
}

impl VlanRepr {
    /// Reads the tag.
    ///
    /// # Errors
    /// [`Error::Malformed`] for the reserved identifier 0xfff (802.1Q table 9-2).
    #[inline]
    pub fn parse<T: AsRef<[u8]>>(tag: &VlanTag<T>) -> Result<Self> {
        if tag.vid() == 0x0fff {
            return Err(Error::Malformed);
        }
        Ok(Self {
            vid: tag.vid(),
            pcp: tag.pcp(),
            dei: tag.dei(),
            inner_ethertype: tag.inner_ethertype(),
        })
    }

    /// Octets that [`Self::emit`] writes.
    #[inline]
    pub const fn buffer_len(&self) -> usize {
        TAG_LEN
    }

    /// Writes the tag to the front of `buffer`; of `vid` and `pcp` the low 12 and 3 bits.
    ///
    /// # Errors
    /// [`Error::Truncated`] when `buffer` is shorter than [`Self::buffer_len`].
    #[inline]
    pub fn emit(&self, buffer: &mut [u8]) -> Result<()> {
        let mut tag = VlanTag::new_checked(buffer)?;
        tag.set_tci((u16::from(self.pcp & 7) << 13) | (u16::from(self.dei) << 12) | (self.vid & 0x0fff));
        tag.set_inner_ethertype(self.inner_ethertype);
        Ok(())
    }
}

/// Where a frame's network layer begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NetworkLayer {
    /// What it is; never a VLAN tag.
    pub ethertype: EtherType,
    /// Octets from the start of the frame.
    pub offset: usize,
    /// Tag control information of the outermost tag.
    pub outer_tci: Option<u16>,
    /// Tag control information of the second tag.
    pub inner_tci: Option<u16>,
}

/// Walks from the Ethernet header over at most [`MAX_TAGS`] VLAN tags.
///
/// # Errors
/// [`Error::Truncated`] when the frame ends inside a tag; [`Error::Unsupported`] with more tags than that.
#[inline]
pub fn network_layer<T: AsRef<[u8]>>(frame: &EthernetFrame<T>) -> Result<NetworkLayer> {
    let mut layer = NetworkLayer {
        ethertype: frame.ethertype(),
        offset: ethernet::HEADER_LEN,
        outer_tci: None,
        inner_tci: None,
    };
    if !layer.ethertype.is_vlan() {
        return Ok(layer);
    }
    let outer = VlanTag::new_checked(frame.payload())?;
    layer.outer_tci = Some(outer.tci());
    layer.ethertype = outer.inner_ethertype();
    layer.offset += TAG_LEN;
    if !layer.ethertype.is_vlan() {
        return Ok(layer);
    }
    let inner = VlanTag::new_checked(outer.payload())?;
    layer.inner_tci = Some(inner.tci());
    layer.ethertype = inner.inner_ethertype();
    layer.offset += TAG_LEN;
    if layer.ethertype.is_vlan() {
        return Err(Error::Unsupported);
    }
    Ok(layer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{hex, refuses_every_truncation};

    #[test]
    fn takes_a_tag_apart() {
        let octets = hex("b02a 86dd 60");
        let tag = VlanTag::new_checked(&octets).unwrap();
        assert_eq!((tag.pcp(), tag.dei(), tag.vid()), (5, true, 42));
        assert_eq!(tag.inner_ethertype(), EtherType::IPV6);
        assert_eq!(tag.payload(), [0x60]);
        refuses_every_truncation(&octets[..4], |data| VlanTag::new_checked(data).is_ok());
    }

    #[test]
    fn builds_a_tag() {
        let repr = VlanRepr {
            vid: 42,
            pcp: 5,
            dei: true,
            inner_ethertype: EtherType::IPV6,
        };
        let mut buffer = [0; 4];
        repr.emit(&mut buffer).unwrap();
        assert_eq!(buffer[..], hex("b02a 86dd"));
        assert_eq!(VlanRepr::parse(&VlanTag::new_checked(&buffer).unwrap()), Ok(repr));
        assert_eq!(repr.emit(&mut buffer[..3]), Err(Error::Truncated));
    }

    #[test]
    fn sets_each_part_of_the_tci_alone() {
        let mut octets = hex("0000 0800");
        let mut tag = VlanTag::new_checked(&mut octets[..]).unwrap();
        tag.set_vid(0xfabc);
        assert_eq!(tag.tci(), 0x0abc);
        tag.set_pcp(0x0f);
        assert_eq!(tag.tci(), 0xeabc);
        tag.set_dei(true);
        tag.set_pcp(0);
        assert_eq!(tag.tci(), 0x1abc);
        tag.set_dei(false);
        tag.set_vid(0);
        assert_eq!(tag.tci(), 0);
    }

    #[test]
    fn the_reserved_identifier_is_malformed() {
        assert_eq!(
            VlanRepr::parse(&VlanTag::new_checked(hex("0fff 0800")).unwrap()),
            Err(Error::Malformed)
        );
    }

    #[test]
    fn finds_the_network_layer_behind_up_to_two_tags() {
        let plain = hex("02000000000b 02000000000a 0800 45");
        let one = hex("02000000000b 02000000000a 8100 a02a 0800 45");
        let two = hex("02000000000b 02000000000a 88a8 0007 8100 a02a 86dd 60");
        let three = hex("02000000000b 02000000000a 88a8 0007 8100 a02a 8100 0001 0800 45");
        let walk = |octets: &[u8]| network_layer(&EthernetFrame::new_checked(octets).unwrap());
        let layer = |ethertype, offset, outer_tci, inner_tci| {
            Ok(NetworkLayer {
                ethertype,
                offset,
                outer_tci,
                inner_tci,
            })
        };
        assert_eq!(walk(&plain), layer(EtherType::IPV4, 14, None, None));
        assert_eq!(walk(&one), layer(EtherType::IPV4, 18, Some(0xa02a), None));
        assert_eq!(walk(&two), layer(EtherType::IPV6, 22, Some(0x0007), Some(0xa02a)));
        assert_eq!(walk(&three), Err(Error::Unsupported));
        for length in 14..22 {
            assert_eq!(walk(&two[..length]), Err(Error::Truncated), "{length}");
        }
    }
}
