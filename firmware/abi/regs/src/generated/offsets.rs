//! The device side's view of the registers: which one stands at an offset, what a write does to it, where its
//! fields lie.
//!
//! Generated from `sealnic.rdl` by `cargo xtask regs`; edit that file instead.

/// Size of the BAR in octets: the registers' and windows' extent rounded up to a power of two.
pub const BAR_LEN: u32 = 0x0000_4000;

/// A register of the PF's BAR0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Register {
    /// Magic.
    ///
    /// Tells a SealNIC from anything else. A driver that reads another value stops.
    Magic,
    /// Device identity.
    ///
    /// Which device this is.
    DeviceId,
    /// ABI version.
    ///
    /// Version of everything that device and driver agree on. A driver refuses a device whose major version it does not know.
    AbiVersion,
    /// Capability: flows.
    ///
    /// Size of the flow table.
    CapFlows,
    /// Capability: associations.
    ///
    /// Size of the association table.
    CapAssociations,
    /// Capability: SAs.
    ///
    /// Size of the key store.
    CapSas,
    /// Capability: ports.
    ///
    /// Number of virtual functions' attachments.
    CapPorts,
    /// Capability: mappings.
    ///
    /// Size of the mapping table.
    CapMappings,
    /// Capability: virtual networks.
    ///
    /// Size of the table of virtual networks.
    CapVnets,
    /// Capability: replay window.
    ///
    /// Longest replay window that an SA may ask for.
    CapReplayWindow,
    /// Capability: receive epochs.
    ///
    /// How many receive epochs of one association may be live at once.
    CapReceiveEpochs,
    /// Capability: mailbox.
    ///
    /// Longest messages that the mailbox takes and gives. Never more than the windows hold.
    CapMailbox,
    /// Capability: counters.
    ///
    /// How much of the counter window means something.
    CapCounters,
    /// Capability: rings.
    ///
    /// What the rings in host memory take. All zero when the device reaches no host memory: then there is the mailbox alone.
    CapRings,
    /// Control.
    ///
    /// Starts and stops the device.
    Control,
    /// Status.
    ///
    /// State of the device.
    Status,
    /// Generation, low half.
    ///
    /// Random number drawn at each reset. Every installation of an SA carries it and is refused when it is not the current one.
    GenerationLo,
    /// Generation, high half.
    ///
    /// The other half of the generation. It only changes in a reset: read high, low, high and begin again when the two reads of the high half differ.
    GenerationHi,
    /// Interrupt cause.
    ///
    /// What happened since the cause was last cleared. Writing 1 to a bit clears it; a bit whose reason persists is set again at once. A vector is signalled whenever its cause occurs while its mask bit is 0, whether or not the bit here was cleared before.
    IrqCause,
    /// Interrupt mask.
    ///
    /// A cause signals its vector only while its bit here is 0; clearing the bit while the cause is set signals it. All causes are masked after a reset.
    IrqMask,
    /// Mailbox doorbell.
    ///
    /// Writing it hands the request that stands in the request window to the device. While MAILBOX_STATUS.busy is set both windows belong to the device.
    MailboxDoorbell,
    /// Mailbox status.
    ///
    /// Where the last request stands. Exactly one of busy, done and error is set after the first doorbell.
    MailboxStatus,
    /// Mailbox response length.
    ///
    /// Valid while MAILBOX_STATUS.done is set.
    MailboxResponseLen,
    /// Counter snapshot.
    ///
    /// The counter window shows a copy, so that both halves of a counter, and all counters, belong to one moment.
    CounterSnapshot,
    /// Command ring: Descriptor array, low half.
    ///
    /// IOVA of the array that the host writes and the device reads, a multiple of 64. Taken when the ring is enabled. The event ring has none and ignores it.
    CommandRingDescriptorsLo,
    /// Command ring: Descriptor array, high half.
    ///
    /// The other half of the IOVA.
    CommandRingDescriptorsHi,
    /// Command ring: Completion array, low half.
    ///
    /// IOVA of the array that the device writes and the host reads, a multiple of 64. Taken when the ring is enabled. On the event ring it holds the events. The host fills it with zeros before it enables the ring.
    CommandRingCompletionsLo,
    /// Command ring: Completion array, high half.
    ///
    /// The other half of the IOVA.
    CommandRingCompletionsHi,
    /// Command ring: Ring size.
    ///
    /// How many entries each array has. Taken when the ring is enabled.
    CommandRingSize,
    /// Command ring: Ring control.
    ///
    /// Starts and stops the ring.
    CommandRingControl,
    /// Command ring: Ring status.
    ///
    /// State of the ring.
    CommandRingStatus,
    /// Command ring: Ring doorbell.
    ///
    /// The host's index. Indices count entries from 0 when the ring was enabled, modulo 65536; entry n stands at n modulo the size.
    CommandRingDoorbell,
    /// Command ring: Ring head.
    ///
    /// The device's index. After an error it tells what was done: a descriptor before it was carried out, even when its completion is lost; one from it on was not looked at.
    CommandRingHead,
    /// Command ring: Fault address, low half.
    ///
    /// Where the access to host memory began that failed; valid while STATUS.error is a DMA fault.
    CommandRingFaultIovaLo,
    /// Command ring: Fault address, high half.
    ///
    /// The other half of the IOVA.
    CommandRingFaultIovaHi,
    /// Event ring: Descriptor array, low half.
    ///
    /// IOVA of the array that the host writes and the device reads, a multiple of 64. Taken when the ring is enabled. The event ring has none and ignores it.
    EventRingDescriptorsLo,
    /// Event ring: Descriptor array, high half.
    ///
    /// The other half of the IOVA.
    EventRingDescriptorsHi,
    /// Event ring: Completion array, low half.
    ///
    /// IOVA of the array that the device writes and the host reads, a multiple of 64. Taken when the ring is enabled. On the event ring it holds the events. The host fills it with zeros before it enables the ring.
    EventRingCompletionsLo,
    /// Event ring: Completion array, high half.
    ///
    /// The other half of the IOVA.
    EventRingCompletionsHi,
    /// Event ring: Ring size.
    ///
    /// How many entries each array has. Taken when the ring is enabled.
    EventRingSize,
    /// Event ring: Ring control.
    ///
    /// Starts and stops the ring.
    EventRingControl,
    /// Event ring: Ring status.
    ///
    /// State of the ring.
    EventRingStatus,
    /// Event ring: Ring doorbell.
    ///
    /// The host's index. Indices count entries from 0 when the ring was enabled, modulo 65536; entry n stands at n modulo the size.
    EventRingDoorbell,
    /// Event ring: Ring head.
    ///
    /// The device's index. After an error it tells what was done: a descriptor before it was carried out, even when its completion is lost; one from it on was not looked at.
    EventRingHead,
    /// Event ring: Fault address, low half.
    ///
    /// Where the access to host memory began that failed; valid while STATUS.error is a DMA fault.
    EventRingFaultIovaLo,
    /// Event ring: Fault address, high half.
    ///
    /// The other half of the IOVA.
    EventRingFaultIovaHi,
    /// Host receive ring: Descriptor array, low half.
    ///
    /// IOVA of the array that the host writes and the device reads, a multiple of 64. Taken when the ring is enabled. The event ring has none and ignores it.
    HostReceiveRingDescriptorsLo,
    /// Host receive ring: Descriptor array, high half.
    ///
    /// The other half of the IOVA.
    HostReceiveRingDescriptorsHi,
    /// Host receive ring: Completion array, low half.
    ///
    /// IOVA of the array that the device writes and the host reads, a multiple of 64. Taken when the ring is enabled. On the event ring it holds the events. The host fills it with zeros before it enables the ring.
    HostReceiveRingCompletionsLo,
    /// Host receive ring: Completion array, high half.
    ///
    /// The other half of the IOVA.
    HostReceiveRingCompletionsHi,
    /// Host receive ring: Ring size.
    ///
    /// How many entries each array has. Taken when the ring is enabled.
    HostReceiveRingSize,
    /// Host receive ring: Ring control.
    ///
    /// Starts and stops the ring.
    HostReceiveRingControl,
    /// Host receive ring: Ring status.
    ///
    /// State of the ring.
    HostReceiveRingStatus,
    /// Host receive ring: Ring doorbell.
    ///
    /// The host's index. Indices count entries from 0 when the ring was enabled, modulo 65536; entry n stands at n modulo the size.
    HostReceiveRingDoorbell,
    /// Host receive ring: Ring head.
    ///
    /// The device's index. After an error it tells what was done: a descriptor before it was carried out, even when its completion is lost; one from it on was not looked at.
    HostReceiveRingHead,
    /// Host receive ring: Fault address, low half.
    ///
    /// Where the access to host memory began that failed; valid while STATUS.error is a DMA fault.
    HostReceiveRingFaultIovaLo,
    /// Host receive ring: Fault address, high half.
    ///
    /// The other half of the IOVA.
    HostReceiveRingFaultIovaHi,
    /// Host transmit ring: Descriptor array, low half.
    ///
    /// IOVA of the array that the host writes and the device reads, a multiple of 64. Taken when the ring is enabled. The event ring has none and ignores it.
    HostTransmitRingDescriptorsLo,
    /// Host transmit ring: Descriptor array, high half.
    ///
    /// The other half of the IOVA.
    HostTransmitRingDescriptorsHi,
    /// Host transmit ring: Completion array, low half.
    ///
    /// IOVA of the array that the device writes and the host reads, a multiple of 64. Taken when the ring is enabled. On the event ring it holds the events. The host fills it with zeros before it enables the ring.
    HostTransmitRingCompletionsLo,
    /// Host transmit ring: Completion array, high half.
    ///
    /// The other half of the IOVA.
    HostTransmitRingCompletionsHi,
    /// Host transmit ring: Ring size.
    ///
    /// How many entries each array has. Taken when the ring is enabled.
    HostTransmitRingSize,
    /// Host transmit ring: Ring control.
    ///
    /// Starts and stops the ring.
    HostTransmitRingControl,
    /// Host transmit ring: Ring status.
    ///
    /// State of the ring.
    HostTransmitRingStatus,
    /// Host transmit ring: Ring doorbell.
    ///
    /// The host's index. Indices count entries from 0 when the ring was enabled, modulo 65536; entry n stands at n modulo the size.
    HostTransmitRingDoorbell,
    /// Host transmit ring: Ring head.
    ///
    /// The device's index. After an error it tells what was done: a descriptor before it was carried out, even when its completion is lost; one from it on was not looked at.
    HostTransmitRingHead,
    /// Host transmit ring: Fault address, low half.
    ///
    /// Where the access to host memory began that failed; valid while STATUS.error is a DMA fault.
    HostTransmitRingFaultIovaLo,
    /// Host transmit ring: Fault address, high half.
    ///
    /// The other half of the IOVA.
    HostTransmitRingFaultIovaHi,
}

