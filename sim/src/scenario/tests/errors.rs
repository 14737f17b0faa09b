//! Each rule of the format: what breaks it is named with its line, field and words.

use super::super::Problems;
use super::{BASE, changed, parse};

/// Asserts that a text has one problem at `field`, in the line of the base where `at` stands, with `words` in its message.
#[track_caller]
fn one_problem(text: &str, at: &str, field: &str, words: &str) {
    let problems = parse(text).expect_err("a problem");
    let [problem] = &problems.shown[..] else {
        panic!("{problems}")
    };
    let offset = text.find(at).expect("the marked text");
    let line = text[..offset].matches('\n').count() + 1;
    assert_eq!((problem.line, problem.field.as_str()), (line, field), "{problem}");
    assert!(problem.message.contains(words), "{problem}");
    assert!(!problem.help.is_empty());
    let source = text.lines().nth(problem.line - 1).unwrap_or("");
    assert!(problem.column <= source.chars().count() + 1, "{problem}");
}

/// The same for the base with one text replaced by a wrong one, which is also where the problem stands.
#[track_caller]
fn wrong(from: &str, to: &str, field: &str, words: &str) {
    one_problem(&changed(from, to), to, field, words);
}

#[test]
fn a_problem_reads_as_file_line_column_field_message_help() {
    let problems = parse(&changed("mtu = 4000", "mtu = 20")).unwrap_err();
    assert_eq!(
        problems.to_string(),
        "dir/base.toml:42:7: vm[1].mtu: is 20; give a number from 68 to 65535"
    );
}

#[test]
fn text_that_is_not_toml() {
    wrong("vni = 100", "vni = abc", "vnet[0].vni", "must be quoted");
    let problems = parse("name = nobody\nsecret = 3 3\n").unwrap_err();
    let lines: Vec<usize> = problems.shown.iter().map(|p| p.line).collect();
    assert_eq!(lines, [1, 2], "goes on after the first: {problems}");
}

#[test]
fn unknown_missing_and_mistyped_fields() {
    wrong("mtu = 4000", "mtv = 4000", "vm[1].mtv", "unknown field `mtv`");
    wrong(
        "flows = 1024",
        "flow = 1024",
        "host[0].nic.flow",
        "unknown field `flow`",
    );
    wrong("[traffic]", "[trafic]", "trafic", "unknown field `trafic`");
    one_problem(
        &changed("vni = 200", ""),
        "[[vnet]]
name = \"green\"",
        "vnet[1]",
        "missing field `vni`",
    );
    wrong("vni = 200", "vni = \"200\"", "vnet[1].vni", "invalid type");
    wrong("[[gateway]]", "[gateway]", "gateway", "must be a list of tables");
    wrong("ready = true", "ready = 1", "vm[2].ready", "invalid type");
    wrong(
        "[[association.state]]",
        "[association.states]",
        "association.states",
        "unknown field `states`",
    );
}

#[test]
fn one_wrong_table_does_not_hide_another() {
    let text = changed("mtu = 4000", "mtv = 4000").replace("vni = 100", "vni = true");
    let fields: Vec<String> = parse(&text).unwrap_err().shown.into_iter().map(|p| p.field).collect();
    assert_eq!(fields, ["vnet[0].vni", "vm[1].mtv"]);
    let text = changed("mtu = 4000", "mtu = 1")
        .replace("vni = 100", "vni = 0")
        .replace("\"198.51.100.0/24\"", "\"nonsense\"");
    let fields: Vec<String> = parse(&text).unwrap_err().shown.into_iter().map(|p| p.field).collect();
    assert_eq!(fields, ["vnet[0].vni", "vm[1].addresses[1]", "vm[1].mtu"]);
}

