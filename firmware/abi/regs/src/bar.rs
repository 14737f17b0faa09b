//! The host's access to BAR0 over any transport.

use crate::access::SealnicPf;
use crate::offsets::Window;
use peakrdl_rust::io::RawRegisterIO;
use peakrdl_rust::reg::RegInt;

/// A way to reach a BAR: aligned 32-bit accesses at offsets in octets from its start, values in the host's byte order.
///
/// Methods take `&self`, as a register access needs no exclusive hold of the device; a transport that keeps state of its
/// own guards it (a cell in one thread, a lock in several).
pub trait RegisterBus {
    /// What can go wrong on the way; [`core::convert::Infallible`] for a mapped BAR.
    type Error;

    /// Reads the word at `offset`.
    ///
    /// # Errors
    /// The transport failed or the device refused the access.
    fn read32(&self, offset: u32) -> Result<u32, Self::Error>;

    /// Writes the word at `offset`.
    ///
    /// # Errors
    /// The transport failed or the device refused the access.
    fn write32(&self, offset: u32, value: u32) -> Result<(), Self::Error>;
}

impl<B: RegisterBus + ?Sized> RegisterBus for &B {
    type Error = B::Error;

    fn read32(&self, offset: u32) -> Result<u32, Self::Error> {
        (**self).read32(offset)
    }

    fn write32(&self, offset: u32, value: u32) -> Result<(), Self::Error> {
        (**self).write32(offset, value)
    }
}

/// Carries the generated register access over a [`RegisterBus`].
///
/// The access computes "pointers" by adding register offsets to a null base; here they are taken for the offsets that
/// they are and never dereferenced.
#[derive(Debug)]
pub struct BusIo<B>(B);

#[allow(
    unsafe_code,
    reason = "the trait's methods are unsafe because other implementations dereference the pointer"
)]
impl<B: RegisterBus> RawRegisterIO for BusIo<B> {
    type Error = B::Error;

    unsafe fn try_read<T: RegInt>(&self, ptr: *const T) -> Result<T, Self::Error> {
        const { assert!(size_of::<T>() == 4, "every access to BAR0 is 32 bits wide") }
        // The access expects register byte order (little-endian) and converts it itself.
        let word = self.0.read32(offset_of_pointer(ptr))?.to_le();
        Ok(T::from(word).unwrap_or_else(T::max_value))
    }

    unsafe fn try_write<T: RegInt>(&self, ptr: *mut T, value: T) -> Result<(), Self::Error> {
        const { assert!(size_of::<T>() == 4, "every access to BAR0 is 32 bits wide") }
        let word = value.to_u32().unwrap_or(u32::MAX);
        self.0.write32(offset_of_pointer(ptr.cast_const()), u32::from_le(word))
    }
}

/// The offset that the generated access wrapped into a pointer; always below [`crate::BAR_LEN`].
fn offset_of_pointer<T>(ptr: *const T) -> u32 {
    u32::try_from(ptr.addr()).unwrap_or(u32::MAX)
}

/// Why a window could not be read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowError<E> {
    /// The offset is no multiple of four, or the octets do not fit between it and the window's end.
    Range,
    /// The host may not write this window.
    ReadOnly,
    /// The bus failed.
    Bus(E),
}

impl<E: core::fmt::Display> core::fmt::Display for WindowError<E> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Range => f.write_str("the access is unaligned or passes the window's end"),
            Self::ReadOnly => f.write_str("the window is read-only"),
            Self::Bus(error) => write!(f, "register bus: {error}"),
        }
    }
}

impl<E: core::fmt::Debug + core::fmt::Display> core::error::Error for WindowError<E> {}

/// The PF's BAR0 as the host sees it.
#[derive(Debug)]
pub struct Bar<B> {
    io: BusIo<B>,
}

impl<B: RegisterBus> Bar<B> {
    /// Takes the bus that reaches the BAR.
    pub const fn new(bus: B) -> Self {
        Self { io: BusIo(bus) }
    }

    /// The bus.
    pub const fn bus(&self) -> &B {
        &self.io.0
    }

    /// Typed access to the registers, one method each: `bar.registers().status().try_read()?.ready()`.
    #[allow(
        unsafe_code,
        reason = "the generated constructor is unsafe for transports that dereference the pointer"
    )]
    pub fn registers(&self) -> SealnicPf<'_, BusIo<B>> {
        // SAFETY: the constructor asks for a pointer to a register block because its default transport dereferences it.
        // `BusIo` never does: it reads the address as an offset, which a null base makes it. Nothing aliases and nothing
        // needs to be aligned or alive behind the pointer.
        unsafe { SealnicPf::from_ptr_with(core::ptr::null_mut(), &self.io) }
    }

    /// Reads `octets.len()` octets of `window` from `offset` on; any length, in whole words on the bus.
    ///
    /// # Errors
    /// [`WindowError::Range`] and [`WindowError::Bus`]; on the latter the first octets may have been filled.
    pub fn read_window(&self, window: Window, offset: u32, octets: &mut [u8]) -> Result<(), WindowError<B::Error>> {
        let start = checked_start(window, offset, octets.len()).ok_or(WindowError::Range)?;
        for (at, chunk) in (start..).step_by(4).zip(octets.chunks_mut(4)) {
            let word = self.io.0.read32(at).map_err(WindowError::Bus)?.to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
        Ok(())
    }

    /// Writes `octets` to `window` from `offset` on; a last incomplete word is filled up with zeros.
    ///
    /// # Errors
    /// [`WindowError::Range`], [`WindowError::ReadOnly`] and [`WindowError::Bus`]; on the last some words may have been
    /// written.
    pub fn write_window(&self, window: Window, offset: u32, octets: &[u8]) -> Result<(), WindowError<B::Error>> {
        if !window.is_writable() {
            return Err(WindowError::ReadOnly);
        }
        let start = checked_start(window, offset, octets.len()).ok_or(WindowError::Range)?;
        for (at, chunk) in (start..).step_by(4).zip(octets.chunks(4)) {
            let mut word = [0; 4];
            word[..chunk.len()].copy_from_slice(chunk);
            self.io
                .0
                .write32(at, u32::from_le_bytes(word))
                .map_err(WindowError::Bus)?;
        }
        Ok(())
    }

    /// Counter `index` as of the last snapshot.
    ///
    /// # Errors
    /// [`WindowError::Range`] past the window and [`WindowError::Bus`].
    pub fn counter(&self, index: u32) -> Result<u64, WindowError<B::Error>> {
        let mut octets = [0; 8];
        let offset = index.checked_mul(8).ok_or(WindowError::Range)?;
        self.read_window(Window::Counters, offset, &mut octets)?;
        Ok(u64::from_le_bytes(octets))
    }
}

/// Offset in the BAR where an access of `len` octets starts, if it is aligned and stays inside the window.
fn checked_start(window: Window, offset: u32, len: usize) -> Option<u32> {
    let end = u32::try_from(len).ok()?.checked_add(offset)?;
    (offset.is_multiple_of(4) && end <= window.byte_len()).then(|| window.offset() + offset)
}
