//! A device: found, checked, and driven by typed commands.

use crate::clock::{Clock, SystemClock};
use crate::counters::CounterSnapshot;
use crate::desired::prefix_text;
use crate::device_rings::Rings;
use crate::error::Error;
use crate::keys::SaKeys;
use crate::list::{ListRequest, Pages};
use crate::mailbox::{Mailbox, MailboxConfig, MailboxError};
pub use crate::registers::InterruptCauses;
use crate::registers::{MAGIC, Registers};
use crate::transport::Transport;
use sealnic_abi::ABI_MAJOR;
use sealnic_abi::mailbox::{
    AssociationList, AssociationRemove, AssociationStateSet, ControlRecordSealed, Counters, ExclusionList,
    ExclusionRemove, FlowFlush, FlowList, Identify, Identity, MAPPING_BULK, MAX_CONTROL_RECORD, MappingList,
    MappingRemove, MappingSet, PolicyEpochBump, PortAddressList, PortAddressRemove, PortList, PortRemove, Request,
    Reset, SaActivate, SaList, SaQuery, SaRemove, SaRetire, SealControlRecord, SelfTest, VnetList, VnetRemove,
    WINDOW_LEN,
};
use sealnic_abi::object::{
    Association, AssociationState, DeviceConfig, Direction, Exclusion, Mapping, Port, PortAddress, SaInstall, SaState,
    Vnet,
};
use zerocopy::{FromBytes, FromZeros, IntoBytes};
use zeroize::Zeroize;

/// Everything about an SA to install but its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SaParams {
    /// SA number chosen by the host.
    pub sa: u32,
    /// Association it belongs to.
    pub association: u32,
    /// Direction.
    pub direction: Direction,
    /// Epoch (DTLS 1.2: 1 to 65535; DTLS 1.3: 3 to 2^48 - 1).
    pub epoch: u64,
    /// First sequence number to seal with, or expected to be opened.
    pub first_seq: u64,
    /// Packets after which the host is told; 0 for the default of the version.
    pub soft_packets: u64,
    /// Packets after which the SA is dead; 0 for the default.
    pub hard_packets: u64,
    /// Octets after which the host is told; 0 for the default.
    pub soft_octets: u64,
    /// Octets after which the SA is dead; 0 for the default.
    pub hard_octets: u64,
}

impl SaParams {
    /// An SA from sequence number 0 with the default limits.
    #[must_use]
    pub const fn new(sa: u32, association: u32, direction: Direction, epoch: u64) -> Self {
        Self {
            sa,
            association,
            direction,
            epoch,
            first_seq: 0,
            soft_packets: 0,
            hard_packets: 0,
            soft_octets: 0,
            hard_octets: 0,
        }
    }
}

/// Which flow entries to remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlushScope {
    /// All.
    All,
    /// Egress entries of a port.
    Port(u16),
    /// Ingress entries of a VNI.
    Vni(u32),
}

/// One known-answer test of the device's self-test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SelfTestOutcome {
    /// What was tested.
    pub name: &'static str,
    /// Whether it was run at all.
    pub run: bool,
    /// Whether it was run and passed.
    pub passed: bool,
}

/// Names of the self-test's bits, from bit 0 on (`SelfTestResult`).
const SELF_TESTS: [&str; 6] = [
    "AES-128-GCM",
    "AES-256-GCM",
    "DTLS 1.2 record",
    "DTLS 1.3 record",
    "replay window",
    "flow hash",
];

/// A SealNIC that this driver owns.
pub struct Device<T: Transport> {
    // Goes first: what the rings hold is free only when the device reaches it no more.
    pub(crate) transport: T,
    pub(crate) clock: Box<dyn Clock>,
    mailbox: Mailbox,
    pub(crate) config: MailboxConfig,
    identity: Identity,
    pub(crate) rings: Rings,
}

impl<T: Transport> Device<T> {
    /// Finds the device behind a transport: checks magic and ABI version, waits until it is ready, and asks who it is.
    ///
    /// # Errors
    /// Nothing there, something else there, an ABI version that this driver doesn't know, a fault, or no answer.
    pub fn attach(transport: T) -> Result<Self, Error> {
        Self::attach_with(transport, Box::new(SystemClock::new()), MailboxConfig::default())
    }

