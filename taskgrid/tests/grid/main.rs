//! The grid as its users run it: real processes, real UDP, real files.

mod bad_input;
mod durability;
mod load;
mod processes;
mod start;
mod verbs;
mod workflow;
