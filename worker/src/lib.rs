//! The worker: registers, takes tasks, runs their handlers and returns results until they are stored.

pub mod machine;
