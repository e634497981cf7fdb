//! What tokens demand and get: the `cnf` of a new token, whether a bound subject or actor token
//! may be exchanged, whether a bound token is admitted at a resource. Decisions alone.
//!
//! A constraint is never lost: what comes of a bound token is bound, to a key that was proved.

use super::{Binding, Presentation, Proved, Scheme};
use crate::reason::Reason;
use crate::records::ClientSettings;
use stipend_token::{AccessToken, Confirmation};

/// A bound token that a grant has used.
#[derive(Clone, Debug)]
pub struct Held {
    pub cnf: Confirmation,
    /// Its presenter is another client, to which it was handed: named by the token's `may_act`,
    /// or let in by a rule that accepts bound subjects. It cannot have the key.
    pub handed_on: bool,
    /// The refusal where the key is not proved.
    pub refusal: Reason,
}

impl Held {
    /// A token's key, if it is bound to one.
    #[must_use]
    pub fn of(token: &AccessToken, handed_on: bool, refusal: Reason) -> Option<Self> {
        token.cnf.clone().map(|cnf| Self { cnf, handed_on, refusal })
    }
}

/// Whether the key was proved in this request.
fn proves(proved: &Proved, cnf: &Confirmation) -> bool {
    match cnf {
        Confirmation::Jkt(jkt) => proved.jkt.as_ref() == Some(jkt),
        Confirmation::X5tS256(thumbprint) => proved.certificate.as_ref() == Some(thumbprint),
    }
}

/// The key that a new token is bound to, if any: the proof's, or the certificate where the client
/// is registered so, or where a token it comes from was bound.
///
/// # Errors
/// A key of a held token that was not proved, or none where there must be one.
pub fn confirm(settings: &ClientSettings, proved: &Proved, held: &[Held]) -> Result<Option<Confirmation>, Reason> {
    if let Some(unproved) = held.iter().find(|held| !held.handed_on && !proves(proved, &held.cnf)) {
        return Err(unproved.refusal);
    }
    let certificate = || proved.certificate.clone().map(Confirmation::X5tS256);
    if settings.tls_client_certificate_bound_access_tokens {
        // One token has one key: with a proof as well it would not be told which is meant.
        if proved.jkt.is_some() {
            return Err(Reason::DpopNotWanted);
        }
        return certificate().map(Some).ok_or(Reason::CertificateRequired);
    }
    if let Some(jkt) = &proved.jkt {
        return Ok(Some(Confirmation::Jkt(jkt.clone())));
    }
    // RFC 9449 section 5.2.
    if settings.dpop_bound_access_tokens {
        return Err(Reason::DpopRequired);
    }
    if held.is_empty() {
        return Ok(None);
    }
    certificate().map(Some).ok_or(Reason::OwnKeyNotProved)
}

