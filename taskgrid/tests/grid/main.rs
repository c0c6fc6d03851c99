//! The grid as its users run it: real processes, real UDP, real files.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops there")]

mod backup;
mod bad_input;
#[cfg(target_os = "linux")]
mod bench;
mod conditions;
mod contested;
mod durability;
mod examples;
mod handlers;
mod library;
mod limits;
mod load;
mod log;
mod manual;
mod processes;
mod relay;
mod retention;
mod start;
mod stopping;
mod supervisor;
mod units;
mod untrusted;
mod verbs;
mod version;
mod workflow;
