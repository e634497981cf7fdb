//! The little company that a run works with, made through the admin API: an owner of its own
//! for each run, so that runs on one deployment never meet.
//!
//! Planners have lines, some of them too small for what the plan asks of them, so that the
//! last unit is fought for. Workers exchange planners' tokens; every other one has a line of
//! its own, which is charged as well.

use crate::error::BenchError;
use crate::http::{Credentials, Lost, Node, Reply};
use crate::load::plan::Plan;
use parking_lot::Mutex;
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The unit of every line: counted one by one.
pub const UNIT: &str = "call";
/// Life of the tokens of a run, in seconds: the longest there is.
pub const TOKEN_SECONDS: i64 = 3600;
const SCOPE: &str = "work";
/// Ample: never reached.
const AMPLE: i64 = 1_000_000_000_000;
/// Every so many planners, one whose line is too small.
const TIGHT_EVERY: usize = 3;
/// How much of what the plan asks of them they have, in percent.
const TIGHT_PERCENT: i64 = 60;
const ADMIN_TOKEN_AGE: Duration = Duration::from_secs(60);
/// How long an admin's call is tried on one node after the other.
const ADMIN_PATIENCE: Duration = Duration::from_secs(30);
const ADMIN_PAUSE: Duration = Duration::from_millis(200);

/// The admin, with a token that is renewed.
#[derive(Debug)]
pub struct Admin {
    credentials: Credentials,
    token: Mutex<Option<(Instant, Kept)>>,
}

#[derive(Clone)]
struct Kept(String);

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(token)")
    }
}

impl Admin {
    #[must_use]
    pub fn new(id: String, secret: String) -> Self {
        Self { credentials: Credentials { id, secret }, token: Mutex::new(None) }
    }

    #[must_use]
    pub(crate) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    async fn token(&self, node: &Node) -> Result<String, Lost> {
        let kept = self.token.lock().clone();
        if let Some((since, Kept(token))) = kept
            && since.elapsed() < ADMIN_TOKEN_AGE
        {
            return Ok(token);
        }
        let form = [("grant_type", "client_credentials".to_owned())];
        let reply = node.form("/oauth2/token", &self.credentials, None, &form).await?;
        let token = text(&reply.body, "access_token");
        if !token.is_empty() {
            *self.token.lock() = Some((Instant::now(), Kept(token.clone())));
        }
        Ok(token)
    }

    /// One call, once.
    ///
    /// # Errors
    /// [`Lost`].
    pub async fn once(&self, node: &Node, method: Method, path: &str, body: Option<&Value>) -> Result<Reply, Lost> {
        let token = self.token(node).await?;
        let reply = node.admin(method, path, &token, body).await?;
        if reply.status == 401 {
            *self.token.lock() = None;
        }
        Ok(reply)
    }

    /// One call, on one node after the other until it is answered; every creation here names
    /// what it makes, so repeating it makes nothing twice.
    ///
    /// # Errors
    /// [`BenchError::Deployment`].
    pub async fn call(
        &self,
        nodes: &[Node],
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, BenchError> {
        let began = Instant::now();
        let mut last = "no node".to_owned();
        for node in nodes.iter().cycle() {
            match self.once(node, method.clone(), path, body).await {
                Ok(reply) if (200..300).contains(&reply.status) => return Ok(reply.body),
                Ok(reply) if reply.status < 500 && ![401, 429].contains(&reply.status) => {
                    last = format!("{} {}", reply.status, reply.body);
                    break;
                }
                Ok(reply) => last = format!("{} {}", reply.status, reply.body),
                Err(lost) => last = lost.as_str().to_owned(),
            }
            if began.elapsed() > ADMIN_PATIENCE {
                break;
            }
            tokio::time::sleep(ADMIN_PAUSE).await;
        }
        Err(BenchError::Deployment(format!("{method} /admin/v1{path}: {last}")))
    }
}

/// A line that lasts for the run.
#[derive(Clone, Debug)]
pub struct Line {
    pub name: String,
    pub limit: i64,
    /// The line and all above it.
    pub path: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct Agent {
    /// Index into [`World::clients`].
    pub client: usize,
    /// Its own line, and those above.
    pub path: Vec<String>,
}

/// Who and what there is.
#[derive(Debug)]
pub struct World {
    pub owner: String,
    pub resource: String,
    pub clients: Vec<Credentials>,
    pub service: usize,
    pub planners: Vec<Agent>,
    pub workers: Vec<Agent>,
    /// Whoever looks whether a node is back; none of its tokens is in the history.
    pub prober: Credentials,
    pub lines: BTreeMap<String, Line>,
}

struct Maker<'a> {
    admin: &'a Admin,
    nodes: &'a [Node],
    owner: String,
    resource: String,
}

impl Maker<'_> {
    async fn make(&self, path: &str, body: Value) -> Result<Value, BenchError> {
        self.admin.call(self.nodes, Method::POST, path, Some(&body)).await
    }

