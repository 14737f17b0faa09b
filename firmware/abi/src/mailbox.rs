//! The mailbox: message framing, opcodes, and commands tied to their responses by one trait.
//!
//! A message is a [`MessageHeader`] and a payload of exactly the command's size. The host writes a request into the
//! request window and rings the doorbell; the device answers in the response window. A request that repeats the sequence
//! number of the last one handled is not carried out again: the device returns the stored answer, so a retry after a
//! timeout is always safe. Every command is also idempotent by itself: setting what is already set succeeds.

use crate::event::Event;
use crate::fields::{FieldType, abi_enum, abi_struct};
use crate::flow::{FlowAction, FlowCounters, FlowKey};
use crate::object::{Association, DeviceConfig, Exclusion, Mapping, Port, PortAddress, SaInstall, SaState, Vnet};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Size of the request window and of the response window, in octets.
pub const WINDOW_LEN: usize = 4096;
/// Greatest payload, in octets.
pub const MAX_PAYLOAD: usize = WINDOW_LEN - size_of::<MessageHeader>();

abi_struct! {
    /// Header of requests and responses.
    pub struct MessageHeader: 16 {
        /// `Opcode`; a response repeats the request's.
        opcode: u16,
        /// Request: 0. Response: `Status`.
        status: u16,
        /// Chosen by the host, not 0; a response repeats the request's.
        sequence: u32,
        /// Payload length, in octets.
        payload_len: u16,
        /// Response with an error: offset of the payload octet at fault, or 0.
        detail: u16,
        /// CRC-32C of header (this field zero) and payload.
        checksum: u32,
    }
}

abi_enum! {
    /// Outcome of a command.
    pub enum Status: u16 {
        /// Done.
        Ok = 0,
        /// Opcode unknown.
        BadOpcode = 1,
        /// Length doesn't fit the command or the window.
        BadLength = 2,
        /// Checksum wrong.
        BadChecksum = 3,
        /// A field's value is not allowed; `detail` is its offset.
        BadParameter = 4,
        /// No such object.
        NotFound = 5,
        /// An object of that name exists and differs, or is in use.
        Conflict = 6,
        /// No room.
        Full = 7,
        /// The generation is not the current one.
        StaleGeneration = 8,
        /// This key has been installed before.
        KeyReused = 9,
        /// Not in this state.
        WrongState = 10,
        /// As many read epochs are live as may be.
        TooManyEpochs = 11,
        /// The device is not configured yet.
        NotConfigured = 12,
        /// The host's revision is older than the one in place.
        StaleRevision = 13,
        /// The operation failed inside (self-test, sealing).
        Failed = 14,
    }
}

impl core::fmt::Display for Status {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Ok => "done",
            Self::BadOpcode => "the device doesn't know this command",
            Self::BadLength => "message length doesn't fit the command",
            Self::BadChecksum => "message checksum wrong",
            Self::BadParameter => "a field's value is not allowed",
            Self::NotFound => "no such object",
            Self::Conflict => "object exists and differs, or is in use",
            Self::Full => "table full",
            Self::StaleGeneration => "keys were made for another device generation",
            Self::KeyReused => "this key has been installed before",
            Self::WrongState => "not possible in the object's present state",
            Self::TooManyEpochs => "as many read epochs are live as may be",
            Self::NotConfigured => "device not configured yet",
            Self::StaleRevision => "a newer revision is in place",
            Self::Failed => "operation failed inside the device",
        })
    }
}

abi_enum! {
    /// Commands.
    pub enum Opcode: u16 {
        /// Who the device is and what it can hold.
        Identify = 1,
        /// Device-wide configuration.
        Configure = 2,
        /// Add or change a VNet.
        VnetSet = 16,
        /// Remove a VNet.
        VnetRemove = 17,
        /// List VNets.
        VnetList = 18,
        /// Add or change a port.
        PortSet = 32,
        /// Remove a port, its addresses and its flows.
        PortRemove = 33,
        /// List ports.
        PortList = 34,
        /// Add an address prefix to a port.
        PortAddressAdd = 35,
        /// Remove an address prefix from a port.
        PortAddressRemove = 36,
        /// List address prefixes of all ports.
        PortAddressList = 37,
        /// Add or change mappings, in bulk.
        MappingSet = 48,
        /// Remove a mapping.
        MappingRemove = 49,
        /// List mappings.
        MappingList = 50,
        /// Add or change an association.
        AssociationSet = 64,
        /// Declare an association's state.
        AssociationStateSet = 65,
        /// Remove an association and its SAs.
        AssociationRemove = 66,
        /// List associations.
        AssociationList = 67,
        /// Install an SA.
        SaInstall = 80,
        /// Make a write SA the one that seals.
        SaActivate = 81,
        /// Retire an SA: a read SA still opens for the overlap.
        SaRetire = 82,
        /// Remove an SA and wipe its keys at once.
        SaRemove = 83,
        /// State of one SA.
        SaQuery = 84,
        /// States of all SAs.
        SaList = 85,
        /// Add or change a named exclusion.
        ExclusionSet = 96,
        /// Remove a named exclusion.
        ExclusionRemove = 97,
        /// List named exclusions.
        ExclusionList = 98,
        /// List flow entries.
        FlowList = 112,
        /// Remove flow entries.
        FlowFlush = 113,
        /// Let every cached decision be taken again.
        PolicyEpochBump = 114,
        /// Read all counters.
        Counters = 115,
        /// Seal a control record of the host and send it.
        SealControlRecord = 116,
        /// Take events.
        EventDrain = 117,
        /// Known-answer tests.
        SelfTest = 118,
        /// Reset the device: new generation, keys wiped, tables empty.
        Reset = 119,
    }
}

