//! A disk that fills up (R8, R33).

use taskgrid_protocol::{ErrorCode, ErrorReply, ReplyTo, Timestamp};

use super::batch::Hung;
use super::limits::{DISK_FULL_PAUSE, DISK_LOW_PAUSE};
use super::{Alarm, Machine};
use crate::store::Batch;

/// What is known of the space on the disk.
#[derive(Debug, Default)]
pub(super) struct Disk {
    /// Free bytes, as last reported.
    pub(super) free: Option<u64>,
    /// The last batch did not fit. Until one does, only what must be stored is tried.
    pub(super) is_full: bool,
    /// How many batches in a row did not fit.
    pub(super) failures: u32,
    /// Nothing is tried before then.
    pub(super) pause_until: Timestamp,
}

impl Machine {
    /// Whether new tasks are refused. It is asked before anything is written, so the refusal is definite.
    pub(super) fn is_disk_low(&self) -> bool {
        self.disk.is_full || self.disk.free.is_some_and(|free| free < self.config.min_free)
    }

    pub(super) fn reply_disk_low(&mut self, reply_to: &ReplyTo) {
        let error = "the disk of the dispatcher is nearly full; nothing was stored, ask again later";
        self.reply(reply_to, &ErrorReply::passing(ErrorCode::DiskLow, error, DISK_LOW_PAUSE));
    }

    /// Nothing of the batch was stored (R8). Its inserts get no answer: the re-send by key decides.
    /// Everything else is tried again, without new tasks and claims; the driver has made what room it could.
    pub(super) fn handle_disk_full(&mut self, now: Timestamp, batch: Batch) {
        let Hung { finishes, cancels, retries, inserts, claims, .. } =
            self.in_flight.take().expect("only a batch that was handed out can fail");
        for posted in inserts {
            if let Some(worker) = posted.worker {
                self.roster.free_slot(now, worker);
            }
        }
        for (claim, workers) in batch.claims.into_iter().zip(claims) {
            self.types.claim_fails(&claim.task_type);
            for worker in workers {
                self.roster.free_slot(now, worker);
            }
        }
        self.open.put_back_finishes(batch.finishes, finishes);
        self.open.put_back_orders(batch.cancels, cancels, batch.retries, retries);
        self.open.put_back_releases(batch.releases, batch.expire);
        if batch.prune.is_some() {
            self.put_off_pruning(now);
        }
        self.disk.is_full = true;
        self.disk.failures += 1;
        self.disk.pause_until = now + DISK_FULL_PAUSE;
        self.timers.set(Alarm::DiskFull, self.disk.pause_until);
    }
}
