//! What clients program, as JSON: the ABI's objects with names instead of numbers. What a list shows can be given back.

use super::text::{BadText, Mac, Name, Named, Octets, Prefix, SecretOctets};
use crate::device::SaParams;
use crate::error::Error;
use crate::keys::SaKeys;
use sealnic_abi::object::{
    Address, Association, AssociationState, Capability, CipherSuite, Direction, DtlsVersion, Enforcement, Exclusion,
    Mapping, MappingKind, Port, PortAddress, Vnet,
};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// The default of a read SA's overlap, in milliseconds.
const OVERLAP_MS: u32 = 1000;
/// The default replay window, in records.
const REPLAY_WINDOW: u16 = 1024;
/// The default MTU of a VM, in octets.
const MTU: u16 = 1500;
/// The default UDP port of records.
const DTLS_PORT: u16 = 4433;

/// The name behind a number that the device gave.
fn named<E: Named>(number: u8) -> Result<Name<E>, Error> {
    E::from_number(number).map(Name).map_err(|_| Error::Misbehaving {
        what: "an object has a value that this driver doesn't know",
    })
}

fn prefix(address: Address, len: u8) -> Result<Prefix, Error> {
    Prefix::from_abi(address, len).ok_or(Error::Misbehaving {
        what: "an object has an address of no known family",
    })
}

fn optional(address: Option<IpAddr>) -> Address {
    address.map_or(Address::ZERO, Address::from)
}

const fn yes() -> bool {
    true
}

const fn no() -> bool {
    false
}

const fn mtu() -> u16 {
    MTU
}

const fn dtls_port() -> u16 {
    DTLS_PORT
}

const fn replay_window() -> u16 {
    REPLAY_WINDOW
}

/// Whether a truth is left out where it is the default.
const fn is_no(value: &bool) -> bool {
    !*value
}

const fn overlap_ms() -> u32 {
    OVERLAP_MS
}

const fn allow() -> Name<Enforcement> {
    Name(Enforcement::AllowUnencrypted)
}

const fn supported() -> Name<Capability> {
    Name(Capability::Supported)
}

const fn vm() -> Name<MappingKind> {
    Name(MappingKind::Vm)
}

const fn not_ready() -> Name<AssociationState> {
    Name(AssociationState::NotReady)
}

const fn dtls13() -> Name<DtlsVersion> {
    Name(DtlsVersion::Dtls13)
}

const fn aes256() -> Name<CipherSuite> {
    Name(CipherSuite::Aes256Gcm)
}

/// A VNet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VnetSpec {
    /// VNI, 24 bits.
    pub vni: u32,
    /// Encryption is enabled.
    #[serde(default = "no")]
    pub encryption: bool,
    /// What happens to traffic that can't be encrypted.
    #[serde(default = "allow")]
    pub enforcement: Name<Enforcement>,
}

impl VnetSpec {
    /// As the device takes it.
    #[must_use]
    pub fn to_abi(&self) -> Vnet {
        Vnet {
            vni: self.vni,
            encryption: self.encryption.into(),
            enforcement: self.enforcement.0.into(),
            ..Vnet::ZERO
        }
    }

    /// As the device lists it.
    ///
    /// # Errors
    /// A value is unknown.
    pub fn from_abi(vnet: &Vnet) -> Result<Self, Error> {
        Ok(Self {
            vni: vnet.vni,
            encryption: vnet.encryption != 0,
            enforcement: named(vnet.enforcement)?,
        })
    }
}

/// A port and the prefixes under which it is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PortSpec {
    /// Port number.
    pub port: u16,
    /// VNI of its VNet.
    pub vni: u32,
    /// MAC of the VM.
    pub mac: Mac,
    /// Greatest IP packet, in octets.
    #[serde(default = "mtu")]
    pub mtu: u16,
    /// What is known of the VM's ability to encrypt.
    #[serde(default = "supported")]
    pub capability: Name<Capability>,
    /// Whether frames flow.
    #[serde(default = "yes")]
    pub up: bool,
    /// Any source MAC is accepted.
    #[serde(default = "no")]
    pub any_mac: bool,
    /// The host stands in for the VM: its frames come and go by the daemon (`sealnic frame`).
    #[serde(default = "no", skip_serializing_if = "is_no")]
    pub representor: bool,
    /// Its prefixes. Absent: they stay as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addresses: Option<Vec<Prefix>>,
}

