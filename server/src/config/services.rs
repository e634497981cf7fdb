//! What a node serves: a deployment may keep its issuer and its key-release service apart.

use super::source::Source;

/// What a node serves; the admin API and the health checks always.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Services {
    pub issuer: bool,
    pub release: bool,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Service {
    Issuer,
    Release,
}

impl Services {
    pub(super) fn read(source: &mut Source) -> Self {
        let named = source.list("STIPEND_SERVE", "issuer or release", |text| match text {
            "issuer" => Some(Service::Issuer),
            "release" => Some(Service::Release),
            _ => None,
        });
        if named.is_empty() {
            source.fault("STIPEND_SERVE: name issuer, release or both".to_owned());
        }
        Self { issuer: named.contains(&Service::Issuer), release: named.contains(&Service::Release) }
    }
}
