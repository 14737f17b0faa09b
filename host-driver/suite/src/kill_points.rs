//! Where a daemon is killed, named once for every device that it is killed on. What the names mean stands with the driver's feature
//! `fault-points`; where the device outlives its daemon it goes on, and where it doesn't it is reset.

/// Points at which the device is still being programmed: nothing is forwarded yet.
pub const PROGRAMMING: [&str; 14] = [
    "before:Configure:1",
    "rung:Configure:1",
    "half:VnetSet:1",
    "rung:VnetSet:1",
    "after:PortSet:1",
    "rung:PortAddressAdd:2",
    "before:MappingSet:1",
    "rung:MappingSet:2",
    "rung:AssociationSet:1",
    "at:run-claimed:1",
    "before:SaInstall:1",
    "rung:SaInstall:1",
    "rung:SaInstall:2",
    "before:SaActivate:1",
];

/// A point in traffic.
#[derive(Debug, Clone, Copy)]
pub struct TrafficPoint {
    /// The point.
    pub name: &'static str,
    /// What a client asks for to get there; without, the daemon gets there by itself.
    pub ask: Option<Ask>,
}

/// What a client asks a daemon for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// All counters.
    Stats,
    /// The removal of all flow entries.
    FlushFlows,
    /// All flow entries.
    ListFlows,
    /// The first step of association 0's rotation.
    Prepare,
    /// All steps of it at once; the peer has prepared.
    Rotate,
    /// The last step of it; both ends have switched.
    Finish,
}

impl Ask {
    /// On the command line.
    #[must_use]
    pub const fn args(self) -> &'static [&'static str] {
        match self {
            Self::Stats => &["stats"],
            Self::FlushFlows => &["flow", "flush"],
            Self::ListFlows => &["flow", "list"],
            Self::Prepare => &["sa", "rotate", "0", "--step", "prepare"],
            Self::Rotate => &["sa", "rotate", "0"],
            Self::Finish => &["sa", "rotate", "0", "--step", "finish"],
        }
    }

    /// On the socket: the operation and its arguments.
    #[must_use]
    pub const fn operation(self) -> (&'static str, &'static str) {
        match self {
            Self::Stats => ("stats", "{}"),
            Self::FlushFlows => ("flow-flush", "{}"),
            Self::ListFlows => ("flow-list", "{}"),
            Self::Prepare => ("sa-rotate", r#"{"association":0,"step":"prepare"}"#),
            Self::Rotate => ("sa-rotate", r#"{"association":0}"#),
            Self::Finish => ("sa-rotate", r#"{"association":0,"step":"finish"}"#),
        }
    }

    /// Whether keys change, so that the peer has to take part.
    #[must_use]
    pub const fn is_rotation(self) -> bool {
        matches!(self, Self::Prepare | Self::Rotate | Self::Finish)
    }
}

const fn at(name: &'static str, ask: Option<Ask>) -> TrafficPoint {
    TrafficPoint { name, ask }
}

/// Points in traffic.
pub const TRAFFIC: [TrafficPoint; 10] = [
    at("rung:SaActivate:1", None),
    at("at:event-read:1", None),
    at("at:events-told:1", None),
    at("rung:Counters:1", Some(Ask::Stats)),
    at("rung:FlowFlush:1", Some(Ask::FlushFlows)),
    at("half:FlowList:1", Some(Ask::ListFlows)),
    at("rung:SaInstall:3", Some(Ask::Prepare)),
    at("after:SaInstall:4", Some(Ask::Prepare)),
    at("rung:SaActivate:2", Some(Ask::Rotate)),
    at("rung:SaRetire:1", Some(Ask::Finish)),
];
