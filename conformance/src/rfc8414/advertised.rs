//! What the metadata advertises is tried, and so is what it does not.

use crate::check::{Miss, Verdict, checks, ensure, fail, skip};
use crate::client::Login;
use crate::encode::nonce;
use crate::exchange::TOKEN_EXCHANGE;
use crate::http::{Reply, Request};
use crate::issuer::{CLIENT_CREDENTIALS, Issuer, granted};

checks! { "metadata";
    "MD8/grants" M "RFC 8414 2" "each advertised grant works, each other is unsupported" => grants;
    "MD8/methods" M "RFC 8414 2" "each advertised way to authenticate works at its endpoint" => methods;
    "MD8/algorithms" M "RFC 8414 2" "each advertised signing algorithm authenticates" => algorithms;
    "MD8/responses" M "RFC 8414 2" "where no authorization endpoint serves a response type, no grant needs one" => no_authorization_flow;
}

const KNOWN_GRANTS: &[&str] = &[
    CLIENT_CREDENTIALS,
    TOKEN_EXCHANGE,
    "authorization_code",
    "refresh_token",
    "password",
    "urn:ietf:params:oauth:grant-type:jwt-bearer",
    "urn:ietf:params:oauth:grant-type:saml2-bearer",
    "urn:ietf:params:oauth:grant-type:device_code",
    "urn:openid:params:grant-type:ciba",
];

async fn grants(issuer: &Issuer) -> Verdict {
    let advertised = issuer.meta_list("grant_types_supported");
    for grant in KNOWN_GRANTS.iter().chain(&advertised) {
        let request = issuer.sign_in(issuer.token()?.with("grant_type", grant), issuer.client("basic")?)?;
        let unsupported = request.send().await?.error() == "unsupported_grant_type";
        // implicit (RFC 8414's default) is no grant of the token endpoint.
        let expected = !advertised.contains(grant) || *grant == "implicit";
        ensure!(unsupported == expected, "{grant}: advertised {}, unsupported {unsupported}", !expected);
    }
    issuer.issue(&issuer.grant("basic")?).await.map_err(|miss| miss.at(CLIENT_CREDENTIALS))?;
    if advertised.contains(&TOKEN_EXCHANGE) {
        issuer.exchanged().await?;
    } else if issuer.profile.exchange.is_some() {
        return fail("the exchange works and is not advertised");
    }
    Ok(advertised.join(", "))
}

/// A request to the endpoint that succeeds for any client that authenticates.
fn probe(issuer: &Issuer, endpoint: &str) -> Result<Request, Miss> {
    match endpoint {
        "token" => issuer.bare_grant(),
        _ => Ok(issuer.http.form(issuer.endpoint(&format!("{endpoint}_endpoint"))?).with("token", &nonce())),
    }
}

/// Whether the client got past authentication.
fn authenticated(endpoint: &str, reply: &Reply) -> bool {
    match endpoint {
        "token" => granted(reply.clone()).is_ok(),
        // A client that may not introspect is known all the same.
        _ => reply.error() != "invalid_client" && (reply.status == 200 || reply.status == 403),
    }
}

async fn methods(issuer: &Issuer) -> Verdict {
    let (mut seen, mut untried) = (Vec::new(), Vec::new());
    for endpoint in ["token", "introspection", "revocation"] {
        let advertised = issuer.meta_list(&format!("{endpoint}_endpoint_auth_methods_supported"));
        for method in &advertised {
            let Some(login) = client_with(issuer, endpoint, |login| login.method() == *method) else {
                untried.push(format!("{endpoint} {method}"));
                continue;
            };
            let reply = issuer.sign_in(probe(issuer, endpoint)?, login)?.send().await?;
            ensure!(authenticated(endpoint, &reply), "{endpoint} by {method}: {}", reply.brief());
            seen.push(format!("{endpoint} {method}"));
        }
        for method in ["client_secret_basic", "client_secret_post", "private_key_jwt"] {
            let known = |login: &Login| login.method() == method;
            if let (false, Some(login)) = (advertised.contains(&method), client_with(issuer, endpoint, known)) {
                let reply = issuer.sign_in(probe(issuer, endpoint)?, login)?.send().await?;
                let worked = !advertised.is_empty() && authenticated(endpoint, &reply);
                ensure!(!worked, "{endpoint}: {method} works and is not advertised");
            }
        }
    }
    settled(seen, untried)
}

/// A working client of that make: for the other endpoints, the relying service
/// comes first.
fn client_with<'a>(issuer: &'a Issuer, endpoint: &str, fits: impl Fn(&Login) -> bool) -> Option<&'a Login> {
    let service = issuer.profile.introspection.as_ref().and_then(|section| issuer.find_client(&section.client));
    let named = ["basic", "post", "jwt"].iter().filter_map(|name| issuer.find_client(name));
    let further = issuer.clients().filter(|login| {
        !matches!(login.name.as_str(), "disabled" | "expired_secret" | "legacy_aud" | "no_exchange" | "public")
    });
    let service = service.filter(|_| endpoint == "introspection");
    service.into_iter().chain(named).chain(further).find(|login| fits(login))
}

async fn algorithms(issuer: &Issuer) -> Verdict {
    let (mut seen, mut untried) = (Vec::new(), Vec::new());
    for alg in issuer.meta_list("token_endpoint_auth_signing_alg_values_supported") {
        let signs = |login: &Login| login.signer().is_ok_and(|signer| signer.alg == alg);
        let Some(login) = client_with(issuer, "token", signs) else {
            untried.push(alg.to_owned());
            continue;
        };
        let reply = issuer.sign_in(probe(issuer, "token")?, login)?.send().await?;
        granted(reply).map_err(|miss| miss.at(alg))?;
        seen.push(alg.to_owned());
    }
    settled(seen, untried)
}

fn settled(seen: Vec<String>, untried: Vec<String>) -> Verdict {
    match (seen.is_empty(), untried.is_empty()) {
        (true, _) => skip(format!("no client in the profile for {}", untried.join(", "))),
        (false, true) => Ok(seen.join(", ")),
        (false, false) => Ok(format!("{}; no client in the profile for {}", seen.join(", "), untried.join(", "))),
    }
}

/// RFC 8414 section 2 makes `authorization_endpoint` optional where no grant uses it; some clients
/// insist on it, so an address that refuses everybody is as good as none.
async fn no_authorization_flow(issuer: &Issuer) -> Verdict {
    let endpoint = issuer.meta_text("authorization_endpoint").to_owned();
    let types = issuer.meta_list("response_types_supported");
    if !endpoint.is_empty() && types != ["none"] {
        return skip("there is an authorization endpoint");
    }
    for grant in ["authorization_code", "implicit", "refresh_token"] {
        ensure!(!issuer.meta_list("grant_types_supported").contains(&grant), "{grant} is advertised");
    }
    if endpoint.is_empty() {
        return Ok("no grant that needs one".into());
    }
    let url = format!("{endpoint}?response_type=code&client_id=x&redirect_uri=https%3A%2F%2Fevil.example%2F");
    let reply = issuer.http.get(&url).send().await?;
    ensure!(
        reply.status == 400 && reply.header("location").is_empty(),
        "{} {:?}",
        reply.status,
        reply.header("location")
    );
    Ok("no grant that needs one, and the endpoint refuses".into())
}
