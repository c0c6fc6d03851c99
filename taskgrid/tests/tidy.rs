//! Reads the sources and holds the architecture that ARCHITECTURE.md describes. What the compiler and clippy
//! can hold stands in Cargo.toml and clippy.toml; here is the rest. Every failure names the place and the remedy.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops there")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Whom each package may import, of ours. Roles never import each other.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("protocol", &[]),
    ("runtime", &["protocol"]),
    ("dispatcher", &["protocol", "runtime"]),
    ("nameservice", &["protocol", "runtime"]),
    ("worker", &["protocol", "runtime"]),
    ("client", &["protocol", "runtime"]),
    ("taskgrid", &["protocol", "runtime", "dispatcher", "nameservice", "worker", "client"]),
    ("sim", &["protocol", "dispatcher", "nameservice", "worker", "client"]),
    ("fuzz", &["protocol", "dispatcher", "nameservice", "worker", "client"]),
    ("fuzz/targets", &["fuzz"]),
    ("bench/compare/load", &[]),
];

/// What a machine is told or asks for as an effect, and never does itself.
const IMPURE: &[&str] = &[
    "tokio",
    "rusqlite",
    "r2d2",
    "taskgrid_runtime",
    "crate::daemon",
    "std::fs",
    "std::io",
    "std::env",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "Instant",
    "SystemTime",
    "chrono",
    "UdpSocket",
    "TcpStream",
    "TcpListener",
    "OsRng",
    "from_os_rng",
    "getrandom",
    "thread_rng",
    "HashMap",
    "HashSet",
    "Mutex",
    "RwLock",
    "static mut",
    "println!",
    "eprintln!",
];

/// How sockets come into being.
const BINDS: &[&str] =
    &["UdpSocket::bind", "TcpListener::bind", "Socket::new", "UnixDatagram::bind", "UnixDatagram::unbound"];

/// A file above this holds more than one idea.
const LINES_MAX: usize = 400;

/// Files above it, each with its reason and the length that it may not exceed. Make these shorter, never longer.
const LONG_FILES: &[(&str, usize, &str)] = &[
    ("ARCHITECTURE.md", 250, "a map, not a territory"),
    ("CONTRIBUTING.md", 120, "read before the first change"),
    ("sdk/python/taskgrid.py", 530, "one file, to be copied beside a program"),
];

#[test]
fn machines_and_the_protocol_are_pure() {
    let mut problems = Vec::new();
    for file in
        rust_files().filter(|file| file.path.starts_with("protocol/src/") || file.path.contains("/src/machine/"))
    {
        for (number, word) in occurrences(&file.text, IMPURE) {
            problems.push(format!(
                "{}:{number}: `{word}`: a machine is told the time and the chance, and asks for all else as an effect; \
                 move this to the daemon or to runtime",
                file.path
            ));
        }
    }
    report(&problems);
}

#[test]
fn stores_know_neither_machine_nor_daemon() {
    let mut problems = Vec::new();
    for file in rust_files().filter(|file| file.path.contains("/src/store/")) {
        for (number, word) in occurrences(&file.text, &["crate::machine", "crate::daemon"]) {
            problems.push(format!("{}:{number}: `{word}`: a store is used, and knows nobody who uses it", file.path));
        }
    }
    report(&problems);
}

#[test]
fn roles_share_only_protocol_and_runtime() {
    let mut problems = Vec::new();
    for file in files().into_iter().filter(|file| file.path.ends_with("/Cargo.toml")) {
        let package = file.path.trim_end_matches("/Cargo.toml");
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == package) else {
            problems.push(format!("{}: MAY_IMPORT in tidy.rs does not say whom this package may import", file.path));
            continue;
        };
        for (number, line) in lines(&file.text) {
            let Some(rest) = line.strip_prefix("taskgrid-") else { continue };
            let imported = rest.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
            if !allowed.contains(&imported) {
                problems.push(format!(
                    "{}:{number}: {package} imports {imported}; move what both need to protocol or runtime",
                    file.path
                ));
            }
        }
    }
    report(&problems);
}

#[test]
fn only_runtime_binds_sockets() {
    let mut problems = Vec::new();
    for file in rust_files().filter(|file| !file.path.starts_with("runtime/src/") && !file.is_test()) {
        for (number, word) in occurrences(&file.text, BINDS) {
            problems.push(format!("{}:{number}: `{word}`: use taskgrid_runtime::bind", file.path));
        }
    }
    report(&problems);
}

#[test]
fn every_cited_rule_has_a_heading_in_the_protocol_document() {
    let headings: BTreeSet<String> = read("docs/PROTOCOL.md")
        .lines()
        .filter(|line| line.starts_with('#'))
        .flat_map(|line| rules(line).collect::<Vec<_>>())
        .collect();
    let mut problems = Vec::new();
    for file in files() {
        for (number, line) in lines(&file.text) {
            let comment =
                if file.path.ends_with(".rs") { line.split_once("//").map_or("", |(_, text)| text) } else { line };
            for rule in rules(comment).filter(|rule| !headings.contains(rule)) {
                problems.push(format!("{}:{number}: {rule} has no heading in docs/PROTOCOL.md", file.path));
            }
        }
    }
    report(&problems);
}

