//! Good beginnings, to start from.

/// The beginning of each kind of packet, so that damage gets past the first check.
pub(crate) const SEEDS: &[&[u8]] = &[
    // Ethernet: two VLAN tags, IPv4.
    &[
        2, 0, 0, 0, 0, 11, 2, 0, 0, 0, 0, 10, 0x88, 0xa8, 0, 7, 0x81, 0, 0xa0, 42, 8, 0, 0x45,
    ],
    // ARP request.
    &[
        0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 10, 10, 1, 0, 10, 0, 0, 0, 0, 0, 0, 10, 1, 0, 11,
    ],
    // IPv4 with options, and a fragment.
    &[
        0x46, 0, 0, 37, 0xf3, 0x1a, 0, 0, 0x40, 0x11, 0, 0, 10, 1, 0, 10, 10, 1, 0, 11, 0x94, 4, 0, 0,
    ],
    &[
        0x45, 0, 0, 40, 0xf2, 0xec, 0x20, 0xb9, 0x40, 0x11, 0, 0, 10, 1, 0, 10, 10, 1, 0, 11,
    ],
    // IPv6 with hop-by-hop options, destination options and a fragment header.
    &[
        0x60, 0, 0, 0, 0, 40, 0, 64, 0xfd, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10, 0xfd, 0, 0, 1, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 11, 60, 0, 5, 2, 0, 0, 1, 0, 44, 0, 1, 4, 0, 0, 0, 0, 17, 0, 0, 1, 0x3a, 0xf4, 0xdc, 0x15,
    ],
    // Extension headers alone: routing, then authentication, then TCP.
    &[51, 0, 0, 0, 0, 0, 0, 0, 6, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1],
    // TCP with options.
    &[
        0x17, 0x70, 0, 80, 0x6b, 0xba, 0xc8, 0xab, 0, 0, 0, 0, 0xa0, 2, 0xfa, 0xf0, 0xfb, 0x9f, 0, 0, 2, 4, 5, 0xb4,
    ],
    // UDP.
    &[0x13, 0x88, 0x13, 0x89, 0, 13, 0x80, 0xda],
    // ICMP: echo, fragmentation needed; ICMPv6: echo, packet too big.
    &[8, 0, 0, 0, 0x12, 0x34, 0, 1],
    &[3, 4, 0, 0, 0, 0, 5, 0x78, 0x45],
    &[128, 0, 0, 0, 0x12, 0x34, 0, 1],
    &[2, 0, 0, 0, 0, 0, 5, 0x78, 0x60],
    // Neighbour discovery: router solicitation, router advertisement, neighbour solicitation and advertisement.
    &[133, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 0, 0, 0, 0, 10],
    &[
        134, 0, 0, 0, 64, 0xc0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0, 5, 1, 0, 0, 0, 0, 5, 0xdc, 3, 4, 64, 0x80, 0, 1, 0x51,
        0x80, 0, 0, 0x38, 0x40, 0, 0, 0, 0, 0xfd, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ],
    &[
        135, 0, 0, 0, 0, 0, 0, 0, 0xfd, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11, 1, 1, 2, 0, 0, 0, 0, 10, 14, 1,
        7, 7, 7, 7, 7, 7,
    ],
    &[
        136, 0, 0, 0, 0xe0, 0, 0, 0, 0xfd, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11, 2, 1, 2, 0, 0, 0, 0, 10,
    ],
    // Neighbour discovery options alone.
    &[1, 1, 2, 0, 0, 0, 0, 1, 5, 1, 0, 0, 0, 0, 5, 0xdc],
    // VXLAN.
    &[8, 0, 0, 0, 1, 0x23, 0x45, 0, 0xff],
    // DTLS: 1.2, 1.2 with connection ids of 1, 8 and 20 octets, 1.3 in all its forms.
    &[23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 7, 0, 9],
    &[25, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 7, 1, 0, 9],
    &[25, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 7, 1, 2, 3, 4, 5, 6, 7, 8, 0, 9],
    &[
        25, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 7, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 0, 0, 9,
    ],
    &[0x2f, 1, 2, 0, 9],
    &[0x3f, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 0, 9],
    &[0x33, 1, 2],
    &[0x24, 1, 0, 9],
];
