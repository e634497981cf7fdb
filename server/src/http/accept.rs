//! What a caller wants to be answered in (RFC 9110 section 12.5.1). Only media types that are
//! named in full count: a wildcard asks for nothing in particular.

use actix_web::http::header::{ACCEPT, HeaderMap};

/// Members of `Accept` that are looked at; what comes after is not wanted.
const MAX_MEMBERS: usize = 32;
/// Quality of a member that says none, in thousandths.
const FULL_QUALITY: u16 = 1000;

/// Whether `wanted` is named, and `other` is not preferred to it.
pub(super) fn prefers(headers: &HeaderMap, wanted: &str, other: &str) -> bool {
    let values = headers.get_all(ACCEPT).filter_map(|value| value.to_str().ok());
    let members: Vec<&str> = values.flat_map(|value| value.split(',')).take(MAX_MEMBERS).collect();
    let quality = |kind: &str| members.iter().filter_map(|member| quality_of(member, kind)).max().unwrap_or(0);
    quality(wanted) > 0 && quality(wanted) >= quality(other)
}

/// The quality of a member, if it names `kind`: `type/subtype;q=0.5`.
fn quality_of(member: &str, kind: &str) -> Option<u16> {
    let mut parts = member.split(';').map(str::trim);
    if !parts.next()?.eq_ignore_ascii_case(kind) {
        return None;
    }
    let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    weight.map_or(Some(FULL_QUALITY), thousandths)
}

/// `0`, `0.5`, `1.000`: at most three decimals (RFC 9110 section 12.4.2).
fn thousandths(weight: &str) -> Option<u16> {
    let (whole, decimals) = weight.split_once('.').unwrap_or((weight, ""));
    let digits = decimals.bytes().all(|byte| byte.is_ascii_digit());
    if decimals.len() > 3 || !digits {
        return None;
    }
    let part: u16 = format!("{decimals:0<3}").parse().ok()?;
    match whole {
        "0" => Some(part),
        "1" if part == 0 => Some(FULL_QUALITY),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderValue;

    fn wants(accept: &[&'static str]) -> bool {
        let mut headers = HeaderMap::new();
        for value in accept {
            headers.append(ACCEPT, HeaderValue::from_static(value));
        }
        prefers(&headers, "application/x+jwt", "application/json")
    }

    #[test]
    fn a_form_must_be_named_and_not_be_the_lesser_one() {
        for accept in [
            &["application/x+jwt"][..],
            &["application/json, application/x+jwt"],
            &["application/json;q=0.5, Application/X+JWT;q=0.5"],
            &["text/html", "application/x+jwt; q=0.001"],
        ] {
            assert!(wants(accept), "{accept:?}");
        }
        for accept in [
            &[][..],
            &["*/*"],
            &["application/*"],
            &["application/json"],
            &["application/x+jwt;q=0"],
            &["application/x+jwt;q=0.5, application/json"],
            &["application/x+jwt;q=2"],
            &["application/x+jwt;q=1.001"],
            &["application/x+jwt;q=0.0001"],
            &["application/x+jwt;q=-1"],
            &["application/x"],
        ] {
            assert!(!wants(accept), "{accept:?}");
        }
    }
}
