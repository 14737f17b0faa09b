//! The protocol on the socket: one line of JSON for a request, one or more for its answer.
//!
//! ```text
//! → {"v":1,"id":7,"op":"mapping-list"}
//! ← {"id":7,"more":[{"vni":100,…},…]}
//! ← {"id":7,"ok":{"count":2}}
//! → {"v":1,"id":8,"op":"vnet-remove","args":{"items":[300]}}
//! ← {"id":8,"error":{"kind":"device","message":"VNet 300: VnetRemove: no such object"}}
//! ```
//!
//! `more` lines belong to an answer that isn't finished; `ok` or `error` ends it. A connection carries one request at a time.

use super::spec::{AssociationSpec, ExclusionSpec, MappingName, MappingSpec, PortSpec, SaSpec, VnetSpec};
use super::text::{Name, Octets};
use sealnic_abi::object::AssociationState;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

/// Version of the protocol: raised when an older client can't speak to a newer daemon.
pub const PROTOCOL_VERSION: u32 = 1;
/// Longest request, in octets, its end of line included.
pub const MAX_REQUEST_LEN: usize = 1 << 20;
/// Longest line of an answer that a client accepts, in octets.
pub const MAX_ANSWER_LEN: usize = 1 << 20;

/// A request as it stands on its line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request<'a> {
    /// [`PROTOCOL_VERSION`].
    pub v: u32,
    /// Repeated in every line of the answer.
    #[serde(default)]
    pub id: u64,
    /// What to do.
    pub op: &'a str,
    /// With what.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub args: Option<&'a RawValue>,
}

/// One line of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The request's.
    pub id: u64,
    /// The rest.
    #[serde(flatten)]
    pub body: Body,
}

/// What a line of an answer says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Body {
    /// Part of the answer; another line follows.
    More(Value),
    /// It is done.
    Ok(Value),
    /// It is not done.
    Error(Failure),
}

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// For programs.
    pub kind: FailureKind,
    /// For people: what failed, where, what to do.
    pub message: String,
}

/// Kinds of failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// The line is no request, or its arguments make no sense.
    BadRequest,
    /// The client speaks another version of the protocol.
    Version,
    /// The daemon has as many clients as it takes.
    Busy,
    /// There is no such object.
    NotFound,
    /// The device refused, or failed.
    Device,
    /// The device can't be reached.
    Unreachable,
    /// The desired state can't be loaded or programmed.
    Desired,
    /// The daemon is stopping.
    Stopping,
}

impl Failure {
    /// A failure.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    /// The request makes no sense.
    pub fn bad(message: impl Into<String>) -> Self {
        Self::new(FailureKind::BadRequest, message)
    }
}

/// No arguments.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// Several objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Items<T> {
    /// The objects, taken in order; the first that is refused ends the request, those before it are in place.
    pub items: Vec<T>,
}

/// Whether frames flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enable {
    /// Whether they shall.
    pub on: bool,
}

/// Which flow entries to remove; all when nothing is given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flush {
    /// Egress entries of this port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Ingress entries of this VNI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vni: Option<u32>,
}

/// A new state of an association.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Declare {
    /// Association.
    pub id: u32,
    /// State.
    pub state: Name<AssociationState>,
}

/// Which association gets the keys of its next epoch, and how far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rotate {
    /// Association.
    pub association: u32,
    /// How far.
    #[serde(default)]
    pub step: RotateStep,
}

/// Steps of a rotation. For one without loss, both ends do each before either does the next.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RotateStep {
    /// Install the keys of the next epoch: both epochs can be opened, the old one is sealed with.
    Prepare,
    /// Seal with the next epoch.
    Switch,
    /// Retire the old epoch's read SA.
    Finish,
    /// All of these.
    #[default]
    All,
}

/// Frames as if the VM behind a port had sent them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrameSend {
    /// A port whose VM the host stands in for.
    pub port: u16,
    /// The frames, from their Ethernet headers on.
    pub items: Vec<Octets>,
}

/// How much of the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tail {
    /// Greatest number of past events; the daemon keeps the last 4096.
    #[serde(default)]
    pub last: Option<usize>,
    /// Go on with events as they come, until the connection ends.
    #[serde(default)]
    pub follow: bool,
}

