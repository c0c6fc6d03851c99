//! The dispatcher's rules, on a fake clock over the memory store. Each test names the rule that it holds.

mod charges;
mod disk;
mod grid;
mod identity;
mod instances;
mod leases;
mod overload;
mod plain;
mod progress;
mod restart;
mod retention;
mod revoke;
mod strangers;
mod submission;
mod waiting;