impl Register {
    /// Every register, by rising offset.
    pub const ALL: [Self; 68] = [
        Self::Magic,
        Self::DeviceId,
        Self::AbiVersion,
        Self::CapFlows,
        Self::CapAssociations,
        Self::CapSas,
        Self::CapPorts,
        Self::CapMappings,
        Self::CapVnets,
        Self::CapReplayWindow,
        Self::CapReceiveEpochs,
        Self::CapMailbox,
        Self::CapCounters,
        Self::CapRings,
        Self::Control,
        Self::Status,
        Self::GenerationLo,
        Self::GenerationHi,
        Self::IrqCause,
        Self::IrqMask,
        Self::MailboxDoorbell,
        Self::MailboxStatus,
        Self::MailboxResponseLen,
        Self::CounterSnapshot,
        Self::CommandRingDescriptorsLo,
        Self::CommandRingDescriptorsHi,
        Self::CommandRingCompletionsLo,
        Self::CommandRingCompletionsHi,
        Self::CommandRingSize,
        Self::CommandRingControl,
        Self::CommandRingStatus,
        Self::CommandRingDoorbell,
        Self::CommandRingHead,
        Self::CommandRingFaultIovaLo,
        Self::CommandRingFaultIovaHi,
        Self::EventRingDescriptorsLo,
        Self::EventRingDescriptorsHi,
        Self::EventRingCompletionsLo,
        Self::EventRingCompletionsHi,
        Self::EventRingSize,
        Self::EventRingControl,
        Self::EventRingStatus,
        Self::EventRingDoorbell,
        Self::EventRingHead,
        Self::EventRingFaultIovaLo,
        Self::EventRingFaultIovaHi,
        Self::HostReceiveRingDescriptorsLo,
        Self::HostReceiveRingDescriptorsHi,
        Self::HostReceiveRingCompletionsLo,
        Self::HostReceiveRingCompletionsHi,
        Self::HostReceiveRingSize,
        Self::HostReceiveRingControl,
        Self::HostReceiveRingStatus,
        Self::HostReceiveRingDoorbell,
        Self::HostReceiveRingHead,
        Self::HostReceiveRingFaultIovaLo,
        Self::HostReceiveRingFaultIovaHi,
        Self::HostTransmitRingDescriptorsLo,
        Self::HostTransmitRingDescriptorsHi,
        Self::HostTransmitRingCompletionsLo,
        Self::HostTransmitRingCompletionsHi,
        Self::HostTransmitRingSize,
        Self::HostTransmitRingControl,
        Self::HostTransmitRingStatus,
        Self::HostTransmitRingDoorbell,
        Self::HostTransmitRingHead,
        Self::HostTransmitRingFaultIovaLo,
        Self::HostTransmitRingFaultIovaHi,
    ];

