//! One facade for messages: `defmt` on bare metal, `log` on a host, nothing where neither feature is on. Messages are for rare
//! events of the control plane; the data path has counters. Arguments are plain numbers, and never key material.

macro_rules! message {
    ($level:ident, $($argument:tt)*) => {{
        #[cfg(feature = "defmt")]
        defmt::$level!($($argument)*);
        #[cfg(feature = "log")]
        log::$level!($($argument)*);
        #[cfg(not(any(feature = "defmt", feature = "log")))]
        let _ = format_args!($($argument)*);
    }};
}

pub(crate) use message;
