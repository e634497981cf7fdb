//! The lines of a new token: each a cap under a line above it, or carved out of it. What is
//! asked for is narrowed to what there is; a token gets all of its lines or is not issued.

use super::books::{Books, Line, Place};
use super::rows::{BudgetCarveRow, BudgetLineRow};
use super::words::{name, remaining};
use super::{Granted, NewLine, NewToken, Receipt, Refusal};
use stipend_token::budget::{self, AccountKind, Amount, Enforce, Level, Window};

/// What one line takes, before anything is booked: the lines of a token are in units that
/// differ, so they share no level.
struct Opened<'a> {
    line: &'a NewLine,
    granted: Granted,
    places: Vec<Place>,
    path: Vec<Level>,
}

impl Books {
    pub(super) fn issue(&mut self, new: &NewToken, now: i64) -> Result<Receipt, Refusal> {
        let mut opened = Vec::with_capacity(new.lines.len());
        for line in &new.lines {
            match self.try_open(line, now) {
                Ok(Some(line)) => opened.push(line),
                Ok(None) => {}
                // Nobody asked for it: the token is issued without it.
                Err(Refusal::Closed { .. } | Refusal::Carved { .. }) if !line.required => {}
                Err(refusal) => return Err(refusal),
            }
        }
        let least = opened.iter().map(|line| line.granted.amount.parts()).min().unwrap_or(0);
        let mut granted = Vec::with_capacity(opened.len());
        for line in opened {
            granted.push(self.open_line(new, line, now));
        }
        Ok(Receipt { remaining: least, granted, ..Receipt::default() })
    }

    fn try_open<'a>(&self, line: &'a NewLine, now: i64) -> Result<Option<Opened<'a>>, Refusal> {
        let places = self.places(std::slice::from_ref(&line.above), now)?;
        let mut path = self.levels(&places, now);
        let amount = line.amount.parts().min(remaining(&path));
        if amount == 0 {
            let level = path.iter().position(|level| level.available() <= 0);
            let line_id = level.and_then(|level| places.get(level)).map(|(id, _)| id.clone());
            if line.required {
                let line_id = line_id.unwrap_or_default();
                return Err(Refusal::Insufficient { line_id, required: line.amount.parts(), remaining: 0 });
            }
            // A cap of nothing says why nothing can be spent; an amount of nothing can't be carved.
            if line.enforce == Enforce::Service {
                return Ok(None);
            }
        }
        if let (Some(most), Some(above)) = (line.max_children, line.above.first())
            && self.children.get(above).copied().unwrap_or(0) >= most
        {
            return Err(Refusal::Children { line_id: above.clone() });
        }
        let amount = Amount::new(amount).unwrap_or_default();
        if line.enforce == Enforce::Service {
            budget::carve(&mut path, amount).map_err(|declined| name(declined, &places))?;
        }
        let per_call = path.iter().filter_map(|level| level.per_call).chain(line.per_call).min();
        let granted = Granted { line_id: line.line_id.clone(), unit: line.unit.to_string(), amount, per_call };
        Ok(Some(Opened { line, granted, places, path }))
    }

    fn open_line(&mut self, token: &NewToken, opened: Opened<'_>, now: i64) -> Granted {
        let Opened { line, granted, places, path } = opened;
        self.book(&places, &path);
        let parent_id = line.above.first().cloned();
        if let Some(parent) = &parent_id {
            let children = self.children.entry(parent.clone()).or_default();
            *children = children.saturating_add(1);
        }
        let row = BudgetLineRow {
            id: line.line_id.clone(),
            owner_id: line.owner_id.clone(),
            account_kind: AccountKind::Token.as_str().to_owned(),
            account_id: token.jti.clone(),
            parent_id,
            unit: line.unit.code().to_owned(),
            decimals: i64::from(line.unit.decimals()),
            amount: granted.amount.parts(),
            per_call: granted.per_call.map(Amount::parts),
            time_window: Window::None.to_string(),
            enforce: line.enforce.as_str().to_owned(),
            state: "active".to_owned(),
            expires_at: Some(token.expires_at),
            created_at: now,
            updated_at: now,
            increase: 0,
            increase_until: None,
            audience: Some(token.audience.clone()),
        };
        if line.enforce == Enforce::Service {
            let carve = BudgetCarveRow {
                line_id: row.id.clone(),
                path: serde_json::to_string(&places).unwrap_or_default(),
                amount: row.amount,
                reported: 0,
                is_final: false,
                state: super::carve::OPEN.to_owned(),
                returned: 0,
                due_at: line.due_at,
                created_at: now,
                updated_at: now,
            };
            self.changed.new_carves.insert(row.id.clone());
            self.carves.insert(row.id.clone(), carve);
        }
        self.lines.insert(row.id.clone(), Line { row: row.clone(), window: Window::None });
        self.new_lines.push(row);
        granted
    }
}
