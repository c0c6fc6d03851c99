//! What clients have asked for, and what they were told.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard};

/// A history that several clients write at a time.
#[derive(Clone, Default)]
pub(crate) struct Shared(Arc<Mutex<History>>);

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, History> {
        self.0.lock().unwrap()
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    pub(crate) posts: Vec<Post>,
    pub(crate) reads: Vec<Read>,
}

/// One call that posted a task. A key may be posted more than once.
#[derive(Clone, Debug)]
pub(crate) struct Post {
    /// Who: a client that makes one call after the other.
    pub(crate) client: String,
    pub(crate) key: String,
    pub(crate) task_type: String,
    /// As JSON text.
    pub(crate) payload: String,
    pub(crate) outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The call has not ended.
    Open,
    Stored {
        task: i64,
        duplicate: bool,
    },
    Rejected(String),
    Unknown,
}

/// How a task had ended when somebody asked.
#[derive(Clone, Debug)]
pub(crate) struct Read {
    pub(crate) task: i64,
    pub(crate) end: End,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The result as JSON text.
    Done(String),
    /// The error's code.
    Failed(String),
    Cancelled,
}

impl History {
    /// A call begins; returns its place in the history.
    pub(crate) fn invoke(&mut self, client: &str, key: &str, task_type: &str, payload: &str) -> usize {
        self.posts.push(Post {
            client: client.to_owned(),
            key: key.to_owned(),
            task_type: task_type.to_owned(),
            payload: payload.to_owned(),
            outcome: Outcome::Open,
        });
        self.posts.len() - 1
    }

    pub(crate) fn count(&self, which: impl Fn(&Outcome) -> bool) -> usize {
        self.posts.iter().filter(|post| which(&post.outcome)).count()
    }

    /// Tasks that were acknowledged, each once.
    pub(crate) fn acknowledged(&self) -> usize {
        self.count(|outcome| matches!(outcome, Outcome::Stored { duplicate: false, .. }))
    }

    /// Acknowledged tasks whose end nobody has read.
    pub(crate) fn unread(&self) -> Vec<i64> {
        let read: BTreeSet<i64> = self.reads.iter().map(|read| read.task).collect();
        let stored = self.posts.iter().filter_map(|post| match post.outcome {
            Outcome::Stored { task, .. } => Some(task),
            _ => None,
        });
        stored.filter(|task| !read.contains(task)).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// For people who look into a failure.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for Post { client, key, task_type, payload, outcome } in &self.posts {
            writeln!(text, "post {client} {key} {task_type} {payload} {outcome:?}").unwrap();
        }
        for Read { task, end } in &self.reads {
            writeln!(text, "read {task} {end:?}").unwrap();
        }
        text
    }
}
