//! The device: its tables, its clock, its counters, and the one place where every frame's way ends.

use crate::control::MailboxState;
use crate::events::EventRing;
use crate::flow_table::FlowTable;
use crate::frame::{Frame, HEADROOM, Offload, Output, TAILROOM, Verdict};
use crate::host_queue::HostQueue;
use crate::key_store::KeyStore;
use crate::log::message;
use crate::memory::{Memory, Sizes};
use crate::tables::Tables;
use sealnic_abi::counter::{COUNTERS, DROP_COUNTER_BASE, DROP_REASONS};
use sealnic_abi::event::{Event, EventKind};
use sealnic_abi::mailbox::CounterValues;
use sealnic_abi::{Counter, DropReason};

/// A source of random octets: the board's generator. Used for generations and for the secrets of the tables' hashes.
pub trait Entropy {
    /// Fills `octets` with random values.
    fn fill(&mut self, octets: &mut [u8]);
}

/// The SealNIC device, less its buses.
///
/// A frame goes in through [`from_vf`](Self::from_vf), [`from_wire`](Self::from_wire) or [`from_host`](Self::from_host) and
/// is rewritten in its own buffer; the verdict says where it goes. Frames that the NIC makes besides go to the [`Output`].
pub struct Nic<M: Memory, E: Entropy> {
    pub(crate) tables: Tables<M>,
    pub(crate) keys: KeyStore<M>,
    pub(crate) flows: FlowTable<M>,
    pub(crate) events: EventRing<M>,
    /// Buffers for frames that the NIC makes, taken while in use: a segment may call forth an answer or a fragment.
    scratch: [Option<M::Slice<u8>>; 2],
    pub(crate) mailbox: MailboxState,
    pub(crate) entropy: E,
    pub(crate) sizes: Sizes,
    pub(crate) generation: u64,
    /// Hides the flow hash behind the source ports that come from it.
    pub(crate) entropy_secret: u64,
    pub(crate) now_ns: u64,
    /// Entries of an older epoch are decided again.
    pub(crate) policy_epoch: u32,
    pub(crate) enabled: bool,
    pub(crate) sweep_at: usize,
    /// What may go to the host or be answered, by who asks for it: none can use up another's.
    pub(crate) budgets: Budgets,
    pub(crate) host: HostQueue,
    counters: [u64; COUNTERS],
    drops: [u64; DROP_REASONS],
}

impl<M: Memory, E: Entropy> Nic<M, E> {
    /// A device in reset state, with every table made by `memory`.
    pub fn new(memory: &mut M, sizes: &Sizes, mut entropy: E) -> Self {
        let mut secret = [0; 16];
        entropy.fill(&mut secret);
        let mut entropy_secret = [0; 8];
        entropy.fill(&mut entropy_secret);
        let mut nic = Self {
            tables: Tables::new(memory, sizes, secret),
            keys: KeyStore::new(memory, sizes, secret),
            flows: FlowTable::new(memory, sizes.flows, secret),
            events: EventRing::new(memory, sizes.events),
            scratch: core::array::from_fn(|_| Some(memory.slice(HEADROOM + sizes.frame_len + TAILROOM, || 0))),
            mailbox: MailboxState::default(),
            entropy,
            sizes: *sizes,
            generation: 0,
            entropy_secret: u64::from_le_bytes(entropy_secret),
            now_ns: 0,
            policy_epoch: 1,
            enabled: false,
            sweep_at: 0,
            budgets: Budgets::default(),
            host: HostQueue::default(),
            counters: [0; COUNTERS],
            drops: [0; DROP_REASONS],
        };
        nic.draw_generation();
        nic
    }

    fn draw_generation(&mut self) {
        let mut octets = [0; 8];
        self.entropy.fill(&mut octets);
        // Zero is what an unpowered register reads as.
        self.generation = u64::from_le_bytes(octets).max(1);
    }

    /// Resets the device: keys wiped, tables empty, traffic off, a new generation. Frame counters go on, so that the
    /// balance holds; keys once installed stay refused.
    pub fn reset(&mut self) {
        self.keys.reset();
        self.tables.reset();
        self.flows.clear();
        while self.events.pop().is_some() {}
        self.mailbox.forget();
        self.enabled = false;
        self.sweep_at = 0;
        self.bump_policy_epoch();
        self.draw_generation();
        message!(info, "reset, generation {}", self.generation);
        let event = Event {
            kind: EventKind::Reset.into(),
            subject: self.generation as u32,
            ..self.event()
        };
        self.report(event);
    }