impl PortSpec {
    /// The port as the device takes it.
    #[must_use]
    pub fn to_abi(&self) -> Port {
        Port {
            vni: self.vni,
            port: self.port,
            mtu: self.mtu,
            mac: self.mac.0,
            capability: self.capability.0.into(),
            up: self.up.into(),
            any_mac: self.any_mac.into(),
            representor: self.representor.into(),
            ..Port::ZERO
        }
    }

    /// A prefix of it as the device takes it.
    #[must_use]
    pub fn address(&self, prefix: &Prefix) -> PortAddress {
        PortAddress {
            prefix: prefix.to_abi(),
            port: self.port,
            prefix_len: prefix.len,
            ..PortAddress::ZERO
        }
    }

    /// As the device lists it, with its share of all addresses.
    ///
    /// # Errors
    /// A value is unknown.
    pub fn from_abi(port: &Port, addresses: &[PortAddress]) -> Result<Self, Error> {
        let own = addresses.iter().filter(|address| address.port == port.port);
        Ok(Self {
            port: port.port,
            vni: port.vni,
            mac: Mac(port.mac),
            mtu: port.mtu,
            capability: named(port.capability)?,
            up: port.up != 0,
            any_mac: port.any_mac != 0,
            representor: port.representor != 0,
            addresses: Some(
                own.map(|address| prefix(address.prefix, address.prefix_len))
                    .collect::<Result<_, _>>()?,
            ),
        })
    }
}

/// A mapping.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MappingSpec {
    /// Source VNI.
    pub vni: u32,
    /// Customer address or prefix.
    pub prefix: Prefix,
    /// Destination VNI; the source's when absent.
    #[serde(default)]
    pub dst_vni: Option<u32>,
    /// What it leads to.
    #[serde(default = "vm")]
    pub kind: Name<MappingKind>,
    /// Host that has it; none for an unreachable range.
    #[serde(default)]
    pub pa: Option<IpAddr>,
    /// MAC that neighbour requests for it are answered with.
    #[serde(default)]
    pub mac: Mac,
    /// What is known of the peer's ability to encrypt.
    #[serde(default = "supported")]
    pub capability: Name<Capability>,
    /// Revision of the store it came from.
    #[serde(default)]
    pub revision: u32,
}

impl MappingSpec {
    /// As the device takes it.
    #[must_use]
    pub fn to_abi(&self) -> Mapping {
        Mapping {
            src_vni: self.vni,
            dst_vni: self.dst_vni.unwrap_or(self.vni),
            prefix: self.prefix.to_abi(),
            pa: optional(self.pa),
            peer_mac: self.mac.0,
            prefix_len: self.prefix.len,
            kind: self.kind.0.into(),
            capability: self.capability.0.into(),
            revision: self.revision,
            ..Mapping::ZERO
        }
    }

    /// As the device lists it.
    ///
    /// # Errors
    /// A value is unknown.
    pub fn from_abi(mapping: &Mapping) -> Result<Self, Error> {
        Ok(Self {
            vni: mapping.src_vni,
            prefix: prefix(mapping.prefix, mapping.prefix_len)?,
            dst_vni: Some(mapping.dst_vni),
            kind: named(mapping.kind)?,
            pa: mapping.pa.to_ip(),
            mac: Mac(mapping.peer_mac),
            capability: named(mapping.capability)?,
            revision: mapping.revision,
        })
    }
}

/// A mapping by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MappingName {
    /// Source VNI.
    pub vni: u32,
    /// Customer address or prefix.
    pub prefix: Prefix,
}

impl MappingName {
    /// As the device takes it: only VNI and prefix count.
    #[must_use]
    pub fn to_abi(&self) -> Mapping {
        Mapping {
            src_vni: self.vni,
            prefix: self.prefix.to_abi(),
            prefix_len: self.prefix.len,
            ..Mapping::ZERO
        }
    }
}

