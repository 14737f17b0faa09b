//! What was on the wire, judged from the capture alone: every datagram one DTLS record, nothing of the VMs in the clear.
//!
//! Written from the RFCs, without the project's own parsers.

use anyhow::{Context as _, Result, bail, ensure};

/// UDP port of the NICs (`dtls_port`).
const DTLS_PORT: u16 = 4433;
/// Octets of the connection ids in DTLS 1.3 records: the wire doesn't tell (RFC 9147 section 4).
const CONNECTION_ID_LEN: usize = 8;

/// Reads a pcapng file of one Ethernet interface: section header, interface, enhanced packets.
pub(crate) fn frames(file: &[u8]) -> Result<Vec<&[u8]>> {
    let mut frames = Vec::new();
    let mut rest = file;
    while !rest.is_empty() {
        let kind = word(rest, 0).context("the capture ends within a block")?;
        let len = word(rest, 4).context("the capture ends within a block")? as usize;
        ensure!(
            len >= 12 && len.is_multiple_of(4) && len <= rest.len(),
            "a block of {len} octets"
        );
        let (block, behind) = rest.split_at(len);
        match kind {
            0x0A0D_0D0A => ensure!(
                word(block, 8) == Some(0x1A2B_3C4D),
                "the capture is in another byte order"
            ),
            6 => {
                let captured = word(block, 20).context("a short packet block")? as usize;
                frames.push(block.get(28..28 + captured).context("a short packet block")?);
            }
            _ => {}
        }
        rest = behind;
    }
    Ok(frames)
}

fn word(octets: &[u8], at: usize) -> Option<u32> {
    octets.get(at..)?.first_chunk().map(|word| u32::from_le_bytes(*word))
}

/// Checks each frame; `marker` stands in every frame of the VMs and so must stand nowhere.
pub(crate) fn check(frames: &[&[u8]], marker: &[u8]) -> Result<()> {
    for (index, frame) in frames.iter().enumerate() {
        let record = datagram(frame).and_then(record);
        record.with_context(|| format!("datagram {index} of the wire ({} octets)", frame.len()))?;
        if !marker.is_empty() && frame.windows(marker.len()).any(|window| window == marker) {
            bail!("datagram {index} of the wire shows octets of a VM in the clear");
        }
    }
    Ok(())
}

/// Payload of the UDP datagram to or from the NICs' port.
fn datagram(frame: &[u8]) -> Result<&[u8]> {
    let short = "cut short";
    let half = |at: usize| {
        frame
            .get(at..)
            .and_then(|rest| rest.first_chunk())
            .map(|half| u16::from_be_bytes(*half))
    };
    let (protocol, udp) = match half(12).context(short)? {
        0x0800 => {
            let first = *frame.get(14).context(short)?;
            ensure!(first >> 4 == 4, "an IPv4 header of version {}", first >> 4);
            ensure!(half(20).context(short)? & 0x3fff == 0, "an outer fragment");
            (*frame.get(23).context(short)?, 14 + usize::from(first & 15) * 4)
        }
        0x86dd => (*frame.get(20).context(short)?, 54),
        other => bail!("Ethernet type {other:#06x}"),
    };
    ensure!(protocol == 17, "IP protocol {protocol}");
    let ports = [half(udp).context(short)?, half(udp + 2).context(short)?];
    ensure!(ports[1] == DTLS_PORT, "UDP ports {ports:?}");
    let len = usize::from(half(udp + 4).context(short)?);
    let payload = frame.get(udp + 8..udp + len).context("a UDP length beyond the frame")?;
    ensure!(frame.len() == udp + len, "octets behind the datagram");
    Ok(payload)
}

