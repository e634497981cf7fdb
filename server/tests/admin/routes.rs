//! A case for every operation of the OpenAPI document. A new route without one fails the tests
//! that walk the document.

use crate::world::{World, jwk, keyed};
use reqwest::Method;
use serde_json::{Value, json};

/// A policy that applies to nobody there is.
const FORBIDS_NOBODY: &str = "forbid (principal == Agent::\"nobody.none\", action, resource);";

/// One of each thing that a path or a body can name.
pub struct Things {
    pub owner: String,
    /// Has a secret; stands.
    pub agent: String,
    pub secret: String,
    /// Has a key; stands.
    pub keyed: String,
    pub key: String,
    /// To be revoked.
    pub doomed: String,
    /// Is revoked.
    pub ended: String,
    pub resource: String,
    pub uri: String,
    pub rule: String,
    /// A trusted issuer.
    pub issuer: String,
    /// Requests that wait for people: one to be approved, one to be refused.
    pub approval: String,
    pub unwanted: String,
    pub budget: String,
    /// In custody, with a version that waits, and a grant of it.
    pub credential: String,
    pub version: String,
    /// A version to be destroyed.
    pub old_version: String,
    pub grant: String,
    pub policy: String,
    /// A credential whose upstream can be asked, and does not answer.
    pub reached: String,
    /// A credential to be destroyed.
    pub spent: String,
    /// A client document, and one that is revoked.
    pub document: String,
    pub doomed_document: String,
    /// A registration token.
    pub registration: String,
    /// A stream of security events.
    pub stream: String,
    /// A sink of the audit.
    pub sink: String,
    /// A signing key that is published and does not sign yet.
    pub kid: String,
    pub writer: String,
    /// Begins the names of what is made.
    pub tag: String,
}

/// Who may see what an operation is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A list: everybody has one, and each sees its own.
    List,
    /// About an owner's thing: hidden from whoever has no role over that owner.
    Owned,
    /// About the deployment: forbidden to whoever may not.
    Deployment,
    /// Anybody's.
    Open,
}

pub struct Case {
    pub method: Method,
    pub path: String,
    pub body: Option<Value>,
    pub kind: Kind,
    pub scope: &'static str,
    pub event: &'static str,
}

