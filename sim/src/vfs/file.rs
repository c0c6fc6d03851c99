//! A file in two layers: what was written, which every program sees, and what was synced, which alone is sure to
//! outlast a loss of power.

use std::collections::BTreeMap;

use crate::dice::Dice;

/// What a drive writes as one: never a part of it.
const SECTORS: [usize; 2] = [512, 4096];

#[derive(Debug, Default)]
pub(super) struct File {
    written: Vec<u8>,
    synced: Vec<u8>,
    /// What was done since the last sync, in order.
    changes: Vec<Change>,
}

#[derive(Debug)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Resize(usize),
}

impl File {
    /// What every program sees.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.written
    }

    pub(super) fn write(&mut self, at: usize, bytes: &[u8]) {
        self.change(Change::Write { at, bytes: bytes.to_vec() });
    }

    pub(super) fn resize(&mut self, size: usize) {
        self.change(Change::Resize(size));
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.written);
        self.changes.push(change);
    }

    pub(super) fn sync(&mut self) {
        for change in self.changes.drain(..) {
            change.apply(&mut self.synced);
        }
    }

    /// The sync failed, and the operating system takes what it could not write for written all the same, as
    /// Linux does: no later sync tries again.
    pub(super) fn fail_to_sync(&mut self) {
        self.changes.clear();
    }

    /// The power is gone. What is there now is all that there is.
    pub(super) fn lose_power(&mut self, dice: &mut Dice) {
        match dice.range(0, 5) {
            0 => self.changes.clear(),
            1 => self.sync(),
            _ => self.synced = self.torn(*dice.pick(&SECTORS), dice),
        }
        self.written = self.synced.clone();
        self.changes.clear();
    }

    /// Each sector is as it was at some moment since the last sync, and so is the size. A cut is made as a whole, and
    /// what was written behind one that was not made has no place.
    fn torn(&self, sector: usize, dice: &mut Dice) -> Vec<u8> {
        let moments = self.changes.len();
        let size_at = moment(moments, dice);
        let mut reached = BTreeMap::new();
        let (mut bytes, mut size, mut uncut) = (self.synced.clone(), self.synced.len(), usize::MAX);
        for (index, change) in self.changes.iter().enumerate() {
            if index < size_at {
                size = change.size(size);
            }
            let (at, new) = match change {
                Change::Resize(to) if index < size_at => {
                    bytes.truncate(*to);
                    continue;
                }
                Change::Resize(to) => {
                    uncut = uncut.min(*to);
                    continue;
                }
                Change::Write { at, bytes } => (*at, bytes),
            };
            bytes.resize(bytes.len().max(at + new.len()), 0);
            let mut from = at;
            while from < uncut.min(at + new.len()) {
                let to = uncut.min(at + new.len()).min((from / sector + 1) * sector);
                if index < *reached.entry(from / sector).or_insert_with(|| moment(moments, dice)) {
                    bytes[from..to].copy_from_slice(&new[from - at..to - at]);
                }
                from = to;
            }
        }
        bytes.resize(size, 0);
        bytes
    }
}

/// How many of the changes have come this far: often none, often all.
fn moment(moments: usize, dice: &mut Dice) -> usize {
    match dice.range(0, 3) {
        0 => 0,
        1 => moments,
        _ => dice.index(moments + 1),
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        bytes.resize(self.size(bytes.len()), 0);
        if let Self::Write { at, bytes: new } = self {
            bytes[*at..*at + new.len()].copy_from_slice(new);
        }
    }

    /// The size of a file of this size afterwards.
    fn size(&self, size: usize) -> usize {
        match self {
            Self::Write { at, bytes } => size.max(at + bytes.len()),
            Self::Resize(size) => *size,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sync_is_forever_and_the_rest_may_go_in_parts() {
        let (mut whole, mut gone, mut torn) = (0, 0, 0);
        for seed in 0..200 {
            let mut file = File::default();
            file.write(0, &[1; 8192]);
            file.sync();
            file.write(4096, &[2; 8192]);
            file.lose_power(&mut Dice::new(seed));
            assert_eq!(file.bytes()[..4096], [1; 4096], "seed {seed}");
            match file.bytes()[4096..].iter().filter(|byte| **byte == 2).count() {
                0 => gone += 1,
                8192 => whole += 1,
                _ => torn += 1,
            }
        }
        assert!(whole > 20 && gone > 20 && torn > 20, "{whole} {gone} {torn}");
    }

    #[test]
    fn a_file_that_was_cut_may_be_as_it_was_but_not_cut_in_parts() {
        for seed in 0..100 {
            let mut file = File::default();
            file.write(0, &[1; 9000]);
            file.sync();
            file.resize(0);
            file.write(0, &[2; 5000]);
            file.lose_power(&mut Dice::new(seed));
            let is_uncut = file.bytes() == [1; 9000];
            let is_cut = !file.bytes().contains(&1) && [0, 5000].contains(&file.bytes().len());
            assert!(is_uncut || is_cut, "seed {seed}: {:?}", file.bytes());
        }
    }

    #[test]
    fn what_a_failed_sync_has_lost_no_later_one_brings() {
        let mut file = File::default();
        file.write(0, &[1; 512]);
        file.fail_to_sync();
        file.write(512, &[2; 512]);
        file.sync();
        assert_eq!(file.bytes()[0], 1, "programs still see it");
        file.lose_power(&mut Dice::new(0));
        assert_eq!((file.bytes()[0], file.bytes()[512]), (0, 2));
    }
}
