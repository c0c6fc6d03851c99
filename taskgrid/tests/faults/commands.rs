//! The command line: that of campaigns, and as much of libtest's as `cargo test` and others use.

use clap::{CommandFactory, FromArgMatches, Parser};
use rand_core::{OsRng, TryRngCore};

use crate::campaigns::{CAMPAIGNS, Campaign, SMOKE};

pub(crate) enum Command {
    Run {
        chosen: Vec<&'static Campaign>,
        seed: u64,
        count: Option<usize>,
        brief: bool,
    },
    /// Asked for by programs that run tests one by one.
    List,
    /// Tests were chosen by name, and this is none of them.
    Nothing(String),
}

#[derive(Parser)]
#[command(name = "faults", about = "Faults on real processes under load")]
struct Args {
    /// One campaign; `ci` for all of them in brief, `all` for all at full length.
    campaign: String,

    /// Replays the choices of an earlier run.
    #[arg(long)]
    seed: Option<u64>,

    /// How many faults.
    #[arg(long)]
    count: Option<usize>,

    /// As `ci` runs it.
    #[arg(long)]
    brief: bool,
}

/// Flags of libtest that are followed by a word.
const WITH_VALUE: &[&str] = &["--test-threads", "--skip", "--color", "--format", "--logfile", "--shuffle-seed", "-Z"];

pub(crate) fn read(args: Vec<String>) -> Command {
    let is_ours = |word: &str| matches!(word, "ci" | "all" | "help" | "--help") || named(word).is_some();
    if args.first().is_some_and(|first| is_ours(first)) { campaigns(args) } else { libtest(&args) }
}

fn campaigns(args: Vec<String>) -> Command {
    let names: Vec<String> =
        CAMPAIGNS.iter().map(|campaign| format!("  {:<10} {}", campaign.name, campaign.about)).collect();
    let command = Args::command().after_help(format!("Campaigns:\n{}", names.join("\n")));
    let matches = command.get_matches_from(std::iter::once("faults".to_owned()).chain(args));
    let Args { campaign, seed, count, brief } = Args::from_arg_matches(&matches).unwrap();
    let chosen = named(&campaign).map_or_else(|| CAMPAIGNS.iter().collect(), |one| vec![one]);
    Command::Run { chosen, seed: seed.unwrap_or_else(any_seed), count, brief: brief || campaign == "ci" }
}

fn libtest(args: &[String]) -> Command {
    let mut words = Vec::new();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        if WITH_VALUE.contains(&arg.as_str()) {
            rest.next();
        } else if arg == "--list" {
            return Command::List;
        } else if !arg.starts_with('-') {
            words.push(arg.as_str());
        }
    }
    if words.is_empty() || words.iter().any(|word| "smoke".contains(word)) {
        return Command::Run { chosen: vec![&SMOKE], seed: any_seed(), count: None, brief: true };
    }
    let names: Vec<&str> = CAMPAIGNS.iter().map(|campaign| campaign.name).collect();
    Command::Nothing(format!("nothing here is called {words:?}; there are ci, all, {}", names.join(", ")))
}

fn named(word: &str) -> Option<&'static Campaign> {
    CAMPAIGNS.iter().find(|campaign| campaign.name == word)
}

/// Short enough to be typed.
fn any_seed() -> u64 {
    OsRng.try_next_u64().unwrap() % 1_000_000
}
