//! Which processes belong to which handler, by the table of processes alone.

use std::collections::BTreeMap;

use super::table::Entry;

/// Where a process comes from, as its environment says, which it has from the handler that started it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// A handler that ran this attempt.
    Attempt(String),
    /// A handler, between two tasks or whichever.
    Handler,
    /// Somebody else.
    Elsewhere,
}

/// The table, sorted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Families {
    /// By the leader of the handler's group: it, all that are in the group, and all that descend from these.
    pub(super) members: BTreeMap<i32, Vec<Entry>>,
    /// Children of ours that come from handlers which have ended.
    pub(super) orphans: Vec<Entry>,
    /// Children of ours that have ended, and for which nobody waits.
    pub(super) zombies: Vec<Entry>,
}

/// Sorts what is in the table. `leaders` tells the attempt that each group runs at the time; `own` is this process,
/// which is the parent of those that have lost theirs.
pub(super) fn sort(
    table: &[Entry],
    own: i32,
    leaders: &BTreeMap<i32, String>,
    origin: impl Fn(i32) -> Origin,
) -> Families {
    let mut families = Families::default();
    let mut belongs: BTreeMap<i32, i32> = BTreeMap::new();
    for entry in table {
        if leaders.contains_key(&entry.pid) {
            belongs.insert(entry.pid, entry.pid);
        } else if entry.parent == own && entry.zombie {
            families.zombies.push(*entry);
        } else if entry.parent == own {
            match origin(entry.pid) {
                Origin::Elsewhere => {}
                Origin::Attempt(attempt) => match leaders.iter().find(|(_, runs)| **runs == attempt) {
                    Some((leader, _)) => drop(belongs.insert(entry.pid, *leader)),
                    None => families.orphans.push(*entry),
                },
                Origin::Handler => families.orphans.push(*entry),
            }
        } else if leaders.contains_key(&entry.group) {
            belongs.insert(entry.pid, entry.group);
        }
    }
    // Once for each generation of children that have left the group.
    loop {
        let found: Vec<(i32, i32)> = table
            .iter()
            .filter(|entry| !belongs.contains_key(&entry.pid))
            .filter_map(|entry| Some((entry.pid, *belongs.get(&entry.parent)?)))
            .collect();
        if found.is_empty() {
            break;
        }
        belongs.extend(found);
    }
    for entry in table {
        if let Some(leader) = belongs.get(&entry.pid) {
            families.members.entry(*leader).or_default().push(*entry);
        }
    }
    families
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: i32 = 10;

    fn entry(pid: i32, parent: i32, group: i32) -> Entry {
        Entry { pid, parent, group, zombie: false, started: 1 }
    }

    fn sorted(table: &[Entry], origin: impl Fn(i32) -> Origin) -> Families {
        let leaders = BTreeMap::from([(20, "1/1/a".to_owned()), (30, String::new())]);
        sort(table, OWN, &leaders, origin)
    }

    fn pids(entries: &[Entry]) -> Vec<i32> {
        entries.iter().map(|entry| entry.pid).collect()
    }

    #[test]
    fn children_belong_to_their_handler_in_whatever_group_they_are() {
        let table = [
            entry(20, OWN, 20),
            entry(21, 20, 20),
            entry(22, 21, 22),
            entry(23, 22, 23),
            entry(30, OWN, 30),
            entry(40, 1, 40),
        ];
        let families = sorted(&table, |_| unreachable!("only of orphans it is asked"));
        assert_eq!(pids(&families.members[&20]), [20, 21, 22, 23]);
        assert_eq!(pids(&families.members[&30]), [30]);
        assert!(families.orphans.is_empty());
    }

    #[test]
    fn what_has_lost_its_parent_belongs_to_the_attempt_that_has_started_it_while_that_runs() {
        let table = [entry(20, OWN, 20), entry(50, OWN, 50), entry(51, 50, 50), entry(60, OWN, 20), entry(70, OWN, 70)];
        let families = sorted(&table, |pid| match pid {
            50 => Origin::Attempt("1/1/a".to_owned()),
            60 => Origin::Attempt("0/1/z".to_owned()),
            _ => Origin::Handler,
        });
        assert_eq!(pids(&families.members[&20]), [20, 50, 51]);
        assert_eq!(pids(&families.orphans), [60, 70], "one of an earlier attempt in the same group is among them");
    }

    #[test]
    fn who_does_not_come_from_a_handler_is_left_alone() {
        let zombie = Entry { zombie: true, ..entry(80, OWN, 80) };
        let families = sorted(&[entry(70, OWN, 70), zombie], |_| Origin::Elsewhere);
        assert_eq!(families, Families { zombies: vec![zombie], ..Families::default() });
    }
}
