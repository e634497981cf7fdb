//! What a work may write: whole rows, by primary key. No statement text and no condition
//! comes from outside; a condition on other rows is what `deps` and the fence are for.

use crate::approvals::{ApprovalRequestRow, Polled};
use crate::custody::{
    CredentialExposureRow, CredentialGrantRow, CredentialRow, CredentialUseRow, CredentialVersionRow, ServerSecretRow,
};
use crate::documents::{ClientDocumentRow, DocumentClientRow};
use crate::federation::IssuerRow;
use crate::ledger::BudgetLineRow;
use crate::policies::{PolicyRow, PolicyVersionRow};
use crate::registration::{ClientRegistrationRow, RegistrationTokenRow};
use crate::responsibilities::ResponsibilityRow;
use crate::rows::{
    AuditCheckpointRow, AuditRow, ClientKeyRow, ClientRow, ClientSecretRow, ExchangeRuleRow, OwnerRow, ResourceRow,
    RevocationRow, SigningKeyRow,
};
use crate::signals::{SignalEventRow, SignalReachRow, SignalStreamRow, StatusEntryRow};
use crate::sinks::{AuditPruningRow, AuditRedactionRow, AuditSinkRow};

/// A row of any table that a work may write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row {
    Owner(OwnerRow),
    Client(ClientRow),
    ClientSecret(ClientSecretRow),
    ClientKey(ClientKeyRow),
    Resource(ResourceRow),
    ExchangeRule(ExchangeRuleRow),
    SigningKey(SigningKeyRow),
    /// Its `seq` is set by the committer; the work must publish a change.
    Revocation(RevocationRow),
    AuditCheckpoint(AuditCheckpointRow),
    BudgetLine(BudgetLineRow),
    Credential(CredentialRow),
    CredentialVersion(CredentialVersionRow),
    CredentialGrant(CredentialGrantRow),
    ServerSecret(ServerSecretRow),
    Issuer(IssuerRow),
    Policy(PolicyRow),
    /// Never updated.
    PolicyVersion(PolicyVersionRow),
    RegistrationToken(RegistrationTokenRow),
    ClientRegistration(ClientRegistrationRow),
    ClientDocument(ClientDocumentRow),
    DocumentClient(DocumentClientRow),
    ApprovalRequest(ApprovalRequestRow),
    Responsibility(ResponsibilityRow),
    SignalStream(SignalStreamRow),
    AuditSink(AuditSinkRow),
    /// Inserted whether or not there is an earlier one of the chain; it never goes back.
    AuditPruning(AuditPruningRow),
    /// Inserted whether or not the record was redacted before. The record must still have the
    /// hash that it was chained by.
    AuditRedaction(Box<AuditRedactionRow>, Box<AuditRow>),
}

/// Tables a row may be deleted from, by its id (`kid` for signing keys).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    Owner,
    Client,
    ClientSecret,
    ClientKey,
    Resource,
    ExchangeRule,
    SigningKey,
    Revocation,
    CredentialGrant,
    Issuer,
    ClientRegistration,
    SignalStream,
    /// With its positions.
    AuditSink,
    /// A line that was used up, by the line's id.
    BudgetExhaustion,
}

/// What is noted whether or not it is there already. It conflicts with nothing, so works that
/// only note things share transactions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// An agent has seen a version; seen before, only `last_at` grows.
    Exposure(CredentialExposureRow),
    /// Uses of a grant since the last note: `uses` are added.
    Use(CredentialUseRow),
    /// A token's place in a status list. Places are given once, by one node.
    Status(StatusEntryRow),
    /// A client has asked how its request stands; one that is gone by now is left alone.
    Polled(Polled),
    /// What a stream is to be told.
    Signal(SignalEventRow),
    /// For which audience there is a token that something can kill.
    Reach(SignalReachRow),
}

impl Note {
    /// Notes are written in this order everywhere: two nodes that lock the same rows in
    /// different orders would deadlock.
    pub(crate) fn order(&self) -> (u8, &str, &str) {
        match self {
            Self::Exposure(row) => (0, &row.version_id, &row.agent_id),
            Self::Use(row) => (1, &row.grant_id, ""),
            Self::Status(row) => (2, &row.list, ""),
            Self::Polled(polled) => (3, &polled.id, ""),
            Self::Signal(row) => (4, &row.id, ""),
            Self::Reach(row) => (5, &row.value, &row.audience),
        }
    }

    fn has_nul(&self) -> bool {
        match self {
            Self::Exposure(row) => row.has_nul(),
            Self::Use(row) => row.has_nul(),
            Self::Status(row) => row.has_nul(),
            Self::Polled(polled) => polled.id.contains('\0'),
            Self::Signal(row) => row.has_nul(),
            Self::Reach(row) => row.has_nul(),
        }
    }
}

/// One write. A row that must be new and is not, must be there and is not, or is still
/// referred to, makes the whole work a conflict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    Insert(Row),
    /// Every column is set. Revocations, checkpoints and versions of policies are never updated.
    Update(Row),
    Delete(Table, String),
    Note(Note),
}

impl Write {
    pub(crate) fn has_nul(&self) -> bool {
        match self {
            Self::Insert(row) | Self::Update(row) => row.has_nul(),
            Self::Delete(_, id) => id.contains('\0'),
            Self::Note(note) => note.has_nul(),
        }
    }

    /// Why this write can never be done, if so.
    pub(crate) fn fault(&self, publishes: bool) -> Option<&'static str> {
        match self {
            Self::Insert(Row::Revocation(_)) if !publishes => Some("a revocation must publish a change"),
            Self::Update(
                Row::Revocation(_)
                | Row::AuditCheckpoint(_)
                | Row::AuditPruning(_)
                | Row::AuditRedaction(..)
                | Row::PolicyVersion(_),
            ) => Some("revocations, statements on the audit and versions of policies are never updated"),
            _ => None,
        }
    }
}

impl Row {
    fn has_nul(&self) -> bool {
        match self {
            Self::Owner(row) => row.has_nul(),
            Self::Client(row) => row.has_nul(),
            Self::ClientSecret(row) => row.has_nul(),
            Self::ClientKey(row) => row.has_nul(),
            Self::Resource(row) => row.has_nul(),
            Self::ExchangeRule(row) => row.has_nul(),
            Self::SigningKey(row) => row.has_nul(),
            Self::Revocation(row) => row.has_nul(),
            Self::AuditCheckpoint(row) => row.has_nul(),
            Self::BudgetLine(row) => row.has_nul(),
            Self::Credential(row) => row.has_nul(),
            Self::CredentialVersion(row) => row.has_nul(),
            Self::CredentialGrant(row) => row.has_nul(),
            Self::ServerSecret(row) => row.has_nul(),
            Self::SignalStream(row) => row.has_nul(),
            Self::AuditSink(row) => row.has_nul(),
            Self::AuditPruning(row) => row.has_nul(),
            Self::AuditRedaction(row, _) => row.has_nul(),
            Self::Issuer(row) => row.has_nul(),
            Self::Policy(row) => row.has_nul(),
            Self::PolicyVersion(row) => row.has_nul(),
            Self::RegistrationToken(row) => row.has_nul(),
            Self::ClientRegistration(row) => row.has_nul(),
            Self::ClientDocument(row) => row.has_nul(),
            Self::DocumentClient(row) => row.has_nul(),
            Self::ApprovalRequest(row) => row.has_nul(),
            Self::Responsibility(row) => row.has_nul(),
        }
    }
}
