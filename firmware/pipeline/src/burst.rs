//! Frames by the burst: the same stages as for a single frame, in the same order for each, but the tables' lines of all frames are
//! asked for before the first is used, so that their misses overlap.
//!
//! What is read ahead is what no other frame's way can change: a frame's own headers, the keyed hash, the line's address. Every
//! decision, count and commit happens frame after frame, as if they had come one by one.

use crate::egress::Reading;
use crate::frame::{Frame, Offload, Output, Verdict};
use crate::ingress::{Arrival, Arriving};
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
        let mut arriving = [Arriving::EMPTY; BURST];
        let mut arrivals = [Ok(Arrival::Ended(Verdict::Consumed)); BURST];
        for ((arrival, arriving), queued) in arrivals.iter_mut().zip(&mut arriving).zip(&mut *burst) {
            self.enter(now_ns, Counter::WireIn);
            *arrival = self.arrive(&mut queued.frame, arriving);
        }
        self.warm_flows(|| {
            arrivals.iter().filter_map(|arrival| match arrival {
                Ok(Arrival::Inner { hash }) => Some(*hash),
                _ => None,
            })
        });
        for ((arrival, arriving), queued) in arrivals.into_iter().zip(&arriving).zip(burst) {
            let result = arrival.and_then(|arrival| self.deliver(arrival, arriving, queued.frame.len()));
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

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::frame::{Destination, HEADROOM};
    use crate::testing::{TestNic, device, in_buffer};
    use std::vec::Vec;

    /// A frame of the VM of host 0: now and then spoofed, to nobody, too long, cut off, for everybody, or ARP.
    fn vm_frame(random: &mut impl FnMut(usize) -> usize) -> Vec<u8> {
        let len = if random(9) == 0 { 700 } else { 60 + random(40) };
        let mut frame = std::vec![0x33; len];
        frame[..14].copy_from_slice(&[2, 0, 0, 0, 1, 1, 2, 0, 0, 0, 1, 0, 8, 0]);
        let ip_len = (len - 14) as u16;
        frame[14..18].copy_from_slice(&[0x45, 0, (ip_len >> 8) as u8, ip_len as u8]);
        frame[20..24].copy_from_slice(&[0x40, 0, 64, 17]);
        frame[26..30].copy_from_slice(&[10, 1, 0, 0]);
        frame[30..34].copy_from_slice(&[10, 1, 0, 1]);
        frame[34..38].copy_from_slice(&[0x80, random(30) as u8, 0, 80]);
        match random(24) {
            0 => frame[11] = 9,
            1 => frame[29] = 9,
            2 => frame[33] = 9,
            3 => frame.truncate(20 + random(20)),
            4 => frame[0] = 0xff,
            5 => frame[13] = 6,
            6 => frame[15] = random(4) as u8,
            _ => {}
        }
        frame
    }

    #[derive(Default)]
    struct Collected(Vec<(Destination, Vec<u8>)>);

    impl Output for Collected {
        fn emit(&mut self, to: Destination, frame: &[u8]) {
            self.0.push((to, frame.to_vec()));
        }
    }

    /// What is left of each frame: verdict, place, buffer.
    type Left = Vec<(Verdict, core::ops::Range<usize>, Vec<u8>)>;

    fn one_by_one(frames: &[Vec<u8>], mut enter: impl FnMut(&mut Frame<'_>) -> Verdict) -> Left {
        let way = |octets: &Vec<u8>| {
            let mut buffer = in_buffer(octets);
            let mut frame = Frame::new(&mut buffer, HEADROOM, HEADROOM + octets.len()).unwrap();
            let (verdict, range) = (enter(&mut frame), frame.range());
            (verdict, range, buffer)
        };
        frames.iter().map(way).collect()
    }

    fn together(frames: &[Vec<u8>], enter: impl FnOnce(&mut [Queued<'_>])) -> Left {
        let mut buffers: Vec<Vec<u8>> = frames.iter().map(|frame| in_buffer(frame)).collect();
        let mut queued = Vec::new();
        for (buffer, octets) in buffers.iter_mut().zip(frames) {
            let frame = Frame::new(buffer, HEADROOM, HEADROOM + octets.len()).unwrap();
            queued.push(Queued::new(frame, Offload::default()));
        }
        enter(&mut queued);
        let ends: Vec<_> = queued.iter().map(|q| (q.verdict, q.frame.range())).collect();
        let whole = ends.into_iter().zip(buffers);
        whole
            .map(|((verdict, range), buffer)| (verdict, range, buffer))
            .collect()
    }

    /// All events, in an order that does not depend on who came first.
    fn events(nic: &mut TestNic) -> Vec<std::string::String> {
        let mut events: Vec<_> = core::iter::from_fn(|| nic.events.pop())
            .map(|event| std::format!("{event:?}"))
            .collect();
        events.sort();
        events
    }

    #[test]
    fn a_burst_leaves_what_its_frames_would_have_left_one_by_one() {
        let mut state = 12_345u64;
        let mut random = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as usize % below
        };
        let (mut single, mut bursting) = ([device(0), device(1)], [device(0), device(1)]);
        let (mut delivered, mut dropped) = (0, 0);
        for round in 0..200 {
            let now_ns = round * 1_000;
            let frames: Vec<Vec<u8>> = (0..1 + random(70)).map(|_| vm_frame(&mut random)).collect();
            let (mut out, mut burst_out) = (Collected::default(), Collected::default());
            let sealed = one_by_one(&frames, |frame| {
                single[0].from_vf(now_ns, 0, Offload::default(), frame, &mut out)
            });
            let burst = together(&frames, |frames| {
                bursting[0].from_vf_burst(now_ns, 0, frames, &mut burst_out);
            });
            assert_eq!(sealed, burst);
            assert_eq!(out.0, burst_out.0);
            // What the other host gets: some of it late, twice, or damaged.
            let mut datagrams: Vec<Vec<u8>> = sealed
                .into_iter()
                .filter(|(verdict, ..)| *verdict == Verdict::WireSealed)
                .map(|(_, range, buffer)| buffer[range].to_vec())
                .collect();
            for _ in 0..datagrams.len() / 4 {
                let (a, b) = (random(datagrams.len()), random(datagrams.len()));
                match random(3) {
                    0 => datagrams.swap(a, b),
                    1 => datagrams[a] = datagrams[b].clone(),
                    _ => {
                        let at = random(datagrams[a].len());
                        datagrams[a][at] ^= 1 << random(8);
                    }
                }
            }
            let left = one_by_one(&datagrams, |frame| single[1].from_wire(now_ns, frame));
            let burst = together(&datagrams, |frames| bursting[1].from_wire_burst(now_ns, frames));
            assert_eq!(left, burst);
            delivered += left.iter().filter(|(verdict, ..)| *verdict == Verdict::Vf(0)).count();
            dropped += left.len() - left.iter().filter(|(verdict, ..)| *verdict == Verdict::Vf(0)).count();
            for host in 0..2 {
                assert_eq!(single[host].counter_values(), bursting[host].counter_values());
                assert_eq!(events(&mut single[host]), events(&mut bursting[host]));
            }
        }
        assert!(
            delivered > 2_000 && dropped > 200,
            "{delivered} delivered, {dropped} dropped"
        );
    }
}