    /// Lets traffic pass, or stops it: a stopped device drops every frame as `PortDown`.
    pub fn set_enabled(&mut self, enabled: bool) {
        self.enabled = enabled;
    }

    /// Current generation.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Sizes of the tables.
    #[must_use]
    pub fn sizes(&self) -> &Sizes {
        &self.sizes
    }

    /// Events that wait for the host.
    #[must_use]
    pub fn events_waiting(&self) -> usize {
        self.events.len()
    }

    /// A frame of the VM behind `port`.
    #[inline]
    pub fn from_vf(
        &mut self,
        now_ns: u64,
        port: u16,
        offload: Offload,
        frame: &mut Frame<'_>,
        out: &mut dyn Output,
    ) -> Verdict {
        self.enter(now_ns, Counter::VfIn);
        let result = self.egress(port, offload, frame, out);
        self.finish(result, frame)
    }

    /// A datagram of the underlay.
    #[inline]
    pub fn from_wire(&mut self, now_ns: u64, frame: &mut Frame<'_>) -> Verdict {
        self.enter(now_ns, Counter::WireIn);
        let result = self.ingress(frame);
        self.finish(result, frame)
    }

    /// A frame of the host's exception path: a `HostFrame` header and what it tells to send.
    pub fn from_host(&mut self, now_ns: u64, frame: &mut Frame<'_>, out: &mut dyn Output) -> Verdict {
        let result = if let Some(port) = self.stands_in(frame.octets()) {
            self.enter(now_ns, Counter::VfIn);
            self.as_vm(&port, frame, out)
        } else {
            self.enter(now_ns, Counter::HostIn);
            self.exception(frame)
        };
        self.finish(result, frame)
    }

    #[inline]
    pub(crate) fn enter(&mut self, now_ns: u64, counter: Counter) {
        // Time comes from frames; one that is late doesn't turn it back.
        self.now_ns = self.now_ns.max(now_ns);
        self.count(counter);
    }

    /// The one exit: counts the verdict and wipes what must not be seen again.
    #[inline]
    pub(crate) fn finish(&mut self, result: Result<Verdict, DropReason>, frame: &mut Frame<'_>) -> Verdict {
        let verdict = match result {
            Ok(Verdict::Vf(port)) if self.tables.represented != 0 => self.represent(port, frame),
            other => other,
        }
        .unwrap_or_else(Verdict::Drop);
        match verdict {
            Verdict::WireSealed => self.count(Counter::WireSealed),
            Verdict::WireClear => self.count(Counter::WireClear),
            Verdict::Vf(_) | Verdict::Represented(_) => self.count(Counter::VfOut),
            Verdict::Host => self.count(Counter::HostOut),
            Verdict::Consumed => self.count(Counter::Consumed),
            Verdict::Drop(reason) => {
                self.drops[usize::from(u8::from(reason))] += 1;
                frame.wipe();
            }
        }
        verdict
    }

    /// A frame counted as gone didn't go after all.
    pub(crate) fn take_back(&mut self, counter: Counter, reason: DropReason) {
        let counted = &mut self.counters[usize::from(u8::from(counter))];
        *counted = counted.saturating_sub(1);
        self.drops[usize::from(u8::from(reason))] += 1;
    }

    /// A frame that the NIC made: accounted for like any other, and handed out.
    pub(crate) fn send_generated(
        &mut self,
        result: Result<Verdict, DropReason>,
        frame: &mut Frame<'_>,
        out: &mut dyn Output,
    ) {
        self.count(Counter::Generated);
        if let Some(destination) = self.finish(result, frame).destination() {
            out.emit(destination, frame.octets());
        }
    }

    #[inline]
    pub(crate) fn count(&mut self, counter: Counter) {
        self.add(counter, 1);
    }

    #[inline]
    pub(crate) fn add(&mut self, counter: Counter, amount: u64) {
        self.counters[usize::from(u8::from(counter))] += amount;
    }

    /// A counter at this instant; [`Counter::FlowsLive`] is kept elsewhere.
    #[inline]
    #[must_use]
    pub fn counter(&self, counter: Counter) -> u64 {
        self.counters[usize::from(u8::from(counter))]
    }

