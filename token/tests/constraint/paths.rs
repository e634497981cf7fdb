//! Hostile paths, and what every other reader would make of those that pass.

use proptest::prelude::*;
use stipend_token::constraint::PathError::{
    Character, Control, Delimiter, DotSegment, DoubleEncoding, EmptySegment, Lookalike, NotAbsolute, NotUtf8,
    Parameter, Percent, SegmentEnd, TooLong,
};
use stipend_token::constraint::{CanonicalPath, MAX_PATH_BYTES, MAX_SEGMENTS, PathError, split_query};

const HOSTILE: &[(&str, PathError)] = &[
    ("", NotAbsolute),
    ("charges", NotAbsolute),
    ("*", NotAbsolute),
    ("./charges", NotAbsolute),
    ("../charges", NotAbsolute),
    ("https://api.example/charges", NotAbsolute),
    ("%2fcharges", NotAbsolute),
    ("\\charges", NotAbsolute),
    (" /charges", NotAbsolute),
    ("//charges", EmptySegment),
    ("//evil.example/charges", EmptySegment),
    ("/charges//1", EmptySegment),
    ("/charges/1//", EmptySegment),
    ("//", EmptySegment),
    ("///", EmptySegment),
    ("/.", DotSegment),
    ("/..", DotSegment),
    ("/charges/..", DotSegment),
    ("/charges/../refunds", DotSegment),
    ("/charges/./1", DotSegment),
    ("/charges/%2e%2e/refunds", DotSegment),
    ("/charges/%2E%2E/refunds", DotSegment),
    ("/charges/.%2e/refunds", DotSegment),
    ("/charges/%2e./refunds", DotSegment),
    ("/charges/%2e/1", DotSegment),
    ("/charges/...", SegmentEnd),
    ("/charges/..../refunds", SegmentEnd),
    ("/charges.", SegmentEnd),
    ("/charges./1", SegmentEnd),
    ("/charges%2e/1", SegmentEnd),
    ("/charges/..%20/refunds", SegmentEnd),
    ("/charges%20/1", SegmentEnd),
    ("/charges/..%c2%a0/refunds", SegmentEnd),
    ("/charges/..%e3%80%80/refunds", SegmentEnd),
    ("/charges/..;/refunds", Parameter),
    ("/charges;jsessionid=1/1", Parameter),
    ("/charges/;/../refunds", Parameter),
    ("/charges%3b/1", Parameter),
    ("/charges/..%3Bx/refunds", Parameter),
    ("/charges%2f1", Delimiter),
    ("/charges%2F..%2Frefunds", Delimiter),
    ("/charges/..%2frefunds", Delimiter),
    ("/charges%5c..%5crefunds", Delimiter),
    ("/charges%5C1", Delimiter),
    ("/charges\\..\\refunds", Delimiter),
    ("/\\evil.example", Delimiter),
    ("/charges%3f/../refunds", Delimiter),
    ("/charges%3Fx=1", Delimiter),
    ("/charges%23/1", Delimiter),
    ("/charges?x=1", Character),
    ("/charges#x", Character),
    ("/charges 1", Character),
    ("/charges\u{a0}1", Character),
    ("/chargés", Character),
    ("/charges/\u{ff0e}\u{ff0e}/x", Character),
    ("/charges/<1>", Character),
    ("/charges/\"1\"", Character),
    ("/charges/{id}", Character),
    ("/charges/[1]", Character),
    ("/charges/a|b", Character),
    ("/charges/a^b", Character),
    ("/charges/`id`", Character),
    ("/charges%", Percent),
    ("/charges%2", Percent),
    ("/charges%zz", Percent),
    ("/charges/%u002e%u002e/x", Percent),
    ("/charges/%%32%65/x", Percent),
    ("/charges/%2%65", Percent),
    ("/charges/%+2e", Percent),
    ("/charges/% 2e", Percent),
    ("/charges/%252e%252e/refunds", DoubleEncoding),
    ("/charges%252frefunds", DoubleEncoding),
    ("/charges/%25252e", DoubleEncoding),
    ("/charges/100%25", DoubleEncoding),
    ("/charges/%2541", DoubleEncoding),
    ("/charges%00", Control),
    ("/charges%00.json", Control),
    ("/charges/%0d%0aHost:evil", Control),
    ("/charges/%09", Control),
    ("/charges/%7f", Control),
    ("/charges/%1b", Control),
    ("/charges/%c2%85", Control),
    ("/charges\t1", Control),
    ("/charges\r\nX: 1", Control),
    ("/charges\0", Control),
    ("/charges\u{7f}", Control),
    ("/charges/%c0%ae%c0%ae/x", NotUtf8),
    ("/charges%c0%af1", NotUtf8),
    ("/charges/%e0%80%af", NotUtf8),
    ("/charges/%ff", NotUtf8),
    ("/charges/%c3", NotUtf8),
    ("/charges/%ed%a0%80", NotUtf8),
    ("/charges/%f8%80%80%80%ae", NotUtf8),
    ("/charges%c3/%a9", NotUtf8),
    ("/charges/%ef%bc%8e%ef%bc%8e/x", Lookalike),
    ("/charges/%e2%80%a5/x", Lookalike),
    ("/charges%ef%bc%8f1", Lookalike),
    ("/charges%e2%88%951", Lookalike),
    ("/charges%e2%81%841", Lookalike),
    ("/charges%ef%bc%bc1", Lookalike),
    ("/charges%ef%bc%9bx", Lookalike),
    ("/charges%cd%bex", Lookalike),
    ("/charges%c2%a5x", Lookalike),
    ("/charges/.%e2%80%8b.%e2%80%8b", Lookalike),
    ("/charges/.%c2%ad.x", Lookalike),
    ("/%ef%bb%bfcharges", Lookalike),
    ("/charges%ef%bc%852e", Lookalike),
];