/// Who runs it meets a warning or an error for the first time when something is wrong.
#[test]
fn operators_are_told_of_every_line_of_the_log_that_warns() {
    let document = read("docs/OPERATIONS.md");
    let mut problems = Vec::new();
    // The client's library tells its caller, not an operator.
    for file in rust_files().filter(|file| !file.is_test() && !file.path.starts_with("client/")) {
        for at in ["tracing::warn!(", "tracing::error!("].iter().flat_map(|call| file.text.match_indices(call)) {
            let said = file.text[at.0..].split('"').nth(1).unwrap_or_default().replace("\\\n", " ");
            let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
            // What stands between the values, up to an explanation. Shorter words stand in many lines.
            let parts = said.split('{').map(|part| part.split_once('}').map_or(part, |(_, words)| words));
            let words = parts.map(|part| part.split([':', ';']).next().unwrap_or_default());
            let words = words.map(|words| words.trim_matches(|c: char| !c.is_alphanumeric()));
            for words in words.filter(|words| words.len() >= 12 && !document.contains(words)) {
                problems.push(format!("{}: '{words}' is missing in docs/OPERATIONS.md, with what to do", file.path));
            }
        }
    }
    report(&problems);
}

#[test]
fn files_are_short() {
    let mut problems = Vec::new();
    for file in files().into_iter().filter(|file| file.is_code() || LONG_FILES.iter().any(|entry| entry.0 == file.path))
    {
        let length = file.text.lines().count();
        let listed = LONG_FILES.iter().find(|(path, ..)| *path == file.path);
        let max = listed.map_or(LINES_MAX, |(_, max, _)| *max);
        if length > max {
            problems.push(format!("{}: {length} lines, and {max} are the most; split it by ideas", file.path));
        } else if listed.is_some() && file.is_code() && length <= LINES_MAX {
            problems.push(format!("{}: short enough now; take it off LONG_FILES in tidy.rs", file.path));
        }
    }
    report(&problems);
}

#[test]
fn nothing_is_put_off() {
    // In parts, since this file is read too.
    let words = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), concat!("#[", "ignore")];
    let mut problems = Vec::new();
    for file in files() {
        for (number, line) in lines(&file.text) {
            for word in words.iter().filter(|word| contains_word(line, word)) {
                problems.push(format!("{}:{number}: `{word}`: do it now, or leave it out", file.path));
            }
        }
    }
    report(&problems);
}

#[test]
fn links_in_documents_lead_somewhere() {
    let mut problems = Vec::new();
    for file in files().into_iter().filter(|file| file.path.ends_with(".md")) {
        for (number, line) in lines(&file.text) {
            for link in line.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link) {
                if let Some(problem) = broken(&file.path, link) {
                    problems.push(format!("{}:{number}: {link}: {problem}", file.path));
                }
            }
        }
    }
    report(&problems);
}

fn broken(document: &str, link: &str) -> Option<String> {
    if link.contains("://") {
        return None;
    }
    let (path, anchor) = link.split_once('#').map_or((link, None), |(path, anchor)| (path, Some(anchor)));
    let target = match path {
        "" => root().join(document),
        path => root().join(document).parent()?.join(path),
    };
    if !target.exists() {
        return Some("there is no such file".to_owned());
    }
    let anchor = anchor?;
    let text = fs::read_to_string(target).unwrap();
    let found = text.lines().filter(|line| line.starts_with('#')).any(|line| slug(line) == anchor);
    (!found).then(|| format!("no heading there is called '{anchor}'"))
}

/// What a heading is called in a link.
fn slug(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// The rules that a text names, such as R5 or R24a.
fn rules(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| is_rule(word)).map(str::to_owned)
}

fn is_rule(word: &str) -> bool {
    let number = word.strip_prefix('R').map(|rest| rest.trim_end_matches('a')).unwrap_or_default();
    !number.is_empty() && number.len() <= 2 && number.chars().all(|c| c.is_ascii_digit())
}

/// Where `words` stand in code, comments left out.
fn occurrences<'w>(text: &str, words: &[&'w str]) -> Vec<(usize, &'w str)> {
    let mut found = Vec::new();
    for (number, line) in lines(text) {
        let code = line.split("//").next().unwrap_or_default();
        found.extend(words.iter().filter(|word| contains_word(code, word)).map(|word| (number, *word)));
    }
    found
}

/// Whether `word` stands in `line` and is not a part of a longer one.
fn contains_word(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

#[test]
fn the_search_finds_words_in_code_alone() {
    let text = "use std::time::Duration;\nlet at = Instant::now(); // no HashMap\nstruct Instantly;\n// tokio\n";
    assert_eq!(occurrences(text, IMPURE), [(2, "Instant")]);
    assert_eq!(rules("(R12, R24a) but not R, R1x, CR2 or R100").collect::<Vec<_>>(), ["R12", "R24a"]);
    assert_eq!(slug("## R5. Re-sending, by `every` side"), "r5-re-sending-by-every-side");
}

struct File {
    /// From the root of the repository.
    path: String,
    text: String,
}

impl File {
    fn is_code(&self) -> bool {
        self.path.ends_with(".rs") || self.path.ends_with(".py")
    }

    fn is_test(&self) -> bool {
        let path = &self.path;
        path.contains("/tests/")
            || path.contains("/examples/")
            || path.ends_with("/tests.rs")
            || path.ends_with("/testing.rs")
    }
}

fn rust_files() -> impl Iterator<Item = File> {
    files().into_iter().filter(|file| file.path.ends_with(".rs"))
}

/// Every text file that people write here.
fn files() -> Vec<File> {
    let mut files = Vec::new();
    collect(&root(), &mut files);
    assert!(files.len() > 50, "this test has lost its sources");
    files
}

fn collect(directory: &Path, files: &mut Vec<File>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && !matches!(name.as_str(), "target" | ".git" | "__pycache__") {
            collect(&path, files);
        } else if ["rs", "toml", "md", "py", "sql", "yml"].iter().any(|kind| name.ends_with(&format!(".{kind}"))) {
            let text = fs::read_to_string(&path).unwrap();
            let path = path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/");
            files.push(File { path, text });
        }
    }
}

fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn report(problems: &[String]) {
    assert!(problems.is_empty(), "\n\n{}\n", problems.join("\n"));
}
