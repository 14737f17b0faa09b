//! A function to be served: memory behind BAR0, and a doorbell that copies 64 octets by DMA and interrupts. And a server for it.

use sealnic_hw_model::{FunctionalModel, HostPort as _, HwModel, ModelConfig};
use sealnic_sim::serve::function::{ClientPort, NetworkFunction, ServedFunction};
use sealnic_sim::serve::{ServedNic, Server};
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use tempfile::TempDir;

pub(crate) const BAR_LEN: usize = 4096;
/// Writing a vector number here copies [`COPY_LEN`] octets from the address at [`SOURCE`] to that at [`TARGET`].
pub(crate) const DOORBELL: u64 = 0x20;
pub(crate) const SOURCE: u64 = 0x10;
pub(crate) const TARGET: u64 = 0x18;
/// 0 when the last copy went well, else 1.
pub(crate) const FAULT: u64 = 0x28;
pub(crate) const COPY_LEN: usize = 64;
pub(crate) const VECTORS: u16 = 4;
/// Counts resets.
pub(crate) const RESETS: u64 = 0x30;
/// Counts clients that went.
pub(crate) const DETACHED: u64 = 0x34;

pub(crate) struct Copier {
    port: ClientPort,
    bar: Vec<u8>,
    config: Vec<u8>,
    model: FunctionalModel,
}

impl Copier {
    fn word(&self, at: u64) -> u64 {
        u64::from_le_bytes(*self.bar[at as usize..].first_chunk().unwrap())
    }

    fn count(&mut self, at: u64) {
        let count = u32::from_le_bytes(*self.bar[at as usize..].first_chunk().unwrap()) + 1;
        self.bar[at as usize..][..4].copy_from_slice(&count.to_le_bytes());
    }
}

impl ServedFunction for Copier {
    fn bar_lens(&self) -> [u64; 6] {
        [BAR_LEN as u64, 0, 0, 0, 0, 0]
    }

    fn vectors(&self) -> u16 {
        VECTORS
    }

    fn config_read(&mut self, offset: u16, octets: &mut [u8]) {
        octets.copy_from_slice(&self.config[usize::from(offset)..][..octets.len()]);
    }

    fn config_write(&mut self, offset: u16, octets: &[u8]) {
        self.config[usize::from(offset)..][..octets.len()].copy_from_slice(octets);
    }

    fn bar_read(&mut self, bar: u8, offset: u64, octets: &mut [u8]) {
        assert_eq!(bar, 0);
        octets.copy_from_slice(&self.bar[offset as usize..][..octets.len()]);
    }

    fn bar_write(&mut self, bar: u8, offset: u64, octets: &[u8]) {
        assert_eq!(bar, 0);
        self.bar[offset as usize..][..octets.len()].copy_from_slice(octets);
        if offset == DOORBELL && !octets.is_empty() {
            let mut copied = [0; COPY_LEN];
            let (source, target) = (self.word(SOURCE), self.word(TARGET));
            let read = self.port.read(source, &mut copied);
            let done = read.and_then(|()| self.port.write(target, &copied));
            self.bar[FAULT as usize] = u8::from(done.is_err());
            self.port.interrupt(u16::from(octets[0]));
        }
    }

    fn reset(&mut self) {
        let kept = self.bar[RESETS as usize..][..8].to_vec();
        self.bar.fill(0);
        self.bar[RESETS as usize..][..8].copy_from_slice(&kept);
        self.count(RESETS);
    }

    fn set_vector(&mut self, vector: u16, _in_use: bool) {
        assert!(vector < VECTORS);
    }

    fn detach(&mut self) {
        self.count(DETACHED);
    }
}

impl NetworkFunction for Copier {
    fn model(&mut self) -> &mut dyn HwModel {
        &mut self.model
    }
}

/// A served copier, stopped at the end.
pub(crate) struct Served {
    pub(crate) socket: PathBuf,
    stop: Option<UnixStream>,
    server: Option<JoinHandle<()>>,
    /// Of a socket that is nowhere else.
    folder: Option<TempDir>,
}

/// A folder for sockets that is gone when the test is over. Not below the target folder: a socket's path must be short.
pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

pub(crate) fn nic(socket: &Path) -> ServedNic<Copier> {
    let port = ClientPort::default();
    let mut config = vec![0; 4096];
    config[..4].copy_from_slice(&[0xe5, 0x1d, 0x01, 0x00]);
    let function = Copier {
        port: port.clone(),
        bar: vec![0; BAR_LEN],
        config,
        model: FunctionalModel::new(&ModelConfig::default()).unwrap(),
    };
    ServedNic {
        socket: socket.to_owned(),
        function,
        port,
    }
}

impl Served {
    pub(crate) fn start() -> Self {
        let folder = folder();
        let mut served = Self::start_at(&folder.path().join("nic.sock"));
        served.folder = Some(folder);
        served
    }

    pub(crate) fn start_at(socket: &Path) -> Self {
        let server = Server::bind(vec![nic(socket)], None, None).unwrap();
        let (stop, stopped) = UnixStream::pair().unwrap();
        let server = std::thread::spawn(move || server.run(stopped.as_fd()).unwrap());
        Self {
            socket: socket.to_owned(),
            stop: Some(stop),
            server: Some(server),
            folder: None,
        }
    }

    /// Stops the server; a failure of its own is the test's.
    pub(crate) fn stop(&mut self) {
        if let Some(mut stop) = self.stop.take() {
            stop.write_all(&[0]).unwrap();
        }
        if let Some(server) = self.server.take() {
            server.join().unwrap();
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.stop();
        }
    }
}