#[test]
fn a_hostile_path_is_refused_and_not_repaired() {
    assert!(HOSTILE.len() >= 60);
    for (path, error) in HOSTILE {
        assert_eq!(CanonicalPath::parse(path), Err(*error), "{path:?}");
    }
}

#[test]
fn only_needless_encoding_is_taken_away() {
    let cases = [
        ("/", "/"),
        ("/charges", "/charges"),
        ("/charges/", "/charges/"),
        ("/%63harges", "/charges"),
        ("/%43harges", "/Charges"),
        ("/charges/%7e%2D%5f%2ex", "/charges/~-_.x"),
        ("/charges/a%2eb", "/charges/a.b"),
        ("/charges/..x", "/charges/..x"),
        ("/charges/.well-known", "/charges/.well-known"),
        ("/charges/a%20b", "/charges/a%20b"),
        ("/charges/%c3%a9", "/charges/%C3%A9"),
        ("/charges/%3a", "/charges/%3A"),
        ("/v1/models/x:predict", "/v1/models/x:predict"),
        ("/a!$&'()*+,=:@b", "/a!$&'()*+,=:@b"),
        ("/charges/%5B1%5d", "/charges/%5B1%5D"),
        ("/charges/%f0%9f%8d%bb", "/charges/%F0%9F%8D%BB"),
    ];
    for (raw, canonical) in cases {
        assert_eq!(CanonicalPath::parse(raw).unwrap().as_str(), canonical, "{raw}");
    }
}

#[test]
fn a_path_is_bounded() {
    let long = |bytes: usize| format!("/{}", "a".repeat(bytes - 1));
    assert!(CanonicalPath::parse(&long(MAX_PATH_BYTES)).is_ok());
    assert_eq!(CanonicalPath::parse(&long(MAX_PATH_BYTES + 1)), Err(TooLong));
    assert!(CanonicalPath::parse(&"/a".repeat(MAX_SEGMENTS)).is_ok());
    assert_eq!(CanonicalPath::parse(&"/a".repeat(MAX_SEGMENTS + 1)), Err(TooLong));
}

#[test]
fn the_query_begins_at_the_first_question_mark() {
    assert_eq!(split_query("/a"), ("/a", None));
    assert_eq!(split_query("/a?"), ("/a", Some("")));
    assert_eq!(split_query("/a?b=/../?c"), ("/a", Some("b=/../?c")));
}

