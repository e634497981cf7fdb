//! Encodings, sizes, echoes and headers that a careless server stumbles over.

use crate::check::{Miss, Verdict, checks, ensure};
use crate::client::{Login, asserted, basic};
use crate::encode::{nonce, percent_every_byte};
use crate::exchange::{ACCESS_TOKEN, TOKEN_EXCHANGE};
use crate::http::{Reply, Request};
use crate::issuer::{CLIENT_CREDENTIALS, Issuer, granted, legal_text, metadata_url, refused};

checks! { "token_endpoint";
    "T3" M "RFC 6749 App. B" "the form is decoded as UTF-8: the appendix's vector, %XX of every byte" => form_decoding;
    "T3/utf8" H "RFC 6749 App. B" "invalid UTF-8 and broken escapes are 400" => broken_encodings;
    "T13" M "RFC 6749 5.2" "error and error_description keep to the legal characters" => error_characters;
    "T13/echo" H "RFC 6749 5.2" "hostile input comes back nowhere" => no_echo;
    "T21" H "-" "64 KiB bodies, 16 KiB headers, 8 KiB JWTs are refused" => sizes;
    "T22" H "-" "a refused request changes nothing" => refusals_change_nothing;
    "T25" M "RFC 9700 4.13" "forwarding and certificate headers of a stranger are not believed" => untrusted_headers;
    "T25/host" H "RFC 9110 7.2" "a made-up Host does not change the metadata" => untrusted_host;
}

/// RFC 6749 Appendix B: ` %&+£€`, encoded.
const APPENDIX_B: &str = "+%25%26%2B%C2%A3%E2%82%AC";

async fn form_decoding(issuer: &Issuer) -> Verdict {
    let client = issuer.client("basic")?;
    // A scope whose every byte is escaped, with + for the space between the words.
    let scopes: Vec<String> = issuer.resource("a")?.scopes.iter().take(2).map(|s| percent_every_byte(s)).collect();
    let plain = issuer.resource("a")?.scopes.iter().take(2).cloned().collect::<Vec<_>>().join(" ");
    let request = issuer.grant("basic")?.without("scope");
    let escaped = request.raw_suffix(format!("&scope={}&note={APPENDIX_B}", scopes.join("+")).as_bytes());
    let escaped = issuer.issue(&escaped).await.map_err(|miss| miss.at("escaped scope"))?;
    let direct = issuer.issue(&issuer.grant("basic")?.set("scope", &plain)).await?;
    ensure!(
        escaped.reply.text("scope") == direct.reply.text("scope"),
        "scope {:?} when escaped, {:?} when not",
        escaped.reply.text("scope"),
        direct.reply.text("scope")
    );
    let scope = issuer.grant("basic")?.without("scope").raw_suffix(format!("&scope={APPENDIX_B}").as_bytes());
    refused(&scope.send().await?, &["invalid_scope"]).map_err(|miss| miss.at("vector as scope"))?;
    decoded_secrets(issuer, client).await?;
    match issuer.find_client("odd") {
        Some(odd) => {
            issuer.issue(&issuer.grant("odd")?).await.map_err(|miss| miss.at(&odd.id))?;
            Ok(format!("escaped scope and secret read; client {:?} works", odd.id))
        }
        None => Ok("escaped scope and secret read; the vector as scope and as secret is refused in form".into()),
    }
}

/// The same for a secret in the body and in Basic.
async fn decoded_secrets(issuer: &Issuer, client: &Login) -> Result<(), Miss> {
    if let Some(post) = issuer.find_client("post") {
        let secret = percent_every_byte(post.secret()?);
        let body = format!("&client_id={}&client_secret={secret}", percent_every_byte(&post.id));
        let reply = issuer.bare_grant()?.raw_suffix(body.as_bytes()).send().await?;
        granted(reply).map_err(|miss| miss.at("escaped client_secret"))?;
        let wrong = format!("&client_id={}&client_secret={APPENDIX_B}", post.id);
        let reply = issuer.bare_grant()?.raw_suffix(wrong.as_bytes()).send().await?;
        refused(&reply, &["invalid_client", "invalid_request"]).map_err(|miss| miss.at("vector as client_secret"))?;
    }
    let pair = format!("{}:{APPENDIX_B}", client.id);
    let reply = crate::client::raw_basic(issuer.bare_grant()?, &pair).send().await?;
    refused(&reply, &["invalid_client", "invalid_request"]).map_err(|miss| miss.at("vector in Basic"))?;
    Ok(())
}