    /// Offset from the start of the BAR, in octets.
    #[must_use]
    pub const fn offset(self) -> u32 {
        match self {
            Self::Magic => 0x0000_0000,
            Self::DeviceId => 0x0000_0004,
            Self::AbiVersion => 0x0000_0008,
            Self::CapFlows => 0x0000_0010,
            Self::CapAssociations => 0x0000_0014,
            Self::CapSas => 0x0000_0018,
            Self::CapPorts => 0x0000_001C,
            Self::CapMappings => 0x0000_0020,
            Self::CapVnets => 0x0000_0024,
            Self::CapReplayWindow => 0x0000_0028,
            Self::CapReceiveEpochs => 0x0000_002C,
            Self::CapMailbox => 0x0000_0030,
            Self::CapCounters => 0x0000_0034,
            Self::CapRings => 0x0000_0038,
            Self::Control => 0x0000_0040,
            Self::Status => 0x0000_0044,
            Self::GenerationLo => 0x0000_0048,
            Self::GenerationHi => 0x0000_004C,
            Self::IrqCause => 0x0000_0060,
            Self::IrqMask => 0x0000_0064,
            Self::MailboxDoorbell => 0x0000_0080,
            Self::MailboxStatus => 0x0000_0084,
            Self::MailboxResponseLen => 0x0000_0088,
            Self::CounterSnapshot => 0x0000_00A0,
            Self::CommandRingDescriptorsLo => 0x0000_0100,
            Self::CommandRingDescriptorsHi => 0x0000_0104,
            Self::CommandRingCompletionsLo => 0x0000_0108,
            Self::CommandRingCompletionsHi => 0x0000_010C,
            Self::CommandRingSize => 0x0000_0110,
            Self::CommandRingControl => 0x0000_0114,
            Self::CommandRingStatus => 0x0000_0118,
            Self::CommandRingDoorbell => 0x0000_011C,
            Self::CommandRingHead => 0x0000_0120,
            Self::CommandRingFaultIovaLo => 0x0000_0124,
            Self::CommandRingFaultIovaHi => 0x0000_0128,
            Self::EventRingDescriptorsLo => 0x0000_0140,
            Self::EventRingDescriptorsHi => 0x0000_0144,
            Self::EventRingCompletionsLo => 0x0000_0148,
            Self::EventRingCompletionsHi => 0x0000_014C,
            Self::EventRingSize => 0x0000_0150,
            Self::EventRingControl => 0x0000_0154,
            Self::EventRingStatus => 0x0000_0158,
            Self::EventRingDoorbell => 0x0000_015C,
            Self::EventRingHead => 0x0000_0160,
            Self::EventRingFaultIovaLo => 0x0000_0164,
            Self::EventRingFaultIovaHi => 0x0000_0168,
            Self::HostReceiveRingDescriptorsLo => 0x0000_0180,
            Self::HostReceiveRingDescriptorsHi => 0x0000_0184,
            Self::HostReceiveRingCompletionsLo => 0x0000_0188,
            Self::HostReceiveRingCompletionsHi => 0x0000_018C,
            Self::HostReceiveRingSize => 0x0000_0190,
            Self::HostReceiveRingControl => 0x0000_0194,
            Self::HostReceiveRingStatus => 0x0000_0198,
            Self::HostReceiveRingDoorbell => 0x0000_019C,
            Self::HostReceiveRingHead => 0x0000_01A0,
            Self::HostReceiveRingFaultIovaLo => 0x0000_01A4,
            Self::HostReceiveRingFaultIovaHi => 0x0000_01A8,
            Self::HostTransmitRingDescriptorsLo => 0x0000_01C0,
            Self::HostTransmitRingDescriptorsHi => 0x0000_01C4,
            Self::HostTransmitRingCompletionsLo => 0x0000_01C8,
            Self::HostTransmitRingCompletionsHi => 0x0000_01CC,
            Self::HostTransmitRingSize => 0x0000_01D0,
            Self::HostTransmitRingControl => 0x0000_01D4,
            Self::HostTransmitRingStatus => 0x0000_01D8,
            Self::HostTransmitRingDoorbell => 0x0000_01DC,
            Self::HostTransmitRingHead => 0x0000_01E0,
            Self::HostTransmitRingFaultIovaLo => 0x0000_01E4,
            Self::HostTransmitRingFaultIovaHi => 0x0000_01E8,
        }
    }

