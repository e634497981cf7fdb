//! What a work may write: whole rows, by primary key. No statement text and no condition
//! comes from outside; a condition on other rows is what `deps` and the fence are for.

use crate::ledger::BudgetLineRow;
use crate::rows::{
    AuditCheckpointRow, ClientKeyRow, ClientRow, ClientSecretRow, ExchangeRuleRow, OwnerRow, ResourceRow,
    RevocationRow, SigningKeyRow,
};

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
}

/// One write. A row that must be new and is not, must be there and is not, or is still
/// referred to, makes the whole work a conflict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    Insert(Row),
    /// Every column is set. Revocations and checkpoints are never updated.
    Update(Row),
    Delete(Table, String),
}

impl Write {
    pub(crate) fn has_nul(&self) -> bool {
        match self {
            Self::Insert(row) | Self::Update(row) => row.has_nul(),
            Self::Delete(_, id) => id.contains('\0'),
        }
    }

    /// Why this write can never be done, if so.
    pub(crate) fn fault(&self, publishes: bool) -> Option<&'static str> {
        match self {
            Self::Insert(Row::Revocation(_)) if !publishes => Some("a revocation must publish a change"),
            Self::Update(Row::Revocation(_) | Row::AuditCheckpoint(_)) => {
                Some("revocations and checkpoints are never updated")
            }
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
        }
    }
}
