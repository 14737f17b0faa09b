//! Scenario files, any text or a good file with a piece replaced: each is refused with problems at places that exist, or it
//! can be planned and its hosts' states don't contradict themselves.
#![no_main]

use std::convert::Infallible;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use rand_core::{TryCryptoRng, TryRng};
use sealnic_sim::Scenario;

const GOOD: &str = include_str!("../../../sim/src/scenario/tests/base.toml");
/// Plans grow with the square of the number of VMs.
const MOST_VMS: usize = 64;

/// Numbers that count up; connection ids need no more than to differ.
struct Counting(u64);

impl TryRng for Counting {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.0 += 1;
        Ok(self.0 as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0 += 1;
        Ok(self.0)
    }

    fn try_fill_bytes(&mut self, octets: &mut [u8]) -> Result<(), Infallible> {
        self.0 += 1;
        for (octet, shift) in octets.iter_mut().zip((0..64).step_by(8)) {
            *octet = (self.0 >> shift) as u8;
        }
        Ok(())
    }
}

impl TryCryptoRng for Counting {}

/// The text as it is, or the good file with some of its octets replaced by it.
fn text(data: &[u8]) -> Option<String> {
    let [form, at, at_high, len, rest @ ..] = data else {
        return None;
    };
    let piece = std::str::from_utf8(rest).ok()?;
    if form % 2 == 0 {
        return Some(piece.to_owned());
    }
    let start = usize::from(u16::from_le_bytes([*at, *at_high])) % GOOD.len();
    let end = (start + usize::from(*len)).min(GOOD.len());
    Some(format!("{}{piece}{}", GOOD.get(..start)?, GOOD.get(end..)?))
}

fuzz_target!(|data: &[u8]| {
    let Some(text) = text(data) else { return };
    match Scenario::parse(&text, Path::new("dir/file.toml")) {
        Err(problems) => {
            assert!(!problems.shown.is_empty());
            let lines = text.matches('\n').count() + 1;
            for problem in &problems.shown {
                assert!(
                    (1..=lines).contains(&problem.line) && problem.column >= 1,
                    "{problem:?}"
                );
                assert!(!problem.message.is_empty() && !problem.help.is_empty(), "{problem:?}");
            }
        }
        Ok(scenario) if scenario.vms.len() <= MOST_VMS => {
            let vms = scenario.vms.len();
            assert_eq!(scenario.plan().pairs.len(), vms * vms.saturating_sub(1));
            let states = scenario.desired_states(&mut Counting(0));
            assert_eq!(states.len(), scenario.hosts.len());
            for (host, state) in scenario.hosts.iter().zip(&states) {
                assert!(state.check().is_ok(), "{:?}", state.check());
                assert!(state.mappings.len() <= host.nic.mappings as usize);
                assert!(state.ports.len() <= host.nic.ports as usize);
                assert!(state.associations.len() <= host.nic.associations as usize);
            }
        }
        Ok(_) => {}
    }
});
