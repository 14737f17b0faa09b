//! The hosts of a scenario, each with a NIC and its driver, on one wire.

use crate::run::RunError;
use crate::scenario::{MacAddress, Scenario};
use sealnic_abi::object::Address;
use sealnic_driver::transport::model::ModelTransport;
use sealnic_driver::{Device, reconcile};
use sealnic_hw_model::middleware::{ImpairedWire, Impairments, WireCounters};
use sealnic_hw_model::{Edge, Ended, HwModel, Packet};
use sealnic_wire::{EtherType, EthernetAddress, EthernetFrame, Ipv4Packet, Ipv6Packet};
use std::cmp::{Ordering, Reverse};
use std::collections::binary_heap::PeekMut;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::net::IpAddr;

/// A device in this process and its driver.
pub type HostDevice = Device<ModelTransport>;

/// What happens to a frame, as the run sees it.
pub enum Observed<'a> {
    /// A host put it on the wire.
    Sent {
        /// The datagram.
        packet: &'a Packet,
    },
    /// It reached the VM behind a port of a host.
    Delivered {
        /// Index of the host.
        host: usize,
        /// Port number.
        port: u16,
        /// The frame.
        packet: &'a Packet,
    },
    /// It reached a host's exception path.
    Punted {
        /// The frame.
        packet: &'a Packet,
    },
    /// It left the network: no host has its outer destination.
    Left {
        /// The datagram.
        packet: &'a Packet,
    },
    /// It ended in a NIC; answers to it and pieces of it may go on.
    Ended {
        /// How and when.
        ended: Ended,
    },
}

impl Observed<'_> {
    /// The frame's tag.
    #[must_use]
    pub fn tag(&self) -> u64 {
        match self {
            Self::Sent { packet }
            | Self::Delivered { packet, .. }
            | Self::Punted { packet }
            | Self::Left { packet } => packet.tag,
            Self::Ended { ended } => ended.tag,
        }
    }
}

/// Whether a frame that reaches a VM was made by that VM's NIC, and is no other VM's, nor a piece of one's.
#[must_use]
pub fn is_answer(packet: &Packet) -> bool {
    packet.is_generated && packet.verdict().is_none()
}

/// A NIC that doesn't come to rest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the NIC of host {host} doesn't come to rest: {problem} at {time_ns} ns")]
pub struct Restless {
    /// Host's name.
    pub host: String,
    /// What it does.
    pub problem: &'static str,
    /// When.
    pub time_ns: u64,
}

/// Hosts on a wire, on one clock.
///
/// Nothing looks at a host's clock: the next thing to happen, anywhere, says what time it is. What a NIC sends takes the
/// wire's latency to arrive, so from that thing on no NIC can hear of another for as long, and each goes ahead by itself to
/// the end of that window. Then frames that left are looked at in the order of time, host, and leaving. So a run is the
/// same each time, and no NIC is ever ahead of what may still reach it.
pub struct Network {
    hosts: Vec<HostDevice>,
    names: Vec<String>,
    /// Host behind each provider address, and its MAC.
    by_pa: HashMap<IpAddr, (usize, MacAddress)>,
    wire: ImpairedWire,
    /// From the last bit's leaving a NIC to its arrival at another.
    latency_ns: u64,
    /// Frames not yet handed to a NIC.
    inputs: BinaryHeap<Reverse<Timed<Input>>>,
    /// Frames that left a NIC, not yet looked at.
    outputs: BinaryHeap<Reverse<Timed<(usize, Edge, Packet)>>>,
    /// Numbers given to inputs and outputs.
    order: u64,
    /// Frames that came to their end in a NIC.
    ended: u64,
    /// Everything before this is over.
    now_ns: u64,
}

/// A frame for a NIC.
struct Input {
    host: usize,
    edge: Edge,
    packet: Packet,
}

/// Something with its place in time. What comes off the wire goes before what a VM sends at the same time.
struct Timed<T> {
    key: (u64, usize, u64),
    what: T,
}

impl<T> PartialEq for Timed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl<T> Eq for Timed<T> {}

impl<T> PartialOrd for Timed<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Timed<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.cmp(&other.key)
    }
}

/// After this time without a frame handed over or given out, a NIC that still works on something is taken to be broken: longer than the slowest
/// hardware takes for the slowest thing it does.
const REST_NS: u64 = 10_000_000_000;

