//! The steps, in order. Each does one thing over HTTP, shows it, and checks it.

use super::DemoError;
use super::actors::{Outside, Party, claims};
use super::narrator::Narrator;
use super::{custody, spending};
use crate::cli::connect::Connection;
use crate::cli::print::Out;
use crate::cli::{Session, verify_online};
use reqwest::Method;
use serde_json::json;
use std::io::Write;
use std::time::{Duration, Instant};
use stipend_keys::Secret;
use stipend_relying::{Options, Verifier};

const ORDERS: &str = "https://orders.acme.example";
/// What the story leaves behind in the audit, at least.
const MIN_RECORDS: u64 = 15;

/// Who takes part in the story.
pub(super) struct Cast {
    pub outside: Outside,
    admin: Party,
    planner: Party,
    refunds: Party,
    intruder: Party,
    pub service: Party,
}

pub(super) async fn play(
    tell: &mut Narrator<'_, impl Write>,
    issuer: &str,
    secret: &Secret<String>,
) -> Result<(), DemoError> {
    let cast = set_up(tell, issuer, secret).await?;
    let parent = first_token(tell, &cast).await?;
    let child = exchange(tell, &cast, &parent).await?;
    verify(tell, issuer, &child).await?;
    introspect(tell, &cast, &child).await?;
    spending::spend(tell, &cast, &child).await?;
    let scene = custody::call(tell, &cast).await?;
    custody::rotate_and_revoke(tell, &cast, scene).await?;
    refusals(tell, &cast, &parent).await?;
    explain(tell, &cast).await?;
    revoke(tell, &cast, &parent, &child).await?;
    audit(tell, &cast).await
}

pub(super) fn expect(as_it_must: bool, otherwise: &dyn Fn() -> String) -> Result<(), DemoError> {
    if as_it_must { Ok(()) } else { Err(DemoError::Unexpected(otherwise())) }
}

async fn set_up(tell: &mut Narrator<'_, impl Write>, issuer: &str, secret: &Secret<String>) -> Result<Cast, DemoError> {
    tell.step("The first admin gets a token like any other client, and sets the scene")?;
    let admin = Party { id: crate::bootstrap::ADMIN.to_owned(), secret: Secret::new(secret.expose().clone()) };
    tell.request("POST /oauth2/token  grant_type=client_credentials  (oauth2 crate, HTTP Basic)")?;
    let outside = Outside::new(issuer, &admin).await?;
    tell.request("POST /admin/v1/owners  acme")?;
    outside.admin(Method::POST, "/owners", Some(&json!({"id": "acme", "name": "Acme"}))).await?;
    tell.request("POST /admin/v1/agents  orders-api (a relying service)")?;
    let service = outside.register("orders-api", "service", "serves orders", json!([])).await?;
    tell.request(&format!("POST /admin/v1/resources  {ORDERS}"))?;
    let resource = json!({
        "owner": "acme", "uri": ORDERS, "name": "Orders", "scopes": ["orders:read", "orders:refund", "orders:delete"],
        "introspectors": [service.id], "budget_capable": true,
    });
    outside.admin(Method::POST, "/resources", Some(&resource)).await?;
    tell.request("POST /admin/v1/agents  planner, refunds, intruder")?;
    let all = json!([{"resource": ORDERS, "scopes": ["orders:read", "orders:refund", "orders:delete"], "default_scopes": ["orders:read", "orders:refund"]}]);
    let read = json!([{"resource": ORDERS, "scopes": ["orders:read"], "default_scopes": ["orders:read"]}]);
    let planner = outside.register("planner", "agent", "plans work and hands it on", all).await?;
    let refunds = outside.register("refunds", "agent", "refunds orders", read.clone()).await?;
    let intruder = outside.register("intruder", "agent", "has no business here", read).await?;
    tell.request("POST /admin/v1/exchange-rules  refunds may act on planner's tokens, for orders:refund only")?;
    let rule = json!({
        "actor": {"client": refunds.id}, "subject": {"client": planner.id}, "to_audience": ORDERS,
        "scopes": [{"scope": "orders:refund"}], "mode": "delegation", "max_ttl_seconds": 120,
    });
    outside.admin(Method::POST, "/exchange-rules", Some(&rule)).await?;
    tell.request("POST /admin/v1/budgets  acme: 5.000000 USD, planner: 3.000000 USD of them")?;
    for (account, id, amount) in [("owner", "acme", 5_000_000), ("agent", planner.id.as_str(), 3_000_000)] {
        let line = json!({account: id, "unit": "USD", "decimals": 6, "amount": amount});
        outside.admin(Method::POST, "/budgets", Some(&line)).await?;
    }
    tell.shows("owner, resource, three agents, one service, one rule, two budgets; each secret was shown once")?;
    Ok(Cast { outside, admin, planner, refunds, intruder, service })
}

