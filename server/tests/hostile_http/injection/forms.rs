//! Every parameter of the OAuth and budget endpoints: those that the source reads, so that a new
//! one that is not named here fails.

use super::node::Node;
use super::payloads;
use futures_util::StreamExt;
use futures_util::stream;
use reqwest::StatusCode;
use std::collections::BTreeSet;
use std::path::Path;

const TOKEN: &str = "/oauth2/token";
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

type Form = &'static [(&'static str, &'static str)];

/// Endpoints with what else a request to them has, and the parameters that they read.
const ENDPOINTS: &[(&str, Form, &[&str])] = &[
    (
        TOKEN,
        &[("grant_type", "client_credentials")],
        &["grant_type", "scope", "resource", "audience", "authorization_details"],
    ),
    (
        TOKEN,
        &[("grant_type", EXCHANGE), ("subject_token", "x"), ("subject_token_type", ACCESS_TOKEN)],
        &[
            "subject_token",
            "subject_token_type",
            "actor_token",
            "actor_token_type",
            "requested_token_type",
            "scope",
            "resource",
            "audience",
            "authorization_details",
        ],
    ),
    (TOKEN, &[("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")], &["assertion", "scope", "resource"]),
    (TOKEN, &[("grant_type", "urn:openid:params:grant-type:ciba")], &["auth_req_id"]),
    ("/oauth2/introspect", &[], &["token", "token_type_hint"]),
    ("/oauth2/revoke", &[], &["token", "token_type_hint"]),
    (
        "/oauth2/bc-authorize",
        &[("subject_token", "x"), ("subject_token_type", ACCESS_TOKEN), ("scope", "read")],
        &[
            "subject_token",
            "subject_token_type",
            "scope",
            "resource",
            "binding_message",
            "requested_expiry",
            "login_hint",
            "login_hint_token",
            "id_token_hint",
            "user_code",
            "acr_values",
            "request",
            "client_notification_token",
        ],
    ),
    (
        "/budget/holds",
        &[("token", "x"), ("unit", "call"), ("amount", "1")],
        &["token", "unit", "decimals", "amount", "expires_in", "resource"],
    ),
    ("/budget/holds/bh_1/capture", &[("amount", "1")], &["amount", "final", "token"]),
    ("/budget/holds/bh_1/extend", &[("expires_in", "1")], &["expires_in"]),
    ("/budget/charges", &[("token", "x"), ("unit", "call"), ("amount", "1")], &["token", "unit", "amount", "overage"]),
    ("/budget/refunds", &[("capture", "x"), ("amount", "1")], &["capture", "amount"]),
    ("/budget/reports", &[("line", "x"), ("spent", "1")], &["line", "token", "spent", "final", "unit"]),
];
/// Parameters of client authentication, which goes before all else.
const AUTHENTICATION: &[&str] = &["client_id", "client_secret", "client_assertion", "client_assertion_type"];

/// The parameters that the source names.
fn in_source() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    look(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), &mut names);
    assert!(names.len() > 20, "{names:?}");
    names
}

fn look(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            look(&path, names);
            continue;
        }
        let whole = std::fs::read_to_string(&path).unwrap();
        let text = whole.split("#[cfg(test)]").next().unwrap_or_default();
        for call in [".one(\"", ".all(\"", ".many(\"", ".has(\""] {
            for rest in text.split(call).skip(1) {
                names.extend(rest.split_once('"').map(|(name, _)| name.to_owned()));
            }
        }
    }
}

pub async fn every_parameter(node: &Node, at_once: usize) {
    let named: BTreeSet<&str> =
        ENDPOINTS.iter().flat_map(|(_, _, names)| *names).chain(AUTHENTICATION).copied().collect();
    let missing: Vec<String> = in_source().into_iter().filter(|name| !named.contains(name.as_str())).collect();
    assert_eq!(missing, Vec::<String>::new(), "parameters that the source reads and no endpoint here is given");
    let texts = payloads();
    let mut asked = Vec::new();
    for (path, base, names) in ENDPOINTS {
        for name in names.iter().chain(AUTHENTICATION) {
            asked.extend(texts.iter().map(|text| (*path, *base, *name, text)));
        }
    }
    stream::iter(asked)
        .for_each_concurrent(at_once, |(path, base, name, text)| one(node, path, base, name, text))
        .await;
}

async fn one(node: &Node, path: &str, base: &[(&str, &str)], name: &str, text: &str) {
    let mut form: Vec<(&str, &str)> = base.iter().filter(|(other, _)| *other != name).copied().collect();
    form.push((name, text));
    let mut request = node.http.post(format!("{}{path}", node.url)).form(&form);
    if !AUTHENTICATION.contains(&name) {
        let secret = node.agent_secret.lock().clone();
        request = request.basic_auth("quiet.agent", Some(secret));
    }
    let answer = request.send().await.unwrap();
    let status = answer.status();
    let body = answer.text().await.unwrap();
    // A stranger is held up after so many guesses, and told so.
    let refused = status.is_client_error() || (status == StatusCode::OK && !body.contains(text));
    assert!(refused, "{path} {name}={text:.40?}: {status} {body}");
    assert!(!body.contains(text), "{path} {name}: the answer repeats what was sent: {body}");
}
