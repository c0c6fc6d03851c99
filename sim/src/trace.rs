//! The course of a world as text, and as a hash that tells two courses apart.

use crate::options::Micros;

/// Every event passes here. The text is printed only where somebody wants it.
#[derive(Debug)]
pub struct Trace {
    hash: u64,
    print: bool,
}

impl Default for Trace {
    fn default() -> Self {
        Self { hash: OFFSET, print: false }
    }
}

/// FNV-1a, 64 bits: the trace is compared with itself, not defended against anybody.
const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

impl Trace {
    /// Prints every line from now on.
    pub fn print(&mut self) {
        self.print = true;
    }

    /// The hash of all until now.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// Something that is worth a line for a reader.
    pub fn line(&mut self, at: Micros, text: impl FnOnce() -> String) {
        self.number(at);
        if self.print {
            self.show(at, &text());
        }
    }

    /// A datagram or anything else that is hashed as it is.
    pub fn bytes(&mut self, at: Micros, what: impl FnOnce() -> String, bytes: &[u8]) {
        self.number(at);
        // Eight at a time: a hash of each byte was a third of the run time.
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.number(u64::from_le_bytes(word));
        }
        if self.print {
            let text = String::from_utf8_lossy(bytes);
            self.show(at, &format!("{} {text}", what()));
        }
    }

    fn number(&mut self, number: u64) {
        self.hash = (self.hash ^ number).wrapping_mul(PRIME).rotate_left(23);
    }

    #[expect(clippy::print_stdout, reason = "the trace is what was asked for")]
    #[expect(clippy::unused_self, reason = "printing belongs to the trace")]
    fn show(&self, at: Micros, text: &str) {
        println!("{:>12.6} {text}", std::time::Duration::from_micros(at).as_secs_f64());
    }
}
