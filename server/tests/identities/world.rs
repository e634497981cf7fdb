//! A company that trusts an issuer of its own: its desk acts for that issuer's users and for the
//! company's planner, in places with people's leave.

use crate::idp::{Idp, Key};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use stipend::grant::{CIBA, JWT_BEARER, TOKEN_EXCHANGE};
use stipend::testing::{Prover, TestClient, TestServer};
use stipend_schema::Backend;

pub const FILES: &str = "https://files.example";
pub const MAIL: &str = "https://mail.example";
const LOCAL: &[(&str, &str)] = &[("STIPEND_FETCH_HTTP_HOSTS", "127.0.0.1"), ("STIPEND_FETCH_NETWORKS", "127.0.0.0/8")];
pub const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
pub const ACCESS: &str = "urn:ietf:params:oauth:token-type:access_token";

pub struct World {
    pub server: TestServer,
    pub idp: Idp,
    pub key: Key,
    /// The issuer's id.
    pub issuer: String,
    /// Acts for users at files and, where people approve it, at mail; for the planner likewise.
    pub desk: TestClient,
    pub planner: TestClient,
}

/// What came back.
pub type Answer = (StatusCode, Value);

impl World {
    pub async fn new(backend: Backend) -> Self {
        let server = TestServer::start_with(backend, LOCAL).await;
        for owner in ["acme", "mail"] {
            server.create_owner(owner).await;
        }
        let key = Key::new("k1");
        let idp = Idp::start(&[&key]).await;
        let trusted = json!({
            "owner": "acme", "issuer": idp.issuer, "keys": "discovery", "audiences": ["stipend", server.issuer],
            "uses": ["subject_token", "id_jag"],
        });
        let issuer = server.create("/issuers", trusted).await["id"].as_str().unwrap().to_owned();
        server.create_resource("acme", FILES, &["read", "write"], &[]).await;
        server.create_resource("mail", MAIL, &["read"], &[]).await;
        let planner = server.create_client("acme", "planner", "agent", &[(FILES, &["read", "write"])]).await;
        let desk = server.create_client("acme", "desk", "agent", &[]).await;
        let world = Self { server, idp, key, issuer, desk, planner };
        for subject in [json!({"issuer": world.issuer}), json!({"client": "acme.planner"})] {
            let rule =
                json!({"subject": subject, "to_audience": FILES, "scopes": [{"scope": "read"}, {"scope": "write"}]});
            world.rule(rule).await;
            let waits = json!({"subject": subject, "to_audience": MAIL, "approval": {"by": ["subject_owner"]}});
            let rule = world.rule(waits).await;
            let accept = json!({"owner": "mail"});
            world.admin(Method::POST, &format!("/exchange-rules/{rule}/accept"), accept).await;
        }
        world
    }

    /// A rule for the desk, with changes.
    pub async fn rule(&self, changes: Value) -> String {
        let rule = json!({
            "actor": {"client": self.desk.id}, "scopes": [{"scope": "read", "stands_for": "read"}], "mode": "delegation",
        });
        let rule = with(rule, changes);
        // A user of another issuer has no scopes that another could stand for.
        let rule = if rule["subject"].get("issuer").is_some() && rule["to_audience"] == MAIL {
            with(rule, json!({"scopes": [{"scope": "read"}]}))
        } else {
            rule
        };
        self.server.create("/exchange-rules", rule).await["id"].as_str().unwrap().to_owned()
    }

    /// An admin call that works.
    pub async fn admin(&self, method: Method, path: &str, body: Value) -> Value {
        let (status, answer) = self.server.admin(method, path, Some(&body).filter(|body| !body.is_null())).await;
        assert!(status.is_success(), "{path}: {status} {answer}");
        answer
    }

    /// Alice's ID token, with changes.
    pub fn id_token(&self, changes: Value) -> String {
        self.key.token("JWT", &with(self.idp.claims(self.server.now()), changes))
    }

