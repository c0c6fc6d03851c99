//! Which task numbers a table answers for (R32).

use taskgrid_protocol::{FileId, TaskId};

/// The id of a table, and those of the tables that it was restored from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Its own id.
    pub id: FileId,
    /// The ids it had before it was restored from a backup, each with the highest number that was given under it and
    /// is in the backup. At most `FORMER_MAX`.
    pub former: Vec<(FileId, TaskId)>,
}

/// So many numbers are left out after a restore: as many as one task every three seconds makes in a month. Who
/// stores more between two backups leaves out more by hand (docs/SQL.md).
pub(super) const LEAP: i64 = 1_000_000;

/// So many former ids a table remembers; of more, those whose numbers end first are forgotten.
pub(super) const FORMER_MAX: u32 = 64;

impl Identity {
    /// Whether `task` names the same task here as in the table `asked`. Who does not say which table it means, means
    /// this one.
    pub fn answers_for(&self, asked: Option<FileId>, task: TaskId) -> bool {
        let Some(asked) = asked.filter(|asked| *asked != self.id) else { return true };
        self.former.iter().any(|(id, newest)| *id == asked && task <= *newest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restored_table_answers_for_what_was_in_the_backup_and_for_nothing_later() {
        let [own, former, other] = ["1111111111111111", "2222222222222222", "3333333333333333"]
            .map(|digits| digits.parse::<FileId>().unwrap());
        let identity = Identity { id: own, former: vec![(former, TaskId(40))] };
        let answers = |asked| [40, 41].map(|task| identity.answers_for(asked, TaskId(task)));
        assert_eq!(answers(None), [true, true]);
        assert_eq!(answers(Some(own)), [true, true]);
        assert_eq!(answers(Some(former)), [true, false]);
        assert_eq!(answers(Some(other)), [false, false]);
    }
}
