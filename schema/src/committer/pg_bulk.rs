//! Set-wise inserts on PostgreSQL: arrays in, rows out by UNNEST. The statement text does not
//! depend on how many rows there are, so each connection prepares it once. diesel's own batch
//! insert makes a new text per row count, and `sql_query` is never cached.

use super::decide::BurnKey;
use crate::rows::{AuditRow, ChangeRow};
use crate::signals::{SignalReachRow, StatusEntryRow};
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::sql_types::{Array, BigInt, Binary, Nullable, Text};
use std::collections::BTreeSet;

macro_rules! fixed_text {
    ($statement:ident) => {
        impl QueryId for $statement<'_> {
            type QueryId = $statement<'static>;
            const HAS_STATIC_QUERY_ID: bool = true;
        }
    };
}

/// Burns keys; answers those that were not used before.
pub(super) struct BurnKeys<'a> {
    key_hash: Vec<&'a [u8]>,
    expires_at: Vec<i64>,
}

impl<'a> BurnKeys<'a> {
    pub(super) fn new(keys: &[BurnKey<'a>]) -> Self {
        Self {
            key_hash: keys.iter().map(|(key_hash, _)| *key_hash).collect(),
            expires_at: keys.iter().map(|(_, expires_at)| *expires_at).collect(),
        }
    }
}

fixed_text!(BurnKeys);

impl Query for BurnKeys<'_> {
    type SqlType = Binary;
}

impl QueryFragment<Pg> for BurnKeys<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("INSERT INTO jti_used (key_hash, expires_at) SELECT * FROM unnest(");
        out.push_bind_param::<Array<Binary>, _>(&self.key_hash)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<BigInt>, _>(&self.expires_at)?;
        out.push_sql(") ON CONFLICT DO NOTHING RETURNING key_hash");
        Ok(())
    }
}

pub(super) struct PublishChanges<'a> {
    seq: Vec<i64>,
    kind: Vec<&'a str>,
    id: Vec<&'a str>,
    at: Vec<i64>,
}

impl<'a> PublishChanges<'a> {
    pub(super) fn new(changes: &'a [ChangeRow]) -> Self {
        Self {
            seq: changes.iter().map(|change| change.seq).collect(),
            kind: changes.iter().map(|change| change.kind.as_str()).collect(),
            id: changes.iter().map(|change| change.id.as_str()).collect(),
            at: changes.iter().map(|change| change.at).collect(),
        }
    }
}

fixed_text!(PublishChanges);

impl QueryFragment<Pg> for PublishChanges<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("INSERT INTO changes (seq, kind, id, at) SELECT * FROM unnest(");
        out.push_bind_param::<Array<BigInt>, _>(&self.seq)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.kind)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.id)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<BigInt>, _>(&self.at)?;
        out.push_sql(")");
        Ok(())
    }
}

pub(super) struct AppendRecords<'a> {
    writer: Vec<&'a str>,
    n: Vec<i64>,
    at: Vec<i64>,
    event: Vec<&'a str>,
    outcome: Vec<&'a str>,
    owner_id: Vec<Option<&'a str>>,
    subject_owner_id: Vec<Option<&'a str>>,
    client_id: Vec<Option<&'a str>>,
    jti: Vec<Option<&'a str>>,
    record: Vec<&'a str>,
    hash: Vec<&'a [u8]>,
}

impl<'a> AppendRecords<'a> {
    pub(super) fn new(records: &'a [AuditRow]) -> Self {
        let rows = || records.iter();
        Self {
            writer: rows().map(|row| row.writer.as_str()).collect(),
            n: rows().map(|row| row.n).collect(),
            at: rows().map(|row| row.at).collect(),
            event: rows().map(|row| row.event.as_str()).collect(),
            outcome: rows().map(|row| row.outcome.as_str()).collect(),
            owner_id: rows().map(|row| row.owner_id.as_deref()).collect(),
            subject_owner_id: rows().map(|row| row.subject_owner_id.as_deref()).collect(),
            client_id: rows().map(|row| row.client_id.as_deref()).collect(),
            jti: rows().map(|row| row.jti.as_deref()).collect(),
            record: rows().map(|row| row.record.as_str()).collect(),
            hash: rows().map(|row| row.hash.as_slice()).collect(),
        }
    }
}

