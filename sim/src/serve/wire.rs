//! The wire between the NICs that are served, and their time: the one place where the host's clock is read.

use super::function::NetworkFunction;
use crate::run::capture::{CaptureError, CaptureWriter};
use crate::run::network::outer_destination;
use crate::scenario::{MacAddress, Scenario};
use sealnic_hw_model::{Edge, Packet};
use sealnic_wire::{EthernetAddress, EthernetFrame};
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Least time between two looks at everything that ages in a NIC.
const TICK: Duration = Duration::from_millis(20);
/// A look at a large table takes its time; at least this many times as long goes to other work.
const REST: u32 = 10;
/// Longest time in one go that a NIC goes on with what is due: its client waits as long.
const TURN: Duration = Duration::from_millis(1);
/// Frames that may be on the wire at once; more are lost, as on any.
const DEPTH: usize = 65_536;

/// Where a wire leads.
pub(crate) enum Topology {
    /// One NIC alone: what it sends is seen and lost.
    Open,
    /// Two NICs, back to back.
    BackToBack,
    /// An underlay that routes by outer destination address: the NIC behind each, and its MAC.
    Routed(HashMap<IpAddr, (usize, MacAddress)>),
}

impl Topology {
    /// The underlay of a scenario, its hosts numbered as in the file.
    pub(crate) fn of(scenario: &Scenario) -> Self {
        let mut by_pa = HashMap::new();
        for (index, host) in scenario.hosts.iter().enumerate() {
            by_pa.extend(host.pa_v4.map(|pa| (IpAddr::V4(pa), (index, host.mac))));
            by_pa.extend(host.pa_v6.map(|pa| (IpAddr::V6(pa), (index, host.mac))));
        }
        Self::Routed(by_pa)
    }

    /// The NIC that a frame arrives at, readdressed where a router did so.
    fn next(&self, from: usize, packet: &mut Packet) -> Option<usize> {
        match self {
            Self::Open => None,
            Self::BackToBack => Some(1 - from.min(1)),
            Self::Routed(by_pa) => {
                let (nic, mac) = *by_pa.get(&outer_destination(packet.frame())?)?;
                EthernetFrame::new_unchecked(packet.frame_mut()).set_dst_addr(EthernetAddress(mac.0));
                Some(nic)
            }
        }
    }
}

/// Something stirred: the wire's thread should look.
#[derive(Default)]
pub(crate) struct Bell {
    state: Mutex<Rung>,
    changed: Condvar,
}

#[derive(Default)]
struct Rung {
    stirred: bool,
    over: bool,
}

impl Bell {
    /// Wakes the wire's thread.
    pub(crate) fn stir(&self) {
        self.ring(|rung| rung.stirred = true);
    }

    /// Ends it.
    pub(crate) fn end(&self) {
        self.ring(|rung| rung.over = true);
    }

    fn ring(&self, change: impl FnOnce(&mut Rung)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_one();
    }

    /// Waits to be stirred, at most for `limit`; false at the end.
    fn wait(&self, limit: Duration) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .changed
            .wait_timeout_while(state, limit, |rung| !rung.stirred && !rung.over);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.stirred = false;
        !state.over
    }
}

/// The wire's thread.
pub(crate) struct Wire<'a, F> {
    pub(crate) nics: Vec<&'a Mutex<F>>,
    pub(crate) topology: Topology,
    pub(crate) capture: Option<CaptureWriter>,
    /// When time began.
    pub(crate) start: Instant,
}

