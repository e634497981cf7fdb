//! Set-wise writes of the ledger on PostgreSQL: arrays in, one statement a table, prepared once.

use crate::rows::{BudgetAnswerRow, BudgetCaptureRow, BudgetCarveRow, BudgetHoldRow, BudgetLineRow, BudgetUseRow};
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::sql_types::{Array, BigInt, Binary, Bool, Nullable, Text};

/// A statement whose parameters are columns of rows, an array each, in `unnest(…)` between
/// `$before` and `$after`.
macro_rules! set_wise {
    ($name:ident of $row:ident, $before:literal, [$($field:ident: $sql:ty, $rust:ty => $value:expr;)+], $after:literal) => {
        pub(super) struct $name<'a> {
            $($field: Vec<$rust>,)+
        }

        impl<'a> $name<'a> {
            pub(super) fn new(rows: &'a [$row]) -> Self {
                Self { $($field: rows.iter().map($value).collect(),)+ }
            }
        }

        impl QueryId for $name<'_> {
            type QueryId = $name<'static>;
            const HAS_STATIC_QUERY_ID: bool = true;
        }

        impl QueryFragment<Pg> for $name<'_> {
            fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
                out.push_sql($before);
                let mut separator = " FROM unnest(";
                $(
                    out.push_sql(separator);
                    out.push_bind_param::<Array<$sql>, _>(&self.$field)?;
                    separator = ", ";
                )+
                let _ = separator;
                out.push_sql($after);
                Ok(())
            }
        }
    };
}

set_wise!(AddLines of BudgetLineRow,
    "INSERT INTO budget_lines (id, owner_id, account_kind, account_id, parent_id, unit, decimals, amount, per_call, \
     time_window, enforce, state, expires_at, created_at, updated_at, increase, increase_until, audience) SELECT *", [
    id: Text, &'a str => |row| row.id.as_str();
    owner_id: Text, &'a str => |row| row.owner_id.as_str();
    account_kind: Text, &'a str => |row| row.account_kind.as_str();
    account_id: Text, &'a str => |row| row.account_id.as_str();
    parent_id: Nullable<Text>, Option<&'a str> => |row| row.parent_id.as_deref();
    unit: Text, &'a str => |row| row.unit.as_str();
    decimals: BigInt, i64 => |row| row.decimals;
    amount: BigInt, i64 => |row| row.amount;
    per_call: Nullable<BigInt>, Option<i64> => |row| row.per_call;
    time_window: Text, &'a str => |row| row.time_window.as_str();
    enforce: Text, &'a str => |row| row.enforce.as_str();
    state: Text, &'a str => |row| row.state.as_str();
    expires_at: Nullable<BigInt>, Option<i64> => |row| row.expires_at;
    created_at: BigInt, i64 => |row| row.created_at;
    updated_at: BigInt, i64 => |row| row.updated_at;
    increase: BigInt, i64 => |row| row.increase;
    increase_until: Nullable<BigInt>, Option<i64> => |row| row.increase_until;
    audience: Nullable<Text>, Option<&'a str> => |row| row.audience.as_deref();
], ")");

set_wise!(KeepUses of BudgetUseRow,
    "INSERT INTO budget_uses (line_id, period, held, spent, carved, overage, told) SELECT *", [
    line_id: Text, &'a str => |row| row.line_id.as_str();
    period: BigInt, i64 => |row| row.period;
    held: BigInt, i64 => |row| row.held;
    spent: BigInt, i64 => |row| row.spent;
    carved: BigInt, i64 => |row| row.carved;
    overage: BigInt, i64 => |row| row.overage;
    told: BigInt, i64 => |row| row.told;
], ") ON CONFLICT (line_id, period) DO UPDATE SET held = excluded.held, spent = excluded.spent, \
     carved = excluded.carved, overage = excluded.overage, told = excluded.told");

