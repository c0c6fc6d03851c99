//! The programs of the grid, each as it lives in a world.

mod client;
mod dispatcher;
mod nameservice;
mod plain;
mod plain_client;
mod worker;

pub use client::Client;
pub use dispatcher::Dispatcher;
pub use nameservice::NameService;
pub use plain::PlainWorker;
pub use plain_client::PlainClient;
pub use worker::Worker;