async fn broken_encodings(issuer: &Issuer) -> Verdict {
    let mut seen = Vec::new();
    for (what, bytes) in [
        ("invalid UTF-8", &b"&note=%FF%FE"[..]),
        ("raw bytes", b"&note=\xff\xfe"),
        ("overlong", b"&note=%C0%AF"),
        ("surrogate", b"&note=%ED%A0%80"),
    ] {
        let reply = issuer.grant("basic")?.raw_suffix(bytes).send().await?;
        seen.push(refused(&reply, &["invalid_request"]).map_err(|miss| miss.at(what))?);
    }
    for (what, bytes) in [("half an escape", &b"&scope=%4"[..]), ("no hex", b"&scope=%zz"), ("NUL", b"&scope=%00")] {
        let reply = issuer.grant("basic")?.without("scope").raw_suffix(bytes).send().await?;
        seen.push(refused(&reply, &["invalid_request", "invalid_scope"]).map_err(|miss| miss.at(what))?);
    }
    seen.dedup();
    Ok(seen.join(", "))
}

const CANARY: &str = "canary\"\\><script>\r\nSet-Cookie: x=1\u{1f600}\u{7f}";

/// Hostile values in every parameter that an error could quote.
fn hostile(issuer: &Issuer) -> Result<Vec<(&'static str, Request)>, Miss> {
    let grant = |name: &str| Ok(issuer.grant("basic")?.set(name, CANARY));
    let mut all = vec![
        ("grant_type", grant("grant_type")?),
        ("scope", grant("scope")?),
        ("resource", grant("resource")?),
        ("client_id", grant("client_id")?),
        ("parameter name", issuer.grant("basic")?.with(CANARY, "1").with(CANARY, "2")),
        ("Basic", basic(issuer.bare_grant()?, CANARY, CANARY)),
        ("client_assertion", asserted(issuer.bare_grant()?, CANARY)),
        ("client_assertion_type", asserted(issuer.bare_grant()?, "x").set("client_assertion_type", CANARY)),
    ];
    if issuer.profile.exchange.is_some() {
        let base = issuer.token()?.with("grant_type", TOKEN_EXCHANGE);
        let base = base.with("subject_token", "x").with("subject_token_type", ACCESS_TOKEN);
        let base = issuer.sign_in(base.with("audience", issuer.target()?), issuer.client("basic")?)?;
        for name in ["subject_token", "subject_token_type", "requested_token_type", "audience"] {
            all.push((name, base.clone().set(name, CANARY)));
        }
        all.push(("actor_token_type", base.with("actor_token", "x").with("actor_token_type", CANARY)));
    }
    Ok(all)
}

async fn error_characters(issuer: &Issuer) -> Verdict {
    let mut seen = 0;
    for (what, request) in hostile(issuer)? {
        let reply = request.send().await?;
        ensure!(reply.status < 500, "{what}: {}", reply.brief());
        legal_text(&reply).map_err(|miss| miss.at(what))?;
        ensure!(reply.header("set-cookie").is_empty(), "{what}: a cookie was set");
        seen += 1;
    }
    Ok(format!("{seen} hostile values, only legal characters back"))
}

async fn no_echo(issuer: &Issuer) -> Verdict {
    for (what, request) in hostile(issuer)? {
        let reply = request.send().await?;
        let headers = format!("{:?}", reply.headers);
        let body = String::from_utf8_lossy(&reply.body).into_owned();
        ensure!(!body.contains("canary"), "{what} is quoted in the body");
        ensure!(!headers.contains("canary"), "{what} is quoted in a header");
    }
    Ok("nothing quoted".into())
}

fn too_large(reply: &Reply) -> bool {
    reply.json.get("access_token").is_none() && matches!(reply.status, 400 | 401 | 413 | 431)
}

