//! Why a buffer is not what it should be.

use core::fmt;

/// What every parser and emitter of this crate answers with.
pub type Result<T> = core::result::Result<T, Error>;

/// Why a buffer was refused. Small and `Copy`, so that a drop reason can be derived from it on the data path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Error {
    /// The buffer ends before the header does, or before the length that the header claims.
    Truncated,
    /// A field holds a value that its specification forbids, or fields contradict each other.
    Malformed,
    /// A checksum does not match.
    Checksum,
    /// Well formed as far as it was looked at, but a kind that this crate has no representation for.
    Unsupported,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Error::Truncated => "buffer ends inside the packet",
            Error::Malformed => "packet contradicts its specification",
            Error::Checksum => "checksum does not match",
            Error::Unsupported => "packet is of a kind without representation",
        })
    }
}

impl core::error::Error for Error {}
