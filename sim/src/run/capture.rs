//! Captures: read whole, pcap or pcapng, any resolution; written as pcapng with nanoseconds.

use pcap_file::DataLink;
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{InterfaceDescriptionBlock, InterfaceDescriptionOption};
use pcap_parser::{Block, Linktype, PcapBlockOwned, PcapError, create_reader};
use std::borrow::Cow;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Greatest block that is read, in octets; a frame is far shorter.
const MAX_BLOCK: usize = 1 << 20;

/// Latest time of a frame, in nanoseconds since 1970: the year 2262. Everything that a run adds to it still fits into 64 bits.
pub const LATEST_NS: u64 = i64::MAX as u64;

/// A frame of a capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapturedFrame {
    /// Time since 1970, in nanoseconds; at most [`LATEST_NS`] in what was read.
    pub time_ns: u64,
    /// Octets captured, from the Ethernet header on.
    pub octets: Vec<u8>,
}

/// Why a capture can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The file can't be opened, read or written.
    #[error("{path}: {source}")]
    Io {
        /// File.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// The file isn't a sound capture.
    #[error("{path}: not a sound pcap or pcapng file after frame {frames}: {problem}")]
    Format {
        /// File.
        path: PathBuf,
        /// Frames read until then.
        frames: usize,
        /// What is wrong.
        problem: String,
    },
    /// Frames are not Ethernet.
    #[error("{path}: link type {link_type} is not supported, only Ethernet (1) is; convert the capture first")]
    LinkType {
        /// File.
        path: PathBuf,
        /// Link type as in the file.
        link_type: i32,
    },
    /// A frame's time can't be.
    #[error(
        "{path}: frame {frame} (the first is 0) is of the year 2262 or later; mend its time stamp, or the time units of its interface"
    )]
    Time {
        /// File.
        path: PathBuf,
        /// Index of the frame, from 0.
        frame: usize,
    },
}

/// Time units of one interface of a pcapng section.
#[derive(Clone, Copy)]
struct Clock {
    offset_s: i64,
    per_second: u64,
}

impl Clock {
    /// Nanoseconds since 1970, unless they are beyond [`LATEST_NS`]; what was before counts as then.
    fn to_ns(self, ticks: u64) -> Option<u64> {
        let ns = u128::from(ticks) * 1_000_000_000 / u128::from(self.per_second.max(1));
        // Of 94 bits at most.
        let ns = i128::try_from(ns).ok()? + i128::from(self.offset_s) * 1_000_000_000;
        u64::try_from(ns.max(0)).ok().filter(|ns| *ns <= LATEST_NS)
    }
}

