//! `stipend run`: a child that uses a credential and holds none.

use crate::terminal::{Ran, Terminal};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;
use stipend::demo::llm::Llm;
use stipend::testing::TestClient;
use stipend_keys::Secret;

const KEY: &str = "sk-canary-upstream-7f3a9b2c5d8e1f40";
const UPSTREAMS: [(&str, &str); 2] =
    [("STIPEND_UPSTREAM_HTTP_HOSTS", "127.0.0.1"), ("STIPEND_UPSTREAM_NETWORKS", "127.0.0.0/8")];
/// A child that asks the model something, as a provider's library would.
const ASK: &str = r#"
import json, os, sys, urllib.request
def ask(base, key, text, stream=False):
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": text}], "stream": stream}
    request = urllib.request.Request(base + "/chat/completions", json.dumps(body).encode(),
        {"content-type": "application/json", "authorization": "Bearer " + key})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
base, key = os.environ["OPENAI_BASE_URL"], os.environ["OPENAI_API_KEY"]
"#;

struct Shop {
    terminal: Terminal,
    worker: TestClient,
    llm: Llm,
}

impl Shop {
    /// An agent with a grant of a model's key.
    async fn new() -> Self {
        let terminal = Terminal::with_settings(&UPSTREAMS).await;
        let worker = terminal.worker().await;
        let llm = Llm::start(Secret::new(KEY.to_owned())).unwrap();
        let base = llm.base_url().unwrap();
        let file = terminal.file("api.key", KEY);
        let create = ["credential", "create", "acme.llm", "--template", "openai", "--key-file", &file];
        terminal.run(&[&create[..], &["--base-url", base.as_str()]].concat()).await.done();
        terminal.run(&["grant", "create", "--credential", "acme.llm", "--agent", "acme.worker"]).await.done();
        Self { terminal, worker, llm }
    }

    async fn run(&self, more: &[&str], command: &[&str]) -> Ran {
        self.terminal.run_as(&self.worker, &[&["run"], more, &["--"], command].concat()).await
    }

    async fn python(&self, script: &str) -> Ran {
        self.run(&["--credential", "acme.llm=openai"], &["python3", "-c", &format!("{ASK}{script}")]).await
    }

    /// The real binary, to be watched while it runs.
    fn spawn(&self, command: &[&str]) -> std::process::Child {
        let mut run = Command::new(env!("CARGO_BIN_EXE_stipend"));
        run.env_clear().env("PATH", "/usr/bin:/bin");
        run.envs([("STIPEND_ISSUER", &self.terminal.server.issuer), ("STIPEND_CLIENT_SECRET", &self.worker.secret)]);
        run.args(["run", "--agent", &self.worker.id, "--credential", "acme.llm=openai", "--"]).args(command);
        run.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap()
    }

    /// Members of the worker's records of an event, oldest first.
    async fn records(&self, event: &str, member: &str) -> Vec<String> {
        let line = ["audit", "tail", "-n", "100", "--event", event, "--client", "acme.worker"];
        let found = self.terminal.json(&line).await;
        let text = |record: &Value| record[member].as_str().unwrap_or_default().to_owned();
        found.as_array().unwrap().iter().map(text).collect()
    }

    /// Tokens were issued, and the last of them is revoked.
    async fn ended_its_tokens(&self, issued: usize) {
        let tokens = self.records("token.issued", "jti").await;
        assert!(tokens.len() >= issued, "{tokens:?}");
        let revoked = self.terminal.json(&["revocation", "list"]).await;
        let is_revoked = |jti: &String| revoked.as_array().unwrap().iter().any(|found| found["value"] == *jti);
        assert!(is_revoked(tokens.last().unwrap()), "{tokens:?} {revoked}");
    }
}