    /// Name as in the SystemRDL source.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Magic => "magic",
            Self::DeviceId => "device_id",
            Self::AbiVersion => "abi_version",
            Self::CapFlows => "cap_flows",
            Self::CapAssociations => "cap_associations",
            Self::CapSas => "cap_sas",
            Self::CapPorts => "cap_ports",
            Self::CapMappings => "cap_mappings",
            Self::CapVnets => "cap_vnets",
            Self::CapReplayWindow => "cap_replay_window",
            Self::CapReceiveEpochs => "cap_receive_epochs",
            Self::CapMailbox => "cap_mailbox",
            Self::CapCounters => "cap_counters",
            Self::CapRings => "cap_rings",
            Self::Control => "control",
            Self::Status => "status",
            Self::GenerationLo => "generation_lo",
            Self::GenerationHi => "generation_hi",
            Self::IrqCause => "irq_cause",
            Self::IrqMask => "irq_mask",
            Self::MailboxDoorbell => "mailbox_doorbell",
            Self::MailboxStatus => "mailbox_status",
            Self::MailboxResponseLen => "mailbox_response_len",
            Self::CounterSnapshot => "counter_snapshot",
            Self::CommandRingDescriptorsLo => "command_ring_descriptors_lo",
            Self::CommandRingDescriptorsHi => "command_ring_descriptors_hi",
            Self::CommandRingCompletionsLo => "command_ring_completions_lo",
            Self::CommandRingCompletionsHi => "command_ring_completions_hi",
            Self::CommandRingSize => "command_ring_size",
            Self::CommandRingControl => "command_ring_control",
            Self::CommandRingStatus => "command_ring_status",
            Self::CommandRingDoorbell => "command_ring_doorbell",
            Self::CommandRingHead => "command_ring_head",
            Self::CommandRingFaultIovaLo => "command_ring_fault_iova_lo",
            Self::CommandRingFaultIovaHi => "command_ring_fault_iova_hi",
            Self::EventRingDescriptorsLo => "event_ring_descriptors_lo",
            Self::EventRingDescriptorsHi => "event_ring_descriptors_hi",
            Self::EventRingCompletionsLo => "event_ring_completions_lo",
            Self::EventRingCompletionsHi => "event_ring_completions_hi",
            Self::EventRingSize => "event_ring_size",
            Self::EventRingControl => "event_ring_control",
            Self::EventRingStatus => "event_ring_status",
            Self::EventRingDoorbell => "event_ring_doorbell",
            Self::EventRingHead => "event_ring_head",
            Self::EventRingFaultIovaLo => "event_ring_fault_iova_lo",
            Self::EventRingFaultIovaHi => "event_ring_fault_iova_hi",
            Self::HostReceiveRingDescriptorsLo => "host_receive_ring_descriptors_lo",
            Self::HostReceiveRingDescriptorsHi => "host_receive_ring_descriptors_hi",
            Self::HostReceiveRingCompletionsLo => "host_receive_ring_completions_lo",
            Self::HostReceiveRingCompletionsHi => "host_receive_ring_completions_hi",
            Self::HostReceiveRingSize => "host_receive_ring_size",
            Self::HostReceiveRingControl => "host_receive_ring_control",
            Self::HostReceiveRingStatus => "host_receive_ring_status",
            Self::HostReceiveRingDoorbell => "host_receive_ring_doorbell",
            Self::HostReceiveRingHead => "host_receive_ring_head",
            Self::HostReceiveRingFaultIovaLo => "host_receive_ring_fault_iova_lo",
            Self::HostReceiveRingFaultIovaHi => "host_receive_ring_fault_iova_hi",
            Self::HostTransmitRingDescriptorsLo => "host_transmit_ring_descriptors_lo",
            Self::HostTransmitRingDescriptorsHi => "host_transmit_ring_descriptors_hi",
            Self::HostTransmitRingCompletionsLo => "host_transmit_ring_completions_lo",
            Self::HostTransmitRingCompletionsHi => "host_transmit_ring_completions_hi",
            Self::HostTransmitRingSize => "host_transmit_ring_size",
            Self::HostTransmitRingControl => "host_transmit_ring_control",
            Self::HostTransmitRingStatus => "host_transmit_ring_status",
            Self::HostTransmitRingDoorbell => "host_transmit_ring_doorbell",
            Self::HostTransmitRingHead => "host_transmit_ring_head",
            Self::HostTransmitRingFaultIovaLo => "host_transmit_ring_fault_iova_lo",
            Self::HostTransmitRingFaultIovaHi => "host_transmit_ring_fault_iova_hi",
        }
    }

    /// Value after a reset; bits that the device drives count as zero.
    #[must_use]
    pub const fn reset(self) -> u32 {
        match self {
            Self::Magic => 0x4C41_4553,
            Self::DeviceId => 0x0000_5EA1,
            Self::AbiVersion => 0x0001_0001,
            Self::IrqMask => 0x0000_003F,
            _ => 0x0000_0000,
        }
    }

    /// Bits that a read shows; all others read as zero.
    #[must_use]
    pub const fn readable_mask(self) -> u32 {
        match self {
            Self::DeviceId => 0x00FF_FFFF,
            Self::CapReceiveEpochs => 0x0000_00FF,
            Self::CapCounters
            | Self::MailboxDoorbell
            | Self::MailboxResponseLen
            | Self::CommandRingSize
            | Self::CommandRingDoorbell
            | Self::CommandRingHead
            | Self::EventRingSize
            | Self::EventRingDoorbell
            | Self::EventRingHead
            | Self::HostReceiveRingSize
            | Self::HostReceiveRingDoorbell
            | Self::HostReceiveRingHead
            | Self::HostTransmitRingSize
            | Self::HostTransmitRingDoorbell
            | Self::HostTransmitRingHead => 0x0000_FFFF,
            Self::Control => 0x0000_0003,
            Self::Status => 0x0000_FF03,
            Self::IrqCause | Self::IrqMask => 0x0000_003F,
            Self::MailboxStatus => 0x0000_FF07,
            Self::CounterSnapshot
            | Self::CommandRingControl
            | Self::EventRingControl
            | Self::HostReceiveRingControl
            | Self::HostTransmitRingControl => 0x0000_0001,
            Self::CommandRingStatus
            | Self::EventRingStatus
            | Self::HostReceiveRingStatus
            | Self::HostTransmitRingStatus => 0x0000_FF01,
            _ => 0xFFFF_FFFF,
        }
    }

    /// Bits that take the value written to them.
    #[must_use]
    pub const fn write_mask(self) -> u32 {
        match self {
            Self::Control
            | Self::CommandRingControl
            | Self::EventRingControl
            | Self::HostReceiveRingControl
            | Self::HostTransmitRingControl => 0x0000_0001,
            Self::IrqMask => 0x0000_003F,
            Self::MailboxDoorbell
            | Self::CommandRingSize
            | Self::CommandRingDoorbell
            | Self::EventRingSize
            | Self::EventRingDoorbell
            | Self::HostReceiveRingSize
            | Self::HostReceiveRingDoorbell
            | Self::HostTransmitRingSize
            | Self::HostTransmitRingDoorbell => 0x0000_FFFF,
            Self::CommandRingDescriptorsLo
            | Self::CommandRingDescriptorsHi
            | Self::CommandRingCompletionsLo
            | Self::CommandRingCompletionsHi
            | Self::EventRingDescriptorsLo
            | Self::EventRingDescriptorsHi
            | Self::EventRingCompletionsLo
            | Self::EventRingCompletionsHi
            | Self::HostReceiveRingDescriptorsLo
            | Self::HostReceiveRingDescriptorsHi
            | Self::HostReceiveRingCompletionsLo
            | Self::HostReceiveRingCompletionsHi
            | Self::HostTransmitRingDescriptorsLo
            | Self::HostTransmitRingDescriptorsHi
            | Self::HostTransmitRingCompletionsLo
            | Self::HostTransmitRingCompletionsHi => 0xFFFF_FFFF,
            _ => 0x0000_0000,
        }
    }

    /// Bits that a written 1 clears.
    #[must_use]
    pub const fn write_one_to_clear_mask(self) -> u32 {
        match self {
            Self::IrqCause => 0x0000_003F,
            _ => 0x0000_0000,
        }
    }

    /// Bits that a written 1 sets and that only the device clears.
    #[must_use]
    pub const fn write_one_to_set_mask(self) -> u32 {
        match self {
            Self::CounterSnapshot => 0x0000_0001,
            _ => 0x0000_0000,
        }
    }

    /// Bits of which a written 1 starts something and is not kept.
    #[must_use]
    pub const fn pulse_mask(self) -> u32 {
        match self {
            Self::Control => 0x0000_0002,
            _ => 0x0000_0000,
        }
    }

    /// The register at `offset`; nothing where no register stands or the offset is not aligned.
    #[must_use]
    pub const fn from_offset(offset: u32) -> Option<Self> {
        Some(match offset {
            0x0000_0000 => Self::Magic,
            0x0000_0004 => Self::DeviceId,
            0x0000_0008 => Self::AbiVersion,
            0x0000_0010 => Self::CapFlows,
            0x0000_0014 => Self::CapAssociations,
            0x0000_0018 => Self::CapSas,
            0x0000_001C => Self::CapPorts,
            0x0000_0020 => Self::CapMappings,
            0x0000_0024 => Self::CapVnets,
            0x0000_0028 => Self::CapReplayWindow,
            0x0000_002C => Self::CapReceiveEpochs,
            0x0000_0030 => Self::CapMailbox,
            0x0000_0034 => Self::CapCounters,
            0x0000_0038 => Self::CapRings,
            0x0000_0040 => Self::Control,
            0x0000_0044 => Self::Status,
            0x0000_0048 => Self::GenerationLo,
            0x0000_004C => Self::GenerationHi,
            0x0000_0060 => Self::IrqCause,
            0x0000_0064 => Self::IrqMask,
            0x0000_0080 => Self::MailboxDoorbell,
            0x0000_0084 => Self::MailboxStatus,
            0x0000_0088 => Self::MailboxResponseLen,
            0x0000_00A0 => Self::CounterSnapshot,
            0x0000_0100 => Self::CommandRingDescriptorsLo,
            0x0000_0104 => Self::CommandRingDescriptorsHi,
            0x0000_0108 => Self::CommandRingCompletionsLo,
            0x0000_010C => Self::CommandRingCompletionsHi,
            0x0000_0110 => Self::CommandRingSize,
            0x0000_0114 => Self::CommandRingControl,
            0x0000_0118 => Self::CommandRingStatus,
            0x0000_011C => Self::CommandRingDoorbell,
            0x0000_0120 => Self::CommandRingHead,
            0x0000_0124 => Self::CommandRingFaultIovaLo,
            0x0000_0128 => Self::CommandRingFaultIovaHi,
            0x0000_0140 => Self::EventRingDescriptorsLo,
            0x0000_0144 => Self::EventRingDescriptorsHi,
            0x0000_0148 => Self::EventRingCompletionsLo,
            0x0000_014C => Self::EventRingCompletionsHi,
            0x0000_0150 => Self::EventRingSize,
            0x0000_0154 => Self::EventRingControl,
            0x0000_0158 => Self::EventRingStatus,
            0x0000_015C => Self::EventRingDoorbell,
            0x0000_0160 => Self::EventRingHead,
            0x0000_0164 => Self::EventRingFaultIovaLo,
            0x0000_0168 => Self::EventRingFaultIovaHi,
            0x0000_0180 => Self::HostReceiveRingDescriptorsLo,
            0x0000_0184 => Self::HostReceiveRingDescriptorsHi,
            0x0000_0188 => Self::HostReceiveRingCompletionsLo,
            0x0000_018C => Self::HostReceiveRingCompletionsHi,
            0x0000_0190 => Self::HostReceiveRingSize,
            0x0000_0194 => Self::HostReceiveRingControl,
            0x0000_0198 => Self::HostReceiveRingStatus,
            0x0000_019C => Self::HostReceiveRingDoorbell,
            0x0000_01A0 => Self::HostReceiveRingHead,
            0x0000_01A4 => Self::HostReceiveRingFaultIovaLo,
            0x0000_01A8 => Self::HostReceiveRingFaultIovaHi,
            0x0000_01C0 => Self::HostTransmitRingDescriptorsLo,
            0x0000_01C4 => Self::HostTransmitRingDescriptorsHi,
            0x0000_01C8 => Self::HostTransmitRingCompletionsLo,
            0x0000_01CC => Self::HostTransmitRingCompletionsHi,
            0x0000_01D0 => Self::HostTransmitRingSize,
            0x0000_01D4 => Self::HostTransmitRingControl,
            0x0000_01D8 => Self::HostTransmitRingStatus,
            0x0000_01DC => Self::HostTransmitRingDoorbell,
            0x0000_01E0 => Self::HostTransmitRingHead,
            0x0000_01E4 => Self::HostTransmitRingFaultIovaLo,
            0x0000_01E8 => Self::HostTransmitRingFaultIovaHi,
            _ => return None,
        })
    }
}

