//! What a token says, as far as the checker must know it. Nothing is verified: these are
//! tokens that we were given, and what they are worth the server decides.

use crate::load::history::{Kind, Operation, Token};
use crate::setup::{Agent, UNIT, World, text};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// The token of an answer.
#[must_use]
pub fn read(world: &World, operation: &Operation, body: &Value) -> Option<Token> {
    let token = text(body, "access_token");
    let claims = claims(&token)?;
    let jti = text(&claims, "jti");
    let mut lineage: Vec<String> = claims.get("lineage").and_then(strings).unwrap_or_default();
    lineage.push(jti.clone());
    let in_unit = |line: &&Value| text(line, "unit") == UNIT;
    let budget = claims.get("budget").and_then(Value::as_array).into_iter().flatten().find(in_unit);
    let line = budget.map(|budget| text(budget, "id"));
    let granted = budget.and_then(|budget| budget.get("amount")?.as_i64()).unwrap_or_default();
    let carved = budget.is_some_and(|budget| text(budget, "enforce") == "rs");
    let lines = line.map(|line| charged(world, operation, line)).unwrap_or_default();
    Some(Token { text: token, jti, lineage, lines, granted, carved })
}

/// The lines that are charged with a token: its own, those above it, and those of the client
/// that acts.
fn charged(world: &World, operation: &Operation, line: String) -> Vec<String> {
    let mut lines = vec![line];
    lines.extend(operation.subject.lines.iter().cloned());
    if operation.kind == Kind::Exchange {
        let own = world.workers.iter().find(|worker| worker.client == operation.request.client);
        lines.extend(own.into_iter().flat_map(|worker: &Agent| worker.path.iter().cloned()));
    }
    let mut once: Vec<String> = Vec::new();
    for line in lines {
        if !once.contains(&line) {
            once.push(line);
        }
    }
    once
}

/// The payload of a compact JWS.
#[must_use]
pub fn claims(token: &str) -> Option<Value> {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice(&payload).ok()
}

fn strings(list: &Value) -> Option<Vec<String>> {
    list.as_array()?.iter().map(|text| text.as_str().map(str::to_owned)).collect()
}
