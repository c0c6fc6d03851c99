//! What a process writes, read to its end and kept within bounds, so that neither side is ever stuck.

use tokio::io::{AsyncRead, AsyncReadExt};

/// A pipe holds 64 KiB at most.
const CHUNK: usize = 8 * 1024;

/// The beginning of an output.
#[derive(Debug)]
pub(super) struct Head {
    bytes: Vec<u8>,
    max: usize,
    overflowed: bool,
}

impl Head {
    pub(super) fn new(max: usize) -> Self {
        Self { bytes: Vec::new(), max, overflowed: false }
    }

    pub(super) async fn read(&mut self, pipe: Option<impl AsyncRead + Unpin>) {
        each_chunk(pipe, |chunk| {
            let room = self.max - self.bytes.len();
            self.overflowed |= chunk.len() > room;
            self.bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
        })
        .await;
    }

    /// All of it; `None` when it was longer than what is kept.
    pub(super) fn whole(&self) -> Option<&[u8]> {
        (!self.overflowed).then_some(&self.bytes)
    }
}

/// The end of an output.
#[derive(Debug)]
pub(super) struct Tail {
    bytes: Vec<u8>,
    max: usize,
}

impl Tail {
    pub(super) fn new(max: usize) -> Self {
        Self { bytes: Vec::new(), max }
    }

    pub(super) async fn read(&mut self, pipe: Option<impl AsyncRead + Unpin>) {
        each_chunk(pipe, |chunk| {
            self.bytes.extend_from_slice(chunk);
            let surplus = self.bytes.len().saturating_sub(self.max);
            self.bytes.drain(..surplus);
        })
        .await;
    }

    /// As text, without white space around it.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).trim().to_owned()
    }
}

/// A pipe that fails has ended.
async fn each_chunk(pipe: Option<impl AsyncRead + Unpin>, mut keep: impl FnMut(&[u8])) {
    let Some(mut pipe) = pipe else { return };
    let mut chunk = vec![0; CHUNK];
    while let Ok(length @ 1..) = pipe.read(&mut chunk).await {
        keep(&chunk[..length]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn the_head_keeps_up_to_its_limit_and_knows_when_there_was_more() {
        for (max, whole) in [(10, true), (9, false)] {
            let mut head = Head::new(max);
            head.read(Some(&b"0123456789"[..])).await;
            assert_eq!(head.whole().is_some(), whole);
            assert_eq!(head.bytes.len(), max);
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn the_tail_keeps_the_end() {
        let mut tail = Tail::new(5);
        tail.read(Some(&b"the last words\n"[..])).await;
        assert_eq!(tail.text(), "ords");
    }
}
