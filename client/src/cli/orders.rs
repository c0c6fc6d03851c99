//! `taskgrid cancel` and `taskgrid retry`.

use std::future::Future;

use clap::Args;

use super::session::Session;
use super::task::TaskArgs;
use super::{Console, Done, OutputArgs, ServerArgs};
use crate::{CallError, OrderReply};

/// Arguments of `taskgrid cancel` and `taskgrid retry`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Cancelling a running task tells its worker to stop. Only failed and cancelled tasks
can be retried; a retried task gets its attempts anew.

Exit codes:
  0  fine
  2  wrong usage
  3  refused: nothing was changed
  4  no answer: it may have happened; 'taskgrid show' tells")]
pub struct OrderArgs {
    #[command(flatten)]
    task: TaskArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    server: ServerArgs,
}

impl OrderArgs {
    pub(super) async fn cancel(self, console: &mut Console) -> Done {
        let mut session = Session::open(&self.server, self.output, console).await?;
        let client = session.client.clone();
        order(&mut session, client.cancel(self.task.named())).await
    }

    pub(super) async fn retry(self, console: &mut Console) -> Done {
        let mut session = Session::open(&self.server, self.output, console).await?;
        let client = session.client.clone();
        order(&mut session, client.retry(self.task.named())).await
    }
}

async fn order(session: &mut Session<'_>, call: impl Future<Output = Result<OrderReply, CallError>>) -> Done {
    let reply = session.ask(call).await?;
    if session.wants_json() {
        session.console.print_json(&reply);
    } else {
        session.console.print(&format!("Task {} is {}.", reply.task_id, reply.status));
    }
    Ok(())
}
