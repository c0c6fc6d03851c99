//! The batch that fills while the one before it is being committed.

use std::collections::VecDeque;

use taskgrid_protocol::body::Span;
use taskgrid_protocol::{ReplyTo, TaskId, TaskType, Timestamp};

use super::Machine;
use super::limits::{
    BATCH_BYTES_MAX, BATCH_ENTRIES_MAX, FAREWELL_TRIES, WAITING_BYTES_MAX, WAITING_FINISH_BYTES_MAX,
    WAITING_FINISHES_MAX, WAITING_INSERTS_MAX, WAITING_ORDERS_MAX,
};
use super::roster::WorkerKey;
use crate::store::{Batch, Claim, End, Finish, Insert, Release};

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
    /// Inserts without a slot: so many more tasks will be pending.
    pub(super) unclaimed: u64,
    /// For each claim the workers of its slots.
    pub(super) claims: Vec<Vec<WorkerKey>>,
}

#[derive(Debug, Default)]
pub(super) struct OpenBatch {
    finishes: VecDeque<(Finish, ReplyTo)>,
    finish_bytes: usize,
    releases: Vec<Release>,
    cancels: Vec<(TaskId, ReplyTo)>,
    retries: Vec<(TaskId, ReplyTo)>,
    pub(super) expire: bool,
    inserts: VecDeque<(Insert, Posted)>,
    insert_bytes: usize,
    /// Inserts without a slot.
    unclaimed: u64,
}

impl OpenBatch {
    /// New tasks are shed first: also when results wait for the disk, long before those are shed (R34).
    pub(super) fn takes_inserts(&self) -> bool {
        let room = self.inserts.len() < WAITING_INSERTS_MAX && self.insert_bytes < WAITING_BYTES_MAX;
        room && self.finishes_leave(4)
    }

    /// Reads are shed next.
    pub(super) fn takes_reads(&self) -> bool {
        self.finishes_leave(2)
    }

    pub(super) fn takes_finishes(&self) -> bool {
        self.finishes_leave(1)
    }

    /// Whether the results that wait take up less than this part of their room.
    fn finishes_leave(&self, part: usize) -> bool {
        self.finishes.len() < WAITING_FINISHES_MAX / part && self.finish_bytes < WAITING_FINISH_BYTES_MAX / part
    }

    pub(super) fn unclaimed(&self) -> u64 {
        self.unclaimed
    }

    pub(super) fn takes_orders(&self) -> bool {
        self.cancels.len() < WAITING_ORDERS_MAX && self.retries.len() < WAITING_ORDERS_MAX
    }

    pub(super) fn insert(&mut self, insert: Insert, posted: Posted) {
        self.insert_bytes += insert.payload.len();
        self.unclaimed += u64::from(posted.worker.is_none());
        self.inserts.push_back((insert, posted));
    }