    async fn client(&self, name: &str, kind: &str, access: bool) -> Result<Credentials, BenchError> {
        let access = if access {
            json!([{"resource": self.resource, "scopes": [SCOPE], "default_scopes": [SCOPE]}])
        } else {
            json!([])
        };
        let body = json!({
            "owner": self.owner, "name": name, "kind": kind, "purpose": "load of stipend-bench",
            "auth_method": "client_secret_basic", "access": access, "ttl_seconds": TOKEN_SECONDS,
        });
        let made = self.make("/agents", body).await?;
        let secret = text(&made, "client_secret");
        if secret.is_empty() {
            return Err(BenchError::Deployment(format!(
                "the client {name} was made, but its secret was lost: try again"
            )));
        }
        let id = made.get("agent").map(|agent| text(agent, "id")).unwrap_or_default();
        Ok(Credentials { id, secret })
    }

    async fn line(&self, account: (&str, &str), limit: i64) -> Result<String, BenchError> {
        let mut body = json!({"unit": UNIT, "decimals": 0, "amount": limit});
        if let Some(body) = body.as_object_mut() {
            body.insert(account.0.to_owned(), account.1.into());
        }
        let made = self.make("/budgets", body).await?;
        Ok(text(&made, "id"))
    }
}

impl World {
    /// # Errors
    /// [`BenchError`].
    pub async fn set_up(
        admin: &Admin,
        nodes: &[Node],
        owner: &str,
        plan: &Plan,
        workers: usize,
    ) -> Result<Self, BenchError> {
        let resource = format!("https://{owner}.bench.example");
        let make = Maker { admin, nodes, owner: owner.to_owned(), resource: resource.clone() };
        make.make("/owners", json!({"id": owner, "name": owner})).await?;
        let service = make.client("api", "service", false).await?;
        let body = json!({
            "owner": owner, "uri": resource, "name": "api", "scopes": [SCOPE], "ttl_seconds": TOKEN_SECONDS,
            "introspectors": [service.id], "budget_capable": true,
        });
        make.make("/resources", body).await?;
        let prober = make.client("prober", "agent", true).await?;
        let mut world = Self {
            owner: owner.to_owned(),
            resource: resource.clone(),
            clients: vec![service],
            service: 0,
            planners: Vec::new(),
            workers: Vec::new(),
            prober,
            lines: BTreeMap::new(),
        };
        let owners = make.line(("owner", owner), AMPLE).await?;
        world.keep(owners.clone(), "owner".to_owned(), AMPLE, vec![owners.clone()]);
        for (index, demand) in plan.demand.iter().enumerate() {
            let tight = index % TIGHT_EVERY == TIGHT_EVERY - 1;
            let limit = if tight { (demand * TIGHT_PERCENT / 100).max(1) } else { AMPLE };
            let agent = world.agent(&make, &format!("planner{index}"), Some(limit), &owners).await?;
            world.planners.push(agent);
        }
        for index in 0..workers {
            let limit = (index % 2 == 1).then_some(AMPLE);
            let agent = world.agent(&make, &format!("worker{index}"), limit, &owners).await?;
            world.workers.push(agent);
        }
        world.rules(&make).await?;
        Ok(world)
    }

    async fn agent(
        &mut self,
        make: &Maker<'_>,
        name: &str,
        limit: Option<i64>,
        owners: &str,
    ) -> Result<Agent, BenchError> {
        let client = make.client(name, "agent", true).await?;
        let id = client.id.clone();
        self.clients.push(client);
        let path = match limit {
            None => Vec::new(),
            Some(limit) => {
                let line = make.line(("agent", &id), limit).await?;
                let path = vec![line.clone(), owners.to_owned()];
                self.keep(line, name.to_owned(), limit, path.clone());
                path
            }
        };
        Ok(Agent { client: self.clients.len() - 1, path })
    }

    fn keep(&mut self, id: String, name: String, limit: i64, path: Vec<String>) {
        self.lines.insert(id, Line { name, limit, path });
    }

    /// Every worker may act on every planner's tokens.
    async fn rules(&self, make: &Maker<'_>) -> Result<(), BenchError> {
        let id = |agent: &Agent| self.clients.get(agent.client).map(|client| client.id.clone()).unwrap_or_default();
        for (place, worker) in self.workers.iter().enumerate() {
            for (other, planner) in self.planners.iter().enumerate() {
                let body = json!({
                    "id": format!("{}.w{place}-p{other}", self.owner),
                    "actor": {"client": id(worker)}, "subject": {"client": id(planner)},
                    "to_audience": self.resource, "scopes": [{"scope": SCOPE}], "mode": "delegation",
                });
                make.make("/exchange-rules", body).await?;
            }
        }
        Ok(())
    }
}

pub(crate) fn text(body: &Value, name: &str) -> String {
    body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}
