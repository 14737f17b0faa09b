//! The mailbox against hosts that repeat, damage, truncate and rave.

use sealnic_abi::event::EventKind;
use sealnic_abi::mailbox::{
    EventDrain, EventPage, Identify, MessageHeader, Opcode, Request, Status, VnetRemove, WINDOW_LEN, read_message,
    write_message,
};
use sealnic_abi::object::{Association, Exclusion, Mapping, PortAddress, Vnet};
use sealnic_abi::registers::{Register, Window};
use sealnic_driver::clock::ManualClock;
use sealnic_driver::device::FlushScope;
use sealnic_driver::reconcile::read_back;
use sealnic_driver::transport::model::ModelTransport;
use sealnic_driver::{Device, Error, MailboxConfig, Transport, TransportError};
use sealnic_hw_model::{Edge, HwModel, ModelConfig, Packet};
use sealnic_tests::backend::settle;
use sealnic_tests::{Random, Setup, TestBed, for_each_backend};
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};
use zerocopy::{FromBytes, IntoBytes};

/// Writes octets into the request window, rings, and returns the answer: header and payload.
fn give(model: &mut dyn HwModel, message: &[u8], bell: u32) -> Option<(MessageHeader, Vec<u8>)> {
    for (n, word) in message.chunks(4).enumerate() {
        let mut octets = [0; 4];
        octets[..word.len()].copy_from_slice(word);
        model.write32(
            Window::MailboxRequest.offset() + 4 * n as u32,
            u32::from_le_bytes(octets),
        );
    }
    model.write32(Register::MailboxDoorbell.offset(), bell);
    let len = model.read32(Register::MailboxResponseLen.offset()) as usize;
    let mut response = Vec::new();
    for offset in (0..WINDOW_LEN as u32).step_by(4) {
        response.extend(model.read32(Window::MailboxResponse.offset() + offset).to_le_bytes());
    }
    read_message(response.get(..len)?)
        .ok()
        .map(|(header, payload)| (header, payload.to_vec()))
}

fn message(opcode: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let header = MessageHeader {
        opcode,
        sequence,
        ..MessageHeader::ZERO
    };
    let mut window = vec![0; WINDOW_LEN];
    let len = write_message(&mut window, header, payload).unwrap();
    window.truncate(len);
    window
}

fn call<R: Request>(model: &mut dyn HwModel, sequence: u32, request: &R) -> (u16, Vec<u8>) {
    let message = message(R::OPCODE.into(), sequence, request.as_bytes());
    let (header, payload) = give(model, &message, message.len() as u32).unwrap();
    assert_eq!((header.sequence, header.opcode), (sequence, R::OPCODE.into()));
    (header.status, payload)
}

