//! What is printed, for people and for programs.

use super::*;

const TERMINAL: Place<'static> = Place { input: "", at_terminal: true };

fn is_harmless(text: &str) -> bool {
    text.chars().all(|c| !c.is_control() || c == '\n') && !text.contains('\u{202e}')
}

#[test]
fn nothing_that_others_wrote_reaches_the_terminal_unescaped() {
    let grid = grid();
    let ran = TERMINAL.run(&grid, &["show", "2"]);
    assert!(is_harmless(&ran.out) && is_harmless(&ran.err), "{ran:?}");
    assert!(ran.out.contains(r"evil \u001b[2J \u009b31m text"), "{}", ran.out);
    assert!(ran.out.contains("worker\\u{1b}[1m:6000"), "{}", ran.out);

    let evil = "\u{1b}]0;title\u{7}\u{9b}31m";
    let malicious = FakeDispatcher::start(move |_| vec![json!({"result": evil, "status": "done"})]);
    let ran = TERMINAL.run(&malicious, &["result", "1"]);
    assert!(is_harmless(&ran.out), "{ran:?}");
    let ran = TERMINAL.run(&malicious, &["result", "1", "--output", "json"]);
    assert!(is_harmless(&ran.out), "{ran:?}");
    assert_eq!(serde_json::from_str::<Value>(&ran.out).unwrap()["result"], evil);
    // A file gets the very bytes.
    assert_eq!(run(&malicious, &["result", "1"]).out, format!("{evil}\n"));
}

#[test]
fn a_string_is_printed_bare_and_any_other_value_as_json() {
    for (result, printed) in [
        (json!("text"), "text\n"),
        (json!(""), "\n"),
        (json!(null), "null\n"),
        (json!(false), "false\n"),
        (json!([1, "two"]), "[1,\"two\"]\n"),
        (json!("two\nlines"), "two\nlines\n"),
    ] {
        let dispatcher = FakeDispatcher::start(move |_| vec![json!({"result": result, "status": "done"})]);
        assert_eq!(run(&dispatcher, &["result", "1"]).out, printed);
        assert_eq!(TERMINAL.run(&dispatcher, &["result", "1"]).out, printed);
    }
}

#[test]
fn show_tells_the_past_attempts_and_the_note() {
    let ran = run(&grid(), &["show", "2"]);
    assert_eq!(ran.exit, Exit::Fine);
    for expected in
        ["failed", "no such\\nfile", "(NO_FILE)", "3 of at most 5", "2023-11-14T22:13:22Z", "2.5 s", "It has failed"]
    {
        assert!(ran.out.contains(expected), "no {expected:?} in\n{}", ran.out);
    }
}

#[test]
fn how_far_a_running_task_is_stands_beside_it() {
    let grid = grid();
    let ran = run(&grid, &["show", "5"]);
    let line = ran.out.lines().find(|line| line.trim_start().starts_with("progress")).unwrap();
    assert!(line.trim_end().ends_with(r"40 %  resizing\u{1b}[2J"), "{line:?}");
    assert!(!run(&grid, &["show", "2"]).out.contains("progress"));
    let ran = run(&grid, &["result", "5"]);
    let line = "Task 5 has no result yet: it is running (40 %  resizing\\u{1b}[2J).\n";
    assert_eq!((ran.exit, ran.err.as_str()), (Exit::Unknown, line));
    for verb in ["show", "result"] {
        let ran = run(&grid, &[verb, "5", "--output", "json"]);
        assert_eq!(serde_json::from_str::<Value>(&ran.out).unwrap()["progress"], progress(), "{verb}");
    }
}

#[test]
fn a_list_goes_over_as_many_pages_as_it_takes_and_prints_a_row_a_line() {
    let grid = grid();
    let ran = run(&grid, &["list", "--limit", "130"]);
    assert_eq!(ran.out.lines().count(), 131);
    assert!(ran.out.lines().nth(1).unwrap().starts_with("249  report"), "{}", ran.out);
    assert_eq!(ran.err, "There are older ones: add --before 120.\n");
    let ran = run(&grid, &["list", "--before", "3"]);
    assert_eq!((ran.out.lines().count(), ran.err.as_str()), (3, ""));
    let ran = run(&grid, &["list", "--before", "1"]);
    assert_eq!((ran.exit, ran.out.as_str(), ran.err.as_str()), (Exit::Fine, "", "No such tasks.\n"));
}

#[test]
fn json_output_is_one_document() {
    let grid = grid();
    for (line, field) in [
        (&["list", "--limit", "150"][..], "tasks"),
        (&["show", "2"], "task"),
        (&["workers"], "workers"),
        (&["stats"], "uptime_s"),
        (&["ping"], "version"),
        (&["result", "1"], "result"),
        (&["result", "2"], "error"),
        (&["result", "3"], "status"),
        (&["result", "4"], "status"),
        (&["cancel", "4"], "status"),
        (&["retry", "2"], "status"),
        (&["submit", "reverse", "x"], "task_id"),
        (&["submit", "reverse", "x", "--wait"], "result"),
    ] {
        let ran = run(&grid, &[line, &["--output", "json"]].concat());
        let document: Value = serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{line:?} printed {ran:?}"));
        assert!(document.get(field).is_some(), "{line:?} printed {document}");
        assert_eq!(ran.out.lines().count(), 1);
    }
}

#[test]
fn workers_and_stats_are_tables() {
    let grid = grid();
    let ran = run(&grid, &["workers"]);
    assert_eq!(ran.out.lines().count(), 3);
    assert!(ran.out.contains("reverse,upper") && ran.out.contains("(plain)"), "{}", ran.out);
    let ran = run(&grid, &["stats"]);
    assert!(ran.out.contains("1 min 30 s") && ran.out.contains("10, with 99 entries"), "{}", ran.out);
}

#[test]
fn a_full_disk_behind_the_output_is_no_success() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::from(io::ErrorKind::StorageFull))
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut console = Console::of_test(Full, Page::default(), "");
    console.print("a result");
    assert_eq!(console.finish(Exit::Fine), Exit::Output);
}