impl Things {
    /// Makes one of each for `owner`; `tag` keeps them apart from others.
    pub async fn new(world: &World, owner: &str, tag: &str) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{value}")).to_owned();
        let agent = json!({"owner": owner, "name": format!("{tag}-agent"), "auth_method": "client_secret_basic"});
        let agent = world.post("/agents", agent).await.ok();
        let keyed = world.create_keyed(owner, &format!("{tag}-keyed")).await;
        let doomed = world.create_keyed(owner, &format!("{tag}-doomed")).await;
        let ended = world.create_keyed(owner, &format!("{tag}-ended")).await;
        let how = json!({"reason": "test", "severity": "low"});
        world.post(&format!("/agents/{owner}.{tag}-ended/revoke"), how).await.ok();
        let uri = format!("https://{tag}.{owner}.example");
        let resource = json!({"owner": owner, "uri": uri, "name": tag, "scopes": ["read", "write"]});
        let resource = world.post("/resources", resource).await.ok();
        let mut things = Self {
            owner: owner.to_owned(),
            secret: text(&agent["agent"]["secrets"][0]["id"]),
            agent: text(&agent["agent"]["id"]),
            key: text(&keyed["agent"]["keys"][0]["id"]),
            keyed: text(&keyed["agent"]["id"]),
            doomed: text(&doomed["agent"]["id"]),
            ended: text(&ended["agent"]["id"]),
            resource: text(&resource["id"]),
            uri,
            rule: String::new(),
            issuer: String::new(),
            approval: String::new(),
            unwanted: String::new(),
            budget: String::new(),
            credential: String::new(),
            version: String::new(),
            old_version: String::new(),
            grant: String::new(),
            policy: String::new(),
            reached: String::new(),
            spent: String::new(),
            document: String::new(),
            doomed_document: String::new(),
            registration: String::new(),
            stream: String::new(),
            sink: String::new(),
            kid: String::new(),
            writer: text(&world.get("/audit/writers").await["items"][0]["writer"]),
            tag: tag.to_owned(),
        };
        things.rule = text(&world.post("/exchange-rules", things.rule_body()).await.ok()["id"]);
        things.issuer = text(&world.post("/issuers", things.issuer_body("trusted")).await.ok()["id"]);
        for person in ["ann@example.com", "ben@example.com"] {
            let path = format!("/agents/{}/responsible", things.keyed);
            world.post(&path, json!({ "person": person })).await.ok();
        }
        [things.approval, things.unwanted] = waiting(world, &things).await;
        let line = json!({"agent": things.agent, "unit": "call", "decimals": 0, "amount": 5});
        things.budget = text(&world.post("/budgets", line).await.ok()["id"]);
        let custody = |name: &str| json!({"owner": owner, "name": format!("{tag}-{name}"), "value": {"api_key": {"key": "sk-first-0123"}}});
        things.credential = text(&world.post("/credentials", custody("key")).await.ok()["id"]);
        things.spent = text(&world.post("/credentials", custody("spent")).await.ok()["id"]);
        let mut reached = custody("reached");
        reached["template"] = json!("openai");
        reached["base_url"] = json!("https://127.0.0.1:1");
        things.reached = text(&world.post("/credentials", reached).await.ok()["id"]);
        let waits = json!({"value": {"api_key": {"key": "sk-second-0123"}}, "activate": false});
        let rotate = format!("/credentials/{}/rotate", things.credential);
        things.old_version = text(&world.post(&rotate, waits.clone()).await.ok()["versions"][0]["id"]);
        let rotated = world.post(&rotate, waits).await.ok();
        things.version = text(&rotated["versions"][0]["id"]);
        let grant = json!({"credential": things.credential, "agent": things.agent});
        things.grant = text(&world.post("/grants", grant).await.ok()["id"]);
        let policy = json!({"owner": owner, "name": format!("{tag}-rule"), "text": FORBIDS_NOBODY});
        things.policy = text(&world.post("/policies", policy).await.ok()["id"]);
        let document = world.post("/client-documents", things.document_body("first")).await.ok();
        things.document = text(&document["id"]);
        let doomed = world.post("/client-documents", things.document_body("doomed")).await.ok();
        things.doomed_document = text(&doomed["id"]);
        let token = world.post("/registration-tokens", things.registration_body()).await.ok();
        things.registration = text(&token["registration_token"]["id"]);
        things.stream = stream(world, owner, tag).await;
        let sink = world.post("/audit-sinks", things.sink_body("first")).await.ok();
        things.sink = text(&sink["audit_sink"]["id"]);
        let keys = world.post("/signing-keys/rotate", json!({})).await.ok();
        let published = |key: &&Value| key["status"] == "published";
        things.kid = text(&keys["items"].as_array().unwrap().iter().find(published).unwrap()["kid"]);
        things
    }

    /// Names of the same form that nothing has.
    pub fn missing() -> Self {
        Self {
            owner: "nowhere".into(),
            agent: "nowhere.agent".into(),
            secret: "sec_none".into(),
            keyed: "nowhere.keyed".into(),
            key: "key_none".into(),
            doomed: "nowhere.doomed".into(),
            ended: "nowhere.ended".into(),
            resource: "res_none".into(),
            uri: "https://nowhere.example".into(),
            rule: "rule_none".into(),
            issuer: "iss_none".into(),
            approval: "apr_none".into(),
            unwanted: "apr_none".into(),
            budget: "bl_none".into(),
            credential: "nowhere.key".into(),
            version: "cv_none".into(),
            old_version: "cv_none".into(),
            grant: "cg_none".into(),
            policy: "pol_none".into(),
            reached: "nowhere.reached".into(),
            spent: "nowhere.spent".into(),
            document: "cdo_none".into(),
            doomed_document: "cdo_none".into(),
            registration: "rgt_none".into(),
            stream: "ssf_none".into(),
            sink: "asn_none".into(),
            kid: "none".into(),
            writer: "w_none".into(),
            tag: "missing".into(),
        }
    }

    fn issuer_body(&self, name: &str) -> Value {
        json!({
            "owner": self.owner, "issuer": format!("https://{name}.{}.{}.example", self.tag, self.owner),
            "keys": "discovery", "audiences": ["stipend"], "uses": ["subject_token"],
        })
    }

    pub fn rule_body(&self) -> Value {
        json!({
            "actor": {"client": self.agent}, "subject": {"client": self.keyed}, "to_audience": self.uri,
            "scopes": [{"scope": "read"}], "mode": "delegation",
        })
    }

    pub fn registration_body(&self) -> Value {
        let access = json!([{"resource": self.uri, "scopes": ["read"]}]);
        json!({"owner": self.owner, "name": self.tag, "template": {"access": access}})
    }

    /// One that delivers nothing: no such event is ever recorded.
    pub fn sink_body(&self, name: &str) -> Value {
        let name = format!("{}-{name}", self.tag);
        json!({"owner": self.owner, "name": name, "url": "https://siem.invalid/in", "events": ["no.such_event"]})
    }

    pub fn document_body(&self, name: &str) -> Value {
        let access = json!([{"resource": self.uri, "scopes": ["read"]}]);
        let url = format!("https://tools.example/{}/{name}.json", self.tag);
        json!({"owner": self.owner, "name": name, "url": url, "template": {"access": access}})
    }

    /// What an operation (`GET /admin/v1/owners`) is called with.
    pub fn case(&self, operation: &str) -> Case {
        let operation = operation.replacen("/admin/v1", "", 1);
        let (verb, route) = operation.split_once(' ').unwrap();
        let (agent, event) = self.event(&operation);
        let path = route
            .replace("/owners/{id}", &format!("/owners/{}", self.owner))
            .replace("/agents/{id}", &format!("/agents/{agent}"))
            .replace("/resources/{id}", &format!("/resources/{}", self.resource))
            .replace("/exchange-rules/{id}", &format!("/exchange-rules/{}", self.rule))
            .replace("/issuers/{id}", &format!("/issuers/{}", self.issuer))
            .replace("/approvals/{id}/refuse", &format!("/approvals/{}/refuse", self.unwanted))
            .replace("/approvals/{id}", &format!("/approvals/{}", self.approval))
            .replace("/budgets/{id}", &format!("/budgets/{}", self.budget))
            .replace("/credentials/{id}/probe", &format!("/credentials/{}/probe", self.reached))
            .replace("/credentials/{id}/destroy", &format!("/credentials/{}/destroy", self.spent))
            .replace("/credentials/{id}", &format!("/credentials/{}", self.credential))
            .replace("/policies/{id}", &format!("/policies/{}", self.policy))
            .replace("/grants/{id}", &format!("/grants/{}", self.grant))
            .replace("/audit-sinks/{id}", &format!("/audit-sinks/{}", self.sink))
            .replace("/streams/{id}", &format!("/streams/{}", self.stream))
            .replace("/client-documents/{id}/revoke", &format!("/client-documents/{}/revoke", self.doomed_document))
            .replace("/client-documents/{id}", &format!("/client-documents/{}", self.document))
            .replace("/registration-tokens/{id}", &format!("/registration-tokens/{}", self.registration))
            .replace("{version}/destroy", &format!("{}/destroy", self.old_version))
            .replace("{version}", &self.version)
            .replace("{secret_id}", &self.secret)
            .replace("{key_id}", &self.key)
            .replace("{kid}", &self.kid);
        let query = if route == "/audit/export" { format!("?writer={}", self.writer) } else { String::new() };
        let (kind, body) = (kind(&operation), self.body(&operation));
        let scope = match (verb, route) {
            ("GET", "/audit-sinks" | "/audit-sinks/{id}")
            | ("GET", "/audit" | "/audit/writers" | "/audit/export" | "/audit/stream")
            | ("POST", "/policies/dry-run") => "admin:audit",
            ("GET", _) | ("POST", "/exchange-rules/explain" | "/policies/validate") => "admin:read",
            _ => "admin:write",
        };
        let method: Method = verb.parse().unwrap();
        assert!(!path.contains('{'), "{operation} has a parameter without a value");
        Case { method, path: path + &query, body, kind, scope, event }
    }

    /// The agent an operation is about, and the audit's word for it.
    fn event(&self, operation: &str) -> (&str, &'static str) {
        let event = match operation {
            "GET /owners" => "owner.listed",
            "POST /owners" => "owner.created",
            "GET /owners/{id}" => "owner.read",
            "POST /owners/{id}/disable" => "owner.disabled",
            "POST /owners/{id}/enable" => "owner.enabled",
            "GET /agents" => "agent.listed",
            "POST /agents" => "agent.created",
            "GET /agents/{id}" => "agent.read",
            "PATCH /agents/{id}" => "agent.changed",
            "POST /agents/{id}/narrow" => "agent.narrowed",
            "POST /agents/{id}/suspend" => "agent.suspended",
            "POST /agents/{id}/resume" => "agent.resumed",
            "POST /agents/{id}/risk" => "agent.rated",
            "DELETE /agents/{id}/risk" => "agent.unrated",
            "POST /agents/{id}/secrets" => "agent.secret_added",
            "DELETE /agents/{id}/secrets/{secret_id}" => "agent.secret_deleted",
            "GET /client-documents" => "client_document.listed",
            "POST /client-documents" => "client_document.created",
            "GET /client-documents/{id}" => "client_document.read",
            "POST /client-documents/{id}/suspend" => "client_document.suspended",
            "POST /client-documents/{id}/resume" => "client_document.resumed",
            "POST /client-documents/{id}/revoke" => "client_document.revoked",
            "GET /registration-tokens" => "registration_token.listed",
            "POST /registration-tokens" => "registration_token.created",
            "GET /registration-tokens/{id}" => "registration_token.read",
            "POST /registration-tokens/{id}/revoke" => "registration_token.revoked",
            "GET /resources" => "resource.listed",
            "POST /resources" => "resource.created",
            "GET /resources/{id}" => "resource.read",
            "PATCH /resources/{id}" => "resource.changed",
            "POST /resources/{id}/disable" => "resource.disabled",
            "POST /resources/{id}/enable" => "resource.enabled",
            "GET /issuers" => "issuer.listed",
            "POST /issuers" => "issuer.created",
            "GET /issuers/{id}" => "issuer.read",
            "PATCH /issuers/{id}" => "issuer.changed",
            "DELETE /issuers/{id}" => "issuer.deleted",
            "POST /issuers/{id}/disable" => "issuer.disabled",
            "POST /issuers/{id}/enable" => "issuer.enabled",
            "GET /exchange-rules" => "rule.listed",
            "POST /exchange-rules" => "rule.created",
            "POST /exchange-rules/explain" => "rule.explained",
            "GET /exchange-rules/{id}" => "rule.read",
            "DELETE /exchange-rules/{id}" => "rule.deleted",
            "POST /exchange-rules/{id}/accept" => "rule.accepted",
            "POST /exchange-rules/{id}/disable" => "rule.disabled",
            "POST /exchange-rules/{id}/enable" => "rule.enabled",
            "GET /approvals" => "approval.listed",
            "GET /approvals/{id}" => "approval.read",
            "POST /approvals/{id}/approve" => "approval.approved",
            "POST /approvals/{id}/refuse" => "approval.refused",
            "GET /budgets" => "budget.listed",
            "POST /budgets" => "budget.created",
            "GET /budgets/{id}" => "budget.read",
            "PATCH /budgets/{id}" => "budget.changed",
            "GET /budgets/{id}/children" => "budget.listed",
            "POST /budgets/{id}/increase" => "budget.increased",
            "POST /budgets/{id}/disable" => "budget.disabled",
            "POST /budgets/{id}/enable" => "budget.enabled",
            "GET /credentials" => "credential.listed",
            "POST /credentials" => "credential.created",
            "GET /credentials/{id}" => "credential.read",
            "PATCH /credentials/{id}" => "credential.changed",
            "POST /credentials/{id}/rotate" => "credential.rotated",
            "POST /credentials/{id}/disable" => "credential.disabled",
            "POST /credentials/{id}/enable" => "credential.enabled",
            "POST /credentials/{id}/destroy" => "credential.destroyed",
            "POST /credentials/{id}/probe" => "credential.probed",
            "POST /credentials/{id}/versions/{version}/activate" => "credential.activated",
            "POST /credentials/{id}/versions/{version}/destroy" => "credential.version_destroyed",
            "GET /grants" | "GET /agents/{id}/grants" => "grant.listed",
            "POST /grants" => "grant.created",
            "GET /grants/{id}" => "grant.read",
            "PATCH /grants/{id}" => "grant.changed",
            "DELETE /grants/{id}" => "grant.deleted",
            "POST /grants/{id}/disable" => "grant.disabled",
            "POST /grants/{id}/enable" => "grant.enabled",
            "GET /policies" => "policy.listed",
            "POST /policies" => "policy.created",
            "GET /policies/schema" => "policy.schema_read",
            "POST /policies/validate" => "policy.validated",
            "POST /policies/dry-run" => "policy.tried",
            "GET /policies/{id}" => "policy.read",
            "PATCH /policies/{id}" => "policy.changed",
            "DELETE /policies/{id}" => "policy.removed",
            "POST /policies/{id}/enable" => "policy.enabled",
            "POST /policies/{id}/disable" => "policy.disabled",
            "GET /policies/{id}/versions" => "policy.versions_read",
            "GET /topology" => "topology.read",
            "GET /key-encryption" => "key_encryption.read",
            "POST /key-encryption/rewrap" => "key_encryption.rewrapped",
            "GET /signing-keys" => "signing_key.listed",
            "POST /signing-keys/rotate" => "signing_key.rotated",
            "POST /signing-keys/{kid}/distrust" => "signing_key.distrusted",
            "GET /streams" => "stream.listed",
            "GET /streams/{id}" => "stream.read",
            "DELETE /streams/{id}" => "stream.removed",
            "POST /streams/{id}/pause" => "stream.paused",
            "POST /streams/{id}/disable" => "stream.disabled",
            "POST /streams/{id}/enable" => "stream.enabled",
            "GET /revocations" => "revocation.listed",
            "POST /revocations" => "revocation.created",
            "GET /audit-sinks" => "audit_sink.listed",
            "POST /audit-sinks" => "audit_sink.created",
            "GET /audit-sinks/{id}" => "audit_sink.read",
            "DELETE /audit-sinks/{id}" => "audit_sink.removed",
            "POST /audit-sinks/{id}/pause" => "audit_sink.paused",
            "POST /audit-sinks/{id}/resume" => "audit_sink.resumed",
            "POST /audit-sinks/{id}/test" => "audit_sink.tested",
            "GET /audit" => "audit.searched",
            "GET /audit/writers" => "audit.writers_listed",
            "GET /audit/export" => "audit.exported",
            "GET /audit/stream" => "audit.followed",
            "POST /audit/redactions" => "audit.redacted",
            "GET /whoami" => "whoami",
            "POST /agents/{id}/responsible" => "agent.transferred",
            "POST /people/departed" => "person.departed",
            "POST /agents/{id}/responsible/accept" => return (&self.keyed, "agent.transfer_accepted"),
            "POST /agents/{id}/revoke" => return (&self.doomed, "agent.revoked"),
            "POST /agents/{id}/retire" => return (&self.ended, "agent.retired"),
            "POST /agents/{id}/reissue" => return (&self.keyed, "agent.reissued"),
            "POST /agents/{id}/keys" => return (&self.keyed, "agent.key_added"),
            "DELETE /agents/{id}/keys/{key_id}" => return (&self.keyed, "agent.key_deleted"),
            other => panic!("{other} is a new route: give it a case here"),
        };
        (&self.agent, event)
    }

    fn body(&self, operation: &str) -> Option<Value> {
        let tag = &self.tag;
        let body = match operation {
            "POST /owners" => json!({"id": format!("{tag}-owner"), "name": "An owner"}),
            "POST /agents" => keyed(&self.owner, &format!("{tag}-made")),
            "PATCH /agents/{id}" => json!({"purpose": "changed"}),
            "POST /agents/{id}/narrow" => json!({"ttl_seconds": 200}),
            "POST /agents/{id}/revoke" => json!({"reason": "test", "severity": "low"}),
            "POST /agents/{id}/risk" => json!({"level": "low"}),
            "POST /agents/{id}/reissue" => {
                json!({"name": format!("{tag}-clone"), "jwks": {"keys": [jwk()]}})
            }
            "POST /agents/{id}/keys" => json!({"jwk": jwk()}),
            "POST /resources" => {
                let uri = format!("https://{tag}-made.{}.example", self.owner);
                json!({"owner": self.owner, "uri": uri, "name": "made", "scopes": ["read"]})
            }
            "PATCH /resources/{id}" => json!({"name": "changed"}),
            "POST /issuers" => self.issuer_body("made"),
            "PATCH /issuers/{id}" => json!({"audiences": ["stipend", "changed"]}),
            "POST /agents/{id}/responsible" => json!({"person": "ben@example.com"}),
            "POST /people/departed" => json!({"person": "nobody@example.com"}),
            "POST /approvals/{id}/refuse" => json!({"reason": "test"}),
            "POST /budgets" => json!({"agent": self.agent, "unit": "token", "decimals": 0, "amount": 5}),
            "PATCH /budgets/{id}" => json!({"amount": 7}),
            "POST /budgets/{id}/increase" => json!({"amount": 1, "seconds": 60}),
            "POST /credentials" => {
                let value = json!({"api_key": {"key": "sk-third-0123"}});
                json!({"owner": self.owner, "name": format!("{tag}-made"), "value": value})
            }
            "PATCH /credentials/{id}" => json!({"lease_seconds": 60}),
            "POST /credentials/{id}/rotate" => {
                json!({"value": {"api_key": {"key": "sk-fourth-0123"}}, "activate": false})
            }
            "POST /grants" => json!({"credential": self.credential, "agent": self.agent}),
            "PATCH /grants/{id}" => json!({"modes": ["proxy"]}),
            "POST /policies" => json!({"owner": self.owner, "name": format!("{tag}-made"), "text": FORBIDS_NOBODY}),
            "PATCH /policies/{id}" => json!({"text": format!("// changed\n{FORBIDS_NOBODY}")}),
            "POST /policies/validate" => json!({"text": FORBIDS_NOBODY}),
            "POST /policies/dry-run" => json!({"owner": self.owner, "text": FORBIDS_NOBODY}),
            "POST /exchange-rules" => self.rule_body(),
            "POST /client-documents" => self.document_body("second"),
            "POST /registration-tokens" => self.registration_body(),
            "POST /exchange-rules/explain" => json!({
                "actor": self.agent, "audience": [self.uri],
                "subject": {"client_id": self.keyed, "audience": [self.uri], "scope": "read"},
            }),
            "POST /audit-sinks" => self.sink_body("second"),
            "POST /audit/redactions" => {
                json!({"records": [{"writer": self.writer, "n": 1}], "fields": ["source"], "reason": "test"})
            }
            "POST /signing-keys/{kid}/distrust"
            | "POST /audit-sinks/{id}/pause"
            | "POST /streams/{id}/pause"
            | "POST /streams/{id}/disable" => {
                json!({"reason": "test"})
            }
            "POST /revocations" => {
                json!({"kind": "client", "value": self.doomed, "reason": "test", "severity": "low"})
            }
            _ if operation.starts_with("POST") => json!({}),
            _ => return None,
        };
        Some(body)
    }
}