/// A window of the PF's BAR0: a memory of 32-bit words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Window {
    /// Mailbox request window.
    ///
    /// The request, header first. The device wipes it when it has taken the request.
    MailboxRequest,
    /// Mailbox response window.
    ///
    /// The response, header first.
    MailboxResponse,
    /// Counter window.
    ///
    /// 128 counters of 64 bits as of the last snapshot. Counter n has its low half in word 2n and its high half in word 2n + 1.
    Counters,
}

impl Window {
    /// Every window, by rising offset.
    pub const ALL: [Self; 3] = [Self::MailboxRequest, Self::MailboxResponse, Self::Counters];

    /// Offset from the start of the BAR, in octets.
    #[must_use]
    pub const fn offset(self) -> u32 {
        match self {
            Self::MailboxRequest => 0x0000_1000,
            Self::MailboxResponse => 0x0000_2000,
            Self::Counters => 0x0000_3000,
        }
    }

    /// Length in octets.
    #[must_use]
    pub const fn byte_len(self) -> u32 {
        match self {
            Self::Counters => 0x0000_0400,
            _ => 0x0000_1000,
        }
    }

    /// Name as in the SystemRDL source.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MailboxRequest => "mailbox_request",
            Self::MailboxResponse => "mailbox_response",
            Self::Counters => "counters",
        }
    }

    /// Whether the host may write it.
    #[must_use]
    pub const fn is_writable(self) -> bool {
        matches!(self, Self::MailboxRequest)
    }
}

/// Magic.
///
/// Tells a SealNIC from anything else. A driver that reads another value stops.
pub mod magic {
    /// Value.
    ///
    /// The octets S, E, A, L in memory order.
    pub const VALUE_MASK: u32 = 0xFFFF_FFFF;
    /// Place of the lowest bit of `value`.
    pub const VALUE_SHIFT: u32 = 0;
    /// Value of `value` after a reset, not shifted; zero where the device drives it.
    pub const VALUE_RESET: u32 = 0x4C41_4553;
}

/// Device identity.
///
/// Which device this is.
pub mod device_id {
    /// Device.
    ///
    /// The device's number, equal to the PCI device id.
    pub const DEVICE_MASK: u32 = 0x0000_FFFF;
    /// Place of the lowest bit of `device`.
    pub const DEVICE_SHIFT: u32 = 0;
    /// Value of `device` after a reset, not shifted; zero where the device drives it.
    pub const DEVICE_RESET: u32 = 0x0000_5EA1;
    /// Revision.
    ///
    /// Revision of the implementation; it has no influence on the ABI.
    pub const REVISION_MASK: u32 = 0x00FF_0000;
    /// Place of the lowest bit of `revision`.
    pub const REVISION_SHIFT: u32 = 16;
    /// Value of `revision` after a reset, not shifted; zero where the device drives it.
    pub const REVISION_RESET: u32 = 0x0000_0000;
}

/// ABI version.
///
/// Version of everything that device and driver agree on. A driver refuses a device whose major version it does not know.
pub mod abi_version {
    /// Minor.
    ///
    /// Raised by additions that an older driver may ignore.
    pub const MINOR_MASK: u32 = 0x0000_FFFF;
    /// Place of the lowest bit of `minor`.
    pub const MINOR_SHIFT: u32 = 0;
    /// Value of `minor` after a reset, not shifted; zero where the device drives it.
    pub const MINOR_RESET: u32 = 0x0000_0001;
    /// Major.
    ///
    /// Raised by changes that an older driver would misunderstand.
    pub const MAJOR_MASK: u32 = 0xFFFF_0000;
    /// Place of the lowest bit of `major`.
    pub const MAJOR_SHIFT: u32 = 16;
    /// Value of `major` after a reset, not shifted; zero where the device drives it.
    pub const MAJOR_RESET: u32 = 0x0000_0001;
}

/// Capability: flows.
///
/// Size of the flow table.
pub mod cap_flows {
    /// Count.
    ///
    /// Greatest number of flow entries.
    pub const COUNT_MASK: u32 = 0xFFFF_FFFF;
    /// Place of the lowest bit of `count`.
    pub const COUNT_SHIFT: u32 = 0;
    /// Value of `count` after a reset, not shifted; zero where the device drives it.
    pub const COUNT_RESET: u32 = 0x0000_0000;
}

/// Capability: associations.
///
/// Size of the association table.
pub mod cap_associations {
    /// Count.
    ///
    /// Greatest number of associations.
    pub const COUNT_MASK: u32 = 0xFFFF_FFFF;
    /// Place of the lowest bit of `count`.
    pub const COUNT_SHIFT: u32 = 0;
    /// Value of `count` after a reset, not shifted; zero where the device drives it.
    pub const COUNT_RESET: u32 = 0x0000_0000;
}

/// Capability: SAs.
///
/// Size of the key store.
pub mod cap_sas {
    /// Count.
    ///
    /// Greatest number of security associations, both directions and all epochs counted.
    pub const COUNT_MASK: u32 = 0xFFFF_FFFF;
    /// Place of the lowest bit of `count`.
    pub const COUNT_SHIFT: u32 = 0;
    /// Value of `count` after a reset, not shifted; zero where the device drives it.
    pub const COUNT_RESET: u32 = 0x0000_0000;
}

/// Capability: ports.
///
/// Number of virtual functions' attachments.
pub mod cap_ports {
    /// Count.
    ///
    /// Greatest number of ports.
    pub const COUNT_MASK: u32 = 0xFFFF_FFFF;
    /// Place of the lowest bit of `count`.
    pub const COUNT_SHIFT: u32 = 0;
    /// Value of `count` after a reset, not shifted; zero where the device drives it.
    pub const COUNT_RESET: u32 = 0x0000_0000;
}

/// Capability: mappings.
///
/// Size of the mapping table.
pub mod cap_mappings {
    /// Count.
    ///
    /// Greatest number of mappings from customer to provider addresses.
    pub const COUNT_MASK: u32 = 0xFFFF_FFFF;
    /// Place of the lowest bit of `count`.
    pub const COUNT_SHIFT: u32 = 0;
    /// Value of `count` after a reset, not shifted; zero where the device drives it.
    pub const COUNT_RESET: u32 = 0x0000_0000;
}

/// Capability: virtual networks.
///
/// Size of the table of virtual networks.
pub mod cap_vnets {
    /// Count.
    ///
    /// Greatest number of virtual networks.
    pub const COUNT_MASK: u32 = 0xFFFF_FFFF;
    /// Place of the lowest bit of `count`.
    pub const COUNT_SHIFT: u32 = 0;
    /// Value of `count` after a reset, not shifted; zero where the device drives it.
    pub const COUNT_RESET: u32 = 0x0000_0000;
}

/// Capability: replay window.
///
/// Longest replay window that an SA may ask for.
pub mod cap_replay_window {
    /// Records.
    ///
    /// Greatest window, in records.
    pub const RECORDS_MASK: u32 = 0xFFFF_FFFF;
    /// Place of the lowest bit of `records`.
    pub const RECORDS_SHIFT: u32 = 0;
    /// Value of `records` after a reset, not shifted; zero where the device drives it.
    pub const RECORDS_RESET: u32 = 0x0000_0000;
}

