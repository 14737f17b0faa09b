//! The functional model: what happens to a frame, at once. The firmware's stages run one after another on each frame.

use crate::core::Core;
use crate::host_port::HostPort;
use crate::packet::{Edge, Ended, Packet};
use crate::{HwModel, ModelConfig, ModelError};
use sealnic_firmware::Verdict;

/// Flow entries looked at after each frame, for aging and the flow log.
const SWEEP: usize = 4;

/// A device that takes no time.
pub struct FunctionalModel {
    core: Core,
}

impl FunctionalModel {
    /// A device in reset state.
    ///
    /// # Errors
    /// When no seed is given and the operating system has no random octets to give.
    pub fn new(config: &ModelConfig) -> Result<Self, ModelError> {
        Ok(Self {
            core: Core::new(config)?,
        })
    }

    /// Works on the rings in host memory.
    fn settle(&mut self) {
        self.core.fetch();
        while let Some(packet) = self.core.next_from_host() {
            self.core.carry(Edge::Host, packet);
        }
        self.core.deliver();
    }
}

impl FunctionalModel {
    /// Goes on where another model of the same device is.
    pub(crate) fn from_core(core: Core) -> Self {
        Self { core }
    }
}

impl HwModel for FunctionalModel {
    fn read32(&mut self, offset: u32) -> u32 {
        self.core.read32(offset)
    }

    fn write32(&mut self, offset: u32, value: u32) {
        self.core.write32(offset, value);
        self.settle();
    }

    fn submit(&mut self, from: Edge, packet: Packet) {
        self.core.at(packet.time_ns);
        self.core.carry(from, packet);
        self.core.nic.poll(self.core.now_ns, SWEEP);
        self.settle();
    }

    fn collect(&mut self) -> Option<(Edge, Packet)> {
        self.core.out.pop()
    }

    fn ended(&mut self) -> Option<Ended> {
        self.core.out.ended.pop_front()
    }

    /// Frames are never on their way: what happens to one happens as it is handed over. Long rings are worked off in parts.
    fn next_event_ns(&self) -> Option<u64> {
        self.core.has_work().then_some(self.core.now_ns)
    }

    fn advance(&mut self, now_ns: u64) {
        // Nothing ages while no time passes: what is left of a long ring doesn't cost a look at every flow.
        if now_ns > self.core.now_ns {
            self.core.advance(now_ns);
        }
        self.settle();
    }

    fn connect(&mut self, host: Box<dyn HostPort>) {
        self.core.connect(host);
    }

    fn reset(&mut self) {
        self.core.reset();
    }
}

/// How a frame's way through one device ended, for observers of a packet that came out.
impl Packet {
    /// Verdict of the device that the packet left last; `None` for one that the device made or that has not been in one.
    #[must_use]
    pub fn verdict(&self) -> Option<Verdict> {
        self.verdict
    }
}
