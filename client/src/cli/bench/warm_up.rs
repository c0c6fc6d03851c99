//! One task before all others: it finds out whether anybody serves the type, and lets the dispatcher get to know them.

use std::collections::BTreeSet;

use taskgrid_protocol::TaskType;

use super::plan::Plan;
use crate::cli::failures::report_submission_error;
use crate::cli::news::served_instead;
use crate::cli::outcome::end_of;
use crate::cli::session::Session;
use crate::cli::text::escape_line;
use crate::cli::{Done, Exit};
use crate::machine::End;
use crate::{Receipt, Status};

/// How often it is looked whether somebody serves the type, ten times a second: a worker may be about to register.
const LOOKS: u32 = 20;

pub(super) async fn warm_up(session: &mut Session<'_>, plan: &Plan) -> Done {
    let first = session.client.submit(plan.task_type.as_str(), "TaskGrid").follow();
    let answer = session.answer(first).await;
    let followed = answer.map_err(|error| report_submission_error(session.console, &error))?;
    if let Some(receipt) = followed.receipt().cloned() {
        leave_if_unserved(session, &plan.task_type, &receipt).await?;
    }
    let problem = match end_of(followed.end().await) {
        Ok(End::Done(_)) => return Ok(()),
        Ok(End::Failed(failed)) => format!("The first task failed: {}", escape_line(&failed.error.message)),
        Ok(End::Cancelled) => "The first task was cancelled.".to_owned(),
        Err(error) => return Err(session.fail(&error)),
    };
    session.console.tell(&problem);
    Err(Exit::TaskFailed)
}

/// Without a worker the load would wait without end.
async fn leave_if_unserved(session: &mut Session<'_>, task_type: &TaskType, receipt: &Receipt) -> Done {
    if receipt.status != Status::Pending || receipt.workers.is_some_and(|workers| workers > 0) {
        return Ok(());
    }
    let client = session.client.clone();
    let Some(served) = served_instead(&client, task_type, LOOKS).await else { return Ok(()) };
    session.console.tell(&unserved_line(task_type, &served));
    // It is nobody's task. Where this fails it stays, which harms as little as any other.
    let _ = client.cancel(receipt.task).await;
    Err(Exit::Refused)
}

fn unserved_line(task_type: &TaskType, served: &BTreeSet<TaskType>) -> String {
    let served: Vec<&str> = served.iter().map(TaskType::as_str).collect();
    let instead =
        if served.is_empty() { "no other either".to_owned() } else { format!("served are: {}", served.join(", ")) };
    format!("Nobody serves the type '{task_type}', {instead}. There is nothing to measure.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_that_nobody_serves_is_told_with_those_that_are() {
        let name = |name| TaskType::new(name).unwrap();
        let line = unserved_line(&name("x"), &["upper", "reverse"].map(name).into());
        assert!(line.starts_with("Nobody serves the type 'x', served are: reverse, upper."), "{line}");
        assert!(unserved_line(&name("x"), &BTreeSet::new()).contains("no other either"));
    }
}
