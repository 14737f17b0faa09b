//! The file as it is written: tables and fields with their places, nothing checked beyond their types.

use serde::Deserialize;
use toml::Spanned;

/// A field's text with its place in the file.
pub(super) type Text = Spanned<String>;
/// A field's number with its place in the file.
pub(super) type Number = Spanned<i64>;

/// All tables of a file.
#[derive(Debug, Default)]
pub(super) struct RawScenario {
    pub(super) name: Option<Text>,
    pub(super) secret: Option<Text>,
    pub(super) hosts: Vec<Spanned<RawHost>>,
    pub(super) vnets: Vec<Spanned<RawVnet>>,
    pub(super) peerings: Vec<Spanned<RawPeering>>,
    pub(super) vms: Vec<Spanned<RawVm>>,
    pub(super) exclusions: Vec<Spanned<RawExclusion>>,
    pub(super) gateways: Vec<Spanned<RawGateway>>,
    pub(super) association: RawAssociation,
    pub(super) underlay: RawUnderlay,
    pub(super) traffic: Option<RawTraffic>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawHost {
    pub(super) name: Text,
    pub(super) pa: Spanned<Vec<Text>>,
    pub(super) mac: Option<Text>,
    pub(super) underlay_mtu: Option<Number>,
    #[serde(default)]
    pub(super) nic: RawNic,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawNic {
    pub(super) flows: Option<Number>,
    pub(super) mappings: Option<Number>,
    pub(super) associations: Option<Number>,
    pub(super) ports: Option<Number>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawVnet {
    pub(super) name: Text,
    pub(super) vni: Number,
    pub(super) prefixes: Spanned<Vec<Text>>,
    #[serde(default)]
    pub(super) encryption: RawEncryption,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawEncryption {
    #[serde(default)]
    pub(super) enabled: bool,
    pub(super) enforcement: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPeering {
    pub(super) vnets: Spanned<Vec<Text>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawVm {
    pub(super) name: Text,
    pub(super) host: Text,
    pub(super) vnet: Text,
    pub(super) mac: Text,
    pub(super) addresses: Spanned<Vec<Text>>,
    pub(super) mtu: Option<Number>,
    #[serde(default = "yes")]
    pub(super) accelerated_networking: bool,
    #[serde(default = "yes")]
    pub(super) supported_sku: bool,
    #[serde(default = "yes")]
    pub(super) ready: bool,
    #[serde(default = "yes")]
    pub(super) discovery: bool,
}

const fn yes() -> bool {
    true
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawExclusion {
    pub(super) name: Text,
    pub(super) vnet: Text,
    pub(super) prefix: Text,
    /// A name or a number.
    pub(super) protocol: Option<Spanned<toml::Value>>,
    pub(super) port: Option<Number>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawGateway {
    pub(super) vnet: Text,
    pub(super) pa: Text,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAssociation {
    pub(super) dtls: Option<Text>,
    pub(super) cipher: Option<Text>,
    pub(super) connection_id: Option<Number>,
    pub(super) replay_window: Option<Number>,
    pub(super) underlay: Option<Text>,
    pub(super) dtls_port: Option<Number>,
    #[serde(default)]
    pub(super) state: Vec<RawPairState>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawUnderlay {
    pub(super) latency_ns: Option<Number>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPairState {
    pub(super) hosts: Spanned<Vec<Text>>,
    pub(super) state: Text,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTraffic {
    pub(super) capture: Text,
}