fixed_text!(AppendRecords);

impl QueryFragment<Pg> for AppendRecords<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(
            "INSERT INTO audit_records (writer, n, at, event, outcome, owner_id, \
             subject_owner_id, client_id, jti, record, hash) SELECT * FROM unnest(",
        );
        out.push_bind_param::<Array<Text>, _>(&self.writer)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<BigInt>, _>(&self.n)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<BigInt>, _>(&self.at)?;
        for column in [&self.event, &self.outcome] {
            out.push_sql(", ");
            out.push_bind_param::<Array<Text>, _>(column)?;
        }
        let columns = [&self.owner_id, &self.subject_owner_id, &self.client_id, &self.jti];
        for column in columns {
            out.push_sql(", ");
            out.push_bind_param::<Array<Nullable<Text>>, _>(column)?;
        }
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.record)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Binary>, _>(&self.hash)?;
        out.push_sql(")");
        Ok(())
    }
}

/// Tokens' places in status lists.
pub(super) struct KeepPlaces<'a> {
    list: Vec<&'a str>,
    idx: Vec<i64>,
    issued_at: Vec<i64>,
    expires_at: Vec<i64>,
    names: Vec<&'a str>,
}

impl<'a> KeepPlaces<'a> {
    pub(super) fn new(places: &[&'a StatusEntryRow]) -> Self {
        Self {
            list: places.iter().map(|place| place.list.as_str()).collect(),
            idx: places.iter().map(|place| place.idx).collect(),
            issued_at: places.iter().map(|place| place.issued_at).collect(),
            expires_at: places.iter().map(|place| place.expires_at).collect(),
            names: places.iter().map(|place| place.names.as_str()).collect(),
        }
    }
}

fixed_text!(KeepPlaces);

impl QueryFragment<Pg> for KeepPlaces<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("INSERT INTO status_entries (list, idx, issued_at, expires_at, names) SELECT * FROM unnest(");
        out.push_bind_param::<Array<Text>, _>(&self.list)?;
        for column in [&self.idx, &self.issued_at, &self.expires_at] {
            out.push_sql(", ");
            out.push_bind_param::<Array<BigInt>, _>(column)?;
        }
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.names)?;
        out.push_sql(")");
        Ok(())
    }
}

/// Where there are tokens that something can kill; many tokens share a row.
pub(super) struct KeepReach<'a> {
    kind: Vec<&'a str>,
    value: Vec<&'a str>,
    audience: Vec<&'a str>,
    ends_at: Vec<i64>,
}

impl<'a> KeepReach<'a> {
    pub(super) fn new(reach: &BTreeSet<&'a SignalReachRow>) -> Self {
        Self {
            kind: reach.iter().map(|row| row.kind.as_str()).collect(),
            value: reach.iter().map(|row| row.value.as_str()).collect(),
            audience: reach.iter().map(|row| row.audience.as_str()).collect(),
            ends_at: reach.iter().map(|row| row.ends_at).collect(),
        }
    }
}

fixed_text!(KeepReach);

impl QueryFragment<Pg> for KeepReach<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("INSERT INTO signal_reach (kind, value, audience, ends_at) SELECT * FROM unnest(");
        out.push_bind_param::<Array<Text>, _>(&self.kind)?;
        for column in [&self.value, &self.audience] {
            out.push_sql(", ");
            out.push_bind_param::<Array<Text>, _>(column)?;
        }
        out.push_sql(", ");
        out.push_bind_param::<Array<BigInt>, _>(&self.ends_at)?;
        out.push_sql(") ON CONFLICT DO NOTHING");
        Ok(())
    }
}
