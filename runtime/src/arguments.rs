//! What flags and variables of several programs share.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use clap::{Arg, Command};

/// Reads a number of seconds, such as `30` or `0.5`, for clap's `value_parser`.
pub fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "write a number of seconds, such as 30 or 0.5".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|_| "a number of seconds is not negative and not endless".to_owned())
}

/// Reads a number of bytes, such as `64MiB`, `1G` or `4096`, for clap's `value_parser`. K, M and G are powers
/// of 1,024, however they are written on.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let wrong = || "write a number of bytes, such as 64MiB or 1G".to_owned();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => return Err(wrong()),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

/// One value of a flag that takes several: `a,b`, with spaces and a comma at the end as people write them. The flag may be
/// repeated, so its field is a `Vec` of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List<T>(Vec<T>);

impl<T: Clone> List<T> {
    /// A list of one.
    pub fn one(item: T) -> Self {
        Self(vec![item])
    }

    /// What all of them name.
    pub fn concat(lists: &[Self]) -> Vec<T> {
        lists.iter().flat_map(|list| &list.0).cloned().collect()
    }
}

/// Reads a list with a reader of its items, for clap's `value_parser`.
pub fn parse_list<T, E: Display>(text: &str, item: impl Fn(&str) -> Result<T, E>) -> Result<List<T>, String> {
    let items = text.split(',').map(str::trim).filter(|text| !text.is_empty());
    let items: Vec<T> = items.map(item).collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    if items.is_empty() {
        return Err("the list is empty; leave the flag away, or name something".to_owned());
    }
    Ok(List(items))
}

impl<T: FromStr<Err: Display>> FromStr for List<T> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse_list(text, T::from_str)
    }
}

/// Takes a variable that is empty for one that is not set: `TASKGRID_LEASE: ${LEASE:-}` in a compose file makes one
/// where LEASE has no value.
#[must_use]
pub fn without_empty_variables(command: Command) -> Command {
    let is_empty = |arg: &Arg| {
        let name = arg.get_env()?;
        std::env::var_os(name).filter(|value| value.is_empty())
    };
    command
        .mut_args(|arg| if is_empty(&arg).is_some() { arg.env(None) } else { arg })
        .mut_subcommands(without_empty_variables)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_takes_spaces_and_a_comma_at_its_end() {
        let read = |text: &str| text.parse::<List<String>>();
        let two = || List(vec!["a".to_owned(), "b".to_owned()]);
        for text in ["a,b", "a, b", " a ,\n b ,", ",a,,b"] {
            assert_eq!(read(text), Ok(two()), "{text:?}");
        }
        for text in ["", " ", ",", " , "] {
            assert!(read(text).unwrap_err().contains("the list is empty"), "{text:?}");
        }
        assert!("1,x".parse::<List<u32>>().unwrap_err().contains("invalid digit"));
    }

    #[test]
    fn bytes_are_read_with_and_without_a_unit() {
        let read = ["0", "4096", "64MiB", "1g", "2kb"].map(parse_bytes);
        assert_eq!(read, [Ok(0), Ok(4_096), Ok(64 << 20), Ok(1 << 30), Ok(2_048)]);
        for wrong in ["", "MiB", "1.5G", "-1", "1T", "99999999999G"] {
            assert!(parse_bytes(wrong).is_err(), "{wrong}");
        }
    }
}