#[test]
fn every_command_given_twice_leaves_what_it_leaves_when_given_once() {
    for_each_backend(|backend| {
        let exclusion = Exclusion {
            id: 4,
            vni: 10,
            prefix: IpAddr::V4(Ipv4Addr::new(10, 10, 9, 0)).into(),
            prefix_len: 24,
            ..Exclusion::ZERO
        };
        let mut bed = TestBed::new(backend, Setup::two_hosts().with(|s| s.exclusions = vec![exclusion]));
        let desired = bed.setup.desired(0);
        let device = bed.device(0);
        let before = read_back(device).unwrap();
        device.configure(&desired.config).unwrap();
        device.set_vnet(&desired.vnets[0]).unwrap();
        device.set_port(&desired.ports[0]).unwrap();
        device.add_port_address(&desired.port_addresses[0]).unwrap();
        let mappings: Vec<Mapping> = desired.mappings.iter().map(|m| Mapping { revision: 1, ..*m }).collect();
        device.set_mappings(&mappings).unwrap();
        device.set_association(&desired.associations[0]).unwrap();
        device.set_exclusion(&exclusion).unwrap();
        device.activate_sa(0).unwrap();
        assert_eq!(read_back(device).unwrap(), before);

        type Command = fn(&mut Device<ModelTransport>) -> Result<(), Error>;
        let removals: [(&str, Command); 6] = [
            ("exclusion", |d| d.remove_exclusion(4)),
            ("SA", |d| d.remove_sa(0)),
            ("association", |d| d.remove_association(0)),
            ("address", |d| {
                let prefix = IpAddr::V4(Ipv4Addr::new(10, 10, 0, 4)).into();
                d.remove_port_address(&PortAddress {
                    prefix,
                    prefix_len: 32,
                    ..PortAddress::ZERO
                })
            }),
            ("mapping", |d| {
                let prefix = IpAddr::V4(Ipv4Addr::new(10, 10, 0, 5)).into();
                d.remove_mapping(&Mapping {
                    src_vni: 10,
                    prefix,
                    prefix_len: 32,
                    ..Mapping::ZERO
                })
            }),
            ("port", |d| d.remove_port(0)),
        ];
        for (what, remove) in removals {
            remove(device).unwrap();
            let once = read_back(device).unwrap();
            assert_eq!(remove(device).unwrap_err().status(), Some(Status::NotFound), "{what}");
            assert_eq!(read_back(device).unwrap(), once, "{what}");
        }
    });
}

#[test]
fn a_repeated_message_is_answered_again_and_not_carried_out_again() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, Setup::two_hosts());
        for flow in 0..50 {
            let frame = bed.frame(0, 1, false).udp(flow, 1, b"").build();
            assert_eq!(bed.send(0, &frame).delivered.len(), 1);
        }
        let model = bed.model(0);
        let mut taken = HashSet::new();
        for sequence in 1..=6_u32 {
            let first = call(model, 0x1000 + sequence, &EventDrain { max: 10 });
            for _ in 0..3 {
                assert!(call(model, 0x1000 + sequence, &EventDrain { max: 10 }) == first);
            }
            // A damaged message in between changes nothing: the number was handled, and stays so.
            let mut damaged = message(
                Opcode::EventDrain.into(),
                0x1000 + sequence,
                EventDrain { max: 10 }.as_bytes(),
            );
            *damaged.last_mut().unwrap() ^= 1;
            let len = damaged.len() as u32;
            let (header, _) = give(model, &damaged, len).unwrap();
            assert_eq!(header.status, u16::from(Status::BadChecksum));
            assert!(call(model, 0x1000 + sequence, &EventDrain { max: 10 }) == first);
            // The same number over another command is a mistake of the host's, and carried out neither.
            let (status, _) = call(model, 0x1000 + sequence, &VnetRemove { id: 99 });
            assert_eq!(status, u16::from(Status::Conflict));
            assert!(call(model, 0x1000 + sequence, &EventDrain { max: 10 }) == first);
            let page = EventPage::read_from_bytes(&first.1).unwrap();
            for event in &page.items[..page.count as usize] {
                if event.kind == u8::from(EventKind::FlowBegin) {
                    assert!(taken.insert(event.key.src_port), "an event came twice");
                }
            }
        }
        assert_eq!(taken.len(), 50);
    });
}

#[test]
fn unknown_commands_are_refused_by_name() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, Setup::two_hosts());
        let known: HashSet<u16> = Opcode::ALL.iter().map(|opcode| u16::from(*opcode)).collect();
        let model = bed.model(0);
        for opcode in 0..=u16::MAX {
            if !known.contains(&opcode) && (opcode < 300 || opcode % 97 == 0) {
                let message = message(opcode, u32::from(opcode) + 1, &[]);
                let (header, payload) = give(model, &message, message.len() as u32).unwrap();
                assert_eq!((header.status, header.opcode), (Status::BadOpcode.into(), opcode));
                assert!(payload.is_empty());
            }
        }
    });
}

