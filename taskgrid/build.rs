//! Tells the program which revision it is built from.

#[path = "build/revision.rs"]
mod revision;

use std::path::Path;

/// Names the revision where there is no repository to ask: in an image, in a package of sources.
const VARIABLE: &str = "TASKGRID_REVISION";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=build");
    println!("cargo::rerun-if-env-changed={}", VARIABLE);
    // Asked now, and not when this was compiled: that may have been elsewhere, if directories were moved.
    let package = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let source = Path::new(&package).join("..");
    let found = revision::find(std::env::var(VARIABLE).ok(), &source);
    for path in &found.decided_by {
        println!("cargo::rerun-if-changed={}", path.display());
    }
    let version = env!("CARGO_PKG_VERSION");
    let version = found.name.map_or_else(|| version.to_owned(), |name| format!("{version} ({name})"));
    println!("cargo::rustc-env=TASKGRID_VERSION={version}");
}
