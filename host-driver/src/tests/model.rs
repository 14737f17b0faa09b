//! The driver on the functional model: what the driver believes of a device holds for one that was written by others.

use super::reconcile::scenario;
use crate::clock::ManualClock;
use crate::desired::{DesiredState, mapping_key};
use crate::device::SaParams;
use crate::keys::{KeyDerivation, KeyName, Sender};
use crate::reconcile::{Change, read_back, reconcile};
use crate::transport::model::ModelTransport;
use crate::{Device, Error, MailboxConfig, RunId, SaKeys};
use sealnic_abi::mailbox::Status;
use sealnic_abi::object::{CipherSuite, Direction, DtlsVersion, SaPhase};
use sealnic_hw_model::functional::FunctionalModel;
use sealnic_hw_model::{ModelConfig, ModelError};

fn attach(transport: ModelTransport) -> Device<ModelTransport> {
    Device::attach_with(transport, Box::new(ManualClock::default()), MailboxConfig::default()).unwrap()
}

fn device() -> Device<ModelTransport> {
    let config = ModelConfig {
        seed: Some(1),
        ..ModelConfig::default()
    };
    let model: Result<_, ModelError> = FunctionalModel::new(&config);
    attach(ModelTransport::new(Box::new(model.unwrap())))
}

fn valid_scenario() -> DesiredState {
    let mut wanted = scenario();
    wanted.config.dtls_port = 4433;
    wanted.config.cid_len = 8;
    wanted.config.flow_idle_ms = 60_000;
    wanted.config.flow_log_ms = 60_000;
    for (port, i) in wanted.ports.iter_mut().zip(1..) {
        port.mac = [2, 0, 0, 0, 0, i];
    }
    for (association, i) in wanted.associations.iter_mut().zip(1..) {
        association.local_pa = wanted.config.pa_v4;
        association.local_port = 4433;
        association.peer_port = 4433;
        association.version = DtlsVersion::Dtls13.into();
        association.local_cid_len = 8;
        association.peer_cid_len = 8;
        association.local_cid = [0; 20];
        association.local_cid[..8].fill(i);
        association.peer_cid[..8].fill(i);
    }
    wanted
}

fn keys(epoch: u64) -> SaKeys {
    KeyDerivation::new(b"s", &RunId::UNSAFE_FIXED).sa_keys(&KeyName {
        association: b"a",
        sender: Sender::First,
        epoch,
        version: DtlsVersion::Dtls13,
        suite: CipherSuite::Aes128Gcm,
    })
}

#[test]
fn a_scenario_is_programmed_read_back_changed_and_removed() {
    let mut device = device();
    let mut wanted = valid_scenario();
    let report = reconcile(&mut device, &wanted).unwrap();
    assert_eq!(report.count(Change::Added), 1 + 2 + 3 + 3 + 132 + 2 + 1);
    assert!(reconcile(&mut device, &wanted).unwrap().is_empty());

    let mut state = read_back(&mut device).unwrap();
    state.mappings.sort_by_key(mapping_key);
    let mut mappings = wanted.mappings.clone();
    mappings.iter_mut().for_each(|m| m.revision = 5);
    mappings.sort_by_key(mapping_key);
    assert_eq!(state.mappings, mappings);
    assert_eq!(state.ports, wanted.ports);

    wanted.revision += 1;
    wanted.vnets[0].enforcement = 0;
    wanted.ports[1].vni = 2;
    wanted.ports[2].mtu = 9000;
    wanted.port_addresses.swap_remove(0);
    wanted.mappings.truncate(100);
    wanted.associations[0].replay_window = 128;
    wanted.exclusions[0].prefix_len = 25;
    assert!(!reconcile(&mut device, &wanted).unwrap().is_empty());
    assert!(reconcile(&mut device, &wanted).unwrap().is_empty());

    let nothing = DesiredState {
        config: wanted.config,
        revision: wanted.revision,
        ..DesiredState::default()
    };
    reconcile(&mut device, &nothing).unwrap();
    assert_eq!(read_back(&mut device).unwrap(), crate::plan::Programmed::default());
}

#[test]
fn another_driver_takes_over_where_the_first_one_left() {
    let mut first = device();
    let wanted = valid_scenario();
    reconcile(&mut first, &wanted).unwrap();
    let generation = first.identity().generation;
    let mut second = attach(first.into_transport());
    assert_eq!(second.identity().generation, generation);
    assert!(reconcile(&mut second, &wanted).unwrap().is_empty());
}

#[test]
fn keys_are_installed_once_and_a_reset_makes_them_stale() {
    let mut device = device();
    reconcile(&mut device, &valid_scenario()).unwrap();
    let params = SaParams::new(0, 1, Direction::Write, 3);
    device.install_sa(&params, keys(3)).unwrap();
    device.activate_sa(0).unwrap();
    let state = device.query_sa(0).unwrap();
    assert_eq!((state.sequence, state.phase), (0, u8::from(SaPhase::Active)));
    assert_eq!(device.sas().count(), 1);
    let again = device.install_sa(&SaParams { sa: 1, ..params }, keys(3)).unwrap_err();
    assert_eq!(again.status(), Some(Status::KeyReused));

    let before = device.identity().generation;
    device.reset().unwrap();
    assert_ne!(device.identity().generation, before);
    assert_eq!(device.sas().count(), 0);
    assert_eq!(device.query_sa(0).unwrap_err().status(), Some(Status::NotFound));
    device.soft_reset().unwrap();
}

#[test]
fn self_test_counters_and_events_answer() {
    let mut device = device();
    assert!(device.self_test().unwrap().iter().all(|t| t.run && t.passed));
    device.counters().unwrap().check_balance().unwrap();
    device.drain_events().unwrap();
    assert_eq!(device.flows().count(), 0);
    assert!(matches!(device.query_sa(u32::MAX), Err(Error::Mailbox(_))));
}
