//! Columns to values and back.
//!
//! The table is open to other programs, so a row may hold what this one would not have written. What
//! cannot be read is shown as absent; only a missing or alien column is an error.

use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use rusqlite::Row;
use rusqlite::types::ValueRef;
use taskgrid_protocol::body::Status;
use taskgrid_protocol::error::TaskError;
use taskgrid_protocol::{Json, Lease, TaskType, WallTime};

use crate::store::Outcome;
use crate::store::rules;

/// A time as it stands in the table: UTC with milliseconds, sortable.
pub(super) fn time_text(time: WallTime) -> String {
    let time = DateTime::<Utc>::from_timestamp_millis(rules::storable(time).as_millis());
    time.unwrap_or_default().to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// A time; the 31st of February is the start of the epoch.
pub(super) fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<WallTime> {
    Ok(optional_time(row, column)?.unwrap_or_default())
}

pub(super) fn optional_time(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<WallTime>> {
    let ValueRef::Text(bytes) = row.get_ref(column)? else { return Ok(None) };
    let text = str::from_utf8(bytes).unwrap_or_default();
    let time = DateTime::parse_from_rfc3339(text).unwrap_or_default();
    Ok(Some(WallTime::from_millis(time.timestamp_millis())))
}

/// A text, however it is encoded.
pub(super) fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<String> {
    Ok(optional_text(row, column)?.unwrap_or_default())
}

pub(super) fn optional_text(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<String>> {
    let ValueRef::Text(bytes) = row.get_ref(column)? else { return Ok(None) };
    Ok(Some(String::from_utf8_lossy(bytes).into_owned()))
}

pub(super) fn worker(row: &Row<'_>, column: usize) -> rusqlite::Result<Arc<str>> {
    Ok(text(row, column)?.into())
}

pub(super) fn lease(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Lease>> {
    Ok(optional_text(row, column)?.and_then(|text| Lease::new(&text).ok()))
}

pub(super) fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u32> {
    Ok(u32::try_from(row.get::<_, i64>(column)?).unwrap_or_default())
}

pub(super) fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or_default())
}

/// A payload or a result; `Err` says why it is none.
pub(super) fn json(row: &Row<'_>, column: usize) -> rusqlite::Result<Result<Json, String>> {
    let ValueRef::Text(bytes) = row.get_ref(column)? else { return Ok(Err("it is missing".to_owned())) };
    let parsed = str::from_utf8(bytes).map_err(|error| error.to_string());
    Ok(parsed.and_then(|text| Json::parse(text).map_err(|error| error.to_string())))
}

/// A payload or a result for people; what is none is shown as null.
pub(super) fn optional_json(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Json>> {
    if row.get_ref(column)? == ValueRef::Null {
        return Ok(None);
    }
    Ok(Some(json(row, column)?.unwrap_or_else(|_| Json::null())))
}

/// The columns `error_code` and `error`.
pub(super) fn error(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<TaskError>> {
    let code = optional_text(row, column)?;
    let message = text(row, column + 1)?;
    Ok(code.map(|code| TaskError { code, message }))
}

pub(super) fn status(row: &Row<'_>, column: usize) -> rusqlite::Result<Status> {
    let word = row.get_ref(column)?.as_str()?;
    Status::from_word(word).ok_or_else(|| alien(row, column, word))
}

pub(super) fn task_type(row: &Row<'_>, column: usize) -> rusqlite::Result<TaskType> {
    let word = row.get_ref(column)?.as_str()?;
    TaskType::new(word).map_err(|_| alien(row, column, word))
}

pub(super) fn outcome(row: &Row<'_>, column: usize) -> rusqlite::Result<Outcome> {
    let word = row.get_ref(column)?.as_str()?;
    Outcome::from_word(word).ok_or_else(|| alien(row, column, word))
}

/// A value that a CHECK constraint forbids.
fn alien(row: &Row<'_>, column: usize, word: &str) -> rusqlite::Error {
    let name = row.as_ref().column_name(column).unwrap_or("?");
    let what = format!("the column '{name}' holds '{word}', which its CHECK constraint forbids");
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, what.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_sort_as_text_and_come_back() {
        let text = |millis| time_text(WallTime::from_millis(millis));
        assert_eq!(text(1_795_490_715_123), "2026-11-24T03:25:15.123Z");
        assert_eq!(text(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(text(i64::MAX), "9999-12-31T23:59:59.999Z", "five-digit years would not sort");
        assert_eq!(text(-1), "1970-01-01T00:00:00.000Z");
    }
}
