//! `taskgrid ping`.

use std::time::Duration;

use clap::Args;
use taskgrid_runtime::Clock;

use super::session::Session;
use super::{Console, Done, OutputArgs, parse_deadline, text};

/// Arguments of `taskgrid ping`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Examples:
  taskgrid ping                                  is the dispatcher there?
  taskgrid ping nameservice:5001 --deadline 2    the health check of a container

Exit codes:
  0  it answered
  2  wrong usage
  4  no answer")]
pub struct PingArgs {
    /// The address of a dispatcher, name service or worker [default: that of --dispatcher]
    #[arg(value_name = "ADDR")]
    server: Option<String>,
    /// The dispatcher's address
    #[arg(
        long,
        value_name = "HOST:PORT",
        env = "TASKGRID_DISPATCHER",
        hide_env_values = true,
        default_value = "127.0.0.1:4000"
    )]
    dispatcher: String,
    /// How long to ask before giving up
    #[arg(long, value_name = "SECONDS", env = "TASKGRID_PING_DEADLINE", hide_env = true, default_value = "5", value_parser = parse_deadline)]
    deadline: Duration,
    #[command(flatten)]
    output: OutputArgs,
}

impl PingArgs {
    pub(super) async fn execute(self, console: &mut Console) -> Done {
        let server = self.server.unwrap_or(self.dispatcher);
        let mut session = Session::open_at(&server, self.deadline, self.output, console).await?;
        let client = session.client.clone();
        let clock = Clock::new();
        let asked = clock.now();
        let pong = session.ask(client.ping()).await?;
        let took = clock.now().since(asked);
        if session.wants_json() {
            session.console.print_json(&pong);
            return Ok(());
        }
        let (role, version) = (text::escape_line(&pong.role), text::escape_line(&pong.version));
        session.console.print(&format!("{role} {version} at {server} answered in {}", text::span(took)));
        session.console.print(&format!(
            "payload and result up to {} bytes, {} messages a datagram, waits up to {} s, keys kept {} h",
            pong.value_bytes_max, pong.array_max, pong.wait_s_max, pong.key_retention_h
        ));
        Ok(())
    }
}
