//! What flows report: begin, continue, end, deny. A record that finds no room in the event ring is kept back in the
//! flow's own counters line and written later by the sweep, so that none is lost.

use crate::flow_table::FlowId;
use crate::memory::Memory;
use crate::nic::{Entropy, Nic};
use crate::parse::Inner;
use sealnic_abi::Counter;
use sealnic_abi::event::{Event, EventKind};
use sealnic_abi::flow::{ActionKind, FlowAction, FlowKey};

/// `FlowCounters::log_state`: what the flow log knows of a flow.
mod log_state {
    pub(super) const OWED: u8 = 0;
    pub(super) const WRITTEN: u8 = 1;
}

/// A closing TCP flow is aged after this time, in nanoseconds, at the latest.
const CLOSING_NS: u64 = 10_000_000_000;

impl<M: Memory, E: Entropy> Nic<M, E> {
    /// Counts a frame of a flow.
    #[inline]
    pub(crate) fn touch(&mut self, flow: FlowId, inner: &Inner, frame_len: usize) {
        let now_ns = self.now_ns;
        let counters = self.flows.counters_mut(flow);
        counters.packets += 1;
        counters.octets += frame_len as u64;
        counters.last_ns = now_ns;
        counters.closing |= u8::from(inner.closing);
    }

    fn flow_event(&self, flow: FlowId, kind: EventKind) -> Event {
        let entry = self.flows.entry(flow);
        let counters = self.flows.counters(flow);
        let (key, action) = (entry.key, entry.action);
        let ingress = key.flags & FlowKey::INGRESS != 0;
        let vni = if ingress {
            Some(key.scope)
        } else {
            self.tables.port(action.port).map(|port| port.vni)
        };
        let deny = kind == EventKind::FlowDeny;
        Event {
            time_ns: if matches!(kind, EventKind::FlowBegin | EventKind::FlowDeny) {
                counters.first_ns
            } else {
                self.now_ns
            },
            packets: if deny {
                0
            } else {
                counters.packets - counters.logged_packets
            },
            octets: if deny {
                0
            } else {
                counters.octets - counters.logged_octets
            },
            vni: vni.unwrap_or(0),
            port: action.port,
            kind: kind.into(),
            code: action.code,
            reason: if deny { action.reason } else { 0xff },
            key,
            ..Event::ZERO
        }
    }

    fn is_denied(&self, flow: FlowId) -> bool {
        self.flows.entry(flow).action.kind == u8::from(ActionKind::Drop)
    }

    /// Writes the flow's first record, if there is room; otherwise it stays owed.
    pub(crate) fn log_begin(&mut self, flow: FlowId) {
        if self.flows.counters(flow).log_state == log_state::WRITTEN {
            return;
        }
        let kind = if self.is_denied(flow) {
            EventKind::FlowDeny
        } else {
            EventKind::FlowBegin
        };
        // Begin counts nothing: those packets come with the next record.
        let event = Event {
            packets: 0,
            octets: 0,
            ..self.flow_event(flow, kind)
        };
        if self.events.push(event) {
            self.flows.counters_mut(flow).log_state = log_state::WRITTEN;
        }
    }

    /// Writes what a flow did since its last record, if there is news and room.
    fn log_continue(&mut self, flow: FlowId) -> bool {
        let counters = *self.flows.counters(flow);
        if counters.packets == counters.logged_packets
            || !self.events.push(self.flow_event(flow, EventKind::FlowContinue))
        {
            return false;
        }
        let now_ns = self.now_ns;
        let counters = self.flows.counters_mut(flow);
        (counters.logged_packets, counters.logged_octets) = (counters.packets, counters.octets);
        counters.logged_ns = now_ns;
        true
    }

    /// Replaces the decision of a flow. When that turns between letting it pass and denying it, the log hears of the end of one
    /// flow and the beginning of another.
    pub(crate) fn change_flow(&mut self, flow: FlowId, action: FlowAction) {
        let denies = action.kind == u8::from(ActionKind::Drop);
        self.log_begin(flow);
        if denies == self.is_denied(flow) {
            if !denies && self.flows.entry(flow).action.code != action.code {
                // What was sent until now was sent under the old code.
                self.log_continue(flow);
            }
            self.flows.set_action(flow, action);
            return;
        }
        if denies {
            let event = self.flow_event(flow, EventKind::FlowEnd);
            self.report(event);
        }
        self.flows.set_action(flow, action);
        let now_ns = self.now_ns;
        let counters = self.flows.counters_mut(flow);
        counters.log_state = log_state::OWED;
        counters.first_ns = now_ns;
        (counters.logged_packets, counters.logged_octets) = (counters.packets, counters.octets);
        self.log_begin(flow);
    }

