//! `stipend keys`: the keys that tokens are signed with.

use super::Session;
use super::error::CliError;
use super::key_encryption;
use super::print::{moment, word};
use crate::admin::api::{Distrust, Page, SigningKey};
use clap::Subcommand;
use serde_json::{Value, json};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List signing keys, newest first
    List,
    /// Publish the next key now; it signs once every verifier can know it
    Rotate,
    /// Show the keys that wrap what is in custody, and what an earlier one still wraps
    Encryption,
    /// Wrap all that an earlier key-encryption key has wrapped under the current one
    #[command(
        after_help = "After a change of STIPEND_KEK, with the one before it in STIPEND_KEK_PREVIOUS. Values stay as they were sealed; the earlier key can go once nothing remains"
    )]
    Rewrap,
    /// Take a stolen key out at once, with every token it ever signed
    #[command(
        after_help = "Example:\n  stipend keys distrust 2bXq… --reason \"found in a backup\"\n\nAgents get new tokens at once; tokens that other keys signed live on"
    )]
    Distrust {
        /// The key's id (kid), as `keys list` says it
        // A kid is base64url: one in 64 begins with a hyphen.
        #[arg(allow_hyphen_values = true)]
        kid: String,
        /// Why, for the audit
        #[arg(long)]
        reason: String,
    },
}

pub async fn run(session: &Session<'_>, command: Command) -> Result<(), CliError> {
    let (api, out) = (&session.api, session.out);
    let answer = match command {
        Command::List => {
            let items = Value::Array(api.list(&["signing-keys"]).await?);
            if out.json {
                out.value(&items);
                return Ok(());
            }
            json!({ "items": items })
        }
        Command::Encryption => return key_encryption::status(session).await,
        Command::Rewrap => return key_encryption::rewrap(session).await,
        Command::Rotate => api.post(&["signing-keys", "rotate"], &json!({})).await?,
        Command::Distrust { kid, reason } => {
            api.post(&["signing-keys", &kid, "distrust"], &Distrust { reason }).await?
        }
    };
    show(session, &answer)
}

fn show(session: &Session<'_>, answer: &Value) -> Result<(), CliError> {
    let (out, now) = (session.out, session.now);
    let row = |key: SigningKey| {
        let end = key.distrusted_at.or(key.remove_at);
        vec![
            key.kid,
            key.alg,
            out.state(&word(&key.status)),
            moment(now, key.activate_at),
            key.retire_at.map(|at| moment(now, at)).unwrap_or_default(),
            end.map(|at| moment(now, at)).unwrap_or_default(),
        ]
    };
    let headings = ["KID", "ALG", "STATUS", "SIGNS FROM", "UNTIL", "GONE"];
    session.show(answer, |page: Page<SigningKey>| {
        out.table(&headings, page.items.into_iter().map(row).collect(), "No signing keys.");
    })
}
