//! The name service as a process.

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::time::Duration;

use taskgrid_protocol::TaskType;
use taskgrid_runtime::{
    Clock, EVENT_QUEUE, List, Names, Pulse, Shutdown, StartError, drive, parse_list, parse_seconds,
};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use crate::machine::{Config, Effect, Event, Machine, is_address};

/// Flags of `taskgrid nameservice`.
#[derive(Clone, Debug, clap::Args)]
pub struct NameServiceArgs {
    /// Where workers register and dispatchers ask.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:5001", env = "TASKGRID_LISTEN")]
    pub listen: SocketAddr,

    /// Workers that never register, such as reverse=worker-reverse:6000.
    #[arg(
        long = "static",
        value_name = "TYPE=HOST:PORT,…",
        value_parser = |text: &str| parse_list(text, parse_fixed),
        env = "TASKGRID_STATIC"
    )]
    pub fixed: Vec<List<(TaskType, String)>>,

    /// How long a worker is known that does not say how often it will report.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = parse_seconds, env = "TASKGRID_TTL")]
    pub ttl: Duration,
}

impl NameServiceArgs {
    /// The defaults, at another address.
    pub fn listening_on(listen: SocketAddr) -> Self {
        let Config { ttl, .. } = Config::default();
        Self { listen, fixed: Vec::new(), ttl }
    }
}

fn parse_fixed(text: &str) -> Result<(TaskType, String), String> {
    let (task_type, address) =
        text.split_once('=').ok_or_else(|| "write TYPE=HOST:PORT, as in reverse=worker-reverse:6000".to_owned())?;
    let task_type = TaskType::new(task_type).map_err(|error| error.to_string())?;
    if !is_address(address) {
        return Err(format!("'{address}' is not HOST:PORT"));
    }
    Ok((task_type, address.to_owned()))
}

/// A name service that has its port, and serves once it is run.
#[derive(Debug)]
pub struct NameService {
    socket: UdpSocket,
    local: SocketAddr,
    config: Config,
}

impl NameService {
    /// Takes the port.
    pub async fn bind(args: NameServiceArgs) -> Result<Self, StartError> {
        let socket = taskgrid_runtime::bind(args.listen)?;
        let local = socket.local_addr().map_err(|error| StartError::unavailable(error.to_string()))?;
        Ok(Self { socket, local, config: Config { ttl: args.ttl, fixed: List::concat(&args.fixed) } })
    }

    /// Where it is reached.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Serves until `shutdown` is requested.
    pub async fn run(self, shutdown: Shutdown, pulse: Pulse) -> Result<(), StartError> {
        let status = format!("name service listening on {}", self.local);
        tracing::info!("{status}");
        pulse.status(&status);
        let (events, event_queue) = mpsc::channel(EVENT_QUEUE);
        let stop = events.clone();
        tokio::spawn(async move {
            shutdown.requested().await;
            // Nobody listens any more when the name service has stopped already.
            let _ = stop.send(Event::Stop).await;
        });
        let machine = Machine::new(self.config, taskgrid_runtime::random());
        let names = Names::default();
        let perform = move |effect| match effect {
            Effect::Resolve(name) => {
                let (names, events) = (names.clone(), events.clone());
                tokio::spawn(async move {
                    let addr = names.look_up(&name).await;
                    // As above.
                    let _ = events.send(Event::Resolved { name, addr }).await;
                });
                ControlFlow::Continue(())
            }
            Effect::Exit => ControlFlow::Break(()),
        };
        drive(machine, self.socket, Clock::new(), event_queue, pulse, perform)
            .await
            .map_err(|error| StartError::unavailable(format!("the socket failed: {error}")))?;
        tracing::info!("name service stopped");
        Ok(())
    }
}