/// An association.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssociationSpec {
    /// Number.
    pub id: u32,
    /// Our VNI.
    pub local_vni: u32,
    /// Their VNI; ours when absent.
    #[serde(default)]
    pub peer_vni: Option<u32>,
    /// Our provider address.
    pub local_pa: IpAddr,
    /// Their provider address.
    pub peer_pa: IpAddr,
    /// Our UDP port.
    #[serde(default = "dtls_port")]
    pub local_port: u16,
    /// Their UDP port.
    #[serde(default = "dtls_port")]
    pub peer_port: u16,
    /// DTLS version.
    #[serde(default = "dtls13")]
    pub version: Name<DtlsVersion>,
    /// Record cipher.
    #[serde(default = "aes256")]
    pub cipher: Name<CipherSuite>,
    /// State.
    #[serde(default = "not_ready")]
    pub state: Name<AssociationState>,
    /// Connection id that we send, chosen by the peer.
    #[serde(default)]
    pub peer_cid: Octets,
    /// Connection id that the peer sends, chosen by us.
    #[serde(default)]
    pub local_cid: Octets,
    /// Replay window, in records.
    #[serde(default = "replay_window")]
    pub replay_window: u16,
    /// Time for which a retiring read SA still opens records, in milliseconds.
    #[serde(default = "overlap_ms")]
    pub overlap_ms: u32,
}

fn cid(octets: &Octets, which: &str) -> Result<([u8; 20], u8), BadText> {
    let mut cid = [0; 20];
    let len = octets.0.len();
    let room = cid.get_mut(..len);
    let room = room.ok_or_else(|| BadText(format!("{which} has {len} octets, a connection id at most 20")))?;
    room.copy_from_slice(&octets.0);
    Ok((cid, u8::try_from(len).unwrap_or(0)))
}

impl AssociationSpec {
    /// As the device takes it.
    ///
    /// # Errors
    /// A connection id is too long.
    pub fn to_abi(&self) -> Result<Association, BadText> {
        let (peer_cid, peer_cid_len) = cid(&self.peer_cid, "peer_cid")?;
        let (local_cid, local_cid_len) = cid(&self.local_cid, "local_cid")?;
        Ok(Association {
            id: self.id,
            local_vni: self.local_vni,
            peer_vni: self.peer_vni.unwrap_or(self.local_vni),
            local_pa: self.local_pa.into(),
            peer_pa: self.peer_pa.into(),
            local_port: self.local_port,
            peer_port: self.peer_port,
            version: self.version.0.into(),
            suite: self.cipher.0.into(),
            state: self.state.0.into(),
            peer_cid_len,
            peer_cid,
            local_cid_len,
            replay_window: self.replay_window,
            local_cid,
            overlap_ms: self.overlap_ms,
            ..Association::ZERO
        })
    }

    /// As the device lists it.
    ///
    /// # Errors
    /// A value is unknown.
    pub fn from_abi(association: &Association) -> Result<Self, Error> {
        let address = |address: Address| prefix(address, 0).map(|prefix| prefix.address);
        let cid = |cid: &[u8; 20], len: u8| {
            let octets = cid.get(..usize::from(len)).ok_or(Error::Misbehaving {
                what: "an association has a connection id that is too long",
            });
            octets.map(|octets| Octets(octets.to_vec()))
        };
        Ok(Self {
            id: association.id,
            local_vni: association.local_vni,
            peer_vni: Some(association.peer_vni),
            local_pa: address(association.local_pa)?,
            peer_pa: address(association.peer_pa)?,
            local_port: association.local_port,
            peer_port: association.peer_port,
            version: named(association.version)?,
            cipher: named(association.suite)?,
            state: named(association.state)?,
            peer_cid: cid(&association.peer_cid, association.peer_cid_len)?,
            local_cid: cid(&association.local_cid, association.local_cid_len)?,
            replay_window: association.replay_window,
            overlap_ms: association.overlap_ms,
        })
    }
}

/// An exclusion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExclusionSpec {
    /// Number.
    pub id: u32,
    /// Source VNI.
    pub vni: u32,
    /// Destinations.
    pub prefix: Prefix,
    /// IP protocol; any when absent.
    #[serde(default)]
    pub protocol: Option<u8>,
    /// Destination port; any when absent.
    #[serde(default)]
    pub port: Option<u16>,
}

impl ExclusionSpec {
    /// As the device takes it.
    #[must_use]
    pub fn to_abi(&self) -> Exclusion {
        Exclusion {
            id: self.id,
            vni: self.vni,
            prefix: self.prefix.to_abi(),
            dst_port: self.port.unwrap_or(0),
            prefix_len: self.prefix.len,
            protocol: self.protocol.unwrap_or(0),
        }
    }

