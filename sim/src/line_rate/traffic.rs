//! The load of a sweep: who sends, which frames, and in which order the flows come.

use super::theory::{CID_LEN, MAX_FRAME_LEN};
use super::{Distribution, Protection};
use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};
use std::fmt::Write;

/// Most flows in each direction: as many as two ports tell apart without meeting a service that the NIC hands to the host.
pub const MAX_FLOWS: u32 = 1 << 20;
/// Most pairs of VMs, each with an association of its own.
pub const MAX_PAIRS: u32 = 64;

const FCS_LEN: u32 = 4;
/// Destination ports from here on are of no service.
const FIRST_PORT: u32 = 1_024;

/// Two hosts with a VM each for every pair; every pair has a VNet, and so an association, of its own.
#[must_use]
pub fn scenario(protection: Protection, pairs: u32, flow_entries: u32) -> String {
    let mut text = String::from("name = \"line-rate\"\n");
    // A bucketed table can't be filled to the brim.
    let table = (flow_entries.saturating_mul(8) / 7).max(1_024).next_power_of_two();
    for host in [1, 2] {
        let _ = write!(
            text,
            "[[host]]\nname = \"host-{host}\"\npa = [\"192.0.2.{host}\"]\nunderlay_mtu = {}\nnic = {{ flows = {table} }}\n",
            MAX_FRAME_LEN + 256
        );
    }
    for pair in 1..=pairs {
        let _ = write!(
            text,
            "[[vnet]]\nname = \"vnet-{pair}\"\nvni = {pair}\nprefixes = [\"10.{pair}.0.0/16\"]\n"
        );
        if protection != Protection::Clear {
            text += "encryption = { enabled = true, enforcement = \"DropUnencrypted\" }\n";
        }
        for host in [1, 2] {
            let _ = write!(
                text,
                "[[vm]]\nname = \"vm-{host}-{pair}\"\nhost = \"host-{host}\"\nvnet = \"vnet-{pair}\"\nmtu = {MAX_FRAME_LEN}\n\
                 mac = \"02:00:00:00:0{host}:{pair:02x}\"\naddresses = [\"10.{pair}.0.{host}\"]\n"
            );
        }
    }
    let dtls = if protection == Protection::Dtls12 { "1.2" } else { "1.3" };
    let _ = write!(
        text,
        "[association]\ndtls = \"{dtls}\"\ncipher = \"AES-256-GCM\"\nconnection_id = {CID_LEN}\n"
    );
    text
}

/// A UDP frame, without FCS, from a VM of one host (0 or 1) to that of the other; pair and ports say which flow it is of.
pub struct FrameMaker {
    frame: Vec<u8>,
    pairs: u32,
}

impl FrameMaker {
    /// For frames of `frame_len` octets with FCS, from 64 on.
    #[must_use]
    pub fn new(from_host: u8, frame_len: u32, pairs: u32) -> Self {
        let len = frame_len.max(64) - FCS_LEN;
        let ip_len = u16::try_from(len - 14).unwrap_or(u16::MAX);
        let mut frame = vec![0; len as usize];
        let (from, to) = (from_host + 1, 2 - from_host);
        frame[..12].copy_from_slice(&[2, 0, 0, 0, to, 0, 2, 0, 0, 0, from, 0]);
        frame[12..16].copy_from_slice(&[8, 0, 0x45, 0]);
        frame[16..18].copy_from_slice(&ip_len.to_be_bytes());
        frame[20..24].copy_from_slice(&[0x40, 0, 64, 17]);
        frame[26..34].copy_from_slice(&[10, 0, 0, from, 10, 0, 0, to]);
        frame[38..40].copy_from_slice(&(ip_len - 20).to_be_bytes());
        Self {
            frame,
            pairs: pairs.clamp(1, MAX_PAIRS),
        }
    }

    /// The frame of a flow, and the port at which its VM hands it over.
    pub fn of_flow(&mut self, flow: u32) -> (u16, &[u8]) {
        let pair = flow % self.pairs;
        let name = (pair + 1) as u8;
        (self.frame[5], self.frame[11]) = (name, name);
        (self.frame[27], self.frame[31]) = (name, name);
        // Two ports hold as many flows as there may be, whatever the number of pairs.
        let (low, high) = (flow as u16, FIRST_PORT + (flow >> 16));
        self.frame[34..36].copy_from_slice(&low.to_be_bytes());
        self.frame[36..38].copy_from_slice(&(high as u16).to_be_bytes());
        (pair as u16, &self.frame)
    }
}

/// Chooses the flow of each frame.
pub struct FlowOrder {
    flows: u32,
    kind: Kind,
}

enum Kind {
    Uniform(ChaCha12Rng),
    /// Sums of 1/1 to 1/n: nothing but additions and divisions, so the same on every machine.
    Zipf(ChaCha12Rng, Vec<f64>),
    /// Flows in an order drawn once, over and over, and the place of the next.
    Cyclic(Vec<u32>, usize),
}

