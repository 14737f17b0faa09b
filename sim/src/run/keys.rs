//! Static keys of a run: derived for both ends of every association, installed through the drivers, and written out when the
//! user insists.

use crate::run::network::{Network, address_text};
use crate::run::{RunError, hex};
use crate::scenario::{Link, Scenario};
use sealnic_abi::object::{Association, AssociationState, CipherSuite, Direction, DtlsVersion};
use sealnic_driver::device::SaParams;
use sealnic_driver::keys::{KeyName, Sender};
use sealnic_driver::{DesiredState, KeyDerivation};
use serde::Serialize;

/// Record keys of a run, one element per direction: whoever has them can read and forge all of its traffic.
#[derive(Serialize)]
pub struct KeyFile {
    version: u32,
    warning: &'static str,
    device_cid_len: u8,
    associations: Vec<DirectionKeys>,
}

#[derive(Serialize)]
struct DirectionKeys {
    from: String,
    to: String,
    src_port: u16,
    dst_port: u16,
    dtls: &'static str,
    cipher: &'static str,
    connection_id: String,
    vni: u32,
    epoch: u64,
    key: String,
    iv: String,
    sn_key: String,
}

/// Installs both directions of every association that is to be ready; returns the keys for [`KeyFile`] when `expose` is set.
pub(crate) fn install(
    scenario: &Scenario,
    network: &mut Network,
    states: &[DesiredState],
    derivation: &KeyDerivation,
    expose: bool,
) -> Result<KeyFile, RunError> {
    let mut file = KeyFile {
        version: 1,
        warning: "these keys open and forge every record of the run; delete this file when it has served",
        device_cid_len: scenario.association.connection_id_len,
        associations: Vec::new(),
    };
    let epoch = match scenario.association.version {
        DtlsVersion::Dtls12 => 1,
        DtlsVersion::Dtls13 => 3,
    };
    let mut next_id = vec![0usize; scenario.hosts.len()];
    for link in scenario.links() {
        let ends = link.hosts.map(|host| {
            next_id[host] += 1;
            states[host].associations[next_id[host] - 1]
        });
        if ends[0].state != u8::from(AssociationState::Ready) {
            continue;
        }
        let name = link_name(scenario, &link);
        for (from, to, sender) in [(0, 1, Sender::First), (1, 0, Sender::Second)] {
            let key_name = KeyName {
                association: name.as_bytes(),
                sender,
                epoch,
                version: scenario.association.version,
                suite: scenario.association.suite,
            };
            for (end, direction) in [(to, Direction::Read), (from, Direction::Write)] {
                let host = link.hosts[end];
                let association = ends[end].id;
                let sa = association * 2 + u32::from(direction == Direction::Read);
                let driver = |source| RunError::Driver {
                    host: scenario.hosts[host].name.clone(),
                    source,
                };
                let params = SaParams::new(sa, association, direction, epoch);
                let device = network.host(host);
                device
                    .install_sa(&params, derivation.sa_keys(&key_name))
                    .map_err(driver)?;
                if direction == Direction::Write {
                    device.activate_sa(sa).map_err(driver)?;
                }
            }
            if expose {
                let keys = derivation.sa_keys(&key_name);
                file.associations.push(exposed(scenario, &ends[from], epoch, &keys));
            }
        }
    }
    Ok(file)
}

/// Name of an association in key derivation, the same at both ends.
pub(crate) fn link_name(scenario: &Scenario, link: &Link) -> String {
    let end = |end: usize| {
        format!(
            "{}/{}",
            scenario.hosts[link.hosts[end]].name, scenario.vnets[link.vnets[end]].name
        )
    };
    format!("{}|{}", end(0), end(1))
}

fn exposed(scenario: &Scenario, sender: &Association, epoch: u64, keys: &sealnic_driver::SaKeys) -> DirectionKeys {
    DirectionKeys {
        from: address_text(&sender.local_pa),
        to: address_text(&sender.peer_pa),
        src_port: sender.local_port,
        dst_port: sender.peer_port,
        dtls: match scenario.association.version {
            DtlsVersion::Dtls12 => "1.2",
            DtlsVersion::Dtls13 => "1.3",
        },
        cipher: match scenario.association.suite {
            CipherSuite::Aes128Gcm => "AES-128-GCM",
            CipherSuite::Aes256Gcm => "AES-256-GCM",
        },
        connection_id: hex(&sender.peer_cid[..usize::from(sender.peer_cid_len)]),
        vni: sender.peer_vni,
        epoch,
        key: hex(keys.expose_key()),
        iv: hex(keys.expose_iv()),
        sn_key: hex(keys.expose_sn_key()),
    }
}
