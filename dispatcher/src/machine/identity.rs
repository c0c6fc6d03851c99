//! Which database a task's number was given by (R32).

use taskgrid_protocol::body::{PingReply, ResultReply, TaskRef};
use taskgrid_protocol::{ErrorCode, FileId, ReplyTo};

use super::Machine;

impl Machine {
    /// Whether `task` names a task of this database. If not, that is answered: the number may name another task here.
    pub(super) fn is_ours(&mut self, reply_to: &ReplyTo, task: TaskRef) -> bool {
        let is_ours = self.identity.answers_for(task.file_id, task.task_id);
        if !is_ours {
            let own = self.identity.id;
            let error = format!(
                "Task not found: the number was given by another database than this one, whose file_id is {own}; look \
                 whether the dispatcher was started with the right --database, or a backup was restored"
            );
            self.reply_error(reply_to, ErrorCode::NotFound, &error);
        }
        is_ours
    }

    pub(super) fn reply_ping(&mut self, reply_to: &ReplyTo) {
        self.reply(reply_to, &PingReply { file_id: Some(self.identity.id), ..PingReply::of("dispatcher") });
    }

    /// What an answer adds on the database. Not for plain clients, whose answers stay as they always were.
    pub(super) fn file_for(&self, reply_to: &ReplyTo) -> Option<FileId> {
        reply_to.id.as_ref().map(|_| self.identity.id)
    }

    /// Says what has become of a task, and where.
    pub(super) fn reply_result(&mut self, reply_to: &ReplyTo, reply: &mut ResultReply) {
        reply.file_id = self.file_for(reply_to);
        self.reply(reply_to, reply);
    }
}