/// Reads all frames of a capture.
///
/// # Errors
/// [`CaptureError`]; a capture that ends in the middle of a frame is an error too.
pub fn read(path: &Path) -> Result<Vec<CapturedFrame>, CaptureError> {
    let io = |source| CaptureError::Io {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(io)?;
    let mut frames = Vec::new();
    let format = |frames: &Vec<_>, problem: String| CaptureError::Format {
        path: path.to_owned(),
        frames: frames.len(),
        problem,
    };
    let mut reader = create_reader(MAX_BLOCK, file).map_err(|error| format(&frames, describe(&error)))?;
    let mut legacy = Clock {
        offset_s: 0,
        per_second: 1_000_000,
    };
    let mut clocks = Vec::new();
    let check = |link_type: Linktype| match link_type {
        Linktype::ETHERNET => Ok(()),
        Linktype(link_type) => Err(CaptureError::LinkType {
            path: path.to_owned(),
            link_type,
        }),
    };
    let late = |frames: &Vec<_>| CaptureError::Time {
        path: path.to_owned(),
        frame: frames.len(),
    };
    let mut stalled = false;
    loop {
        match reader.next() {
            Ok((consumed, block)) => {
                stalled = false;
                match block {
                    PcapBlockOwned::LegacyHeader(header) => {
                        check(header.network)?;
                        legacy.per_second = if header.is_nanosecond_precision() {
                            1_000_000_000
                        } else {
                            1_000_000
                        };
                    }
                    PcapBlockOwned::Legacy(packet) => {
                        let ticks = u64::from(packet.ts_sec) * legacy.per_second + u64::from(packet.ts_usec);
                        let octets = packet.data.get(..packet.caplen as usize).unwrap_or(packet.data);
                        frames.push(CapturedFrame {
                            time_ns: legacy.to_ns(ticks).ok_or_else(|| late(&frames))?,
                            octets: octets.to_vec(),
                        });
                    }
                    PcapBlockOwned::NG(Block::SectionHeader(_)) => clocks.clear(),
                    PcapBlockOwned::NG(Block::InterfaceDescription(interface)) => {
                        check(interface.linktype)?;
                        let per_second = interface.ts_resolution().unwrap_or(1_000_000);
                        clocks.push(Clock {
                            offset_s: interface.ts_offset(),
                            per_second,
                        });
                    }
                    PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => {
                        let Some(clock) = clocks.get(packet.if_id as usize) else {
                            return Err(format(
                                &frames,
                                format!("packet of interface {}, which is not described", packet.if_id),
                            ));
                        };
                        let ticks = u64::from(packet.ts_high) << 32 | u64::from(packet.ts_low);
                        let octets = packet.data.get(..packet.caplen as usize).unwrap_or(packet.data);
                        frames.push(CapturedFrame {
                            time_ns: clock.to_ns(ticks).ok_or_else(|| late(&frames))?,
                            octets: octets.to_vec(),
                        });
                    }
                    PcapBlockOwned::NG(Block::SimplePacket(packet)) => {
                        // No time of its own: that of the frame before it.
                        let time_ns = frames.last().map_or(0, |frame: &CapturedFrame| frame.time_ns);
                        let octets = packet.data.get(..packet.origlen as usize).unwrap_or(packet.data);
                        frames.push(CapturedFrame {
                            time_ns,
                            octets: octets.to_vec(),
                        });
                    }
                    PcapBlockOwned::NG(_) => {}
                }
                reader.consume(consumed);
            }
            Err(PcapError::Eof) => return Ok(frames),
            Err(PcapError::Incomplete(_)) if !stalled => {
                stalled = true;
                reader.refill().map_err(|error| format(&frames, describe(&error)))?;
            }
            Err(error) => return Err(format(&frames, describe(&error))),
        }
    }
}

fn describe(error: &PcapError<&[u8]>) -> String {
    match error {
        PcapError::Incomplete(_) | PcapError::UnexpectedEof => "it ends in the middle of a block".to_owned(),
        PcapError::BufferTooSmall => format!("a block is longer than {MAX_BLOCK} octets"),
        PcapError::HeaderNotRecognized => "its header is that of no capture".to_owned(),
        PcapError::ReadError => "it can't be read".to_owned(),
        _ => "a block is malformed".to_owned(),
    }
}

/// Why writing failed, in the system's words where it was the system.
fn cause(error: pcap_file::PcapError) -> std::io::Error {
    match error {
        pcap_file::PcapError::IoError(error) => error,
        other => std::io::Error::other(other),
    }
}

/// Writes frames to a pcapng file.
pub struct CaptureWriter {
    writer: PcapNgWriter<BufWriter<File>>,
    path: PathBuf,
    frames: u64,
}

impl CaptureWriter {
    /// Creates the file, with one Ethernet interface of nanosecond resolution.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn create(path: &Path, interface: &str) -> Result<Self, CaptureError> {
        let io = |source| CaptureError::Io {
            path: path.to_owned(),
            source,
        };
        let file = File::create(path).map_err(io)?;
        let writer = PcapNgWriter::new(BufWriter::new(file)).map_err(|error| io(cause(error)))?;
        let mut writer = Self {
            writer,
            path: path.to_owned(),
            frames: 0,
        };
        let options = vec![
            InterfaceDescriptionOption::IfName(Cow::Owned(interface.to_owned())),
            InterfaceDescriptionOption::IfTsResol(9),
        ];
        let block = InterfaceDescriptionBlock {
            linktype: DataLink::ETHERNET,
            snaplen: 0,
            options,
        };
        let written = writer.writer.write_pcapng_block(block);
        writer.done(written.map(|_| ()))?;
        Ok(writer)
    }

    fn done(&self, result: pcap_file::PcapResult<()>) -> Result<(), CaptureError> {
        result.map_err(|error| CaptureError::Io {
            path: self.path.clone(),
            source: cause(error),
        })
    }

    /// Writes a frame, with a comment unless that is empty.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn write(&mut self, time_ns: u64, frame: &[u8], comment: &str) -> Result<(), CaptureError> {
        let options = if comment.is_empty() {
            Vec::new()
        } else {
            vec![EnhancedPacketOption::Comment(Cow::Borrowed(comment))]
        };
        let block = EnhancedPacketBlock {
            interface_id: 0,
            timestamp: Duration::from_nanos(time_ns),
            original_len: u32::try_from(frame.len()).unwrap_or(u32::MAX),
            data: Cow::Borrowed(frame),
            options,
        };
        self.frames += 1;
        let written = self.writer.write_pcapng_block(block);
        self.done(written.map(|_| ()))
    }

    /// Frames written.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Writes out what is buffered, so that whoever follows the file sees it.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn flush(&mut self) -> Result<(), CaptureError> {
        self.writer.get_mut().flush().map_err(|source| CaptureError::Io {
            path: self.path.clone(),
            source,
        })
    }

    /// Writes out what is buffered.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn finish(mut self) -> Result<(), CaptureError> {
        self.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_cut_files_are_refused() {
        let dir = std::env::temp_dir().join(format!("sealnic-capture-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("a.pcapng");
        let frames: Vec<_> = (0..20u8)
            .map(|n| CapturedFrame {
                time_ns: 1_700_000_000_123_456_789 + u64::from(n),
                octets: vec![n; 14 + usize::from(n)],
            })
            .collect();
        let mut writer = CaptureWriter::create(&path, "test").unwrap();
        for frame in &frames {
            writer.write(frame.time_ns, &frame.octets, "frame").unwrap();
        }
        writer.finish().unwrap();
        assert_eq!(read(&path).unwrap(), frames);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 7]).unwrap();
        assert!(matches!(read(&path), Err(CaptureError::Format { frames: 19, .. })));
        std::fs::write(&path, b"no capture at all").unwrap();
        assert!(matches!(read(&path), Err(CaptureError::Format { frames: 0, .. })));
        assert!(matches!(read(&dir.join("none")), Err(CaptureError::Io { .. })));
        std::fs::remove_dir_all(&dir).unwrap();
    }

    /// A pcapng file with a frame of 60 octets at each of the times, by an interface of these options.
    fn pcapng(options: &[u8], ticks: &[u64]) -> Vec<u8> {
        let mut file = Vec::new();
        let mut block = |kind: u32, body: &[u8]| {
            let len = (12 + body.len() as u32).to_le_bytes();
            for part in [&kind.to_le_bytes(), &len[..], body, &len] {
                file.extend_from_slice(part);
            }
        };
        block(
            0x0A0D_0D0A,
            &[
                0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255,
            ],
        );
        block(1, &[&[1, 0, 0, 0, 0, 0, 0, 0][..], options].concat());
        for ticks in ticks {
            let mut packet = vec![0; 4];
            packet.extend(((ticks >> 32) as u32).to_le_bytes());
            packet.extend((*ticks as u32).to_le_bytes());
            packet.extend([60, 0, 0, 0, 60, 0, 0, 0]);
            packet.extend([0; 60]);
            block(6, &packet);
        }
        file
    }

    #[test]
    fn times_that_no_run_can_have_are_refused_by_frame() {
        let path = std::env::temp_dir().join(format!("sealnic-capture-times-{}", std::process::id()));
        let nanoseconds = &[9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0][..];
        let seconds = &[9, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0][..];
        // Microseconds, from the greatest offset on.
        let offset = &[14, 0, 8, 0, 255, 255, 255, 255, 255, 255, 255, 127, 0, 0, 0, 0][..];
        let read = |options, ticks: &[u64]| {
            std::fs::write(&path, pcapng(options, ticks)).unwrap();
            read(&path)
        };
        for (options, ticks) in [
            (nanoseconds, &[7, LATEST_NS, LATEST_NS + 1][..]),
            (nanoseconds, &[7, 8, u64::MAX]),
            (seconds, &[1, 2, 10_000_000_000]),
            (seconds, &[1, 2, u64::MAX]),
        ] {
            let error = read(options, ticks).unwrap_err();
            assert!(matches!(error, CaptureError::Time { frame: 2, .. }), "{error}");
            assert!(error.to_string().contains("frame 2 "), "{error}");
        }
        assert!(matches!(read(offset, &[0]), Err(CaptureError::Time { frame: 0, .. })));
        let times = |frames: Vec<CapturedFrame>| frames.iter().map(|frame| frame.time_ns).collect::<Vec<_>>();
        assert_eq!(times(read(nanoseconds, &[LATEST_NS, 5]).unwrap()), [LATEST_NS, 5]);
        assert_eq!(
            times(read(seconds, &[9_223_372_036]).unwrap()),
            [9_223_372_036_000_000_000]
        );
        std::fs::remove_file(&path).unwrap();
    }
}