    /// An identity assertion grant for the desk, with changes.
    pub fn grant(&self, changes: Value) -> String {
        let claims = with(
            self.idp.claims(self.server.now()),
            json!({
                "aud": self.server.issuer, "client_id": self.desk.id, "scope": "read", "resource": FILES,
                "exp": self.server.now() + 300,
            }),
        );
        self.key.token("oauth-id-jag+jwt", &with(claims, changes))
    }

    /// A form of the desk's, with these proofs.
    pub async fn form(&self, path: &str, form: &[(&str, &str)], proofs: &[&str]) -> Answer {
        let mut request =
            self.server.http.post(self.server.url(path)).basic_auth(&self.desk.id, Some(&self.desk.secret));
        for proof in proofs {
            request = request.header("DPoP", *proof);
        }
        let answer = request.form(form).send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    /// A good proof for the token endpoint.
    pub fn proof(&self, key: &Prover) -> String {
        key.proof("POST", &self.server.url("/oauth2/token"), self.server.now(), None)
    }

    pub async fn exchange(&self, subject: &str, kind: &str, proofs: &[&str]) -> Answer {
        let form = [
            ("grant_type", TOKEN_EXCHANGE),
            ("subject_token", subject),
            ("subject_token_type", kind),
            ("resource", FILES),
            ("scope", "read"),
        ];
        self.form("/oauth2/token", &form, proofs).await
    }

    pub async fn present(&self, assertion: &str, proofs: &[&str]) -> Answer {
        self.form("/oauth2/token", &[("grant_type", JWT_BEARER), ("assertion", assertion)], proofs).await
    }

    /// Asks people for an exchange at mail.
    pub async fn ask(&self, subject: &str, kind: &str) -> Answer {
        let form = [("subject_token", subject), ("subject_token_type", kind), ("resource", MAIL)];
        self.form("/oauth2/bc-authorize", &form, &[]).await
    }

    /// The same, and they say yes: the handle.
    pub async fn approved(&self, subject: &str, kind: &str) -> String {
        let (status, body) = self.ask(subject, kind).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        self.approve().await;
        body["auth_req_id"].as_str().unwrap().to_owned()
    }

    /// Says yes to the newest request.
    pub async fn approve(&self) {
        let (_, page) = self.server.admin(Method::GET, "/approvals?state=pending&limit=200", None).await;
        for item in page["items"].as_array().unwrap() {
            let path = format!("/approvals/{}/approve", item["id"].as_str().unwrap());
            self.admin(Method::POST, &path, json!({})).await;
        }
    }

    pub async fn poll(&self, handle: &str, proofs: &[&str]) -> Answer {
        self.form("/oauth2/token", &[("grant_type", CIBA), ("auth_req_id", handle)], proofs).await
    }

    /// The newest record of an event.
    pub async fn record(&self, event: &str) -> Value {
        let (_, page) = self.server.admin(Method::GET, &format!("/audit?limit=1&event={event}"), None).await;
        page["items"][0].clone()
    }

    pub async fn planners(&self) -> String {
        self.server.token(&self.planner, &[]).await
    }
}

pub fn error(answer: &Answer) -> (u16, &str) {
    (answer.0.as_u16(), answer.1["error"].as_str().unwrap_or_default())
}

/// The claims of the token in an answer, unverified.
#[track_caller]
pub fn issued(answer: &Answer) -> Value {
    assert_eq!(answer.0, StatusCode::OK, "{}", answer.1);
    let token = stipend_keys::Unverified::parse(answer.1["access_token"].as_str().unwrap()).unwrap();
    json!(token.claims())
}

/// With members replaced; `null` takes one away.
pub fn with(mut base: Value, changes: Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        let members = base.as_object_mut().unwrap();
        if value.is_null() {
            members.remove(name);
        } else {
            members.insert(name.clone(), value.clone());
        }
    }
    base
}
