//! A cycle model whose every step is carried out again, in the same order, by the functional model.

use sealnic_hw_model::cycle::{CycleModel, HwConfig};
use sealnic_hw_model::{Edge, Ended, HostPort, HwModel, ModelConfig, Packet};

/// A cycle model that is replayed when it is dropped: octets, verdicts, register values, counters, and what was done to host memory
/// must be the same, or its dropping panics.
pub struct Replayed {
    model: CycleModel,
    config: ModelConfig,
}

impl Replayed {
    /// A device of this hardware.
    ///
    /// # Panics
    /// When it can't be.
    #[must_use]
    pub fn new(config: &ModelConfig, hardware: &HwConfig) -> Self {
        let mut model = CycleModel::new(config, hardware).expect("hardware and random octets are there");
        model.record();
        Self { model, config: *config }
    }
}

impl Drop for Replayed {
    fn drop(&mut self) {
        // A device with a seed of its own can't be made again.
        if std::thread::panicking() || self.config.seed.is_none() {
            return;
        }
        self.model
            .check_replay(&self.config)
            .unwrap_or_else(|error| panic!("{error}"));
    }
}

impl HwModel for Replayed {
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
        self.model.collect()
    }

    fn ended(&mut self) -> Option<Ended> {
        self.model.ended()
    }

    fn next_event_ns(&self) -> Option<u64> {
        self.model.next_event_ns()
    }

    fn advance(&mut self, now_ns: u64) {
        self.model.advance(now_ns);
    }

    fn connect(&mut self, host: Box<dyn HostPort>) {
        self.model.connect(host);
    }

    fn reset(&mut self) {
        self.model.reset();
    }
}