/// A command: its request structure, its opcode and its response structure.
pub trait Request: FromBytes + IntoBytes + Immutable + KnownLayout {
    /// Opcode.
    const OPCODE: Opcode;
    /// What a successful command answers with.
    type Response: FromBytes + IntoBytes + Immutable + KnownLayout;
}

abi_struct! {
    /// Empty payload.
    pub struct Empty: 0 {}
}

macro_rules! request {
    ($name:ident, $opcode:ident, $response:ty) => {
        const _: () = assert!(size_of::<$name>() <= MAX_PAYLOAD && size_of::<$response>() <= MAX_PAYLOAD);
        impl Request for $name {
            const OPCODE: Opcode = Opcode::$opcode;
            type Response = $response;
        }
    };
}

macro_rules! empty_request {
    ($(#[$meta:meta])* $name:ident, $opcode:ident, $response:ty) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
        #[repr(C)]
        pub struct $name;
        request!($name, $opcode, $response);
    };
}

/// A list command: asks from a cursor, gets a page and the next cursor.
macro_rules! list {
    ($request:ident, $opcode:ident, $page:ident: $size:literal, $item:ty, $count:literal, $doc:literal) => {
        abi_struct! {
            #[doc = $doc]
            pub struct $request: 4 {
                /// 0 at first, then the page's `next`.
                cursor: u32,
            }
        }
        abi_struct! {
            /// Page of a list.
            pub struct $page: $size {
                /// Items in use.
                count: u32,
                /// Cursor of the next page; 0 at the end.
                next: u32,
                /// Items.
                items: [$item; $count],
            }
        }
        request!($request, $opcode, $page);
    };
}

empty_request!(
    /// Asks who the device is.
    Identify, Identify, Identity
);

abi_struct! {
    /// Who the device is and what it can hold.
    pub struct Identity: 64 {
        /// Generation: drawn at each reset.
        generation: u64,
        /// Device time, in nanoseconds.
        time_ns: u64,
        /// `ABI_MAJOR`.
        abi_major: u16,
        /// `ABI_MINOR`.
        abi_minor: u16,
        /// Greatest number of flow entries.
        max_flows: u32,
        /// Greatest number of associations; ids lie below it.
        max_associations: u32,
        /// Greatest number of SAs; ids lie below it.
        max_sas: u32,
        /// Greatest number of mappings.
        max_mappings: u32,
        /// Greatest number of VNets.
        max_vnets: u32,
        /// Greatest number of ports; ids lie below it.
        max_ports: u32,
        /// Greatest number of port address prefixes.
        max_port_addresses: u32,
        /// Greatest number of exclusions.
        max_exclusions: u32,
        /// Greatest replay window, in records.
        max_replay_window: u16,
        /// Live read epochs of an association.
        max_read_epochs: u8,
        /// Greatest length of a connection id, in octets.
        max_cid_len: u8,
        /// Policy epoch.
        policy_epoch: u32,
        /// 1 once configured.
        configured: u8,
        /// Zero.
        reserved: [u8; 3],
    }
}

request!(DeviceConfig, Configure, Empty);
request!(Vnet, VnetSet, Empty);
request!(Port, PortSet, Empty);
request!(PortAddress, PortAddressAdd, Empty);
request!(Association, AssociationSet, Empty);
request!(SaInstall, SaInstall, Empty);
request!(Exclusion, ExclusionSet, Empty);

macro_rules! by_id {
    ($name:ident, $opcode:ident, $doc:literal) => {
        abi_struct! {
            #[doc = $doc]
            pub struct $name: 4 {
                /// Number of the object.
                id: u32,
            }
        }
        request!($name, $opcode, Empty);
    };
}

by_id!(VnetRemove, VnetRemove, "Removes a VNet (`id` is its VNI).");
by_id!(PortRemove, PortRemove, "Removes a port, its addresses and its flows.");
by_id!(
    AssociationRemove,
    AssociationRemove,
    "Removes an association and its SAs; keys are wiped."
);
by_id!(
    SaActivate,
    SaActivate,
    "Makes a write SA the one that seals; the previous one is retired."
);
by_id!(
    SaRetire,
    SaRetire,
    "Retires an SA: a read SA opens records for the association's overlap, then its keys are wiped."
);
by_id!(SaRemove, SaRemove, "Removes an SA and wipes its keys at once.");
by_id!(ExclusionRemove, ExclusionRemove, "Removes a named exclusion.");

impl FieldType for Vnet {}
impl FieldType for Port {}
impl FieldType for PortAddress {}
impl FieldType for Mapping {}
impl FieldType for Association {}
impl FieldType for SaState {}
impl FieldType for Exclusion {}
impl FieldType for FlowAction {}
impl FieldType for FlowCounters {}
impl FieldType for Event {}

list!(VnetList, VnetList, VnetPage: 4008, Vnet, 500, "Lists VNets.");
list!(PortList, PortList, PortPage: 4008, Port, 200, "Lists ports.");
list!(PortAddressList, PortAddressList, PortAddressPage: 3848, PortAddress, 160, "Lists address prefixes of ports.");
list!(MappingList, MappingList, MappingPage: 3848, Mapping, 60, "Lists mappings.");
list!(AssociationList, AssociationList, AssociationPage: 3848, Association, 30, "Lists associations.");
list!(SaList, SaList, SaPage: 3528, SaState, 40, "Lists SAs.");
list!(ExclusionList, ExclusionList, ExclusionPage: 3848, Exclusion, 120, "Lists exclusions.");

abi_struct! {
    /// Removes an address prefix of a port.
    pub struct PortAddressRemove: 24 {
        /// The prefix to remove.
        address: PortAddress,
    }
}
request!(PortAddressRemove, PortAddressRemove, Empty);

/// Mappings in one bulk command.
pub const MAPPING_BULK: usize = 60;

abi_struct! {
    /// Adds or changes mappings. They are taken in order; the first that is refused ends the command, with its index in the detail field.
    pub struct MappingSet: 3848 {
        /// Mappings in use (1 to 60).
        count: u32,
        /// Zero.
        reserved: u32,
        /// Mappings.
        items: [Mapping; 60],
    }
}
request!(MappingSet, MappingSet, Empty);

abi_struct! {
    /// Removes a mapping; only source VNI, prefix and prefix length count.
    pub struct MappingRemove: 64 {
        /// The mapping to remove.
        mapping: Mapping,
    }
}
request!(MappingRemove, MappingRemove, Empty);

abi_struct! {
    /// Declares an association's state.
    pub struct AssociationStateSet: 8 {
        /// Association.
        id: u32,
        /// `AssociationState`.
        state: u8,
        /// Zero.
        reserved: [u8; 3],
    }
}
request!(AssociationStateSet, AssociationStateSet, Empty);

abi_struct! {
    /// Asks for the state of one SA.
    pub struct SaQuery: 4 {
        /// SA number.
        id: u32,
    }
}
request!(SaQuery, SaQuery, SaState);

abi_struct! {
    /// One flow entry as a list shows it.
    pub struct FlowRow: 128 {
        /// Key.
        key: FlowKey,
        /// Decision.
        action: FlowAction,
        /// Counters.
        counters: FlowCounters,
    }
}
impl FieldType for FlowRow {}
list!(FlowList, FlowList, FlowPage: 3848, FlowRow, 30, "Lists flow entries.");

abi_struct! {
    /// Removes flow entries.
    pub struct FlowFlush: 8 {
        /// VNI of an ingress flow or port of an egress flow; all ones for every flow.
        scope: u32,
        /// 1 when `scope` is a VNI.
        is_vni: u8,
        /// Zero.
        reserved: [u8; 3],
    }
}
abi_struct! {
    /// How many flow entries were removed.
    pub struct FlowFlushed: 4 {
        /// Entries.
        count: u32,
    }
}
request!(FlowFlush, FlowFlush, FlowFlushed);

empty_request!(
    /// Lets every cached decision be taken again.
    PolicyEpochBump, PolicyEpochBump, PolicyEpoch
);
abi_struct! {
    /// The policy epoch now in force.
    pub struct PolicyEpoch: 4 {
        /// Policy epoch.
        epoch: u32,
    }
}

empty_request!(
    /// Reads all counters.
    Counters, Counters, CounterValues
);
abi_struct! {
    /// All counters at one instant: device counters from 0, drop counters from `DROP_COUNTER_BASE`.
    pub struct CounterValues: 1024 {
        /// Values.
        values: [u64; 128],
    }
}

/// Greatest control record, in octets.
pub const MAX_CONTROL_RECORD: usize = 2048;
abi_struct! {
    /// Seals a control record of the host under the association's write SA and sends it.
    pub struct SealControlRecord: 2056 {
        /// Association.
        association: u32,
        /// Content length, in octets (1 to 2048).
        content_len: u16,
        /// Content type: any but application data (23).
        content_type: u8,
        /// Zero.
        reserved: u8,
        /// Content.
        content: [u8; 2048],
    }
}
abi_struct! {
    /// Where the record went.
    pub struct ControlRecordSealed: 16 {
        /// Sequence number.
        sequence: u64,
        /// Epoch.
        epoch: u64,
    }
}
request!(SealControlRecord, SealControlRecord, ControlRecordSealed);

abi_struct! {
    /// Takes events; those returned are removed from the device.
    pub struct EventDrain: 4 {
        /// Greatest number wanted (1 to 40).
        max: u32,
    }
}
abi_struct! {
    /// Events taken.
    pub struct EventPage: 3848 {
        /// Events in use.
        count: u32,
        /// Events left in the device.
        left: u32,
        /// Events.
        items: [Event; 40],
    }
}
request!(EventDrain, EventDrain, EventPage);

empty_request!(
    /// Runs the known-answer tests.
    SelfTest, SelfTest, SelfTestResult
);
abi_struct! {
    /// Result of the known-answer tests.
    pub struct SelfTestResult: 8 {
        /// Bit per test run: 0 AES-128-GCM, 1 AES-256-GCM, 2 DTLS 1.2 record, 3 DTLS 1.3 record, 4 replay window, 5 flow hash.
        run: u32,
        /// Bit per test failed.
        failed: u32,
    }
}

empty_request!(
    /// Resets the device.
    Reset, Reset, Empty
);

const CRC: crc::Crc<u32, crc::Table<1>> = crc::Crc::<u32, crc::Table<1>>::new(&crc::CRC_32_ISCSI);

/// Checksum of a message: CRC-32C over the header with its checksum field zero, and the payload.
#[must_use]
pub fn checksum(header: &MessageHeader, payload: &[u8]) -> u32 {
    let header = MessageHeader { checksum: 0, ..*header };
    let mut digest = CRC.digest();
    digest.update(header.as_bytes());
    digest.update(payload);
    digest.finalize()
}

/// Writes header and payload into `window`; returns the message's length, or `None` when it doesn't fit.
pub fn write_message(window: &mut [u8], mut header: MessageHeader, payload: &[u8]) -> Option<usize> {
    let len = size_of::<MessageHeader>() + payload.len();
    header.payload_len = u16::try_from(payload.len()).ok()?;
    header.checksum = checksum(&header, payload);
    let message = window.get_mut(..len)?;
    let (head, body) = message.split_at_mut(size_of::<MessageHeader>());
    head.copy_from_slice(header.as_bytes());
    body.copy_from_slice(payload);
    Some(len)
}

/// Why a message can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageError {
    /// Its header, when there was one.
    pub header: Option<MessageHeader>,
    /// [`Status::BadLength`] or [`Status::BadChecksum`].
    pub status: Status,
}

