//! SystemRDL component definitions
#![allow(non_camel_case_types)] // needed for type normalization suffixes

use super::_root; // alias to root module of generated code

pub mod fault_code_e;
pub mod mailbox_error_e;
pub mod ring_error_e;
pub mod ring_rf;
pub mod sealnic_pf;
