//! `taskgrid stats`.

use std::time::Duration;

use clap::Args;

use super::session::Session;
use super::table::Facts;
use super::{Console, Done, OutputArgs, ServerArgs, text};
use crate::StatsReply;

/// Arguments of `taskgrid stats`.
#[derive(Args, Clone, Debug)]
pub struct StatsArgs {
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    server: ServerArgs,
}

impl StatsArgs {
    pub(super) async fn execute(self, console: &mut Console) -> Done {
        let mut session = Session::open(&self.server, self.output, console).await?;
        let client = session.client.clone();
        let stats = session.ask(client.stats()).await?;
        if session.wants_json() {
            session.console.print_json(&stats);
        } else {
            facts(&stats).print(session.console);
        }
        Ok(())
    }
}

fn facts(stats: &StatsReply) -> Facts {
    let mut facts = Facts::new();
    facts.add("pending", stats.tasks.pending.to_string());
    facts.add("running", stats.tasks.running.to_string());
    facts.add("done", stats.tasks.done.to_string());
    facts.add("failed", stats.tasks.failed.to_string());
    facts.add("cancelled", stats.tasks.cancelled.to_string());
    facts.add("workers", stats.workers.to_string());
    facts.add("waiting clients", stats.waiting.to_string());
    facts.add("up for", text::span(Duration::from_secs(stats.uptime_s)));
    facts.add("commits", format!("{}, with {} entries", stats.commits, stats.entries));
    if let Some(millis) = stats.checkpoint_max_ms {
        facts.add("longest checkpoint", format!("{millis} ms"));
    }
    facts
}