#[test]
fn names() {
    wrong("name = \"bob\"", "name = \"\"", "vm[1].name", "can't be a name");
    wrong("name = \"bob\"", "name = \"../bob\"", "vm[1].name", "can't be a name");
    wrong(
        "name = \"bob\"",
        "name = \"b\\u001bob\"",
        "vm[1].name",
        "\"b\\u{1b}ob\" can't be a name",
    );
    wrong("name = \"bob\"", "name = \".bob\"", "vm[1].name", "can't be a name");
    wrong("name = \"base\"", "name = \" \"", "name", "is empty");
    one_problem(
        &changed("name = \"bob\"", "name = \"alice\" # 2"),
        "name = \"alice\" # 2",
        "vm[1].name",
        "already the name of vm[0]",
    );
    let two = format!("{BASE}\n[[exclusion]]\nname = \"backup\" # 2\nvnet = \"blue\"\nprefix = \"10.9.0.0/16\"\n");
    one_problem(
        &two,
        "\"backup\" # 2",
        "exclusion[1].name",
        "already the name of exclusion[0]",
    );
}

#[test]
fn hosts() {
    wrong("pa = [\"192.0.2.2\"]", "pa = []", "host[1].pa", "has no address");
    wrong(
        "pa = [\"192.0.2.2\"]",
        "pa = [\"192.0.2.2/24\"]",
        "host[1].pa[0]",
        "no IP address",
    );
    wrong(
        "pa = [\"192.0.2.2\"]",
        "pa = [\"192.0.2.2\", \"192.0.2.3\"]",
        "host[1].pa[1]",
        "second address of its family",
    );
    wrong(
        "pa = [\"192.0.2.2\"]",
        "pa = [\"224.0.0.1\"]",
        "host[1].pa[0]",
        "can't be a host's address",
    );
    wrong(
        "pa = [\"192.0.2.2\"]",
        "pa = [\"192.0.2.1\"] # 2",
        "host[1].pa[0]",
        "already that of host \"host-a\"",
    );
    let other_family = changed("pa = [\"192.0.2.2\"]", "pa = [\"2001:db8::2\"]")
        .replace("[[gateway]]\nvnet = \"blue\"\npa = \"192.0.2.254\"", "");
    one_problem(
        &other_family,
        "[\"2001:db8::2\"]",
        "host[1].pa",
        "no address of the underlay's family, Ipv4",
    );
    wrong(
        "\"02:5e:00:00:00:0a\"",
        "\"02:5e:00:00:00\"",
        "host[0].mac",
        "no MAC address",
    );
    wrong(
        "\"02:5e:00:00:00:0a\"",
        "\"03:5e:00:00:00:0a\"",
        "host[0].mac",
        "group address",
    );
    wrong(
        "name = \"host-b\"",
        "mac = \"02:5e:00:00:00:0a\" # 2\nname = \"host-b\"",
        "host[1].mac",
        "already that of host \"host-a\"",
    );
    wrong(
        "underlay_mtu = 9000",
        "underlay_mtu = 1395",
        "host[0].underlay_mtu",
        "is 1395",
    );
    wrong(
        "underlay_mtu = 9000",
        "underlay_mtu = 65536",
        "host[0].underlay_mtu",
        "is 65536",
    );
    wrong(
        "latency_ns = 2500",
        "latency_ns = 1000000001",
        "underlay.latency_ns",
        "is 1000000001",
    );
    wrong(
        "latency_ns = 2500",
        "latency_us = 2",
        "underlay.latency_us",
        "unknown field",
    );
    wrong("flows = 1024", "flows = 1000", "host[0].nic.flows", "is 1000");
    wrong(
        "mappings = 100",
        "mappings = 9",
        "host[0].nic.mappings",
        "is 9, and this host needs 10",
    );
    let none = parse("").unwrap_err();
    assert_eq!((none.shown[0].line, none.shown[0].message.as_str()), (1, "has no host"));
}

