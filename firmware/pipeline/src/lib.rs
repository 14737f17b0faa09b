//! The SealNIC pipeline and the control plane over it.
#![no_std]

pub mod frame;