#[test]
fn a_message_of_the_wrong_length_is_refused_and_changes_nothing() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, Setup::two_hosts());
        let before = read_back(bed.device(0)).unwrap();
        let mut sequence = 0x7000_0000;
        for opcode in Opcode::ALL {
            // These take no payload.
            let is_empty = [1, 114, 115, 118, 119].contains(&u16::from(*opcode));
            for len in [0, 1, 2, 3, 4, 5, 7, 9, 40, 63, 65, 100, 129, 200, 2_000, 4_080] {
                // Zeros are no good object either way, but for pages from the start.
                let payload = vec![0xee; len];
                if is_empty && len == 0 || len == 4 {
                    continue;
                }
                sequence += 1;
                let mut octets = message((*opcode).into(), sequence, &payload);
                octets.resize(octets.len().next_multiple_of(4), 0);
                let bell = octets.len() as u32;
                let (header, _) = give(bed.model(0), &octets, bell).unwrap();
                assert_eq!(
                    header.status,
                    u16::from(Status::BadLength),
                    "{opcode:?} with {len} octets"
                );
            }
        }
        // Cut anywhere, at the doorbell.
        let whole = message(
            Opcode::VnetSet.into(),
            0x6000_0000,
            Vnet { vni: 77, ..Vnet::ZERO }.as_bytes(),
        );
        for bell in (0..whole.len() as u32).chain([4_097, 4_100, 8_192, 1 << 16, u32::MAX]) {
            let _ = give(bed.model(0), &whole, bell);
        }
        assert_eq!(read_back(bed.device(0)).unwrap(), before);
        assert_eq!(
            give(bed.model(0), &whole, whole.len() as u32).unwrap().0.status,
            u16::from(Status::Ok)
        );
    });
}

#[test]
fn ten_thousand_messages_of_garbage_leave_a_device_that_answers_and_balances() {
    for_each_backend(|backend| {
        for seed in 0..2 {
            let mut bed = TestBed::new(backend, Setup::two_hosts());
            let mut random = Random::new(0xbad + seed);
            let opcodes: Vec<u16> = Opcode::ALL.iter().map(|opcode| u16::from(*opcode)).collect();
            let sizes = [0, 4, 8, 20, 24, 32, 64, 96, 128, 176, 2_056, 3_848];
            let frame = bed.frame(0, 1, false).build();
            for n in 0..10_000_u32 {
                let opcode = random.pick(&opcodes);
                // A reset now and then; else nothing would ever be in the tables.
                if opcode == 119 && n % 50 != 0 {
                    continue;
                }
                let len = random.pick(&sizes);
                let mut payload = random.octets(len);
                for octet in &mut payload {
                    // Small numbers get further than large ones.
                    if random.below(3) != 0 {
                        *octet &= random.pick(&[0, 1, 3]);
                    }
                }
                let mut octets = message(opcode, n + 1, &payload);
                match random.below(8) {
                    0 => {
                        let at = random.below(octets.len());
                        octets[at] ^= 1 << random.below(8);
                    }
                    1 => octets.truncate(random.below(octets.len()) + 1),
                    2 => {
                        let len = random.below(64) + 1;
                        octets = random.octets(len);
                    }
                    _ => {}
                }
                let bell = if random.below(10) == 0 {
                    random.value() as u32 >> random.below(32)
                } else {
                    octets.len() as u32
                };
                let _ = give(bed.model(0), &octets, bell);
                if n % 100 == 0 {
                    bed.push(0, Edge::Vf(0), &frame, Default::default());
                    bed.settle();
                }
            }
            bed.take();
            bed.device(0).identify().unwrap();
            bed.device(0).reset().unwrap();
            bed.program(0);
            bed.device(0).set_enabled(true).unwrap();
            let pair = bed.pairs[0];
            bed.install(&pair, 1, 4);
            bed.activate(&pair, 1);
            assert_eq!(bed.send(0, &frame).only_delivery().frame, frame);
        }
    });
}

