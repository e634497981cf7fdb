//! A node under test, and rows and works to give it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use stipend_schema::testing::TestDatabase;
use stipend_schema::*;

pub const NOW: i64 = 1_795_230_000;

/// One node: its own pools and its own committer.
pub struct Node {
    pub db: Db,
    pub committer: CommitterHandle,
}

/// A clock that moves a microsecond at each look.
pub fn clock() -> Clock {
    let micros = AtomicI64::new(NOW * 1_000_000);
    Arc::new(move || micros.fetch_add(1, Ordering::Relaxed))
}

pub async fn node(database: &TestDatabase) -> Node {
    let db = database.connect().await;
    let committer = Committer::start(db.clone(), CommitterConfig::default(), clock()).unwrap();
    Node { db, committer }
}

impl Node {
    pub async fn head(&self) -> i64 {
        feed::load_head(&self.db).await.unwrap().seq
    }

    pub async fn submit(&self, work: Work) -> Outcome {
        self.committer.submit(work).await
    }

    /// Submits a work that must be committed.
    pub async fn commit(&self, mut work: Work) -> i64 {
        work.basis = self.head().await;
        match self.submit(work).await {
            Outcome::Committed { head, .. } => head,
            other => panic!("not committed: {other:?}"),
        }
    }

    /// An owner and a client of it, as most works need.
    pub async fn with_client(&self, owner_id: &str, name: &str) -> String {
        let client = client(owner_id, name);
        let id = client.id.clone();
        if queries::find_owner(&self.db, owner_id).await.unwrap().is_none() {
            self.commit(insert(Row::Owner(owner(owner_id)))).await;
        }
        self.commit(insert(Row::Client(client))).await;
        id
    }
}

pub fn draft(event: &'static str) -> AuditDraft {
    AuditDraft {
        event,
        outcome: "ok",
        reason: None,
        on_replay: Some("replayed"),
        owner_id: None,
        subject_owner_id: None,
        client_id: None,
        jti: None,
        detail: serde_json::Map::new(),
    }
}

/// A work that only records.
pub fn issue(basis: i64) -> Work {
    Work::recording(basis, draft("issue"))
}

pub fn issue_for(basis: i64, client_id: &str) -> Work {
    let mut work = issue(basis);
    work.deps = vec![Dep::new(kinds::CLIENT, client_id)];
    work.record.client_id = Some(client_id.to_owned());
    work
}

pub fn burning(basis: i64, key: u8) -> Work {
    Work { burn: Some(burn(key).into()), ..issue(basis) }
}

pub fn burn(key: u8) -> Burn {
    Burn { key_hash: [key; 32], expires_at: NOW + 300 }
}

