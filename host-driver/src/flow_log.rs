//! The Azure VNet flow log, version 4, from the device's events.
//!
//! The device reports each direction of a flow by itself. Here the directions are paired into one flow, seen from the
//! VM: it begins with the first direction seen, which also says who began it, goes on once a minute while there is news, and
//! ends when its last direction has ended. Every packet of an event is in exactly one tuple, but for those of denied flows,
//! whose tuples have no statistics. Records are grouped by VM (its MAC) and minute, as the reference system does.

use crate::flow_tuple::{FlowDirection, FlowState, FlowTuple, Traffic};
use sealnic_abi::EncryptionCode;
use sealnic_abi::event::{Event, EventKind};
use sealnic_abi::flow::FlowKey;
use sealnic_abi::object::Port;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

/// What the records say about their origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowLogConfig {
    /// Identifier of the flow log.
    pub flow_log_guid: String,
    /// Resource of the flow log; written in upper case.
    pub flow_log_resource_id: String,
    /// Resource that the flow log is about.
    pub target_resource_id: String,
    /// Identifier of the rule set that allows what is not denied.
    pub acl_id: String,
    /// Its rule for flows that the VM began.
    pub outbound_rule: String,
    /// Its rule for flows that others began.
    pub inbound_rule: String,
    /// What device time zero is, in nanoseconds since 1970.
    pub epoch_ns: u64,
}

impl Default for FlowLogConfig {
    fn default() -> Self {
        let nil = "00000000-0000-0000-0000-000000000000";
        Self {
            flow_log_guid: nil.to_owned(),
            flow_log_resource_id: "/PROVIDERS/SEALNIC/FLOWLOGS/FLOWLOG".to_owned(),
            target_resource_id: "/providers/SealNIC/virtualNetworks/scenario".to_owned(),
            acl_id: nil.to_owned(),
            outbound_rule: "DefaultRule_AllowVNetOutBound".to_owned(),
            inbound_rule: "DefaultRule_AllowVNetInBound".to_owned(),
            epoch_ns: 0,
        }
    }
}

/// Why an event is not in the flow log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FlowEventError {
    /// Its port is not known to the flow log.
    #[error("flow event for port {0}, which is not programmed; its flow is not in the log")]
    UnknownPort(u16),
    /// Its kind is unknown.
    #[error("event of unknown kind {0}; use a newer driver")]
    UnknownKind(u8),
    /// Its encryption code is unknown.
    #[error("flow event with unknown encryption code {0}; use a newer driver")]
    UnknownCode(u8),
}

/// A flow-log file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FlowLogFile {
    /// Records, by minute and VM.
    pub records: Vec<Record>,
}

/// One record: a VM, a minute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// When it was written: the end of its minute (ISO 8601, UTC, 100 ns).
    pub time: String,
    /// 4.
    pub flow_log_version: u8,
    /// Identifier of the flow log.
    #[serde(rename = "flowLogGUID")]
    pub flow_log_guid: String,
    /// MAC of the VM, 12 hexadecimal digits.
    pub mac_address: String,
    /// `FlowLogFlowEvent`.
    pub category: &'static str,
    /// Resource of the flow log.
    #[serde(rename = "flowLogResourceID")]
    pub flow_log_resource_id: String,
    /// Resource that the flow log is about.
    #[serde(rename = "targetResourceID")]
    pub target_resource_id: String,
    /// `FlowLogFlowEvent`.
    pub operation_name: &'static str,
    /// The flows.
    pub flow_records: FlowRecords,
}

/// Flows of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FlowRecords {
    /// By rule set.
    pub flows: Vec<Flows>,
}

/// Flows of one rule set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Flows {
    /// Identifier of the rule set; `unspecified` for what encryption denied.
    #[serde(rename = "aclID")]
    pub acl_id: String,
    /// By rule.
    pub flow_groups: Vec<FlowGroup>,
}

/// Flows of one rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FlowGroup {
    /// Rule; `unspecified` for what encryption denied.
    pub rule: String,
    /// Tuples by time.
    pub flow_tuples: Vec<String>,
}

