//! What a handler tells of its progress: lines on a pipe, `FRACTION` or `FRACTION WORDS`.

use std::io::{self, PipeReader};
use std::os::fd::OwnedFd;

use taskgrid_protocol::body::Progress;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::watch;

/// A line may be this long; what is longer is passed over. The words are cut to fewer bytes later.
const LINE_MAX: usize = 1_024;

/// Our end of the pipe.
#[derive(Debug)]
pub(in crate::handlers) struct ProgressPipe {
    pipe: Receiver,
    /// The beginning of a line.
    line: Vec<u8>,
}

impl ProgressPipe {
    pub(super) fn new(pipe: PipeReader) -> io::Result<Self> {
        Ok(Self { pipe: Receiver::from_owned_fd(OwnedFd::from(pipe))?, line: Vec::new() })
    }

    /// Passes on what is told, until the other end is closed.
    pub(in crate::handlers) async fn read(&mut self, progress: &watch::Sender<Option<Progress>>) {
        let mut chunk = [0; LINE_MAX];
        while let Ok(length @ 1..) = self.pipe.read(&mut chunk).await {
            if let Some(told) = self.take(&chunk[..length]) {
                progress.send_replace(Some(told));
            }
        }
    }

    /// Forgets what has been told and not been read.
    pub(in crate::handlers) fn clear(&mut self) {
        let mut chunk = [0; LINE_MAX];
        // It does not block, and knows more than tokio does yet.
        while matches!(rustix::io::read(&self.pipe, &mut chunk), Ok(1..)) {}
        self.line.clear();
    }

    /// The last thing that is told in these bytes.
    fn take(&mut self, bytes: &[u8]) -> Option<Progress> {
        let mut told = None;
        for byte in bytes {
            if *byte == b'\n' {
                told = parse(&self.line).or(told);
                self.line.clear();
            } else if self.line.len() <= LINE_MAX {
                self.line.push(*byte);
            }
        }
        told
    }
}

fn parse(line: &[u8]) -> Option<Progress> {
    if line.len() > LINE_MAX {
        return None;
    }
    let line = String::from_utf8_lossy(line);
    let line = line.trim();
    let (fraction, note) = line.split_once(' ').unwrap_or((line, ""));
    Progress::new(fraction.parse().ok()?, Some(note.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(lines: &[&str]) -> Vec<Option<(f64, Option<String>)>> {
        let (reader, _writer) = io::pipe().unwrap();
        let mut pipe = ProgressPipe::new(reader).unwrap();
        let told = lines.iter().map(|line| pipe.take(line.as_bytes()));
        told.map(|told| told.map(|told| (told.fraction(), told.note().map(str::to_owned)))).collect()
    }

    #[tokio::test]
    async fn a_line_is_a_fraction_and_words() {
        let words = Some("two of five".to_owned());
        assert_eq!(told(&["0.4 two of five\n"]), [Some((0.4, words.clone()))]);
        assert_eq!(
            told(&["0.1\n0.4 two", " of five\n", "1\r\n"]),
            [Some((0.1, None)), Some((0.4, words)), Some((1.0, None))]
        );
    }

    #[tokio::test]
    async fn what_is_no_progress_is_passed_over() {
        for line in ["\n", "half\n", "nan\n", "0.5"] {
            assert_eq!(told(&[line]), [None], "{line:?}");
        }
        let flood = "x".repeat(5_000);
        assert_eq!(told(&[&format!("0.2\n0.3 {flood}\n")]), [Some((0.2, None))]);
    }
}