/// Whether a token is presented as its binding demands (RFC 9449 section 7, RFC 8705 section 3).
///
/// # Errors
/// Why it is not.
pub fn admit(binding: &Binding, cnf: Option<&Confirmation>, shown: &Presentation, now: i64) -> Result<Proved, Reason> {
    match (shown.scheme, cnf) {
        (Scheme::Bearer, None) => Ok(Proved::default()),
        // RFC 9449 section 7.2: the very downgrade that a thief would try.
        (Scheme::Bearer, Some(Confirmation::Jkt(_))) => Err(Reason::BoundAsBearer),
        (Scheme::Bearer, Some(cnf @ Confirmation::X5tS256(_))) => {
            let proved = Proved { certificate: shown.presented.certificate.clone(), ..Proved::default() };
            if proves(&proved, cnf) { Ok(proved) } else { Err(Reason::CertificateMismatch) }
        }
        // RFC 9449 section 7.1: the scheme is for tokens bound to a key.
        (Scheme::Dpop, None | Some(Confirmation::X5tS256(_))) => Err(Reason::DpopNotBound),
        (Scheme::Dpop, Some(cnf @ Confirmation::Jkt(_))) => {
            if !shown.presented.has_proof() {
                return Err(Reason::DpopMissing);
            }
            let proved = binding.prove(&shown.presented, Some(&shown.token), now)?;
            if proves(&proved, cnf) { Ok(proved) } else { Err(Reason::KeyMismatch) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jkt(key: &str) -> Confirmation {
        Confirmation::Jkt(key.to_owned())
    }

    fn x5t(certificate: &str) -> Confirmation {
        Confirmation::X5tS256(certificate.to_owned())
    }

    fn held(cnf: Confirmation, handed_on: bool) -> Held {
        Held { cnf, handed_on, refusal: Reason::SubjectKeyNotProved }
    }

    fn proved(key: Option<&str>, certificate: Option<&str>) -> Proved {
        Proved { jkt: key.map(str::to_owned), certificate: certificate.map(str::to_owned), burn: None }
    }

    #[test]
    fn what_a_client_registered_holds_whatever_the_request_brings() {
        let plain = ClientSettings::default();
        let dpop = ClientSettings { dpop_bound_access_tokens: true, ..ClientSettings::default() };
        let tls = ClientSettings { tls_client_certificate_bound_access_tokens: true, ..ClientSettings::default() };
        for (settings, key, certificate, expected) in [
            (&plain, None, None, Ok(None)),
            // A certificate that only authenticates binds nothing.
            (&plain, None, Some("c"), Ok(None)),
            (&plain, Some("k"), None, Ok(Some(jkt("k")))),
            (&plain, Some("k"), Some("c"), Ok(Some(jkt("k")))),
            (&dpop, None, None, Err(Reason::DpopRequired)),
            (&dpop, None, Some("c"), Err(Reason::DpopRequired)),
            (&dpop, Some("k"), None, Ok(Some(jkt("k")))),
            (&tls, None, None, Err(Reason::CertificateRequired)),
            (&tls, None, Some("c"), Ok(Some(x5t("c")))),
            (&tls, Some("k"), None, Err(Reason::DpopNotWanted)),
            (&tls, Some("k"), Some("c"), Err(Reason::DpopNotWanted)),
        ] {
            assert_eq!(
                confirm(settings, &proved(key, certificate), &[]),
                expected,
                "{settings:?} {key:?} {certificate:?}"
            );
        }
    }

    #[test]
    fn a_bound_token_needs_its_key_and_never_yields_an_unbound_one() {
        let plain = ClientSettings::default();
        let refused = || Err(Reason::SubjectKeyNotProved);
        for (cnf, key, certificate, expected) in [
            (jkt("k"), None, None, refused()),
            (jkt("k"), Some("other"), None, refused()),
            (jkt("k"), None, Some("k"), refused()),
            (jkt("k"), Some("k"), None, Ok(Some(jkt("k")))),
            (x5t("c"), None, None, refused()),
            (x5t("c"), Some("c"), None, refused()),
            (x5t("c"), None, Some("other"), refused()),
            (x5t("c"), None, Some("c"), Ok(Some(x5t("c")))),
            (x5t("c"), Some("k"), Some("c"), Ok(Some(jkt("k")))),
        ] {
            let about = format!("{cnf:?} {key:?} {certificate:?}");
            assert_eq!(confirm(&plain, &proved(key, certificate), &[held(cnf, false)]), expected, "{about}");
        }
    }

    #[test]
    fn a_bound_token_that_was_handed_on_is_bound_to_its_new_holder() {
        let plain = ClientSettings::default();
        for (key, certificate, expected) in [
            (None, None, Err(Reason::OwnKeyNotProved)),
            (Some("own"), None, Ok(Some(jkt("own")))),
            (None, Some("own"), Ok(Some(x5t("own")))),
        ] {
            assert_eq!(confirm(&plain, &proved(key, certificate), &[held(jkt("k"), true)]), expected);
        }
        // Each of the tokens of a request counts by itself.
        let both = [held(jkt("k"), true), held(jkt("actor"), false)];
        assert_eq!(confirm(&plain, &proved(Some("own"), None), &both), Err(Reason::SubjectKeyNotProved));
        assert_eq!(confirm(&plain, &proved(Some("actor"), None), &both), Ok(Some(jkt("actor"))));
    }
}
