//! Who takes part at the server, made through its admin API as an admin would: two agents and a
//! rule between them, an agent with a key, agents with budgets, one with keys in custody.

use super::deployment::Deployment;
use super::drive::collect;
use super::scenario::{Expect, Key, Party, Scenario, Script, call};
use crate::error::BenchError;
use crate::http::Credentials;
use crate::setup::{Admin, TOKEN_SECONDS, UNIT, text};
use josekit::jwk::alg::ec::{EcCurve, EcKeyPair};
use reqwest::Method;
use serde_json::{Value, json};

const OWNER: &str = "acme";
const API: &str = "https://acme.bench.example";
const MODELS: &str = "https://models.bench.example";
const SCOPE: &str = "work";
const AMPLE: i64 = 1_000_000_000_000;
/// Agents with a line of budget each, which spend in turn.
const SPENDERS: usize = 64;
const PROVIDERS_KEY: &str = "sk-bench-0123456789abcdefghijklmnopqrstuvwxyz";
const COMPLETIONS: &str = "v1/chat/completions";

/// The server's side of every scenario.
#[derive(Debug)]
pub struct World {
    pub party: Party,
    spenders: Vec<String>,
    holder: String,
    upstream: String,
}

struct Maker<'a> {
    deployment: &'a Deployment,
    admin: Admin,
}

impl Maker<'_> {
    async fn make(&self, path: &str, body: Value) -> Result<Value, BenchError> {
        self.admin.call(std::slice::from_ref(&self.deployment.node), Method::POST, path, Some(&body)).await
    }

    async fn agent(&self, name: &str, kind: &str, access: Value, more: Value) -> Result<Credentials, BenchError> {
        let mut body = json!({
            "owner": OWNER, "name": name, "kind": kind, "purpose": "measured by stipend-bench",
            "auth_method": "client_secret_basic", "access": access, "ttl_seconds": TOKEN_SECONDS,
        });
        if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
            body.extend(more);
        }
        let made = self.make("/agents", body).await?;
        let id = made.get("agent").map(|agent| text(agent, "id")).unwrap_or_default();
        Ok(Credentials { id, secret: text(&made, "client_secret") })
    }
}

fn access(resource: &str, scopes: &[&str]) -> Value {
    json!([{"resource": resource, "scopes": scopes, "default_scopes": scopes}])
}

fn party(address: &str, keys: EcKeyPair, clients: [Credentials; 3], signer: String) -> Party {
    let [subject, actor, service] = clients;
    Party {
        address: address.to_owned(),
        issuer: format!("http://{address}"),
        subject,
        actor,
        signer: (signer, Key(keys.to_jwk_private_key())),
        service,
        audience: Some(API.to_owned()),
        scope: None,
    }
}

impl World {
    /// # Errors
    /// [`BenchError`].
    pub async fn set_up(deployment: &Deployment, upstream: &str) -> Result<Self, BenchError> {
        let admin = Admin::new(deployment.admin.id.clone(), deployment.admin.secret.clone());
        let make = Maker { deployment, admin };
        make.make("/owners", json!({"id": OWNER, "name": OWNER})).await?;
        let service = make.agent("api", "service", json!([]), json!({})).await?;
        for (uri, name, budgets) in [(API, "api", false), (MODELS, "models", true)] {
            let body = json!({
                "owner": OWNER, "uri": uri, "name": name, "scopes": [SCOPE], "ttl_seconds": TOKEN_SECONDS,
                "introspectors": [service.id], "budget_capable": budgets,
            });
            make.make("/resources", body).await?;
        }
        let api = || access(API, &[SCOPE]);
        // Names that make ids as long as the floor's.
        let subject = make.agent("bench-planner-00", "agent", api(), json!({})).await?;
        let actor = make.agent("bench-workers-00", "agent", api(), json!({})).await?;
        let keys = EcKeyPair::generate(EcCurve::P256).map_err(|error| BenchError::Deployment(error.to_string()))?;
        let by_key = json!({
            "auth_method": "private_key_jwt",
            "jwks": {"keys": [Value::Object(keys.to_jwk_public_key().as_ref().clone())]},
        });
        let signer = make.agent("bench-signers-00", "agent", api(), by_key).await?;
        let rule = json!({
            "id": "acme.bench", "actor": {"client": actor.id}, "subject": {"client": subject.id}, "to_audience": API,
            "scopes": [{"scope": SCOPE}], "mode": "delegation",
        });
        make.make("/exchange-rules", rule).await?;
        let party = party(&deployment.address, keys, [subject, actor, service], signer.id);
        let mut world = Self { party, spenders: Vec::new(), holder: String::new(), upstream: upstream.to_owned() };
        world.spenders(&make).await?;
        world.custody(&make).await?;
        Ok(world)
    }

