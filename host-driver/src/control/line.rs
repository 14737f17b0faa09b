//! Lines on a Unix socket, with a greatest length and with deadlines, whatever the other end does.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};
use zeroize::Zeroize;

/// How long to wait for the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For the first octet of a line.
    pub idle: Duration,
    /// For the rest of it.
    pub line: Duration,
    /// For a line of ours to be taken.
    pub write: Duration,
}

/// Why there is no line.
#[derive(Debug, thiserror::Error)]
pub(super) enum LineError {
    #[error("a line is longer than {0} octets")]
    TooLong(usize),
    #[error("the connection was closed in the middle of a line")]
    Torn,
    #[error("nothing was said for {} s", .0.as_secs_f32())]
    Idle(Duration),
    #[error("a line was not finished within {} s", .0.as_secs_f32())]
    Slow(Duration),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Reads lines. Its buffer is wiped as lines are taken, since some carry keys.
pub(super) struct LineReader {
    stream: UnixStream,
    buffer: Vec<u8>,
    /// Octets of the line handed out last.
    taken: usize,
    /// Octets already searched for an end of line.
    searched: usize,
    max_len: usize,
}

impl LineReader {
    pub(super) fn new(stream: UnixStream, max_len: usize) -> Self {
        Self {
            stream,
            buffer: Vec::with_capacity(4096),
            taken: 0,
            searched: 0,
            max_len,
        }
    }

    /// The next line without its end; `None` when the other end has closed, or shut down its side, between lines.
    pub(super) fn next(&mut self, patience: &Patience) -> Result<Option<&[u8]>, LineError> {
        self.drop_taken();
        let start = Instant::now();
        let mut line_start = (!self.buffer.is_empty()).then_some(start);
        loop {
            if let Some(end) = self.buffer[self.searched..].iter().position(|octet| *octet == b'\n') {
                let end = self.searched + end;
                self.taken = end + 1;
                return Ok(Some(&self.buffer[..end]));
            }
            self.searched = self.buffer.len();
            if self.buffer.len() >= self.max_len {
                return Err(LineError::TooLong(self.max_len));
            }
            let (since, limit, error): (_, _, fn(Duration) -> LineError) = match line_start {
                Some(since) => (since, patience.line, LineError::Slow),
                None => (start, patience.idle, LineError::Idle),
            };
            let left = limit.saturating_sub(since.elapsed());
            if left.is_zero() {
                return Err(error(limit));
            }
            self.stream.set_read_timeout(Some(left))?;
            match self.fill() {
                Ok(0) if self.buffer.is_empty() => return Ok(None),
                Ok(0) => return Err(LineError::Torn),
                Ok(_) => {
                    line_start.get_or_insert_with(Instant::now);
                }
                Err(error) if is_passing(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut chunk = [0; 16 * 1024];
        let room = (self.max_len - self.buffer.len()).min(chunk.len());
        let len = self.stream.read(&mut chunk[..room])?;
        if self.buffer.capacity() - self.buffer.len() < len {
            // Grown by hand, as a growing vector leaves its old octets behind.
            let mut larger = Vec::with_capacity((self.buffer.capacity() * 2).max(self.buffer.len() + len));
            larger.extend_from_slice(&self.buffer);
            self.buffer.zeroize();
            self.buffer = larger;
        }
        self.buffer.extend_from_slice(&chunk[..len]);
        chunk[..len].zeroize();
        Ok(len)
    }

    fn drop_taken(&mut self) {
        let rest = self.buffer.len() - self.taken;
        self.buffer.copy_within(self.taken.., 0);
        self.buffer[rest..].zeroize();
        self.buffer.truncate(rest);
        self.taken = 0;
        self.searched = 0;
    }
}

impl Drop for LineReader {
    fn drop(&mut self) {
        self.buffer.zeroize();
    }
}

/// Whether an error goes away by itself: a timeout, whose deadline the caller looks at, or a signal.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
    )
}

/// Writes octets that end a line; gives up when the other end takes too long to read them.
pub(super) fn write_line(mut stream: &UnixStream, mut octets: &[u8], patience: &Patience) -> io::Result<()> {
    let start = Instant::now();
    while !octets.is_empty() {
        let left = patience.write.saturating_sub(start.elapsed());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_write_timeout(Some(left))?;
        match stream.write(octets) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(len) => octets = &octets[len..],
            Err(error) if is_passing(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience {
        idle: Duration::from_millis(200),
        line: Duration::from_millis(200),
        write: Duration::from_millis(200),
    };

    fn pair(max_len: usize) -> (UnixStream, LineReader) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (ours, LineReader::new(theirs, max_len))
    }

    #[test]
    fn lines_come_out_as_they_went_in_however_they_were_cut() {
        let (mut ours, mut reader) = pair(100);
        let writer = std::thread::spawn(move || {
            for piece in ["a", "b\n\nlong", "er\nlast\n", "torn"] {
                ours.write_all(piece.as_bytes()).unwrap();
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        for line in ["ab", "", "longer", "last"] {
            assert_eq!(reader.next(&PATIENCE).unwrap(), Some(line.as_bytes()));
        }
        assert!(matches!(reader.next(&PATIENCE), Err(LineError::Torn)));
        writer.join().unwrap();
    }

    #[test]
    fn a_line_that_never_ends_is_given_up_by_length_and_by_time() {
        let (mut ours, mut reader) = pair(10);
        ours.write_all(b"0123456789").unwrap();
        assert!(matches!(reader.next(&PATIENCE), Err(LineError::TooLong(10))));
        let (mut ours, mut reader) = pair(10);
        assert!(matches!(reader.next(&PATIENCE), Err(LineError::Idle(_))));
        ours.write_all(b"01").unwrap();
        let start = Instant::now();
        assert!(matches!(reader.next(&PATIENCE), Err(LineError::Slow(_))));
        assert!(start.elapsed() < Duration::from_secs(2));
        drop(ours);
    }

    #[test]
    fn a_reader_that_does_not_read_holds_nobody_up() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let start = Instant::now();
        let error = write_line(&ours, &vec![b'x'; 8 << 20], &PATIENCE).unwrap_err();
        assert!(is_passing(&error), "{error}");
        assert!(start.elapsed() < Duration::from_secs(2));
        drop(theirs);
    }
}
