//! The dispatcher: keeps the tasks, finds workers for them, and hands out results.

pub mod store;
