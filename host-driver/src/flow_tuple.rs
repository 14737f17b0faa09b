//! One line of the flow log: the 13 fields of an Azure VNet flow-log tuple, version 4, in their order.

use sealnic_abi::EncryptionCode;
use std::fmt;
use std::net::IpAddr;

/// Who began a flow, seen from the VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FlowDirection {
    /// The other side (`I`).
    Inbound,
    /// This VM (`O`).
    Outbound,
}

/// What a tuple tells of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FlowState {
    /// It began (`B`); without statistics.
    Begin,
    /// It goes on (`C`); statistics since the last tuple.
    Continue,
    /// It ended (`E`); statistics since the last tuple.
    End,
    /// It was denied (`D`); without statistics.
    Deny,
}

/// One tuple. Source is who began the flow; packets and octets sent are those from source to destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowTuple {
    /// Time, in milliseconds since 1970.
    pub time_ms: u64,
    /// Source address.
    pub src: IpAddr,
    /// Destination address.
    pub dst: IpAddr,
    /// Source port, 0 where the protocol has none, and for fragments.
    pub src_port: u16,
    /// Destination port, 0 where the protocol has none, and for fragments.
    pub dst_port: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// Direction.
    pub direction: FlowDirection,
    /// State.
    pub state: FlowState,
    /// Whether it was encrypted, or why not.
    pub encryption: EncryptionCode,
    /// Traffic since the last tuple of this flow.
    pub traffic: Traffic,
}

/// Packets and octets of a flow in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Packets from source to destination.
    pub packets_sent: u64,
    /// Octets from source to destination, headers included.
    pub octets_sent: u64,
    /// Packets from destination to source.
    pub packets_received: u64,
    /// Octets from destination to source, headers included.
    pub octets_received: u64,
}

impl Traffic {
    /// Adds another one's; sums that don't fit stay at the greatest value.
    pub fn add(&mut self, other: &Self) {
        let add = |to: &mut u64, from: u64| *to = to.saturating_add(from);
        add(&mut self.packets_sent, other.packets_sent);
        add(&mut self.octets_sent, other.octets_sent);
        add(&mut self.packets_received, other.packets_received);
        add(&mut self.octets_received, other.octets_received);
    }

    /// Packets in both directions.
    #[must_use]
    pub const fn packets(&self) -> u64 {
        self.packets_sent.saturating_add(self.packets_received)
    }

    /// Octets in both directions.
    #[must_use]
    pub const fn octets(&self) -> u64 {
        self.octets_sent.saturating_add(self.octets_received)
    }

    /// Traffic of a conversation: the sum over its tuples, as each of them only tells what is new.
    #[must_use]
    pub fn total<'t>(tuples: impl IntoIterator<Item = &'t FlowTuple>) -> Self {
        let mut total = Self::default();
        for tuple in tuples {
            total.add(&tuple.traffic);
        }
        total
    }
}

impl fmt::Display for FlowTuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = match self.direction {
            FlowDirection::Inbound => 'I',
            FlowDirection::Outbound => 'O',
        };
        let state = match self.state {
            FlowState::Begin => 'B',
            FlowState::Continue => 'C',
            FlowState::End => 'E',
            FlowState::Deny => 'D',
        };
        let t = &self.traffic;
        write!(
            f,
            "{},{},{},{},{},{},{direction},{state},{},{},{},{},{}",
            self.time_ms,
            self.src,
            self.dst,
            self.src_port,
            self.dst_port,
            self.protocol,
            self.encryption.flow_log_name(),
            t.packets_sent,
            t.octets_sent,
            t.packets_received,
            t.octets_received
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuple(state: FlowState, numbers: [u64; 4]) -> FlowTuple {
        FlowTuple {
            time_ms: 1_708_978_215_000,
            src: "203.0.113.105".parse().unwrap(),
            dst: "10.0.0.5".parse().unwrap(),
            src_port: 35370,
            dst_port: 23,
            protocol: 6,
            direction: FlowDirection::Inbound,
            state,
            encryption: EncryptionCode::Nx,
            traffic: Traffic {
                packets_sent: numbers[0],
                octets_sent: numbers[1],
                packets_received: numbers[2],
                octets_received: numbers[3],
            },
        }
    }

    /// The worked example of the VNet flow-log documentation: 9,125 packets, 5,256,000 octets.
    #[test]
    fn the_documentations_bandwidth_example_adds_up() {
        let tuples = [
            tuple(FlowState::Begin, [0; 4]),
            tuple(FlowState::Continue, [1021, 588_096, 8005, 4_610_880]),
            tuple(FlowState::End, [52, 29_952, 47, 27_072]),
        ];
        let total = Traffic::total(&tuples);
        assert_eq!(total.packets(), 9_125);
        assert_eq!(total.octets(), 5_256_000);
        assert_eq!(total.packets_sent, 1_073);
    }

    #[test]
    fn the_thirteen_fields_stand_in_order() {
        assert_eq!(
            tuple(FlowState::Continue, [1, 2, 3, 4]).to_string(),
            "1708978215000,203.0.113.105,10.0.0.5,35370,23,6,I,C,NX,1,2,3,4"
        );
        let v6 = FlowTuple {
            src: "fd00::1".parse().unwrap(),
            direction: FlowDirection::Outbound,
            encryption: EncryptionCode::NxHwNotSupported,
            ..tuple(FlowState::Deny, [0; 4])
        };
        assert_eq!(
            v6.to_string(),
            "1708978215000,fd00::1,10.0.0.5,35370,23,6,O,D,NX_HW_NOT_SUPPORTED,0,0,0,0"
        );
    }
}