#[tokio::test]
async fn a_program_calls_with_a_key_that_it_never_sees() {
    let shop = Shop::new().await;
    let script = r#"
print(ask(base, key, "hello there"))
print(ask(base, key, "one two", stream=True))
print(ask(os.environ["STIPEND_PROXY_URL"] + "/acme.llm/v1", os.environ["STIPEND_PROXY_KEY"], "again"))
print(json.dumps(dict(os.environ)))
"#;
    let ran = shop.python(script).await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{ran:?}");
    for said in ["(200, ", "You said: hello there", "data: [DONE]", "You said: again"] {
        assert!(ran.out.contains(said), "{said}: {ran:?}");
    }
    assert_eq!((shop.llm.calls(), shop.llm.refused()), (3, 0));
    assert!(!ran.out.contains(KEY) && !ran.out.contains(&shop.worker.secret), "{ran:?}");
    let environment: Value = serde_json::from_str(ran.out.lines().last().unwrap()).unwrap();
    let names: Vec<&String> = environment.as_object().unwrap().keys().collect();
    assert!(!names.iter().any(|name| name.contains("SECRET") || *name == "STIPEND_TOKEN"), "{names:?}");
    assert!(environment["OPENAI_API_KEY"].as_str().unwrap().starts_with("rk_"), "{environment}");
    shop.ended_its_tokens(1).await;
}

#[tokio::test]
async fn the_relay_serves_who_has_its_key_and_leads_nowhere_else() {
    let shop = Shop::new().await;
    let other = shop.terminal.file("other.key", "sk-of-another-0123456789");
    shop.terminal.run(&["credential", "create", "acme.other", "--key-file", &other]).await.done();
    shop.terminal.run(&["grant", "create", "--credential", "acme.other", "--agent", "acme.worker"]).await.done();
    // Prints one status for each try.
    let script = r#"
import http.client
host = os.environ["STIPEND_PROXY_URL"].removeprefix("http://")
def status(path, headers):
    connection = http.client.HTTPConnection(host)
    connection.request("POST", path, b'{"model":"m","messages":[{"role":"user","content":"x"}]}',
        {"content-type": "application/json", **headers})
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read()).get("error")
good, chat = {"x-api-key": key}, "/acme.llm/v1/chat/completions"
def sent(body, headers={}):
    connection = http.client.HTTPConnection(host)
    connection.request("POST", chat, body, {"content-type": "application/json", **good, **headers})
    return connection.getresponse().status
for path, headers in [(chat, good), (chat, {}), (chat, {"x-api-key": key[:-1] + "x"}), (chat, {"authorization": "Basic " + key}),
    (chat, {"x-api-key": key, "authorization": "Bearer wrong"}), ("/acme.other/v1/chat/completions", good), ("/", good),
    ("/acme.llm/../acme.other/v1/chat/completions", good), ("/acme.llm/../../admin/v1/whoami", good),
    ("/acme.llm/%2e%2e/%2e%2e/admin/v1/whoami", good), ("/proxy" + chat, good)]:
    print(*status(path, headers))
long = b'{"model":"m","messages":[{"role":"user","content":"' + b"word " * 200000 + b'"}]}'
print(sent(long), sent(iter([long[:70], long[70:]])), sent(long, {"expect": "100-continue", "connection": "x-a", "x-a": "b"}))
print(host)
"#;
    let ran = shop.python(script).await;
    let refused = |times: usize, said: &str| vec![said.to_owned(); times];
    let expected = [refused(1, "200 None"), refused(4, "401 invalid_token"), refused(6, "404 not_found")].concat();
    let mut said: Vec<&str> = ran.out.lines().collect();
    let address = said.pop().unwrap_or_else(|| panic!("{ran:?}"));
    assert_eq!(said.pop(), Some("200 200 200"), "a body of a megabyte, with its length and in chunks: {ran:?}");
    assert_eq!(said, expected, "{ran:?}");
    assert_eq!(shop.llm.calls(), 4);
    assert!(std::net::TcpStream::connect(address).is_err(), "after its end nobody listens");
}

#[tokio::test]
async fn an_answer_arrives_as_it_is_written() {
    let shop = Shop::new().await;
    shop.llm.set_pace(Duration::from_millis(100));
    let script = r#"
import time
body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "one two three four five"}], "stream": True}
request = urllib.request.Request(base + "/chat/completions", json.dumps(body).encode(),
    {"content-type": "application/json", "x-api-key": key})
with urllib.request.urlopen(request) as answer:
    first = (answer.readline(), time.monotonic())[1]
    rest = answer.read()
