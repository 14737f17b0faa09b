//! The connection id (RFC 9146 section 3, RFC 9147 section 9), stored inline.

use core::fmt;

/// Longest connection id in octets. The RFCs allow 255; 20 is what QUIC chose and all that a flow table line has room for.
pub const MAX_CID_LEN: usize = 20;

/// A connection id of 0 to [`MAX_CID_LEN`] octets. The empty one means that records carry none.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConnectionId {
    len: u8,
    /// Octets past `len` are zero, so that the derived comparison and hash are those of the id.
    octets: [u8; MAX_CID_LEN],
}

impl ConnectionId {
    /// No connection id.
    pub const EMPTY: Self = Self {
        len: 0,
        octets: [0; MAX_CID_LEN],
    };

    /// The octets, as on the wire.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.octets[..self.len()]
    }

    /// Length in octets.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether records carry no connection id.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl Default for ConnectionId {
    fn default() -> Self {
        Self::EMPTY
    }
}

/// The slice was longer than [`MAX_CID_LEN`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionIdTooLong;

impl TryFrom<&[u8]> for ConnectionId {
    type Error = ConnectionIdTooLong;

    fn try_from(slice: &[u8]) -> Result<Self, Self::Error> {
        let mut octets = [0; MAX_CID_LEN];
        octets
            .get_mut(..slice.len())
            .ok_or(ConnectionIdTooLong)?
            .copy_from_slice(slice);
        Ok(Self {
            // At most MAX_CID_LEN, checked by the line above.
            len: slice.len() as u8,
            octets,
        })
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConnectionId(")?;
        for octet in self.as_slice() {
            write!(f, "{octet:02x}")?;
        }
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_up_to_twenty_octets_and_refuses_more() {
        for len in 0..=MAX_CID_LEN {
            let octets = [7; MAX_CID_LEN];
            let cid = ConnectionId::try_from(&octets[..len]).unwrap();
            assert_eq!(cid.as_slice(), &octets[..len]);
            assert_eq!(cid.len(), len);
            assert_eq!(cid.is_empty(), len == 0);
        }
        assert_eq!(
            ConnectionId::try_from(&[0; MAX_CID_LEN + 1][..]),
            Err(ConnectionIdTooLong)
        );
    }

    #[test]
    fn ids_of_different_length_differ_even_when_the_rest_is_zero() {
        assert_ne!(ConnectionId::try_from(&[0, 0][..]), ConnectionId::try_from(&[0][..]));
        assert_eq!(ConnectionId::try_from(&[][..]), Ok(ConnectionId::EMPTY));
    }
}
