//! Observers of the cycle model that write files.
//!
//! * [`wave`]: a waveform (FST) of FIFO handshakes and unit states, for GTKWave or Surfer
//! * [`trace`]: a trace of frames through units (Chrome's trace event format), for Perfetto
//! * [`tee`]: two observers on one model
//!
//! Both files take any number of NICs on one time axis. Memory stays bounded however long the run; a file that can't be written does
//! not disturb the model, and is reported by [`Probe::finish`](sealnic_hw_model::cycle::Probe::finish).
#![forbid(unsafe_code)]

mod shared;
pub mod tee;
pub mod trace;
pub mod wave;

pub use tee::Tee;
pub use trace::TraceProbe;
pub use wave::WaveProbe;
