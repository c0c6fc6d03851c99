//! What the program writes for shells and for `man`.

use std::process::{Command, Stdio};

use crate::processes::{is_installed, skipped, taskgrid};

fn out(args: &[&str]) -> String {
    let output = taskgrid().args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// As `--help` lists them.
fn verbs() -> Vec<String> {
    let help = out(&["--help"]);
    let list = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let entries = list.lines().filter_map(|line| line.strip_prefix("  ")).filter(|line| !line.starts_with(' '));
    let verbs = entries.filter_map(|line| line.split_whitespace().next()).filter(|verb| *verb != "help");
    verbs.map(str::to_owned).collect()
}

#[test]
fn every_verb_has_a_page_of_the_manual() {
    let dir = tempfile::tempdir().unwrap();
    let pages = dir.path().join("share/man/man1");
    out(&["man", pages.to_str().unwrap()]);
    let page = |name: &str| std::fs::read_to_string(pages.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let verbs = verbs();
    assert!(verbs.len() > 14 && verbs.iter().any(|verb| verb == "submit"), "{verbs:?}");
    let program = page("taskgrid.1");
    for verb in &verbs {
        assert!(page(&format!("taskgrid-{verb}.1")).contains(&format!("taskgrid {verb}")), "{verb}");
        assert!(program.contains(&format!("taskgrid\\-{verb}(1)")), "{verb} is missing in the page of the program");
    }
    assert_eq!(std::fs::read_dir(&pages).unwrap().count(), verbs.len() + 1);
    let worker = page("taskgrid-worker.1");
    assert!(worker.contains("TASKGRID_CONCURRENCY") && worker.contains("4 for each processor core"), "{worker}");
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let output = taskgrid().args(["man", "/dev/null/man1"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("/dev/null/man1"), "{output:?}");
}

#[test]
fn man_finds_no_fault_with_the_pages() {
    if !is_installed("groff") {
        return skipped("groff");
    }
    let dir = tempfile::tempdir().unwrap();
    out(&["man", dir.path().to_str().unwrap()]);
    for page in std::fs::read_dir(dir.path()).unwrap() {
        let page = page.unwrap().path();
        let output = Command::new("groff").args(["-man", "-Tutf8", "-Kutf8", "-ww", "-z"]).arg(&page).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{}: {output:?}", page.display());
    }
}

#[test]
fn shells_accept_their_completions() {
    for shell in ["bash", "zsh", "fish"] {
        let file = out(&["completions", shell]);
        for verb in verbs() {
            assert!(file.contains(&verb), "{shell} does not complete {verb}");
        }
        if !is_installed(shell) {
            skipped(shell);
            continue;
        }
        let mut check = Command::new(shell).arg("-n").stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(&mut check.stdin.take().unwrap(), file.as_bytes()).unwrap();
        let checked = check.wait_with_output().unwrap();
        assert!(checked.status.success() && checked.stderr.is_empty(), "{shell}: {checked:?}");
    }
}

/// The very thing that somebody wants: a word, and what the shell makes of it.
#[test]
fn bash_completes_a_verb_and_a_flag() {
    if !is_installed("bash") {
        return skipped("bash");
    }
    let file = out(&["completions", "bash"]);
    for (words, current, expected) in
        [("taskgrid nam", 1, "nameservice"), ("taskgrid worker --conc", 2, "--concurrency")]
    {
        let script = format!(
            "{file}\nCOMP_WORDS=({words}); COMP_CWORD={current}; _taskgrid taskgrid \"${{COMP_WORDS[{current}]}}\" \
             \"${{COMP_WORDS[{current}-1]}}\"; echo \"${{COMPREPLY[@]}}\""
        );
        let output = Command::new("bash").args(["--norc", "-c", &script]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(said.trim_end(), expected, "{words}: {output:?}");
    }
}
