//! The vfio-user client against a server written by others, and against servers that misbehave.

use crate::clock::SystemClock;
use crate::dma::{ArenaConfig, HugePages};
use crate::tests::random::Random;
use crate::transport::vfio_user::{VfioUserConfig, VfioUserTransport};
use crate::transport::{Transport, TransportError};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use vfio_bindings::bindings::vfio::vfio_region_info;
use vfio_user::{DmaMapFlags, DmaUnmapFlags, IrqInfo, Server, ServerBackend, ServerRegion};

const QUICK: VfioUserConfig = VfioUserConfig {
    arena: ArenaConfig {
        len: 1 << 20,
        huge_pages: HugePages::Never,
        iova: 16 << 20,
    },
    timeout: Duration::from_millis(300),
};

/// Register whose writing has the device copy a word and interrupt.
const DOORBELL: u64 = 0x80;

/// What the test sees of the device.
#[derive(Default)]
struct Seen {
    resets: u32,
    command: u16,
    maps: Vec<(u64, u64)>,
}

/// A PCI device with memory for registers. A doorbell names an IOVA; the device adds one to the word there and interrupts
/// on vector 1.
struct Toy {
    config: Vec<u8>,
    bar: Vec<u8>,
    memory: Option<(u64, File)>,
    irqs: Vec<Option<File>>,
    seen: Arc<Mutex<Seen>>,
}

impl Toy {
    fn new(seen: Arc<Mutex<Seen>>) -> Self {
        let mut config = vec![0; 4096];
        config[..4].copy_from_slice(&[0xE5, 0x1D, 0xA1, 0x5E]);
        Self {
            config,
            bar: vec![0; 0x4000],
            memory: None,
            irqs: Vec::new(),
            seen,
        }
    }

    fn doorbell(&mut self, iova: u64) -> io::Result<()> {
        let Some((base, file)) = &self.memory else {
            return Err(io::ErrorKind::NotFound.into());
        };
        if self.config[4] & 0b110 != 0b110 {
            return Ok(());
        }
        let mut word = [0; 4];
        let at = iova.checked_sub(*base).ok_or(io::ErrorKind::InvalidInput)?;
        file.read_exact_at(&mut word, at)?;
        file.write_all_at(&(u32::from_le_bytes(word) + 1).to_le_bytes(), at)?;
        match self.irqs.get_mut(1) {
            Some(Some(irq)) => irq.write_all(&1u64.to_ne_bytes()),
            _ => Ok(()),
        }
    }
}

impl ServerBackend for Toy {
    fn region_read(&mut self, region: u32, offset: u64, data: &mut [u8]) -> io::Result<()> {
        let from = if region == 7 { &self.config } else { &self.bar };
        let at = usize::try_from(offset).unwrap();
        data.copy_from_slice(from.get(at..at + data.len()).ok_or(io::ErrorKind::InvalidInput)?);
        Ok(())
    }

    fn region_write(&mut self, region: u32, offset: u64, data: &[u8]) -> io::Result<()> {
        if region == 0 && offset == DOORBELL {
            return self.doorbell(u32::from_le_bytes(data.try_into().unwrap()).into());
        }
        let to = if region == 7 { &mut self.config } else { &mut self.bar };
        let at = usize::try_from(offset).unwrap();
        to.get_mut(at..at + data.len())
            .ok_or(io::ErrorKind::InvalidInput)?
            .copy_from_slice(data);
        self.seen.lock().unwrap().command = u16::from_le_bytes([self.config[4], self.config[5]]);
        Ok(())
    }

    fn dma_map(&mut self, _: DmaMapFlags, offset: u64, address: u64, size: u64, fd: Option<File>) -> io::Result<()> {
        assert_eq!(offset, 0);
        self.memory = Some((address, fd.unwrap()));
        self.seen.lock().unwrap().maps.push((address, size));
        Ok(())
    }

    fn dma_unmap(&mut self, _: DmaUnmapFlags, _: u64, _: u64) -> io::Result<()> {
        self.memory = None;
        Ok(())
    }

    fn reset(&mut self) -> io::Result<()> {
        self.config[4] = 0;
        self.bar.fill(0);
        self.seen.lock().unwrap().resets += 1;
        Ok(())
    }