async fn first_token(tell: &mut Narrator<'_, impl Write>, cast: &Cast) -> Result<Secret<String>, DemoError> {
    tell.step("Agent planner gets a token by client credentials (RFC 6749 section 4.4)")?;
    tell.request("POST /oauth2/token  grant_type=client_credentials")?;
    let token = cast.outside.token(&cast.planner, &[]).await?;
    let claims = claims(&token);
    tell.members(&claims, &["sub", "aud", "scope", "exp"])?;
    tell.note("its budget claim:")?;
    tell.members(&claims["budget"][0], &["id", "unit", "decimals", "amount", "enforce"])?;
    let as_it_must = claims["sub"] == "agent:acme.planner"
        && claims["scope"] == "orders:read orders:refund"
        && claims["budget"][0]["amount"] == 3_000_000;
    expect(as_it_must, &|| claims.to_string())?;
    tell.shows("a JWT of 300 s (RFC 9068); who asks for no budget gets all there is as a cap")?;
    Ok(token)
}

async fn exchange(
    tell: &mut Narrator<'_, impl Write>,
    cast: &Cast,
    parent: &Secret<String>,
) -> Result<Secret<String>, DemoError> {
    tell.step("Agent refunds exchanges it for a narrower one, with two of planner's dollars (RFC 8693, RFC 9396)")?;
    let actor = cast.outside.token(&cast.refunds, &[]).await?;
    tell.request("POST /oauth2/token  grant_type=…:token-exchange  subject_token=planner's  actor_token=its own  scope=orders:refund")?;
    let details = json!([{"type": "budget", "unit": "USD", "decimals": 6, "amount": 2_000_000}]);
    tell.request(&format!("     authorization_details={details}"))?;
    let asked = ("orders:refund", Some(&details));
    let (status, body) = cast.outside.exchange(&cast.refunds, parent, Some(&actor), asked).await?;
    tell.answer(&format!("{status}"))?;
    tell.members(&body, &["issued_token_type", "token_type", "expires_in", "scope"])?;
    tell.note("its authorization_details, as granted:")?;
    tell.members(&body["authorization_details"][0], &["type", "id", "unit", "decimals", "amount", "enforce"])?;
    let child = Secret::new(body["access_token"].as_str().unwrap_or_default().to_owned());
    let token = claims(&child);
    tell.note("its claims:")?;
    tell.members(&token, &["sub", "act", "client_id", "aud", "scope", "lineage", "lineage_clients"])?;
    let as_it_must = status == 200
        && token["act"]["sub"] == "agent:acme.refunds"
        && token["sub"] == "agent:acme.planner"
        && token["lineage"][0] == claims(parent)["jti"]
        && body["authorization_details"][0]["amount"] == 2_000_000
        && body["expires_in"].as_i64().is_some_and(|life| life <= 120);
    expect(as_it_must, &|| body.to_string())?;
    tell.shows("planner is still the subject, refunds is named as the actor; scope, life and budget are narrower")?;
    Ok(child)
}

async fn verify(tell: &mut Narrator<'_, impl Write>, issuer: &str, child: &Secret<String>) -> Result<(), DemoError> {
    tell.step("A verifier that knows only the issuer's URL validates it (RFC 8414, RFC 7517)")?;
    tell.request("GET /.well-known/oauth-authorization-server, then GET its jwks_uri")?;
    let now = crate::clock::Clock::now(&crate::clock::SystemClock);
    let verifier = Verifier::discover(issuer, ORDERS, now, Options::default()).await?;
    let token = verifier.verify(child.expose(), now).await?;
    stipend_relying::require_scope(&token, "orders:refund")?;
    expect(stipend_relying::require_scope(&token, "orders:delete").is_err(), &|| "orders:delete passed".to_owned())?;
    let other = Verifier::discover(issuer, "https://elsewhere.example", now, Options::default()).await?;
    expect(other.verify(child.expose(), now).await.is_err(), &|| "another audience accepted it".to_owned())?;
    let mut forged = child.expose().clone();
    forged.insert(forged.rfind('.').unwrap_or_default(), 'A');
    expect(verifier.verify(&forged, now).await.is_err(), &|| "a forged token passed".to_owned())?;
    tell.shows(&format!("signature, issuer, audience, life and scope hold for {}; the same token elsewhere, or changed by a letter, is refused", token.sub))?;
    Ok(())
}

async fn introspect(tell: &mut Narrator<'_, impl Write>, cast: &Cast, child: &Secret<String>) -> Result<(), DemoError> {
    tell.step("The relying service asks whether it is still alive (RFC 7662)")?;
    tell.request("POST /oauth2/introspect  (as orders-api)")?;
    let seen = cast.outside.introspect(&cast.service, child).await?;
    tell.members(&seen, &["active", "sub", "act", "scope"])?;
    expect(seen["active"] == true && seen["act"]["sub"] == "agent:acme.refunds", &|| seen.to_string())?;
    let stranger = cast.outside.introspect(&cast.intruder, child).await?;
    tell.request("POST /oauth2/introspect  (as intruder)")?;
    tell.answer(&stranger.to_string())?;
    expect(stranger == json!({"active": false}), &|| stranger.to_string())?;
    tell.shows("active, with its chain; for those it does not concern it does not exist").map_err(DemoError::from)
}