/// Capability: receive epochs.
///
/// How many receive epochs of one association may be live at once.
pub mod cap_receive_epochs {
    /// Count.
    ///
    /// Greatest number of live receive epochs per association.
    pub const COUNT_MASK: u32 = 0x0000_00FF;
    /// Place of the lowest bit of `count`.
    pub const COUNT_SHIFT: u32 = 0;
    /// Value of `count` after a reset, not shifted; zero where the device drives it.
    pub const COUNT_RESET: u32 = 0x0000_0000;
}

/// Capability: mailbox.
///
/// Longest messages that the mailbox takes and gives. Never more than the windows hold.
pub mod cap_mailbox {
    /// Request length.
    ///
    /// Longest request, in octets.
    pub const REQUEST_LEN_MASK: u32 = 0x0000_FFFF;
    /// Place of the lowest bit of `request_len`.
    pub const REQUEST_LEN_SHIFT: u32 = 0;
    /// Value of `request_len` after a reset, not shifted; zero where the device drives it.
    pub const REQUEST_LEN_RESET: u32 = 0x0000_0000;
    /// Response length.
    ///
    /// Longest response, in octets.
    pub const RESPONSE_LEN_MASK: u32 = 0xFFFF_0000;
    /// Place of the lowest bit of `response_len`.
    pub const RESPONSE_LEN_SHIFT: u32 = 16;
    /// Value of `response_len` after a reset, not shifted; zero where the device drives it.
    pub const RESPONSE_LEN_RESET: u32 = 0x0000_0000;
}

/// Capability: counters.
///
/// How much of the counter window means something.
pub mod cap_counters {
    /// Count.
    ///
    /// Number of 64-bit counters, from index 0; the rest of the window reads as zero.
    pub const COUNT_MASK: u32 = 0x0000_FFFF;
    /// Place of the lowest bit of `count`.
    pub const COUNT_SHIFT: u32 = 0;
    /// Value of `count` after a reset, not shifted; zero where the device drives it.
    pub const COUNT_RESET: u32 = 0x0000_0000;
}

/// Capability: rings.
///
/// What the rings in host memory take. All zero when the device reaches no host memory: then there is the mailbox alone.
pub mod cap_rings {
    /// Entries.
    ///
    /// Greatest number of entries of a ring.
    pub const MAX_ENTRIES_MASK: u32 = 0x0000_FFFF;
    /// Place of the lowest bit of `max_entries`.
    pub const MAX_ENTRIES_SHIFT: u32 = 0;
    /// Value of `max_entries` after a reset, not shifted; zero where the device drives it.
    pub const MAX_ENTRIES_RESET: u32 = 0x0000_0000;
    /// Host frame length.
    ///
    /// Longest frame on the host frame rings, in octets, its HostFrame header included.
    pub const HOST_FRAME_LEN_MASK: u32 = 0xFFFF_0000;
    /// Place of the lowest bit of `host_frame_len`.
    pub const HOST_FRAME_LEN_SHIFT: u32 = 16;
    /// Value of `host_frame_len` after a reset, not shifted; zero where the device drives it.
    pub const HOST_FRAME_LEN_RESET: u32 = 0x0000_0000;
}

/// Control.
///
/// Starts and stops the device.
pub mod control {
    /// Enable.
    ///
    /// While set, frames flow. While clear, frames from the virtual functions and from the wire are dropped and counted; the mailbox works all the same.
    pub const ENABLE_MASK: u32 = 0x0000_0001;
    /// Place of the lowest bit of `enable`.
    pub const ENABLE_SHIFT: u32 = 0;
    /// Value of `enable` after a reset, not shifted; zero where the device drives it.
    pub const ENABLE_RESET: u32 = 0x0000_0000;
    /// Soft reset.
    ///
    /// Writing 1 resets the device: keys are wiped, tables emptied, the registers return to their reset values and a new generation is drawn. Frame counters go on, so that the balance of frames holds across it. Reads as 0; STATUS.ready tells the end.
    pub const SOFT_RESET_MASK: u32 = 0x0000_0002;
    /// Place of the lowest bit of `soft_reset`.
    pub const SOFT_RESET_SHIFT: u32 = 1;
    /// Value of `soft_reset` after a reset, not shifted; zero where the device drives it.
    pub const SOFT_RESET_RESET: u32 = 0x0000_0000;
}

/// Status.
///
/// State of the device.
pub mod status {
    /// Ready.
    ///
    /// Set when the reset is over and the mailbox takes requests.
    pub const READY_MASK: u32 = 0x0000_0001;
    /// Place of the lowest bit of `ready`.
    pub const READY_SHIFT: u32 = 0;
    /// Value of `ready` after a reset, not shifted; zero where the device drives it.
    pub const READY_RESET: u32 = 0x0000_0000;
    /// Fault.
    ///
    /// Set when the device stopped after a fault; only a reset helps.
    pub const FAULT_MASK: u32 = 0x0000_0002;
    /// Place of the lowest bit of `fault`.
    pub const FAULT_SHIFT: u32 = 1;
    /// Value of `fault` after a reset, not shifted; zero where the device drives it.
    pub const FAULT_RESET: u32 = 0x0000_0000;
    /// Fault code.
    ///
    /// The first fault since the last reset.
    pub const FAULT_CODE_MASK: u32 = 0x0000_FF00;
    /// Place of the lowest bit of `fault_code`.
    pub const FAULT_CODE_SHIFT: u32 = 8;
    /// Value of `fault_code` after a reset, not shifted; zero where the device drives it.
    pub const FAULT_CODE_RESET: u32 = 0x0000_0000;
}

/// Generation, low half.
///
/// Random number drawn at each reset. Every installation of an SA carries it and is refused when it is not the current one.
pub mod generation_lo {
    /// Value.
    ///
    /// Bits 31 to 0 of the generation.
    pub const VALUE_MASK: u32 = 0xFFFF_FFFF;
    /// Place of the lowest bit of `value`.
    pub const VALUE_SHIFT: u32 = 0;
    /// Value of `value` after a reset, not shifted; zero where the device drives it.
    pub const VALUE_RESET: u32 = 0x0000_0000;
}

/// Generation, high half.
///
/// The other half of the generation. It only changes in a reset: read high, low, high and begin again when the two reads of the high half differ.
pub mod generation_hi {
    /// Value.
    ///
    /// Bits 63 to 32 of the generation.
    pub const VALUE_MASK: u32 = 0xFFFF_FFFF;
    /// Place of the lowest bit of `value`.
    pub const VALUE_SHIFT: u32 = 0;
    /// Value of `value` after a reset, not shifted; zero where the device drives it.
    pub const VALUE_RESET: u32 = 0x0000_0000;
}