    /// Removes a flow and writes its last record. Without `force` a flow whose records find no room stays.
    pub(crate) fn end_flow(&mut self, flow: FlowId, force: bool) -> bool {
        if !force && self.events.room() < 2 {
            return false;
        }
        self.log_begin(flow);
        if !self.is_denied(flow) {
            let event = self.flow_event(flow, EventKind::FlowEnd);
            self.report(event);
        }
        self.flows.remove(flow);
        true
    }

    /// Looks at the next `entries` slots: writes owed and continuing records, ends idle flows. Returns whether it did anything.
    pub(crate) fn sweep(&mut self, entries: usize) -> bool {
        let Some(config) = self.tables.config else { return false };
        let (idle_ns, log_ns) = (
            u64::from(config.flow_idle_ms) * 1_000_000,
            u64::from(config.flow_log_ms) * 1_000_000,
        );
        let mut worked = false;
        for _ in 0..entries.min(self.flows.slots()) {
            let flow = self.sweep_at;
            self.sweep_at = (flow + 1) % self.flows.slots();
            if self.flows.get(flow).is_none() {
                continue;
            }
            let counters = *self.flows.counters(flow);
            let idle_limit = if counters.closing != 0 {
                idle_ns.min(CLOSING_NS)
            } else {
                idle_ns
            };
            if self.now_ns.saturating_sub(counters.last_ns) >= idle_limit {
                if self.end_flow(flow, false) {
                    self.count(Counter::FlowsAged);
                    worked = true;
                }
                continue;
            }
            self.log_begin(flow);
            let due = self.now_ns.saturating_sub(counters.logged_ns) >= log_ns;
            worked |= due && !self.is_denied(flow) && self.log_continue(flow);
        }
        worked
    }

    /// Ends every flow that `wanted` picks, as far as the log has room; returns how many.
    pub(crate) fn flush_flows(&mut self, wanted: impl Fn(&FlowKey) -> bool, force: bool) -> u32 {
        let mut count = 0;
        for flow in 0..self.flows.slots() {
            if self.flows.get(flow).is_some_and(|entry| wanted(&entry.key)) {
                if !self.end_flow(flow, force) {
                    break;
                }
                count += 1;
            }
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::small_nic;
    use sealnic_abi::EncryptionCode;

    #[test]
    fn frames_are_logged_under_the_code_they_were_sent_under() {
        let mut nic = small_nic();
        let action = |kind: ActionKind, code: EncryptionCode| FlowAction {
            kind: kind.into(),
            code: code.into(),
            ..FlowAction::ZERO
        };
        let (sealed, clear) = (
            action(ActionKind::Seal, EncryptionCode::X),
            action(ActionKind::Clear, EncryptionCode::NxFallback),
        );
        let hash = nic.flows.hash(&FlowKey::ZERO);
        let flow = nic.flows.insert(FlowKey::ZERO, hash, clear, 0).unwrap();
        nic.log_begin(flow);
        for (packets, next) in [(3, sealed), (3, sealed), (10, clear)] {
            nic.flows.counters_mut(flow).packets = packets;
            nic.change_flow(flow, next);
        }
        nic.flows.counters_mut(flow).packets = 11;
        assert!(nic.end_flow(flow, false));
        let log = core::array::from_fn(|_| nic.events.pop().map(|event| (event.kind, event.code, event.packets)));
        let line = |kind: EventKind, action: FlowAction, packets| Some((kind.into(), action.code, packets));
        let expected: [Option<(u8, u8, u64)>; 5] = [
            line(EventKind::FlowBegin, clear, 0),
            line(EventKind::FlowContinue, clear, 3),
            line(EventKind::FlowContinue, sealed, 7),
            line(EventKind::FlowEnd, clear, 1),
            None,
        ];
        assert_eq!(log, expected);
    }
}