/// Reads a message of `window`: header and payload.
///
/// # Errors
/// See [`MessageError`].
pub fn read_message(window: &[u8]) -> Result<(MessageHeader, &[u8]), MessageError> {
    let Ok((header, rest)) = MessageHeader::read_from_prefix(window) else {
        return Err(MessageError {
            header: None,
            status: Status::BadLength,
        });
    };
    let Some(payload) = rest.get(..usize::from(header.payload_len)) else {
        return Err(MessageError {
            header: Some(header),
            status: Status::BadLength,
        });
    };
    if checksum(&header, payload) != header.checksum {
        return Err(MessageError {
            header: Some(header),
            status: Status::BadChecksum,
        });
    }
    Ok((header, payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_survives_and_any_flipped_bit_is_noticed() {
        let mut window = [0u8; 64];
        let header = MessageHeader {
            opcode: Opcode::SaQuery.into(),
            sequence: 7,
            ..MessageHeader::ZERO
        };
        let len = write_message(&mut window, header, SaQuery { id: 3 }.as_bytes()).unwrap();
        let (read, payload) = read_message(&window[..len]).unwrap();
        assert_eq!((read.opcode, read.sequence), (header.opcode, 7));
        assert_eq!(SaQuery::read_from_bytes(payload).unwrap().id, 3);
        for bit in 0..len * 8 {
            let mut bad = window;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(read_message(&bad[..len]).is_err(), "bit {bit}");
        }
        for short in 0..len {
            assert!(read_message(&window[..short]).is_err());
        }
    }
}