    fn set_irqs(&mut self, index: u32, _: u32, start: u32, count: u32, fds: Vec<File>) -> io::Result<()> {
        assert_eq!(index, 2);
        if count == 0 {
            self.irqs.clear();
        }
        for (vector, fd) in (usize::try_from(start).unwrap()..).zip(fds) {
            self.irqs.resize_with(self.irqs.len().max(vector + 1), || None);
            self.irqs[vector] = Some(fd);
        }
        Ok(())
    }
}

/// A socket's path, in a folder of its own that goes with it.
struct Socket {
    path: PathBuf,
    _folder: TempDir,
}

impl std::ops::Deref for Socket {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.path
    }
}

fn socket_path() -> Socket {
    let folder = tempfile::tempdir().unwrap();
    Socket {
        path: folder.path().join("nic.sock"),
        _folder: folder,
    }
}

/// A server for some connections, one after another, each to a fresh device.
fn serve(connections: usize) -> (Socket, Arc<Mutex<Seen>>, JoinHandle<()>) {
    let path = socket_path();
    let seen = Arc::new(Mutex::new(Seen::default()));
    let region = |index, size| ServerRegion {
        region_info: vfio_region_info {
            argsz: u32::try_from(size_of::<vfio_region_info>()).unwrap(),
            index,
            size,
            flags: 0b11,
            ..Default::default()
        },
        sparse_areas: Vec::new(),
        mmap_fd: None,
    };
    let regions = (0..9)
        .map(|index| region(index, [0x4000, 0, 0, 0, 0, 0, 0, 4096, 0][index as usize]))
        .collect();
    let irqs = (0..5)
        .map(|index| IrqInfo {
            index,
            flags: 1,
            count: if index == 2 { 5 } else { 0 },
        })
        .collect();
    let server = Server::new(&path, true, irqs, regions).unwrap();
    let thread = std::thread::spawn({
        let seen = seen.clone();
        move || {
            for _ in 0..connections {
                // A client that goes away in the middle of something is no error of the test's.
                let _ = server.run(&mut Toy::new(seen.clone()));
            }
        }
    });
    (path, seen, thread)
}

#[test]
fn registers_memory_and_interrupts_reach_a_served_device() {
    let (path, seen, server) = serve(1);
    let mut transport = VfioUserTransport::connect_with(&path, QUICK).unwrap();
    assert_eq!(seen.lock().unwrap().command, 0b110, "memory and bus mastering are on");
    assert_eq!(seen.lock().unwrap().maps, [(16 << 20, 1 << 20)]);
    let capabilities = transport.capabilities();
    assert!(capabilities.dma && capabilities.reset && capabilities.vectors == 5);

    for n in 0..1000 {
        transport.write32(0x100, n).unwrap();
        transport.write32(0x104, !n).unwrap();
        assert_eq!(transport.read32(0x100).unwrap(), n);
        assert_eq!(transport.read32(0x104).unwrap(), !n);
    }
    for offset in [0x4000, 0x3FFE, 0x102, u32::MAX] {
        assert!(matches!(
            transport.read32(offset),
            Err(TransportError::OutOfRange { .. })
        ));
        assert!(matches!(
            transport.write32(offset, 0),
            Err(TransportError::OutOfRange { .. })
        ));
    }

    let clock = &mut SystemClock::new();
    let buffer = transport.dma_alloc(64).unwrap();
    transport.enable_interrupts(3).unwrap();
    for n in 0..100 {
        assert_eq!(buffer.load32(0).unwrap(), n);
        transport.write32(0x80, u32::try_from(buffer.iova()).unwrap()).unwrap();
        let fired = transport.wait(Duration::from_secs(5), clock).unwrap();
        assert!(fired.contains(1) && !fired.contains(0));
    }
    assert!(transport.enable_interrupts(6).is_err());

    // Without bus mastering the device does nothing; a reset keeps interrupts and mastering as they were.
    transport.set_bus_master(false).unwrap();
    transport.write32(0x80, u32::try_from(buffer.iova()).unwrap()).unwrap();
    transport.reset().unwrap();
    assert_eq!(seen.lock().unwrap().resets, 1);
    assert_eq!(seen.lock().unwrap().command, 0b010);
    assert!(transport.wait(Duration::from_millis(10), clock).unwrap().is_empty());
    transport.set_bus_master(true).unwrap();
    transport.write32(0x80, u32::try_from(buffer.iova()).unwrap()).unwrap();
    assert!(transport.wait(Duration::from_secs(5), clock).unwrap().contains(1));
    assert_eq!(buffer.load32(0).unwrap(), 101);
    transport.enable_interrupts(0).unwrap();
    assert_eq!(transport.read32(0x100).unwrap(), 0, "the reset reached the registers");

    drop(transport);
    assert!(buffer.load32(0).is_err(), "a buffer outlives its transport as an error");
    server.join().unwrap();
}

