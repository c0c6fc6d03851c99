//! The systems, a file each.

pub(crate) mod beanstalkd;
pub(crate) mod gearmand;
pub(crate) mod nats;
pub(crate) mod postgresql;

use std::rc::Rc;

use tokio::net::TcpStream;

use crate::window::Window;
use crate::{Failure, Tasks};

/// A system to load. Its copies belong to the same run.
pub(crate) trait Peer: Clone + Send + 'static {
    /// Makes what both sides need, such as tables and streams, if they need anything. It may be there already.
    async fn prepare(&self) -> Result<(), Failure> {
        Ok(())
    }

    /// Connects the worker's side, and leaves behind what goes on in `tasks`.
    async fn work(self, tasks: &mut Tasks) -> Result<(), Failure>;

    /// The same for the client's side: it submits what `window` gives, and tells it each result.
    async fn submit(self, window: &Rc<Window>, tasks: &mut Tasks) -> Result<(), Failure>;
}

async fn connect(port: u16) -> Result<TcpStream, Failure> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
