//! Pages of lists, by key and never by offset.

use super::api::{ListQuery, Page};
use super::limits::{DEFAULT_PAGE, MAX_CURSOR_BYTES, MAX_PAGE};
use super::problem::Refusal;
use stipend_schema::queries;

/// The size of a page.
pub(super) fn limit(asked: Option<i64>) -> Result<i64, Refusal> {
    let limit = asked.unwrap_or(DEFAULT_PAGE);
    if (1..=MAX_PAGE).contains(&limit) {
        Ok(limit)
    } else {
        Err(Refusal::field("limit", format!("must be between 1 and {MAX_PAGE}")))
    }
}

/// The page to read: one more than asked for, to know whether there is a next.
pub(super) fn wanted(query: &ListQuery) -> Result<(i64, queries::Page), Refusal> {
    let limit = limit(query.limit)?;
    if query.after.as_ref().is_some_and(|after| after.len() > MAX_CURSOR_BYTES || after.contains('\0')) {
        return Err(Refusal::field("after", "is not a cursor of this API"));
    }
    Ok((limit, queries::Page { after: query.after.clone(), limit: limit.saturating_add(1).min(queries::PAGE_LIMIT) }))
}

/// Cuts the rows to the page and names the next.
pub(super) fn cut<R, T>(
    mut rows: Vec<R>,
    limit: i64,
    key: impl Fn(&R) -> String,
    view: impl Fn(R) -> Result<T, Refusal>,
) -> Result<Page<T>, Refusal> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    // The longest page can't be read with one more: then a full page has a next, perhaps empty.
    let more = rows.len() > limit || rows.len() == usize::try_from(queries::PAGE_LIMIT).unwrap_or(usize::MAX);
    rows.truncate(limit);
    let next = if more { rows.last().map(key) } else { None };
    Ok(Page { items: rows.into_iter().map(view).collect::<Result<_, _>>()?, next })
}