impl Network {
    /// One device for each host, made by `model`, attached and programmed to the scenario, without keys.
    ///
    /// `latency_ns` is the time from one NIC to another; with none, each frame handed over is followed to its end before the next.
    ///
    /// # Errors
    /// A device can't be made or programmed.
    pub fn new(
        scenario: &Scenario,
        states: &[sealnic_driver::DesiredState],
        impairments: Impairments,
        latency_ns: u64,
        mut model: impl FnMut(usize) -> Result<Box<dyn HwModel>, RunError>,
    ) -> Result<Self, RunError> {
        let mut hosts = Vec::new();
        let mut by_pa = HashMap::new();
        for (index, (host, state)) in scenario.hosts.iter().zip(states).enumerate() {
            let driver = |source| RunError::Driver {
                host: host.name.clone(),
                source,
            };
            let mut device = Device::attach(ModelTransport::new(model(index)?)).map_err(driver)?;
            reconcile(&mut device, state).map_err(driver)?;
            hosts.push(device);
            by_pa.extend(host.pa_v4.map(|pa| (IpAddr::V4(pa), (index, host.mac))));
            by_pa.extend(host.pa_v6.map(|pa| (IpAddr::V6(pa), (index, host.mac))));
        }
        Ok(Self {
            hosts,
            names: scenario.hosts.iter().map(|host| host.name.clone()).collect(),
            by_pa,
            wire: ImpairedWire::new(impairments),
            latency_ns,
            inputs: BinaryHeap::new(),
            outputs: BinaryHeap::new(),
            order: 0,
            ended: 0,
            now_ns: 0,
        })
    }

    /// A host's driver.
    pub fn host(&mut self, index: usize) -> &mut HostDevice {
        &mut self.hosts[index]
    }

    /// Number of hosts.
    #[must_use]
    pub fn hosts(&self) -> usize {
        self.hosts.len()
    }

    /// What the wire did so far.
    #[must_use]
    pub fn wire(&self) -> WireCounters {
        self.wire.counters()
    }

    /// Has a VM hand a frame to its host's NIC at the packet's time.
    pub fn schedule(&mut self, host: usize, port: u16, packet: Packet) {
        self.schedule_at(1, host, Edge::Vf(port), packet);
    }

    fn schedule_at(&mut self, class: usize, host: usize, edge: Edge, packet: Packet) {
        self.order += 1;
        self.inputs.push(Reverse(Timed {
            key: (packet.time_ns, class, self.order),
            what: Input { host, edge, packet },
        }));
    }

