//! (to be written)

pub mod machine;
