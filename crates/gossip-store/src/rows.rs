//! What every database does with rows that others may have written, and with numbers.

use crate::{Cursor, Error, Paged};

/// What of `rows` makes sense. One that was written by someone else and does not is logged and left out: it must not
/// take the rest of a page or a batch with it.
pub(crate) fn readable<R, T>(
    rows: impl IntoIterator<Item = R>,
    read: impl Fn(R) -> Result<T, Error>,
) -> impl Iterator<Item = T> {
    rows.into_iter()
        .filter_map(move |row| read(row).inspect_err(|error| tracing::warn!(%error, "a row was left out")).ok())
}

/// A page of `rows`, of which one more was asked for than a page holds: if it came, there is a next page. It begins
/// after the last row of this one that has a place, whether that made sense or not.
pub(crate) fn paged<R, T>(
    mut rows: Vec<R>,
    limit: u64,
    cursor: impl Fn(&R) -> Option<Cursor>,
    read: impl Fn(R) -> Result<T, Error>,
) -> Paged<T> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = if more { rows.iter().rev().find_map(cursor) } else { None };
    Paged { items: readable(rows, read).collect(), next }
}

/// A seq, a position or a limit as a column's value: what does not fit is beyond every one there is.
pub(crate) fn column(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