    /// Hands a frame of a VM to its host's NIC and follows everything that comes of it to its end.
    ///
    /// # Errors
    /// A NIC doesn't come to rest.
    pub fn submit(
        &mut self,
        host: usize,
        port: u16,
        packet: Packet,
        observe: &mut dyn FnMut(Observed<'_>),
    ) -> Result<(), Restless> {
        self.schedule(host, port, packet);
        self.rest(observe)
    }

    /// Lets everything happen that happens before `until_ns`.
    ///
    /// # Errors
    /// A NIC doesn't come to rest.
    pub fn run_until(&mut self, until_ns: u64, observe: &mut dyn FnMut(Observed<'_>)) -> Result<(), Restless> {
        while let Some(start_ns) = self.next_ns().filter(|next| *next < until_ns) {
            self.step(start_ns, until_ns, observe)?;
        }
        Ok(())
    }

    /// Lets everything happen until nothing more does. What an impaired wire holds back stays there.
    ///
    /// # Errors
    /// A NIC doesn't come to rest.
    pub fn rest(&mut self, observe: &mut dyn FnMut(Observed<'_>)) -> Result<(), Restless> {
        // A NIC that had to wait for its control CPU to answer a command is ahead of the others.
        let mut last_ns = self.next_ns().unwrap_or(0).max(self.now_ns);
        let mut moved = (self.order, self.ended);
        while let Some(start_ns) = self.next_ns() {
            if let Some(Reverse(input)) = self.inputs.peek() {
                last_ns = last_ns.max(input.key.0);
            }
            if moved != (self.order, self.ended) {
                moved = (self.order, self.ended);
                last_ns = last_ns.max(self.now_ns);
            }
            if start_ns > last_ns.saturating_add(REST_NS) {
                let busy = (0..self.hosts.len()).find(|host| self.next_event_ns(*host).is_some());
                return Err(self.restless(busy.unwrap_or(0), "it still works on something", start_ns));
            }
            self.step(start_ns, u64::MAX, observe)?;
        }
        Ok(())
    }

    /// Lets everything come to its end: the wire gives out what it holds back, and time passes everywhere until `now_ns`.
    ///
    /// # Errors
    /// A NIC doesn't come to rest.
    pub fn finish(&mut self, now_ns: u64, observe: &mut dyn FnMut(Observed<'_>)) -> Result<(), Restless> {
        self.rest(observe)?;
        while self.wire.held() != 0 {
            let mut arrived = VecDeque::new();
            self.wire.flush(&mut arrived);
            self.arrive(self.now_ns, arrived, observe);
            self.rest(observe)?;
        }
        let now_ns = now_ns.max(self.now_ns);
        for host in 0..self.hosts.len() {
            self.model(host).advance(now_ns);
            self.drain(host, observe);
        }
        self.rest(observe)
    }

    fn model(&mut self, host: usize) -> &mut dyn HwModel {
        self.hosts[host].transport_mut().model_mut()
    }

    fn next_event_ns(&mut self, host: usize) -> Option<u64> {
        self.model(host).next_event_ns()
    }

    fn restless(&self, host: usize, problem: &'static str, time_ns: u64) -> Restless {
        Restless {
            host: self.names[host].clone(),
            problem,
            time_ns,
        }
    }

    /// When the next thing happens, anywhere.
    fn next_ns(&mut self) -> Option<u64> {
        let events = (0..self.hosts.len()).filter_map(|host| self.next_event_ns(host)).min();
        let input = self.inputs.peek().map(|Reverse(input)| input.key.0);
        let output = self.outputs.peek().map(|Reverse(output)| output.key.0);
        [events, input, output].into_iter().flatten().min()
    }

    /// Everything from `start_ns`, when the next thing happens, until frames sent then may arrive.
    fn step(&mut self, start_ns: u64, until_ns: u64, observe: &mut dyn FnMut(Observed<'_>)) -> Result<(), Restless> {
        let end_ns = start_ns.saturating_add(self.latency_ns.max(1)).min(until_ns);
        self.now_ns = self.now_ns.max(start_ns);
        while let Some(Reverse(next)) = self
            .inputs
            .peek_mut()
            .filter(|next| next.0.key.0 < end_ns)
            .map(PeekMut::pop)
        {
            let Input { host, edge, packet } = next.what;
            self.model(host).submit(edge, packet);
            if self.latency_ns == 0 {
                // What comes of this frame may arrive before the next one is handed over.
                break;
            }
        }
        for host in 0..self.hosts.len() {
            if self.next_event_ns(host).is_some_and(|event| event < end_ns) {
                self.model(host).advance(end_ns - 1);
                if self.next_event_ns(host).is_some_and(|event| event < end_ns) {
                    return Err(self.restless(host, "time passes and nothing moves", end_ns - 1));
                }
            }
            self.drain(host, observe);
        }
        self.look_at_outputs(end_ns, observe);
        Ok(())
    }

    /// Takes what a NIC gave out.
    fn drain(&mut self, host: usize, observe: &mut dyn FnMut(Observed<'_>)) {
        while let Some((edge, packet)) = self.model(host).collect() {
            self.order += 1;
            self.outputs.push(Reverse(Timed {
                key: (packet.time_ns, host, self.order),
                what: (host, edge, packet),
            }));
        }
        while let Some(ended) = self.model(host).ended() {
            self.ended += 1;
            observe(Observed::Ended { ended });
        }
    }

    /// Looks at frames that left a NIC before `end_ns`, in the order of time and host: each goes on the wire, or is at its end.
    fn look_at_outputs(&mut self, end_ns: u64, observe: &mut dyn FnMut(Observed<'_>)) {
        while let Some(Reverse(next)) = self
            .outputs
            .peek_mut()
            .filter(|next| next.0.key.0 < end_ns)
            .map(PeekMut::pop)
        {
            let (host, edge, packet) = next.what;
            self.now_ns = self.now_ns.max(packet.time_ns);
            match edge {
                Edge::Wire => {
                    observe(Observed::Sent { packet: &packet });
                    let (sent_ns, mut arrived) = (packet.time_ns, VecDeque::new());
                    self.wire.carry(packet, &mut arrived);
                    self.arrive(sent_ns, arrived, observe);
                }
                Edge::Vf(port) => observe(Observed::Delivered {
                    host,
                    port,
                    packet: &packet,
                }),
                Edge::Host => observe(Observed::Punted { packet: &packet }),
            }
        }
    }

    /// Sends what the wire gave out at `sent_ns` on to where it is addressed.
    fn arrive(&mut self, sent_ns: u64, arrived: VecDeque<Packet>, observe: &mut dyn FnMut(Observed<'_>)) {
        for mut packet in arrived {
            match outer_destination(packet.frame()).and_then(|pa| self.by_pa.get(&pa).copied()) {
                Some((host, mac)) => {
                    // The underlay routes: its last hop addresses the frame to the host.
                    EthernetFrame::new_unchecked(packet.frame_mut()).set_dst_addr(EthernetAddress(mac.0));
                    packet.time_ns = packet.time_ns.max(sent_ns).saturating_add(self.latency_ns);
                    self.schedule_at(0, host, Edge::Wire, packet);
                }
                None => observe(Observed::Left { packet: &packet }),
            }
        }
    }
}

/// Where the underlay routes a datagram.
pub(crate) fn outer_destination(frame: &[u8]) -> Option<IpAddr> {
    let ether = EthernetFrame::new_checked(frame).ok()?;
    match ether.ethertype() {
        EtherType::IPV4 => Some(IpAddr::V4(Ipv4Packet::new_header(ether.payload()).ok()?.dst_addr())),
        EtherType::IPV6 => Some(IpAddr::V6(Ipv6Packet::new_header(ether.payload()).ok()?.dst_addr())),
        _ => None,
    }
}

/// An ABI address as text.
pub(crate) fn address_text(address: &Address) -> String {
    address.to_ip().map_or_else(String::new, |ip| ip.to_string())
}

#[cfg(test)]
mod tests;
