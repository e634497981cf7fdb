//! Rows of the ledger's tables. Amounts are in the unit's smallest part, times in seconds.

use crate::rows::row;
use crate::tables;
use stipend_token::budget::MAX_AMOUNT;

row! {
    /// A limit of an account in one unit. `parent_id` and the unit never change. `increase`
    /// is on top of `amount` before `increase_until`; `audience` is a token's.
    #[derive(Debug, diesel::AsChangeset)]
    #[diesel(treat_none_as_null = true)]
    BudgetLineRow of budget_lines (id) {
        id: String,
        owner_id: String,
        account_kind: String,
        account_id: String,
        parent_id: Option<String>,
        unit: String,
        decimals: i64,
        amount: i64,
        per_call: Option<i64>,
        time_window: String,
        enforce: String,
        state: String,
        expires_at: Option<i64>,
        created_at: i64,
        updated_at: i64,
        increase: i64,
        increase_until: Option<i64>,
        audience: Option<String>,
    }
}

row! {
    /// What a line has used in the period that began at `period`.
    #[derive(Debug)]
    BudgetUseRow of budget_uses (line_id, period) {
        line_id: String,
        period: i64,
        held: i64,
        spent: i64,
        carved: i64,
        overage: i64,
        told: i64,
    }
}

row! {
    /// `path` is a JSON list of `[line, period]`, leaf first: where the hold was booked.
    #[derive(Debug, diesel::AsChangeset)]
    #[diesel(treat_none_as_null = true)]
    BudgetHoldRow of budget_holds (id) {
        id: String,
        line_id: String,
        client_id: String,
        jti: Option<String>,
        amount: i64,
        captured: i64,
        state: String,
        path: String,
        expires_at: i64,
        created_at: i64,
    }
}

row! {
    /// `spent` is what every level had room for, `overage` what the tightest had not;
    /// `overages` is a JSON list of each level's, leaf first, where there is any.
    #[derive(Debug, diesel::AsChangeset)]
    #[diesel(treat_none_as_null = true)]
    BudgetCaptureRow of budget_captures (id) {
        id: String,
        hold_id: String,
        spent: i64,
        overage: i64,
        refunded: i64,
        created_at: i64,
        overages: Option<String>,
    }
}

row! {
    /// An amount that a service counts by itself. `path` is where it was taken from, as that
    /// of a hold; `reported` what the service has said it spent; `returned` what came back.
    #[derive(Debug, diesel::AsChangeset)]
    BudgetCarveRow of budget_carves (line_id) {
        line_id: String,
        path: String,
        amount: i64,
        reported: i64,
        is_final: bool,
        state: String,
        returned: i64,
        due_at: i64,
        created_at: i64,
        updated_at: i64,
    }
}

row! {
    /// The answer given to a key, as JSON.
    #[derive(Debug)]
    BudgetAnswerRow of budget_answers (key_hash) {
        key_hash: Vec<u8>,
        digest: Vec<u8>,
        answer: String,
        expires_at: i64,
    }
}

impl BudgetLineRow {
    /// The limit in effect, with the increase of the moment.
    #[must_use]
    pub fn limit(&self, now: i64) -> i64 {
        let increase = self.increase_until.filter(|until| now < *until).map_or(0, |_| self.increase);
        self.amount.saturating_add(increase).min(MAX_AMOUNT)
    }
}