print(rest.count(b"data: ") > 5, time.monotonic() - first > 0.3)
"#;
    assert_eq!(shop.python(script).await.done(), "True True\n");
}

#[tokio::test]
async fn the_relay_is_found_where_the_environment_names_a_proxy() {
    let shop = Shop::new().await;
    let script = format!("{ASK}print(ask(base, key, 'x')[0])");
    let command = ["env", "http_proxy=http://127.0.0.1:9", "python3", "-c", &script];
    assert_eq!(shop.run(&["--credential", "acme.llm=openai"], &command).await.done(), "200\n");
}

#[tokio::test]
async fn the_token_is_renewed_while_the_program_runs() {
    let shop = Shop::new().await;
    shop.terminal.run(&["agent", "update", "acme.worker", "--ttl", "3s"]).await.done();
    let script = r#"
import time
first = ask(base, key, "one")[0]
time.sleep(3)
print(first, ask(base, key, "two")[0])
"#;
    assert_eq!(shop.python(script).await.done(), "200 200\n");
    let used = shop.records("credential.proxied", "jti").await;
    let first = used.first().unwrap();
    assert!(used.iter().any(|jti| jti != first), "each call with the token of its time: {used:?}");
    shop.ended_its_tokens(2).await;
}

#[tokio::test]
async fn its_exit_code_is_the_programs_and_the_token_ends_with_it() {
    let shop = Shop::new().await;
    for (command, code) in [
        (&["sh", "-c", "exit 7"][..], 7),
        (&["sh", "-c", "kill -KILL $$"], 137),
        (&["sh", "-c", "test -z \"$STIPEND_CLIENT_SECRET$STIPEND_TOKEN\""], 0),
        (&["/no/such/program"], 127),
        (&["/etc/passwd"], 126),
    ] {
        let ran = shop.run(&["--credential", "acme.llm"], command).await;
        assert_eq!((ran.code, ran.out.as_str()), (code, ""), "{command:?}: {ran:?}");
        shop.ended_its_tokens(1).await;
    }
    for bad in [&["--credential", "acme.llm="][..], &["--credential", "acme.llm", "--credential", "acme.llm"], &[]] {
        assert_eq!(shop.run(bad, &["true"]).await.code, 2, "{bad:?}");
    }
    let elsewhere = [("STIPEND_ISSUER", "http://127.0.0.1:9"), ("STIPEND_CLIENT_SECRET", "x")];
    crate::terminal::run_in(&elsewhere, &["run", "--credential", "acme.llm", "--", "true"]).await.refused(3);
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_are_passed_on_and_end_the_token_too() {
    let shop = Shop::new().await;
    let traps = "trap 'echo stopped; exit 3' TERM; echo ready; while :; do sleep 0.05; done";
    let sleeps = "echo ready; exec sleep 60";
    for (script, name, said, code) in
        [(traps, "TERM", "stopped", 3), (sleeps, "TERM", "", 143), (sleeps, "INT", "", 130), (sleeps, "HUP", "", 129)]
    {
        let mut run = shop.spawn(&["sh", "-c", script]);
        let mut lines = BufReader::new(run.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "ready");
        let sent = Command::new("kill").args(["-s", name, &run.id().to_string()]).status().unwrap();
        assert!(sent.success());
        assert_eq!(lines.next().map(Result::unwrap).unwrap_or_default(), said);
        assert_eq!(run.wait().unwrap().code(), Some(code), "{name}: {script}");
        shop.ended_its_tokens(1).await;
    }
}

#[tokio::test]
async fn a_budget_caps_what_it_spends() {
    let shop = Shop::new().await;
    shop.terminal.run(&["credential", "update", "acme.llm", "--price", "call=1"]).await.done();
    shop.terminal.run(&["budget", "create", "--agent", "acme.worker", "--unit", "call", "--amount", "50"]).await.done();
    let script = format!("{ASK}print(*(ask(base, key, 'x')[0] for _ in range(3)))");
    let capped = ["--credential", "acme.llm=openai", "--budget", "call=2"];
    assert_eq!(shop.run(&capped, &["python3", "-c", &script]).await.done(), "200 200 403\n");
    assert_eq!(shop.llm.calls(), 2);
}