/// A work that uses up several keys, each with a reason of its own.
pub fn burning_all<const N: usize>(basis: i64, keys: [(u8, &'static str); N]) -> Work {
    Work { burn: Burns::gather(keys.map(|(key, reason)| (burn(key), reason))), ..issue(basis) }
}

pub fn writing(write: Write) -> Work {
    Work { writes: vec![write], record: draft("write"), ..issue(0) }
}

pub fn insert(row: Row) -> Work {
    writing(Write::Insert(row))
}

pub fn changing(kind: &'static str, id: &str) -> Work {
    Work { changes: vec![Dep::new(kind, id)], record: draft("change"), ..issue(0) }
}

pub fn owner(id: &str) -> OwnerRow {
    OwnerRow { id: id.to_owned(), name: id.to_owned(), state: "active".to_owned(), created_at: NOW, updated_at: NOW }
}

pub fn client(owner_id: &str, name: &str) -> ClientRow {
    ClientRow {
        id: format!("{owner_id}.{name}"),
        owner_id: owner_id.to_owned(),
        kind: "agent".to_owned(),
        name: name.to_owned(),
        state: "active".to_owned(),
        state_reason: None,
        auth_method: "client_secret_basic".to_owned(),
        legacy_assertion_aud: false,
        access: "[]".to_owned(),
        scope_ceiling: None,
        max_ttl_seconds: 3600,
        roles: "[]".to_owned(),
        purpose: "testing".to_owned(),
        environment: "live".to_owned(),
        may_act: None,
        reissue_of: None,
        expires_at: None,
        created_at: NOW,
        updated_at: NOW,
        settings: "{}".to_owned(),
    }
}

pub fn secret(id: &str, client_id: &str) -> ClientSecretRow {
    ClientSecretRow {
        id: id.to_owned(),
        client_id: client_id.to_owned(),
        hash: "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA".to_owned(),
        created_at: NOW,
        expires_at: NOW + 86_400,
    }
}

pub fn client_key(id: &str, client_id: &str, kid: &str) -> ClientKeyRow {
    ClientKeyRow {
        id: id.to_owned(),
        client_id: client_id.to_owned(),
        kid: kid.to_owned(),
        alg: "ES256".to_owned(),
        jwk: "{}".to_owned(),
        created_at: NOW,
        expires_at: NOW + 86_400,
    }
}

pub fn resource(id: &str, owner_id: &str, uri: &str) -> ResourceRow {
    ResourceRow {
        id: id.to_owned(),
        owner_id: owner_id.to_owned(),
        uri: uri.to_owned(),
        name: id.to_owned(),
        scopes: "[\"read\"]".to_owned(),
        environment: None,
        max_ttl_seconds: 300,
        introspectors: "[]".to_owned(),
        budget_capable: true,
        state: "active".to_owned(),
        created_at: NOW,
        updated_at: NOW,
        status_list: false,
    }
}

pub fn rule(id: &str, actor: &str, subject: Option<&str>, target: &str) -> ExchangeRuleRow {
    ExchangeRuleRow {
        id: id.to_owned(),
        actor_owner_id: actor.to_owned(),
        subject_owner_id: subject.map(str::to_owned),
        target_owner_id: target.to_owned(),
        spec: "{}".to_owned(),
        accepted_by: "[]".to_owned(),
        state: "active".to_owned(),
        created_by: "admin".to_owned(),
        created_at: NOW,
        updated_at: NOW,
    }
}

pub fn signing_key(kid: &str) -> SigningKeyRow {
    SigningKeyRow {
        kid: kid.to_owned(),
        alg: "ES256".to_owned(),
        public_jwk: "{}".to_owned(),
        sealed_private: vec![0, 1, 255],
        publish_at: NOW,
        activate_at: NOW,
        retire_at: None,
        remove_at: None,
        distrusted_at: None,
        created_at: NOW,
    }
}

pub fn revocation(id: &str, kind: &str, value: &str, expires_at: i64) -> RevocationRow {
    RevocationRow {
        id: id.to_owned(),
        seq: -1,
        kind: kind.to_owned(),
        value: value.to_owned(),
        issued_before: None,
        owner_id: None,
        expires_at,
        reason: "testing".to_owned(),
        severity: "normal".to_owned(),
        revoked_by: "admin".to_owned(),
        created_at: NOW,
    }
}

/// A work that revokes `value`.
pub fn revoking(id: &str, kind: &'static str, value: &str) -> Work {
    let row = revocation(id, kind, value, NOW + 3600);
    Work {
        writes: vec![Write::Insert(Row::Revocation(row))],
        changes: vec![Dep::new(kind, value)],
        record: draft("revoke"),
        ..issue(0)
    }
}

pub fn committed(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Committed { .. })
}

pub fn position(outcome: Outcome) -> Position {
    match outcome {
        Outcome::Committed { position, .. } | Outcome::Replayed { position, .. } => position,
        other => panic!("nothing was recorded: {other:?}"),
    }
}

pub const COUNTED: [&str; 13] = [
    "owners",
    "clients",
    "client_secrets",
    "client_keys",
    "resources",
    "exchange_rules",
    "signing_keys",
    "revocations",
    "jti_used",
    "changes",
    "audit_writers",
    "audit_records",
    "audit_checkpoints",
];

/// The number of rows of each table.
pub async fn counts(database: &TestDatabase) -> Vec<(&'static str, i64)> {
    let mut counts = Vec::new();
    for table in COUNTED {
        let sql = format!("SELECT count(*) AS value FROM {table}");
        counts.push((table, database.number(&sql).await.unwrap()));
    }
    counts
}

/// All records, writer by writer, as an export reads them.
pub async fn all_records(db: &Db) -> Vec<AuditRow> {
    let mut records = Vec::new();
    for head in queries::audit_writers(db, "").await.unwrap() {
        let mut after = 0;
        loop {
            let page = queries::audit_export(db, &head.writer, after, 500).await.unwrap();
            let Some(last) = page.last() else { break };
            after = last.n;
            records.extend(page);
        }
    }
    records
}

/// Proves the whole audit, the anchors that writers name included.
pub async fn prove(db: &Db) -> Result<audit::ChainSummary, audit::ChainFault> {
    let records = all_records(db).await;
    let (anchors, _) = queries::audit_anchors(db, "").await.unwrap();
    audit::verify_chain(&records, anchors)
}

/// Words for what changes, as a caller of the store has them.
pub mod kinds {
    pub const OWNER: &str = "owner";
    pub const CLIENT: &str = "client";
    pub const RESOURCE: &str = "resource";
    pub const JTI: &str = "jti";
    pub const SUBJECT: &str = "subject";
}