impl FlowOrder {
    /// Of `flows` flows, from a seed.
    #[must_use]
    pub fn new(distribution: Distribution, flows: u32, seed: u64) -> Self {
        let flows = flows.clamp(1, MAX_FLOWS);
        let mut random = ChaCha12Rng::seed_from_u64(seed);
        let kind = match distribution {
            Distribution::Uniform => Kind::Uniform(random),
            Distribution::Zipf => {
                let mut sum = 0.0;
                let sums = (1..=flows).map(|n| {
                    sum += 1.0 / f64::from(n);
                    sum
                });
                Kind::Zipf(random, sums.collect())
            }
            Distribution::Cyclic => {
                // Flows of neighbouring ports have hashes that differ by little, and would spread over the banks better than any chance.
                let mut order: Vec<u32> = (0..flows).collect();
                for left in (1..=flows).rev() {
                    order.swap(below(left, &mut random) as usize, left as usize - 1);
                }
                Kind::Cyclic(order, 0)
            }
        };
        Self { flows, kind }
    }

    /// The flow of the next frame, below the number of flows.
    pub fn next_flow(&mut self) -> u32 {
        match &mut self.kind {
            Kind::Uniform(random) => below(self.flows, random),
            Kind::Zipf(random, sums) => {
                let share = f64::from(random.next_u32()) / 4_294_967_296.0;
                let at = share * sums.last().copied().unwrap_or(0.0);
                let rank = sums.partition_point(|sum| *sum <= at);
                rank.min(sums.len() - 1) as u32
            }
            Kind::Cyclic(order, next) => {
                let flow = order[*next];
                *next = (*next + 1) % order.len();
                flow
            }
        }
    }
}

/// A number below a bound, each with the same chance but for one in two to the 32nd.
fn below(bound: u32, random: &mut ChaCha12Rng) -> u32 {
    ((u64::from(random.next_u32()) * u64::from(bound)) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scenario;
    use sealnic_wire::{EthernetFrame, Ipv4Packet, UdpPacket};
    use std::collections::HashSet;
    use std::path::Path;

    #[test]
    fn scenarios_of_every_protection_and_size_are_sound() {
        for protection in [Protection::Clear, Protection::Dtls12, Protection::Dtls13] {
            for pairs in [1, MAX_PAIRS] {
                let text = scenario(protection, pairs, MAX_FLOWS);
                let scenario = Scenario::parse(&text, Path::new("line-rate")).unwrap();
                assert_eq!(scenario.vms.len(), 2 * pairs as usize);
                let sealed = usize::from(protection != Protection::Clear);
                assert_eq!(scenario.links().len(), pairs as usize * sealed);
            }
        }
    }

    #[test]
    fn frames_are_sound_and_each_flow_has_its_own() {
        let mut seen = HashSet::new();
        let mut maker = FrameMaker::new(1, 65, 3);
        for flow in (0..1_000).chain(65_536..66_536) {
            let (port, frame) = maker.of_flow(flow);
            assert_eq!((u32::from(port), frame.len()), (flow % 3, 61));
            let ethernet = EthernetFrame::new_checked(frame).unwrap();
            let ip = Ipv4Packet::new_checked(ethernet.payload()).unwrap();
            assert_eq!(ip.src_addr().octets(), [10, 1 + port as u8, 0, 2]);
            assert_eq!(ip.dst_addr().octets(), [10, 1 + port as u8, 0, 1]);
            let udp = UdpPacket::new_checked(ip.payload()).unwrap();
            assert!(udp.dst_port() >= 1_024);
            assert!(seen.insert((port, udp.src_port(), udp.dst_port())));
        }
    }

    #[test]
    fn orders_have_their_distributions_and_repeat() {
        let count = |distribution| {
            let mut order = FlowOrder::new(distribution, 100, 7);
            let mut again = FlowOrder::new(distribution, 100, 7);
            let mut counts = [0u32; 100];
            for _ in 0..100_000 {
                let flow = order.next_flow();
                assert_eq!(flow, again.next_flow());
                counts[flow as usize] += 1;
            }
            counts
        };
        let uniform = count(Distribution::Uniform);
        assert!(uniform.iter().all(|n| (800..1_200).contains(n)), "{uniform:?}");
        assert_eq!(count(Distribution::Cyclic), [1_000; 100]);
        let mut cyclic = FlowOrder::new(Distribution::Cyclic, 100, 7);
        let [first, second] = [(); 2].map(|()| (0..100).map(|_| cyclic.next_flow()).collect::<Vec<_>>());
        assert_eq!(first, second, "the flow of a frame is the one unused for longest");
        assert_eq!(first.iter().collect::<HashSet<_>>().len(), 100);
        // Three steps in a hundred would go to the next flow or its neighbours by chance.
        let steps = first.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) <= 1);
        assert!(steps.count() < 15, "neighbours follow each other: {first:?}");
        let zipf = count(Distribution::Zipf);
        // The sum of 1/1 to 1/100 is 5.187.
        for (rank, n) in [(1, zipf[0]), (2, zipf[1]), (10, zipf[9])] {
            let expected = 100_000.0 / 5.187 / f64::from(rank);
            assert!((f64::from(n) / expected - 1.0).abs() < 0.1, "{rank}: {n} of {expected}");
        }
        assert_eq!(FlowOrder::new(Distribution::Zipf, 1, 1).next_flow(), 0);
    }
}
