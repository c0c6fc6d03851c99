//! A verb's conversation with its server and its user.

use std::future::Future;
use std::time::Duration;

use super::failures::report_call_error;
use super::text::escape_line;
use super::{Console, Exit, Output, OutputArgs, ServerArgs};
use crate::{CallError, Client};

/// After this much silence the user is told what is being waited for.
const EXPLAIN_AFTER: Duration = Duration::from_secs(3);

pub(super) struct Session<'a> {
    pub(super) client: Client,
    pub(super) console: &'a mut Console,
    output: Output,
    patience: Duration,
}

impl<'a> Session<'a> {
    pub(super) async fn open(server: &ServerArgs, output: OutputArgs, console: &'a mut Console) -> Result<Self, Exit> {
        Self::open_at(&server.dispatcher, server.deadline, output, console).await
    }

    pub(super) async fn open_at(
        server: &str,
        patience: Duration,
        output: OutputArgs,
        console: &'a mut Console,
    ) -> Result<Self, Exit> {
        match Client::connect(server).await {
            Ok(client) => {
                let client = client.with_patience(patience);
                Ok(Self { client, console, output: output.output, patience })
            }
            Err(error) => Err(console.usage_error(&error.to_string())),
        }
    }

    pub(super) fn wants_json(&self) -> bool {
        self.output == Output::Json
    }

    /// Awaits an answer that should come at once, and explains the silence when it does not.
    pub(super) async fn answer<T>(&mut self, call: impl Future<Output = Result<T, CallError>>) -> Result<T, CallError> {
        let mut call = std::pin::pin!(call);
        if let Ok(answer) = tokio::time::timeout(EXPLAIN_AFTER, &mut call).await {
            return answer;
        }
        // Who answers PING runs, so another dispatcher would not help. Why this takes long is not known: there may be
        // no space or too much to do, a lock, or answers may get lost.
        let client = self.client.clone().with_patience(EXPLAIN_AFTER / 3);
        let is_there = tokio::select! {
            biased;
            answer = &mut call => return answer,
            pong = client.ping() => pong.is_ok(),
        };
        let (server, seconds) = (escape_line(self.client.server()), self.patience.as_secs_f64());
        let line = if is_there {
            format!("{server} is there, but has not answered this yet; asking until {seconds} s have passed.")
        } else {
            format!(
                "{server} has not answered yet; asking until {seconds} s have passed. Does a dispatcher run there? \
             'taskgrid up' starts one."
            )
        };
        self.console.tell(&line);
        call.await
    }

    /// The same for calls whose failure ends the verb.
    pub(super) async fn ask<T>(&mut self, call: impl Future<Output = Result<T, CallError>>) -> Result<T, Exit> {
        self.answer(call).await.map_err(|error| self.fail(&error))
    }

    pub(super) fn fail(&mut self, error: &CallError) -> Exit {
        report_call_error(self.console, error)
    }
}