/// Interrupt cause.
///
/// What happened since the cause was last cleared. Writing 1 to a bit clears it; a bit whose reason persists is set again at once. A vector is signalled whenever its cause occurs while its mask bit is 0, whether or not the bit here was cleared before.
pub mod irq_cause {
    /// Mailbox done.
    ///
    /// A request was completed: MAILBOX_STATUS.done or .error became set.
    pub const MAILBOX_DONE_MASK: u32 = 0x0000_0001;
    /// Place of the lowest bit of `mailbox_done`.
    pub const MAILBOX_DONE_SHIFT: u32 = 0;
    /// Value of `mailbox_done` after a reset, not shifted; zero where the device drives it.
    pub const MAILBOX_DONE_RESET: u32 = 0x0000_0000;
    /// Events pending.
    ///
    /// The event queue is not empty, or events were written to the event ring.
    pub const EVENTS_PENDING_MASK: u32 = 0x0000_0002;
    /// Place of the lowest bit of `events_pending`.
    pub const EVENTS_PENDING_SHIFT: u32 = 1;
    /// Value of `events_pending` after a reset, not shifted; zero where the device drives it.
    pub const EVENTS_PENDING_RESET: u32 = 0x0000_0000;
    /// Host frame pending.
    ///
    /// A frame for the host waits, or was written by way of the host receive ring.
    pub const HOST_FRAME_PENDING_MASK: u32 = 0x0000_0004;
    /// Place of the lowest bit of `host_frame_pending`.
    pub const HOST_FRAME_PENDING_SHIFT: u32 = 2;
    /// Value of `host_frame_pending` after a reset, not shifted; zero where the device drives it.
    pub const HOST_FRAME_PENDING_RESET: u32 = 0x0000_0000;
    /// Fault.
    ///
    /// STATUS.fault became set, or an error stopped a ring.
    pub const FAULT_MASK: u32 = 0x0000_0008;
    /// Place of the lowest bit of `fault`.
    pub const FAULT_SHIFT: u32 = 3;
    /// Value of `fault` after a reset, not shifted; zero where the device drives it.
    pub const FAULT_RESET: u32 = 0x0000_0000;
    /// Commands done.
    ///
    /// The command ring has new completions.
    pub const COMMANDS_DONE_MASK: u32 = 0x0000_0010;
    /// Place of the lowest bit of `commands_done`.
    pub const COMMANDS_DONE_SHIFT: u32 = 4;
    /// Value of `commands_done` after a reset, not shifted; zero where the device drives it.
    pub const COMMANDS_DONE_RESET: u32 = 0x0000_0000;
    /// Host frames taken.
    ///
    /// The host transmit ring has new completions.
    pub const HOST_FRAMES_TAKEN_MASK: u32 = 0x0000_0020;
    /// Place of the lowest bit of `host_frames_taken`.
    pub const HOST_FRAMES_TAKEN_SHIFT: u32 = 5;
    /// Value of `host_frames_taken` after a reset, not shifted; zero where the device drives it.
    pub const HOST_FRAMES_TAKEN_RESET: u32 = 0x0000_0000;
}

/// Interrupt mask.
///
/// A cause signals its vector only while its bit here is 0; clearing the bit while the cause is set signals it. All causes are masked after a reset.
pub mod irq_mask {
    /// Mailbox done.
    ///
    /// 1 masks the cause of the same name.
    pub const MAILBOX_DONE_MASK: u32 = 0x0000_0001;
    /// Place of the lowest bit of `mailbox_done`.
    pub const MAILBOX_DONE_SHIFT: u32 = 0;
    /// Value of `mailbox_done` after a reset, not shifted; zero where the device drives it.
    pub const MAILBOX_DONE_RESET: u32 = 0x0000_0001;
    /// Events pending.
    ///
    /// 1 masks the cause of the same name.
    pub const EVENTS_PENDING_MASK: u32 = 0x0000_0002;
    /// Place of the lowest bit of `events_pending`.
    pub const EVENTS_PENDING_SHIFT: u32 = 1;
    /// Value of `events_pending` after a reset, not shifted; zero where the device drives it.
    pub const EVENTS_PENDING_RESET: u32 = 0x0000_0001;
    /// Host frame pending.
    ///
    /// 1 masks the cause of the same name.
    pub const HOST_FRAME_PENDING_MASK: u32 = 0x0000_0004;
    /// Place of the lowest bit of `host_frame_pending`.
    pub const HOST_FRAME_PENDING_SHIFT: u32 = 2;
    /// Value of `host_frame_pending` after a reset, not shifted; zero where the device drives it.
    pub const HOST_FRAME_PENDING_RESET: u32 = 0x0000_0001;
    /// Fault.
    ///
    /// 1 masks the cause of the same name.
    pub const FAULT_MASK: u32 = 0x0000_0008;
    /// Place of the lowest bit of `fault`.
    pub const FAULT_SHIFT: u32 = 3;
    /// Value of `fault` after a reset, not shifted; zero where the device drives it.
    pub const FAULT_RESET: u32 = 0x0000_0001;
    /// Commands done.
    ///
    /// 1 masks the cause of the same name.
    pub const COMMANDS_DONE_MASK: u32 = 0x0000_0010;
    /// Place of the lowest bit of `commands_done`.
    pub const COMMANDS_DONE_SHIFT: u32 = 4;
    /// Value of `commands_done` after a reset, not shifted; zero where the device drives it.
    pub const COMMANDS_DONE_RESET: u32 = 0x0000_0001;
    /// Host frames taken.
    ///
    /// 1 masks the cause of the same name.
    pub const HOST_FRAMES_TAKEN_MASK: u32 = 0x0000_0020;
    /// Place of the lowest bit of `host_frames_taken`.
    pub const HOST_FRAMES_TAKEN_SHIFT: u32 = 5;
    /// Value of `host_frames_taken` after a reset, not shifted; zero where the device drives it.
    pub const HOST_FRAMES_TAKEN_RESET: u32 = 0x0000_0001;
}

/// Mailbox doorbell.
///
/// Writing it hands the request that stands in the request window to the device. While MAILBOX_STATUS.busy is set both windows belong to the device.
pub mod mailbox_doorbell {
    /// Request length.
    ///
    /// Length of the request in octets, header included.
    pub const REQUEST_LEN_MASK: u32 = 0x0000_FFFF;
    /// Place of the lowest bit of `request_len`.
    pub const REQUEST_LEN_SHIFT: u32 = 0;
    /// Value of `request_len` after a reset, not shifted; zero where the device drives it.
    pub const REQUEST_LEN_RESET: u32 = 0x0000_0000;
}

/// Mailbox status.
///
/// Where the last request stands. Exactly one of busy, done and error is set after the first doorbell.
pub mod mailbox_status {
    /// Busy.
    ///
    /// The device works on the request.
    pub const BUSY_MASK: u32 = 0x0000_0001;
    /// Place of the lowest bit of `busy`.
    pub const BUSY_SHIFT: u32 = 0;
    /// Value of `busy` after a reset, not shifted; zero where the device drives it.
    pub const BUSY_RESET: u32 = 0x0000_0000;
    /// Done.
    ///
    /// The response is in the response window. Cleared by the next doorbell.
    pub const DONE_MASK: u32 = 0x0000_0002;
    /// Place of the lowest bit of `done`.
    pub const DONE_SHIFT: u32 = 1;
    /// Value of `done` after a reset, not shifted; zero where the device drives it.
    pub const DONE_RESET: u32 = 0x0000_0000;
    /// Error.
    ///
    /// The request was not looked at; see the error code. Cleared by the next doorbell.
    pub const ERROR_MASK: u32 = 0x0000_0004;
    /// Place of the lowest bit of `error`.
    pub const ERROR_SHIFT: u32 = 2;
    /// Value of `error` after a reset, not shifted; zero where the device drives it.
    pub const ERROR_RESET: u32 = 0x0000_0000;
    /// Error code.
    ///
    /// Why the mailbox refused the last doorbell. Results of a request that was taken stand in its response header.
    pub const ERROR_CODE_MASK: u32 = 0x0000_FF00;
    /// Place of the lowest bit of `error_code`.
    pub const ERROR_CODE_SHIFT: u32 = 8;
    /// Value of `error_code` after a reset, not shifted; zero where the device drives it.
    pub const ERROR_CODE_RESET: u32 = 0x0000_0000;
}

