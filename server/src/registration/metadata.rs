//! Client metadata (RFC 7591 section 2), read strictly: what we know must be well formed, what
//! we don't is ignored, and `null` is as if it were left out (RFC 7592 section 2.2).
//!
//! Nothing here knows what is allowed; that is `bounds`.

use crate::reason::Reason;
use crate::records::{AuthMethod, ClientSettings};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use stipend_keys::{Secret, Unverified};
use stipend_token::ScopeSet;
use stipend_token::json::{array_member, bool_member, object_member, str_member};
use url::Url;

/// Longest name or version, in bytes.
const MAX_TEXT_BYTES: usize = 200;
/// Longest URL, in bytes.
const MAX_URL_BYTES: usize = 512;
/// Most contacts.
const MAX_CONTACTS: usize = 8;
/// Most grants, or types of details, in one list.
const MAX_NAMES: usize = 16;

/// What a client says of itself for people to read. Kept, answered, and never acted on.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub(super) struct Said {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logo_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tos_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_uri: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub contacts: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub software_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub software_version: Option<String>,
}

/// What a registration or an update asks for.
#[derive(Debug)]
pub(super) struct Wanted {
    pub said: Said,
    pub auth_method: Option<AuthMethod>,
    pub grant_types: Option<Vec<String>>,
    pub details_types: Option<Vec<String>>,
    pub scope: Option<ScopeSet>,
    pub jwks: Option<Map<String, Value>>,
    pub jwks_uri: Option<String>,
    /// Of these only the subject of its certificates is there.
    pub subject: ClientSettings,
    pub dpop_bound: bool,
    pub certificate_bound: bool,
}

/// What only an update may carry.
#[derive(Debug)]
pub(super) struct Update {
    pub wanted: Wanted,
    /// Not to be set: to be compared.
    pub client_secret: Option<Secret<String>>,
}

pub(super) fn parse(metadata: &Map<String, Value>) -> Result<Wanted, Reason> {
    let given: Map<String, Value> = metadata
        .iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    refuse_statement(&given)?;
    let flag = |name| bool_member(&given, name).map(Option::unwrap_or_default).map_err(|_| Reason::MetadataMember);
    Ok(Wanted {
        said: said(&given)?,
        auth_method: auth_method(&given)?,
        grant_types: grant_types(&given)?,
        details_types: each_once(&given, "authorization_details_types", Reason::MetadataDetailsTypes)?,
        scope: scope(&given)?,
        jwks: jwks(&given)?,
        jwks_uri: jwks_uri(&given)?,
        subject: subject(&given)?,
        dpop_bound: flag("dpop_bound_access_tokens")?,
        certificate_bound: flag("tls_client_certificate_bound_access_tokens")?,
    })
    .and_then(|wanted| no_response_types(&given).map(|()| wanted))
}

/// RFC 7592 section 2.2: an update names its client, and sets nothing that is the server's.
pub(super) fn parse_update(metadata: &Map<String, Value>, client_id: &str) -> Result<Update, Reason> {
    if str_member(metadata, "client_id").ok().flatten() != Some(client_id) {
        return Err(Reason::MetadataClientId);
    }
    let server_set =
        ["registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at"];
    if server_set.iter().any(|name| metadata.contains_key(*name)) {
        return Err(Reason::MetadataServerSet);
    }
    let secret = str_member(metadata, "client_secret").map_err(|_| Reason::MetadataSecret)?;
    Ok(Update { wanted: parse(metadata)?, client_secret: secret.map(|secret| Secret::new(secret.to_owned())) })
}

/// RFC 7591 section 2.3: a statement that is not understood may be ignored. Whoever sends one
/// expects its values to win, so it is told that they won't.
fn refuse_statement(given: &Map<String, Value>) -> Result<(), Reason> {
    let statement = str_member(given, "software_statement").map_err(|_| Reason::SoftwareStatementMalformed)?;
    match statement.map(Unverified::parse) {
        None => Ok(()),
        Some(Ok(_)) => Err(Reason::SoftwareStatementUnapproved),
        Some(Err(_)) => Err(Reason::SoftwareStatementMalformed),
    }
}

fn said(given: &Map<String, Value>) -> Result<Said, Reason> {
    let text = |name| {
        let value = str_member(given, name).map_err(|_| Reason::MetadataMember)?;
        value.map(|value| checked_text(value).map(str::to_owned)).transpose()
    };
    let web_page = |name| {
        let value = str_member(given, name).map_err(|_| Reason::MetadataMember)?;
        value.map(|value| checked_url(value).map(str::to_owned)).transpose()
    };
    let contacts = array_member(given, "contacts").map_err(|_| Reason::MetadataMember)?.unwrap_or_default();
    if contacts.len() > MAX_CONTACTS {
        return Err(Reason::MetadataMember);
    }
    let contact = |value: &Value| checked_text(value.as_str().ok_or(Reason::MetadataMember)?).map(str::to_owned);
    Ok(Said {
        client_name: text("client_name")?,
        client_uri: web_page("client_uri")?,
        logo_uri: web_page("logo_uri")?,
        tos_uri: web_page("tos_uri")?,
        policy_uri: web_page("policy_uri")?,
        contacts: contacts.iter().map(contact).collect::<Result<_, _>>()?,
        software_id: text("software_id")?,
        software_version: text("software_version")?,
    })
}

