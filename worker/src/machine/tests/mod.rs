//! The worker's rules, on a fake clock. Each test names the rule that it holds.

mod announce;
mod cancel;
mod drain;
mod heartbeat;
mod offers;
mod prefetch;
mod progress;
mod requests;
mod results;
mod rig;
