//! The name service: knows which workers serve which type of task. All in memory: workers tell it again and
//! again.

mod daemon;
pub mod machine;

pub use daemon::{NameService, NameServiceArgs};
