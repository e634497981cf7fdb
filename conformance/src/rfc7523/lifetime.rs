//! RFC 7523 3 (4), (5) and (7): dates and single use.

use serde_json::json;
use tokio::task::JoinSet;

use crate::check::{Miss, Verdict, checks, ensure, fail};
use crate::client::asserted;
use crate::encode::now;
use crate::issuer::Issuer;
use crate::jws::{malleate, unset};
use crate::rfc7523::{accepted, denied};

checks! { "private_key_jwt";
    "K13" M "RFC 7523 3 (4)" "exp is there and not passed, by 60 s of skew at most" => expiry;
    "K13/far" H "RFC 7523 3 (4)" "exp more than 5 minutes ahead is refused" => far_expiry;
    "K14" M "RFC 7523 3 (5)" "nbf more than 60 s ahead is refused" => not_before;
    "K14/near" H "FAPI 2.0" "nbf and iat 8 s ahead are accepted" => near_future;
    "K15" S "RFC 7523 3 (7)" "an assertion is accepted once" => single_use;
    "K15/concurrent" H "RFC 7523 3 (7)" "20 concurrent uses: exactly one token" => single_use_under_concurrency;
    "K15/jti" H "RFC 7523 3 (7)" "an assertion without jti, or with an odd one, is refused" => jti_required;
}

async fn expiry(issuer: &Issuer) -> Verdict {
    let jwt = issuer.client("jwt")?;
    let signer = jwt.signer()?;
    let mut claims = jwt.assertion_claims(issuer.url());
    unset(&mut claims, "exp");
    denied(issuer, "exp missing", &signer.sign(&signer.header(), &claims)).await?;
    for ago in [62, 120, 86_400] {
        let dates = [("exp", json!(now() - ago)), ("iat", json!(now() - ago - 60))];
        denied(issuer, &format!("exp {ago} s ago"), &jwt.assertion(issuer.url(), &dates)?).await?;
    }
    for exp in [json!(0), json!(1), json!(-1)] {
        denied(issuer, &format!("exp {exp}"), &jwt.assertion(issuer.url(), &[("exp", exp)])?).await?;
    }
    Ok("missing, 62 s, 2 min and a day ago, 0, 1, -1: refused".into())
}

async fn far_expiry(issuer: &Issuer) -> Verdict {
    let jwt = issuer.client("jwt")?;
    let ahead = |seconds: i64| jwt.assertion(issuer.url(), &[("exp", json!(now() + seconds))]);
    accepted(issuer, "exp 290 s ahead", &ahead(290)?).await?;
    for seconds in [420, 3_600, 31_536_000] {
        denied(issuer, &format!("exp {seconds} s ahead"), &ahead(seconds)?).await?;
    }
    Ok("290 s accepted; 7 min, an hour, a year refused".into())
}

async fn not_before(issuer: &Issuer) -> Verdict {
    let jwt = issuer.client("jwt")?;
    for ahead in [75, 200] {
        let dates = [("nbf", json!(now() + ahead)), ("exp", json!(now() + ahead + 30))];
        denied(issuer, &format!("nbf {ahead} s ahead"), &jwt.assertion(issuer.url(), &dates)?).await?;
    }
    let past = jwt.assertion(issuer.url(), &[("nbf", json!(now() - 5))])?;
    accepted(issuer, "nbf 5 s ago", &past).await?;
    Ok("75 and 200 s ahead refused, 5 s ago accepted".into())
}

async fn near_future(issuer: &Issuer) -> Verdict {
    let jwt = issuer.client("jwt")?;
    let dates = [("nbf", json!(now() + 8)), ("iat", json!(now() + 8))];
    accepted(issuer, "8 s ahead", &jwt.assertion(issuer.url(), &dates)?).await?;
    Ok("accepted".into())
}

async fn single_use(issuer: &Issuer) -> Verdict {
    let assertion = issuer.client("jwt")?.assertion(issuer.url(), &[])?;
    accepted(issuer, "first use", &assertion).await?;
    denied(issuer, "second use", &assertion).await?;
    // The same jti under another signature of the same key (r, n - s).
    if let Some(other) = malleate(&assertion) {
        denied(issuer, "second use, signature malleated", &other).await?;
    }
    Ok("200, then 401 invalid_client, malleated too".into())
}

const AT_ONCE: usize = 20;

async fn single_use_under_concurrency(issuer: &Issuer) -> Verdict {
    let assertion = issuer.client("jwt")?.assertion(issuer.url(), &[])?;
    let mut uses = JoinSet::new();
    for _ in 0..AT_ONCE {
        let request = asserted(issuer.bare_grant()?, &assertion);
        uses.spawn(async move { request.send().await });
    }
    let (mut granted, mut refused) = (0, 0);
    while let Some(reply) = uses.join_next().await {
        let reply = reply.map_err(|error| Miss::Fail(error.to_string()))??;
        match (reply.status, reply.error()) {
            (200, _) => granted += 1,
            (400 | 401, "invalid_client") => refused += 1,
            _ => return fail(format!("a use was answered {}", reply.brief())),
        }
    }
    ensure!(granted == 1, "{granted} of {AT_ONCE} concurrent uses got a token");
    Ok(format!("1 token, {refused} refused"))
}

async fn jti_required(issuer: &Issuer) -> Verdict {
    let jwt = issuer.client("jwt")?;
    let signer = jwt.signer()?;
    let mut claims = jwt.assertion_claims(issuer.url());
    unset(&mut claims, "jti");
    denied(issuer, "no jti", &signer.sign(&signer.header(), &claims)).await?;
    for value in [json!(""), json!(1), json!(null), json!(["x"]), json!("x".repeat(2_000))] {
        let what = format!("jti of {} bytes, {}", value.to_string().len(), kind(&value));
        denied(issuer, &what, &jwt.assertion(issuer.url(), &[("jti", value)])?).await?;
    }
    Ok("missing, empty, number, null, array, 2,000 characters: refused".into())
}

fn kind(value: &serde_json::Value) -> &'static str {
    if value.is_string() { "string" } else { "no string" }
}
