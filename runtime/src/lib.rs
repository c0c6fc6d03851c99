//! Drives the state machines of the grid: the only place that owns sockets and clocks.

mod arguments;
mod clock;
mod driver;
mod log;
mod names;
mod process;
mod sending;
mod shutdown;
mod socket;
mod start;
mod supervisor;

pub use arguments::{List, parse_bytes, parse_list, parse_seconds, without_empty_variables};
pub use clock::{Clock, wall_time};
pub use driver::{EVENT_QUEUE, Traffic, drive, drive_counted};
pub use log::{flush as flush_log, init as init_log, say};
pub use names::{Names, local_address_towards};
pub use process::outlive_file_size_limit;
pub use shutdown::{Shutdown, Trigger, on_signal};
pub use socket::bind;
pub use start::{Exit, StartError};
pub use supervisor::{Pulse, Supervisor};

use rand_chacha::ChaCha12Rng;
use rand_core::SeedableRng;

/// A generator that the operating system has seeded, for a machine to keep.
pub fn random() -> ChaCha12Rng {
    ChaCha12Rng::from_os_rng()
}