set_wise!(AddHolds of BudgetHoldRow,
    "INSERT INTO budget_holds (id, line_id, client_id, jti, amount, captured, state, path, expires_at, created_at) \
     SELECT *", [
    id: Text, &'a str => |row| row.id.as_str();
    line_id: Text, &'a str => |row| row.line_id.as_str();
    client_id: Text, &'a str => |row| row.client_id.as_str();
    jti: Nullable<Text>, Option<&'a str> => |row| row.jti.as_deref();
    amount: BigInt, i64 => |row| row.amount;
    captured: BigInt, i64 => |row| row.captured;
    state: Text, &'a str => |row| row.state.as_str();
    path: Text, &'a str => |row| row.path.as_str();
    expires_at: BigInt, i64 => |row| row.expires_at;
    created_at: BigInt, i64 => |row| row.created_at;
], ")");

set_wise!(ChangeHolds of BudgetHoldRow,
    "UPDATE budget_holds SET captured = new.captured, state = new.state, expires_at = new.expires_at", [
    id: Text, &'a str => |row| row.id.as_str();
    captured: BigInt, i64 => |row| row.captured;
    state: Text, &'a str => |row| row.state.as_str();
    expires_at: BigInt, i64 => |row| row.expires_at;
], ") AS new (id, captured, state, expires_at) WHERE budget_holds.id = new.id");

set_wise!(AddCaptures of BudgetCaptureRow,
    "INSERT INTO budget_captures (id, hold_id, spent, overage, refunded, created_at, overages) SELECT *", [
    id: Text, &'a str => |row| row.id.as_str();
    hold_id: Text, &'a str => |row| row.hold_id.as_str();
    spent: BigInt, i64 => |row| row.spent;
    overage: BigInt, i64 => |row| row.overage;
    refunded: BigInt, i64 => |row| row.refunded;
    created_at: BigInt, i64 => |row| row.created_at;
    overages: Nullable<Text>, Option<&'a str> => |row| row.overages.as_deref();
], ")");

set_wise!(ChangeCaptures of BudgetCaptureRow,
    "UPDATE budget_captures SET refunded = new.refunded", [
    id: Text, &'a str => |row| row.id.as_str();
    refunded: BigInt, i64 => |row| row.refunded;
], ") AS new (id, refunded) WHERE budget_captures.id = new.id");

set_wise!(AddCarves of BudgetCarveRow,
    "INSERT INTO budget_carves (line_id, path, amount, reported, final, state, returned, due_at, created_at, \
     updated_at) SELECT *", [
    line_id: Text, &'a str => |row| row.line_id.as_str();
    path: Text, &'a str => |row| row.path.as_str();
    amount: BigInt, i64 => |row| row.amount;
    reported: BigInt, i64 => |row| row.reported;
    is_final: Bool, bool => |row| row.is_final;
    state: Text, &'a str => |row| row.state.as_str();
    returned: BigInt, i64 => |row| row.returned;
    due_at: BigInt, i64 => |row| row.due_at;
    created_at: BigInt, i64 => |row| row.created_at;
    updated_at: BigInt, i64 => |row| row.updated_at;
], ")");

set_wise!(ChangeCarves of BudgetCarveRow,
    "UPDATE budget_carves SET reported = new.reported, final = new.final, state = new.state, \
     returned = new.returned, updated_at = new.updated_at", [
    line_id: Text, &'a str => |row| row.line_id.as_str();
    reported: BigInt, i64 => |row| row.reported;
    is_final: Bool, bool => |row| row.is_final;
    state: Text, &'a str => |row| row.state.as_str();
    returned: BigInt, i64 => |row| row.returned;
    updated_at: BigInt, i64 => |row| row.updated_at;
], ") AS new (line_id, reported, final, state, returned, updated_at) WHERE budget_carves.line_id = new.line_id");

set_wise!(AddAnswers of BudgetAnswerRow,
    "INSERT INTO budget_answers (key_hash, digest, answer, expires_at) SELECT *", [
    key_hash: Binary, &'a [u8] => |row| row.key_hash.as_slice();
    digest: Binary, &'a [u8] => |row| row.digest.as_slice();
    answer: Text, &'a str => |row| row.answer.as_str();
    expires_at: BigInt, i64 => |row| row.expires_at;
], ")");