#[test]
fn a_posted_write_that_failed_is_told_by_the_next_read() {
    let (path, _, server) = serve(1);
    let mut transport = VfioUserTransport::connect_with(&path, QUICK).unwrap();
    transport.write32(0x80, 4).unwrap();
    let error = transport.read32(0x100).unwrap_err();
    assert!(error.to_string().contains("an earlier write"), "{error}");
    assert_eq!(transport.read32(0x100).unwrap(), 0, "told once");
    drop(transport);
    server.join().unwrap();
}

#[test]
fn a_server_that_ends_is_noticed_and_can_be_attached_to_again() {
    let (path, _, server) = serve(2);
    let mut transport = VfioUserTransport::connect_with(&path, QUICK).unwrap();
    transport.write32(0x100, 7).unwrap();
    drop(transport);
    let mut transport = VfioUserTransport::connect_with(&path, QUICK).unwrap();
    assert_eq!(transport.read32(0x100).unwrap(), 0);
    drop(transport);
    server.join().unwrap();
    let error = VfioUserTransport::connect_with(&path, QUICK).err().unwrap();
    assert!(error.to_string().contains("sealnic serve"), "{error}");
}

#[test]
fn a_second_client_is_told_that_there_is_a_first() {
    let (path, _, server) = serve(1);
    let first = VfioUserTransport::connect_with(&path, QUICK).unwrap();
    let start = Instant::now();
    let error = VfioUserTransport::connect_with(&path, QUICK).err().unwrap();
    assert!(matches!(error, TransportError::InUse { .. }), "{error}");
    assert!(start.elapsed() < Duration::from_secs(5));
    drop(first);
    server.join().unwrap();
}

/// A server that answers each message by a function.
fn answer_with(mut answer: impl FnMut(&[u8], &mut UnixStream) -> bool + Send + 'static) -> (Socket, JoinHandle<()>) {
    let path = socket_path();
    let listener = UnixListener::bind(&*path).unwrap();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut header = [0; 16];
        while stream.read_exact(&mut header).is_ok() {
            let len = u32::from_ne_bytes(header[4..8].try_into().unwrap()) as usize;
            let mut message = header.to_vec();
            message.resize(len, 0);
            if stream.read_exact(&mut message[16..]).is_err() || !answer(&message, &mut stream) {
                break;
            }
        }
    });
    (path, thread)
}

fn reply(message: &[u8], flags: u32, payload: &[u8]) -> Vec<u8> {
    let mut reply = message[..4].to_vec();
    reply.extend(u32::try_from(16 + payload.len()).unwrap().to_ne_bytes());
    reply.extend(flags.to_ne_bytes());
    reply.extend([0; 4]);
    reply.extend(payload);
    reply
}

/// What a good server says, so that a client gets somewhere.
fn good_reply(message: &[u8]) -> Vec<u8> {
    let words = |words: &[u32]| words.iter().flat_map(|w| w.to_ne_bytes()).collect::<Vec<u8>>();
    match message[2] {
        1 => reply(message, 1, b"\0\0\0\0{}\0"),
        4 => reply(message, 1, &words(&[16, 0b11, 9, 5])),
        5 => reply(message, 1, &words(&[32, 3, 0, 0, 0x4000, 0, 0, 0])),
        7 => reply(message, 1, &words(&[16, 1, 2, 5])),
        9 => {
            let is_config = message[24] == 7;
            let count = message[28] as usize;
            let value = if is_config { 0x5EA1_1DE5u32 } else { 0x4C41_4553 };
            let mut payload = message[16..32].to_vec();
            payload.extend(&value.to_ne_bytes()[..count]);
            reply(message, 1, &payload)
        }
        _ => reply(message, 1, &message[16..]),
    }
}

