//! What a user may type.

use clap::CommandFactory;
use clap::error::ErrorKind;

use super::*;

fn refused(words: &[&str]) -> clap::Error {
    Cli::try_parse_from([&["taskgrid"], words].concat()).unwrap_err()
}

#[test]
fn the_definition_of_the_command_line_holds_together() {
    Cli::command().debug_assert();
}

#[test]
fn mistyped_words_get_the_nearest_right_one() {
    let error = refused(&["sumbit", "reverse", "x"]).to_string();
    assert!(error.contains("'submit'"), "{error}");
    let error = refused(&["submit", "reverse", "x", "--prioritty", "3"]).to_string();
    assert!(error.contains("'--priority'"), "{error}");
    let error = refused(&["list", "--status", "faild"]).to_string();
    assert!(error.contains("'failed'"), "{error}");
}

#[test]
fn impossible_values_are_refused_before_anything_happens() {
    for words in [
        &["submit", "../sh", "x"][..],
        &["submit", "reverse"],
        &["submit", "reverse", "x", "--priority", "101"],
        &["submit", "reverse", "x", "--max-attempts", "0"],
        &["submit", "reverse", "x", "--timeout", "0"],
        &["submit", "reverse", "x", "--delay", "-1"],
        &["submit", "reverse", "x", "--key", ""],
        &["result", "forty-two"],
        &["result", "1", "--wait", "long"],
        &["list", "--limit", "0"],
        &["bench", "--tasks", "0"],
        &["bench", "--in-flight", "many"],
        &["bench", "--in-flight", "65537"],
        &["bench", "--tasks", "5", "--seconds", "5"],
        &["bench", "--seconds", "0"],
        &["bench", "--rate", "0"],
        &["bench", "--rate", "NaN"],
        &["bench", "--payload-bytes", "49153"],
        &["bench", "--preload", "lost:5"],
        &["bench", "--keys", "v1"],
        &["bench", "--directory", "/tmp", "--dispatcher", "127.0.0.1:4000"],
        &["ping", "--deadline", "0"],
        &["stats", "--output", "xml"],
    ] {
        assert_eq!(refused(words).exit_code(), 2, "{words:?}");
    }
}

#[test]
fn every_verb_has_a_help_that_says_what_it_is_for() {
    let mut command = Cli::command();
    command.build();
    for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
        assert!(verb.get_about().is_some(), "{}", verb.get_name());
        for argument in verb.get_arguments() {
            assert!(argument.get_help().is_some(), "{} {}", verb.get_name(), argument.get_id());
        }
    }
    assert_eq!(refused(&["submit", "--help"]).kind(), ErrorKind::DisplayHelp);
}
