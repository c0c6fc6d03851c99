//! Which files of a directory become types.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use taskgrid_protocol::TaskType;
use taskgrid_runtime::Exit;
use tempfile::TempDir;

use crate::handlers::directory::{Directory, Program, Scan, Skipped, find_python};
use crate::handlers::executable::Speech;
use crate::handlers::process::Bounds;
use crate::handlers::{Handler, Registry, Room};

use super::warden;

/// A directory with these files, each with its mode.
fn directory(files: &[(&str, u32)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, mode) in files {
        put(dir.path(), name, *mode);
    }
    dir
}

fn put(dir: &Path, name: impl AsRef<OsStr>, mode: u32) {
    let file = dir.join(name.as_ref());
    fs::write(&file, "def handle(payload): pass\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
}

fn scan(dir: &Path) -> Scan {
    // What cannot be asked finds no fault with any file.
    Directory::open(dir, Some("/nowhere/python3".into()), warden()).unwrap().scan().unwrap()
}

fn found(scan: &Scan) -> Vec<&str> {
    scan.programs.keys().map(TaskType::as_str).collect()
}

fn why(scan: &Scan, name: &str) -> Skipped {
    scan.skipped[OsStr::new(name)].clone()
}

#[test]
fn python_files_and_executables_are_types() {
    let dir = directory(&[("reverse.py", 0o644), ("image.resize.py", 0o755), ("thumbnail", 0o755)]);
    let scan = scan(dir.path());
    assert_eq!(found(&scan), ["image.resize", "reverse", "thumbnail"]);
    let programs: Vec<&Program> = scan.programs.values().collect();
    assert!(matches!(programs[0], Program::Python { .. }), "even if it is executable");
    assert!(matches!(programs[2], Program::Executable { speech: Speech::Json, .. }));
    assert!(scan.skipped.is_empty());
}

#[test]
fn what_is_not_meant_or_not_safe_to_be_run_is_skipped_with_a_reason() {
    let dir = directory(&[
        ("notes.txt", 0o644),
        (".hidden.py", 0o644),
        ("_helpers.py", 0o644),
        ("-rf", 0o755),
        ("two words.py", 0o644),
        ("open.py", 0o666),
        ("open", 0o757),
        ("x", 0o755),
        ("x.py", 0o644),
    ]);
    fs::create_dir(dir.path().join("__pycache__")).unwrap();
    let scan = scan(dir.path());
    assert_eq!(found(&scan), ["x"]);
    assert_eq!(why(&scan, "notes.txt"), Skipped::NotRunnable);
    assert_eq!(why(&scan, ".hidden.py"), Skipped::Hidden);
    assert_eq!(why(&scan, "_helpers.py"), Skipped::Private);
    assert!(scan.sources.contains_key(OsStr::new("_helpers.py")), "others may import it");
    assert_eq!(why(&scan, "-rf"), Skipped::NotAName);
    assert_eq!(why(&scan, "two words.py"), Skipped::NotAName);
    assert_eq!(why(&scan, "open.py"), Skipped::Writable);
    assert_eq!(why(&scan, "open"), Skipped::Writable);
    assert_eq!(why(&scan, "x.py"), Skipped::Doubled);
    assert_eq!(scan.skipped.len(), 8, "directories are passed over in silence");
}

#[test]
fn links_may_not_lead_out_of_the_directory() {
    let outside = directory(&[("secret", 0o755)]);
    let dir = directory(&[("inside", 0o755)]);
    symlink("inside", dir.path().join("alias")).unwrap();
    symlink(outside.path().join("secret"), dir.path().join("secret")).unwrap();
    symlink("/bin/sh", dir.path().join("sh")).unwrap();
    symlink("nowhere", dir.path().join("dangling")).unwrap();
    let scan = scan(dir.path());
    assert_eq!(found(&scan), ["alias", "inside"]);
    for name in ["secret", "sh", "dangling"] {
        assert_eq!(why(&scan, name), Skipped::Outside);
    }
}

#[test]
fn names_that_are_no_text_are_skipped() {
    let dir = directory(&[]);
    put(dir.path(), OsStr::from_bytes(b"\xff.py"), 0o644);
    let scan = scan(dir.path());
    assert!(scan.programs.is_empty());
    assert_eq!(scan.skipped.values().collect::<Vec<_>>(), [&Skipped::NotAName]);
}

#[test]
fn without_python_its_files_are_no_types() {
    let dir = directory(&[("reverse.py", 0o644), ("thumbnail", 0o755)]);
    let scan = Directory::open(dir.path(), None, warden()).unwrap().scan().unwrap();
    assert_eq!(found(&scan), ["thumbnail"]);
    assert_eq!(why(&scan, "reverse.py"), Skipped::NoPython);
}

#[test]
fn the_number_of_types_is_bounded() {
    let dir = directory(&[]);
    for number in 0..802 {
        put(dir.path(), format!("type-{number:03}.py"), 0o644);
    }
    let scan = scan(dir.path());
    assert_eq!(scan.programs.len(), 800);
    assert_eq!(why(&scan, "type-801.py"), Skipped::TooMany);
}

const ROOM: Room = Room { slots: 2, idle: 4, bounds: Bounds { memory: 1 << 30, processes: 100 } };

fn types(names: &[&str]) -> Vec<TaskType> {
    names.iter().map(|name| TaskType::new(name).unwrap()).collect()
}

fn served(registry: &Registry) -> Vec<String> {
    registry.serving().keys().map(ToString::to_string).collect()
}

#[test]
fn a_worker_serves_all_built_in_types_and_every_file() {
    let dir = directory(&[("reverse", 0o755), ("thumbnail", 0o755)]);
    let registry = Registry::open(Some(dir.path()), &[], ROOM).unwrap();
    assert_eq!(served(&registry), ["hash", "reverse", "sum", "thumbnail", "upper", "wait"]);
    let serving = registry.serving();
    assert!(matches!(serving[&types(&["reverse"])[0]], Handler::Long(_)), "the file takes the built-in's place");
}

#[test]
fn with_types_it_serves_exactly_those() {
    let dir = directory(&[("thumbnail", 0o755)]);
    let registry = Registry::open(Some(dir.path()), &types(&["upper", "thumbnail"]), ROOM).unwrap();
    assert_eq!(served(&registry), ["thumbnail", "upper"]);
}

#[test]
fn an_unknown_type_is_refused_and_the_known_ones_are_named() {
    let dir = directory(&[("thumbnail", 0o755)]);
    // A directory may still be mounted; without one a person must act.
    for (handlers, exit, named) in
        [(Some(dir.path()), Exit::Unavailable, "thumbnail, upper"), (None, Exit::Configuration, "sum, upper")]
    {
        let refused = Registry::open(handlers, &types(&["uper"]), ROOM).unwrap_err();
        assert_eq!(refused.exit, exit);
        let message = refused.to_string();
        assert!(message.contains("'uper'") && message.contains(named), "{message}");
    }
}

#[test]
fn a_directory_that_is_not_there_is_refused() {
    let refused = Registry::open(Some(Path::new("/nowhere/handlers")), &[], ROOM).unwrap_err();
    assert_eq!(refused.exit, Exit::Unavailable, "it may not be mounted yet");
    assert!(refused.to_string().contains("/nowhere/handlers"), "{refused}");
}

#[test]
fn files_come_and_go_without_a_restart() {
    let dir = directory(&[("upper", 0o755)]);
    let mut registry = Registry::open(Some(dir.path()), &[], ROOM).unwrap();
    assert!(!registry.rescan());
    put(dir.path(), "thumbnail", 0o755);
    assert!(registry.rescan());
    assert!(served(&registry).contains(&"thumbnail".to_owned()));
    fs::remove_file(dir.path().join("upper")).unwrap();
    assert!(registry.rescan());
    assert!(matches!(registry.serving()[&types(&["upper"])[0]], Handler::Quick(_)), "the built-in takes over");
    put(dir.path(), "notes.txt", 0o644);
    assert!(!registry.rescan(), "what is skipped changes nothing");
    drop(dir);
    assert!(registry.rescan(), "they are gone with their directory");
    assert!(!served(&registry).contains(&"thumbnail".to_owned()));
}

/// Says so in a line where there is no Python.
fn python() -> Option<std::path::PathBuf> {
    let python = find_python();
    if python.is_none() {
        // Past the test harness, which would swallow it.
        writeln!(std::io::stderr(), "python3 is not installed: the check of its handlers is NOT tested").unwrap();
    }
    python
}

#[test]
fn a_python_file_that_cannot_run_is_named_with_its_line_and_taken_up_once_mended() {
    let Some(python) = python() else { return };
    let dir = directory(&[("good.py", 0o644), ("helper.py", 0o644), ("bad.py", 0o644)]);
    fs::write(dir.path().join("helper.py"), "def help(): pass\n").unwrap();
    fs::write(dir.path().join("bad.py"), "import os\ndef handle(payload)\n").unwrap();
    let mut directory = Directory::open(dir.path(), Some(python), warden()).unwrap();
    let scan = directory.scan().unwrap();
    assert_eq!(found(&scan), ["good"]);
    assert_eq!(why(&scan, "helper.py"), Skipped::NoHandle);
    let Skipped::Broken(broken) = why(&scan, "bad.py") else { panic!() };
    assert!(broken.contains("SyntaxError") && broken.contains("line 2"), "{broken}");
    assert_eq!(directory.scan().unwrap(), scan);
    fs::write(dir.path().join("bad.py"), "from helper import *\n").unwrap();
    assert_eq!(found(&directory.scan().unwrap()), ["bad", "good"], "only a run can tell what a star brings");
    fs::write(dir.path().join("bad.py"), "handle = print\n").unwrap();
    assert_eq!(found(&directory.scan().unwrap()), ["bad", "good"]);
}

#[test]
fn a_file_that_nothing_can_be_made_of_hides_no_other() {
    let Some(python) = python() else { return };
    let dir = directory(&[("good.py", 0o644), ("zeros.py", 0o644), ("deep.py", 0o644), ("latin.py", 0o644)]);
    fs::write(dir.path().join("zeros.py"), [0; 1_000]).unwrap();
    // Longer than the check may take memory for.
    fs::File::create(dir.path().join("huge.py")).unwrap().set_len(3 << 30).unwrap();
    fs::write(dir.path().join("deep.py"), "(".repeat(100_000)).unwrap();
    fs::write(dir.path().join("latin.py"), b"x = 'caf\xe9'\ndef handle(payload): pass\n").unwrap();
    let scan = Directory::open(dir.path(), Some(python), warden()).unwrap().scan().unwrap();
    assert_eq!(found(&scan), ["good"]);
    assert_eq!(scan.skipped.len(), 4);
}

#[test]
fn an_executable_asks_for_bare_text_by_a_line_near_its_beginning() {
    let dir = directory(&[]);
    for (name, text, speech) in [
        ("shell", "#!/bin/sh\n# taskgrid: text\ncat\n", Speech::Text),
        ("lua", "#!/usr/bin/lua\n-- taskgrid: text\n", Speech::Text),
        ("c", "/* taskgrid: text */\n", Speech::Text),
        ("plain", "#!/bin/sh\ncat\n", Speech::Json),
        ("said", "#!/bin/sh\necho 'taskgrid: text'\n", Speech::Json),
        ("late", &format!("#!/bin/sh\n{}\n# taskgrid: text\n", "#".repeat(2_000)), Speech::Json),
    ] {
        put(dir.path(), name, 0o755);
        fs::write(dir.path().join(name), text).unwrap();
        let task_type = &types(&[name])[0];
        let found = scan(dir.path()).programs.remove(task_type).unwrap();
        assert!(matches!(found, Program::Executable { speech: found, .. } if found == speech), "{name}");
    }
}

/// A file that could not be read was not looked at again when it could.
#[test]
fn a_file_is_looked_at_again_when_only_its_mode_has_changed() {
    let Some(python) = python() else { return };
    let dir = directory(&[("closed.py", 0o000)]);
    let mut directory = Directory::open(dir.path(), Some(python), warden()).unwrap();
    let before = directory.scan().unwrap();
    fs::set_permissions(dir.path().join("closed.py"), fs::Permissions::from_mode(0o644)).unwrap();
    let after = directory.scan().unwrap();
    assert_eq!(found(&after), ["closed"]);
    assert_ne!(before.sources, after.sources);
}