/// Mailbox response length.
///
/// Valid while MAILBOX_STATUS.done is set.
pub mod mailbox_response_len {
    /// Length.
    ///
    /// Length of the response in octets, header included.
    pub const LEN_MASK: u32 = 0x0000_FFFF;
    /// Place of the lowest bit of `len`.
    pub const LEN_SHIFT: u32 = 0;
    /// Value of `len` after a reset, not shifted; zero where the device drives it.
    pub const LEN_RESET: u32 = 0x0000_0000;
}

/// Counter snapshot.
///
/// The counter window shows a copy, so that both halves of a counter, and all counters, belong to one moment.
pub mod counter_snapshot {
    /// Latch.
    ///
    /// Writing 1 copies all counters into the window; it reads as 1 until the copy is whole. Writing 0 does nothing.
    pub const LATCH_MASK: u32 = 0x0000_0001;
    /// Place of the lowest bit of `latch`.
    pub const LATCH_SHIFT: u32 = 0;
    /// Value of `latch` after a reset, not shifted; zero where the device drives it.
    pub const LATCH_RESET: u32 = 0x0000_0000;
}

/// Descriptor array, low half.
///
/// IOVA of the array that the host writes and the device reads, a multiple of 64. Taken when the ring is enabled. The event ring has none and ignores it.
pub mod ring_descriptors_lo {
    /// Value.
    ///
    /// Bits 31 to 0 of the IOVA.
    pub const VALUE_MASK: u32 = 0xFFFF_FFFF;
    /// Place of the lowest bit of `value`.
    pub const VALUE_SHIFT: u32 = 0;
    /// Value of `value` after a reset, not shifted; zero where the device drives it.
    pub const VALUE_RESET: u32 = 0x0000_0000;
}

/// Descriptor array, high half.
///
/// The other half of the IOVA.
pub mod ring_descriptors_hi {
    /// Value.
    ///
    /// Bits 63 to 32 of the IOVA.
    pub const VALUE_MASK: u32 = 0xFFFF_FFFF;
    /// Place of the lowest bit of `value`.
    pub const VALUE_SHIFT: u32 = 0;
    /// Value of `value` after a reset, not shifted; zero where the device drives it.
    pub const VALUE_RESET: u32 = 0x0000_0000;
}

/// Completion array, low half.
///
/// IOVA of the array that the device writes and the host reads, a multiple of 64. Taken when the ring is enabled. On the event ring it holds the events. The host fills it with zeros before it enables the ring.
pub mod ring_completions_lo {
    /// Value.
    ///
    /// Bits 31 to 0 of the IOVA.
    pub const VALUE_MASK: u32 = 0xFFFF_FFFF;
    /// Place of the lowest bit of `value`.
    pub const VALUE_SHIFT: u32 = 0;
    /// Value of `value` after a reset, not shifted; zero where the device drives it.
    pub const VALUE_RESET: u32 = 0x0000_0000;
}

/// Completion array, high half.
///
/// The other half of the IOVA.
pub mod ring_completions_hi {
    /// Value.
    ///
    /// Bits 63 to 32 of the IOVA.
    pub const VALUE_MASK: u32 = 0xFFFF_FFFF;
    /// Place of the lowest bit of `value`.
    pub const VALUE_SHIFT: u32 = 0;
    /// Value of `value` after a reset, not shifted; zero where the device drives it.
    pub const VALUE_RESET: u32 = 0x0000_0000;
}

/// Ring size.
///
/// How many entries each array has. Taken when the ring is enabled.
pub mod ring_size {
    /// Entries.
    ///
    /// Number of entries: a power of two from 2 to CAP_RINGS.max_entries.
    pub const ENTRIES_MASK: u32 = 0x0000_FFFF;
    /// Place of the lowest bit of `entries`.
    pub const ENTRIES_SHIFT: u32 = 0;
    /// Value of `entries` after a reset, not shifted; zero where the device drives it.
    pub const ENTRIES_RESET: u32 = 0x0000_0000;
}

/// Ring control.
///
/// Starts and stops the ring.
pub mod ring_control {
    /// Enable.
    ///
    /// A change from 0 to 1 starts the ring: both indices at 0, the phase at 1. 0 stops it: once STATUS.running reads 0 the device touches neither the arrays nor the buffers. A ring that an error stopped is started again by writing 0, then 1.
    pub const ENABLE_MASK: u32 = 0x0000_0001;
    /// Place of the lowest bit of `enable`.
    pub const ENABLE_SHIFT: u32 = 0;
    /// Value of `enable` after a reset, not shifted; zero where the device drives it.
    pub const ENABLE_RESET: u32 = 0x0000_0000;
}

/// Ring status.
///
/// State of the ring.
pub mod ring_status {
    /// Running.
    ///
    /// Set while the ring works.
    pub const RUNNING_MASK: u32 = 0x0000_0001;
    /// Place of the lowest bit of `running`.
    pub const RUNNING_SHIFT: u32 = 0;
    /// Value of `running` after a reset, not shifted; zero where the device drives it.
    pub const RUNNING_RESET: u32 = 0x0000_0000;
    /// Error.
    ///
    /// Why the ring did not start, or stopped. Cleared when it is started.
    pub const ERROR_MASK: u32 = 0x0000_FF00;
    /// Place of the lowest bit of `error`.
    pub const ERROR_SHIFT: u32 = 8;
    /// Value of `error` after a reset, not shifted; zero where the device drives it.
    pub const ERROR_RESET: u32 = 0x0000_0000;
}

/// Ring doorbell.
///
/// The host's index. Indices count entries from 0 when the ring was enabled, modulo 65536; entry n stands at n modulo the size.
pub mod ring_doorbell {
    /// Index.
    ///
    /// Descriptors posted so far; on the event ring events consumed so far. Written as 0 before the ring is enabled.
    pub const INDEX_MASK: u32 = 0x0000_FFFF;
    /// Place of the lowest bit of `index`.
    pub const INDEX_SHIFT: u32 = 0;
    /// Value of `index` after a reset, not shifted; zero where the device drives it.
    pub const INDEX_RESET: u32 = 0x0000_0000;
}

/// Ring head.
///
/// The device's index. After an error it tells what was done: a descriptor before it was carried out, even when its completion is lost; one from it on was not looked at.
pub mod ring_head {
    /// Index.
    ///
    /// Descriptors taken so far; on the event ring events written so far.
    pub const INDEX_MASK: u32 = 0x0000_FFFF;
    /// Place of the lowest bit of `index`.
    pub const INDEX_SHIFT: u32 = 0;
    /// Value of `index` after a reset, not shifted; zero where the device drives it.
    pub const INDEX_RESET: u32 = 0x0000_0000;
}

/// Fault address, low half.
///
/// Where the access to host memory began that failed; valid while STATUS.error is a DMA fault.
pub mod ring_fault_iova_lo {
    /// Value.
    ///
    /// Bits 31 to 0 of the IOVA.
    pub const VALUE_MASK: u32 = 0xFFFF_FFFF;
    /// Place of the lowest bit of `value`.
    pub const VALUE_SHIFT: u32 = 0;
    /// Value of `value` after a reset, not shifted; zero where the device drives it.
    pub const VALUE_RESET: u32 = 0x0000_0000;
}

/// Fault address, high half.
///
/// The other half of the IOVA.
pub mod ring_fault_iova_hi {
    /// Value.
    ///
    /// Bits 63 to 32 of the IOVA.
    pub const VALUE_MASK: u32 = 0xFFFF_FFFF;
    /// Place of the lowest bit of `value`.
    pub const VALUE_SHIFT: u32 = 0;
    /// Value of `value` after a reset, not shifted; zero where the device drives it.
    pub const VALUE_RESET: u32 = 0x0000_0000;
}