/// One whole record of application data, by what its header shows.
fn record(payload: &[u8]) -> Result<()> {
    let first = *payload.first().context("an empty datagram")?;
    let length_at = |at: usize| {
        payload
            .get(at..)
            .and_then(|rest| rest.first_chunk())
            .map(|half| usize::from(u16::from_be_bytes(*half)))
    };
    if first >> 5 == 1 {
        // RFC 9147 section 4: 001CSLEE.
        let connection_id = if first & 0x10 != 0 { CONNECTION_ID_LEN } else { 0 };
        let number = if first & 8 != 0 { 2 } else { 1 };
        let at = 1 + connection_id + number;
        let header = if first & 4 != 0 {
            let len = length_at(at).context("a cut header")?;
            ensure!(at + 2 + len == payload.len(), "not one whole record");
            at + 2
        } else {
            at
        };
        ensure!(payload.len() >= header + 16, "too short for a tag");
        return Ok(());
    }
    // RFC 6347 section 4.1, RFC 9146 section 4.
    let header = match first {
        23 => 13,
        25 => 13 + CONNECTION_ID_LEN,
        other => bail!("content type {other}"),
    };
    ensure!(payload.get(1..3) == Some(&[0xfe, 0xfd]), "not DTLS 1.2");
    ensure!(payload.get(3..5).is_some_and(|epoch| epoch != [0, 0]), "epoch 0");
    let len = length_at(header - 2).context("a cut header")?;
    ensure!(header + len == payload.len(), "not one whole record");
    ensure!(len >= 8 + 16, "too short for a tag");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An IPv4 datagram to the NICs' port.
    fn frame(payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![0; 12];
        frame.extend([
            0x08, 0x00, 0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2,
        ]);
        frame.extend(50_000u16.to_be_bytes());
        frame.extend(DTLS_PORT.to_be_bytes());
        frame.extend((8 + payload.len() as u16).to_be_bytes());
        frame.extend([0, 0]);
        frame.extend(payload);
        frame
    }

    fn judge(payload: &[u8]) -> bool {
        check(&[&frame(payload)], b"marker").is_ok()
    }

    #[test]
    fn whole_records_pass_and_all_else_fails() {
        let mut v13 = vec![0x3f];
        v13.extend([7; 8]);
        v13.extend([0, 1, 0, 20]);
        v13.extend([0xaa; 20]);
        let mut v12 = vec![23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 1, 0, 24];
        v12.extend([0xaa; 24]);
        assert!(judge(&v13) && judge(&v12));
        for whole in [&v13, &v12] {
            for len in 0..whole.len() {
                assert!(!judge(&whole[..len]), "cut to {len}");
            }
            assert!(!judge(&[&whole[..], &[0]].concat()));
        }
        // A handshake, epoch 0, VXLAN.
        assert!(!judge(&[&[22], &v12[1..]].concat()));
        assert!(!judge(&[&v12[..3], &[0, 0], &v12[5..]].concat()));
        assert!(!judge(&[8, 0, 0, 0, 0, 0, 100, 0]));
        // A record that shows what it carries.
        let mut clear = v13.clone();
        clear[15..21].copy_from_slice(b"marker");
        assert!(!judge(&clear));
        let mut other = frame(&v13);
        other[23] = 6;
        assert!(check(&[&other], b"marker").is_err());
    }

    #[test]
    fn packets_are_found_in_a_capture() {
        let block = |kind: u32, body: &[u8]| {
            let len = (12 + body.len()) as u32;
            [&kind.to_le_bytes()[..], &len.to_le_bytes(), body, &len.to_le_bytes()].concat()
        };
        let mut packet = vec![0; 12];
        packet.extend(3u32.to_le_bytes());
        packet.extend(3u32.to_le_bytes());
        packet.extend([1, 2, 3, 0]);
        let section = [&0x1A2B_3C4Du32.to_le_bytes()[..], &[0; 12]].concat();
        let file = [block(0x0A0D_0D0A, &section), block(1, &[0; 8]), block(6, &packet)].concat();
        assert_eq!(frames(&file).unwrap(), [[1, 2, 3]]);
        assert!(frames(&file[..file.len() - 1]).is_err());
    }
}