/// Builds the flow log of one device.
pub struct FlowLog {
    config: FlowLogConfig,
    macs: HashMap<u16, [u8; 6]>,
    flows: HashMap<FlowName, Flow>,
    /// Flows with traffic that is in no tuple yet, oldest first.
    pending: Vec<FlowName>,
    minute: u64,
    tuples: BTreeMap<Group, Vec<FlowTuple>>,
    tuple_count: u64,
}

const MINUTE_MS: u64 = 60_000;
const UNSPECIFIED: &str = "unspecified";
const CATEGORY: &str = "FlowLogFlowEvent";

/// Where a tuple stands: minute, MAC, rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    minute: u64,
    mac: [u8; 6],
    rule: Rule,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rule {
    Outbound,
    Inbound,
    Denied,
}

/// A flow without its direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct FlowName {
    port: u16,
    vni: u32,
    vm: IpAddr,
    vm_port: u16,
    peer: IpAddr,
    peer_port: u16,
    protocol: u8,
}

struct Flow {
    direction: FlowDirection,
    /// Of its last event that was no denial.
    code: EncryptionCode,
    /// Flags of the device's entries that have not ended: one per direction, others for fragments.
    live: Vec<u8>,
    /// Traffic in no tuple yet, by encryption code, and the time of its last event.
    news: Vec<(EncryptionCode, Traffic, u64)>,
}

impl FlowLog {
    /// A flow log for a device with these ports.
    #[must_use]
    pub fn new(config: FlowLogConfig, ports: &[Port]) -> Self {
        Self {
            config,
            macs: ports.iter().map(|p| (p.port, p.mac)).collect(),
            flows: HashMap::new(),
            pending: Vec::new(),
            minute: 0,
            tuples: BTreeMap::new(),
            tuple_count: 0,
        }
    }

    /// Number of tuples so far, without those that the current minute may still add.
    #[must_use]
    pub const fn tuple_count(&self) -> u64 {
        self.tuple_count
    }

    /// Takes the next event; one that is not about a flow is passed over.
    ///
    /// # Errors
    /// The event is not understood and is left out.
    pub fn push(&mut self, event: &Event) -> Result<(), FlowEventError> {
        let kind = EventKind::try_from(event.kind).map_err(|_| FlowEventError::UnknownKind(event.kind))?;
        let state = match kind {
            EventKind::FlowBegin => FlowState::Begin,
            EventKind::FlowContinue => FlowState::Continue,
            EventKind::FlowEnd => FlowState::End,
            EventKind::FlowDeny => FlowState::Deny,
            EventKind::SaSoftLimit
            | EventKind::SaHardLimit
            | EventKind::SaRetired
            | EventKind::Reset
            | EventKind::RingStopped => return Ok(()),
        };
        let code = EncryptionCode::try_from(event.code).map_err(|_| FlowEventError::UnknownCode(event.code))?;
        if !self.macs.contains_key(&event.port) {
            return Err(FlowEventError::UnknownPort(event.port));
        }
        let time_ms = self.config.epoch_ns.saturating_add(event.time_ns) / 1_000_000;
        if time_ms / MINUTE_MS > self.minute {
            self.flush();
            self.minute = time_ms / MINUTE_MS;
        }
        let name = FlowName::of(event);
        let egress = event.key.flags & FlowKey::INGRESS == 0;
        let seen_from = if egress {
            FlowDirection::Outbound
        } else {
            FlowDirection::Inbound
        };
        if state == FlowState::Deny {
            self.stop(&name, event.key.flags, time_ms);
            self.emit(&name, seen_from, state, code, Traffic::default(), time_ms);
            return Ok(());
        }
        let flow = self.flows.entry(name).or_insert(Flow {
            direction: seen_from,
            code,
            live: Vec::new(),
            news: Vec::new(),
        });
        let direction = flow.direction;
        flow.code = code;
        let was_live = !flow.live.is_empty();
        flow.live.retain(|&flags| flags != event.key.flags);
        if state != FlowState::End {
            flow.live.push(event.key.flags);
        }
        let ended = flow.live.is_empty();
        let is_news = state != FlowState::Begin || event.packets != 0;
        if is_news {
            if flow.news.is_empty() {
                self.pending.push(name);
            }
            flow.add_news(code, event, egress, time_ms);
        }
        if state == FlowState::Begin && !was_live {
            self.emit(&name, direction, state, code, Traffic::default(), time_ms);
        }
        if ended {
            self.end(&name, time_ms);
        }
        Ok(())
    }

