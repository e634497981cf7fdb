//! Set-wise writes of the ledger on PostgreSQL: arrays in, one statement a table, prepared once.

use crate::rows::{BudgetAnswerRow, BudgetCaptureRow, BudgetHoldRow, BudgetUseRow};
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::sql_types::{Array, BigInt, Binary, Nullable, Text};

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
    "INSERT INTO budget_captures (id, hold_id, spent, overage, refunded, created_at) SELECT *", [
    id: Text, &'a str => |row| row.id.as_str();
    hold_id: Text, &'a str => |row| row.hold_id.as_str();
    spent: BigInt, i64 => |row| row.spent;
    overage: BigInt, i64 => |row| row.overage;
    refunded: BigInt, i64 => |row| row.refunded;
    created_at: BigInt, i64 => |row| row.created_at;
], ")");

set_wise!(ChangeCaptures of BudgetCaptureRow,
    "UPDATE budget_captures SET refunded = new.refunded", [
    id: Text, &'a str => |row| row.id.as_str();
    refunded: BigInt, i64 => |row| row.refunded;
], ") AS new (id, refunded) WHERE budget_captures.id = new.id");

set_wise!(AddAnswers of BudgetAnswerRow,
    "INSERT INTO budget_answers (key_hash, digest, answer, expires_at) SELECT *", [
    key_hash: Binary, &'a [u8] => |row| row.key_hash.as_slice();
    digest: Binary, &'a [u8] => |row| row.digest.as_slice();
    answer: Text, &'a str => |row| row.answer.as_str();
    expires_at: BigInt, i64 => |row| row.expires_at;
], ")");
