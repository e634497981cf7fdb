//! The ledger's statements: lock and load what a batch of orders may touch, store what became
//! of it. Locks are taken by table and then by id, so that two nodes never wait for each other
//! in a circle; the answers to keys are read last, when whoever had the same key has committed.

use crate::ledger::{Spend, Step};
use crate::rows::{BudgetCaptureRow, BudgetCarveRow, BudgetHoldRow, BudgetLineRow};
use std::collections::BTreeSet;
use stipend_token::budget::Window;

/// What a batch of orders names.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    pub captures: BTreeSet<String>,
    pub holds: BTreeSet<String>,
    pub carves: BTreeSet<String>,
    pub lines: BTreeSet<String>,
    /// Lines whose children are counted.
    pub parents: BTreeSet<String>,
    pub keys: BTreeSet<Vec<u8>>,
    /// Starts of the periods that holds were booked in.
    periods: BTreeSet<i64>,
}

impl Wanted {
    pub fn new<'a>(orders: impl Iterator<Item = &'a Spend>) -> Self {
        let mut wanted = Self::default();
        for order in orders {
            if let Some(key) = &order.key {
                wanted.keys.insert(key.key_hash.to_vec());
            }
            match &order.step {
                Step::Hold(new) | Step::Charge { hold: new, .. } => {
                    wanted.lines.extend(new.paths.iter().flatten().cloned())
                }
                Step::Capture { hold_id, .. }
                | Step::Void { hold_id }
                | Step::Extend { hold_id, .. }
                | Step::Expire { hold_id } => {
                    wanted.holds.insert(hold_id.clone());
                }
                Step::Refund { capture_id, .. } => {
                    wanted.captures.insert(capture_id.clone());
                }
                Step::Issue(new) => {
                    for line in &new.lines {
                        wanted.lines.extend(line.above.iter().cloned());
                        wanted.parents.extend(line.max_children.and(line.above.first()).cloned());
                    }
                }
                Step::Report { line_id, .. } | Step::Settle { line_id } => {
                    wanted.carves.insert(line_id.clone());
                }
            }
        }
        wanted
    }

    pub fn add_captures(&mut self, rows: &[BudgetCaptureRow]) {
        self.holds.extend(rows.iter().map(|row| row.hold_id.clone()));
    }

    pub fn add_holds(&mut self, rows: &[BudgetHoldRow]) {
        for row in rows {
            self.add_path(&row.path);
        }
    }

    pub fn add_carves(&mut self, rows: &[BudgetCarveRow]) {
        for row in rows {
            self.add_path(&row.path);
            self.lines.insert(row.line_id.clone());
            self.periods.insert(0);
        }
    }

    fn add_path(&mut self, path: &str) {
        // What can't be read is refused when its order is decided.
        let places: Vec<(String, i64)> = serde_json::from_str(path).unwrap_or_default();
        for (line, period) in places {
            self.lines.insert(line);
            self.periods.insert(period);
        }
    }

    /// The periods to load whole, and the rolling lines with the time from which their parts
    /// count. `now` in seconds.
    pub fn uses(&self, lines: &[BudgetLineRow], now: i64) -> Uses {
        let mut uses = Uses { periods: self.periods.clone(), rolling: BTreeSet::new(), from: i64::MAX };
        let oldest = self.periods.iter().copied().filter(|period| *period > 0).min().unwrap_or(now).min(now);
        for row in lines {
            let Ok(window) = Window::parse(&row.time_window) else { continue };
            if let Ok(period) = window.period(now) {
                uses.periods.insert(period.start);
            }
            if let (Window::Rolling(_), Ok(from)) = (&window, window.counts_from(oldest)) {
                uses.rolling.insert(row.id.clone());
                uses.from = uses.from.min(from);
            }
        }
        uses
    }
}

/// Which rows of use to load.
#[derive(Debug)]
pub(super) struct Uses {
    pub periods: BTreeSet<i64>,
    pub rolling: BTreeSet<String>,
    pub from: i64,
}

/// Statements of one backend. `$lock` is what keeps a selected row from others until the end.
macro_rules! ledger_statements {
    ($conn:ty, [$($asyncness:ident)?], [$($wait:tt)*], [$($lock:tt)*]) => {
        pub(super) $($asyncness)? fn open_books(
            conn: &mut $conn,
            mut wanted: Wanted,
            now: i64,
        ) -> QueryResult<Stored> {
            let mut stored = Stored::default();
            if !wanted.captures.is_empty() {
                stored.captures = budget_captures::table
                    .filter(budget_captures::id.eq_any(&wanted.captures))
                    .order(budget_captures::id)
                    .select(BudgetCaptureRow::as_select())
                    $($lock)*
                    .load(conn)$($wait)*?;
                wanted.add_captures(&stored.captures);
            }
            if !wanted.holds.is_empty() {
                stored.holds = budget_holds::table
                    .filter(budget_holds::id.eq_any(&wanted.holds))
                    .order(budget_holds::id)
                    .select(BudgetHoldRow::as_select())
                    $($lock)*
                    .load(conn)$($wait)*?;
                wanted.add_holds(&stored.holds);
            }
            if !wanted.carves.is_empty() {
                stored.carves = budget_carves::table
                    .filter(budget_carves::line_id.eq_any(&wanted.carves))
                    .order(budget_carves::line_id)
                    .select(BudgetCarveRow::as_select())
                    $($lock)*
                    .load(conn)$($wait)*?;
                wanted.add_carves(&stored.carves);
            }
            stored.lines = budget_lines::table
                .filter(budget_lines::id.eq_any(&wanted.lines))
                .order(budget_lines::id)
                .select(BudgetLineRow::as_select())
                $($lock)*
                .load(conn)$($wait)*?;
            let uses = wanted.uses(&stored.lines, now);
            stored.uses = budget_uses::table
                .filter(budget_uses::line_id.eq_any(&wanted.lines))
                .filter(budget_uses::period.eq_any(&uses.periods))
                .select(BudgetUseRow::as_select())
                .load(conn)$($wait)*?;
            if !uses.rolling.is_empty() {
                stored.uses.extend(
                    budget_uses::table
                        .filter(budget_uses::line_id.eq_any(&uses.rolling))
                        .filter(budget_uses::period.ge(uses.from))
                        .select(BudgetUseRow::as_select())
                        .load(conn)$($wait)*?,
                );
            }
            if !wanted.parents.is_empty() {
                stored.children = budget_lines::table
                    .filter(budget_lines::parent_id.eq_any(&wanted.parents))
                    .group_by(budget_lines::parent_id)
                    .select((budget_lines::parent_id, diesel::dsl::count_star()))
                    .load(conn)$($wait)*?;
            }
            if !wanted.keys.is_empty() {
                stored.answers = budget_answers::table
                    .filter(budget_answers::key_hash.eq_any(&wanted.keys))
                    .select(BudgetAnswerRow::as_select())
                    .load(conn)$($wait)*?;
            }
            Ok(stored)
        }
    };
}

pub(super) use ledger_statements;
