//! `taskgrid man`: the help of every verb as a page of the manual.

use std::path::PathBuf;
use std::{fs, io};

use clap::{Args, Command};
use clap_mangen::Man;
use taskgrid_runtime::StartError;

/// Arguments of `taskgrid man`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Where to put them:
  taskgrid man ~/.local/share/man/man1     for yourself; 'man taskgrid' then finds them
  taskgrid man /usr/local/share/man/man1   for all users

There is a page for each verb: man taskgrid-submit. Pages of an older version are overwritten.")]
pub(crate) struct ManArgs {
    /// The directory to write the pages to; made if it is not there
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

/// Writes a page for the program and one for each verb.
pub(crate) fn write(args: &ManArgs, command: Command) -> Result<(), StartError> {
    // Clap would document its own verb `help`, too.
    let mut command = of_no_machine(command).disable_help_subcommand(true);
    command.build();
    let written = fs::create_dir_all(&args.directory).and_then(|()| {
        std::iter::once(&command).chain(command.get_subcommands()).try_for_each(|verb| {
            let page = Man::new(verb.clone()).source(concat!("taskgrid ", env!("TASKGRID_VERSION")));
            fs::write(args.directory.join(page.get_filename()), rendered(&page)?)
        })
    });
    written.map_err(|error| {
        StartError::configuration(format!(
            "cannot write pages to {}: {error}; name a directory that you may write to",
            args.directory.display()
        ))
    })
}

/// Examples and exit codes are tables made of spaces, which the manual would fill and justify.
fn rendered(page: &Man) -> io::Result<String> {
    let mut bytes = Vec::new();
    page.render(&mut bytes)?;
    let text = String::from_utf8(bytes).map_err(io::Error::other)?;
    Ok(text.replace(".SH EXTRA\n", ".SH MORE\n.nf\n").replace(".SH VERSION\n", ".fi\n.SH VERSION\n"))
}

/// Without the default that depends on the processors of this machine: pages are read on others.
fn of_no_machine(command: Command) -> Command {
    command.mut_subcommand("worker", |worker| {
        worker.mut_arg("concurrency", |arg| {
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            arg.hide_default_value(true).help(format!("{help} [default: 4 for each processor core]"))
        })
    })
}
