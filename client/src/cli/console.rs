//! Standard input, output and error, as one thing that a test can replace.

use std::io::{self, BufWriter, IsTerminal, Read, Write};

use serde::Serialize;

use super::Exit;
use super::text::{escape_json, escape_text};

pub(super) struct Console {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    input: Box<dyn Read + Send>,
    pub(super) out_is_terminal: bool,
    pub(super) err_is_terminal: bool,
    /// The first failure to write to `out`.
    failure: Option<io::Error>,
}

impl Console {
    pub(super) fn of_process() -> Self {
        Self {
            out: Box::new(BufWriter::new(io::stdout())),
            err: Box::new(io::stderr()),
            input: Box::new(io::stdin()),
            out_is_terminal: io::stdout().is_terminal(),
            err_is_terminal: io::stderr().is_terminal(),
            failure: None,
        }
    }

    #[cfg(test)]
    pub(super) fn of_test(out: impl Write + Send + 'static, err: impl Write + Send + 'static, input: &str) -> Self {
        Self {
            out: Box::new(out),
            err: Box::new(err),
            input: Box::new(io::Cursor::new(input.to_owned())),
            out_is_terminal: false,
            err_is_terminal: false,
            failure: None,
        }
    }

    /// A line of output. Whatever in it came from others is escaped by the caller.
    pub(super) fn print(&mut self, line: &str) {
        let written = writeln!(self.out, "{line}");
        self.note_failure(written);
    }

    /// Shows at once what has been printed.
    pub(super) fn flush(&mut self) {
        let written = self.out.flush();
        self.note_failure(written);
    }

    fn note_failure(&mut self, written: io::Result<()>) {
        if let Err(error) = written {
            self.failure.get_or_insert(error);
        }
    }

    /// A text that came from others: byte for byte into a file or a pipe, but harmless at a terminal.
    pub(super) fn print_foreign_text(&mut self, text: &str) {
        let line = if self.out_is_terminal { escape_text(text) } else { text.into() };
        self.print(&line);
    }

    /// JSON text that came from others, in the same way.
    pub(super) fn print_foreign_json(&mut self, json: &str) {
        let line = if self.out_is_terminal { escape_json(json) } else { json.into() };
        self.print(&line);
    }

    /// One JSON document.
    pub(super) fn print_json(&mut self, document: &impl Serialize) {
        let json = serde_json::to_string(document).expect("our own documents have a JSON form");
        self.print_foreign_json(&json);
    }

    /// A line for people, on standard error, after what has been printed so far.
    pub(super) fn tell(&mut self, line: &str) {
        self.flush();
        // Nobody is left to be told that this failed.
        let _ = writeln!(self.err, "{line}");
    }

    /// Says what is wrong with the command, in the form that clap has.
    pub(super) fn usage_error(&mut self, what: &str) -> Exit {
        self.tell(&format!("error: {what}"));
        Exit::Usage
    }

    /// All of standard input, up to `max` bytes and one more.
    pub(super) fn read_input(&mut self, max: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.input.by_ref().take(max as u64 + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// What the process exits with when the verb itself would exit with `exit`.
    pub(super) fn finish(mut self, exit: Exit) -> Exit {
        self.flush();
        match self.failure.take() {
            // The reader has seen enough, as `head` does.
            Some(error) if error.kind() == io::ErrorKind::BrokenPipe => exit,
            Some(error) => {
                self.tell(&format!("The output could not be written: {error}."));
                Exit::Output
            }
            None => exit,
        }
    }
}
