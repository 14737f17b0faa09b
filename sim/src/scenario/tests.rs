//! Tests of the format, the plan and the hosts' states.

mod desired;
mod errors;
mod plan;
mod reading;

use std::path::Path;

use rand_core::{TryCryptoRng, TryRng};

use super::{Problems, Scenario};

/// Two hosts, two peered VNets, three VMs: the example that other tests change.
pub(super) const BASE: &str = include_str!("tests/base.toml");

pub(super) fn parse(text: &str) -> Result<Scenario, Problems> {
    Scenario::parse(text, Path::new("dir/base.toml"))
}

pub(super) fn base() -> Scenario {
    parse(BASE).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The base with one text replaced, which must be there once.
pub(super) fn changed(from: &str, to: &str) -> String {
    assert_eq!(BASE.matches(from).count(), 1, "{from:?} in the base");
    BASE.replace(from, to)
}

pub(super) fn changed_scenario(from: &str, to: &str) -> Scenario {
    parse(&changed(from, to)).unwrap_or_else(|problems| panic!("{problems}"))
}

/// A generator for tests: the same numbers every time, all octets of every length different for a long while.
pub(super) struct TestRng(pub(super) u64);

impl TryRng for TestRng {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok((self.try_next_u64()? >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Ok(z ^ (z >> 31))
    }

    fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Self::Error> {
        for chunk in dst.chunks_mut(8) {
            let octets = self.try_next_u64()?.to_le_bytes();
            chunk.copy_from_slice(&octets[..chunk.len()]);
        }
        Ok(())
    }
}

impl TryCryptoRng for TestRng {}