async fn refusals(tell: &mut Narrator<'_, impl Write>, cast: &Cast, parent: &Secret<String>) -> Result<(), DemoError> {
    tell.step("What is not allowed is refused, with a reason")?;
    for (who, scope, error, why) in [
        (
            &cast.refunds,
            "orders:delete",
            "invalid_scope",
            "refunds asks for more than planner's token and the rule allow",
        ),
        (
            &cast.intruder,
            "orders:read",
            "invalid_request",
            "intruder got hold of planner's token, but no rule lets it use it",
        ),
    ] {
        tell.request(&format!("POST /oauth2/token  token-exchange  (as {})  scope={scope}", who.id))?;
        let (status, body) = cast.outside.exchange(who, parent, None, (scope, None)).await?;
        tell.answer(&format!("{status} {body}"))?;
        expect(status == 400 && body["error"] == error, &|| format!("{status} {body}"))?;
        tell.shows(why)?;
    }
    Ok(())
}

async fn explain(tell: &mut Narrator<'_, impl Write>, cast: &Cast) -> Result<(), DemoError> {
    tell.step("The admin asks why, without doing it")?;
    tell.request("POST /admin/v1/exchange-rules/explain")?;
    let question = json!({
        "actor": cast.refunds.id, "audience": [ORDERS], "scope": "orders:delete",
        "subject": {"client_id": cast.planner.id, "audience": [ORDERS], "scope": "orders:read orders:refund"},
    });
    let answer = cast.outside.admin(Method::POST, "/exchange-rules/explain", Some(&question)).await?;
    tell.members(&answer, &["allowed", "error", "reason"])?;
    expect(answer["allowed"] == false, &|| answer.to_string())?;
    tell.shows("the same decision as the token endpoint's, as an answer").map_err(DemoError::from)
}

async fn revoke(
    tell: &mut Narrator<'_, impl Write>,
    cast: &Cast,
    parent: &Secret<String>,
    child: &Secret<String>,
) -> Result<(), DemoError> {
    tell.step("Revoking planner's token kills the one that descends from it (RFC 7009)")?;
    tell.request("POST /oauth2/revoke  token=planner's")?;
    let form = [("token", parent.expose().as_str())];
    let (status, _) = cast.outside.post(&cast.outside.metadata.revocation_endpoint, &cast.planner, &form).await?;
    let revoked = Instant::now();
    expect(status == 200, &|| format!("{status}"))?;
    tell.answer("200")?;
    let seen = cast.outside.introspect(&cast.service, child).await?;
    let took = revoked.elapsed();
    tell.request("POST /oauth2/introspect  token=refunds'")?;
    tell.answer(&seen.to_string())?;
    expect(seen == json!({"active": false}) && took < Duration::from_secs(1), &|| format!("{seen} after {took:?}"))?;
    let (status, body) = cast.outside.exchange(&cast.refunds, parent, None, ("orders:refund", None)).await?;
    tell.request("POST /oauth2/token  token-exchange with the dead token")?;
    tell.answer(&format!("{status} {body}"))?;
    expect(status == 400 && body["error"] == "invalid_request", &|| body.to_string())?;
    tell.shows(&format!(
        "dead {:.1} ms after the answer to the revocation, and it mints nothing",
        took.as_secs_f64() * 1000.0
    ))?;
    Ok(())
}

async fn audit(tell: &mut Narrator<'_, impl Write>, cast: &Cast) -> Result<(), DemoError> {
    tell.step("Every answer was recorded before it was given, in a chain that can be checked")?;
    tell.request("stipend audit verify")?;
    let connection = Connection::to(&cast.outside.metadata.issuer, &cast.admin.id, &cast.admin.secret);
    let session = Session::new(&connection, Out::new(false, true))?;
    let proof = verify_online(&session, None).await?;
    expect(proof.records > MIN_RECORDS, &|| format!("only {} records", proof.records))?;
    let refused = cast.outside.admin(Method::GET, "/audit?outcome=refused", None).await?;
    let items = refused["items"].as_array().into_iter().flatten();
    let reasons: Vec<&str> = items.filter_map(|item| item["reason"].as_str()).collect();
    tell.answer(&format!("refused: {}", reasons.join(", ")))?;
    expect(reasons.len() >= 3, &|| refused.to_string())?;
    tell.shows(&format!("{} records, each with the hash of the one before it; the chain holds", proof.records))?;
    Ok(())
}
