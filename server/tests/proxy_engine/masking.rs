//! The key does not come back, whatever the upstream echoes.

use crate::raw::{KEY, OK, Raw, chunk, collect, engine, next};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use stipend::proxy::{UpstreamFault, UsageStyle};

#[tokio::test]
async fn an_echo_of_the_request_has_stars_for_the_key() {
    let raw = Raw::bind().await;
    let pair = STANDARD.encode(format!("user:{KEY}"));
    let body =
        format!("{{\"headers\":{{\"x-api-key\":\"{KEY}\",\"authorization\":\"Basic {pair}\"}},\"tail\":\"sk-can\"}}");
    let said = format!("{OK}X-Echo: {KEY}\r\nX-Pair: Basic {pair}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let (answer, _, _peer) = raw.answer(&engine(), raw.call("GET"), said.as_bytes()).await;
    let mut answer = answer.unwrap();
    assert_eq!(answer.headers["x-echo"].as_bytes(), "*".repeat(KEY.len()).as_bytes());
    assert!(!format!("{:?}", answer.headers).contains(&pair[8..]));
    assert!(!answer.headers.contains_key("content-length"), "the body is looked into");
    let (got, fault) = collect(&mut answer).await;
    let got = String::from_utf8(got).unwrap();
    assert_eq!((fault, got.len()), (None, body.len()));
    assert!(!got.contains(KEY) && !got.contains(&pair[8..]), "{got}");
    assert!(got.starts_with("{\"headers\":{\"x-api-key\":\"****") && got.ends_with("\"tail\":\"sk-can\"}"), "{got}");
}

#[tokio::test]
async fn an_echo_byte_by_byte_has_stars_for_the_key() {
    let raw = Raw::bind().await;
    let head = format!("{OK}Transfer-Encoding: chunked\r\n\r\n");
    let (answer, _, mut peer) = raw.answer(&engine(), raw.call("GET"), head.as_bytes()).await;
    let mut answer = answer.unwrap();
    let text = format!("a {KEY} b {KEY}");
    let body: String = text.chars().map(|one| chunk(&one.to_string())).collect();
    peer.write(format!("{body}0\r\n\r\n")).await;
    let stars = "*".repeat(KEY.len());
    assert_eq!(collect(&mut answer).await, (format!("a {stars} b {stars}").into_bytes(), None));
}

#[tokio::test]
async fn what_is_held_back_when_the_upstream_breaks_off_is_not_given_out() {
    let raw = Raw::bind().await;
    let head = format!("{OK}Transfer-Encoding: chunked\r\n\r\n{}", chunk(&format!("a{}", &KEY[..KEY.len() - 1])));
    let (answer, _, peer) = raw.answer(&engine(), raw.call("GET"), head.as_bytes()).await;
    let mut answer = answer.unwrap();
    assert_eq!(next(&mut answer).await.unwrap().unwrap(), "a");
    drop(peer);
    assert_eq!(collect(&mut answer).await, (Vec::new(), Some(UpstreamFault::Closed)));
}

#[tokio::test]
async fn what_is_compressed_can_not_be_looked_into_and_is_refused() {
    let raw = Raw::bind().await;
    for coding in [
        "Content-Encoding: gzip",
        "Content-Encoding: br\r\nContent-Encoding: identity",
        "Transfer-Encoding: gzip, chunked",
    ] {
        let said = format!("{OK}{coding}\r\nContent-Type: text/plain\r\n\r\n");
        let (answer, _, mut peer) = raw.answer(&engine(), raw.call("GET"), said.as_bytes()).await;
        assert_eq!(answer.unwrap_err(), UpstreamFault::Encoded, "{coding}");
        assert!(peer.closed().await);
    }
    let said = format!("{OK}Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x7fz");
    let mut call = raw.call("GET");
    call.mask.clear();
    call.usage = Some(UsageStyle::Openai);
    let (answer, _, _peer) = raw.answer(&engine(), call, said.as_bytes()).await;
    assert_eq!(answer.unwrap_err(), UpstreamFault::Encoded);
    let mut call = raw.call("GET");
    call.mask.clear();
    let (answer, _, _peer) = raw.answer(&engine(), call, said.as_bytes()).await;
    let mut answer = answer.unwrap();
    assert_eq!(
        (&answer.headers["content-encoding"], &answer.headers["content-length"]),
        (&"gzip".parse().unwrap(), &"3".parse().unwrap())
    );
    assert_eq!(collect(&mut answer).await, (b"\x1f\x7fz".to_vec(), None), "where nobody looks into it");
}
