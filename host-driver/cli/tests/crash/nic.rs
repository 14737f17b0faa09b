//! A NIC to be served, with taps at its VM.

use sealnic_abi::registers::BAR_LEN;
use sealnic_hw_model::{Edge, Ended, FunctionalModel, HostPort, HwModel, ModelConfig, Packet, Sizes};
use sealnic_sim::serve::ServedNic;
use sealnic_sim::serve::function::{ClientPort, NetworkFunction, ServedFunction};
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
}

impl Vm {
    pub(crate) fn send(&self, frame: Vec<u8>) {
        self.0.lock().unwrap().to_nic.push_back(frame);
    }

    /// Has the NIC reset itself when its time next passes.
    pub(crate) fn reset_nic(&self) {
        self.0.lock().unwrap().reset = true;
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

/// As much of a PCI function as a driver needs to find the NIC.
pub(crate) struct Nic {
    model: Tapped,
    config: Vec<u8>,
}

impl ServedFunction for Nic {
    fn bar_lens(&self) -> [u64; 6] {
        [u64::from(BAR_LEN), 0, 0, 0, 0, 0]
    }

    fn vectors(&self) -> u16 {
        8
    }

    fn config_read(&mut self, offset: u16, octets: &mut [u8]) {
        octets.copy_from_slice(&self.config[usize::from(offset)..][..octets.len()]);
    }

    fn config_write(&mut self, offset: u16, octets: &[u8]) {
        // The identity stays.
        if offset >= 4 {
            self.config[usize::from(offset)..][..octets.len()].copy_from_slice(octets);
        }
    }

    fn bar_read(&mut self, _bar: u8, offset: u64, octets: &mut [u8]) {
        let word = self.model.read32(u32::try_from(offset).unwrap());
        octets.copy_from_slice(&word.to_le_bytes()[..octets.len()]);
    }

    fn bar_write(&mut self, _bar: u8, offset: u64, octets: &[u8]) {
        let word = u32::from_le_bytes(octets.try_into().unwrap());
        self.model.write32(u32::try_from(offset).unwrap(), word);
    }

    fn reset(&mut self) {
        self.model.reset();
    }

    fn set_vector(&mut self, _vector: u16, _in_use: bool) {}

    fn detach(&mut self) {}
}

impl NetworkFunction for Nic {
    fn model(&mut self) -> &mut dyn HwModel {
        &mut self.model
    }
}

/// A NIC and its VM.
pub(crate) fn nic(socket: &Path) -> (ServedNic<Nic>, Vm) {
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
    let mut model = FunctionalModel::new(&ModelConfig { sizes, seed: None }).unwrap();
    let port = ClientPort::default();
    model.connect(Box::new(port.clone()));
    let vm = Vm::default();
    let mut config = vec![0; 4096];
    let id = sealnic_abi::registers::offsets::device_id::DEVICE_RESET << 16 | 0x1DE5;
    config[..4].copy_from_slice(&id.to_le_bytes());
    let served = ServedNic {
        socket: socket.to_owned(),
        function: Nic {
            model: Tapped { model, vm: vm.clone() },
            config,
        },
        port,
    };
    (served, vm)
}
