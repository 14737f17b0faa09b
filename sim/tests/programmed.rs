//! What a scenario asks of its hosts, programmed into devices: nothing is refused, and all of it is there.
#![allow(clippy::expect_used, clippy::panic, reason = "a test stops where it fails")]

use std::fmt::Write;
use std::path::Path;

use rand_core::{TryCryptoRng, TryRng};
use sealnic_driver::transport::model::ModelTransport;
use sealnic_driver::{DesiredState, Device, reconcile};
use sealnic_hw_model::{FunctionalModel, ModelConfig};
use sealnic_sim::Scenario;

/// Octets that count up: all that these tests ask of randomness is that they differ.
struct Counting(u8);

impl TryRng for Counting {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        let mut octets = [0; 4];
        self.try_fill_bytes(&mut octets)?;
        Ok(u32::from_le_bytes(octets))
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        let mut octets = [0; 8];
        self.try_fill_bytes(&mut octets)?;
        Ok(u64::from_le_bytes(octets))
    }

    fn try_fill_bytes(&mut self, octets: &mut [u8]) -> Result<(), Self::Error> {
        for octet in octets {
            self.0 = self.0.wrapping_add(1);
            *octet = self.0;
        }
        Ok(())
    }
}

impl TryCryptoRng for Counting {}

fn program(state: &DesiredState) {
    let model = FunctionalModel::new(&ModelConfig {
        seed: Some(7),
        ..ModelConfig::default()
    })
    .expect("a model");
    let mut device = Device::attach(ModelTransport::new(Box::new(model))).expect("a device");
    let report = reconcile(&mut device, state).expect("every step is accepted");
    assert_eq!(report.need_keys.len(), state.associations.len());
    let again = reconcile(&mut device, state).expect("every step is accepted");
    assert!(again.is_empty(), "{again:?}");

    let programmed = reconcile::read_back(&mut device).expect("all lists");
    assert_eq!(programmed.vnets.len(), state.vnets.len());
    assert_eq!(programmed.ports.len(), state.ports.len());
    assert_eq!(programmed.port_addresses.len(), state.port_addresses.len());
    assert_eq!(programmed.mappings.len(), state.mappings.len());
    assert_eq!(programmed.associations.len(), state.associations.len());
    assert_eq!(programmed.exclusions.len(), state.exclusions.len());
}

/// Everything the format has, on three hosts.
fn scenario(association: &str) -> Scenario {
    let mut text = String::from(association);
    for i in 1..=3 {
        let _ = write!(
            text,
            "[[host]]\nname = \"h{i}\"\npa = [\"192.0.2.{i}\", \"2001:db8::{i}\"]\n\
             [[vnet]]\nname = \"v{i}\"\nvni = {i}\nprefixes = [\"10.{i}.0.0/16\", \"fd00:{i}::/32\"]\n\
             encryption = {{ enabled = {} }}\n",
            i < 3
        );
        for v in 1..=3 {
            let _ = write!(
                text,
                "[[vm]]\nname = \"m{i}{v}\"\nhost = \"h{i}\"\nvnet = \"v{v}\"\nmac = \"any\"\n\
                 addresses = [\"10.{v}.0.{i}\", \"fd00:{v}::{i}\", \"203.0.{i}{v}.0/24\"]\n"
            );
        }
    }
    text.push_str("[[peering]]\nvnets = [\"v1\", \"v2\"]\n[[peering]]\nvnets = [\"v3\", \"v2\"]\n");
    text.push_str(
        "[[gateway]]\nvnet = \"v1\"\npa = \"192.0.2.254\"\n[[gateway]]\nvnet = \"v2\"\npa = \"2001:db8::fe\"\n",
    );
    text.push_str("[[exclusion]]\nname = \"e1\"\nvnet = \"v1\"\nprefix = \"10.2.0.0/16\"\n");
    text.push_str(
        "[[exclusion]]\nname = \"e2\"\nvnet = \"v2\"\nprefix = \"fd00:1::/64\"\nprotocol = \"udp\"\nport = 53\n",
    );
    Scenario::parse(&text, Path::new("all.toml")).unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn devices_take_everything_that_a_scenario_asks_of_them() {
    let versions = ["1.2", "1.3"];
    let ciphers = ["AES-128-GCM", "AES-256-GCM"];
    for (dtls, cipher) in versions.into_iter().flat_map(|v| ciphers.map(|c| (v, c))) {
        for (connection_id, underlay) in [(0, "ipv4"), (8, "ipv4"), (0, "ipv6"), (20, "ipv6")] {
            let scenario = scenario(&format!(
                "[association]\ndtls = \"{dtls}\"\ncipher = \"{cipher}\"\nconnection_id = {connection_id}\nunderlay = \"{underlay}\"\n\
                 [[association.state]]\nhosts = [\"h1\", \"h2\"]\nstate = \"failed\"\n"
            ));
            for state in scenario.desired_states(&mut Counting(0)) {
                state.check().expect("no contradiction");
                assert!(!state.associations.is_empty() && !state.exclusions.is_empty());
                program(&state);
            }
        }
    }
}
