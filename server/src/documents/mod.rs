//! Clients known by a metadata document (draft-ietf-oauth-client-id-metadata-document): their
//! `client_id` is the https URL of a document that names their keys.
//!
//! The document says who the client is and never what it may do: an admin of an owner says which
//! documents are clients of that owner, and what those get. A URL that nobody admits is fetched by
//! nobody. What a document says counts as long as it was read recently, and only a client whose
//! assertion it has proved gets records of its own; from then on it is an agent like any other,
//! under an id of ours, with the URL as its other name.
//!
//! No reading of tokens here (that is `client/document.rs`), and no deciding about access.

mod brake;
mod cache;
mod entry;
mod metadata;
mod records;
mod url;

pub use cache::{Documents, Read};
pub use entry::{Covers, DocumentTemplate, Entries, Entry, EntryState};
pub use metadata::{Document, DocumentFault, DocumentKeys};
pub use records::settle;
pub use url::{DocumentUrl, UrlFault, client_name, overlap};

use crate::app::App;
use crate::reason::Reason;
use crate::records::Client;
use std::sync::Arc;
use stipend_token::id::client_id;

/// A document that was admitted and read, and the client that came of it, if one did.
#[derive(Debug)]
pub struct Resolved {
    pub url: DocumentUrl,
    pub entry: Arc<Entry>,
    /// What the client is called here, whether it is there yet or not.
    pub client_id: String,
    pub client: Option<Arc<Client>>,
    pub read: Read,
}

/// Whether this is a URL, and so no id of ours.
#[must_use]
pub fn is_url(client_id: &str) -> bool {
    client_id.contains("://")
}

/// Finds the document that `client_id` names, from memory or by a fetch.
///
/// # Errors
/// The [`Reason`]; nothing was fetched for a URL that nobody admits, or a client that is stopped.
pub async fn resolve(app: &App, text: &str) -> Result<Resolved, Reason> {
    let url = DocumentUrl::parse(text).map_err(|_| Reason::DocumentUrl)?;
    let admitted = app.records.client_documents().await?;
    let entry = admitted.find(&url).filter(|entry| entry.active).ok_or(Reason::DocumentNotAdmitted)?;
    let client_id = client_id(&entry.owner_id, &client_name(&url));
    let client = app.records.find_client(&client_id).await?;
    let now = app.clock.now();
    if let Some(client) = &client {
        // A name that is somebody else's: made by an admin, or by a document of the same digest.
        if client.document.as_ref().is_none_or(|document| document.url != url.as_str()) {
            return Err(Reason::UnknownClient);
        }
        if !client.stands(now) {
            return Err(Reason::ClientNotActive);
        }
    }
    let known = client.as_ref().and_then(|client| client.document.as_ref());
    let read = app.documents.read(&url, known.is_some(), None, now).await?;
    let read = match known {
        // Another node has read it since, and it said something else.
        Some(known) if known.digest != read.document.digest && known.read_at >= read.at => {
            app.documents.read(&url, true, Some(known.read_at), now).await?
        }
        Some(_) | None => read,
    };
    Ok(Resolved { entry: Arc::clone(entry), url, client_id, client, read })
}
