//! The batch that fills while the one before it is being committed.

use std::collections::VecDeque;

use taskgrid_protocol::body::Span;
use taskgrid_protocol::{ReplyTo, TaskId, TaskType, Timestamp};

use super::Machine;
use super::limits::{
    BATCH_BYTES_MAX, BATCH_INSERTS_MAX, WAITING_BYTES_MAX, WAITING_FINISHES_MAX, WAITING_INSERTS_MAX,
    WAITING_ORDERS_MAX,
};
use super::roster::WorkerKey;
use crate::store::{Batch, Claim, Finish, Insert, Release};

/// What to do when an insert is committed.
#[derive(Debug)]
pub(super) struct Posted {
    pub(super) reply_to: ReplyTo,
    pub(super) task_type: TaskType,
    pub(super) wait: Option<Span>,
    /// The slot that the insert offers.
    pub(super) worker: Option<WorkerKey>,
}

/// What hangs on the entries of a batch, in the same order as they.
#[derive(Debug, Default)]
pub(super) struct Hung {
    pub(super) finishes: Vec<ReplyTo>,
    pub(super) cancels: Vec<ReplyTo>,
    pub(super) retries: Vec<ReplyTo>,
    pub(super) inserts: Vec<Posted>,
    /// For each claim the workers of its slots.
    pub(super) claims: Vec<Vec<WorkerKey>>,
}

#[derive(Debug, Default)]
pub(super) struct OpenBatch {
    finishes: Vec<(Finish, ReplyTo)>,
    releases: Vec<Release>,
    cancels: Vec<(TaskId, ReplyTo)>,
    retries: Vec<(TaskId, ReplyTo)>,
    pub(super) expire: bool,
    inserts: VecDeque<(Insert, Posted)>,
    insert_bytes: usize,
}

impl OpenBatch {
    pub(super) fn takes_inserts(&self) -> bool {
        self.inserts.len() < WAITING_INSERTS_MAX && self.insert_bytes < WAITING_BYTES_MAX
    }

    pub(super) fn takes_finishes(&self) -> bool {
        self.finishes.len() < WAITING_FINISHES_MAX
    }

    pub(super) fn takes_orders(&self) -> bool {
        self.cancels.len() < WAITING_ORDERS_MAX && self.retries.len() < WAITING_ORDERS_MAX
    }

    pub(super) fn insert(&mut self, insert: Insert, posted: Posted) {
        self.insert_bytes += insert.payload.len();
        self.inserts.push_back((insert, posted));
    }

    pub(super) fn finish(&mut self, finish: Finish, reply_to: ReplyTo) {
        self.finishes.push((finish, reply_to));
    }

    /// At most one a running attempt.
    pub(super) fn release(&mut self, release: Release) {
        self.releases.push(release);
    }

    pub(super) fn cancel(&mut self, task: TaskId, reply_to: ReplyTo) {
        self.cancels.push((task, reply_to));
    }

    pub(super) fn retry(&mut self, task: TaskId, reply_to: ReplyTo) {
        self.retries.push((task, reply_to));
    }

    /// Results of a batch that was undone: they go first.
    pub(super) fn put_back_finishes(&mut self, finishes: Vec<Finish>, replies: Vec<ReplyTo>) {
        self.finishes.splice(0..0, finishes.into_iter().zip(replies));
    }

    /// Orders of a batch that was undone: they go first.
    pub(super) fn put_back_orders(
        &mut self,
        cancels: Vec<TaskId>,
        cancellers: Vec<ReplyTo>,
        retries: Vec<TaskId>,
        retriers: Vec<ReplyTo>,
    ) {
        self.cancels.splice(0..0, cancels.into_iter().zip(cancellers));
        self.retries.splice(0..0, retries.into_iter().zip(retriers));
    }

    /// Ends of attempts in a batch that was undone: they go first.
    pub(super) fn put_back_releases(&mut self, releases: Vec<Release>, expire: bool) {
        self.releases.splice(0..0, releases);
        self.expire |= expire;
    }

    /// Whether there are entries that are never refused for want of space.
    fn must_be_stored(&self) -> bool {
        let empty = self.finishes.is_empty() && self.releases.is_empty() && self.cancels.is_empty();
        !empty || !self.retries.is_empty() || self.expire
    }

    /// As many inserts as one transaction takes, the oldest first.
    fn next_inserts(&mut self) -> (Vec<Insert>, Vec<Posted>) {
        let mut bytes = 0;
        let mut count = 0;
        for (insert, _) in self.inserts.iter().take(BATCH_INSERTS_MAX) {
            bytes += insert.payload.len();
            if count > 0 && bytes > BATCH_BYTES_MAX {
                break;
            }
            count += 1;
        }
        let (inserts, posted): (Vec<_>, Vec<_>) = self.inserts.drain(..count).unzip();
        self.insert_bytes -= inserts.iter().map(|insert: &Insert| insert.payload.len()).sum::<usize>();
        (inserts, posted)
    }
}

impl Machine {
    /// The next batch to commit, with claims for all slots that are free; `None` when there is nothing to
    /// do.
    pub(super) fn close_batch(&mut self, now: Timestamp) -> Option<Box<Batch>> {
        if now < self.disk.pause_until {
            return None;
        }
        // On a full disk what must be stored goes alone: it is short, and room was made for it (R8).
        let sparing = self.disk.is_full && self.open.must_be_stored();
        let (finishes, finishers) = std::mem::take(&mut self.open.finishes).into_iter().unzip();
        let (cancels, cancellers) = std::mem::take(&mut self.open.cancels).into_iter().unzip();
        let (retries, retriers) = std::mem::take(&mut self.open.retries).into_iter().unzip();
        let (inserts, posted) = if sparing { Default::default() } else { self.open.next_inserts() };
        let claims = if sparing { Vec::new() } else { self.claims(now) };
        let (claims, slots): (Vec<Claim>, _) = claims.into_iter().unzip();
        // What did not fit is pending by the next batch, so no claim of this one has the last word.
        for (insert, _) in &self.open.inserts {
            self.types.pending_now(&insert.task_type);
        }
        let batch = Batch {
            finishes,
            releases: std::mem::take(&mut self.open.releases),
            cancels,
            retries,
            expire: std::mem::take(&mut self.open.expire),
            inserts,
            claims,
        };
        let entries = count(&batch);
        if entries == 0 {
            // Nothing is left that did not fit.
            self.disk.is_full = false;
            return None;
        }
        self.commits += 1;
        self.entries += entries;
        self.in_flight =
            Some(Hung { finishes: finishers, cancels: cancellers, retries: retriers, inserts: posted, claims: slots });
        Some(Box::new(batch))
    }
}

fn count(batch: &Batch) -> u64 {
    let lists = [
        batch.finishes.len(),
        batch.releases.len(),
        batch.cancels.len(),
        batch.retries.len(),
        usize::from(batch.expire),
        batch.inserts.len(),
        batch.claims.len(),
    ];
    lists.iter().sum::<usize>() as u64
}