    pub(crate) fn bump_policy_epoch(&mut self) {
        self.policy_epoch = self.policy_epoch.wrapping_add(1).max(1);
        if self.policy_epoch == 1 {
            // Wrapped: an entry of the first epoch would look current.
            self.flows.clear();
        }
    }

    pub(crate) fn event(&self) -> Event {
        Event {
            time_ns: self.now_ns,
            reason: 0xff,
            ..Event::ZERO
        }
    }

    /// Hands an event to the host, or counts it as lost.
    pub(crate) fn report(&mut self, event: Event) {
        if !self.events.push(event) {
            self.count(Counter::EventsLost);
        }
    }

    /// All counters at this instant.
    #[must_use]
    pub fn counter_values(&self) -> CounterValues {
        let mut values = CounterValues::ZERO;
        values.values[..COUNTERS].copy_from_slice(&self.counters);
        values.values[usize::from(u8::from(Counter::FlowsLive))] = self.flows.live() as u64;
        for (counter, held) in self.host.held() {
            let gone = &mut values.values[usize::from(u8::from(counter))];
            *gone = gone.saturating_sub(held);
            values.values[usize::from(u8::from(Counter::Held))] += held;
        }
        values.values[DROP_COUNTER_BASE..DROP_COUNTER_BASE + DROP_REASONS].copy_from_slice(&self.drops);
        values
    }

    /// Lets time pass: ends overlaps, ages flows and writes their records, a bounded number of entries at a time. Returns
    /// whether there may be more to do at this instant.
    pub fn poll(&mut self, now_ns: u64, entries: usize) -> bool {
        self.now_ns = self.now_ns.max(now_ns);
        if let Some(sa) = self.keys.expired(self.now_ns) {
            self.remove_sa(sa);
            return true;
        }
        self.sweep(entries)
    }

    /// Whether the overlap of some SA has ended by `now_ns`, so that [`poll`](Self::poll) has keys to wipe.
    pub fn has_expired_keys(&mut self, now_ns: u64) -> bool {
        self.keys.expired(now_ns).is_some()
    }

    /// Wipes an SA and tells the host.
    pub(crate) fn remove_sa(&mut self, sa: u32) {
        if self.keys.remove(sa).is_ok() {
            self.report_sa(EventKind::SaRetired, sa);
        }
    }

    pub(crate) fn report_sa(&mut self, kind: EventKind, sa: u32) {
        message!(info, "SA {}: event {}", sa, u8::from(kind));
        self.report(Event {
            kind: kind.into(),
            subject: sa,
            ..self.event()
        });
    }
}

impl<M: Memory, E: Entropy> Nic<M, E> {
    /// Runs `work` with a buffer of the NIC's own, set up as a frame of `len` octets with room around it. `None` when every
    /// buffer is in use or too small.
    pub(crate) fn with_scratch<R>(
        &mut self,
        len: usize,
        work: impl FnOnce(&mut Self, &mut Frame<'_>) -> R,
    ) -> Option<R> {
        let free = self.scratch.iter().position(Option::is_some)?;
        let mut scratch = self.scratch[free].take()?;
        let fits = scratch.len() >= HEADROOM + len + TAILROOM;
        let frame = Frame::new(&mut scratch, HEADROOM, HEADROOM + len).filter(|_| fits);
        let result = frame.map(|mut frame| work(self, &mut frame));
        self.scratch[free] = Some(scratch);
        result
    }
}

/// The budgets of the control traffic. Each has the device's rate: VMs that flood the host with requests, or strangers on the
/// underlay that flood it with handshakes, delay no key change of those who are authenticated.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Budgets {
    /// Packet-too-big answers to VMs.
    pub(crate) answers: RateLimit,
    /// Requests of VMs.
    pub(crate) requests: RateLimit,
    /// Handshake records of the wire: anybody's.
    pub(crate) handshakes: RateLimit,
    /// Opened control records.
    pub(crate) control_records: RateLimit,
}

/// So many a second of device time.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RateLimit {
    second: u64,
    used: u32,
}

impl RateLimit {
    /// Takes one of `rate` a second; 0 is no limit.
    pub(crate) fn take(&mut self, now_ns: u64, rate: u32) -> bool {
        let second = now_ns / 1_000_000_000;
        if second != self.second {
            *self = Self { second, used: 0 };
        }
        if rate != 0 && self.used >= rate {
            return false;
        }
        self.used = self.used.saturating_add(1);
        true
    }
}
