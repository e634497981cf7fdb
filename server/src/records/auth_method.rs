//! How a client authenticates: one method each, registered.

use serde::{Deserialize, Serialize};

/// RFC 7591 section 2, `token_endpoint_auth_method`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuthMethod {
    ClientSecretBasic,
    ClientSecretPost,
    PrivateKeyJwt,
    /// A certificate of a named authority, for a registered subject (RFC 8705 section 2.1).
    TlsClientAuth,
    /// A registered certificate (RFC 8705 section 2.2).
    SelfSignedTlsClientAuth,
    /// An assertion of a trusted issuer that the client runs at. The name is ours: RFC 7523 has
    /// one for clients that sign for themselves alone.
    FederatedJwt,
    /// A JWT-SVID (draft-ietf-oauth-spiffe-client-auth).
    SpiffeJwt,
    /// An X.509-SVID.
    #[serde(rename = "spiffe_x509")]
    SpiffeX509,
}

/// What is kept here of a client, for it to authenticate with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CredentialKind {
    Secret,
    Key,
    /// A key with its certificate.
    Certificate,
    /// Nothing: others vouch for it.
    Nothing,
}

impl AuthMethod {
    pub const ALL: [Self; 8] = [
        Self::ClientSecretBasic,
        Self::ClientSecretPost,
        Self::PrivateKeyJwt,
        Self::TlsClientAuth,
        Self::SelfSignedTlsClientAuth,
        Self::FederatedJwt,
        Self::SpiffeJwt,
        Self::SpiffeX509,
    ];

    /// Its registered name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
            Self::PrivateKeyJwt => "private_key_jwt",
            Self::TlsClientAuth => "tls_client_auth",
            Self::SelfSignedTlsClientAuth => "self_signed_tls_client_auth",
            Self::FederatedJwt => "federated_jwt",
            Self::SpiffeJwt => "spiffe_jwt",
            Self::SpiffeX509 => "spiffe_x509",
        }
    }

    #[must_use]
    pub const fn credential(self) -> CredentialKind {
        match self {
            Self::ClientSecretBasic | Self::ClientSecretPost => CredentialKind::Secret,
            Self::PrivateKeyJwt => CredentialKind::Key,
            Self::SelfSignedTlsClientAuth => CredentialKind::Certificate,
            Self::TlsClientAuth | Self::FederatedJwt | Self::SpiffeJwt | Self::SpiffeX509 => CredentialKind::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_the_one_on_the_wire() {
        for method in AuthMethod::ALL {
            assert_eq!(serde_json::to_value(method).unwrap(), method.as_str());
        }
    }
}
