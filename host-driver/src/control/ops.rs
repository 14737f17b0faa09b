//! What each request does. It runs on the client's thread, and hands the owner one short job after another: no request, however
//! large, keeps the other clients waiting for long.

use super::follow::Following;
use super::owner::{OwnedDevice, OwnerHandle};
use super::protocol::{Failure, FailureKind, Flush, Op, Tail};
use super::spec::{AssociationSpec, ExclusionSpec, MappingSpec, PortSpec, VnetSpec};
use super::view::{FlowView, FrameView, SaView, StatsView};
use crate::desired::prefix_text;
use crate::device::FlushScope;
use crate::error::Error;
use crate::list::ListRequest;
use sealnic_abi::mailbox::{
    AssociationList, ExclusionList, FlowList, MAPPING_BULK, MappingList, PortAddressList, PortList, SaList, VnetList,
};
use serde::Serialize;
use serde_json::{Value, json};
use std::io;
use std::sync::atomic::Ordering;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

/// Where the parts of an answer go.
pub(super) trait Sink {
    /// Sends a part.
    fn more(&mut self, part: Value) -> io::Result<()>;
    /// Whether nobody can be reading any more.
    fn is_gone(&self) -> bool;
}

/// Why a request has no answer.
pub(super) enum Ended {
    /// It failed.
    Failed(Failure),
    /// The client can't be answered.
    Gone(io::Error),
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        Self::Gone(error)
    }
}

/// Past events of a log request that doesn't say how many.
const LAST: usize = 100;
/// Events in one line.
const EVENTS_PER_LINE: usize = 128;
/// Frames in one line: of the longest, twice as many digits fit a line.
const FRAMES_PER_LINE: usize = 16;
/// How often a follower is looked after when there are no events.
const FOLLOW_LOOK: Duration = Duration::from_millis(250);

/// Carries a request out.
pub(super) fn execute(op: Op, owner: &OwnerHandle, sink: &mut dyn Sink) -> Result<Value, Ended> {
    let work = Work { owner };
    match op {
        Op::DeviceInfo(_) => plain(owner.run(super::Owner::info)??),
        Op::DeviceReset(_) => plain(owner.run(super::Owner::reset)??),
        Op::DeviceEnable(enable) => {
            work.device(move |device| device.set_enabled(enable.on))?;
            done(1)
        }
        Op::Reload(_) => plain(owner.run(super::Owner::reload)??),
        Op::VnetList(_) => work.list::<VnetList, _>(sink, VnetSpec::from_abi),
        Op::VnetAdd(list) => work.each(
            list.items,
            |v| format!("VNet {}", v.vni),
            |d, v| d.set_vnet(&v.to_abi()),
        ),
        Op::VnetRemove(list) => work.each(list.items, |vni| format!("VNet {vni}"), |d, vni| d.remove_vnet(*vni)),
        Op::PortList(_) => work.list_ports(sink),
        Op::PortAdd(list) => work.learning(work.each(list.items, |p| format!("port {}", p.port), set_port)),
        Op::PortRemove(list) => work.each(list.items, |p| format!("port {p}"), |d, p| d.remove_port(*p)),
        Op::MappingList(_) => work.list::<MappingList, _>(sink, MappingSpec::from_abi),
        Op::MappingAdd(list) => work.add_mappings(&list.items),
        Op::MappingRemove(list) => work.each(
            list.items,
            |m| format!("mapping {} in VNet {}", m.prefix, m.vni),
            |d, m| d.remove_mapping(&m.to_abi()),
        ),
        Op::AssociationList(_) => work.list::<AssociationList, _>(sink, AssociationSpec::from_abi),
        Op::AssociationAdd(list) => {
            let abi = list
                .items
                .iter()
                .map(AssociationSpec::to_abi)
                .collect::<Result<Vec<_>, _>>();
            let abi = abi.map_err(|error| Failure::bad(error.to_string()))?;
            work.each(abi, |a| format!("association {}", a.id), OwnedDevice::set_association)
        }
        Op::AssociationState(declare) => {
            let at = format!("association {}", declare.id);
            work.one(&at, move |d| d.set_association_state(declare.id, declare.state.0))
        }
        Op::AssociationRemove(list) => work.each(
            list.items,
            |id| format!("association {id}"),
            |d, id| d.remove_association(*id),
        ),
        Op::SaList(_) => work.list::<SaList, _>(sink, |sa| Ok(SaView::from(sa))),
        Op::SaAdd(spec) => {
            let (params, keys) = spec.take().map_err(|error| Failure::bad(error.to_string()))?;
            work.one(&format!("SA {}", params.sa), move |d| d.install_sa(&params, keys))
        }
        Op::SaActivate(list) => work.each(list.items, |sa| format!("SA {sa}"), |d, sa| d.activate_sa(*sa)),
        Op::SaRetire(list) => work.each(list.items, |sa| format!("SA {sa}"), |d, sa| d.retire_sa(*sa)),
        Op::SaRemove(list) => work.each(list.items, |sa| format!("SA {sa}"), |d, sa| d.remove_sa(*sa)),
        Op::SaRotate(rotate) => {
            let epoch = owner.run(move |owner| owner.rotate(rotate))??;
            plain(json!({ "association": rotate.association, "epoch": epoch }))
        }
        Op::ExclusionList(_) => work.list::<ExclusionList, _>(sink, ExclusionSpec::from_abi),
        Op::ExclusionAdd(list) => work.each(
            list.items,
            |e| format!("exclusion {}", e.id),
            |d, e| d.set_exclusion(&e.to_abi()),
        ),
        Op::ExclusionRemove(list) => work.each(
            list.items,
            |id| format!("exclusion {id}"),
            |d, id| d.remove_exclusion(*id),
        ),
        Op::FlowList(_) => work.list::<FlowList, _>(sink, |row| Ok(FlowView::from(row))),
        Op::FlowFlush(flush) => {
            let scope = match flush {
                Flush {
                    port: Some(_),
                    vni: Some(_),
                } => {
                    return Err(Failure::bad("flows are flushed by port or by VNI, not by both").into());
                }
                Flush { port: Some(port), .. } => FlushScope::Port(port),
                Flush { vni: Some(vni), .. } => FlushScope::Vni(vni),
                Flush { .. } => FlushScope::All,
            };
            let count = work.device(move |device| device.flush_flows(scope))?;
            plain(json!({ "count": count }))
        }
        Op::Stats(_) => {
            let counters = work.device(OwnedDevice::counters)?;
            plain(StatsView::from(&counters))
        }
        Op::Log(tail) => log(owner, tail, sink),
        Op::FrameSend(send) => {
            let count = owner.run(move |owner| owner.send_frames(send.port, &send.items))??;
            done(count)
        }
        Op::FrameFollow(_) => {
            let following = owner.run(super::Owner::follow_frames)??;
            // From here on none is missed; whoever waits for that goes on.
            sink.more(plain(Vec::<FrameView>::new())?)?;
            follow(owner, &following, FRAMES_PER_LINE, 0, sink)
        }
    }
}

