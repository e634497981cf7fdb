//! Upstreams that lie, hang, break off or speak something else: a typed fault each time.

use crate::raw::{KEY, OK, PATIENCE, Raw, SHORT, chunk, collect, config, engine, timeouts, within};
use rstest::rstest;
use std::collections::BTreeSet;
use std::time::Duration;
use stipend::proxy::{End, Forward, UpstreamConfig, UpstreamFault, Upstreams};
use stipend_token::constraint::Method;

/// Answers, closes, and tells how the call ended: in the head or in the body.
async fn ended(said: &[u8]) -> (Option<UpstreamFault>, Vec<u8>) {
    let raw = Raw::bind().await;
    let engine = engine();
    let (answer, ()) = tokio::join!(within(engine.forward(raw.call("GET"))), async {
        let mut peer = raw.accept().await;
        peer.head().await;
        peer.write(said).await;
    });
    match answer {
        Err(fault) => (Some(fault), Vec::new()),
        Ok(mut answer) => {
            let (bytes, fault) = collect(&mut answer).await;
            let end = answer.meter.find().unwrap().end;
            assert_eq!(end, fault.map_or(End::Complete, End::Failed));
            (fault, bytes)
        }
    }
}

#[rstest]
#[case::garbage("SSH-2.0-OpenSSH_9.9\r\n", UpstreamFault::Protocol)]
#[case::binary("\0\0\0\0\0\0\0\0\0\0\0\0\r\n\r\n", UpstreamFault::Protocol)]
#[case::another_version("HTTP/9.9 200 OK\r\n\r\n", UpstreamFault::Protocol)]
#[case::no_status("HTTP/1.1 abc OK\r\n\r\n", UpstreamFault::Protocol)]
#[case::nothing("", UpstreamFault::Closed)]
#[case::half_a_head("HTTP/1.1 200 OK\r\nContent-", UpstreamFault::Closed)]
#[case::two_lengths("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", UpstreamFault::Protocol)]
#[case::length_no_number("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", UpstreamFault::Protocol)]
#[case::negative_length("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", UpstreamFault::Protocol)]
#[case::a_tunnel(
    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    UpstreamFault::Protocol
)]
#[tokio::test]
async fn a_head_that_is_none_is_a_fault(#[case] said: &str, #[case] fault: UpstreamFault) {
    assert_eq!(ended(said.as_bytes()).await, (Some(fault), Vec::new()));
}

#[rstest]
#[case::fewer_than_announced("Content-Length: 10\r\n\r\n!!!", UpstreamFault::Closed)]
#[case::an_endless_length("Content-Length: 18446744073709551613\r\n\r\n!!!", UpstreamFault::Closed)]
#[case::no_last_chunk("Transfer-Encoding: chunked\r\n\r\n3\r\n!!!\r\n", UpstreamFault::Closed)]
#[case::half_a_chunk("Transfer-Encoding: chunked\r\n\r\nff\r\n!!!", UpstreamFault::Closed)]
#[tokio::test]
async fn a_body_that_breaks_off_is_a_fault_after_what_came(#[case] rest: &str, #[case] fault: UpstreamFault) {
    assert_eq!(ended(format!("{OK}{rest}").as_bytes()).await, (Some(fault), b"!!!".to_vec()));
}

#[rstest]
#[case::chunk_size("Transfer-Encoding: chunked\r\n\r\nzz\r\n!!!\r\n0\r\n\r\n")]
#[case::chunk_size_overflows("Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n!!!")]
#[case::no_line_after_a_chunk("Transfer-Encoding: chunked\r\n\r\n3\r\n!!!de\r\n0\r\n\r\n")]
#[tokio::test]
async fn broken_chunks_are_a_fault(#[case] rest: &str) {
    let (fault, bytes) = ended(format!("{OK}{rest}").as_bytes()).await;
    assert!(matches!(fault, Some(UpstreamFault::Protocol | UpstreamFault::Closed)), "{fault:?}");
    assert!(bytes.len() <= 3);
}

#[tokio::test]
async fn more_than_announced_is_not_read() {
    assert_eq!(ended(format!("{OK}Content-Length: 2\r\n\r\nhi and more").as_bytes()).await, (None, b"hi".to_vec()));
    assert_eq!(
        ended(format!("{OK}Connection: close\r\n\r\nto the end").as_bytes()).await,
        (None, b"to the end".to_vec())
    );
}

#[tokio::test]
async fn a_head_without_end_is_cut_off() {
    let line = format!("X-Long: {}\r\n", "x".repeat(1000));
    let some = format!("{OK}{}\r\n", line.repeat(70));
    assert_eq!(ended(some.as_bytes()).await.0, Some(UpstreamFault::HeadTooLarge), "70 KB");
    let fields = format!("{OK}{}\r\n", "a: b\r\n".repeat(200));
    assert_eq!(ended(fields.as_bytes()).await.0, Some(UpstreamFault::HeadTooLarge), "200 fields");
    let raw = Raw::bind().await;
    let engine = engine();
    let (answer, ()) = tokio::join!(within(engine.forward(raw.call("GET"))), async {
        use tokio::io::AsyncWriteExt;
        let mut peer = raw.accept().await;
        peer.head().await;
        peer.write(OK).await;
        let mut sent = 0;
        while peer.0.write_all(line.as_bytes()).await.is_ok() {
            sent += line.len();
            assert!(sent < 64 * 1024 * 1024, "read without end");
        }
    });
    assert_eq!(answer.unwrap_err(), UpstreamFault::HeadTooLarge);
}

