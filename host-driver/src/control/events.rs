//! The device's events: how they are noticed, and who is told.

use super::follow::Following;
use super::owner::Owner;
use super::view::EventView;
use sealnic_abi::event::{Event, EventKind};

/// Entries of the event ring.
const ENTRIES: u16 = 1024;
/// Events taken in one go, so that a device that never stops reporting keeps nobody waiting.
const AT_ONCE: usize = 2560;
/// Past events that are remembered.
const REMEMBERED: usize = 4096;

impl Owner {
    /// Has events come by a ring and interrupts tell of them, where the device and the way to it can; else it is asked again and again.
    pub(super) fn listen(&mut self) {
        let Some(device) = &mut self.device else {
            return;
        };
        let listens = device
            .enable_event_ring(ENTRIES)
            .and_then(|()| device.enable_interrupts());
        if let Err(error) = &listens {
            tracing::info!(%error, "the device is asked for events again and again");
        }
        self.listens = listens.is_ok();
        // There may be events from before.
        self.stirred = true;
    }

    /// Takes the events that are there, as many as go at once.
    pub(super) fn take_events(&mut self) {
        let taken = self.quietly(|device| {
            // Without a ring, one register tells whether it is worth asking.
            if !device.has_event_ring() && !device.interrupt_causes()?.events_pending {
                return Ok(Vec::new());
            }
            device.take_events(AT_ONCE)
        });
        let Ok(events) = taken else {
            return;
        };
        self.stirred |= events.len() >= AT_ONCE;
        for event in &events {
            self.take_event(event);
        }
    }

    fn take_event(&mut self, event: &Event) {
        self.events += 1;
        self.note_time(event.time_ns);
        if let Err(error) = self.flow_log.push(event) {
            self.flow_errors += 1;
            // A device that makes no sense must not fill the disk by way of our log.
            if self.flow_errors.is_power_of_two() {
                tracing::warn!(%error, so_far = self.flow_errors, "an event is not in the flow log");
            }
        }
        match EventKind::try_from(event.kind) {
            Ok(EventKind::SaSoftLimit) => {
                tracing::warn!(
                    sa = event.subject,
                    "the SA will soon reach its limit; rotate its association at both ends"
                );
            }
            Ok(EventKind::SaHardLimit) => {
                tracing::error!(
                    sa = event.subject,
                    "the SA is dead: it reached its limit; rotate its association at both ends"
                );
            }
            _ => {}
        }
        let view = EventView::new(event, self.epoch_ns);
        self.followers.tell(&view);
        if self.recent.len() >= REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back(view);
    }

    /// The last events, and those to come when `follow` is set.
    pub(super) fn log(&mut self, last: usize, follow: bool) -> (Vec<EventView>, Option<Following<EventView>>) {
        let skipped = self.recent.len().saturating_sub(last);
        let past = self.recent.iter().skip(skipped).cloned().collect();
        (past, follow.then(|| self.followers.add()))
    }
}