fn plain(answer: impl Serialize) -> Result<Value, Ended> {
    serde_json::to_value(answer).map_err(|error| Ended::Gone(error.into()))
}

fn done(count: usize) -> Result<Value, Ended> {
    plain(json!({ "count": count }))
}

/// Sets a port and makes its addresses the given ones, while it is down where any of them change.
fn set_port(device: &mut OwnedDevice, spec: &PortSpec) -> Result<(), Error> {
    let Some(wanted) = &spec.addresses else {
        return device.set_port(&spec.to_abi());
    };
    let wanted: Vec<_> = wanted.iter().map(|prefix| spec.address(prefix)).collect();
    let all = device.port_addresses().collect::<Result<Vec<_>, _>>()?;
    let have: Vec<_> = all.into_iter().filter(|address| address.port == spec.port).collect();
    if have.len() != wanted.len() || wanted.iter().any(|address| !have.contains(address)) {
        let mut down = spec.to_abi();
        down.up = 0;
        device.set_port(&down)?;
        for address in have.iter().filter(|address| !wanted.contains(address)) {
            device.remove_port_address(address)?;
        }
        for address in wanted.iter().filter(|address| !have.contains(address)) {
            device.add_port_address(address)?;
        }
    }
    device.set_port(&spec.to_abi())
}

/// Work on the device for one request.
#[derive(Clone, Copy)]
struct Work<'o> {
    owner: &'o OwnerHandle,
}

