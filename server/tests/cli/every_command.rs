//! Each command once for people and once for programs, along a story in which all of them work.

use crate::terminal::{ORDERS, Terminal};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use stipend::clock::Clock;
use stipend::testing::TestClient;

/// Commands that need more than a server and its admin: a process that stays, a database of their
/// own, or an agent.
const ELSEWHERE: &[&str] = &[
    "serve",
    "run",
    "demo",
    "migrate",
    "recover",
    "healthcheck",
    "audit-sink test",
    "audit follow",
    "token exchange",
    "token jwt-bearer",
    "budget verify",
    "credential release",
    "credential unwrap",
];

/// The story. `$ACCESS`, `$JWK`, `$JWKS`, `$SECRET_ID` and the like are filled in.
const STORY: &[&str] = &[
    "whoami",
    "openapi",
    "config",
    "owner create acme --name Acme",
    "owner list",
    "owner show acme",
    "owner disable acme --reason test",
    "owner enable acme",
    "resource create https://orders.example --owner acme --scopes read,refund",
    "resource list",
    "resource show https://orders.example",
    "resource update https://orders.example --name Orders",
    "resource disable https://orders.example --reason test",
    "resource enable https://orders.example",
    "agent create acme.planner --access $ACCESS --jwks $JWKS",
    "agent create acme.refunds --access $ACCESS --defaults $ACCESS --ttl 2m --purpose test",
    "agent list",
    "agent show acme.refunds",
    "agent update acme.refunds --access $ACCESS --default-budget https://orders.example=call=5/2 --ttl 3m",
    "agent update acme.refunds --purpose refunds --expires-at 2100-01-01 --ceiling read,refund",
    "agent narrow acme.refunds --ttl 1m",
    "agent secret add acme.refunds --life 12h",
    "agent secret remove acme.refunds $SECRET_ID",
    "agent key add acme.planner --jwk $JWK --life 90d",
    "agent key remove acme.planner $KEY_ID",
    "issuer trust https://login.example --owner acme --use subject_token --audience stipend --require email_verified=true --host keys.example",
    "issuer trust https://ci.example --owner acme --use client_assertion --jwks $JWKS",
    "issuer trust spiffe://prod.example --owner acme --use client_assertion --jwks-uri https://spire.example/bundle",
    "issuer list",
    "issuer show https://login.example",
    "issuer update https://login.example --audience stipend --audience console --algorithm ES256 --no-mapping",
    "issuer disable https://login.example --reason test",
    "issuer enable https://login.example",
    "issuer remove https://ci.example",
    "registration-token create --owner acme --name ci --access $ACCESS --defaults $ACCESS --auth private_key_jwt --uses 5 --life 7d --ttl 2m --grant-type client_credentials",
    "registration-token list",
    "registration-token show $REGISTRATION",
    "registration-token revoke $REGISTRATION --reason test",
    "client-document create --owner acme --name tools --url https://tools.example/agents/ --prefix --clients 5 --access $ACCESS --defaults $ACCESS --grant-type client_credentials --ttl 2m",
    "client-document list",
    "client-document show $DOCUMENT",
    "client-document suspend $DOCUMENT --reason test",
    "client-document resume $DOCUMENT",
    "client-document revoke $DOCUMENT --reason test",
    "rule create --id acme.refunding --actor acme.refunds --subject acme.planner --to https://orders.example --scopes refund",
    "rule list",
    "rule show acme.refunding",
    "rule disable acme.refunding",
    "rule enable acme.refunding",
    "rule accept acme.refunding --owner acme",
    "rule explain --actor acme.refunds --subject acme.planner --subject-audience https://orders.example --subject-scope refund --scope refund",
    "approval list --all",
    "approval show $APPROVAL",
    "approval approve $APPROVAL --scope refund --ttl 1m --no-budget --reason test",
    "approval refuse $APPROVAL --reason test",
    "stream list",
    "stream show $STREAM",
    "stream pause $STREAM --reason test",
    "stream enable $STREAM",
    "stream disable $STREAM --reason test",
    "stream delete $STREAM",
    "audit-sink add https://siem.invalid/in --owner acme --name siem --format native --event no.such_event --outcome refused --since 2020-01-01",
    "audit-sink list",
    "audit-sink show $SINK",
    "audit-sink pause $SINK --reason test",
    "audit-sink resume $SINK",
    "audit-sink remove $SINK",
    "rule delete acme.refunding",
    "revocation create --kind client --value acme.planner --reason test --severity low",
    "revocation list",
    "agent risk acme.refunds high --reason test --for 2h",
    "agent risk acme.refunds none",
    "agent suspend acme.refunds --reason test",
    "agent resume acme.refunds",
    "agent reissue acme.refunds --name refunds-2",
    "agent transfer acme.refunds --to ann@example.com",
    "agent accept $OFFERED",
    "owner departed ben@example.com --grace 3d --reason test",
    "owner departed ann@example.com --at-once",
    "agent revoke acme.refunds --reason test --severity high",
    "agent retire acme.refunds",
    "budget create --owner acme --unit USD --amount 5000000 --window month@Europe/Berlin",
    "budget create --agent acme.planner --unit USD --amount 2000000 --per-call 500000",
    "budget list",
    "budget show $BUDGET",
    "budget create --agent acme.planner --task nightly --unit USD --amount 10000",
    "budget tree $BUDGET",
    "budget increase $BUDGET --amount 500000 --for 2h --reason test",
    "budget update $BUDGET --amount 1000000 --no-per-call",
    "budget disable $BUDGET --reason test",
    "budget enable $BUDGET",
    "credential templates",
    "credential create acme.llm --template openai --key-file $KEY --metered --max-cost 500000 --rate 60/1m",
    "credential create acme.shop --value-file $VALUE --base-url https://api.shop.example --mode proxy --mode plaintext --mode wrapped --price call=1 --lease 10m",
    "credential list",
    "credential show acme.llm",
    "credential update acme.llm --no-metering --header api-key --constraints {\"methods\":[\"POST\"]} --uses 1000",
    "credential rotate acme.llm --key-file $KEY --later",
    "credential activate acme.llm 2 --retire-after 1h",
    "credential activate acme.llm 1",
    "credential destroy-version acme.llm 2",
    "credential disable acme.llm --reason test",
    "credential enable acme.llm",
    "grant create --credential acme.llm --agent acme.planner --method POST --path /v1/chat --uses 100 --expires $NEXT_YEAR",
    "grant list",
    "grant list --agent acme.planner",
    "grant show $GRANT",
    "grant update $GRANT --no-expiry --no-constraints --mode proxy",
    "grant disable $GRANT --reason test",
    "grant enable $GRANT",
    "policy schema",
    "policy validate --file $POLICY",
    "policy dry-run --owner acme --file $POLICY --days 1",
    "policy add quiet --owner acme --file $POLICY --disabled",
    "policy list",
    "policy show $POLICY_ID",
    "policy update $POLICY_ID --file $POLICY --name quieter",
    "policy enable $POLICY_ID",
    "policy dry-run --policy $POLICY_ID",
    "policy versions $POLICY_ID",
    "policy disable $POLICY_ID",
    "policy remove $POLICY_ID",
    "topology",
    "grant delete $GRANT",
    "credential destroy acme.llm --reason test",
    "keys encryption",
    "keys rewrap",
    "token get",
    "token get --scope admin:read",
    "token show $TOKEN",
    "token verify $TOKEN --audience $ADMIN --scope admin:read",
    "token introspect $TOKEN",
    "token revoke $TOKEN",
    "doctor",
    "audit tail",
    "audit tail -n 3 --outcome issued --client stipend.admin",
    "audit writers",
    "audit export $NEW_FILE",
    "audit export --format ocsf --since 2020-01-01 --until $NEXT_YEAR $LINES",
    "audit redact --record $RECORD --field source --value no-such-text --reason test",
    "audit verify",
    "keys list",
    "keys rotate",
    "keys distrust $KID --reason test",
];

