//! Paging through the device's tables.

use crate::device::Device;
use crate::error::Error;
use crate::transport::Transport;
use sealnic_abi::mailbox::{
    AssociationList, ExclusionList, FlowList, FlowRow, Identity, MappingList, PortAddressList, PortList, Request,
    SaList, VnetList,
};
use sealnic_abi::object::{Association, Exclusion, Mapping, Port, PortAddress, SaState, Vnet};
use std::collections::VecDeque;
use std::marker::PhantomData;

/// A list command: what it lists and how its pages are taken apart.
pub trait ListRequest: Request {
    /// What is listed.
    type Item: Copy;
    /// What the table holds at most, by the device's own word; a device that lists more is misbehaving.
    fn capacity(identity: &Identity) -> u32;
    /// The request for the page at `cursor`.
    fn at(cursor: u32) -> Self;
    /// The page's count and next cursor as the device gave them, and all its item slots.
    fn page(response: &Self::Response) -> (u32, u32, &[Self::Item]);
}

macro_rules! list_request {
    ($( $request:ident: $item:ty, $capacity:ident; )*) => { $(
        impl ListRequest for $request {
            type Item = $item;
            fn capacity(identity: &Identity) -> u32 {
                identity.$capacity
            }
            fn at(cursor: u32) -> Self {
                Self { cursor }
            }
            fn page(response: &Self::Response) -> (u32, u32, &[Self::Item]) {
                (response.count, response.next, &response.items)
            }
        }
    )* };
}

list_request! {
    VnetList: Vnet, max_vnets;
    PortList: Port, max_ports;
    PortAddressList: PortAddress, max_port_addresses;
    MappingList: Mapping, max_mappings;
    AssociationList: Association, max_associations;
    SaList: SaState, max_sas;
    ExclusionList: Exclusion, max_exclusions;
    FlowList: FlowRow, max_flows;
}

/// Items of one list at most, whatever the device says that it holds: more than the greatest table, and not for ever.
const MAX_ITEMS: u32 = 1 << 22;
/// Empty pages of one list at most.
const MAX_EMPTY_PAGES: u32 = 4_096;

/// Iterates over a table, page by page. It ends after the first error.
pub struct Pages<'d, T: Transport, L: ListRequest> {
    device: &'d mut Device<T>,
    items: VecDeque<L::Item>,
    /// Cursor of the next page; `None` at the end.
    cursor: Option<u32>,
    /// What the device may still list.
    items_left: u32,
    pages_left: u32,
    empty_left: u32,
    list: PhantomData<L>,
}

impl<'d, T: Transport, L: ListRequest> Pages<'d, T, L> {
    pub(crate) fn new(device: &'d mut Device<T>) -> Self {
        let capacity = L::capacity(device.identity());
        Self {
            device,
            items: VecDeque::new(),
            cursor: Some(0),
            items_left: capacity.min(MAX_ITEMS),
            // A page may be empty where the device walks a sparse table, but there are no more pages than slots.
            pages_left: capacity.min(MAX_ITEMS) + 1,
            empty_left: MAX_EMPTY_PAGES,
            list: PhantomData,
        }
    }

    fn fetch(&mut self, cursor: u32) -> Result<(), Error> {
        let response = self.device.bulk_call(&L::at(cursor))?;
        let (count, next, slots) = L::page(&response);
        let misbehaving = |what| Err(Error::Misbehaving { what });
        let Some(items) = usize::try_from(count).ok().and_then(|count| slots.get(..count)) else {
            return misbehaving("a list page counts more items than it has room for");
        };
        let (Some(items_left), Some(pages_left)) = (self.items_left.checked_sub(count), self.pages_left.checked_sub(1))
        else {
            return misbehaving("a list is longer than its table");
        };
        if items.is_empty() && next != 0 {
            let Some(empty_left) = self.empty_left.checked_sub(1) else {
                return misbehaving("a list is of empty pages");
            };
            self.empty_left = empty_left;
        }
        if next != 0 && next <= cursor {
            return misbehaving("a list goes round in circles");
        }
        self.items.extend(items);
        (self.items_left, self.pages_left) = (items_left, pages_left);
        self.cursor = (next != 0).then_some(next);
        Ok(())
    }
}

impl<T: Transport, L: ListRequest> Iterator for Pages<'_, T, L> {
    type Item = Result<L::Item, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(item) = self.items.pop_front() {
                return Some(Ok(item));
            }
            let cursor = self.cursor.take()?;
            if let Err(error) = self.fetch(cursor) {
                return Some(Err(error));
            }
        }
    }
}
