//! A reader of flow-log tuples that knows nothing of the writer: strict, written from the format's description.

use std::net::IpAddr;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Parsed {
    pub(super) time_ms: u64,
    pub(super) src: IpAddr,
    pub(super) dst: IpAddr,
    pub(super) ports: (u16, u16),
    pub(super) protocol: u8,
    pub(super) outbound: bool,
    pub(super) state: char,
    pub(super) encryption: String,
    /// Packets sent, bytes sent, packets received, bytes received.
    pub(super) numbers: [u64; 4],
}

const CODES: [&str; 8] = [
    "X",
    "NX",
    "NX_HW_NOT_SUPPORTED",
    "NX_SW_NOT_READY",
    "NX_NOT_ACCEPTED",
    "NX_NOT_SUPPORTED",
    "NX_LOCAL_DST",
    "NX_FALLBACK",
];

/// Decimal digits without sign, blanks or needless zeros.
fn number(text: &str) -> Result<u64, String> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    plain
        .then(|| text.parse().ok())
        .flatten()
        .ok_or_else(|| format!("{text:?} is no number"))
}

pub(super) fn parse(tuple: &str) -> Result<Parsed, String> {
    let fields: Vec<&str> = tuple.split(',').collect();
    let [
        time,
        src,
        dst,
        src_port,
        dst_port,
        protocol,
        direction,
        state,
        encryption,
        rest @ ..,
    ] = &fields[..]
    else {
        return Err(format!("{} fields", fields.len()));
    };
    if rest.len() != 4 {
        return Err(format!("{} fields", fields.len()));
    }
    // Milliseconds: thirteen digits until the year 2286.
    if time.len() != 13 {
        return Err(format!("{time} is no time in milliseconds"));
    }
    let address = |text: &str| text.parse::<IpAddr>().map_err(|_| format!("{text:?} is no address"));
    let port = |text: &str| u16::try_from(number(text)?).map_err(|_| format!("{text} is no port"));
    let (src, dst) = (address(src)?, address(dst)?);
    if src.is_ipv4() != dst.is_ipv4() {
        return Err("address families differ".into());
    }
    let outbound = match *direction {
        "O" => true,
        "I" => false,
        other => return Err(format!("direction {other:?}")),
    };
    let state = match *state {
        "B" | "C" | "E" | "D" => state.chars().next().unwrap(),
        other => return Err(format!("state {other:?}")),
    };
    if !CODES.contains(encryption) {
        return Err(format!("encryption {encryption:?}"));
    }
    let mut numbers = [0; 4];
    for (number_out, text) in numbers.iter_mut().zip(rest) {
        *number_out = number(text)?;
    }
    if matches!(state, 'B' | 'D') && numbers != [0; 4] {
        return Err("statistics at the beginning or in a denial".into());
    }
    Ok(Parsed {
        time_ms: number(time)?,
        src,
        dst,
        ports: (port(src_port)?, port(dst_port)?),
        protocol: u8::try_from(number(protocol)?).map_err(|_| format!("protocol {protocol}"))?,
        outbound,
        state,
        encryption: (*encryption).to_owned(),
        numbers,
    })
}

#[test]
fn good_tuples_are_read() {
    let parsed = parse("1663146303606,10.0.0.6,10.0.1.7,23956,443,6,O,C,X,1021,588096,8005,4610880").unwrap();
    assert_eq!(parsed.numbers, [1021, 588_096, 8005, 4_610_880]);
    assert!(parsed.outbound && parsed.state == 'C' && parsed.protocol == 6);
    assert!(parse("1663146022793,fd00::6,fd00::8,36780,443,6,I,D,NX_NOT_ACCEPTED,0,0,0,0").is_ok());
}

#[test]
fn malformed_tuples_are_refused() {
    for bad in [
        "",
        "1663146303606,10.0.0.6,10.0.1.7,23956,443,6,O,C,X,1021,588096,8005",
        "1663146303606,10.0.0.6,10.0.1.7,23956,443,6,O,C,X,1,2,3,4,5",
        "1663146303,10.0.0.6,10.0.1.7,23956,443,6,O,C,X,1,2,3,4",
        "1663146303606,10.0.0.256,10.0.1.7,23956,443,6,O,C,X,1,2,3,4",
        "1663146303606,10.0.0.6,fd00::1,23956,443,6,O,C,X,1,2,3,4",
        "1663146303606,10.0.0.6,10.0.1.7,65536,443,6,O,C,X,1,2,3,4",
        "1663146303606,10.0.0.6,10.0.1.7,23956,443,256,O,C,X,1,2,3,4",
        "1663146303606,10.0.0.6,10.0.1.7,23956,443,tcp,O,C,X,1,2,3,4",
        "1663146303606,10.0.0.6,10.0.1.7,23956,443,6,o,C,X,1,2,3,4",
        "1663146303606,10.0.0.6,10.0.1.7,23956,443,6,O,A,X,1,2,3,4",
        "1663146303606,10.0.0.6,10.0.1.7,23956,443,6,O,C,NX_LOCAL,1,2,3,4",
        "1663146303606,10.0.0.6,10.0.1.7,23956,443,6,O,C,X,1, 2,3,4",
        "1663146303606,10.0.0.6,10.0.1.7,23956,443,6,O,C,X,-1,2,3,4",
        "1663146303606,10.0.0.6,10.0.1.7,23956,443,6,O,B,X,1,2,3,4",
        "1663146303606,10.0.0.6,10.0.1.7,23956,443,6,O,D,X,,,,",
    ] {
        assert!(parse(bad).is_err(), "{bad}");
    }
}
