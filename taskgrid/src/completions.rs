//! `taskgrid completions`: what a shell needs to complete our verbs and flags.

use std::io::{self, Write};

use clap::{Args, Command};
use clap_complete::Shell;
use taskgrid_runtime::StartError;

/// Arguments of `taskgrid completions`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Where to put it:
  bash  taskgrid completions bash > ~/.local/share/bash-completion/completions/taskgrid
        for all users: > /usr/share/bash-completion/completions/taskgrid
  zsh   taskgrid completions zsh > ~/.zfunc/_taskgrid
        with this in ~/.zshrc: fpath=(~/.zfunc $fpath); autoload -Uz compinit; compinit
        for all users: > /usr/local/share/zsh/site-functions/_taskgrid
  fish  taskgrid completions fish > ~/.config/fish/completions/taskgrid.fish
        for all users: > /etc/fish/completions/taskgrid.fish
  elvish, powershell: append it to ~/.config/elvish/rc.elv, or to $PROFILE

bash needs the package bash-completion. A new shell has it.")]
pub(crate) struct CompletionsArgs {
    /// For which shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Prints the file for the shell.
pub(crate) fn print(args: &CompletionsArgs, mut command: Command) -> Result<(), StartError> {
    let mut file = Vec::new();
    clap_complete::generate(args.shell, &mut command, "taskgrid", &mut file);
    match io::stdout().write_all(&file) {
        // The reader has seen enough, as `head` does.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| StartError::configuration(format!("cannot write the completions: {error}"))),
    }
}