    /// As [`Device::attach`], with a clock and with limits for the mailbox.
    ///
    /// # Errors
    /// As [`Device::attach`].
    pub fn attach_with(transport: T, clock: Box<dyn Clock>, config: MailboxConfig) -> Result<Self, Error> {
        let mut device = Self {
            transport,
            clock,
            mailbox: Mailbox::new(config),
            config,
            identity: Identity::ZERO,
            rings: Rings::default(),
        };
        let registers = Registers::new(&mut device.transport);
        let magic = registers.magic()?;
        if magic != MAGIC {
            return Err(Error::NotSealNic { magic });
        }
        let (major, minor) = registers.abi_version()?;
        if major != ABI_MAJOR {
            return Err(Error::UnknownAbi { major, minor });
        }
        let (request_len, response_len) = registers.mailbox_limits()?;
        if usize::from(request_len) < WINDOW_LEN || usize::from(response_len) < WINDOW_LEN {
            return Err(Error::MailboxTooSmall {
                request_len,
                response_len,
                need: WINDOW_LEN,
            });
        }
        device.wait_ready()?;
        device.unmask_interrupts()?;
        let identity = device.identify()?;
        device.begin_rings();
        tracing::info!(
            generation = identity.generation,
            abi = format_args!("{major}.{minor}"),
            "attached"
        );
        Ok(device)
    }

    /// As [`Device::attach_with`], after a reset by the control register: for a device in fault, or of unknown past.
    ///
    /// # Errors
    /// As [`Device::attach`].
    pub fn attach_after_reset(mut transport: T, clock: Box<dyn Clock>, config: MailboxConfig) -> Result<Self, Error> {
        let registers = Registers::new(&mut transport);
        let magic = registers.magic()?;
        if magic != MAGIC {
            return Err(Error::NotSealNic { magic });
        }
        registers.soft_reset()?;
        Self::attach_with(transport, clock, config)
    }

    /// Who the device is, as of the last [`Device::identify`].
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Asks the device who it is.
    ///
    /// # Errors
    /// The command failed, or the answer contradicts the registers.
    pub fn identify(&mut self) -> Result<Identity, Error> {
        let identity = self.call(&Identify)?;
        if identity.abi_major != ABI_MAJOR {
            return Err(Error::UnknownAbi {
                major: identity.abi_major,
                minor: identity.abi_minor,
            });
        }
        self.identity = identity;
        Ok(identity)
    }

    /// The transport, for what it offers besides registers.
    pub const fn transport_mut(&mut self) -> &mut T {
        &mut self.transport
    }

    /// Gives the device up; it goes on as programmed.
    #[must_use]
    pub fn into_transport(mut self) -> T {
        self.stop_rings();
        self.transport
    }

    /// Has the device carry out a command.
    ///
    /// # Errors
    /// [`MailboxError`].
    pub fn call<R: Request>(&mut self, request: &R) -> Result<R::Response, MailboxError> {
        #[cfg(feature = "fault-points")]
        crate::control::fault::before(R::OPCODE);
        let result = self.mailbox.call(&mut self.transport, &mut *self.clock, request);
        #[cfg(feature = "fault-points")]
        crate::control::fault::after();
        result
    }

    /// Lets frames flow, or stops them; the mailbox works all the same. A reset stops them.
    ///
    /// # Errors
    /// The transport failed.
    pub fn set_enabled(&mut self, enabled: bool) -> Result<(), Error> {
        Ok(Registers::new(&mut self.transport).set_enabled(enabled)?)
    }

    /// Whether frames flow.
    ///
    /// # Errors
    /// The transport failed.
    pub fn is_enabled(&mut self) -> Result<bool, Error> {
        Ok(Registers::new(&mut self.transport).is_enabled()?)
    }

    /// What waits for the host.
    ///
    /// # Errors
    /// The transport failed.
    pub fn interrupt_causes(&mut self) -> Result<InterruptCauses, Error> {
        Ok(Registers::new(&mut self.transport).interrupt_causes()?)
    }

    /// Sets the device-wide configuration: once; giving the same again succeeds.
    ///
    /// # Errors
    /// The command failed, with [`Conflict`](sealnic_abi::mailbox::Status::Conflict) when another configuration is set.
    pub fn configure(&mut self, config: &DeviceConfig) -> Result<(), Error> {
        self.call(config)?;
        self.identity.configured = 1;
        Ok(())
    }

    /// Adds or changes a VNet.
    ///
    /// # Errors
    /// The command failed.
    pub fn set_vnet(&mut self, vnet: &Vnet) -> Result<(), Error> {
        self.call(vnet)?;
        Ok(())
    }

