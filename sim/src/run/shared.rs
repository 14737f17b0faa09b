//! A model that several hold: the driver for its registers, an observer for what the driver has no business with.

use sealnic_hw_model::{Edge, Ended, HostPort, HwModel, Packet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One of the holders. All of them use the same model, one at a time.
pub struct Shared<M>(Arc<Mutex<M>>);

impl<M> Clone for Shared<M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<M> Shared<M> {
    /// The first holder.
    #[must_use]
    pub fn new(model: M) -> Self {
        Self(Arc::new(Mutex::new(model)))
    }

    /// The model, for a moment.
    pub fn model(&self) -> MutexGuard<'_, M> {
        // A holder that panicked left a model that is as good as its own tests say.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<M: HwModel> HwModel for Shared<M> {
    fn read32(&mut self, offset: u32) -> u32 {
        self.model().read32(offset)
    }

    fn write32(&mut self, offset: u32, value: u32) {
        self.model().write32(offset, value);
    }

    fn submit(&mut self, from: Edge, packet: Packet) {
        self.model().submit(from, packet);
    }

    fn collect(&mut self) -> Option<(Edge, Packet)> {
        self.model().collect()
    }

    fn ended(&mut self) -> Option<Ended> {
        self.model().ended()
    }

    fn next_event_ns(&self) -> Option<u64> {
        self.model().next_event_ns()
    }

    fn advance(&mut self, now_ns: u64) {
        self.model().advance(now_ns);
    }

    fn connect(&mut self, host: Box<dyn HostPort>) {
        self.model().connect(host);
    }

    fn reset(&mut self) {
        self.model().reset();
    }
}