#[tokio::test]
async fn an_upstream_that_hangs_before_its_head_is_given_up() {
    for said in ["", "HTTP/1.1 200 OK\r\nX-Slow: ", "HTTP/1.1 100 Continue\r\n\r\n"] {
        let raw = Raw::bind().await;
        let mut call = raw.call("GET");
        call.timeouts = timeouts(|bounds| bounds.head = SHORT);
        let (answer, _, mut peer) = raw.answer(&engine(), call, said.as_bytes()).await;
        assert_eq!(answer.unwrap_err(), UpstreamFault::HeadTimeout, "{said:?}");
        assert!(peer.closed().await);
    }
}

#[tokio::test]
async fn an_upstream_that_hangs_in_its_body_is_given_up() {
    let raw = Raw::bind().await;
    let mut call = raw.call("GET");
    call.timeouts = timeouts(|bounds| bounds.idle = SHORT);
    let said = format!("{OK}Transfer-Encoding: chunked\r\n\r\n{}", chunk("!!!"));
    let (answer, _, mut peer) = raw.answer(&engine(), call, said.as_bytes()).await;
    assert_eq!(collect(&mut answer.unwrap()).await, (b"!!!".to_vec(), Some(UpstreamFault::IdleTimeout)));
    assert!(peer.closed().await);
}

#[tokio::test]
async fn bounds_without_end_are_a_day() {
    let raw = Raw::bind().await;
    let mut call = raw.call("GET");
    call.timeouts =
        timeouts(|bounds| (bounds.head, bounds.idle, bounds.total) = (Duration::MAX, Duration::MAX, Duration::MAX));
    let (answer, _, _peer) = raw.answer(&engine(), call, format!("{OK}Content-Length: 2\r\n\r\nhi").as_bytes()).await;
    assert_eq!(collect(&mut answer.unwrap()).await, (b"hi".to_vec(), None));
}

#[tokio::test]
async fn an_upstream_that_never_ends_is_ended() {
    let raw = Raw::bind().await;
    let mut call = raw.call("GET");
    call.timeouts = timeouts(|bounds| bounds.total = SHORT * 2);
    let said = format!("{OK}Transfer-Encoding: chunked\r\n\r\n");
    let (answer, _, mut peer) = raw.answer(&engine(), call, said.as_bytes()).await;
    let mut answer = answer.unwrap();
    let (got, sent) = tokio::join!(collect(&mut answer), async {
        use tokio::io::AsyncWriteExt;
        let mut sent = 0;
        while peer.0.write_all(chunk("tick").as_bytes()).await.is_ok() {
            sent += 1;
            tokio::time::sleep(SHORT / 10).await;
        }
        sent
    });
    assert_eq!(got.1, Some(UpstreamFault::TotalTimeout));
    assert!(!got.0.is_empty() && sent > 1);
    let mut call = raw.call("GET");
    call.timeouts = timeouts(|bounds| bounds.total = SHORT);
    let (answer, _, _peer) = raw.answer(&engine(), call, b"").await;
    assert_eq!(answer.unwrap_err(), UpstreamFault::TotalTimeout, "and before the head");
}

#[tokio::test]
async fn nobody_there_and_nobody_answering_are_told_apart() {
    let gone = Raw::bind().await;
    let call = gone.call("GET");
    drop(gone);
    let fault = within(engine().forward(call)).await.unwrap_err();
    assert_eq!((fault, fault.nothing_was_sent()), (UpstreamFault::Connect, true));
    // TLS is spoken to a socket that takes the connection and says nothing.
    let silent = Raw::bind().await;
    let config = UpstreamConfig { connect_timeout: SHORT, ..config() };
    let url = format!("https://{}/", silent.address).parse().unwrap();
    let engine = Upstreams::new(config).unwrap();
    let (answer, _peer) =
        tokio::join!(within(engine.forward(Forward::new(Method::parse("GET").unwrap(), url))), silent.accept());
    assert_eq!(answer.unwrap_err(), UpstreamFault::ConnectTimeout);
}

#[tokio::test]
async fn no_fault_says_what_the_upstream_said() {
    let raw = Raw::bind().await;
    let (answer, _, _peer) = raw.answer(&engine(), raw.call("GET"), format!("GARBAGE {KEY}\r\n\r\n").as_bytes()).await;
    let fault = answer.unwrap_err();
    assert!(!format!("{fault} {fault:?} {}", fault.as_str()).contains("canary"));
    assert!(PATIENCE > SHORT);
}

#[test]
fn each_fault_has_a_name_of_its_own_and_a_status() {
    use UpstreamFault::*;
    let all = [
        Busy,
        UrlRefused,
        AddressRefused,
        Unresolved,
        Injection,
        RequestTooLarge,
        RequestBroken,
        RequestStalled,
        Connect,
        ConnectTimeout,
        Tls,
        HeadTimeout,
        HeadTooLarge,
        Protocol,
        Closed,
        Encoded,
        IdleTimeout,
        TotalTimeout,
    ];
    let names: BTreeSet<_> = all.iter().map(|fault| fault.as_str()).collect();
    assert_eq!(names.len(), all.len());
    assert!(names.iter().all(|name| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')));
    let lines: Vec<_> = all.iter().map(|fault| format!("{} {}", fault.as_str(), fault.status())).collect();
    insta::assert_snapshot!(lines.join("\n"));
}
