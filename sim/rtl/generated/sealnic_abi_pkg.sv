// Structures and enumerations that firmware, driver and RTL share.
// Generated from the Rust definitions in firmware/abi by `cargo xtask regs`; edit those instead.
//
// Octet n of a structure in memory is bits [8n+7:8n] of its vector, and integers are little-endian. The first
// member of a packed structure is its most significant one, so members stand here from the last in memory to
// the first; element i of an array member is the i-th in memory.

package sealnic_abi_pkg;

    typedef enum logic [7:0] {
        DROP_REASON_PORT_DOWN = 8'd0,
        DROP_REASON_MALFORMED = 8'd1,
        DROP_REASON_NOT_IP = 8'd2,
        DROP_REASON_MULTICAST = 8'd3,
        DROP_REASON_SPOOFED_MAC = 8'd4,
        DROP_REASON_SPOOFED_ADDRESS = 8'd5,
        DROP_REASON_NO_MAPPING = 8'd6,
        DROP_REASON_FRAME_TOO_LONG = 8'd7,
        DROP_REASON_PACKET_TOO_BIG = 8'd8,
        DROP_REASON_BAD_OFFLOAD = 8'd9,
        DROP_REASON_HW_NOT_SUPPORTED = 8'd10,
        DROP_REASON_SW_NOT_READY = 8'd11,
        DROP_REASON_NOT_ACCEPTED = 8'd12,
        DROP_REASON_NOT_SUPPORTED = 8'd13,
        DROP_REASON_FLOW_TABLE_FULL = 8'd14,
        DROP_REASON_NO_WRITE_SA = 8'd15,
        DROP_REASON_NO_LOCAL_PORT = 8'd16,
        DROP_REASON_OUTER_MALFORMED = 8'd17,
        DROP_REASON_OUTER_NOT_OURS = 8'd18,
        DROP_REASON_OUTER_FRAGMENT = 8'd19,
        DROP_REASON_RECORD_MALFORMED = 8'd20,
        DROP_REASON_UNKNOWN_ASSOCIATION = 8'd21,
        DROP_REASON_UNKNOWN_EPOCH = 8'd22,
        DROP_REASON_AUTH_FAILED = 8'd23,
        DROP_REASON_REPLAYED = 8'd24,
        DROP_REASON_FAILURE_LIMIT = 8'd25,
        DROP_REASON_VNI_MISMATCH = 8'd26,
        DROP_REASON_INNER_MALFORMED = 8'd27,
        DROP_REASON_INNER_SPOOFED = 8'd28,
        DROP_REASON_CLEAR_FORBIDDEN = 8'd29,
        DROP_REASON_CLEAR_WRONG_HOST = 8'd30,
        DROP_REASON_UNKNOWN_VNI = 8'd31,
        DROP_REASON_HOST_POLICED = 8'd32,
        DROP_REASON_HOST_REFUSED = 8'd33,
        DROP_REASON_WIRE_QUEUE_FULL = 8'd34,
        DROP_REASON_IN_DOUBT = 8'd35,
        DROP_REASON_CONGESTION = 8'd36,
        DROP_REASON_RESET = 8'd37,
        DROP_REASON_VF_QUEUE_FULL = 8'd38
    } drop_reason_t;

    typedef enum logic [7:0] {
        COUNTER_VF_IN = 8'd0,
        COUNTER_WIRE_IN = 8'd1,
        COUNTER_HOST_IN = 8'd2,
        COUNTER_GENERATED = 8'd3,
        COUNTER_COPIED = 8'd4,
        COUNTER_VF_OUT = 8'd5,
        COUNTER_WIRE_SEALED = 8'd6,
        COUNTER_WIRE_CLEAR = 8'd7,
        COUNTER_HOST_OUT = 8'd8,
        COUNTER_CONSUMED = 8'd9,
        COUNTER_HELD = 8'd10,
        COUNTER_FLOW_HIT = 8'd11,
        COUNTER_FLOW_MISS = 8'd12,
        COUNTER_FLOW_TABLE_FULL = 8'd13,
        COUNTER_FLOWS_LIVE = 8'd14,
        COUNTER_FLOWS_AGED = 8'd15,
        COUNTER_EVENTS_LOST = 8'd16,
        COUNTER_SEALED_OCTETS = 8'd17,
        COUNTER_OPENED_OCTETS = 8'd18,
        COUNTER_MAILBOX_MESSAGES = 8'd19,
        COUNTER_MAILBOX_ERRORS = 8'd20
    } counter_t;

    typedef enum logic [7:0] {
        EVENT_KIND_FLOW_BEGIN = 8'd1,
        EVENT_KIND_FLOW_CONTINUE = 8'd2,
        EVENT_KIND_FLOW_END = 8'd3,
        EVENT_KIND_FLOW_DENY = 8'd4,
        EVENT_KIND_SA_SOFT_LIMIT = 8'd5,
        EVENT_KIND_SA_HARD_LIMIT = 8'd6,
        EVENT_KIND_SA_RETIRED = 8'd7,
        EVENT_KIND_RESET = 8'd8,
        EVENT_KIND_RING_STOPPED = 8'd9
    } event_kind_t;

    typedef enum logic [7:0] {
        ACTION_KIND_DROP = 8'd0,
        ACTION_KIND_SEAL = 8'd1,
        ACTION_KIND_CLEAR = 8'd2,
        ACTION_KIND_LOCAL = 8'd3,
        ACTION_KIND_DELIVER_SEALED = 8'd4,
        ACTION_KIND_DELIVER_CLEAR = 8'd5
    } action_kind_t;

    typedef enum logic [15:0] {
        STATUS_OK = 16'd0,
        STATUS_BAD_OPCODE = 16'd1,
        STATUS_BAD_LENGTH = 16'd2,
        STATUS_BAD_CHECKSUM = 16'd3,
        STATUS_BAD_PARAMETER = 16'd4,
        STATUS_NOT_FOUND = 16'd5,
        STATUS_CONFLICT = 16'd6,
        STATUS_FULL = 16'd7,
        STATUS_STALE_GENERATION = 16'd8,
        STATUS_KEY_REUSED = 16'd9,
        STATUS_WRONG_STATE = 16'd10,
        STATUS_TOO_MANY_EPOCHS = 16'd11,
        STATUS_NOT_CONFIGURED = 16'd12,
        STATUS_STALE_REVISION = 16'd13,
        STATUS_FAILED = 16'd14
    } status_t;

    typedef enum logic [15:0] {
        OPCODE_IDENTIFY = 16'd1,
        OPCODE_CONFIGURE = 16'd2,
        OPCODE_VNET_SET = 16'd16,
        OPCODE_VNET_REMOVE = 16'd17,
        OPCODE_VNET_LIST = 16'd18,
        OPCODE_PORT_SET = 16'd32,
        OPCODE_PORT_REMOVE = 16'd33,
        OPCODE_PORT_LIST = 16'd34,
        OPCODE_PORT_ADDRESS_ADD = 16'd35,
        OPCODE_PORT_ADDRESS_REMOVE = 16'd36,
        OPCODE_PORT_ADDRESS_LIST = 16'd37,
        OPCODE_MAPPING_SET = 16'd48,
        OPCODE_MAPPING_REMOVE = 16'd49,
        OPCODE_MAPPING_LIST = 16'd50,
        OPCODE_ASSOCIATION_SET = 16'd64,
        OPCODE_ASSOCIATION_STATE_SET = 16'd65,
        OPCODE_ASSOCIATION_REMOVE = 16'd66,
        OPCODE_ASSOCIATION_LIST = 16'd67,
        OPCODE_SA_INSTALL = 16'd80,
        OPCODE_SA_ACTIVATE = 16'd81,
        OPCODE_SA_RETIRE = 16'd82,
        OPCODE_SA_REMOVE = 16'd83,
        OPCODE_SA_QUERY = 16'd84,
        OPCODE_SA_LIST = 16'd85,
        OPCODE_EXCLUSION_SET = 16'd96,
        OPCODE_EXCLUSION_REMOVE = 16'd97,
        OPCODE_EXCLUSION_LIST = 16'd98,
        OPCODE_FLOW_LIST = 16'd112,
        OPCODE_FLOW_FLUSH = 16'd113,
        OPCODE_POLICY_EPOCH_BUMP = 16'd114,
        OPCODE_COUNTERS = 16'd115,
        OPCODE_SEAL_CONTROL_RECORD = 16'd116,
        OPCODE_EVENT_DRAIN = 16'd117,
        OPCODE_SELF_TEST = 16'd118,
        OPCODE_RESET = 16'd119
    } opcode_t;

    typedef enum logic [7:0] {
        ENCRYPTION_CODE_X = 8'd0,
        ENCRYPTION_CODE_NX = 8'd1,
        ENCRYPTION_CODE_NX_HW_NOT_SUPPORTED = 8'd2,
        ENCRYPTION_CODE_NX_SW_NOT_READY = 8'd3,
        ENCRYPTION_CODE_NX_NOT_ACCEPTED = 8'd4,
        ENCRYPTION_CODE_NX_NOT_SUPPORTED = 8'd5,
        ENCRYPTION_CODE_NX_LOCAL_DST = 8'd6,
        ENCRYPTION_CODE_NX_FALLBACK = 8'd7
    } encryption_code_t;

    typedef enum logic [7:0] {
        ENFORCEMENT_ALLOW_UNENCRYPTED = 8'd0,
        ENFORCEMENT_DROP_UNENCRYPTED = 8'd1
    } enforcement_t;

    typedef enum logic [7:0] {
        CAPABILITY_SUPPORTED = 8'd0,
        CAPABILITY_HW_NOT_SUPPORTED = 8'd1,
        CAPABILITY_SW_NOT_READY = 8'd2,
        CAPABILITY_NO_DISCOVERY = 8'd3
    } capability_t;

    typedef enum logic [7:0] {
        MAPPING_KIND_VM = 8'd0,
        MAPPING_KIND_OUTSIDE = 8'd1,
        MAPPING_KIND_UNREACHABLE = 8'd2
    } mapping_kind_t;

    typedef enum logic [7:0] {
        ASSOCIATION_STATE_NOT_READY = 8'd0,
        ASSOCIATION_STATE_READY = 8'd1,
        ASSOCIATION_STATE_FAILED = 8'd2
    } association_state_t;

    typedef enum logic [7:0] {
        DTLS_VERSION_DTLS12 = 8'd0,
        DTLS_VERSION_DTLS13 = 8'd1
    } dtls_version_t;

    typedef enum logic [7:0] {
        CIPHER_SUITE_AES128_GCM = 8'd0,
        CIPHER_SUITE_AES256_GCM = 8'd1
    } cipher_suite_t;

    typedef enum logic [7:0] {
        DIRECTION_WRITE = 8'd0,
        DIRECTION_READ = 8'd1
    } direction_t;

    typedef enum logic [7:0] {
        SA_PHASE_INSTALLED = 8'd0,
        SA_PHASE_ACTIVE = 8'd1,
        SA_PHASE_RETIRING = 8'd2,
        SA_PHASE_DEAD = 8'd3
    } sa_phase_t;

    // Exact-match key of one direction of a flow. Addresses stand as in the packet; an IPv4 address takes the first four octets.
    localparam int unsigned FLOW_KEY_LEN = 48;
    typedef struct packed {
        // Zero.
        logic [5:0][7:0] reserved;
        // Bits of `FlowKey::INGRESS` and its neighbours.
        logic [7:0] flags;
        // IP protocol number.
        logic [7:0] protocol;
        // Destination address.
        logic [15:0][7:0] dst;
        // Source address.
        logic [15:0][7:0] src;
        // Destination port, host order; 0 where the protocol has none, and for fragments.
        logic [15:0] dst_port;
        // Source port, host order; 0 where the protocol has none, and for fragments.
        logic [15:0] src_port;
        // Egress: port number. Ingress: VNI.
        logic [31:0] scope;
    } flow_key_t;

    // Decision of a flow entry; with its key it fills one line.
    localparam int unsigned FLOW_ACTION_LEN = 16;
    typedef struct packed {
        // Policy epoch of the decision; an older one is decided again, never trusted.
        logic [31:0] policy_epoch;
        // Association, mapping slot, port or VNI, by `kind`.
        logic [31:0] target;
        // Zero.
        logic [15:0] reserved;
        // Local port number (delivery, and the egress port of the flow).
        logic [15:0] port;
        // Zero.
        logic [7:0] flags;
        // `DropReason`, when `kind` is drop.
        logic [7:0] reason;
        // `EncryptionCode` for the flow log.
        logic [7:0] code;
        // `ActionKind`.
        logic [7:0] kind;
    } flow_action_t;

    // Counters of a flow entry. Times are the device's, in nanoseconds.
    localparam int unsigned FLOW_COUNTERS_LEN = 64;
    typedef struct packed {
        // Zero.
        logic [5:0][7:0] reserved;
        // Not zero: TCP FIN or RST seen, so that the entry ages quickly.
        logic [7:0] closing;
        // `LogState`: what the flow log knows of this flow.
        logic [7:0] log_state;
        // Time of the last flow-log record.
        logic [63:0] logged_ns;
        // Octets already in flow-log records.
        logic [63:0] logged_octets;
        // Frames already in flow-log records.
        logic [63:0] logged_packets;
        // Time of the last frame.
        logic [63:0] last_ns;
        // Time of the first frame.
        logic [63:0] first_ns;
        // Octets of those frames at the VM, without FCS.
        logic [63:0] octets;
        // Frames since creation.
        logic [63:0] packets;
    } flow_counters_t;

    // One bucket: fingerprints of its slots, 0 for a free slot. Slot `s` of bucket `b` is entry `16 b + s`.
    localparam int unsigned FLOW_BUCKET_LEN = 64;
    typedef struct packed {
        // Fingerprints; any value but 0.
        logic [15:0][31:0] fingerprints;
    } flow_bucket_t;

    // One event.
    localparam int unsigned EVENT_LEN = 96;
    typedef struct packed {
        // Zero.
        logic [7:0][7:0] reserved2;
        // Flow (flow log).
        logic [383:0] key;
        // Zero.
        logic [2:0][7:0] reserved;
        // `DropReason` of a denied flow, else 0xff.
        logic [7:0] reason;
        // `EncryptionCode`.
        logic [7:0] code;
        // `EventKind`.
        logic [7:0] kind;
        // Port number.
        logic [15:0] port;
        // VNI of the port.
        logic [31:0] vni;
        // SA or association of the event, or 0.
        logic [31:0] subject;
        // Octets since the last record (flow log).
        logic [63:0] octets;
        // Frames since the last record (flow log).
        logic [63:0] packets;
        // Device time, in nanoseconds.
        logic [63:0] time_ns;
    } event_t;

    // Header of every frame on the exception path.
    localparam int unsigned HOST_FRAME_LEN = 32;
    typedef struct packed {
        // `HostSegmentation` (`AsVm`).
        logic [7:0] segmentation;
        // `NEEDS_CSUM` (`AsVm`).
        logic [7:0] offload_flags;
        // Payload of each segment, in octets (`AsVm` with a segmentation).
        logic [15:0] segment_len;
        // Offset of the checksum field from `csum_start`, in octets (`AsVm` with `NEEDS_CSUM`).
        logic [15:0] csum_offset;
        // Offset from the frame's start at which the checksum begins, in octets (`AsVm` with `NEEDS_CSUM`).
        logic [15:0] csum_start;
        // Content type of a control record.
        logic [7:0] content_type;
        // `HostFrameKind`.
        logic [7:0] kind;
        // Port number of a VM's frame.
        logic [15:0] port;
        // Association of a control record.
        logic [31:0] association;
        // Epoch of a control record.
        logic [63:0] epoch;
        // Sequence number of a control record.
        logic [63:0] sequence_;
    } host_frame_t;

    // Header of requests and responses.
    localparam int unsigned MESSAGE_HEADER_LEN = 16;
    typedef struct packed {
        // CRC-32C of header (this field zero) and payload.
        logic [31:0] checksum;
        // Response with an error: offset of the payload octet at fault, or 0.
        logic [15:0] detail;
        // Payload length, in octets.
        logic [15:0] payload_len;
        // Chosen by the host, not 0; a response repeats the request's.
        logic [31:0] sequence_;
        // Request: 0. Response: `Status`.
        logic [15:0] status;
        // `Opcode`; a response repeats the request's.
        logic [15:0] opcode;
    } message_header_t;

    // Command ring: a request and room for its answer. The buffers may lie at any address.
    localparam int unsigned COMMAND_DESCRIPTOR_LEN = 32;
    typedef struct packed {
        // Zero.
        logic [11:0][7:0] reserved;
        // Room for the answer, in octets (16 to 4096).
        logic [15:0] response_len;
        // Length of the request, in octets (16 to 4096).
        logic [15:0] request_len;
        // IOVA of the room for the answer.
        logic [63:0] response;
        // IOVA of the request: header and payload.
        logic [63:0] request;
    } command_descriptor_t;

    // Host frame rings: a buffer, at any address.
    localparam int unsigned FRAME_DESCRIPTOR_LEN = 16;
    typedef struct packed {
        // Zero.
        logic [31:0] reserved;
        // Receive: room in the buffer, in octets, at least 1. Transmit: length of the frame, in octets, from the size of a
        // `HostFrame` to `CAP_RINGS.host_frame_len`.
        logic [31:0] len;
        // IOVA of the buffer.
        logic [63:0] buffer;
    } frame_descriptor_t;

    // What became of a descriptor.
    localparam int unsigned COMPLETION_LEN = 16;
    typedef struct packed {
        // Phase: 1 or 0.
        logic [31:0] phase;
        // Zero.
        logic [31:0] reserved;
        // `CompletionStatus`.
        logic [15:0] status;
        // Number of the descriptor, modulo 65,536.
        logic [15:0] index;
        // Octets written to the buffer (commands, receive) or taken from it (transmit).
        logic [31:0] len;
    } completion_t;

    // Entry of the event ring.
    localparam int unsigned EVENT_ENTRY_LEN = 128;
    typedef struct packed {
        // Phase: 1 or 0.
        logic [31:0] phase;
        // Zero.
        logic [19:0][7:0] reserved;
        // Number of the event, from 0 when the ring was enabled.
        logic [63:0] number;
        // The event.
        logic [767:0] event_;
    } event_entry_t;

    // An IP address with its family. An IPv4 address takes the first four octets, the others are zero.
    localparam int unsigned ADDRESS_LEN = 20;
    typedef struct packed {
        // Zero.
        logic [2:0][7:0] reserved;
        // 4, 6, or 0 for none.
        logic [7:0] family;
        // Address octets in network order.
        logic [15:0][7:0] octets;
    } address_t;

    // A virtual network known to this device: one that has ports here, or a peered one.
    localparam int unsigned VNET_LEN = 8;
    typedef struct packed {
        // Zero.
        logic [1:0][7:0] reserved;
        // `Enforcement`.
        logic [7:0] enforcement;
        // 1 when encryption is enabled.
        logic [7:0] encryption;
        // VNI, 24 bits.
        logic [31:0] vni;
    } vnet_t;

    // One VF's attachment to the pipeline.
    localparam int unsigned PORT_LEN = 20;
    typedef struct packed {
        // Zero.
        logic [1:0][7:0] reserved;
        // 1: the host stands in for the VM, by way of its frame rings (`ForVm`, `AsVm`). Then the port has no other way in or
        // out: frames of its virtual function are dropped.
        logic [7:0] representor;
        // 1: any source MAC is accepted (a VM that routes for others).
        logic [7:0] any_mac;
        // 1 when the port is up.
        logic [7:0] up;
        // `Capability` of this VM.
        logic [7:0] capability;
        // MAC of the VM.
        logic [5:0][7:0] mac;
        // MTU: greatest IP packet, in octets.
        logic [15:0] mtu;
        // Port number.
        logic [15:0] port;
        // VNI, 24 bits.
        logic [31:0] vni;
    } port_t;

    // A source prefix that a port may use, and under which it is reached.
    localparam int unsigned PORT_ADDRESS_LEN = 24;
    typedef struct packed {
        // Zero.
        logic [7:0] reserved;
        // Prefix length, in bits.
        logic [7:0] prefix_len;
        // Port number.
        logic [15:0] port;
        // Prefix; bits past its length are zero.
        logic [159:0] prefix;
    } port_address_t;

    // (source VNI, CA or prefix) → (destination VNI, PA, peer's MAC and capability).
    localparam int unsigned MAPPING_LEN = 64;
    typedef struct packed {
        // Revision of the store this came from; an older one never replaces a newer one.
        logic [31:0] revision;
        // Zero.
        logic [2:0][7:0] reserved;
        // `Capability` of the peer.
        logic [7:0] capability;
        // `MappingKind`.
        logic [7:0] kind;
        // Prefix length, in bits.
        logic [7:0] prefix_len;
        // MAC that neighbour requests for it are answered with.
        logic [5:0][7:0] peer_mac;
        // Host that has it.
        logic [159:0] pa;
        // CA or prefix; bits past its length are zero.
        logic [159:0] prefix;
        // Destination VNI, 24 bits; another one across a peering.
        logic [31:0] dst_vni;
        // Source VNI, 24 bits.
        logic [31:0] src_vni;
    } mapping_t;

    // A DTLS association with one peer NIC for one (our VNI, their VNI) pair.
    localparam int unsigned ASSOCIATION_LEN = 128;
    typedef struct packed {
        // Zero.
        logic [19:0][7:0] reserved2;
        // Time for which a retiring read SA still opens records, in milliseconds (default 1000).
        logic [31:0] overlap_ms;
        // Connection id the peer sends: chosen by us.
        logic [19:0][7:0] local_cid;
        // Replay window, in records (64 to 4096, a multiple of 64).
        logic [15:0] replay_window;
        // Zero.
        logic [7:0] reserved;
        // Length of the connection id the peer sends: 0 or the device's.
        logic [7:0] local_cid_len;
        // Connection id we send: chosen by the peer.
        logic [19:0][7:0] peer_cid;
        // Length of the connection id we send, in octets (0 to 20).
        logic [7:0] peer_cid_len;
        // `AssociationState`.
        logic [7:0] state;
        // `CipherSuite`.
        logic [7:0] suite;
        // `DtlsVersion`.
        logic [7:0] version;
        // Their UDP port.
        logic [15:0] peer_port;
        // Our UDP port.
        logic [15:0] local_port;
        // Their provider address.
        logic [159:0] peer_pa;
        // Our provider address.
        logic [159:0] local_pa;
        // Their VNI: records are sealed towards it.
        logic [31:0] peer_vni;
        // Our VNI: records are opened towards it.
        logic [31:0] local_vni;
        // Number chosen by the host, below the maximum.
        logic [31:0] id;
    } association_t;

    // Installs one SA: key material goes in here and never comes out.
    localparam int unsigned SA_INSTALL_LEN = 176;
    typedef struct packed {
        // Zero.
        logic [27:0][7:0] reserved2;
        // DTLS 1.3: key of record-number encryption; DTLS 1.2: zero.
        logic [31:0][7:0] sn_key;
        // DTLS 1.3: IV. DTLS 1.2: salt in the first 4 octets, the others are zero.
        logic [11:0][7:0] iv;
        // Key; AES-128 uses the first 16 octets, the others are zero.
        logic [31:0][7:0] key;
        // Zero.
        logic [6:0][7:0] reserved;
        // `Direction`.
        logic [7:0] direction;
        // Octets after which the SA is dead; 0 for the default.
        logic [63:0] hard_octets;
        // Octets after which the host is told; 0 for the default.
        logic [63:0] soft_octets;
        // Packets after which the SA is dead; 0 for the default.
        logic [63:0] hard_packets;
        // Packets after which the host is told; 0 for the default of the version.
        logic [63:0] soft_packets;
        // First sequence number to seal with, or expected to be opened.
        logic [63:0] first_seq;
        // Epoch (DTLS 1.2: 1 to 65535; DTLS 1.3: 3 to 2^48 - 1).
        logic [63:0] epoch;
        // Device generation the keys were made for; refused when it isn't the current one.
        logic [63:0] generation;
        // Association it belongs to.
        logic [31:0] association;
        // SA number chosen by the host, below the maximum.
        logic [31:0] sa;
    } sa_install_t;

    // State of an SA as a query shows it; no key material.
    localparam int unsigned SA_STATE_LEN = 88;
    typedef struct packed {
        // Zero.
        logic [7:0][7:0] reserved2;
        // Time at which a retiring SA ends, in nanoseconds; 0 when it isn't retiring.
        logic [63:0] retire_ns;
        // Zero.
        logic [3:0][7:0] reserved;
        // `CipherSuite`.
        logic [7:0] suite;
        // `DtlsVersion`.
        logic [7:0] version;
        // `SaPhase`.
        logic [7:0] phase;
        // `Direction`.
        logic [7:0] direction;
        // Device generation of the install.
        logic [63:0] generation;
        // Records dropped as replays (read).
        logic [63:0] replayed;
        // Records that did not authenticate (read).
        logic [63:0] auth_failures;
        // Octets sealed or opened.
        logic [63:0] octets;
        // Packets sealed or opened.
        logic [63:0] packets;
        // Write: next sequence number. Read: highest sequence number received.
        logic [63:0] sequence_;
        // Epoch.
        logic [63:0] epoch;
        // Association it belongs to.
        logic [31:0] association;
        // SA number.
        logic [31:0] sa;
    } sa_state_t;

    // A named exclusion: traffic of a VNet that is sent clear although policy would encrypt it.
    localparam int unsigned EXCLUSION_LEN = 32;
    typedef struct packed {
        // IP protocol, 0 for any.
        logic [7:0] protocol;
        // Prefix length, in bits.
        logic [7:0] prefix_len;
        // Destination port, 0 for any.
        logic [15:0] dst_port;
        // Destination prefix; bits past its length are zero.
        logic [159:0] prefix;
        // Source VNI, 24 bits.
        logic [31:0] vni;
        // Number chosen by the host.
        logic [31:0] id;
    } exclusion_t;

    // Device-wide configuration, set once before traffic.
    localparam int unsigned DEVICE_CONFIG_LEN = 96;
    typedef struct packed {
        // Zero.
        logic [10:0][7:0] reserved;
        // Length of connection ids that peers send to this device, in octets (0 to 20, default 8).
        logic [7:0] cid_len;
        // Greatest number a second of packet-too-big answers, of DHCP frames, of handshake records and of control records handed to the host, each; 0 for no limit.
        logic [31:0] control_rate;
        // Interval of continuing flow-log records, in milliseconds.
        logic [31:0] flow_log_ms;
        // Idle time after which a flow entry is aged, in milliseconds.
        logic [31:0] flow_idle_ms;
        // UDP port of records (default 4433).
        logic [15:0] dtls_port;
        // Underlay MTU: greatest IP packet, in octets.
        logic [15:0] underlay_mtu;
        // Secret of the flow-table hash.
        logic [15:0][7:0] hash_key;
        // MAC of the underlay's next hop.
        logic [5:0][7:0] next_hop_mac;
        // Own MAC on the underlay.
        logic [5:0][7:0] mac;
        // Own provider address, IPv6; family 0 when the underlay has none.
        logic [159:0] pa_v6;
        // Own provider address, IPv4; family 0 when the underlay has none.
        logic [159:0] pa_v4;
    } device_config_t;

endpackage
