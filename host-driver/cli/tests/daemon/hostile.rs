//! Clients that make no sense, are slow, or go in the middle.

use crate::harness::{Connection, Folder};
use serde_json::json;
use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

const INFO: &str = r#"{"v":1,"id":5,"op":"device-info"}"#;

/// Numbers that look random and are the same each time (xorshift64*).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap() % end
    }
}

#[test]
fn senseless_lines_are_answered_and_the_connection_goes_on() {
    let folder = Folder::new();
    let daemon = folder.scenario_daemon("host-a");
    let mut client = daemon.connect();
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    let deep_args = format!(r#"{{"v":1,"op":"vnet-add","args":{deep}}}"#);
    for line in [
        "",
        "hello",
        "{",
        "null",
        "[1,2,3]",
        r#""text""#,
        "\u{0}\u{1}",
        "{\"v\":1,\"op\":\"\u{fffd}\"}",
        r#"{"v":1}"#,
        r#"{"v":-1,"op":"stats"}"#,
        r#"{"v":1,"id":18446744073709551616,"op":"stats"}"#,
        r#"{"v":1,"op":"stats","op":"stats"}"#,
        r#"{"v":1,"op":"\u0073tats","args":[]}"#,
        r#"{"v":1,"op":"vnet-remove","args":{"items":[4294967296]}}"#,
        r#"{"v":1,"op":"log","args":{"last":-1}}"#,
        &deep,
        &deep_args,
    ] {
        let answer = client.ask(line);
        assert_eq!(answer["error"]["kind"], "bad-request", "{line:.60}: {answer}");
    }
    let answer = client.ask(r#"{"v":2,"id":3,"op":"something","new":true}"#);
    assert_eq!(
        (&answer["id"], &answer["error"]["kind"]),
        (&json!(3), &json!("version"))
    );
    assert_eq!(client.ask(INFO)["id"], 5);
    // Not even text.
    client.send(b"\xff\xfe\xfd\n");
    assert_eq!(client.line().unwrap()["error"]["kind"], "bad-request");
    assert!(client.ask(INFO)["ok"].is_object());
}

#[test]
fn a_line_without_end_is_refused() {
    let folder = Folder::new();
    let daemon = folder.scenario_daemon("host-a");
    let mut client = daemon.connect();
    let piece = vec![b'x'; 64 * 1024];
    // The daemon hangs up when it has enough, so not all of it may go through.
    for _ in 0..64 {
        if client.stream.write_all(&piece).is_err() {
            break;
        }
    }
    if let Some(answer) = client.line() {
        assert!(
            answer["error"]["message"]
                .as_str()
                .unwrap()
                .contains("longer than 1048576 octets"),
            "{answer}"
        );
        assert_eq!(client.line(), None);
    }
    assert!(daemon.connect().ask(INFO)["ok"].is_object());
}

#[test]
fn a_client_that_closes_its_side_gets_its_answer() {
    let folder = Folder::new();
    let daemon = folder.scenario_daemon("host-a");
    let mut client = daemon.connect();
    client.send(INFO.as_bytes());
    client.send(b"\n");
    client.stream.shutdown(Shutdown::Write).unwrap();
    assert!(client.line().unwrap()["ok"].is_object());
    assert_eq!(client.line(), None);
    // Half a line is none.
    let mut client = daemon.connect();
    client.send(&INFO.as_bytes()[..10]);
    client.stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.line().unwrap()["error"]["kind"], "bad-request");
    assert_eq!(client.line(), None);
}

#[test]
fn clients_that_come_and_go_with_garbage_leave_nothing_behind() {
    let folder = Folder::new();
    let daemon = folder.scenario_daemon("host-a");
    let mut numbers = Numbers(0x5ea1);
    let good = [
        INFO.to_owned(),
        r#"{"v":1,"id":1,"op":"mapping-list"}"#.to_owned(),
        r#"{"v":1,"id":1,"op":"log","args":{"last":3,"follow":false}}"#.to_owned(),
        r#"{"v":1,"op":"vnet-add","args":{"items":[{"vni":900,"encryption":true}]}}"#.to_owned(),
        r#"{"v":1,"op":"log","args":{"follow":true}}"#.to_owned(),
    ];
    for _ in 0..300 {
        let mut stream = UnixStream::connect(&daemon.socket).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
        for _ in 0..numbers.below(4) {
            let mut line = good[numbers.below(good.len())].clone().into_bytes();
            for _ in 0..numbers.below(4) {
                let at = numbers.below(line.len());
                match numbers.below(3) {
                    0 => line[at] = u8::try_from(numbers.below(256)).unwrap(),
                    1 => line.truncate(at.max(1)),
                    _ => line.insert(at, u8::try_from(numbers.below(256)).unwrap()),
                }
            }
            if numbers.below(3) != 0 {
                line.push(b'\n');
            }
            // The daemon may have hung up over what came before.
            if stream.write_all(&line).is_err() {
                break;
            }
        }
        match numbers.below(3) {
            0 => drop(stream.shutdown(Shutdown::Read)),
            1 => drop(stream.shutdown(Shutdown::Write)),
            _ => {}
        }
    }
    // No thread is left of them.
    crate::harness::eventually("the clients' threads have ended", || {
        let threads = std::fs::read_dir(format!("/proc/{}/task", daemon.pid()))
            .unwrap()
            .count();
        threads <= 6
    });
    let start = Instant::now();
    let info = daemon.json(&["device", "info"]);
    assert!(start.elapsed() < Duration::from_secs(10), "the daemon is slow now");
    assert_eq!(info["pid"], daemon.pid());
}

#[test]
fn a_client_that_does_not_read_keeps_nobody_waiting() {
    let folder = Folder::new();
    let daemon = folder.scenario_daemon("host-a");
    let items: Vec<_> = (0..4000)
        .map(|n| json!({"vni": 100, "prefix": format!("10.1.{}.{}", 8 + n / 256, n % 256), "pa": "192.0.2.2", "mac": "02:00:00:00:00:09"}))
        .collect();
    let file = folder.write("mappings.json", &json!(items).to_string());
    daemon.ok(&["mapping", "add", "--input", &file]);
    // Each asks for about half a megabyte, several times, and reads nothing of it.
    let idlers: Vec<_> = (0..5)
        .map(|_| {
            let mut client = daemon.connect();
            client.send("{\"v\":1,\"op\":\"mapping-list\"}\n".repeat(5).as_bytes());
            client
        })
        .collect();
    std::thread::sleep(Duration::from_millis(300));
    let start = Instant::now();
    for _ in 0..20 {
        assert!(daemon.connect().ask(INFO)["ok"].is_object());
    }
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!(daemon.json(&["mapping", "list"]).as_array().unwrap().len(), 4006);
    drop(idlers);
}

#[test]
fn fifty_clients_at_once_each_get_their_own_answers() {
    let folder = Folder::new();
    let daemon = folder.scenario_daemon("host-a");
    std::thread::scope(|scope| {
        for client in 0..50u32 {
            let socket = &daemon.socket;
            scope.spawn(move || {
                let mut connection = Connection::to(socket);
                let vni = 1000 + client;
                for round in 0..10 {
                    let id = client * 100 + round;
                    let add = format!(
                        r#"{{"v":1,"id":{id},"op":"vnet-add","args":{{"items":[{{"vni":{vni},"encryption":{}}}]}}}}"#,
                        round % 2 == 0
                    );
                    let answer = connection.ask(&add);
                    assert_eq!(answer, json!({"id": id, "ok": {"count": 1}}));
                    connection.send(format!("{{\"v\":1,\"id\":{id},\"op\":\"vnet-list\"}}\n").as_bytes());
                    let mut own = None;
                    loop {
                        let line = connection.line().unwrap();
                        assert_eq!(line["id"], id);
                        let Some(part) = line.get("more") else { break };
                        let found = part.as_array().unwrap().iter().find(|vnet| vnet["vni"] == vni);
                        own = found.cloned().or(own);
                    }
                    assert_eq!(own.unwrap()["encryption"], round % 2 == 0);
                }
            });
        }
    });
    assert_eq!(daemon.json(&["vnet", "list"]).as_array().unwrap().len(), 51);
}

#[test]
fn more_clients_than_there_is_room_for_are_told_so() {
    let folder = Folder::new();
    let daemon = folder.scenario_daemon("host-a");
    let mut clients: Vec<_> = (0..128).map(|_| daemon.connect()).collect();
    assert!(clients[127].ask(INFO)["ok"].is_object());
    let said = daemon.fails(&["stats"]);
    assert!(said.contains("the daemon has 128 clients already"), "{said}");
    clients.clear();
    crate::harness::eventually("there is room again", || daemon.client(&["stats"]).status.success());
}