    async fn token(&self, client: &Credentials) -> Result<String, BenchError> {
        let got = collect(self.party.by_secret(client), 1, 1).await.map_err(BenchError::Deployment)?;
        got.into_iter().next().ok_or_else(|| BenchError::Deployment("no token".to_owned()))
    }

    async fn spenders(&mut self, make: &Maker<'_>) -> Result<(), BenchError> {
        for index in 0..SPENDERS {
            let agent = make.agent(&format!("spender{index}"), "agent", access(MODELS, &[SCOPE]), json!({})).await?;
            make.make("/budgets", json!({"agent": agent.id, "unit": UNIT, "decimals": 0, "amount": AMPLE})).await?;
            self.spenders.push(self.token(&agent).await?);
        }
        Ok(())
    }

    async fn custody(&mut self, make: &Maker<'_>) -> Result<(), BenchError> {
        let keys = format!("{}/credentials", self.party.issuer);
        let holder = access(&keys, &["credential:release", "credential:use"]);
        let holder = make.agent("holder", "agent", holder, json!({})).await?;
        let credential = json!({
            "owner": OWNER, "name": "llm", "value": {"api_key": {"key": PROVIDERS_KEY}},
            "base_url": format!("http://{}/", self.upstream), "modes": ["proxy", "plaintext"],
        });
        make.make("/credentials", credential).await?;
        let grant = json!({"credential": "acme.llm", "agent": holder.id, "modes": ["proxy", "plaintext"]});
        make.make("/grants", grant).await?;
        self.holder = self.token(&holder).await?;
        Ok(())
    }

    /// The server's requests of one round.
    ///
    /// # Errors
    /// [`BenchError`], where what they need can't be had.
    pub async fn script(&self, scenario: Scenario, count: usize) -> Result<Script, BenchError> {
        match scenario {
            Scenario::HoldCapture => Ok(self.party.holds(&self.spenders)),
            Scenario::Release => {
                Ok(self.party.release("/credentials/acme.llm/release", &self.holder, Expect::Has { member: "value" }))
            }
            Scenario::Proxied => Ok(call(&self.party.address, &format!("/proxy/acme.llm/{COMPLETIONS}"), &self.holder)),
            _ => common(&self.party, scenario, count).await,
        }
    }
}

/// The floor's requests of one round.
///
/// # Errors
/// As above.
pub async fn floor_script(
    party: &Party,
    upstream: &str,
    scenario: Scenario,
    count: usize,
) -> Result<Script, BenchError> {
    match scenario {
        Scenario::HoldCapture => Ok(party.plain()),
        Scenario::Release => {
            let token = collect(party.by_secret(&party.subject), 1, 1).await.map_err(BenchError::Deployment)?;
            Ok(party.release("/bearer", &token.concat(), Expect::Has { member: "id" }))
        }
        Scenario::Proxied => Ok(call(upstream, &format!("/{COMPLETIONS}"), PROVIDERS_KEY)),
        _ => common(party, scenario, count).await,
    }
}

/// How many connections fetch the tokens that a round is to exchange.
const FETCHERS: usize = 16;

async fn common(party: &Party, scenario: Scenario, count: usize) -> Result<Script, BenchError> {
    let fetch = async |client: &Credentials, count: usize| {
        collect(party.by_secret(client), FETCHERS, count).await.map_err(BenchError::Deployment)
    };
    Ok(match scenario {
        Scenario::Assertion => party.by_assertion(count)?,
        Scenario::ExchangeNew => party.exchange(&fetch(&party.subject, count).await?, None, true),
        Scenario::ExchangeActor => {
            let actor = fetch(&party.actor, 1).await?.concat();
            party.exchange(&fetch(&party.subject, count).await?, Some(&actor), true)
        }
        Scenario::ExchangeRepeated => party.exchange(&fetch(&party.subject, 1).await?, None, false),
        Scenario::Introspection => party.introspection(&fetch(&party.subject, 1).await?.concat()),
        Scenario::Secret | Scenario::HoldCapture | Scenario::Release | Scenario::Proxied => {
            party.by_secret(&party.subject)
        }
    })
}
