//! The steps in which an agent uses a key that it never sees: in custody, through the proxy,
//! until its budget ends; rotated in mid-run; and gone when the agent is.

use super::DemoError;
use super::actors::Party;
use super::llm::Llm;
use super::narrator::Narrator;
use super::story::{Cast, expect};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use std::io::Write;
use std::time::{Duration, Instant};
use stipend_keys::{Secret, random_id};

/// In millionths of a dollar.
const BUDGET: i64 = 60;
const MOST: i64 = 30;
/// Calls that are tried until the budget ends.
const MAX_CALLS: usize = 10;

/// What the second of these steps needs of the first.
pub(super) struct Scene {
    llm: Llm,
    writer: Party,
    credential: String,
    token: Secret<String>,
}

/// Puts a key into custody and calls the model with it.
pub(super) async fn call(tell: &mut Narrator<'_, impl Write>, cast: &Cast) -> Result<Scene, DemoError> {
    tell.step("A provider's key goes into custody; agent writer calls the model and never sees it")?;
    let key = Secret::new(random_id("sk-demo-"));
    let llm = Llm::start(Secret::new(key.expose().clone())).map_err(DemoError::Folder)?;
    let issuer = &cast.outside.metadata.issuer;
    let keys = format!("{issuer}/credentials");
    let access = json!([{"resource": keys, "scopes": ["credential:use"], "default_scopes": ["credential:use"]}]);
    let writer = cast.outside.register("writer", "agent", "writes answers", access).await?;
    let budget = json!({"agent": writer.id, "unit": "USD", "decimals": 6, "amount": BUDGET});
    cast.outside.admin(Method::POST, "/budgets", Some(&budget)).await?;
    tell.request("POST /admin/v1/credentials  acme.llm  template=openai  value=(write-only)  metered")?;
    let price = json!({
        "as_of": "2026-01-01", "max_input_tokens": 1000, "max_output_tokens": 100,
        "models": [{"prefix": "", "input": 1_000_000, "cached_input": 1_000_000, "output": 2_000_000}],
    });
    let credential = json!({
        "owner": "acme", "name": "llm", "template": "openai", "base_url": llm.base_url(),
        "value": {"api_key": {"key": key.expose()}}, "metering": {"max_cost": MOST, "prices": price},
    });
    let credential = cast.outside.admin(Method::POST, "/credentials", Some(&credential)).await?;
    tell.members(&credential, &["id", "modes", "constraints"])?;
    tell.members(&credential["versions"][0], &["number", "state", "fingerprint"])?;
    let credential = credential["id"].as_str().unwrap_or_default().to_owned();
    tell.request("POST /admin/v1/grants  acme.writer may use acme.llm, by the proxy")?;
    let grant = json!({"credential": credential, "agent": writer.id});
    cast.outside.admin(Method::POST, "/grants", Some(&grant)).await?;
    let token = cast.outside.token(&writer, &[]).await?;
    let scene = Scene { llm, writer, credential, token };
    until_the_budget_ends(tell, cast, &scene).await?;
    tell.shows("each call is held for before it leaves and costs what the answer says it used; then the calls stop")?;
    Ok(scene)
}

async fn until_the_budget_ends(
    tell: &mut Narrator<'_, impl Write>,
    cast: &Cast,
    scene: &Scene,
) -> Result<(), DemoError> {
    tell.request(&format!(
        "POST /proxy/{}/v1/chat/completions  Authorization: Bearer (writer's token)",
        scene.credential
    ))?;
    for served in 0..MAX_CALLS {
        let answer = chat(cast, scene).await?;
        let status = answer.status().as_u16();
        let budget = answer.headers().get("agent-budget").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let body: Value = answer.json().await.map_err(|error| DemoError::Unexpected(error.to_string()))?;
        if status == 200 {
            let usage = &body["usage"];
            let (read, written) = (&usage["prompt_tokens"], &usage["completion_tokens"]);
            let budget = budget.unwrap_or_default();
            tell.answer(&format!("200  {read} tokens read, {written} written   Agent-Budget: {budget}"))?;
            continue;
        }
        tell.answer(&format!("{status}"))?;
        tell.members(&body, &["error", "error_description", "required", "remaining"])?;
        let stopped = status == 403 && body["error"] == "insufficient_budget" && served >= 2;
        let calls = usize::try_from(scene.llm.calls()).unwrap_or_default();
        return expect(stopped && calls == served && scene.llm.refused() == 0, &|| format!("{served}: {body}"));
    }
    expect(false, &|| "the budget never ended".to_owned())
}