#[test]
fn vnets_and_peerings() {
    for vni in ["0", "16777216", "-1"] {
        wrong(
            "vni = 200",
            &format!("vni = {vni}"),
            "vnet[1].vni",
            &format!("is {vni}"),
        );
    }
    wrong(
        "vni = 200",
        "vni = 100 # 2",
        "vnet[1].vni",
        "VNI 100 is already that of vnet \"blue\"",
    );
    wrong(
        "prefixes = [\"10.2.0.0/16\"]",
        "prefixes = []",
        "vnet[1].prefixes",
        "is empty",
    );
    wrong(
        "\"10.2.0.0/16\"",
        "\"10.2.0.0/33\"",
        "vnet[1].prefixes[0]",
        "neither an address nor a prefix",
    );
    wrong(
        "\"10.2.0.0/16\"",
        "\"10.2.0.1/16\"",
        "vnet[1].prefixes[0]",
        "bits set past its prefix length",
    );
    wrong(
        "\"fd00:1::/64\"",
        "\"::/0\"",
        "vnet[0].prefixes[1]",
        "every address there is",
    );
    wrong(
        "\"10.2.0.0/16\"",
        "\"239.0.0.0/8\"",
        "vnet[1].prefixes[0]",
        "no unicast address",
    );
    wrong(
        "\"10.2.0.0/16\"",
        "\"10.2.0.0/16\", \"10.2.3.0/24\"",
        "vnet[1].prefixes[1]",
        "overlaps 10.2.0.0/16 of the same VNet",
    );
    wrong(
        "\"10.2.0.0/16\"",
        "\"10.1.128.0/17\"",
        "vnet[1].prefixes[0]",
        "overlaps 10.1.0.0/16 of VNet \"blue\"",
    );
    wrong(
        "\"DropUnencrypted\"",
        "\"Drop\"",
        "vnet[0].encryption.enforcement",
        "is \"Drop\"",
    );
    wrong(
        "[\"green\", \"blue\"]",
        "[\"green\", \"red\"]",
        "peering[0].vnets[1]",
        "there is no vnet \"red\"",
    );
    wrong(
        "[\"green\", \"blue\"]",
        "[\"green\", \"green\"]",
        "peering[0].vnets",
        "names one vnet twice",
    );
    wrong(
        "[\"green\", \"blue\"]",
        "[\"green\"]",
        "peering[0].vnets",
        "has 1 names",
    );
    let twice = changed(
        "[\"green\", \"blue\"]",
        "[\"green\", \"blue\"]\n[[peering]]\nvnets = [\"blue\", \"green\"] # 2",
    );
    one_problem(
        &twice,
        "[\"blue\", \"green\"] # 2",
        "peering[1].vnets",
        "peered already",
    );
}

#[test]
fn address_spaces_that_meet_only_at_a_common_peer_overlap_too() {
    let red = "\n[[vnet]]\nname = \"red\"\nvni = 300\nprefixes = [\"10.2.3.0/24\"]\n[[peering]]\nvnets = [\"red\", \"blue\"]\n";
    one_problem(
        &format!("{BASE}{red}"),
        "\"10.2.3.0/24\"",
        "vnet[2].prefixes[0]",
        "overlaps 10.2.0.0/16 of VNet \"green\"",
    );
}

