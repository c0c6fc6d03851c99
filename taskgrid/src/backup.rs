//! `taskgrid backup`: a copy of the database, also while the dispatcher runs.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use taskgrid_client::cli::OutputArgs;
use taskgrid_dispatcher::store::{BackedUp, BackupStep, back_up};
use taskgrid_runtime::StartError;

/// Arguments of `taskgrid backup`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
The copy holds every task that was acknowledged before it began. FILE is there once the
copy is whole, checked and on stable storage; a copy that was interrupted leaves
FILE.partial, which the next one to FILE uses. How to restore it stands in docs/SQL.md.

Examples:
  taskgrid backup monday.db                         of ./taskgrid.db
  taskgrid backup /mnt/b/tasks.db --database /var/lib/taskgrid/tasks.db

Exit codes:
  0   the copy is there
  2   wrong usage, or FILE exists already
  65  the database is damaged, or not one of taskgrid
  70  there is not enough space, or a disk failed
  75  another backup writes FILE, or another program keeps the database locked")]
pub(crate) struct BackupArgs {
    /// The copy; it must not exist
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The SQLite file that holds the tasks
    #[arg(long, value_name = "FILE", default_value = "taskgrid.db", env = "TASKGRID_DATABASE")]
    database: PathBuf,
    #[command(flatten)]
    output: OutputArgs,
}

/// What `--output json` prints.
#[derive(Serialize)]
struct Document {
    file: PathBuf,
    tasks: u64,
    bytes: u64,
}

pub(crate) fn run(args: BackupArgs) -> Result<(), StartError> {
    let bar = progress_bar();
    let done = back_up(&args.database, &args.file, |step| match step {
        BackupStep::Copied(bytes, of) => {
            bar.set_length(of);
            bar.set_position(bytes);
        }
        BackupStep::Checking => bar.set_message("checking"),
    });
    bar.finish_and_clear();
    let BackedUp { tasks, bytes } = done?;
    let line = if args.output.wants_json() {
        let document = Document { file: args.file, tasks, bytes };
        // Only a name that is no text has no JSON form; the copy is there all the same.
        serde_json::to_string(&document).unwrap_or_else(|_| format!("{{\"tasks\":{tasks},\"bytes\":{bytes}}}"))
    } else {
        let plural = if tasks == 1 { "" } else { "s" };
        format!("{}: {tasks} task{plural}, {}", args.file.display(), size(bytes))
    };
    // The copy is there, whether or not somebody reads it.
    let _ = writeln!(std::io::stdout(), "{line}");
    Ok(())
}

/// A bar at a terminal, nothing elsewhere.
fn progress_bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let template = "{wide_bar} {bytes}/{total_bytes}  {bytes_per_sec}  {msg}";
    let style = ProgressStyle::with_template(template).expect("the template is well-formed");
    ProgressBar::new(0).with_style(style)
}

fn size(bytes: u64) -> String {
    match bytes {
        0..0x10_0000 => format!("{} KiB", bytes.div_ceil(0x400)),
        _ => format!("{} MiB", bytes.div_ceil(0x10_0000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_in_whole_units() {
        assert_eq!([0, 73_728, 1 << 20, (3 << 30) + 1].map(size), ["0 KiB", "72 KiB", "1 MiB", "3073 MiB"]);
    }
}