async fn chat(cast: &Cast, scene: &Scene) -> Result<Response, DemoError> {
    let url = format!("{}/proxy/{}/v1/chat/completions", cast.outside.metadata.issuer, scene.credential);
    let body = json!({
        "model": "stand-in-1", "max_tokens": 4,
        "messages": [{"role": "user", "content": "who holds the key to this model"}],
    });
    let request = cast.outside.http.post(url).bearer_auth(scene.token.expose()).json(&body);
    let sent = request.send().await.map_err(|error| DemoError::Unexpected(error.to_string()))?;
    // What was held for the call before this one is free once its end is booked.
    tokio::time::sleep(Duration::from_millis(50)).await;
    Ok(sent)
}

/// Rotates the key in mid-run, and revokes the agent.
pub(super) async fn rotate_and_revoke(
    tell: &mut Narrator<'_, impl Write>,
    cast: &Cast,
    scene: Scene,
) -> Result<(), DemoError> {
    tell.step("The key is rotated in mid-run, and a revoked agent is stopped at its next call")?;
    let lines = cast.outside.admin(Method::GET, "/budgets", None).await?;
    let line = lines["items"].as_array().into_iter().flatten().find(|line| line["agent"] == scene.writer.id.as_str());
    let line = line.and_then(|line| line["id"].as_str()).unwrap_or_default();
    let more = json!({"amount": 1000, "seconds": 600, "reason": "demo"});
    tell.request("POST /admin/v1/budgets/…/increase  1000 more for ten minutes")?;
    cast.outside.admin(Method::POST, &format!("/budgets/{line}/increase"), Some(&more)).await?;
    let next = Secret::new(random_id("sk-demo-"));
    scene.llm.change_key(Secret::new(next.expose().clone()));
    let before = cast.outside.token(&scene.writer, &[]).await?;
    let scene = Scene { token: before, ..scene };
    let stale = chat(cast, &scene).await?.status().as_u16();
    tell.request("POST /proxy/acme.llm/v1/chat/completions  after the provider changed its key")?;
    tell.answer(&format!("{stale}, the provider's own answer"))?;
    tell.request("POST /admin/v1/credentials/acme.llm/rotate  value=(write-only)")?;
    let rotate = json!({"value": {"api_key": {"key": next.expose()}}});
    let rotated = cast.outside.admin(Method::POST, "/credentials/acme.llm/rotate", Some(&rotate)).await?;
    tell.members(&rotated["versions"][0], &["number", "state", "fingerprint"])?;
    let fresh = chat(cast, &scene).await?.status().as_u16();
    tell.request("POST /proxy/acme.llm/v1/chat/completions  with the same token")?;
    tell.answer(&format!("{fresh}"))?;
    tell.request("POST /admin/v1/agents/acme.writer/revoke  severity=critical")?;
    let how = json!({"reason": "the demo is over for it", "severity": "critical"});
    cast.outside.admin(Method::POST, &format!("/agents/{}/revoke", scene.writer.id), Some(&how)).await?;
    let revoked = Instant::now();
    let calls = scene.llm.calls();
    let refused = chat(cast, &scene).await?.status().as_u16();
    let took = revoked.elapsed().saturating_sub(Duration::from_millis(50));
    tell.request("POST /proxy/acme.llm/v1/chat/completions")?;
    tell.answer(&format!("{refused}"))?;
    let seen = cast.outside.admin(Method::GET, "/credentials/acme.llm", None).await?;
    let exposed = seen["versions"].as_array().into_iter().flatten().any(|version| version.get("exposed_to").is_some());
    let as_it_must = (stale, fresh, refused) == (401, 200, 401) && scene.llm.calls() == calls && !exposed;
    expect(as_it_must, &|| format!("{stale} {fresh} {refused} {seen}"))?;
    scene.llm.stop().await;
    tell.shows(&format!(
        "refused {:.1} ms after the answer to the revocation, and no agent has seen a version in clear",
        took.as_secs_f64() * 1000.0
    ))?;
    Ok(())
}
