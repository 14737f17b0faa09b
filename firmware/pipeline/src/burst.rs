//! Frames by the burst: the same stages as for a single frame, in the same order for each, but the tables' lines of all frames are
//! asked for before the first is used, so that their misses overlap.
//!
//! What is read ahead is what no other frame's way can change: a frame's own headers, the keyed hash, the line's address. Every
//! decision, count and commit happens frame after frame, as if they had come one by one.

use crate::egress::Reading;
use crate::frame::{Frame, Offload, Output, Verdict};
use crate::ingress::Arrival;
use crate::memory::Memory;
use crate::nic::{Entropy, Nic};
use crate::parse::Inner;
use core::hint::black_box;
use sealnic_abi::{Counter, DropReason};

/// Frames that are looked up together; longer bursts are cut. Enough for as many misses as a core keeps under way.
pub const BURST: usize = 32;

/// A frame of a burst, and what became of it.
pub struct Queued<'a> {
    /// The frame.
    pub frame: Frame<'a>,
    /// What the VM asks for.
    pub offload: Offload,
    /// The NIC's verdict, once it has been through.
    pub verdict: Verdict,
}

impl<'a> Queued<'a> {
    /// A frame that waits for its verdict.
    #[inline]
    #[must_use]
    pub fn new(frame: Frame<'a>, offload: Offload) -> Self {
        Self {
            frame,
            offload,
            verdict: Verdict::Consumed,
        }
    }
}

impl<M: Memory, E: Entropy> Nic<M, E> {
    /// Frames of the VM behind `port`, in their order: each as by [`from_vf`](Self::from_vf).
    pub fn from_vf_burst(&mut self, now_ns: u64, port: u16, frames: &mut [Queued<'_>], out: &mut dyn Output) {
        for burst in frames.chunks_mut(BURST) {
            self.egress_burst(now_ns, port, burst, out);
        }
    }

    fn egress_burst(&mut self, now_ns: u64, port: u16, burst: &mut [Queued<'_>], out: &mut dyn Output) {
        let admitted = self.admit(port);
        let mut inners = [Inner::EMPTY; BURST];
        let mut readings = [Err(DropReason::PortDown); BURST];
        for ((reading, inner), queued) in readings.iter_mut().zip(&mut inners).zip(&*burst) {
            *reading = match &admitted {
                Ok(port) => self.read_egress(port, queued.frame.octets(), inner),
                Err(reason) => Err(*reason),
            };
        }
        self.warm_flows(|| {
            readings.iter().filter_map(|reading| match reading {
                Ok(Reading::Ip { hash }) => Some(*hash),
                _ => None,
            })
        });
        for ((reading, inner), queued) in readings.into_iter().zip(&inners).zip(burst) {
            self.enter(now_ns, Counter::VfIn);
            let result = match (&admitted, reading) {
                (Ok(port), Ok(reading)) => {
                    self.act_egress(port, reading, inner, queued.offload, &mut queued.frame, out)
                }
                (Err(reason), _) => Err(*reason),
                (_, Err(reason)) => Err(reason),
            };
            queued.verdict = self.finish(result, &mut queued.frame);
        }
    }

    /// Datagrams of the underlay, in their order: each as by [`from_wire`](Self::from_wire), except that all records of a burst are
    /// opened, and their numbers committed, before the first is delivered.
    pub fn from_wire_burst(&mut self, now_ns: u64, frames: &mut [Queued<'_>]) {
        for burst in frames.chunks_mut(BURST) {
            self.ingress_burst(now_ns, burst);
        }
    }

    fn ingress_burst(&mut self, now_ns: u64, burst: &mut [Queued<'_>]) {
        let mut inners = [Inner::EMPTY; BURST];
        let mut arrivals = [Ok(Arrival::Ended(Verdict::Consumed)); BURST];
        for ((arrival, inner), queued) in arrivals.iter_mut().zip(&mut inners).zip(&mut *burst) {
            self.enter(now_ns, Counter::WireIn);
            *arrival = self.arrive(&mut queued.frame, inner);
        }
        self.warm_flows(|| {
            arrivals.iter().filter_map(|arrival| match arrival {
                Ok(Arrival::Inner { hash, .. }) => Some(*hash),
                _ => None,
            })
        });
        for ((arrival, inner), queued) in arrivals.into_iter().zip(&inners).zip(burst) {
            let result = arrival.and_then(|arrival| self.deliver(arrival, inner, queued.frame.len()));
            queued.verdict = self.finish(result, &mut queued.frame);
        }
    }

    /// Brings the flow table's lines of several frames near. Two rounds, since where a displaced flow lives is in its bucket.
    #[inline]
    fn warm_flows<I: Iterator<Item = u64>>(&self, hashes: impl Fn() -> I) {
        black_box(hashes().fold(0, |sum, hash| sum ^ self.flows.warm(hash)));
        black_box(hashes().fold(0, |sum, hash| sum ^ self.flows.warm_displaced(hash)));
    }
}