#[test]
fn vms() {
    wrong(
        "host = \"host-a\"",
        "host = \"host-c\"",
        "vm[0].host",
        "there is no host \"host-c\"",
    );
    wrong(
        "\"00:0d:3a:00:00:03\"",
        "\"00:0D:3A:00:00:01\"",
        "vm[2].mac",
        "already that of vm \"alice\"",
    );
    wrong("\"00:0d:3a:00:00:03\"", "\"none\"", "vm[2].mac", "no MAC address");
    wrong(
        "addresses = [\"10.2.0.6\"]",
        "addresses = []",
        "vm[2].addresses",
        "is empty",
    );
    wrong("\"10.2.0.6\"", "\"10.2.0.6/24\"", "vm[2].addresses[0]", "bits set past");
    wrong(
        "\"10.2.0.6\"",
        "\"255.255.255.255\"",
        "vm[2].addresses[0]",
        "no unicast address",
    );
    wrong(
        "\"10.2.0.6\"",
        "\"0.0.0.0\"",
        "vm[2].addresses[0]",
        "no unicast address",
    );
    wrong(
        "\"10.2.0.6\"",
        "\"10.2.0.6\", \"10.2.0.6/32\"",
        "vm[2].addresses[1]",
        "already an address of vm \"carol\"",
    );
    wrong(
        "\"198.51.100.0/24\"",
        "\"10.1.0.4\" # 2\n",
        "vm[1].addresses[1]",
        "already an address of vm \"alice\"",
    );
    wrong(
        "\"10.2.0.6\"",
        "\"10.1.0.5\" # 2\n",
        "vm[2].addresses[0]",
        "already an address of vm \"bob\"",
    );
    wrong("mtu = 4000", "mtu = 67", "vm[1].mtu", "is 67");
    one_problem(
        &changed("\"fd00:1::4\"]", "\"fd00:1::4\"]\nmtu = 1279"),
        "mtu = 1279",
        "vm[0].mtu",
        "is 1279",
    );
}

#[test]
fn with_a_capture_a_source_address_has_one_vm_in_the_whole_scenario() {
    let unpeered = changed("[[peering]]\nvnets = [\"green\", \"blue\"]", "");
    let shared = unpeered.replace("\"10.2.0.6\"", "\"10.1.0.4\" # 2\n");
    one_problem(
        &shared,
        "\"10.1.0.4\" # 2",
        "vm[2].addresses[0]",
        "also an address of vm \"alice\" in another VNet",
    );
}

#[test]
fn exclusions_and_gateways() {
    wrong(
        "protocol = \"tcp\"",
        "protocol = \"sctp\"",
        "exclusion[0].protocol",
        "no protocol",
    );
    wrong(
        "protocol = \"tcp\"",
        "protocol = 256",
        "exclusion[0].protocol",
        "no protocol",
    );
    wrong(
        "protocol = \"tcp\"",
        "protocol = 0",
        "exclusion[0].protocol",
        "no protocol",
    );
    wrong("port = 445", "port = 0", "exclusion[0].port", "is 0");
    one_problem(
        &changed("protocol = \"tcp\"", "protocol = \"icmp\""),
        "port = 445",
        "exclusion[0].port",
        "protocol without ports",
    );
    wrong(
        "prefix = \"10.2.0.0/24\"",
        "prefix = \"10.2.0.0/8\"",
        "exclusion[0].prefix",
        "bits set past",
    );
    wrong(
        "pa = \"192.0.2.254\"",
        "pa = \"192.0.2.1\" # 2",
        "gateway[0].pa",
        "an address of host \"host-a\"",
    );
    wrong(
        "pa = \"192.0.2.254\"",
        "pa = \"2001:db8::fe\"",
        "gateway[0].pa",
        "host \"host-b\" has VMs of this VNet",
    );
    let twice = changed(
        "[association]",
        "[[gateway]]\nvnet = \"blue\" # 2\npa = \"192.0.2.253\"\n[association]",
    );
    one_problem(&twice, "\"blue\" # 2", "gateway[1].vnet", "has a gateway already");
}

