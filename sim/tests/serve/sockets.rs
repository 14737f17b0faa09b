//! Whose socket it is.

use crate::client::Raw;
use crate::device::{Served, folder, nic};
use sealnic_driver::control::place::PlaceError;
use sealnic_sim::serve::{ServeError, Server};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;

#[test]
fn a_dead_servers_socket_is_taken_over_and_a_living_ones_is_not() {
    let folder = folder();
    let path = folder.path().join("nic.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let served = Served::start_at(&path);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let refused = Server::bind(vec![nic(&path)], None, None).err().unwrap();
    assert!(
        matches!(refused, ServeError::Socket(PlaceError::Taken { pid, .. }) if pid == Some(std::process::id())),
        "{refused}"
    );
    // The first one didn't notice.
    Raw::set_up(&served.socket).read(0, 4);
}

#[test]
fn a_socket_of_another_program_that_listens_is_not_taken() {
    let folder = folder();
    let path = folder.path().join("nic.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let refused = Server::bind(vec![nic(&path)], None, None).err().unwrap();
    assert!(
        matches!(refused, ServeError::Socket(PlaceError::Taken { pid: None, .. })),
        "{refused}"
    );
    assert!(path.exists());
    drop(listener);
}

#[test]
fn a_file_in_the_way_is_left_alone() {
    let folder = folder();
    let path = folder.path().join("nic.sock");
    std::fs::write(&path, "precious").unwrap();
    let refused = Server::bind(vec![nic(&path)], None, None).err().unwrap();
    assert!(
        matches!(refused, ServeError::Socket(PlaceError::NotSocket(_))),
        "{refused}"
    );
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
}

#[test]
fn a_stopped_server_leaves_nothing_behind_and_its_client_sees_the_end() {
    let mut served = Served::start();
    let mut raw = Raw::set_up(&served.socket);
    served.stop();
    assert_eq!(raw.answer(0), None);
    let left: Vec<_> = std::fs::read_dir(served.socket.parent().unwrap()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn the_number_of_sockets_must_make_sense() {
    let folder = folder();
    let nics = (0..3).map(|n| nic(&folder.path().join(format!("{n}.sock")))).collect();
    let refused = Server::bind(nics, None, None).err();
    assert!(matches!(refused, Some(ServeError::TooMany(3))));
}