#[test]
fn a_server_that_answers_garbage_is_an_error_in_time() {
    for seed in 0..150u64 {
        let mut random = Random(seed);
        let good = random.below(12);
        let mut n = 0;
        let (path, server) = answer_with(move |message, stream| {
            n += 1;
            let is_posted = message[8] & 0x10 != 0;
            let mut answer = good_reply(message);
            if n <= good {
                return is_posted || stream.write_all(&answer).is_ok();
            }
            match random.below(8) {
                0 => return false,
                1 => answer.truncate(random.below(answer.len())),
                2 => answer[4..8].copy_from_slice(&u32::MAX.to_ne_bytes()),
                3 => answer[4..8].copy_from_slice(&u32::try_from(random.below(20)).unwrap().to_ne_bytes()),
                4 => answer.iter_mut().for_each(|octet| *octet = random.next() as u8),
                5 => answer[8] ^= 1 << random.below(6),
                6 => answer[0] ^= 1,
                _ => {
                    let at = random.below(answer.len());
                    answer[at] ^= 1 << random.below(8);
                }
            }
            stream.write_all(&answer).is_ok()
        });
        let quick = VfioUserConfig {
            timeout: Duration::from_millis(30),
            ..QUICK
        };
        let start = Instant::now();
        if let Ok(mut transport) = VfioUserTransport::connect_with(&path, quick) {
            for n in 0..8 {
                let _ = transport.write32(0x100, n);
                let _ = transport.read32(0x100);
                let _ = transport.enable_interrupts(2);
                let _ = transport.wait(Duration::from_millis(1), &mut SystemClock::new());
                let _ = transport.reset();
            }
        }
        assert!(start.elapsed() < Duration::from_secs(2), "seed {seed}");
        server.join().unwrap();
    }
}

#[test]
fn a_server_that_falls_silent_is_given_up_for_good() {
    let (path, server) = answer_with(move |message, stream| {
        // Everything up to the first register read; from then on nothing.
        let is_bar_read = message[2] == 9 && message[24] == 0;
        is_bar_read || message[8] & 0x10 != 0 || stream.write_all(&good_reply(message)).is_ok()
    });
    let mut transport = VfioUserTransport::connect_with(&path, QUICK).unwrap();
    let start = Instant::now();
    let error = transport.read32(0).unwrap_err();
    assert!(matches!(error, TransportError::Disconnected { .. }), "{error}");
    assert!(error.to_string().contains("no answer in time"), "{error}");
    assert!(start.elapsed() >= QUICK.timeout && start.elapsed() < Duration::from_secs(3));
    // A late answer must not be taken for the next one: the connection is over.
    let start = Instant::now();
    assert!(matches!(transport.read32(0), Err(TransportError::Disconnected { .. })));
    assert!(matches!(
        transport.write32(0, 1),
        Err(TransportError::Disconnected { .. })
    ));
    assert!(start.elapsed() < QUICK.timeout);
    drop(transport);
    server.join().unwrap();
}

#[test]
fn what_is_no_sealnic_is_refused() {
    let (path, server) = answer_with(|message, stream| {
        let mut answer = good_reply(message);
        if message[2] == 9 {
            answer[32] = 0x86;
            answer[33] = 0x80;
        }
        stream.write_all(&answer).is_ok()
    });
    let error = VfioUserTransport::connect_with(&path, QUICK).err().unwrap();
    assert!(error.to_string().contains("8086:5ea1"), "{error}");
    server.join().unwrap();
}

#[test]
fn a_server_whose_queue_is_full_ends_the_attempt_in_time() {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with};
    let path = socket_path();
    let listener = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
    bind(&listener, &SocketAddrUnix::new(&*path).unwrap()).unwrap();
    listen(&listener, 0).unwrap();
    let _first = UnixStream::connect(&*path).unwrap();
    let start = Instant::now();
    let error = VfioUserTransport::connect_with(&path, QUICK).err().unwrap();
    assert!(error.to_string().contains("busy with other clients"), "{error}");
    assert!((QUICK.timeout..Duration::from_secs(10)).contains(&start.elapsed()));
}