#[test]
fn a_sequence_number_of_zero_is_refused() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, Setup::two_hosts());
        let (status, _) = call(bed.model(0), 0, &Identify);
        assert_eq!(status, u16::from(Status::BadParameter));
    });
}

#[test]
fn every_list_gives_every_object_once_over_many_pages() {
    for_each_backend(|backend| {
        let mut setup = Setup::new(2).with(|s| {
            (s.sizes.vnets, s.sizes.port_addresses, s.sizes.mappings) = (1_300, 800, 1_000);
            (s.sizes.associations, s.sizes.sas, s.sizes.exclusions, s.sizes.ports) = (200, 200, 256, 256);
            s.keys = false;
        });
        setup = setup.vnet(10, true, true).vm(0, 10).vm(1, 10);
        let mut bed = TestBed::new(backend, setup);
        let mut wanted = bed.setup.desired(0);
        wanted.revision = 2;
        let ip = |n: u32| IpAddr::V4(Ipv4Addr::from(0x0a0a_1000 + n)).into();
        wanted.vnets.extend((1_000..2_200).map(|vni| Vnet {
            vni,
            encryption: 1,
            ..Vnet::ZERO
        }));
        let port = wanted.ports[0];
        wanted
            .ports
            .extend((1..256).map(|number| sealnic_abi::object::Port { port: number, ..port }));
        wanted.port_addresses.extend((0..600).map(|n| PortAddress {
            prefix: ip(n),
            prefix_len: 32,
            port: (n % 256) as u16,
            ..PortAddress::ZERO
        }));
        let mapping = wanted.mappings[0];
        wanted.mappings.extend((0..700).map(|n| Mapping {
            prefix: ip(n),
            prefix_len: 32,
            ..mapping
        }));
        let association = wanted.associations[0];
        wanted.associations.extend((1..150_u32).map(|id| {
            let mut local_cid = [0; 20];
            local_cid[..4].copy_from_slice(&id.to_be_bytes());
            Association {
                id,
                local_cid,
                ..association
            }
        }));
        wanted.exclusions.extend((0..250).map(|id| Exclusion {
            id,
            vni: 10,
            prefix: ip(id),
            prefix_len: 32,
            ..Exclusion::ZERO
        }));
        let device = bed.device(0);
        sealnic_driver::reconcile(device, &wanted).unwrap();
        let report = sealnic_driver::reconcile(device, &wanted).unwrap();
        assert!(report.is_empty(), "what is listed is what was set, each once");
        let got = read_back(device).unwrap();
        assert_eq!(got.vnets.len(), 1_201);
        assert_eq!(got.ports.len(), 256);
        assert_eq!(got.port_addresses.len(), 602);
        assert_eq!(got.mappings.len(), wanted.mappings.len());
        assert_eq!(got.associations.len(), 150);
        assert_eq!(got.exclusions.len(), 250);
        let vnis: HashSet<u32> = got.vnets.iter().map(|vnet| vnet.vni).collect();
        assert_eq!(vnis.len(), 1_201);
        let prefixes: HashSet<_> = got
            .mappings
            .iter()
            .map(|m| (m.src_vni, m.prefix.octets, m.prefix_len))
            .collect();
        assert_eq!(prefixes.len(), wanted.mappings.len());

        let pair = bed.pairs[0];
        for sa in 0..120_u32 {
            let keys = bed.sa_keys(&pair, 0, u64::from(sa) + 100);
            let params = sealnic_driver::device::SaParams::new(sa, sa, sealnic_abi::object::Direction::Write, 3);
            bed.device(0).install_sa(&params, keys).unwrap();
        }
        let sas: Vec<u32> = bed.device(0).sas().map(|sa| sa.unwrap().sa).collect();
        assert_eq!(sas, (0..120).collect::<Vec<_>>());
    });
}

