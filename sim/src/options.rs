//! What a seed stands for: every knob of its world.

use std::fmt;

use crate::dice::Dice;

/// Microseconds of simulated time.
pub type Micros = u64;

/// One second.
pub const SECOND: Micros = 1_000_000;

/// One millisecond.
pub const MILLI: Micros = 1_000;

/// Which kinds of trouble a world has. Each kind but [`Profile::Everything`] leaves something out, so that
/// more can be asked of what remains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// All faults at once.
    Everything,
    /// Loss up to 30 %, duplication, delay and reordering, no more: no handler runs twice (I13).
    Loss,
    /// A clean network, and a dispatcher that is killed again and again: no handler runs twice.
    Restarts,
    /// A clean network, and name services that are killed and paused: no handler runs twice, no task fails by it.
    Names,
    /// A clean network, and a wall clock that jumps: no handler runs twice, nothing expires by it.
    Clocks,
    /// No fault at all: no handler runs twice, and who waits hears of the end at once.
    Clean,
    /// Datagrams with flipped bits. UDP's checksum drops such datagrams, so all that is asked is no panic, no
    /// endless talk, and a sound table.
    Corruption,
}

/// Where the tasks are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// [`taskgrid_dispatcher::store::MemoryStore`], as a model of the file.
    Memory,
    /// The real thing, on a drive that can lose its power.
    Sqlite,
}

/// What the network does to datagrams.
#[derive(Clone, Debug)]
pub struct Net {
    /// Probability that one is lost.
    pub loss: f64,
    /// Probability that one arrives twice.
    pub duplicate: f64,
    /// The usual delay, from … to.
    pub delay: (Micros, Micros),
    /// Probability of an unusual one.
    pub tail: f64,
    /// The longest unusual delay.
    pub tail_max: Micros,
    /// Probability of flipped bits or a missing end.
    pub corrupt: f64,
}

/// How often each fault comes; zero: never.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// The mean time between two faults.
    pub every: Micros,
    /// The relative weight of each kind, in the order of [`crate::faults::Kind::ALL`].
    pub weights: Vec<u64>,
    /// The probability that the dispatcher dies right after it has begun an effect.
    pub die_at_effect: f64,
    /// The probability that a DNS look-up fails.
    pub dns_fails: f64,
}

/// Every knob of one world.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where all of it comes from.
    pub seed: u64,
    /// Which kinds of trouble.
    pub profile: Profile,
    /// Where the tasks are kept.
    pub store: StoreKind,
    /// How many workers.
    pub workers: usize,
    /// How many of them are plain: without leases.
    pub plain_workers: usize,
    /// How many clients.
    pub clients: usize,
    /// How many name services.
    pub nameservices: usize,
    /// Slots of each worker.
    pub capacity: u32,
    /// Tasks that each worker takes beyond its slots.
    pub prefetch: u32,
    /// Tasks that clients submit.
    pub tasks: usize,
    /// How long faults go on; the tasks are submitted meanwhile.
    pub trouble: Micros,
    /// The lease of an attempt.
    pub lease: Micros,
    /// The lease of an attempt at a plain worker.
    pub plain_lease: Micros,
    /// How often workers announce themselves.
    pub announce: Micros,
    /// Whether addresses are DNS names.
    pub names: bool,
    /// The usual time of a handler, from … to.
    pub handler: (Micros, Micros),
    /// The time of a commit, from … to.
    pub commit: (Micros, Micros),
    /// Whether handlers tell how far they are.
    pub progress: bool,
    /// Whether tasks may kill their worker.
    pub poison: bool,
    /// Pending tasks above which new ones are refused.
    pub max_pending: Option<u64>,
    /// Tasks that a plain client posts, without keys.
    pub plain_tasks: usize,
    /// The network.
    pub net: Net,
    /// The faults.
    pub faults: Faults,
}

impl Options {
    /// The knobs of this seed.
    pub fn draw(seed: u64) -> Self {
        let dice = &mut Dice::new(seed);
        let profile = match dice.range(0, 100) {
            0..51 => Profile::Everything,
            51..55 => Profile::Names,
            55..73 => Profile::Loss,
            73..82 => Profile::Restarts,
            82..88 => Profile::Clocks,
            88..92 => Profile::Clean,
            _ => Profile::Corruption,
        };
        Self::draw_profile(seed, profile, dice)
    }

    /// The knobs of this seed, in a world with this kind of trouble.
    pub fn of_profile(seed: u64, profile: Profile) -> Self {
        Self::draw_profile(seed, profile, &mut Dice::new(seed))
    }

