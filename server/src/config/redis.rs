//! Where Redis is. It may be absent.

use super::Source;
use crate::redis::RedisConfig;
use stipend_keys::Secret;
use url::Url;

pub(super) fn read(source: &mut Source) -> Option<RedisConfig> {
    let ca = source.path("STIPEND_REDIS_CA_FILE");
    let Some(url) = source.secret("STIPEND_REDIS_URL") else {
        if ca.is_some() {
            source.fault("STIPEND_REDIS_CA_FILE goes with STIPEND_REDIS_URL".to_owned());
        }
        return None;
    };
    if let Err(fault) = check(&url, ca.is_some()) {
        source.fault(format!("STIPEND_REDIS_URL: {fault}"));
    }
    Some(RedisConfig { url, ca })
}

/// The URL itself is in no fault: it may hold a password.
fn check(url: &Secret<String>, has_ca: bool) -> Result<(), &'static str> {
    const EXPECTED: &str = "expected redis://[user:password@]host[:port][/database], or rediss:// for TLS";
    let url = Url::parse(url.expose()).map_err(|_| EXPECTED)?;
    if !matches!(url.scheme(), "redis" | "rediss") || !url.has_host() {
        return Err(EXPECTED);
    }
    // The client library's own words would switch the verification of certificates off.
    if url.fragment().is_some() || url.query().is_some() {
        return Err("leave out what follows a ? or a #");
    }
    let database = url.path().trim_start_matches('/');
    if !database.is_empty() && database.parse::<u16>().is_err() {
        return Err("the database is a number");
    }
    if has_ca && url.scheme() != "rediss" {
        return Err("STIPEND_REDIS_CA_FILE goes with rediss://");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_for_what_it_says_or_refused_without_being_shown() {
        let read = |url: &str, has_ca| check(&Secret::new(url.to_owned()), has_ca);
        for url in ["redis://h", "redis://:pw@h:1/3", "rediss://u:pw@h", "redis://[::1]:1/"] {
            assert_eq!(read(url, false), Ok(()), "{url}");
        }
        for url in
            ["h:1", "http://h", "redis://", "redis+unix:///x", "rediss://h/#insecure", "redis://h/x", "redis://h?a=b"]
        {
            assert!(read(url, false).is_err(), "{url}");
        }
        assert!(read("redis://h", true).is_err() && read("rediss://h", true).is_ok());
    }
}