macro_rules! ops {
    ($( $(#[doc = $doc:literal])* $variant:ident($args:ty) = $name:literal, )*) => {
        /// What a client asks for.
        #[derive(Debug)]
        pub enum Op { $( $(#[doc = $doc])* $variant($args), )* }

        impl Op {
            /// Every name.
            pub const NAMES: &'static [&'static str] = &[ $( $name, )* ];

            /// Its name on the line.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self { $( Self::$variant(_) => $name, )* }
            }

            /// The operation of that name.
            ///
            /// # Errors
            /// There is none, or the arguments aren't its.
            pub fn parse(name: &str, args: Option<&RawValue>) -> Result<Self, Failure> {
                let args = args.map_or("{}", RawValue::get);
                match name {
                    $( $name => serde_json::from_str(args).map(Self::$variant), )*
                    _ => {
                        return Err(Failure::bad(format!("{name:?} is no operation; there are {}", Self::NAMES.join(", "))));
                    }
                }
                .map_err(|error| Failure::bad(format!("the arguments of {name} can't be read: {error}")))
            }
        }
    };
}

ops! {
    /// Who and how the device is.
    DeviceInfo(Nothing) = "device-info",
    /// Reset the device; what a scenario says is programmed again, without keys.
    DeviceReset(Nothing) = "device-reset",
    /// Let frames flow, or stop them.
    DeviceEnable(Enable) = "device-enable",
    /// Load the desired state again and program it.
    Reload(Nothing) = "reload",
    /// List VNets.
    VnetList(Nothing) = "vnet-list",
    /// Add or change VNets.
    VnetAdd(Items<VnetSpec>) = "vnet-add",
    /// Remove VNets by VNI.
    VnetRemove(Items<u32>) = "vnet-remove",
    /// List ports with their addresses.
    PortList(Nothing) = "port-list",
    /// Add or change ports.
    PortAdd(Items<PortSpec>) = "port-add",
    /// Remove ports by number.
    PortRemove(Items<u16>) = "port-remove",
    /// List mappings.
    MappingList(Nothing) = "mapping-list",
    /// Add or change mappings.
    MappingAdd(Items<MappingSpec>) = "mapping-add",
    /// Remove mappings.
    MappingRemove(Items<MappingName>) = "mapping-remove",
    /// List associations.
    AssociationList(Nothing) = "association-list",
    /// Add associations, or change their state and overlap.
    AssociationAdd(Items<AssociationSpec>) = "association-add",
    /// Declare an association's state.
    AssociationState(Declare) = "association-state",
    /// Remove associations and their keys by number.
    AssociationRemove(Items<u32>) = "association-remove",
    /// List SAs.
    SaList(Nothing) = "sa-list",
    /// Install an SA.
    SaAdd(SaSpec) = "sa-add",
    /// Seal with these SAs.
    SaActivate(Items<u32>) = "sa-activate",
    /// Retire SAs: a read SA still opens for the overlap.
    SaRetire(Items<u32>) = "sa-retire",
    /// Remove SAs and their keys at once.
    SaRemove(Items<u32>) = "sa-remove",
    /// Give an association the static keys of its next epoch.
    SaRotate(Rotate) = "sa-rotate",
    /// List exclusions.
    ExclusionList(Nothing) = "exclusion-list",
    /// Add or change exclusions.
    ExclusionAdd(Items<ExclusionSpec>) = "exclusion-add",
    /// Remove exclusions by number.
    ExclusionRemove(Items<u32>) = "exclusion-remove",
    /// List flow entries.
    FlowList(Nothing) = "flow-list",
    /// Remove flow entries.
    FlowFlush(Flush) = "flow-flush",
    /// Send frames as if the VM behind a port had sent them.
    FrameSend(FrameSend) = "frame-send",
    /// Take the frames that come up to the host, until the connection ends.
    FrameFollow(Nothing) = "frame-follow",
    /// Read all counters.
    Stats(Nothing) = "stats",
    /// Events, those past and those to come.
    Log(Tail) = "log",
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Op, Failure> {
        let request: Request<'_> = serde_json::from_str(line).map_err(|error| Failure::bad(error.to_string()))?;
        Op::parse(request.op, request.args)
    }

    #[test]
    fn requests_are_read_and_strange_ones_are_refused() {
        assert!(matches!(
            parse(r#"{"v":1,"id":1,"op":"vnet-list"}"#),
            Ok(Op::VnetList(_))
        ));
        let flush = parse(r#"{"v":1,"op":"flow-flush","args":{"port":3}}"#);
        assert!(matches!(
            flush,
            Ok(Op::FlowFlush(Flush {
                port: Some(3),
                vni: None
            }))
        ));
        for line in [
            "",
            "{}",
            "[]",
            "1",
            r#"{"v":1,"op":"vnet-list","more":1}"#,
            r#"{"v":1,"op":"vnet-lists"}"#,
            r#"{"v":1,"op":"vnet-list","args":{"x":1}}"#,
            r#"{"v":1,"op":"vnet-remove"}"#,
            r#"{"v":1,"op":"vnet-remove","args":{"items":[-1]}}"#,
            r#"{"v":1,"op":"sa-rotate","args":{"association":1,"step":"half"}}"#,
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_refused_key_is_not_repeated() {
        let line = r#"{"v":1,"op":"sa-add","args":{"sa":1,"association":1,"direction":"read","epoch":3,"key":"c0ffee","iv":"c0ffeX"}}"#;
        let message = parse(line).unwrap_err().message;
        assert!(!message.contains("c0ffe"), "{message}");
    }

    #[test]
    fn answers_are_one_object_each() {
        let answer = Answer {
            id: 3,
            body: Body::Error(Failure::bad("no")),
        };
        let text = serde_json::to_string(&answer).unwrap();
        assert_eq!(text, r#"{"id":3,"error":{"kind":"bad-request","message":"no"}}"#);
        assert_eq!(serde_json::from_str::<Answer>(&text).unwrap(), answer);
    }
}
