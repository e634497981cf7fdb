//! What a token is for, and the `typ` that says so.
//!
//! RFC 8725 section 3.11 and 3.12: a token of one kind must never pass as
//! another. Most kinds have a `typ` of their own. ID tokens and client
//! assertions are also sent untyped or as `JWT`; between those two the claims
//! decide (`iss` = `sub` = the client, against `iss` = the provider).

/// A kind of JWT or JWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// RFC 9068.
    AccessToken,
    /// OpenID Connect Core section 2.
    IdToken,
    /// RFC 7523, also with the type of its successor draft.
    ClientAssertion,
    /// RFC 9449.
    DpopProof,
    /// Identity assertion authorization grant.
    IdJag,
    /// OAuth transaction token.
    TxnToken,
    /// RFC 8417.
    SecurityEvent,
    /// OAuth token status list.
    StatusList,
    /// RFC 9701.
    Introspection,
    /// The signed head of an audit chain, ours alone.
    AuditCheckpoint,
    /// That the beginning of an audit chain was pruned, ours alone.
    AuditPruning,
    /// That something was taken out of an audit record, ours alone.
    AuditRedaction,
}

impl TokenKind {
    /// How many kinds there are.
    pub const COUNT: usize = 12;

    /// Every kind.
    pub const ALL: [Self; Self::COUNT] = [
        Self::AccessToken,
        Self::IdToken,
        Self::ClientAssertion,
        Self::DpopProof,
        Self::IdJag,
        Self::TxnToken,
        Self::SecurityEvent,
        Self::StatusList,
        Self::Introspection,
        Self::AuditCheckpoint,
        Self::AuditPruning,
        Self::AuditRedaction,
    ];

    /// The `typ` we write into a token of this kind.
    pub const fn typ(self) -> &'static str {
        match self {
            Self::AccessToken => "at+jwt",
            Self::IdToken => "JWT",
            Self::ClientAssertion => "client-authentication+jwt",
            Self::DpopProof => "dpop+jwt",
            Self::IdJag => "oauth-id-jag+jwt",
            Self::TxnToken => "txntoken+jwt",
            Self::SecurityEvent => "secevent+jwt",
            Self::StatusList => "statuslist+jwt",
            Self::Introspection => "token-introspection+jwt",
            Self::AuditCheckpoint => "stipend-audit-checkpoint+jws",
            Self::AuditPruning => "stipend-audit-pruning+jws",
            Self::AuditRedaction => "stipend-audit-redaction+jws",
        }
    }

    /// Whether a token with this `typ` may be taken for this kind.
    pub fn permits(self, typ: Option<&str>) -> bool {
        match (self, typ) {
            (Self::IdToken | Self::ClientAssertion, None) => true,
            (_, None) => false,
            (Self::ClientAssertion, Some(typ)) => same_media_type(typ, "JWT") || same_media_type(typ, self.typ()),
            (_, Some(typ)) => same_media_type(typ, self.typ()),
        }
    }
}

/// RFC 7515 section 4.1.9: media types compare without case, and a value without
/// a `/` stands for `application/` and itself.
fn same_media_type(typ: &str, wanted: &str) -> bool {
    const PREFIX: &str = "application/";
    let short = match typ.split_at_checked(PREFIX.len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case(PREFIX) => rest,
        _ => typ,
    };
    short.eq_ignore_ascii_case(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_kind_passes_for_another_but_untyped_id_tokens_and_assertions() {
        for presented in TokenKind::ALL {
            for wanted in TokenKind::ALL {
                let expected =
                    presented == wanted || (presented == TokenKind::IdToken && wanted == TokenKind::ClientAssertion);
                let permitted = wanted.permits(Some(presented.typ()));
                assert_eq!(permitted, expected, "{presented:?} as {wanted:?}");
            }
        }
    }

    #[test]
    fn only_id_tokens_and_client_assertions_may_go_untyped() {
        for kind in TokenKind::ALL {
            let expected = matches!(kind, TokenKind::IdToken | TokenKind::ClientAssertion);
            assert_eq!(kind.permits(None), expected, "{kind:?}");
        }
    }

    #[test]
    fn typ_is_compared_as_a_media_type() {
        for typ in ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"] {
            assert!(TokenKind::AccessToken.permits(Some(typ)), "{typ}");
        }
        for typ in [
            "",
            " at+jwt",
            "at+jwt ",
            "at-jwt",
            "text/at+jwt",
            "application/",
            "JWT",
            "jwt",
            "application/application/at+jwt",
            "at+jwt; a=b",
            "ａt+jwt",
        ] {
            assert!(!TokenKind::AccessToken.permits(Some(typ)), "{typ}");
        }
        assert!(TokenKind::ClientAssertion.permits(Some("application/jwt")));
    }
}
