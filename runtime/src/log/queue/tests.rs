//! Outputs that fail, that nobody reads, and that recover.

use std::io::{Read, pipe};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;

/// Far beyond what anything takes, since machines under test are busy.
const LONG: Duration = Duration::from_secs(60);

/// Starts a writer; what it has to tell comes out of the receiver.
fn start(output: impl Write + Send + 'static) -> (Arc<Queue>, Receiver<u64>) {
    let queue = Arc::new(Queue::new());
    queue.open();
    let (tell, told) = channel();
    let writer = Arc::clone(&queue);
    std::thread::spawn(move || {
        let words = Arc::clone(&writer);
        writer.write_to(output, move |lines| {
            words.push(format!("{lines} missing\n").as_bytes());
            // An error means that the test is over.
            let _ = tell.send(lines);
        });
    });
    (queue, told)
}

/// Does with each piece what the test says.
struct Scripted {
    written: Sender<Vec<u8>>,
    outcomes: std::vec::IntoIter<io::Result<usize>>,
}

impl Scripted {
    fn new(outcomes: Vec<io::Result<usize>>) -> (Self, Receiver<Vec<u8>>) {
        let (written, seen) = channel();
        (Self { written, outcomes: outcomes.into_iter() }, seen)
    }
}

impl Write for Scripted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.outcomes.next().unwrap_or(Ok(usize::MAX))?.min(bytes.len());
        // An error means that the test is over.
        let _ = self.written.send(bytes[..length].to_vec());
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn text(seen: &Receiver<Vec<u8>>) -> String {
    String::from_utf8(seen.try_iter().flatten().collect()).unwrap()
}

#[test]
fn all_that_was_pushed_is_written_before_a_flush_returns() {
    let (output, seen) = Scripted::new(Vec::new());
    let (queue, _told) = start(output);
    let lines: Vec<String> = (0..10_000).map(|n| format!("line {n}\n")).collect();
    lines.iter().for_each(|line| queue.push(line.as_bytes()));
    queue.flush(LONG);
    assert_eq!(text(&seen), lines.concat());
}

#[test]
fn a_pipe_that_nobody_reads_holds_up_nobody_and_what_is_missing_is_told_once_it_is_read() {
    let (mut reader, writer) = pipe().unwrap();
    let (queue, told) = start(writer);
    let line = [b'x'; 99].into_iter().chain([b'\n']).collect::<Vec<u8>>();
    let pushed = 4 * WAITING_MAX / line.len();
    for _ in 0..pushed {
        queue.push(&line);
    }
    queue.flush(Duration::ZERO);
    assert!(queue.state().waiting.len() <= WAITING_MAX);
    let read = std::thread::spawn(move || {
        let (mut lines, mut bytes) = (0, [0; 4_096]);
        while let Ok(length @ 1..) = reader.read(&mut bytes) {
            lines += bytes[..length].iter().filter(|byte| **byte == b'\n').count();
            if bytes[..length].ends_with(b" missing\n") {
                break;
            }
        }
        lines
    });
    let missing = told.recv_timeout(LONG).unwrap();
    assert!(missing > 0);
    assert_eq!(read.join().unwrap(), pushed - usize::try_from(missing).unwrap() + 1, "each is written or counted");
}

#[test]
fn lines_that_cannot_be_written_are_counted_and_told_when_writing_works_again() {
    let no_space = || Err(io::Error::from_raw_os_error(28));
    let (output, seen) = Scripted::new(vec![no_space(), no_space()]);
    let (queue, told) = start(output);
    for line in ["one\n", "two\n", "three\n"] {
        queue.push(line.as_bytes());
        queue.flush(LONG);
    }
    assert_eq!(told.recv_timeout(LONG), Ok(2));
    queue.flush(LONG);
    assert_eq!(text(&seen), "three\n2 missing\n");
}

#[test]
fn a_line_that_was_cut_off_is_not_continued_by_the_next() {
    let (output, seen) = Scripted::new(vec![Ok(5), Err(io::ErrorKind::StorageFull.into())]);
    let (queue, told) = start(output);
    queue.push(b"one\ntwo\n");
    queue.flush(LONG);
    queue.push(b"three\n");
    assert_eq!(told.recv_timeout(LONG), Ok(1));
    queue.flush(LONG);
    assert_eq!(text(&seen), "one\nt\nthree\n1 missing\n");
}

/// Closed, or with a reader that has ended.
#[test]
fn an_output_that_always_fails_stops_nothing() {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let (queue, told) = start(writer);
    for _ in 0..100 {
        queue.push(b"nobody hears this\n");
        queue.flush(LONG);
    }
    assert_eq!(queue.state().dropped, 100);
    assert!(told.try_recv().is_err());
}

#[test]
fn pieces_end_with_lines() {
    assert_eq!(piece_of(b"one\ntwo\n"), 8);
    assert_eq!(piece_of(b"no end"), 6);
    let long = [[b'x'; PIECE].as_slice(), b"\nrest\n"].concat();
    assert_eq!(piece_of(&long), PIECE + 1, "one that is longer goes whole");
    let many = b"12345\n".repeat(PIECE);
    assert_eq!(piece_of(&many), PIECE / 6 * 6);
}