impl Work<'_> {
    fn device<R: Send + 'static>(
        self,
        act: impl FnOnce(&mut OwnedDevice) -> Result<R, Error> + Send + 'static,
    ) -> Result<R, Failure> {
        self.owner.run(move |owner| owner.device(act))?
    }

    fn one(
        self,
        what: &str,
        act: impl FnOnce(&mut OwnedDevice) -> Result<(), Error> + Send + 'static,
    ) -> Result<Value, Ended> {
        self.device(act).map_err(|failure| named(what, &failure))?;
        done(1)
    }

    /// One job for each object.
    fn each<T: Send + 'static>(
        self,
        items: Vec<T>,
        name: impl Fn(&T) -> String,
        act: impl Fn(&mut OwnedDevice, &T) -> Result<(), Error> + Copy + Send + 'static,
    ) -> Result<Value, Ended> {
        let count = items.len();
        for item in items {
            let what = name(&item);
            self.device(move |device| act(device, &item))
                .map_err(|failure| named(&what, &failure))?;
        }
        done(count)
    }

    /// After ports changed.
    fn learning(self, result: Result<Value, Ended>) -> Result<Value, Ended> {
        self.owner.run(super::Owner::learn_ports)?;
        result
    }

    fn add_mappings(self, items: &[MappingSpec]) -> Result<Value, Ended> {
        for (bulk, chunk) in items.chunks(MAPPING_BULK).enumerate() {
            let abi: Vec<_> = chunk.iter().map(MappingSpec::to_abi).collect();
            self.device(move |device| {
                device.set_mappings(&abi).map_err(|error| match error {
                    // Its number counts from the start of this bulk; the client's list started earlier.
                    Error::MappingRefused { index, status, .. } => Error::MappingRefused {
                        index: bulk * MAPPING_BULK + index,
                        mapping: abi.get(index).map_or_else(String::new, |refused| {
                            format!(
                                "VNI {} {}",
                                refused.src_vni,
                                prefix_text(refused.prefix, refused.prefix_len)
                            )
                        }),
                        status,
                    },
                    other => other,
                })
            })?;
        }
        done(items.len())
    }

    /// One job for each page of a table; gives the pages to `take`.
    fn pages<L>(self, mut take: impl FnMut(Vec<L::Item>) -> Result<(), Ended>) -> Result<(), Ended>
    where
        L: ListRequest + 'static,
        L::Item: Send + 'static,
    {
        let mut cursor = 0;
        let misbehaving = |what| Error::Misbehaving { what };
        loop {
            let (items, next) = self.device(move |device| {
                let response = device.call(&L::at(cursor))?;
                let (count, next, slots) = L::page(&response);
                let items = usize::try_from(count).ok().and_then(|count| slots.get(..count));
                let items = items.ok_or(misbehaving("a list page counts more items than it has room for"))?;
                // Cursors only grow, so that even a device that lies comes to an end.
                if next != 0 && next <= cursor {
                    return Err(misbehaving("a list goes round in circles"));
                }
                Ok((items.to_vec(), next))
            })?;
            take(items)?;
            if next == 0 {
                return Ok(());
            }
            cursor = next;
        }
    }

    fn list<L, V>(self, sink: &mut dyn Sink, view: impl Fn(&L::Item) -> Result<V, Error>) -> Result<Value, Ended>
    where
        L: ListRequest + 'static,
        L::Item: Send + 'static,
        V: Serialize,
    {
        let mut count = 0;
        self.pages::<L>(|items| {
            count += items.len();
            let views = items.iter().map(&view).collect::<Result<Vec<_>, _>>();
            let views = views.map_err(|error| Failure::new(FailureKind::Device, error.to_string()))?;
            if !views.is_empty() {
                sink.more(plain(views)?)?;
            }
            Ok(())
        })?;
        done(count)
    }

    fn list_ports(self, sink: &mut dyn Sink) -> Result<Value, Ended> {
        let mut addresses = Vec::new();
        self.pages::<PortAddressList>(|items| {
            addresses.extend(items);
            Ok(())
        })?;
        self.list::<PortList, _>(sink, |port| PortSpec::from_abi(port, &addresses))
    }
}

fn named(what: &str, failure: &Failure) -> Failure {
    Failure::new(failure.kind, format!("{what}: {failure}"))
}

fn log(owner: &OwnerHandle, tail: Tail, sink: &mut dyn Sink) -> Result<Value, Ended> {
    let last = tail.last.unwrap_or(LAST);
    let (past, following) = owner.run(move |owner| owner.log(last, tail.follow))?;
    let count = past.len();
    for events in past.chunks(EVENTS_PER_LINE) {
        sink.more(plain(events)?)?;
    }
    match following {
        Some(following) => follow(owner, &following, EVENTS_PER_LINE, count, sink),
        None => done(count),
    }
}

/// Sends reports as they come, after `count` that were sent before.
fn follow<V: Serialize>(
    owner: &OwnerHandle,
    following: &Following<V>,
    at_once: usize,
    mut count: usize,
    sink: &mut dyn Sink,
) -> Result<Value, Ended> {
    loop {
        let mut reports = Vec::new();
        match following.reports.recv_timeout(FOLLOW_LOOK) {
            Ok(report) => {
                reports.push(report);
                reports.extend(following.reports.try_iter().take(at_once - 1));
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return done(count),
        }
        let lost = following.lost.swap(0, Ordering::Relaxed);
        if !reports.is_empty() {
            count += reports.len();
            sink.more(plain(reports)?)?;
        }
        if lost != 0 {
            sink.more(json!({ "lost": lost }))?;
        }
        if owner.is_stopping() {
            return done(count);
        }
        if sink.is_gone() {
            return Err(io::Error::from(io::ErrorKind::BrokenPipe).into());
        }
    }
}