/// A stream, as a service of the owner makes it.
async fn stream(world: &World, owner: &str, tag: &str) -> String {
    let (ssf, scopes) = (world.server.url("/ssf"), json!(["ssf.manage"]));
    let access = json!([{"resource": ssf, "scopes": scopes, "default_scopes": scopes}]);
    let service = world.server.create_client(owner, &format!("{tag}-listener"), "service", &[]).await;
    world.patch(&format!("/agents/{}", service.id), json!({ "access": access })).await.ok();
    let token = world.server.token(&service, &[]).await;
    let asked = world.server.http.post(world.server.url("/ssf/stream")).bearer_auth(token).json(&json!({}));
    let made: Value = asked.send().await.unwrap().json().await.unwrap();
    made["stream_id"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned()
}

/// Two requests that wait, by a rule of their own.
async fn waiting(world: &World, things: &Things) -> [String; 2] {
    let Things { owner, uri, tag, .. } = things;
    let subject =
        world.server.create_client(owner, &format!("{tag}-teller"), "agent", &[(uri.as_str(), &["read"])]).await;
    let asks = world.server.create_client(owner, &format!("{tag}-asker"), "agent", &[]).await;
    let rule = json!({
        "actor": {"client": asks.id}, "subject": {"client": subject.id}, "to_audience": uri,
        "scopes": [{"scope": "read"}], "mode": "delegation", "approval": {"by": ["subject_owner"]},
    });
    world.post("/exchange-rules", rule).await.ok();
    let token = world.server.token(&subject, &[]).await;
    let kind = "urn:ietf:params:oauth:token-type:access_token";
    for _ in 0..2 {
        let form = [("subject_token", token.as_str()), ("subject_token_type", kind)];
        let (status, body) = world.server.form("/oauth2/bc-authorize", &asks, &form).await;
        assert_eq!(status, 200, "{body}");
    }
    let page = world.get("/approvals?limit=200").await;
    let mut ids = page["items"].as_array().unwrap().iter().filter(|item| item["client_id"] == json!(asks.id));
    [(); 2].map(|()| ids.next().unwrap()["id"].as_str().unwrap().to_owned())
}

fn kind(operation: &str) -> Kind {
    match operation {
        "GET /owners"
        | "GET /agents"
        | "GET /client-documents"
        | "GET /registration-tokens"
        | "GET /resources"
        | "GET /issuers"
        | "GET /exchange-rules"
        | "GET /approvals"
        | "GET /budgets"
        | "GET /credentials"
        | "GET /grants"
        | "GET /policies"
        | "GET /topology"
        | "GET /streams"
        | "GET /audit-sinks"
        | "GET /revocations"
        | "GET /audit" => Kind::List,
        "POST /owners"
        | "POST /signing-keys/rotate"
        | "POST /signing-keys/{kid}/distrust"
        | "GET /key-encryption"
        | "POST /key-encryption/rewrap"
        | "GET /audit/writers"
        | "POST /audit/redactions"
        | "GET /audit/export" => Kind::Deployment,
        "GET /whoami" | "GET /signing-keys" | "GET /policies/schema" | "POST /policies/validate" => Kind::Open,
        // Each says it for the owners it administers.
        "POST /people/departed" => Kind::Open,
        _ => Kind::Owned,
    }
}

/// Every operation of the served document, `GET /admin/v1/owners`.
pub async fn operations(world: &World) -> Vec<String> {
    let answer = world.server.http.get(world.server.url("/openapi.json")).send().await.unwrap();
    let document: Value = answer.json().await.unwrap();
    // What never ends has tests of its own (`audit_export`).
    let all = operations_of(&document).into_iter().map(|(operation, _)| operation);
    all.filter(|operation| operation != "GET /admin/v1/audit/stream").collect()
}

/// The operations of a document with what it says of them.
pub fn operations_of(document: &Value) -> Vec<(String, Value)> {
    let verbs = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (verb, operation) in item.as_object().unwrap() {
            if verbs.contains(&verb.as_str()) {
                all.push((format!("{} {path}", verb.to_uppercase()), operation.clone()));
            }
        }
    }
    assert!(all.len() > 30, "the document lost its paths");
    all
}
