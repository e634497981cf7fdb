use super::*;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use proptest::prelude::*;

fn mask(secrets: &[&str]) -> Mask {
    Mask::new(&secrets.iter().map(|secret| Secret::new((*secret).to_owned())).collect::<Vec<_>>())
}

/// Through the mask in pieces of these lengths, over and over.
fn masked(mask: &Mask, body: &[u8], lengths: &[usize]) -> Vec<u8> {
    let mut through = mask.body();
    let mut out = Vec::new();
    let mut rest = body;
    for length in lengths.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (chunk, after) = rest.split_at((*length).clamp(1, rest.len()));
        out.extend_from_slice(&through.push(Bytes::copy_from_slice(chunk)));
        rest = after;
    }
    out.extend_from_slice(&through.finish());
    out
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(bytes, part).is_some()
}

const KEY: &str = "sk-Canary/42+x?\"\\&=";

#[test]
fn every_form_of_the_key_is_masked_across_every_cut() {
    let pair = format!("Basic {}", STANDARD.encode(format!("user:{KEY}")));
    let json = serde_json::to_string(KEY).unwrap();
    let percent = "sk-Canary%2F42%2Bx%3F%22%5C%26%3D";
    let echoes = [
        KEY.to_owned(),
        STANDARD.encode(KEY),
        URL_SAFE.encode(KEY),
        STANDARD.encode(format!("a{KEY}")),
        STANDARD.encode(format!("ab{KEY}cd")),
        pair,
        percent.to_owned(),
        "sk-Canary%2f42%2bx%3f%22%5c%26%3d".to_owned(),
        json.clone(),
        json.replace('/', "\\/"),
    ];
    for echo in &echoes {
        let body = format!("data: {{\"a\": \"{echo}\"}}\n\n");
        for at in 1..body.len() {
            let out = masked(&mask(&[KEY]), body.as_bytes(), &[at, body.len()]);
            assert_eq!(out.len(), body.len());
            assert!(out.starts_with(b"data: {\"a\": \"") && out.ends_with(b"\"}\n\n"));
            let stars = out.iter().filter(|byte| **byte == STAR).count();
            assert!(stars >= KEY.len(), "{echo} cut at {at}: {}", String::from_utf8_lossy(&out));
        }
    }
}

#[test]
fn an_event_without_a_beginning_of_the_key_goes_on_at_once() {
    let mut body = mask(&["sk-canary-key"]).body();
    let event = Bytes::from_static(b"data: {\"delta\":\"hello\"}\n\n");
    assert_eq!(body.push(event.clone()), event);
    assert_eq!(body.push(Bytes::from_static(b"tell me sk-can")), "tell me ");
    assert_eq!(body.push(Bytes::from_static(b"dy")), "sk-candy");
    assert_eq!(body.push(Bytes::from_static(b"sk-canary-ke")), "");
    assert_eq!(body.finish(), "sk-canary-ke", "what never became the key is no secret");
    assert_eq!(body.finish(), "");
}

#[test]
fn overlapping_forms_and_secrets_are_covered_whole() {
    let both = mask(&["abcdefgh", "efghijkl", "aaaaaaaa"]);
    for lengths in [&[1][..], &[3], &[5, 1], &[100]] {
        assert_eq!(masked(&both, b"xabcdefghijklx", lengths), b"x************x");
        assert_eq!(masked(&both, b"aaaaaaaaaaaab", lengths), b"************b");
        assert_eq!(masked(&both, b"aaaaaaabcdefg", lengths), b"aaaaaaabcdefg");
        assert_eq!(masked(&both, b"aaaaaaabcdefgh", lengths), b"aaaaaa********");
    }
}

#[test]
fn a_short_secret_is_masked_in_headers_alone() {
    let short = mask(&["abc", ""]);
    assert!(short.is_empty() && mask(&[]).is_empty() && !mask(&["abcdefgh"]).is_empty());
    assert_eq!(masked(&short, b"the abc of it", &[2]), b"the abc of it");
    let mut headers = HeaderMap::new();
    headers.insert("x-echo", HeaderValue::from_static("1abc2"));
    assert_eq!(short.headers(headers)["x-echo"], "1***2");
}

#[test]
fn headers_are_masked_and_a_name_that_tells_goes() {
    let key = mask(&["Sk-Canary-Key"]);
    let mut headers = HeaderMap::new();
    headers.append("x-echo", HeaderValue::from_static("Bearer Sk-Canary-Key, Sk-Canary-Key"));
    headers.append("x-echo", HeaderValue::from_str(&STANDARD.encode("u:Sk-Canary-Key")).unwrap());
    headers.append("x-sk-canary-key", HeaderValue::from_static("1"));
    headers.append("x-raw", HeaderValue::from_bytes(b"\xffSk-Canary-Key\xff").unwrap());
    let masked = key.headers(headers);
    let values: Vec<_> = masked.get_all("x-echo").iter().collect();
    assert_eq!(values[0], "Bearer *************, *************");
    assert!(values[1].to_str().unwrap().contains("***************"), "{values:?}");
    assert_eq!(masked["x-raw"].as_bytes(), b"\xff*************\xff");
    assert!(!masked.contains_key("x-sk-canary-key"));
}

proptest! {
    #[test]
    fn a_planted_key_never_comes_out_and_nothing_else_changes(
        key in "[ab/+]{8,16}",
        parts in proptest::collection::vec("[ab/+%*=]{0,12}", 1..6),
        lengths in proptest::collection::vec(1usize..20, 1..8),
    ) {
        let body = parts.join(&key);
        let out = masked(&mask(&[&key]), body.as_bytes(), &lengths);
        prop_assert!(!contains(&out, key.as_bytes()));
        prop_assert_eq!(out.len(), body.len());
        // A model that looks at the whole: each byte that some form covers is a star, no other.
        let mut model = body.clone().into_bytes();
        for form in forms::forms(&key) {
            for start in 0..body.len() {
                if body.as_bytes()[start..].starts_with(&form) {
                    model[start..start + form.len()].fill(STAR);
                }
            }
        }
        prop_assert_eq!(out, model);
    }

    #[test]
    fn no_more_is_held_back_than_a_form_less_one_byte(
        key in "[ab]{8,12}",
        chunks in proptest::collection::vec("[abc]{0,9}", 1..12),
    ) {
        let mask = mask(&[&key]);
        let most = forms::forms(&key).iter().map(Vec::len).max().unwrap() - 1;
        let mut body = mask.body();
        let (mut sent, mut got) = (0, 0);
        for chunk in chunks {
            sent += chunk.len();
            got += body.push(Bytes::from(chunk)).len();
            prop_assert!(sent - got <= most);
        }
        prop_assert_eq!(got + body.finish().len(), sent);
    }
}