fn checked_text(text: &str) -> Result<&str, Reason> {
    let fine = (1..=MAX_TEXT_BYTES).contains(&text.len()) && !text.chars().any(char::is_control);
    if fine { Ok(text) } else { Err(Reason::MetadataMember) }
}

/// People may be shown it as a link: nothing but a web page.
fn checked_url(text: &str) -> Result<&str, Reason> {
    let url = Url::parse(text).ok().filter(|_| text.len() <= MAX_URL_BYTES && !text.chars().any(char::is_control));
    let is_web = |url: Url| matches!(url.scheme(), "https" | "http") && url.has_host() && url.username().is_empty();
    if url.is_some_and(is_web) { Ok(text) } else { Err(Reason::MetadataMember) }
}

fn auth_method(given: &Map<String, Value>) -> Result<Option<AuthMethod>, Reason> {
    let name = str_member(given, "token_endpoint_auth_method").map_err(|_| Reason::MetadataMember)?;
    // `none` is no method of ours: a client that proves nothing gets nothing.
    let method = |name: &str| serde_json::from_value(Value::from(name)).map_err(|_| Reason::MetadataAuthMethod);
    name.map(method).transpose()
}

fn grant_types(given: &Map<String, Value>) -> Result<Option<Vec<String>>, Reason> {
    let grants = each_once(given, "grant_types", Reason::MetadataGrantTypes)?;
    if grants.as_ref().is_some_and(Vec::is_empty) { Err(Reason::MetadataGrantTypes) } else { Ok(grants) }
}

/// A list of names; one that comes again is heard once.
fn each_once(
    given: &Map<String, Value>,
    member: &'static str,
    too_many: Reason,
) -> Result<Option<Vec<String>>, Reason> {
    let Some(list) = array_member(given, member).map_err(|_| Reason::MetadataMember)? else { return Ok(None) };
    if list.len() > MAX_NAMES {
        return Err(too_many);
    }
    let mut names: Vec<String> = Vec::new();
    for name in list {
        let name = name.as_str().ok_or(Reason::MetadataMember)?;
        if !names.iter().any(|have| have == name) {
            names.push(name.to_owned());
        }
    }
    Ok(Some(names))
}

/// RFC 7591 section 2.1: response types belong to grants that start at an authorization
/// endpoint, and there is none.
fn no_response_types(given: &Map<String, Value>) -> Result<(), Reason> {
    let types = array_member(given, "response_types").map_err(|_| Reason::MetadataMember)?.unwrap_or_default();
    if types.is_empty() { Ok(()) } else { Err(Reason::MetadataResponseTypes) }
}

fn scope(given: &Map<String, Value>) -> Result<Option<ScopeSet>, Reason> {
    let text = str_member(given, "scope").map_err(|_| Reason::MetadataMember)?;
    text.map(|text| ScopeSet::parse(text).map_err(|_| Reason::MetadataScope)).transpose()
}

/// RFC 7591 section 2: one or the other. Which keys they may be depends on the method.
fn jwks(given: &Map<String, Value>) -> Result<Option<Map<String, Value>>, Reason> {
    let jwks = object_member(given, "jwks").map_err(|_| Reason::MetadataKeys)?;
    match (jwks, given.contains_key("jwks_uri")) {
        (Some(_), true) => Err(Reason::MetadataKeysTwice),
        (jwks, _) => Ok(jwks.cloned()),
    }
}

fn jwks_uri(given: &Map<String, Value>) -> Result<Option<String>, Reason> {
    let url = str_member(given, "jwks_uri").map_err(|_| Reason::MetadataJwksUri)?;
    let checked = url.map(|url| checked_url(url).map(str::to_owned).map_err(|_| Reason::MetadataJwksUri));
    checked.transpose()
}

/// RFC 8705 section 2.1.2. What none of them is for is said once the method is known.
fn subject(given: &Map<String, Value>) -> Result<ClientSettings, Reason> {
    let text = |name| {
        let value = str_member(given, name).map_err(|_| Reason::MetadataSubject)?;
        Ok::<_, Reason>(value.map(str::to_owned))
    };
    Ok(ClientSettings {
        tls_client_auth_subject_dn: text("tls_client_auth_subject_dn")?,
        tls_client_auth_san_dns: text("tls_client_auth_san_dns")?,
        tls_client_auth_san_uri: text("tls_client_auth_san_uri")?,
        tls_client_auth_san_ip: text("tls_client_auth_san_ip")?,
        tls_client_auth_san_email: text("tls_client_auth_san_email")?,
        ..ClientSettings::default()
    })
}
