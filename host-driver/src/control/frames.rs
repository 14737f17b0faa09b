//! The exception path, for clients: frames that come up to the host, and frames in the place of VMs. The rings run for as long as
//! somebody wants them.

use super::follow::Following;
use super::owner::{OwnedDevice, Owner};
use super::protocol::Failure;
use super::text::Octets;
use super::view::FrameView;
use crate::error::Error;
use sealnic_abi::event::{HostFrame, HostFrameKind};

/// Entries of each ring.
const ENTRIES: u16 = 64;
/// Frames taken in one go, so that a flood keeps nobody waiting.
const FRAMES_AT_ONCE: usize = 256;

impl Owner {
    /// The frames to come.
    pub(super) fn follow_frames(&mut self) -> Result<Following<FrameView>, Failure> {
        self.device(open)?;
        Ok(self.frame_followers.add())
    }

    /// Sends frames as if the VM behind a port had sent them; they are the device's when this returns.
    pub(super) fn send_frames(&mut self, port: u16, frames: &[Octets]) -> Result<usize, Failure> {
        let header = HostFrame {
            kind: HostFrameKind::AsVm.into(),
            port,
            ..HostFrame::ZERO
        };
        self.device(|device| {
            open(device)?;
            for frame in frames {
                device.send_frame(&header, &frame.0)?;
            }
            device.flush_frames()
        })?;
        Ok(frames.len())
    }

    /// Hands on what came up; closes the path when nobody wants it any more.
    pub(super) fn take_frames(&mut self) {
        if !self.device.as_ref().is_some_and(OwnedDevice::has_frame_rings) {
            return;
        }
        if self.frame_followers.is_empty() {
            let _ = self.quietly(OwnedDevice::disable_frame_rings);
            return;
        }
        match self.quietly(|device| device.receive_frames(FRAMES_AT_ONCE)) {
            Ok(packets) => {
                self.stirred |= packets.len() >= FRAMES_AT_ONCE;
                packets
                    .iter()
                    .for_each(|packet| self.frame_followers.tell(&packet.into()));
            }
            Err(error) => {
                tracing::warn!(%error, "the exception path is closed");
                self.frame_followers.end();
            }
        }
    }
}

fn open(device: &mut OwnedDevice) -> Result<(), Error> {
    if device.has_frame_rings() {
        return Ok(());
    }
    device.enable_frame_rings(ENTRIES)
}