impl<F: NetworkFunction> Wire<'_, F> {
    /// Carries frames and lets time pass until the bell says that it is over.
    ///
    /// # Errors
    /// The capture can't be written.
    pub(crate) fn run(mut self, bell: &Bell) -> Result<(), CaptureError> {
        let mut next_tick = Instant::now();
        let mut on_wire = VecDeque::new();
        loop {
            let now = Instant::now();
            if next_tick <= now {
                if let Some(capture) = &mut self.capture {
                    capture.flush()?;
                }
                self.advance_all();
                next_tick = Instant::now() + TICK.max(now.elapsed() * REST);
            }
            for index in 0..self.nics.len() {
                self.take_from(index, &mut on_wire);
            }
            // What these call forth is carried in the next round, so that no flood keeps time and the other NICs waiting.
            for _ in 0..on_wire.len() {
                if let Some((from, packet)) = on_wire.pop_front() {
                    self.carry(from, packet, &mut on_wire)?;
                }
            }
            let until_tick = next_tick.saturating_duration_since(Instant::now());
            let rest = if on_wire.is_empty() {
                until_tick.min(self.until_event())
            } else {
                Duration::ZERO
            };
            if !bell.wait(rest) {
                break;
            }
        }
        self.capture.map_or(Ok(()), CaptureWriter::finish)
    }

    fn now_ns(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn nic(&self, index: usize) -> std::sync::MutexGuard<'_, F> {
        self.nics[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn advance_all(&self) {
        for index in 0..self.nics.len() {
            let now_ns = self.now_ns();
            self.nic(index).model().advance(now_ns);
        }
    }

    /// Time until something happens inside a NIC by itself.
    fn until_event(&self) -> Duration {
        let next = (0..self.nics.len()).filter_map(|index| self.nic(index).model().next_event_ns());
        next.min().map_or(Duration::MAX, |event| {
            Duration::from_nanos(event.saturating_sub(self.now_ns()))
        })
    }

    /// Takes the frames that a NIC gave out.
    fn take_from(&self, index: usize, on_wire: &mut VecDeque<(usize, Packet)>) {
        let mut nic = self.nic(index);
        let model = nic.model();
        // Step by step, at the time of each: looks at everything that ages are the tick's alone.
        let begun = Instant::now();
        while let Some(event) = model.next_event_ns().filter(|event| *event <= self.now_ns())
            && begun.elapsed() < TURN
        {
            model.advance(event);
        }
        let (mut unseen, mut lost) = (0u64, 0u64);
        while let Some((edge, packet)) = model.collect() {
            match edge {
                Edge::Wire if on_wire.len() < DEPTH => on_wire.push_back((index, packet)),
                Edge::Wire => lost += 1,
                // No VM and no host is attached but through the function's own rings.
                Edge::Vf(_) | Edge::Host => unseen += 1,
            }
        }
        drop(nic);
        if unseen != 0 {
            log::debug!("NIC {index}: {unseen} frames left towards nobody");
        }
        if lost != 0 {
            log::warn!("NIC {index}: the wire lost {lost} frames");
        }
    }

    fn carry(
        &mut self,
        from: usize,
        mut packet: Packet,
        on_wire: &mut VecDeque<(usize, Packet)>,
    ) -> Result<(), CaptureError> {
        let now_ns = self.now_ns();
        if let Some(capture) = &mut self.capture {
            capture.write(now_ns, packet.frame(), "")?;
        }
        if let Some(to) = self.topology.next(from, &mut packet) {
            packet.time_ns = now_ns;
            self.nic(to).model().submit(Edge::Wire, packet);
            self.take_from(to, on_wire);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::function::ClientPort;
    use crate::serve::nic::nic;
    use sealnic_hw_model::{Ended, HostPort, HwModel};
    use std::sync::Arc;

    /// Has as many steps of work as there are times, and notes at which time it was made to do them.
    struct Worker {
        due: VecDeque<u64>,
        done: Arc<Mutex<Vec<u64>>>,
    }

    impl HwModel for Worker {
        fn read32(&mut self, _offset: u32) -> u32 {
            0
        }

        fn write32(&mut self, _offset: u32, _value: u32) {}

        fn submit(&mut self, _from: Edge, _packet: Packet) {}

        fn collect(&mut self) -> Option<(Edge, Packet)> {
            None
        }

        fn ended(&mut self) -> Option<Ended> {
            None
        }

        fn next_event_ns(&self) -> Option<u64> {
            self.due.front().copied()
        }

        fn advance(&mut self, now_ns: u64) {
            while self.due.pop_front_if(|due| *due < now_ns).is_some() {}
            self.due.pop_front();
            self.done.lock().unwrap().push(now_ns);
        }

        fn connect(&mut self, _host: Box<dyn HostPort>) {}

        fn reset(&mut self) {}
    }

    #[test]
    fn what_is_due_in_a_nic_happens_at_its_own_time() {
        let done = Arc::default();
        let far = u64::MAX;
        let worker = Worker {
            due: [7, 7, 7, 8, far].into(),
            done: Arc::clone(&done),
        };
        let function = Mutex::new(nic(Box::new(worker), &ClientPort::default(), 0));
        let wire = Wire {
            nics: vec![&function],
            topology: Topology::Open,
            capture: None,
            start: Instant::now(),
        };
        for _ in 0..4 {
            wire.take_from(0, &mut VecDeque::new());
        }
        assert_eq!(*done.lock().unwrap(), [7, 7, 7, 8]);
    }
}
