//! One host's part of a scenario. Its driver and those of its peers may be different processes on different machines: what must be
//! equal at both ends of an association (connection ids, keys) follows from the scenario's secret and the run's id alone.

use rand_chacha::ChaCha12Rng;
use rand_core::SeedableRng;
use sealnic_abi::object::{CipherSuite, Direction, DtlsVersion};
use sealnic_driver::keys::{KeyName, Sender};
use sealnic_driver::{DesiredState, KeyDerivation, RunId, SaKeys};

use super::Scenario;
use crate::run::keys::link_name;

/// One host's part of a scenario in one run.
pub struct End {
    /// What its driver programs.
    pub state: DesiredState,
    derivation: KeyDerivation,
    version: DtlsVersion,
    suite: CipherSuite,
    /// Name of each association by its number, and which end of it this host is.
    links: Vec<(String, Sender)>,
}

impl Scenario {
    /// Index of the host of that name.
    #[must_use]
    pub fn host_named(&self, name: &str) -> Option<usize> {
        self.hosts.iter().position(|host| host.name == name)
    }

    /// A host's part, by index. The same file, host and run give the same part, whoever asks.
    #[must_use]
    pub fn end(&self, host: usize, run_id: &RunId) -> End {
        let derivation = KeyDerivation::new(self.secret.expose(), run_id);
        let mut rng = ChaCha12Rng::from_seed(derivation.seed(b"connection ids"));
        let associations = self.associations(&mut rng).swap_remove(host);
        // A device takes its hash key once, so a new run must not bring another: it hangs on secret and host alone.
        let mut purpose = b"flow hash of ".to_vec();
        purpose.extend_from_slice(self.hosts[host].name.as_bytes());
        let seed = KeyDerivation::new(self.secret.expose(), &RunId::UNSAFE_FIXED).seed(&purpose);
        let mut hash_key = [0; 16];
        hash_key.copy_from_slice(&seed[..16]);
        let links = self.links().into_iter().filter_map(|link| {
            let name = link_name(self, &link);
            match link.hosts {
                [first, _] if first == host => Some((name, Sender::First)),
                [_, second] if second == host => Some((name, Sender::Second)),
                _ => None,
            }
        });
        End {
            links: links.collect(),
            state: self.host_state(host, hash_key, associations),
            derivation,
            version: self.association.version,
            suite: self.association.suite,
        }
    }
}

impl End {
    /// Epoch of the first keys (RFC 6347 section 4.1, RFC 9147 section 6.1).
    #[must_use]
    pub const fn first_epoch(&self) -> u64 {
        match self.version {
            DtlsVersion::Dtls12 => 1,
            DtlsVersion::Dtls13 => 3,
        }
    }

    /// Keys of an association's direction, as seen from this host; `None` when the scenario has no such association.
    #[must_use]
    pub fn keys(&self, association: u32, direction: Direction, epoch: u64) -> Option<SaKeys> {
        let (name, own) = self.links.get(usize::try_from(association).ok()?)?;
        let sender = match (direction, own) {
            (Direction::Write, own) => *own,
            (Direction::Read, Sender::First) => Sender::Second,
            (Direction::Read, Sender::Second) => Sender::First,
        };
        Some(self.derivation.sa_keys(&KeyName {
            association: name.as_bytes(),
            sender,
            epoch,
            version: self.version,
            suite: self.suite,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn scenario() -> Scenario {
        Scenario::load(Path::new(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../examples/two-hosts.toml"
        )))
        .unwrap()
    }

    #[test]
    fn what_one_end_seals_with_the_other_opens_with() {
        let scenario = scenario();
        let run = RunId::from_octets([5; 16]);
        let [a, b] = [0, 1].map(|host| scenario.end(host, &run));
        for epoch in [a.first_epoch(), a.first_epoch() + 1] {
            for (one, other) in [(&a, &b), (&b, &a)] {
                let seal = one.keys(0, Direction::Write, epoch).unwrap();
                let open = other.keys(0, Direction::Read, epoch).unwrap();
                assert!(seal.expose_key() == open.expose_key() && seal.expose_iv() == open.expose_iv());
                let back = one.keys(0, Direction::Read, epoch).unwrap();
                assert!(seal.expose_key() != back.expose_key());
            }
        }
        assert!(a.keys(1, Direction::Write, 3).is_none());
        let [at_a, at_b] = [a.state.associations[0], b.state.associations[0]];
        assert_eq!((at_a.local_cid, at_a.peer_cid), (at_b.peer_cid, at_b.local_cid));
        assert_ne!(at_a.local_cid, at_a.peer_cid);
    }

    #[test]
    fn a_new_run_brings_new_connection_ids_and_keys_and_the_same_device_configuration() {
        let scenario = scenario();
        let [one, two] = [1, 2].map(|run| scenario.end(0, &RunId::from_octets([run; 16])));
        assert_ne!(one.state.associations[0].local_cid, two.state.associations[0].local_cid);
        assert_eq!(one.state.config, two.state.config);
        assert_ne!(
            one.state.config.hash_key,
            scenario.end(1, &RunId::from_octets([1; 16])).state.config.hash_key
        );
        let key = |end: &End| end.keys(0, Direction::Write, 3).unwrap().expose_key().to_vec();
        assert!(key(&one) != key(&two));
    }
}