    /// As the device lists it.
    ///
    /// # Errors
    /// A value is unknown.
    pub fn from_abi(exclusion: &Exclusion) -> Result<Self, Error> {
        Ok(Self {
            id: exclusion.id,
            vni: exclusion.vni,
            prefix: prefix(exclusion.prefix, exclusion.prefix_len)?,
            protocol: Some(exclusion.protocol).filter(|protocol| *protocol != 0),
            port: Some(exclusion.dst_port).filter(|port| *port != 0),
        })
    }
}

/// An SA with the keys that a handshake gave. It can only be read, never written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SaSpec {
    /// SA number.
    pub sa: u32,
    /// Association it belongs to; its version and cipher must fit the keys.
    pub association: u32,
    /// Direction.
    pub direction: Name<Direction>,
    /// Epoch.
    pub epoch: u64,
    /// DTLS version.
    #[serde(default = "dtls13")]
    pub version: Name<DtlsVersion>,
    /// Record cipher.
    #[serde(default = "aes256")]
    pub cipher: Name<CipherSuite>,
    /// First sequence number to seal with, or expected to be opened.
    #[serde(default)]
    pub first_sequence: u64,
    /// AES key.
    pub key: SecretOctets,
    /// IV, or salt in DTLS 1.2.
    pub iv: SecretOctets,
    /// Record-number key; none in DTLS 1.2.
    #[serde(default)]
    pub sn_key: SecretOctets,
}

impl SaSpec {
    /// What to install.
    ///
    /// # Errors
    /// A key's length doesn't fit version and cipher.
    pub fn take(self) -> Result<(SaParams, SaKeys), BadText> {
        let params = SaParams {
            first_seq: self.first_sequence,
            ..SaParams::new(self.sa, self.association, self.direction.0, self.epoch)
        };
        let keys = SaKeys::new(self.version.0, self.cipher.0, &self.key.0, &self.iv.0, &self.sn_key.0);
        Ok((params, keys.map_err(|error| BadText(error.to_string()))?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_listed_can_be_given_back() {
        let port = PortSpec {
            port: 3,
            vni: 100,
            mac: Mac([2, 0, 0, 0, 0, 1]),
            mtu: 9000,
            capability: Name(Capability::NoDiscovery),
            up: false,
            any_mac: true,
            representor: true,
            addresses: Some(vec!["10.1.0.4/32".parse().unwrap(), "fd00::/64".parse().unwrap()]),
        };
        let addresses: Vec<_> = port.addresses.iter().flatten().map(|a| port.address(a)).collect();
        let listed = PortSpec::from_abi(&port.to_abi(), &addresses).unwrap();
        assert_eq!(
            serde_json::from_str::<PortSpec>(&serde_json::to_string(&listed).unwrap()).unwrap(),
            port
        );

        let text =
            r#"{"id":1,"local_vni":100,"local_pa":"192.0.2.1","peer_pa":"192.0.2.2","local_cid":"0102030405060708"}"#;
        let association: AssociationSpec = serde_json::from_str(text).unwrap();
        let listed = AssociationSpec::from_abi(&association.to_abi().unwrap()).unwrap();
        assert_eq!(listed.peer_vni, Some(100));
        assert_eq!(listed.to_abi(), association.to_abi());

        let text = r#"{"vni":100,"prefix":"10.1.0.0/16","kind":"unreachable"}"#;
        let mapping: MappingSpec = serde_json::from_str(text).unwrap();
        assert_eq!(
            MappingSpec::from_abi(&mapping.to_abi()).unwrap().to_abi(),
            mapping.to_abi()
        );

        let text = r#"{"id":7,"vni":100,"prefix":"10.1.0.0/16","port":53}"#;
        let exclusion: ExclusionSpec = serde_json::from_str(text).unwrap();
        assert_eq!(ExclusionSpec::from_abi(&exclusion.to_abi()).unwrap(), exclusion);
    }

    #[test]
    fn a_typing_error_in_a_field_is_no_default() {
        assert!(serde_json::from_str::<VnetSpec>(r#"{"vni":1,"enforcment":"DropUnencrypted"}"#).is_err());
    }
}