    /// Removes a VNet.
    ///
    /// # Errors
    /// The command failed.
    pub fn remove_vnet(&mut self, vni: u32) -> Result<(), Error> {
        self.call(&VnetRemove { id: vni })?;
        Ok(())
    }

    /// All VNets.
    pub fn vnets(&mut self) -> Pages<'_, T, VnetList> {
        self.list()
    }

    /// Adds or changes a port.
    ///
    /// # Errors
    /// The command failed.
    pub fn set_port(&mut self, port: &Port) -> Result<(), Error> {
        self.call(port)?;
        Ok(())
    }

    /// Removes a port, its addresses and its flows.
    ///
    /// # Errors
    /// The command failed.
    pub fn remove_port(&mut self, port: u16) -> Result<(), Error> {
        self.call(&PortRemove { id: u32::from(port) })?;
        Ok(())
    }

    /// All ports.
    pub fn ports(&mut self) -> Pages<'_, T, PortList> {
        self.list()
    }

    /// Adds an address prefix to a port.
    ///
    /// # Errors
    /// The command failed.
    pub fn add_port_address(&mut self, address: &PortAddress) -> Result<(), Error> {
        self.call(address)?;
        Ok(())
    }

    /// Removes an address prefix from a port.
    ///
    /// # Errors
    /// The command failed.
    pub fn remove_port_address(&mut self, address: &PortAddress) -> Result<(), Error> {
        self.call(&PortAddressRemove { address: *address })?;
        Ok(())
    }

    /// All ports' address prefixes.
    pub fn port_addresses(&mut self) -> Pages<'_, T, PortAddressList> {
        self.list()
    }

    /// Adds or changes mappings in the order given, in as few messages as possible, one message at a time.
    ///
    /// # Errors
    /// [`Error::MappingRefused`] names the first that was refused; those before it are in place.
    pub fn set_mappings(&mut self, mappings: &[Mapping]) -> Result<(), Error> {
        for (bulk, chunk) in mappings.chunks(MAPPING_BULK).enumerate() {
            let mut request = MappingSet::ZERO;
            request.items[..chunk.len()].copy_from_slice(chunk);
            // A chunk is never longer than the bulk.
            request.count = u32::try_from(chunk.len()).unwrap_or(0);
            self.bulk_call(&request)
                .map_err(|error| refused_mapping(error, bulk, chunk))?;
        }
        Ok(())
    }

    /// Removes the mapping of that source VNI and prefix.
    ///
    /// # Errors
    /// The command failed.
    pub fn remove_mapping(&mut self, mapping: &Mapping) -> Result<(), Error> {
        self.call(&MappingRemove { mapping: *mapping })?;
        Ok(())
    }

    /// All mappings.
    pub fn mappings(&mut self) -> Pages<'_, T, MappingList> {
        self.list()
    }

    /// Adds or changes an association.
    ///
    /// # Errors
    /// The command failed.
    pub fn set_association(&mut self, association: &Association) -> Result<(), Error> {
        self.call(association)?;
        Ok(())
    }

    /// Declares an association's state. [`AssociationState::Failed`] lets its traffic go clear where the VNets allow it,
    /// so it is logged.
    ///
    /// # Errors
    /// The command failed.
    pub fn set_association_state(&mut self, id: u32, state: AssociationState) -> Result<(), Error> {
        if state == AssociationState::Failed {
            tracing::warn!(
                association = id,
                "declared as failed: falls back to clear where allowed"
            );
        }
        self.call(&AssociationStateSet {
            id,
            state: state.into(),
            reserved: [0; 3],
        })?;
        Ok(())
    }

    /// Removes an association and its SAs.
    ///
    /// # Errors
    /// The command failed.
    pub fn remove_association(&mut self, id: u32) -> Result<(), Error> {
        self.call(&AssociationRemove { id })?;
        Ok(())
    }

    /// All associations.
    pub fn associations(&mut self) -> Pages<'_, T, AssociationList> {
        self.list()
    }

    /// Installs an SA for the generation in which the device was last identified. The keys are wiped here in any case.
    ///
    /// # Errors
    /// The command failed; with `StaleGeneration` the device was reset meanwhile, and these keys must not be used again.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "keys are given away, so that they are installed once"
    )]
    pub fn install_sa(&mut self, params: &SaParams, keys: SaKeys) -> Result<(), Error> {
        let request = self.sa_install(params, keys);
        self.bulk_call(&*request.0)?;
        Ok(())
    }

    /// Makes a write SA the one that seals; the previous one is retired.
    ///
    /// # Errors
    /// The command failed.
    pub fn activate_sa(&mut self, sa: u32) -> Result<(), Error> {
        self.call(&SaActivate { id: sa })?;
        Ok(())
    }

    /// Retires an SA: a read SA still opens for the overlap.
    ///
    /// # Errors
    /// The command failed.
    pub fn retire_sa(&mut self, sa: u32) -> Result<(), Error> {
        self.call(&SaRetire { id: sa })?;
        Ok(())
    }

    /// Removes an SA and wipes its keys at once.
    ///
    /// # Errors
    /// The command failed.
    pub fn remove_sa(&mut self, sa: u32) -> Result<(), Error> {
        self.call(&SaRemove { id: sa })?;
        Ok(())
    }

    /// State of one SA; never its keys.
    ///
    /// # Errors
    /// The command failed.
    pub fn query_sa(&mut self, sa: u32) -> Result<SaState, Error> {
        Ok(self.call(&SaQuery { id: sa })?)
    }

    /// States of all SAs.
    pub fn sas(&mut self) -> Pages<'_, T, SaList> {
        self.list()
    }

    /// Adds or changes a named exclusion.
    ///
    /// # Errors
    /// The command failed.
    pub fn set_exclusion(&mut self, exclusion: &Exclusion) -> Result<(), Error> {
        self.call(exclusion)?;
        Ok(())
    }

    /// Removes a named exclusion.
    ///
    /// # Errors
    /// The command failed.
    pub fn remove_exclusion(&mut self, id: u32) -> Result<(), Error> {
        self.call(&ExclusionRemove { id })?;
        Ok(())
    }

    /// All named exclusions.
    pub fn exclusions(&mut self) -> Pages<'_, T, ExclusionList> {
        self.list()
    }

    /// All flow entries.
    pub fn flows(&mut self) -> Pages<'_, T, FlowList> {
        self.list()
    }

    /// Removes flow entries; returns how many.
    ///
    /// # Errors
    /// The command failed.
    pub fn flush_flows(&mut self, scope: FlushScope) -> Result<u32, Error> {
        let (scope, is_vni) = match scope {
            FlushScope::All => (u32::MAX, 0),
            FlushScope::Port(port) => (u32::from(port), 0),
            FlushScope::Vni(vni) => (vni, 1),
        };
        let flushed = self.call(&FlowFlush {
            scope,
            is_vni,
            reserved: [0; 3],
        })?;
        Ok(flushed.count)
    }

    /// Lets every cached decision be taken again; returns the new policy epoch.
    ///
    /// # Errors
    /// The command failed.
    pub fn bump_policy_epoch(&mut self) -> Result<u32, Error> {
        let epoch = self.call(&PolicyEpochBump)?.epoch;
        self.identity.policy_epoch = epoch;
        Ok(epoch)
    }

    /// All counters.
    ///
    /// # Errors
    /// The command failed.
    pub fn counters(&mut self) -> Result<CounterSnapshot, Error> {
        Ok(CounterSnapshot::new(&self.call(&Counters)?))
    }

    /// Seals a control record under the association's write SA and sends it; returns its place.
    ///
    /// # Errors
    /// The content doesn't fit, or the command failed.
    pub fn seal_control_record(
        &mut self,
        association: u32,
        content_type: u8,
        content: &[u8],
    ) -> Result<ControlRecordSealed, Error> {
        let too_long = || Error::ControlRecordLen {
            len: content.len(),
            max: MAX_CONTROL_RECORD,
        };
        let mut request = Wiped(Box::new(SealControlRecord {
            association,
            content_len: u16::try_from(content.len()).map_err(|_| too_long())?,
            content_type,
            ..SealControlRecord::ZERO
        }));
        let room = request.0.content.get_mut(..content.len()).ok_or_else(too_long)?;
        if content.is_empty() {
            return Err(too_long());
        }
        room.copy_from_slice(content);
        Ok(self.call(&*request.0)?)
    }

    /// Runs the device's known-answer tests.
    ///
    /// # Errors
    /// The command failed; a failed test is no error here.
    pub fn self_test(&mut self) -> Result<Vec<SelfTestOutcome>, Error> {
        let result = self.call(&SelfTest)?;
        let known = SELF_TESTS.iter().enumerate().map(|(bit, &name)| (1u32 << bit, name));
        // A later device may have further tests; their failure must not go unseen.
        let unknown = (result.run | result.failed) & !((1u32 << SELF_TESTS.len()) - 1);
        let unknown = (unknown != 0).then_some((unknown, "tests unknown to this driver"));
        Ok(known
            .chain(unknown)
            .map(|(mask, name)| SelfTestOutcome {
                name,
                run: result.run & mask == mask,
                passed: result.run & mask == mask && result.failed & mask == 0,
            })
            .collect())
    }

    /// Resets the device: keys are wiped, tables emptied, frames stopped, and a new generation drawn.
    ///
    /// # Errors
    /// It does not come back, or not with a new generation.
    pub fn reset(&mut self) -> Result<(), Error> {
        let before = self.identity.generation;
        // The answer may fall to the reset itself: what counts is what the device says afterwards.
        let result = self.call(&Reset);
        if let Err(error) = &result {
            tracing::warn!(%error, "no good answer to the reset command; looking at the device");
        }
        self.finish_reset(before).map_err(|error| match result {
            Err(command) if matches!(error, Error::ResetIneffective) => command.into(),
            _ => error,
        })
    }

    /// As [`Device::reset`], by the control register: for a device whose mailbox does not answer.
    ///
    /// # Errors
    /// As [`Device::reset`].
    pub fn soft_reset(&mut self) -> Result<(), Error> {
        let before = self.identity.generation;
        Registers::new(&mut self.transport).soft_reset()?;
        self.finish_reset(before)
    }

    pub(crate) fn finish_reset(&mut self, before: u64) -> Result<(), Error> {
        self.wait_ready()?;
        self.restart_rings();
        self.unmask_interrupts()?;
        let identity = self.identify()?;
        if identity.generation == before {
            return Err(Error::ResetIneffective);
        }
        tracing::info!(generation = identity.generation, "reset");
        Ok(())
    }

    /// Waits until the device is out of reset.
    fn wait_ready(&mut self) -> Result<(), Error> {
        let deadline = self.clock.now() + self.config.timeout;
        loop {
            let registers = Registers::new(&mut self.transport);
            let status = registers.status()?;
            let magic = registers.magic()?;
            if magic != MAGIC {
                return Err(Error::NotSealNic { magic });
            }
            if status.fault {
                return Err(Error::Fault {
                    code: status.fault_code,
                });
            }
            if status.ready {
                return Ok(());
            }
            if self.clock.now() >= deadline {
                return Err(Error::NotReady {
                    timeout_ms: self.config.timeout.as_millis(),
                });
            }
            self.clock.sleep(std::time::Duration::from_millis(1));
        }
    }

    /// The command that installs an SA, for the generation in which the device was last identified.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "keys are given away, so that they are installed once"
    )]
    pub(crate) fn sa_install(&self, params: &SaParams, keys: SaKeys) -> Wiped<SaInstall> {
        let mut request = Wiped(Box::new(SaInstall::new_zeroed()));
        let r = &mut request.0;
        r.sa = params.sa;
        r.association = params.association;
        r.generation = self.identity.generation;
        r.epoch = params.epoch;
        r.first_seq = params.first_seq;
        r.soft_packets = params.soft_packets;
        r.hard_packets = params.hard_packets;
        r.soft_octets = params.soft_octets;
        r.hard_octets = params.hard_octets;
        r.direction = params.direction.into();
        r.key = keys.secrets.key;
        r.iv = keys.secrets.iv;
        r.sn_key = keys.secrets.sn_key;
        request
    }

    fn list<L: ListRequest>(&mut self) -> Pages<'_, T, L> {
        Pages::new(self)
    }
}

/// An error of a bulk command as one of the mapping that it names.
pub(crate) fn refused_mapping(error: Error, bulk: usize, chunk: &[Mapping]) -> Error {
    match error {
        Error::Mailbox(MailboxError::Device { status, detail, .. }) if usize::from(detail) < chunk.len() => {
            let refused = chunk[usize::from(detail)];
            Error::MappingRefused {
                index: bulk * MAPPING_BULK + usize::from(detail),
                mapping: format!(
                    "VNI {} {}",
                    refused.src_vni,
                    prefix_text(refused.prefix, refused.prefix_len)
                ),
                status,
            }
        }
        error => error,
    }
}

/// A request that is wiped when it goes out of scope; on the heap, where moves leave no copies of it.
pub(crate) struct Wiped<R: FromBytes + IntoBytes>(pub(crate) Box<R>);

impl<R: FromBytes + IntoBytes> Drop for Wiped<R> {
    fn drop(&mut self) {
        self.0.as_mut_bytes().zeroize();
    }
}
