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
