//! docs/OPERATIONS.md is true: it has every flag of the daemons, and no other.

use std::collections::BTreeMap;

use clap::{Arg, Command, CommandFactory};

use super::Cli;

const DOCUMENT: &str = include_str!("../../docs/OPERATIONS.md");

/// The flag with the name of its value; variable and default, where it has one that is the same on each machine.
type Flag = (String, (Option<String>, Option<String>));

/// The rows of the table below `### VERB`.
fn documented(verb: &str) -> BTreeMap<String, (Option<String>, Option<String>)> {
    let section = DOCUMENT.split("\n### ").find_map(|section| section.strip_prefix(&format!("{verb}\n")));
    let section = section.unwrap_or_else(|| panic!("docs/OPERATIONS.md has no heading '### {verb}'"));
    let rows = section.lines().filter(|line| line.starts_with("| `--"));
    let row = |line: &str| -> Flag {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [flag, variable, default, asks] = cells.as_slice() else { panic!("not four cells: {line}") };
        assert!(!asks.is_empty(), "nothing is said of {flag}");
        (quoted(flag).unwrap_or_else(|| panic!("no flag: {line}")), (quoted(variable), quoted(default)))
    };
    rows.map(row).collect()
}

/// What stands in a cell as code; a dash or words are no value.
fn quoted(cell: &str) -> Option<String> {
    cell.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')).map(str::to_owned)
}

fn real(verb: &Command) -> BTreeMap<String, (Option<String>, Option<String>)> {
    let flags = verb.get_arguments().filter(|arg| !matches!(arg.get_id().as_str(), "help" | "version"));
    flags.map(flag).collect()
}

fn flag(arg: &Arg) -> Flag {
    let text = |value: &std::ffi::OsStr| value.to_str().expect("flags are text").to_owned();
    let name = arg.get_long().expect("the daemons have flags alone");
    let value = arg.get_value_names().and_then(|names| names.first()).expect("each has a value");
    // That of --concurrency depends on the machine, and is told in words.
    let default = arg.get_default_values().first().filter(|_| name != "concurrency");
    (format!("--{name} {value}"), (arg.get_env().map(text), default.map(|value| text(value))))
}

#[test]
fn operations_has_every_flag_with_its_variable_and_default() {
    let mut command = Cli::command();
    command.build();
    for name in ["dispatcher", "nameservice", "worker", "up"] {
        let verb = command.find_subcommand(name).expect("a verb");
        assert_eq!(documented(name), real(verb), "docs/OPERATIONS.md, section {name}, and taskgrid {name} --help");
    }
}

#[test]
fn operations_has_every_exit_code_of_the_daemons() {
    use taskgrid_runtime::Exit;

    for exit in [Exit::Configuration, Exit::Corrupt, Exit::Unavailable, Exit::Disk, Exit::InUse] {
        // A code that is new must come here, too.
        let code = match exit {
            Exit::Configuration | Exit::Corrupt | Exit::Unavailable | Exit::Disk | Exit::InUse => exit as u8,
        };
        assert!(DOCUMENT.contains(&format!("\n| {code} | ")), "{exit:?}, {code}, is missing");
    }
}

/// The codes of errors of the system, in the rows of their exit codes.
#[test]
fn operations_has_every_error_number_that_decides_an_exit_code() {
    use taskgrid_runtime::Exit;

    let section = DOCUMENT.split("| code | error numbers |\n").nth(1).and_then(|rest| rest.split("\n\n").next());
    let rows = section.expect("the table is there").lines().skip(1);
    let documented = rows.map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        (cells[0].to_owned(), cells[1].split(", ").filter_map(quoted).collect::<Vec<_>>())
    });
    let real = [Exit::Configuration, Exit::Unavailable, Exit::Disk, Exit::InUse]
        .map(|exit| ((exit as u8).to_string(), exit.refusals().map(str::to_owned).collect::<Vec<_>>()));
    assert_eq!(documented.collect::<Vec<_>>(), real);
    assert_eq!(Exit::Corrupt.refusals().count(), 0);
}