#[test]
fn a_list_from_a_cursor_beyond_the_end_is_empty() {
    for_each_backend(|backend| {
        let mut bed = TestBed::new(backend, Setup::two_hosts());
        let mut sequence = 0x100;
        for opcode in [18_u16, 34, 37, 50, 67, 85, 98, 112] {
            for cursor in [5_000_000_u32, u32::MAX] {
                sequence += 1;
                let message = message(opcode, sequence, &cursor.to_le_bytes());
                let (header, payload) = give(bed.model(0), &message, message.len() as u32).unwrap();
                assert_eq!(header.status, u16::from(Status::Ok));
                assert_eq!(payload[..8], [0; 8], "no items, no next page");
            }
        }
    });
}

/// Loses doorbells, and damages octets on the way in and out.
struct Lossy {
    inner: ModelTransport,
    random: Random,
    is_lossy: bool,
}

impl Lossy {
    fn damage(&mut self, value: u32, one_in: usize) -> u32 {
        if self.is_lossy && self.random.below(one_in) == 0 {
            value ^ (1 << self.random.below(32))
        } else {
            value
        }
    }
}

fn is_in(window: Window, offset: u32) -> bool {
    (window.offset()..window.offset() + window.byte_len()).contains(&offset)
}

impl Transport for Lossy {
    fn read32(&mut self, offset: u32) -> Result<u32, TransportError> {
        let value = self.inner.read32(offset)?;
        Ok(if is_in(Window::MailboxResponse, offset) {
            self.damage(value, 3_000)
        } else {
            value
        })
    }

    fn write32(&mut self, offset: u32, value: u32) -> Result<(), TransportError> {
        if self.is_lossy && offset == Register::MailboxDoorbell.offset() && self.random.below(10) == 0 {
            return Ok(());
        }
        let value = if is_in(Window::MailboxRequest, offset) {
            self.damage(value, 30)
        } else {
            value
        };
        self.inner.write32(offset, value)
    }
}

#[test]
fn over_a_link_that_loses_and_damages_every_command_is_carried_out_once() {
    for_each_backend(|backend| {
        // A second bed lends its programming; the device under test is driven over the bad link.
        let setup = Setup::two_hosts().with(|s| s.sizes.flows = 8_192);
        let model = (backend.make)(&ModelConfig {
            sizes: setup.sizes,
            seed: Some(9),
        });
        let transport = Lossy {
            inner: ModelTransport::new(model),
            random: Random::new(77),
            is_lossy: false,
        };
        let config = MailboxConfig {
            attempts: 100,
            ..MailboxConfig::default()
        };
        let mut device = Device::attach_with(transport, Box::new(ManualClock::default()), config).unwrap();
        sealnic_driver::reconcile(&mut device, &setup.desired(0)).unwrap();
        device.set_enabled(true).unwrap();
        device.drain_events().unwrap();
        device.transport_mut().is_lossy = true;
        let bed = TestBed::new(backend, setup);
        let mut begun = Vec::new();
        for round in 0..300_u16 {
            for n in 0..5_u16 {
                let frame = bed.frame(0, 1, false).udp(round * 5 + n, 1, b"").build();
                let model = device.transport_mut().inner.model_mut();
                model.submit(Edge::Vf(0), Packet::new(&frame, u64::from(round) * 1_000, 0));
            }
            settle(device.transport_mut().inner.model_mut());
            begun.extend(device.drain_events().unwrap().iter().map(|event| event.key.src_port));
            let epoch = device.bump_policy_epoch().unwrap();
            let again = device.bump_policy_epoch().unwrap();
            assert_eq!(again, epoch + 1, "carried out once");
        }
        assert!(begun.iter().copied().eq(0..1_500), "every event once and in order");
        let before = device.flush_flows(FlushScope::All).unwrap();
        assert!(before > 0, "the answer of the one time that it was carried out");
        device.transport_mut().is_lossy = false;
        device.counters().unwrap().check_balance().unwrap();
    });
}
