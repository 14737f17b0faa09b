//! Whose socket it is.

use crate::client::Raw;
use crate::device::{Served, nic, socket_path};
use sealnic_sim::serve::{ServeError, Server, SocketError};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;

#[test]
fn a_dead_servers_socket_is_taken_over_and_a_living_ones_is_not() {
    let path = socket_path();
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let served = Served::start_at(&path);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let refused = Server::bind(vec![nic(&path)], None, None).err().unwrap();
    assert!(
        matches!(refused, ServeError::Socket(SocketError::Taken(ref at)) if *at == path),
        "{refused}"
    );
    // The first one didn't notice.
    Raw::set_up(&served.socket).read(0, 4);
}

#[test]
fn a_socket_of_another_program_that_listens_is_not_taken() {
    let path = socket_path();
    let listener = UnixListener::bind(&path).unwrap();
    let refused = Server::bind(vec![nic(&path)], None, None).err().unwrap();
    assert!(
        matches!(refused, ServeError::Socket(SocketError::Taken(_))),
        "{refused}"
    );
    assert!(path.exists());
    drop(listener);
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_file_in_the_way_is_left_alone() {
    let path = socket_path();
    std::fs::write(&path, "precious").unwrap();
    let refused = Server::bind(vec![nic(&path)], None, None).err().unwrap();
    assert!(
        matches!(refused, ServeError::Socket(SocketError::InTheWay(_))),
        "{refused}"
    );
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_stopped_server_leaves_nothing_behind_and_its_client_sees_the_end() {
    let mut served = Served::start();
    let mut raw = Raw::set_up(&served.socket);
    served.stop();
    assert_eq!(raw.answer(0), None);
    assert!(!served.socket.exists());
    let mut lock = served.socket.clone().into_os_string();
    lock.push(".lock");
    assert!(!std::path::Path::new(&lock).exists());
}

#[test]
fn the_number_of_sockets_must_make_sense() {
    let nics = || (0..3).map(|_| nic(&socket_path())).collect();
    assert!(matches!(
        Server::bind(nics(), None, None).err(),
        Some(ServeError::TooMany(3))
    ));
}
