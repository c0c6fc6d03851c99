//! A worker that says how images look: of two that look alike, the hashes differ in few bits.
//!
//! ```text
//! taskgrid up
//! cargo run -p taskgrid-worker --example image_hash
//! taskgrid submit image-hash '{"path":"/tmp/photo.ppm"}' --json --wait
//! ```

use std::path::PathBuf;

use serde::Deserialize;
use taskgrid_worker::{Failure, StartError, Task, Worker, init_log};

/// What a client sends: `{"path":"/tmp/photo.ppm"}`, or for a small image `{"text":"P2 3 1 255 0 99 0"}`.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Image {
    Path(PathBuf),
    Text(String),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), StartError> {
    init_log("info");
    Worker::builder().handler("image-hash", image_hash).run().await
}

pub(crate) async fn image_hash(task: Task<Image>) -> Result<String, Failure> {
    // Reading a file and adding up its pixels would hold up the worker's conversation with the grid.
    let hash = tokio::task::spawn_blocking(move || {
        let hash = match &task.payload {
            Image::Path(path) => hash(&std::fs::read(path)?),
            Image::Text(text) => hash(text.as_bytes()),
        };
        hash.ok_or_else(|| Failure::permanent("that is no PGM or PPM image").with_code("BAD_PAYLOAD"))
    });
    hash.await?
}

/// One bit for each of 8 by 8 spots: whether it is darker than the spot to its right (a "dHash").
fn hash(image: &[u8]) -> Option<String> {
    let mut rest = image;
    let kind = word(&mut rest)?;
    let mut number = || std::str::from_utf8(word(&mut rest)?).ok()?.parse::<usize>().ok();
    let (width, height, max) = (number()?, number()?, number()?);
    let channels = if matches!(kind, b"P3" | b"P6") { 3 } else { 1 };
    let count = width.checked_mul(height)?.checked_mul(channels).filter(|count| *count > 0)?;
    let samples: Vec<usize> = match kind {
        b"P2" | b"P3" => (0..count).map_while(|_| number()).collect(),
        b"P5" | b"P6" if max < 256 => rest.iter().map(|byte| usize::from(*byte)).collect(),
        _ => return None,
    };
    let pixels = samples.get(..count)?;
    let brightness = |x: usize, y: usize| {
        let columns = x * width / 9..((x + 1) * width / 9).max(x * width / 9 + 1);
        let rows = y * height / 8..((y + 1) * height / 8).max(y * height / 8 + 1);
        let size = columns.len() * rows.len();
        let row = |y: usize| &pixels[(y * width + columns.start) * channels..(y * width + columns.end) * channels];
        rows.flat_map(row).sum::<usize>() as f64 / size as f64
    };
    let darker = (0..64).map(|bit| brightness(bit % 8, bit / 8) < brightness(bit % 8 + 1, bit / 8));
    Some(format!("{:016x}", darker.fold(0_u64, |hash, darker| hash << 1 | u64::from(darker))))
}

/// The next word that is no comment, taken off together with one white space behind it.
fn word<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    loop {
        let text = rest.trim_ascii_start();
        let comment = text.first()? == &b'#';
        let end = text.iter().position(|b| if comment { *b == b'\n' } else { b.is_ascii_whitespace() });
        let (word, behind) = text.split_at(end.unwrap_or(text.len()));
        *rest = behind.get(1..).unwrap_or_default();
        if !comment {
            return Some(word);
        }
    }
}