/// Paths of an attacker: fine ones with a piece or two put in somewhere, and plain noise.
fn hostile_text() -> impl Strategy<Value = String> {
    let fine = ["/", "/", "/", "a", "charges", "1", "2e", "41", "2f", "x", "%41", "%c3%a9", ":", "%20x"];
    let hostile = [
        "/",
        "//",
        ".",
        "..",
        "/../",
        "%2e",
        "%2E",
        "%2f",
        "%5c",
        "\\",
        ";",
        "%3b",
        "%25",
        "%2525",
        "%",
        "%00",
        "?",
        "#",
        "%3f",
        "%23",
        "%20",
        "+",
        "%c0%ae",
        "%e2%80%a5",
        "%ef%bc%8f",
        "@",
        "~",
        "%2",
        "%3a",
        "é",
        " ",
        "%c2%a0",
    ];
    let fine = prop::collection::vec(prop::sample::select(fine.to_vec()), 0..8);
    let hostile = prop::collection::vec((prop::sample::select(hostile.to_vec()), any::<prop::sample::Index>()), 0..3);
    let made = (fine, hostile).prop_map(|(mut pieces, hostile)| {
        for (piece, place) in hostile {
            pieces.insert(place.index(pieces.len() + 1), piece);
        }
        format!("/{}", pieces.concat())
    });
    prop_oneof![8 => made, 1 => "/?[ -~]{0,12}", 1 => "/\\PC{0,8}"]
}

fn decode(text: &[u8]) -> Vec<u8> {
    let hex = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let mut out = Vec::new();
    let mut place = 0;
    while place < text.len() {
        match (text[place], hex(text.get(place + 1)), hex(text.get(place + 2))) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                place += 3;
            }
            (byte, ..) => {
                out.push(byte);
                place += 1;
            }
        }
    }
    out
}

/// A reader that decodes so many times and then does all that any server was seen to do: cuts at
/// NUL, `?` and `#`, takes a backslash for a slash, drops parameters, dots and spaces at the end
/// of a segment, empty segments, and steps back at `..`.
fn lax(path: &str, times: usize) -> Vec<Vec<u8>> {
    let mut bytes = path.as_bytes().to_vec();
    for _ in 0..times {
        bytes = decode(&bytes);
    }
    let end = bytes.iter().position(|byte| matches!(byte, 0 | b'?' | b'#')).unwrap_or(bytes.len());
    let mut segments: Vec<Vec<u8>> = Vec::new();
    for segment in bytes[..end].split(|byte| matches!(byte, b'/' | b'\\')) {
        let segment = segment.split(|byte| *byte == b';').next().unwrap();
        let kept = segment.iter().rposition(|byte| !matches!(byte, b' ' | b'\t')).map_or(0, |place| place + 1);
        match &segment[..kept] {
            b".." => drop(segments.pop()),
            other => {
                let kept = other.iter().rposition(|byte| *byte != b'.').map_or(0, |place| place + 1);
                if kept > 0 {
                    segments.push(other[..kept].to_vec());
                }
            }
        }
    }
    segments
}

/// A reader that takes the text as it stands; of a slash at the end it makes no segment.
fn strict(path: &str) -> Vec<Vec<u8>> {
    let path = path.strip_prefix('/').unwrap();
    let path = path.strip_suffix('/').unwrap_or(path);
    path.split('/').filter(|_| !path.is_empty()).map(|segment| decode(segment.as_bytes())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn the_canonical_form_of_a_canonical_form_is_itself(text in hostile_text()) {
        if let Ok(once) = CanonicalPath::parse(&text) {
            prop_assert_eq!(CanonicalPath::parse(once.as_str()).unwrap(), once);
        }
    }

    #[test]
    fn every_reader_sees_the_same_segments(text in hostile_text()) {
        if let Ok(path) = CanonicalPath::parse(&text) {
            let read = strict(path.as_str());
            for times in 0..4 {
                let other: Vec<_> = lax(path.as_str(), times).iter().map(|segment| decode(segment)).collect();
                prop_assert_eq!(&other, &read, "decoded {} times", times);
                let raw: Vec<_> = lax(&text, times).iter().map(|segment| decode(segment)).collect();
                prop_assert_eq!(&raw, &read, "the text that came in, decoded {} times", times);
            }
        }
    }

    #[test]
    fn the_parser_of_urls_leaves_it_as_it_is(text in hostile_text()) {
        if let Ok(path) = CanonicalPath::parse(&text) {
            let url = url::Url::parse(&format!("https://api.example{path}")).unwrap();
            prop_assert_eq!((url.path(), url.query(), url.fragment()), (path.as_str(), None, None));
            prop_assert_eq!(url.host_str(), Some("api.example"));
        }
    }

    #[test]
    fn enough_paths_pass(text in "(/[a-z0-9_~-]{1,8}){1,5}/?") {
        prop_assert_eq!(CanonicalPath::parse(&text).unwrap().as_str().to_owned(), text);
    }
}