    /// Tells the log which ports there are now. Those it knew already stay known: their last events may be on their way.
    pub fn set_ports(&mut self, ports: &[Port]) {
        self.macs.extend(ports.iter().map(|p| (p.port, p.mac)));
    }

    /// Takes the records of all minutes that are over at device time `now_ns`, for a log that goes on.
    #[must_use]
    pub fn take_closed(&mut self, now_ns: u64) -> Vec<Record> {
        let minute = self.config.epoch_ns.saturating_add(now_ns) / 1_000_000 / MINUTE_MS;
        if minute > self.minute {
            self.flush();
            self.minute = minute;
        }
        let open = Group {
            minute: self.minute,
            mac: [0; 6],
            rule: Rule::Outbound,
        };
        let open = self.tuples.split_off(&open);
        let closed = std::mem::replace(&mut self.tuples, open);
        self.records(closed)
    }

    /// Closes the log: what is pending is written as continuing.
    #[must_use]
    pub fn finish(mut self) -> FlowLogFile {
        self.flush();
        let tuples = std::mem::take(&mut self.tuples);
        FlowLogFile {
            records: self.records(tuples),
        }
    }

    fn records(&self, tuples: BTreeMap<Group, Vec<FlowTuple>>) -> Vec<Record> {
        let mut records: Vec<Record> = Vec::new();
        let mut last = None;
        for (group, mut tuples) in tuples {
            tuples.sort_by_key(|t| t.time_ms);
            if last != Some((group.minute, group.mac)) {
                records.push(self.record(group.minute, group.mac));
                last = Some((group.minute, group.mac));
            }
            let (acl, rule) = match group.rule {
                Rule::Outbound => (&self.config.acl_id, self.config.outbound_rule.as_str()),
                Rule::Inbound => (&self.config.acl_id, self.config.inbound_rule.as_str()),
                Rule::Denied => (&UNSPECIFIED.to_owned(), UNSPECIFIED),
            };
            let flow_group = FlowGroup {
                rule: rule.to_owned(),
                flow_tuples: tuples.iter().map(ToString::to_string).collect(),
            };
            if let Some(record) = records.last_mut() {
                let flows = &mut record.flow_records.flows;
                match flows.last_mut() {
                    Some(same) if same.acl_id == *acl => same.flow_groups.push(flow_group),
                    _ => flows.push(Flows {
                        acl_id: acl.clone(),
                        flow_groups: vec![flow_group],
                    }),
                }
            }
        }
        records
    }

    fn record(&self, minute: u64, mac: [u8; 6]) -> Record {
        Record {
            time: iso_8601((minute + 1).saturating_mul(MINUTE_MS)),
            flow_log_version: 4,
            flow_log_guid: self.config.flow_log_guid.clone(),
            mac_address: mac.iter().map(|octet| format!("{octet:02X}")).collect(),
            category: CATEGORY,
            flow_log_resource_id: self.config.flow_log_resource_id.to_uppercase(),
            target_resource_id: self.config.target_resource_id.clone(),
            operation_name: CATEGORY,
            flow_records: FlowRecords { flows: Vec::new() },
        }
    }

    /// Writes what is pending, as the minute is over.
    fn flush(&mut self) {
        for name in std::mem::take(&mut self.pending) {
            let Some(flow) = self.flows.get_mut(&name) else {
                continue;
            };
            let direction = flow.direction;
            for (code, traffic, time_ms) in std::mem::take(&mut flow.news) {
                self.emit(&name, direction, FlowState::Continue, code, traffic, time_ms);
            }
        }
    }

    /// A direction that went on so far is denied from now on: the device writes no end of it.
    fn stop(&mut self, name: &FlowName, flags: u8, time_ms: u64) {
        let Some(flow) = self.flows.get_mut(name) else {
            return;
        };
        flow.live.retain(|&live| live != flags);
        if flow.live.is_empty() {
            self.end(name, time_ms);
        }
    }

