//! The hosts of a scenario, each with a NIC and its driver, on one wire.

use crate::run::RunError;
use crate::scenario::{MacAddress, Scenario};
use sealnic_abi::object::Address;
use sealnic_abi::{Counter, DropReason};
use sealnic_driver::transport::model::ModelTransport;
use sealnic_driver::{CounterSnapshot, Device, reconcile};
use sealnic_hw_model::middleware::{ImpairedWire, Impairments, WireCounters};
use sealnic_hw_model::{Edge, HwModel, Packet};
use sealnic_wire::{EtherType, EthernetAddress, EthernetFrame, Ipv4Packet, Ipv6Packet};
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

/// A device in this process and its driver.
pub type HostDevice = Device<ModelTransport>;

/// A frame that left a NIC, as the run sees it.
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
    /// It ended in a NIC.
    Ended {
        /// The frame's tag.
        tag: u64,
        /// In which way.
        ending: Ending,
    },
}

/// How a frame ended in a NIC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Dropped.
    Dropped(DropReason),
    /// Done with, mostly answered.
    Consumed,
}

/// Whether a frame that reaches a VM was made by that VM's NIC, and is no other VM's, nor a piece of one's.
#[must_use]
pub fn is_answer(packet: &Packet) -> bool {
    packet.is_generated && packet.verdict().is_none()
}

/// Hosts on a wire.
pub struct Network {
    hosts: Vec<HostDevice>,
    names: Vec<String>,
    /// Counters of each host's NIC when a frame last ended in it.
    counted: Vec<CounterSnapshot>,
    /// Host behind each provider address, and its MAC.
    by_pa: HashMap<IpAddr, (usize, MacAddress)>,
    wire: ImpairedWire,
    arrived: VecDeque<Packet>,
}

impl Network {
    /// One device for each host, made by `model`, attached and programmed to the scenario, without keys.
    ///
    /// # Errors
    /// A device can't be made or programmed.
    pub fn new(
        scenario: &Scenario,
        states: &[sealnic_driver::DesiredState],
        impairments: Impairments,
        mut model: impl FnMut(usize) -> Result<Box<dyn HwModel>, RunError>,
    ) -> Result<Self, RunError> {
        let mut hosts = Vec::new();
        let mut counted = Vec::new();
        let mut by_pa = HashMap::new();
        for (index, (host, state)) in scenario.hosts.iter().zip(states).enumerate() {
            let driver = |source| RunError::Driver {
                host: host.name.clone(),
                source,
            };
            let mut device = Device::attach(ModelTransport::new(model(index)?)).map_err(driver)?;
            reconcile(&mut device, state).map_err(driver)?;
            counted.push(device.counters().map_err(driver)?);
            hosts.push(device);
            by_pa.extend(host.pa_v4.map(|pa| (IpAddr::V4(pa), (index, host.mac))));
            by_pa.extend(host.pa_v6.map(|pa| (IpAddr::V6(pa), (index, host.mac))));
        }
        Ok(Self {
            hosts,
            names: scenario.hosts.iter().map(|host| host.name.clone()).collect(),
            counted,
            by_pa,
            wire: ImpairedWire::new(impairments),
            arrived: VecDeque::new(),
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

    /// Hands a frame of a VM to its host's NIC and follows everything that comes of it to its end.
    ///
    /// # Errors
    /// A NIC's counters can't be read, or don't tell what became of a frame.
    pub fn submit(
        &mut self,
        host: usize,
        port: u16,
        packet: Packet,
        observe: &mut dyn FnMut(Observed<'_>),
    ) -> Result<(), RunError> {
        self.hand_over(host, Edge::Vf(port), packet, observe)?;
        self.settle(observe)
    }

    /// Lets time pass everywhere, and the wire give out what it holds back.
    ///
    /// # Errors
    /// As [`Self::submit`].
    pub fn advance(&mut self, now_ns: u64, observe: &mut dyn FnMut(Observed<'_>)) -> Result<(), RunError> {
        self.wire.flush(&mut self.arrived);
        self.settle(observe)?;
        for host in 0..self.hosts.len() {
            self.model(host).advance(now_ns);
            self.drain(host, observe);
        }
        self.settle(observe)
    }

    fn model(&mut self, host: usize) -> &mut dyn HwModel {
        self.hosts[host].transport_mut().model_mut()
    }

    /// Hands a frame to a NIC, and tells if it ended there.
    fn hand_over(
        &mut self,
        host: usize,
        edge: Edge,
        packet: Packet,
        observe: &mut dyn FnMut(Observed<'_>),
    ) -> Result<(), RunError> {
        let tag = packet.tag;
        self.model(host).submit(edge, packet);
        if self.drain(host, observe) {
            return Ok(());
        }
        let ending = self.ending(host)?;
        observe(Observed::Ended { tag, ending });
        Ok(())
    }

    /// Takes what a NIC gave out: to the wire, or to its end. Whether there was anything but answers.
    fn drain(&mut self, host: usize, observe: &mut dyn FnMut(Observed<'_>)) -> bool {
        let mut goes_on = false;
        while let Some((edge, packet)) = self.model(host).collect() {
            match edge {
                Edge::Wire => {
                    goes_on = true;
                    observe(Observed::Sent { packet: &packet });
                    self.wire.carry(packet, &mut self.arrived);
                }
                Edge::Vf(port) => {
                    goes_on |= !is_answer(&packet);
                    observe(Observed::Delivered {
                        host,
                        port,
                        packet: &packet,
                    });
                }
                Edge::Host => {
                    goes_on = true;
                    observe(Observed::Punted { packet: &packet });
                }
            }
        }
        goes_on
    }

    /// How the frame ended that a NIC was given last: the counters tell.
    fn ending(&mut self, host: usize) -> Result<Ending, RunError> {
        let now = self.hosts[host].counters().map_err(|source| RunError::Driver {
            host: self.names[host].clone(),
            source,
        })?;
        let before = std::mem::replace(&mut self.counted[host], now);
        let now = &self.counted[host];
        let mut drops = now.drops().filter(|(reason, count)| *count > before.dropped(*reason));
        match drops.next() {
            Some((reason, _)) => Ok(Ending::Dropped(reason)),
            None if now.get(Counter::Consumed) > before.get(Counter::Consumed) => Ok(Ending::Consumed),
            None => Err(RunError::Wrong(format!(
                "a frame ended in the NIC of host {}, and no counter tells how",
                self.names[host]
            ))),
        }
    }

    fn settle(&mut self, observe: &mut dyn FnMut(Observed<'_>)) -> Result<(), RunError> {
        while let Some(mut packet) = self.arrived.pop_front() {
            match outer_destination(packet.frame()).and_then(|pa| self.by_pa.get(&pa).copied()) {
                Some((host, mac)) => {
                    // The underlay routes: its last hop addresses the frame to the host.
                    EthernetFrame::new_unchecked(packet.frame_mut()).set_dst_addr(EthernetAddress(mac.0));
                    self.hand_over(host, Edge::Wire, packet, observe)?;
                }
                None => observe(Observed::Left { packet: &packet }),
            }
        }
        Ok(())
    }
}

/// Where the underlay routes a datagram.
fn outer_destination(frame: &[u8]) -> Option<IpAddr> {
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
