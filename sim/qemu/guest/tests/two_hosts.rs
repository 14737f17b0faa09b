//! The exchange of the guest, without a guest: the same NICs over vfio-user directly.

use sealnic_cosim_guest::two_hosts;
use sealnic_driver::Device;
use sealnic_driver::transport::vfio_user::VfioUserTransport;
use sealnic_hw_model::{FunctionalModel, ModelConfig};
use sealnic_sim::Scenario;
use sealnic_sim::serve::function::ClientPort;
use sealnic_sim::serve::nic::nic;
use sealnic_sim::serve::{ServedNic, Server};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::path::Path;

#[test]
fn frames_of_two_vms_go_sealed_from_nic_to_nic_and_arrive_octet_for_octet() {
    let scenario = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../examples/two-hosts.toml");
    let scenario = Scenario::load(Path::new(scenario)).unwrap();
    let folder = std::env::temp_dir().join(format!("sealnic-exchange-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let sockets = ["a", "b"].map(|name| folder.join(name));
    let nics = sockets.iter().map(|socket| {
        let port = ClientPort::default();
        let model = FunctionalModel::new(&ModelConfig::default()).unwrap();
        ServedNic {
            socket: socket.clone(),
            function: nic(Box::new(model), &port, 1),
            port,
        }
    });
    let capture = folder.join("wire.pcapng");
    let server = Server::bind(nics.collect(), Some(&scenario), Some(&capture)).unwrap();
    let (stop, stopped) = UnixStream::pair().unwrap();
    let exchanged = std::thread::scope(|scope| {
        let server = scope.spawn(move || server.run(stopped.as_fd()));
        let devices = sockets.each_ref().map(|path| VfioUserTransport::connect(path).unwrap());
        let mut devices = devices.map(|transport| Device::attach(transport).unwrap());
        let [a, b] = &mut devices;
        let exchanged = two_hosts::exchange([a, b]);
        drop(stop);
        server.join().unwrap().unwrap();
        exchanged.unwrap()
    });
    let frames = sealnic_sim::run::capture::read(&capture).unwrap();
    assert!(exchanged.sent > 50);
    assert_eq!(frames.len(), exchanged.sent);
    for frame in frames {
        let is_clear = frame
            .octets
            .windows(exchanged.marker.len())
            .any(|octets| octets == exchanged.marker.as_bytes());
        assert!(!is_clear);
    }
    std::fs::remove_dir_all(folder).unwrap();
}
