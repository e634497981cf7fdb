//! W3C Trace Context: what a request says of the trace that it is part of. Strangers write these
//! headers: what is malformed, doubled or too long is as if it were not there, and nothing of it
//! is ever an error.

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};
use std::str::FromStr;

/// Longest `traceparent` that is read: versions to come may append to it.
pub const MAX_TRACEPARENT_BYTES: usize = 256;
/// Longest `tracestate`, all its lines together (W3C Trace Context section 3.3.1.5).
pub const MAX_TRACESTATE_BYTES: usize = 512;
/// Most members of one (section 3.3.1.1).
pub const MAX_TRACESTATE_MEMBERS: usize = 32;
/// Length of what every version begins with.
const PARENT_BYTES: usize = 55;

/// The caller's span, where the headers name one. `parents` and `states` are the lines of the two
/// headers.
pub fn incoming<'a>(
    mut parents: impl Iterator<Item = &'a [u8]>,
    states: impl Iterator<Item = &'a [u8]>,
) -> Option<SpanContext> {
    // Section 3.2: it appears once. Of two, neither can be told to be right.
    let (first, second) = (parents.next()?, parents.next());
    let first = std::str::from_utf8(first).ok().filter(|_| second.is_none())?;
    let (trace_id, span_id, sampled) = parent(first)?;
    let flags = if sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
    Some(SpanContext::new(trace_id, span_id, flags, true, state(states).unwrap_or_default()))
}

fn parent(text: &str) -> Option<(TraceId, SpanId, bool)> {
    let bytes = text.as_bytes();
    if bytes.len() > MAX_TRACEPARENT_BYTES {
        return None;
    }
    let mut fields = text.get(..PARENT_BYTES)?.split('-');
    let mut field = |digits: usize| {
        fields.next().filter(|text| {
            text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
        })
    };
    let (version, trace_id, span_id, flags) = (field(2)?, field(32)?, field(16)?, field(2)?);
    // Section 3.2.2: ff is no version, 00 ends here, and a later one goes on with a dash.
    match (version, bytes.get(PARENT_BYTES)) {
        ("ff", _) | ("00", Some(_)) => return None,
        (_, Some(next)) if *next != b'-' => return None,
        _ => {}
    }
    let trace_id = TraceId::from_hex(trace_id).ok().filter(|id| *id != TraceId::INVALID)?;
    let span_id = SpanId::from_hex(span_id).ok().filter(|id| *id != SpanId::INVALID)?;
    let flags = u8::from_str_radix(flags, 16).ok()?;
    Some((trace_id, span_id, flags & 1 == 1))
}

/// Section 3.3: several lines are one list. A list that is not well formed is dropped whole.
fn state<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Option<TraceState> {
    let mut list = String::new();
    let mut keys: Vec<String> = Vec::new();
    for line in lines {
        let line = std::str::from_utf8(line).ok()?;
        if list.len().saturating_add(line.len()) > MAX_TRACESTATE_BYTES {
            return None;
        }
        for member in line.split(',').map(|member| member.trim_matches([' ', '\t'])).filter(|member| !member.is_empty())
        {
            let (key, value) = member.split_once('=')?;
            let known = keys.iter().any(|known| known == key);
            if known || keys.len() >= MAX_TRACESTATE_MEMBERS || !is_key(key) || !is_value(value) {
                return None;
            }
            keys.push(key.to_owned());
            if !list.is_empty() {
                list.push(',');
            }
            list.push_str(member);
        }
    }
    TraceState::from_str(&list).ok()
}

fn is_key(key: &str) -> bool {
    let part = |text: &str, longest: usize, digit_first: bool| {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-*/".contains(&byte);
        let first =
            text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase() || (digit_first && byte.is_ascii_digit()));
        first && text.len() <= longest && text.bytes().all(allowed)
    };
    match key.split_once('@') {
        Some((tenant, system)) => part(tenant, 241, true) && part(system, 14, false),
        None => part(key, 256, false),
    }
}

fn is_value(value: &str) -> bool {
    let printable = |byte: u8| (0x20..=0x7e).contains(&byte) && byte != b',' && byte != b'=';
    !value.is_empty() && value.len() <= 256 && !value.ends_with(' ') && value.bytes().all(printable)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn read(parents: &[&str], states: &[&str]) -> Option<SpanContext> {
        incoming(parents.iter().map(|line| line.as_bytes()), states.iter().map(|line| line.as_bytes()))
    }

    #[test]
    fn a_parent_is_read_or_ignored() {
        let context = read(&[GOOD], &[]).unwrap();
        assert_eq!(context.trace_id().to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(context.span_id().to_string(), "b7ad6b7169203331");
        assert!(context.is_sampled() && context.is_remote());
        assert!(!read(&[&GOOD.replace("-01", "-00")], &[]).unwrap().is_sampled());
        assert!(!read(&[&GOOD.replace("-01", "-fe")], &[]).unwrap().is_sampled(), "the lowest bit alone");
        assert!(read(&[&GOOD.replace("00-0a", "cc-0a")], &[]).is_some(), "a version to come");
        assert!(read(&[&format!("{}-more", GOOD.replace("00-0a", "cc-0a"))], &[]).is_some());
        let long = format!("{}-{}", GOOD.replace("00-0a", "cc-0a"), "x".repeat(300));
        for bad in [
            "",
            "00",
            &GOOD.replace("00-0a", "ff-0a"),
            &format!("{GOOD}-more"),
            &format!("{}.more", GOOD.replace("00-0a", "cc-0a")),
            &GOOD.to_uppercase(),
            &GOOD.replace("0af7651916cd43dd8448eb211c80319c", "00000000000000000000000000000000"),
            &GOOD.replace("b7ad6b7169203331", "0000000000000000"),
            &GOOD.replace('b', "g"),
            &GOOD.replace('-', "_"),
            &GOOD[1..],
            &GOOD.replace("-01", "-1 "),
            &GOOD.replace("af", "é"),
            &long,
        ] {
            assert_eq!(read(&[bad], &[]), None, "{bad}");
        }
        assert_eq!(read(&[GOOD, GOOD], &[]), None, "twice");
        assert_eq!(incoming([b"\xff\xfe".as_slice()].into_iter(), std::iter::empty()), None);
    }

    #[test]
    fn a_state_is_taken_whole_or_not_at_all_and_never_costs_the_parent() {
        let of = |states: &[&str]| read(&[GOOD], states).unwrap().trace_state().header();
        assert_eq!(of(&["a=1, b@c=2 ,,"]), "a=1,b@c=2");
        assert_eq!(of(&["a=1", "b=2"]), "a=1,b=2");
        let many: Vec<String> = (0..33).map(|n| format!("k{n}=v")).collect();
        let long = format!("a={}", "v".repeat(256));
        for bad in ["a", "a=", "A=1", "a=1,a=2", "1=2", "a=b=c", "a=\u{7f}", &many.join(","), &format!("{long}v")] {
            assert_eq!(of(&[bad]), "", "{bad}");
        }
        assert_eq!(of(&[&long, &long.replace("a=", "b=")]), "", "more than 512 bytes");
    }
}
