//! Which grants there are, and which one a request asks for.

use crate::form::Params;
use crate::reason::Reason;

pub const CLIENT_CREDENTIALS: &str = "client_credentials";
pub const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// RFC 7523 section 2.1.
pub const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// OpenID CIBA Core section 4: fetching what people have approved.
pub const CIBA: &str = "urn:openid:params:grant-type:ciba";

/// Every grant there is.
pub const GRANT_TYPES: [&str; 4] = [CLIENT_CREDENTIALS, TOKEN_EXCHANGE, JWT_BEARER, CIBA];

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum GrantType {
    ClientCredentials,
    TokenExchange,
    JwtBearer,
    Ciba,
}

impl GrantType {
    pub fn of(params: &Params) -> Result<Self, Reason> {
        match params.one("grant_type") {
            Some(CLIENT_CREDENTIALS) => Ok(Self::ClientCredentials),
            Some(TOKEN_EXCHANGE) => Ok(Self::TokenExchange),
            Some(JWT_BEARER) => Ok(Self::JwtBearer),
            Some(CIBA) => Ok(Self::Ciba),
            Some(_) => Err(Reason::UnsupportedGrantType),
            None => Err(Reason::MissingGrantType),
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientCredentials => CLIENT_CREDENTIALS,
            Self::TokenExchange => TOKEN_EXCHANGE,
            Self::JwtBearer => JWT_BEARER,
            Self::Ciba => CIBA,
        }
    }

    /// In one word, for whoever measures.
    pub fn word(self) -> &'static str {
        match self {
            Self::ClientCredentials => "client_credentials",
            Self::TokenExchange => "token_exchange",
            Self::JwtBearer => "jwt_bearer",
            Self::Ciba => "ciba",
        }
    }
}
