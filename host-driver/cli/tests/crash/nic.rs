//! A NIC to be served, with taps at its VM.

use sealnic_hw_model::pci::PfFunction;
use sealnic_hw_model::{Edge, Ended, FunctionalModel, HostPort, HwModel, ModelConfig, Packet, Sizes};
use sealnic_sim::serve::ServedNic;
use sealnic_sim::serve::function::ClientPort;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// The VM behind port 0.
#[derive(Clone, Default)]
pub(crate) struct Vm(Arc<Mutex<Queues>>);

#[derive(Default)]
struct Queues {
    to_nic: VecDeque<Vec<u8>>,
    from_nic: Vec<Vec<u8>>,
    reset: bool,
    reads: u64,
}

impl Vm {
    pub(crate) fn send(&self, frame: Vec<u8>) {
        self.0.lock().unwrap().to_nic.push_back(frame);
    }

    /// Has the NIC reset itself when its time next passes.
    pub(crate) fn reset_nic(&self) {
        self.0.lock().unwrap().reset = true;
    }

    /// Registers that the NIC's host has read so far.
    pub(crate) fn register_reads(&self) -> u64 {
        self.0.lock().unwrap().reads
    }

    pub(crate) fn has_received(&self, frame: &[u8]) -> bool {
        self.0.lock().unwrap().from_nic.iter().any(|received| received == frame)
    }
}

struct Tapped {
    model: FunctionalModel,
    vm: Vm,
}

impl HwModel for Tapped {
    fn read32(&mut self, offset: u32) -> u32 {
        self.vm.0.lock().unwrap().reads += 1;
        self.model.read32(offset)
    }

    fn write32(&mut self, offset: u32, value: u32) {
        self.model.write32(offset, value);
    }

    fn submit(&mut self, from: Edge, packet: Packet) {
        self.model.submit(from, packet);
    }

    fn collect(&mut self) -> Option<(Edge, Packet)> {
        let (edge, packet) = self.model.collect()?;
        if edge == Edge::Vf(0) {
            self.vm.0.lock().unwrap().from_nic.push(packet.frame().to_vec());
        }
        Some((edge, packet))
    }

    fn ended(&mut self) -> Option<Ended> {
        self.model.ended()
    }

    fn next_event_ns(&self) -> Option<u64> {
        self.model.next_event_ns()
    }

    fn advance(&mut self, now_ns: u64) {
        while let Some(frame) = { self.vm.0.lock().unwrap().to_nic.pop_front() } {
            self.model.submit(Edge::Vf(0), Packet::new(&frame, now_ns, 0));
        }
        if std::mem::take(&mut self.vm.0.lock().unwrap().reset) {
            self.model.reset();
        }
        self.model.advance(now_ns);
    }

    fn connect(&mut self, host: Box<dyn HostPort>) {
        self.model.connect(host);
    }

    fn reset(&mut self) {
        self.model.reset();
    }
}

/// A NIC as `sealnic serve` has it, and its VM.
pub(crate) fn nic(socket: &Path, serial: u64) -> (ServedNic<PfFunction>, Vm) {
    let sizes = Sizes {
        flows: 1024,
        mappings: 256,
        ports: 16,
        port_addresses: 64,
        associations: 16,
        sas: 64,
        key_history: 1024,
        ..Sizes::default()
    };
    let model = FunctionalModel::new(&ModelConfig { sizes, seed: None }).unwrap();
    let vm = Vm::default();
    let tapped = Tapped { model, vm: vm.clone() };
    let port = ClientPort::default();
    let served = ServedNic {
        socket: socket.to_owned(),
        function: sealnic_sim::serve::nic::nic(Box::new(tapped), &port, serial),
        port,
    };
    (served, vm)
}