    fn draw_profile(seed: u64, profile: Profile, dice: &mut Dice) -> Self {
        let everything = profile == Profile::Everything;
        let workers = dice.index(5) + 1;
        // In the worlds where nothing may run twice a lease outlasts what the network can do: a task's 30
        // round trips all fail once in 10⁹ at 30 % loss.
        let lease = if everything { dice.range(3, 20) } else { dice.range(30, 40) } * SECOND;
        let slow = *dice.pick(&[20 * MILLI, 300 * MILLI, 3 * SECOND, 15 * SECOND]);
        Self {
            seed,
            profile,
            // SQLite's file takes part in every fiftieth.
            store: if seed % 50 == 49 { StoreKind::Sqlite } else { StoreKind::Memory },
            workers,
            plain_workers: if everything && dice.chance(0.2) { 1 } else { 0 },
            clients: dice.index(3) + 1,
            nameservices: if dice.chance(0.25) { 2 } else { 1 },
            capacity: u32::try_from(dice.range(1, 9)).expect("it is below 9"),
            prefetch: prefetch(seed),
            tasks: dice.index(60) + 5,
            trouble: dice.range(5, 60) * SECOND,
            lease,
            plain_lease: dice.range(20, 60) * SECOND,
            announce: dice.range(1, 6) * SECOND,
            names: dice.chance(0.4),
            handler: (0, slow),
            commit: (200, *dice.pick(&[MILLI, 5 * MILLI, 50 * MILLI, 400 * MILLI])),
            // Not drawn, and in none of the worlds that have broken before: those must stay what they were.
            progress: seed % 4 == 3,
            poison: everything && dice.chance(0.2),
            net: Net::draw(profile, dice),
            faults: Faults::draw(profile, dice),
            plain_tasks: if dice.chance(0.3) { dice.index(10) + 1 } else { 0 },
            max_pending: if everything && dice.chance(0.1) { Some(dice.range(1, 10)) } else { None },
        }
    }

    /// Whether the wall clock may jump. Who submits a task with a due time then gets what the clock says.
    pub fn clock_jumps(&self) -> bool {
        let kinds = crate::faults::Kind::ALL.iter().zip(&self.faults.weights);
        kinds.into_iter().any(|(kind, weight)| *kind == crate::faults::Kind::JumpClock && *weight > 0)
    }

    /// Whether in this world no handler may run twice for a task.
    pub fn runs_once(&self) -> bool {
        !matches!(self.profile, Profile::Everything | Profile::Corruption)
    }
}

/// In a quarter of all worlds. Not drawn, and none in those that have broken before: those must stay what they were.
fn prefetch(seed: u64) -> u32 {
    let tasks = if seed % 8 >= 6 { seed / 8 % 8 + 1 } else { 0 };
    u32::try_from(tasks).expect("it is below 9")
}

impl Net {
    fn draw(profile: Profile, dice: &mut Dice) -> Self {
        let low = *dice.pick(&[50, 500, 5 * MILLI, 30 * MILLI]);
        let clean = Self { loss: 0.0, duplicate: 0.0, delay: (low, 2 * low), tail: 0.0, tail_max: 0, corrupt: 0.0 };
        let (loss, tail_max) = match profile {
            Profile::Restarts | Profile::Names | Profile::Clocks | Profile::Clean => return clean,
            Profile::Corruption => return Self { corrupt: 0.05 + 0.4 * dice.unit(), duplicate: 0.1, ..clean },
            Profile::Loss => (0.3 * dice.unit(), 3 * SECOND),
            Profile::Everything => (*dice.pick(&[0.0, 0.01, 0.05, 0.3, 0.6]), *dice.pick(&[SECOND, 60 * SECOND])),
        };
        Self {
            loss,
            duplicate: *dice.pick(&[0.0, 0.02, 0.3]),
            delay: (low, low * *dice.pick(&[2, 10])),
            tail: *dice.pick(&[0.0, 0.01, 0.1]),
            tail_max,
            corrupt: 0.0,
        }
    }

    /// What the network is like once the world has healed.
    pub fn healed(&self) -> Self {
        Self { loss: 0.0, duplicate: 0.0, delay: self.delay, tail: 0.0, tail_max: 0, corrupt: 0.0 }
    }
}

impl Faults {
    fn draw(profile: Profile, dice: &mut Dice) -> Self {
        use crate::faults::Kind;
        let only = |kinds: &[Kind]| Kind::ALL.iter().map(|kind| u64::from(kinds.contains(kind))).collect();
        let every = dice.range(300, 8_000) * MILLI;
        match profile {
            Profile::Loss | Profile::Clean | Profile::Corruption => Self::default(),
            Profile::Restarts => {
                Self { every, weights: only(&[Kind::KillDispatcher, Kind::StopDispatcher]), ..Self::default() }
            }
            Profile::Names => {
                Self { every, weights: only(&[Kind::KillNameService, Kind::PauseNameService]), ..Self::default() }
            }
            Profile::Clocks => Self { every, weights: only(&[Kind::JumpClock]), ..Self::default() },
            Profile::Everything => Self {
                every,
                // A swarm: each world has some of the faults, and some of them often.
                weights: Kind::ALL.iter().map(|_| *dice.pick(&[0, 0, 1, 1, 5])).collect(),
                die_at_effect: *dice.pick(&[0.0, 0.0, 0.002, 0.02]),
                dns_fails: *dice.pick(&[0.0, 0.3]),
            },
        }
    }
}

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:#?}")
    }
}