#[test]
fn associations() {
    wrong("dtls = \"1.2\"", "dtls = \"1.1\"", "association.dtls", "is \"1.1\"");
    wrong(
        "\"AES-128-GCM\"",
        "\"AES-192-GCM\"",
        "association.cipher",
        "is \"AES-192-GCM\"",
    );
    wrong(
        "connection_id = 4",
        "connection_id = 21",
        "association.connection_id",
        "is 21",
    );
    wrong(
        "replay_window = 128",
        "replay_window = 100",
        "association.replay_window",
        "multiple of 64",
    );
    wrong(
        "replay_window = 128",
        "replay_window = 8192",
        "association.replay_window",
        "is 8192",
    );
    wrong(
        "underlay = \"ipv4\"",
        "underlay = \"ipx\"",
        "association.underlay",
        "is \"ipx\"",
    );
    one_problem(
        &changed("underlay = \"ipv4\"", "underlay = \"ipv6\""),
        "pa = [\"192.0.2.2\"]",
        "host[1].pa",
        "underlay's family, Ipv6",
    );
    wrong("dtls_port = 4433", "dtls_port = 0", "association.dtls_port", "is 0");
    wrong(
        "dtls_port = 4433",
        "dtls_port = 4789",
        "association.dtls_port",
        "port of clear VXLAN",
    );
    wrong(
        "state = \"ready\"",
        "state = \"broken\"",
        "association.state[0].state",
        "is \"broken\"",
    );
    wrong(
        "[\"host-b\", \"host-a\"]",
        "[\"host-b\", \"host-b\"]",
        "association.state[0].hosts",
        "one host twice",
    );
    wrong(
        "[\"host-b\", \"host-a\"]",
        "[\"host-b\", \"host-x\"]",
        "association.state[0].hosts[1]",
        "no host \"host-x\"",
    );
    let twice = changed(
        "[traffic]",
        "[[association.state]]\nhosts = [\"host-a\", \"host-b\"] # 2\nstate = \"failed\"\n[traffic]",
    );
    one_problem(
        &twice,
        "[\"host-a\", \"host-b\"] # 2",
        "association.state[1].hosts",
        "has a state already",
    );
}

#[test]
fn ports_and_connection_ids_must_be_enough_for_the_associations() {
    // Blue to blue and blue to green: two links between the hosts.
    let ports = changed("connection_id = 4", "connection_id = 0").replace("dtls_port = 4433", "dtls_port = 65535");
    one_problem(&ports, "dtls_port = 65535", "association.dtls_port", "too few ports");

    // One-octet connection ids: a VM in each of 17 peered VNets on both hosts makes 289 links.
    let mut text = changed("connection_id = 4", "connection_id = 1").replace(", mappings = 100", "");
    for i in 0..17 {
        text.push_str(&format!("\n[[vnet]]\nname = \"v{i}\"\nvni = {}\nprefixes = [\"172.16.{i}.0/24\"]\nencryption = {{ enabled = true }}\n", 1000 + i));
        for other in 0..i {
            text.push_str(&format!("[[peering]]\nvnets = [\"v{i}\", \"v{other}\"]\n"));
        }
        for (host, name) in [(1, "host-a"), (2, "host-b")] {
            text.push_str(&format!("[[vm]]\nname = \"m{i}-{host}\"\nhost = \"{name}\"\nvnet = \"v{i}\"\nmac = \"any\"\naddresses = [\"172.16.{i}.{host}\"]\n"));
        }
    }
    one_problem(
        &text,
        "connection_id = 1",
        "association.connection_id",
        "gives 256 connection ids, and a host needs 291",
    );
}

#[test]
fn other_fields() {
    wrong("name = \"base\"", "secret = \"123\"", "secret", "64 hexadecimal digits");
    wrong("\"captures/base.pcapng\"", "\"\"", "traffic.capture", "names no file");
}

#[test]
fn the_secret_is_not_repeated_in_a_problem() {
    let problems = parse(&changed("name = \"base\"", "secret = \"do-not-show-this\"")).unwrap_err();
    assert!(!problems.to_string().contains("do-not-show-this"), "{problems}");
}

#[test]
fn a_file_wrong_all_over_is_cut_short() {
    let text = "[[vm]]\nx = 1\n".repeat(200);
    let problems = parse(&text).unwrap_err();
    assert_eq!((problems.shown.len(), problems.more), (Problems::SHOWN, 150));
    assert!(problems.to_string().ends_with("\n150 more"));
}

#[test]
fn no_prefix_of_the_base_makes_it_panic() {
    for end in (0..BASE.len()).filter(|&end| BASE.is_char_boundary(end)) {
        let _ = parse(&BASE[..end]);
    }
}