    pub(super) fn finish(&mut self, finish: Finish, reply_to: ReplyTo) {
        self.finish_bytes += weight(&finish);
        self.finishes.push_back((finish, reply_to));
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
        for entry in finishes.into_iter().zip(replies).rev() {
            self.finish_bytes += weight(&entry.0);
            self.finishes.push_front(entry);
        }
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

    /// As many results as one transaction takes, the oldest first.
    fn next_finishes(&mut self) -> (Vec<Finish>, Vec<ReplyTo>) {
        let count = fitting(self.finishes.iter().map(|(finish, _)| weight(finish)));
        let (finishes, replies): (Vec<_>, Vec<_>) = self.finishes.drain(..count).unzip();
        self.finish_bytes -= finishes.iter().map(weight).sum::<usize>();
        (finishes, replies)
    }

    /// As many inserts as one transaction takes, the oldest first.
    fn next_inserts(&mut self) -> (Vec<Insert>, Vec<Posted>) {
        let count = fitting(self.inserts.iter().map(|(insert, _)| insert.payload.len()));
        let (inserts, posted): (Vec<_>, Vec<_>) = self.inserts.drain(..count).unzip();
        self.unclaimed -= posted.iter().filter(|posted| posted.worker.is_none()).count() as u64;
        self.insert_bytes -= inserts.iter().map(|insert: &Insert| insert.payload.len()).sum::<usize>();
        (inserts, posted)
    }
}

/// How many entries of these sizes fit into one transaction, at least one.
fn fitting(sizes: impl Iterator<Item = usize>) -> usize {
    let mut bytes = 0;
    let fits = |size: &usize| {
        let is_first = bytes == 0;
        bytes += size;
        is_first || bytes <= BATCH_BYTES_MAX
    };
    sizes.take(BATCH_ENTRIES_MAX).take_while(fits).count()
}

/// The bytes of a result that are kept until it is stored.
fn weight(finish: &Finish) -> usize {
    match &finish.end {
        End::Success(result) => result.len(),
        End::Failure { error, .. } => error.message.len(),
    }
}

impl Machine {
    /// Whether the operator's limit of pending tasks is reached, what is on its way to the table included.
    pub(super) fn is_queue_full(&self) -> bool {
        let on_their_way = self.open.unclaimed() + self.in_flight.as_ref().map_or(0, |hung| hung.unclaimed);
        self.config.max_pending.is_some_and(|max| self.pending + on_their_way >= max)
    }

    /// Whether nothing waits for the disk, or the disk has been full for so long that a dispatcher which is to stop
    /// does not wait for it.
    pub(super) fn has_nothing_to_commit(&self) -> bool {
        let nothing = !self.open.must_be_stored() && self.open.inserts.is_empty();
        nothing || self.disk.failures >= FAREWELL_TRIES
    }

    /// The next batch to commit, if none is being committed.
    pub(super) fn next_batch(&mut self, now: Timestamp) -> Option<Box<Batch>> {
        if self.in_flight.is_some() { None } else { self.close_batch(now) }
    }

    /// The open batch with claims for all slots that are free; `None` when there is nothing to do.
    fn close_batch(&mut self, now: Timestamp) -> Option<Box<Batch>> {
        if now < self.disk.pause_until {
            return None;
        }
        // On a full disk what must be stored goes alone: it is short, and room was made for it (R8).
        let sparing = self.disk.is_full && self.open.must_be_stored();
        let (finishes, finishers) = self.open.next_finishes();
        // What ends attempts without a result waits for all results that came before it.
        let in_order = self.open.finishes.is_empty();
        let (cancels, cancellers) = take_if(in_order, &mut self.open.cancels).into_iter().unzip();
        let (retries, retriers) = std::mem::take(&mut self.open.retries).into_iter().unzip();
        let (inserts, posted) = if sparing { Default::default() } else { self.open.next_inserts() };
        let claims = if sparing { Vec::new() } else { self.claims(now) };
        let (claims, slots): (Vec<Claim>, _) = claims.into_iter().unzip();
        // What did not fit is pending by the next batch, so no claim of this one has the last word.
        for (insert, _) in &self.open.inserts {
            self.types.pending_now(&insert.task_type);
        }
        let prune = if sparing { None } else { self.next_prune() };
        let batch = Batch {
            finishes,
            releases: take_if(in_order, &mut self.open.releases),
            cancels,
            retries,
            expire: take_if(in_order, &mut self.open.expire),
            prune,
            inserts,
            claims,
        };
        let entries = batch.entries();
        if entries == 0 {
            // Nothing is left that did not fit.
            self.disk.is_full = false;
            return None;
        }
        self.commits += 1;
        self.entries += entries;
        self.in_flight = Some(Hung {
            finishes: finishers,
            cancels: cancellers,
            retries: retriers,
            unclaimed: posted.iter().filter(|posted| posted.worker.is_none()).count() as u64,
            inserts: posted,
            claims: slots,
        });
        Some(Box::new(batch))
    }
}

fn take_if<T: Default>(wanted: bool, from: &mut T) -> T {
    if wanted { std::mem::take(from) } else { T::default() }
}
