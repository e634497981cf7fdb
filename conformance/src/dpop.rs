//! Proofs of possession (RFC 9449): good ones, and ones changed in one place.
//!
//! Owns the answer to a demand for a nonce. A request with a proof may be sent twice because of
//! it, so whoever sends one authenticates by a secret.

use ring::digest;
use serde_json::{Value, json};

use crate::check::{Miss, fail, skip};
use crate::encode::{b64url, nonce, now};
use crate::http::{Reply, Request};
use crate::issuer::Issuer;
use crate::jwk::thumbprint;
use crate::jws::{Signer, set, unset};
use crate::profile::Dpop;

/// One thing in a proof that is not as it should be; null takes it away.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Header(&'static str, Value),
    Claim(&'static str, Value),
}

/// A client's DPoP key.
pub(crate) struct Prover {
    pub(crate) signer: Signer,
    jwk: Value,
}

impl Prover {
    pub(crate) fn new() -> Result<Self, Miss> {
        let signer = Signer::stranger(None).map_err(Miss::Fail)?;
        let jwk = signer.public_jwk().unwrap_or_default();
        Ok(Self { signer, jwk })
    }

    pub(crate) fn jwk(&self) -> Value {
        self.jwk.clone()
    }

    pub(crate) fn jkt(&self) -> String {
        thumbprint(&self.jwk).unwrap_or_default()
    }

    pub(crate) fn header(&self) -> Value {
        json!({"typ": "dpop+jwt", "alg": self.signer.alg, "jwk": self.jwk})
    }

    /// What a good proof for this request says, with the token that goes along.
    pub(crate) fn claims(request: &Request, token: Option<&str>, given: Option<&str>) -> Value {
        let (method, url) = request.target();
        let mut claims = json!({"jti": nonce(), "htm": method, "htu": url, "iat": now()});
        if let Some(token) = token {
            set(&mut claims, "ath", json!(ath(token)));
        }
        if let Some(given) = given {
            set(&mut claims, "nonce", json!(given));
        }
        claims
    }

    pub(crate) fn proof(
        &self,
        request: &Request,
        token: Option<&str>,
        given: Option<&str>,
        changes: &[Change],
    ) -> String {
        let (mut header, mut claims) = (self.header(), Self::claims(request, token, given));
        for change in changes {
            let (part, name, value) = match change {
                Change::Header(name, value) => (&mut header, name, value),
                Change::Claim(name, value) => (&mut claims, name, value),
            };
            match value {
                Value::Null => unset(part, name),
                value => set(part, name, value.clone()),
            }
        }
        self.signer.sign(&header, &claims)
    }
}

/// RFC 9449 section 4.2.
pub(crate) fn ath(token: &str) -> String {
    b64url(digest::digest(&digest::SHA256, token.as_bytes()).as_ref())
}

/// RFC 9449 sections 8 and 9: the nonce that an answer demands, in its body or its challenge.
pub(crate) fn demanded_nonce(reply: &Reply) -> Option<&str> {
    let demanded = reply.error() == "use_dpop_nonce"
        || reply.all("www-authenticate").iter().any(|challenge| challenge.contains("use_dpop_nonce"));
    let nonce = reply.header("dpop-nonce");
    (demanded && !nonce.is_empty()).then_some(nonce)
}

impl Issuer {
    pub(crate) fn dpop(&self) -> Result<&Dpop, Miss> {
        match &self.profile.dpop {
            Some(section) => Ok(section),
            None => skip("the profile has no [dpop]"),
        }
    }

    /// The request with a proof changed in these places, and with the nonce if one is demanded.
    pub(crate) async fn proved(
        &self,
        request: &Request,
        prover: &Prover,
        token: Option<&str>,
        changes: &[Change],
    ) -> Result<Reply, Miss> {
        self.proved_by(request, |nonce| prover.proof(request, token, nonce, changes)).await
    }

    /// The same with a proof that is made in some other way.
    pub(crate) async fn proved_by(
        &self,
        request: &Request,
        proof: impl Fn(Option<&str>) -> String + Sync,
    ) -> Result<Reply, Miss> {
        let reply = request.clone().header("DPoP", &proof(None)).send().await?;
        match demanded_nonce(&reply) {
            Some(nonce) => request.clone().header("DPoP", &proof(Some(nonce))).send().await,
            None => Ok(reply),
        }
    }

    /// A nonce for this endpoint, where one is demanded.
    pub(crate) async fn nonce_for(
        &self,
        request: &Request,
        prover: &Prover,
        token: Option<&str>,
    ) -> Result<Option<String>, Miss> {
        let reply = request.clone().header("DPoP", &prover.proof(request, token, None, &[])).send().await?;
        Ok(demanded_nonce(&reply).map(str::to_owned))
    }

    /// A token of this client for resource `a`, bound to the key.
    pub(crate) async fn bound_token(&self, client: &str, prover: &Prover) -> Result<(String, Reply), Miss> {
        let reply = self.proved(&self.grant(client)?, prover, None, &[]).await?;
        match reply.text("access_token") {
            Some(token) if reply.status == 200 => Ok((token.to_owned(), reply)),
            _ => fail(format!("with a good proof: {}", reply.brief())),
        }
    }
}