#[tokio::test]
async fn every_command_works_for_people() {
    tell(false).await;
}

#[tokio::test]
async fn every_command_works_for_programs() {
    tell(true).await;
}

async fn tell(json: bool) {
    let terminal = Terminal::new().await;
    let (jwk, _) = terminal.key_files("added");
    let (_, jwks) = terminal.key_files("first");
    let key = terminal.file("api.key", "sk-of-a-provider-0123456789\n");
    let value = terminal.file("login.json", r#"{"basic":{"username":"shop","password":"pw-of-a-shop-012345"}}"#);
    let policy = terminal.file("quiet.cedar", "forbid (principal == Agent::\"acme.nobody\", action, resource);\n");
    let access = format!("{ORDERS}=read,refund");
    for line in STORY {
        let mut args = Vec::new();
        for word in line.split(' ') {
            args.push(match word {
                "$ACCESS" => access.clone(),
                "$NEXT_YEAR" => stipend::cli::print::instant(terminal.server.clock.now() + 365 * 86_400),
                "$KEY" => key.clone(),
                "$VALUE" => value.clone(),
                "$POLICY" => policy.clone(),
                "$POLICY_ID" => text(&terminal.json(&["policy", "list"]).await[0]["id"]),
                "$GRANT" => text(&terminal.json(&["grant", "list"]).await[0]["id"]),
                "$JWK" => jwk.clone(),
                "$JWKS" => jwks.clone(),
                "$ADMIN" => format!("{}/admin", terminal.server.issuer),
                "$TOKEN" => text(&terminal.json(&["token", "get"]).await["access_token"]),
                "$LINES" => terminal.folder.path().join("lines.jsonl").display().to_string(),
                "$NEW_FILE" => terminal.folder.path().join("audit.jsonl").display().to_string(),
                "$APPROVAL" => waiting(&terminal).await,
                "$RECORD" => {
                    let newest = terminal.json(&["audit", "tail", "-n", "1"]).await;
                    format!("{}/{}", text(&newest[0]["writer"]), newest[0]["n"])
                }
                "$SINK" => text(&terminal.json(&["audit-sink", "list"]).await[0]["id"]),
                "$STREAM" => streaming(&terminal).await,
                "$OFFERED" => offered(&terminal).await,
                "$BUDGET" => text(&terminal.json(&["budget", "list"]).await[0]["id"]),
                "$REGISTRATION" => text(&terminal.json(&["registration-token", "list"]).await[0]["id"]),
                "$DOCUMENT" => text(&terminal.json(&["client-document", "list"]).await[0]["id"]),
                "$SECRET_ID" => of_agent(&terminal, "acme.refunds", "secrets").await,
                "$KEY_ID" => of_agent(&terminal, "acme.planner", "keys").await,
                "$KID" => text(&terminal.json(&["keys", "list"]).await[0]["kid"]),
                word => word.to_owned(),
            });
        }
        if json {
            args.push("--json".to_owned());
        }
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let ran = terminal.run(&args).await;
        if json {
            ran.json();
        } else {
            let said = ran.done();
            assert!(!said.trim().is_empty() && !said.contains('\u{1b}'), "{line}: {said}");
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// An agent that another admin has offered to somebody.
async fn offered(terminal: &Terminal) -> String {
    let server = &terminal.server;
    let all = ["admin:read", "admin:write"];
    let body = json!({
        "owner": "acme", "name": "offers", "kind": "admin", "auth_method": "client_secret_basic",
        "roles": [{"role": "owner-admin", "owner": "acme"}],
        "access": [{"resource": server.app.urls.admin_resource, "scopes": all, "default_scopes": all}],
    });
    let made = server.create("/agents", body).await;
    let offers = TestClient { id: text(&made["agent"]["id"]), secret: text(&made["client_secret"]) };
    let token = server.token(&offers, &[]).await;
    let to = json!({"person": "ben@example.com"});
    let (status, body) = server.admin_as(&token, Method::POST, "/agents/acme.refunds/responsible", Some(&to)).await;
    assert_eq!(status, 200, "{body}");
    "acme.refunds".to_owned()
}

/// A stream of security events, as a service makes it: the one there is, or the first.
async fn streaming(terminal: &Terminal) -> String {
    if let Some(stream) = terminal.json(&["stream", "list"]).await.as_array().and_then(|streams| streams.first()) {
        return text(&stream["id"]);
    }
    let server = &terminal.server;
    let (ssf, scopes) = (server.url("/ssf"), json!(["ssf.manage"]));
    let service = server.create_client("acme", "listener", "service", &[]).await;
    let access = json!({"access": [{"resource": ssf, "scopes": scopes, "default_scopes": scopes}]});
    let (status, body) = server.admin(Method::PATCH, &format!("/agents/{}", service.id), Some(&access)).await;
    assert_eq!(status, 200, "{body}");
    let token = server.token(&service, &[]).await;
    let asked = server.http.post(server.url("/ssf/stream")).bearer_auth(token).json(&json!({}));
    let made: Value = asked.send().await.unwrap().json().await.unwrap();
    text(&made["stream_id"])
}

/// An exchange that waits for people: a new one each time, since an answer is given once.
async fn waiting(terminal: &Terminal) -> String {
    let server = &terminal.server;
    let asker = format!("asker-{}", server.clock.now());
    let teller = format!("teller-{}", server.clock.now());
    server.clock.advance(1);
    let subject = server.create_client("acme", &teller, "agent", &[(ORDERS, &["refund"])]).await;
    let asks = server.create_client("acme", &asker, "agent", &[]).await;
    let rule = json!({
        "actor": {"client": asks.id}, "subject": {"client": subject.id}, "to_audience": ORDERS,
        "scopes": [{"scope": "refund"}], "mode": "delegation", "approval": {"by": ["actor_owner"]},
    });
    server.create("/exchange-rules", rule).await;
    let token = server.token(&subject, &[]).await;
    let kind = "urn:ietf:params:oauth:token-type:access_token";
    let form = [("subject_token", token.as_str()), ("subject_token_type", kind)];
    let (status, body) = server.form("/oauth2/bc-authorize", &asks, &form).await;
    assert_eq!(status, 200, "{body}");
    let waits = terminal.json(&["approval", "list"]).await;
    let found = waits.as_array().unwrap().iter().find(|one| one["client_id"] == json!(asks.id));
    text(&found.unwrap()["id"])
}

/// The id of an agent's newest secret or key.
async fn of_agent(terminal: &Terminal, agent: &str, what: &str) -> String {
    let shown = terminal.json(&["agent", "show", agent]).await;
    text(&shown[what].as_array().unwrap().last().unwrap()["id"])
}

#[test]
fn no_command_is_missing_from_the_story() {
    fn leaves(command: &clap::Command, path: &str, found: &mut BTreeSet<String>) {
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            let path = format!("{path} {}", sub.get_name()).trim().to_owned();
            if sub.has_subcommands() {
                leaves(sub, &path, found);
            } else {
                found.insert(path);
            }
        }
    }
    let mut missing = BTreeSet::new();
    leaves(&stipend::cli::tree(), "", &mut missing);
    missing.retain(|path| {
        let told = STORY.iter().any(|line| *line == path || line.starts_with(&format!("{path} ")));
        !told && !ELSEWHERE.contains(&path.as_str())
    });
    assert!(missing.is_empty(), "add these to STORY: {missing:?}");
}