async fn sizes(issuer: &Issuer) -> Verdict {
    let mut seen = Vec::new();
    let body = issuer.grant("basic")?.with("padding", &"x".repeat(66_000)).send().await?;
    ensure!(matches!(body.status, 400 | 413) && too_large(&body), "66,000 byte body: {}", body.brief());
    seen.push(format!("body {}", body.status));
    let header = issuer.grant("basic")?.header("x-padding", &"x".repeat(17 * 1024)).send().await?;
    ensure!(too_large(&header), "17 KiB header: {}", header.brief());
    seen.push(format!("header {}", header.status));
    if let Some(jwt) = issuer.find_client("jwt") {
        let padding = serde_json::json!("x".repeat(9_000));
        let assertion = jwt.assertion(issuer.url(), &[("padding", padding)])?;
        let reply = asserted(issuer.bare_grant()?, &assertion).send().await?;
        ensure!(too_large(&reply), "12 KB client_assertion: {}", reply.brief());
        seen.push(format!("assertion {}", reply.brief()));
    }
    if issuer.profile.exchange.is_some() {
        let subject = format!("{}{}", issuer.subject_token().await?.token, "x".repeat(9_000));
        let reply = issuer.allowed().await?.set("subject_token", &subject).send().await?;
        ensure!(too_large(&reply), "9 KB subject_token: {}", reply.brief());
        seen.push(format!("subject_token {}", reply.brief()));
    }
    issuer.alive().await?;
    Ok(seen.join(", "))
}

async fn refusals_change_nothing(issuer: &Issuer) -> Verdict {
    let jwt = issuer.client("jwt")?;
    let id = nonce();
    let change = [("jti", serde_json::json!(id))];
    let genuine = jwt.assertion(issuer.url(), &change)?;
    let stranger = crate::jws::Signer::stranger(jwt.profile.kid.as_deref()).map_err(Miss::Fail)?;
    let mut claims = jwt.assertion_claims(issuer.url());
    crate::jws::set(&mut claims, "jti", serde_json::json!(id));
    let forged = stranger.sign(&stranger.header(), &claims);
    let reply = asserted(issuer.bare_grant()?, &forged).send().await?;
    refused(&reply, &["invalid_client"]).map_err(|miss| miss.at("forged assertion"))?;
    let reply = asserted(issuer.bare_grant()?, &genuine).send().await?;
    granted(reply).map_err(|miss| miss.at("the genuine one with the forged one's jti"))?;
    if issuer.profile.exchange.is_some() {
        let request = issuer.allowed().await?;
        let client = issuer.exchange()?.actor_client.clone();
        let wider = issuer.exchange()?.wider_scope.clone();
        let reply = request.clone().set("scope", &wider).send().await?;
        refused(&reply, &["invalid_scope", "invalid_target"]).map_err(|miss| miss.at("wider scope"))?;
        issuer.issue(&issuer.again(&request, &client)?).await.map_err(|miss| miss.at("same tokens afterwards"))?;
    }
    Ok("a forged assertion burns no jti; a refused exchange spends no token".into())
}

async fn untrusted_headers(issuer: &Issuer) -> Verdict {
    let evil = "evil.example";
    let url = metadata_url(issuer.url(), "oauth-authorization-server");
    for (name, value) in [
        ("x-forwarded-host", evil),
        ("x-forwarded-proto", "ftp"),
        ("x-forwarded-prefix", "/evil"),
        ("forwarded", "host=evil.example;proto=ftp"),
        ("x-original-host", evil),
    ] {
        let reply = issuer.http.get(&url).header(name, value).send().await?;
        let body = String::from_utf8_lossy(&reply.body).into_owned();
        ensure!(!body.contains("evil") && !body.contains("ftp:"), "{name} changed the metadata");
    }
    let client = issuer.client("basic")?;
    let request = issuer.token()?.with("grant_type", CLIENT_CREDENTIALS).with("client_id", &client.id);
    let request = request
        .header("x-client-cert", "MIIB")
        .header("x-ssl-client-verify", "SUCCESS")
        .header("x-ssl-client-s-dn", &format!("CN={}", client.id))
        .header("x-forwarded-client-cert", &format!("Subject=\"CN={}\"", client.id))
        .header("x-forwarded-user", &client.id);
    refused(&request.send().await?, &["invalid_client", "invalid_request"])
        .map_err(|miss| miss.at("certificate headers"))?;
    Ok("five forwarding headers without effect; certificate headers authenticate nobody".into())
}

async fn untrusted_host(issuer: &Issuer) -> Verdict {
    let url = metadata_url(issuer.url(), "oauth-authorization-server");
    let reply = issuer.http.get(&url).header("host", "evil.example").send().await?;
    ensure!(reply.status >= 400 || reply.json == issuer.meta, "Host changed the metadata");
    Ok(reply.brief())
}