    /// Writes the end of a flow, with all that is pending of it.
    fn end(&mut self, name: &FlowName, time_ms: u64) {
        let Some(flow) = self.flows.remove(name) else {
            return;
        };
        let code = flow.code;
        let mut last = Traffic::default();
        for (news_code, traffic, news_ms) in flow.news {
            if news_code == code {
                last = traffic;
            } else {
                self.emit(name, flow.direction, FlowState::Continue, news_code, traffic, news_ms);
            }
        }
        self.emit(name, flow.direction, FlowState::End, code, last, time_ms);
    }

    fn emit(
        &mut self,
        name: &FlowName,
        direction: FlowDirection,
        state: FlowState,
        encryption: EncryptionCode,
        traffic: Traffic,
        time_ms: u64,
    ) {
        let vm = (name.vm, name.vm_port);
        let peer = (name.peer, name.peer_port);
        let (rule, src, dst) = match direction {
            FlowDirection::Outbound => (Rule::Outbound, vm, peer),
            FlowDirection::Inbound => (Rule::Inbound, peer, vm),
        };
        let group = Group {
            minute: self.minute,
            mac: self.macs.get(&name.port).copied().unwrap_or_default(),
            rule: if state == FlowState::Deny { Rule::Denied } else { rule },
        };
        self.tuples.entry(group).or_default().push(FlowTuple {
            time_ms,
            src: src.0,
            dst: dst.0,
            src_port: src.1,
            dst_port: dst.1,
            protocol: name.protocol,
            direction,
            state,
            encryption,
            traffic,
        });
        self.tuple_count += 1;
    }
}

impl FlowName {
    fn of(event: &Event) -> Self {
        let key = &event.key;
        let any = IpAddr::from([0, 0, 0, 0]);
        let src = (key.src_address().to_ip().unwrap_or(any), key.src_port);
        let dst = (key.dst_address().to_ip().unwrap_or(any), key.dst_port);
        let (vm, peer) = if key.flags & FlowKey::INGRESS == 0 {
            (src, dst)
        } else {
            (dst, src)
        };
        Self {
            port: event.port,
            vni: event.vni,
            vm: vm.0,
            vm_port: vm.1,
            peer: peer.0,
            peer_port: peer.1,
            protocol: key.protocol,
        }
    }
}

impl Flow {
    fn add_news(&mut self, code: EncryptionCode, event: &Event, egress: bool, time_ms: u64) {
        let sent = egress == (self.direction == FlowDirection::Outbound);
        let (packets, octets) = (event.packets, event.octets);
        let traffic = if sent {
            Traffic {
                packets_sent: packets,
                octets_sent: octets,
                ..Traffic::default()
            }
        } else {
            Traffic {
                packets_received: packets,
                octets_received: octets,
                ..Traffic::default()
            }
        };
        match self.news.iter_mut().find(|news| news.0 == code) {
            Some(news) => {
                news.1.add(&traffic);
                news.2 = time_ms;
            }
            None => self.news.push((code, traffic, time_ms)),
        }
    }
}

/// A time in milliseconds since 1970 as `2022-09-14T09:00:52.5620000Z`.
fn iso_8601(time_ms: u64) -> String {
    const DAY_MS: u64 = 86_400_000;
    let (mut days, ms) = (time_ms / DAY_MS, time_ms % DAY_MS);
    // Gregorian calendar: it repeats every 400 years, which are 146,097 days.
    let mut year = 1970 + days / 146_097 * 400;
    days %= 146_097;
    let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let mut month = 1;
    for len in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if days < len {
            break;
        }
        days -= len;
        month += 1;
    }
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    format!(
        "{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}.{:03}0000Z",
        days + 1,
        ms % 1000
    )
}

#[cfg(test)]
mod tests {
    use super::iso_8601;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (time_ms, text) in [
            (0, "1970-01-01T00:00:00.0000000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.9990000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.0000000Z"),
            (951_868_800_000, "2000-03-01T00:00:00.0000000Z"),
            (1_663_146_052_562, "2022-09-14T09:00:52.5620000Z"),
            (1_735_689_599_000, "2024-12-31T23:59:59.0000000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.0000000Z"),
        ] {
            assert_eq!(iso_8601(time_ms), text);
        }
        assert_eq!(iso_8601(u64::MAX).len(), "584556019-04-03T14:25:51.6150000Z".len());
    }
}
