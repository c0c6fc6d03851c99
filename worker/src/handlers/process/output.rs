//! What a process writes, read to its end and kept within bounds, so that neither side is ever stuck.

use std::os::fd::AsFd;

use tokio::io::{AsyncRead, AsyncReadExt};

/// A pipe holds 64 KiB at most; most handlers write less than this.
const CHUNK: usize = 4 * 1024;

/// The beginning of an output.
#[derive(Debug)]
pub(in crate::handlers) struct Head {
    bytes: Vec<u8>,
    max: usize,
    overflowed: bool,
}

impl Head {
    pub(in crate::handlers) fn new(max: usize) -> Self {
        Self { bytes: Vec::new(), max, overflowed: false }
    }

    /// Reads to the end, or until there is more than is kept. Then the pipe is closed, which ends most programs
    /// that write on. Returns whether there was more.
    pub(in crate::handlers) async fn read(&mut self, pipe: &mut Option<impl AsyncRead + Unpin>) -> bool {
        each_chunk(pipe, |chunk| {
            let room = self.max - self.bytes.len();
            self.overflowed |= chunk.len() > room;
            self.bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
            !self.overflowed
        })
        .await;
        pipe.take();
        self.overflowed
    }

    pub(in crate::handlers) fn overflowed(&self) -> bool {
        self.overflowed
    }

    pub(in crate::handlers) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// The end of an output.
#[derive(Debug)]
pub(in crate::handlers) struct Tail {
    bytes: Vec<u8>,
    max: usize,
}

impl Tail {
    pub(in crate::handlers) fn new(max: usize) -> Self {
        Self { bytes: Vec::new(), max }
    }

    /// Reads to the end.
    pub(in crate::handlers) async fn read(&mut self, pipe: &mut Option<impl AsyncRead + Unpin>) {
        each_chunk(pipe, |chunk| {
            self.keep(chunk);
            true
        })
        .await;
    }

    fn keep(&mut self, chunk: &[u8]) {
        self.bytes.extend_from_slice(chunk);
        let surplus = self.bytes.len().saturating_sub(self.max);
        self.bytes.drain(..surplus);
    }

    /// Reads what is there, whatever tokio knows of it yet.
    pub(in crate::handlers) fn read_ready(&mut self, pipe: &Option<impl AsFd>) {
        let Some(pipe) = pipe else { return };
        let mut chunk = [0; CHUNK];
        // It does not block: the pipe is one of tokio's.
        while let Ok(length @ 1..) = rustix::io::read(pipe.as_fd(), &mut chunk) {
            self.keep(&chunk[..length]);
        }
    }

    /// Forgets what was read.
    pub(in crate::handlers) fn clear(&mut self) {
        self.bytes.clear();
    }

    /// As text, without white space around it.
    pub(in crate::handlers) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).trim().to_owned()
    }
}

/// Reads until the end, or until `keep` has enough. A pipe that fails has ended.
async fn each_chunk(pipe: &mut Option<impl AsyncRead + Unpin>, mut keep: impl FnMut(&[u8]) -> bool) {
    let Some(pipe) = pipe else { return };
    let mut chunk = [0; CHUNK];
    while let Ok(length @ 1..) = pipe.read(&mut chunk).await {
        if !keep(&chunk[..length]) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn the_head_keeps_up_to_its_limit_and_knows_when_there_was_more() {
        for (max, overflowed) in [(10, false), (9, true)] {
            let mut head = Head::new(max);
            head.read(&mut Some(&b"0123456789"[..])).await;
            assert_eq!(head.overflowed(), overflowed);
            assert_eq!(head.bytes().len(), max);
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn the_tail_keeps_the_end() {
        let mut tail = Tail::new(5);
        tail.read(&mut Some(&b"the last words\n"[..])).await;
        assert_eq!(tail.text(), "ords");
        tail.clear();
        assert_eq!(tail.text(), "");
    }
}
