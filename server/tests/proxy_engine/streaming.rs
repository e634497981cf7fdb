//! Both ways as they come, no faster than they are taken, and over when either side goes.

use crate::raw::{KEY, OK, PATIENCE, Raw, SHORT, chunk, collect, engine, next, timeouts, within};
use bytes::Bytes;
use stipend::proxy::{End, Reading, RequestBody, UpstreamFault, Usage, UsageStyle, request_body};
use tokio::io::AsyncWriteExt;

const STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

#[tokio::test]
async fn each_event_arrives_before_the_next_is_sent() {
    let raw = Raw::bind().await;
    let mut call = raw.call("POST");
    call.usage = Some(UsageStyle::Openai);
    let (answer, _, mut peer) = raw.answer(&engine(), call, STREAM.as_bytes()).await;
    let mut answer = answer.unwrap();
    assert_eq!(answer.headers["content-type"], "text/event-stream");
    for at in 0..5 {
        let event = format!("data: {{\"choices\":[{at}]}}\n\n");
        peer.write(chunk(&event)).await;
        assert_eq!(next(&mut answer).await.unwrap().unwrap(), event, "before anything else is sent");
        assert_eq!(answer.meter.find(), None, "it has not ended");
    }
    let last = "data: {\"model\":\"m-1\",\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\ndata: [DONE]\n\n";
    peer.write(format!("{}0\r\n\r\n", chunk(last))).await;
    assert_eq!(collect(&mut answer).await, (last.as_bytes().to_vec(), None));
    let reading = within(answer.meter.ended()).await;
    let usage = Some(Usage { input_tokens: 3, output_tokens: 4, ..Usage::default() });
    let bytes = (5 * "data: {\"choices\":[0]}\n\n".len() + last.len()) as u64;
    assert_eq!(reading, Reading { end: End::Complete, usage, usage_is_whole: true, model: Some("m-1".into()), bytes });
    assert!(next(&mut answer).await.is_none(), "the end stays the end");
    drop(answer.body);
    assert_eq!(answer.meter.find().unwrap().end, End::Complete, "dropping what has ended changes nothing");
}

#[tokio::test]
async fn dropping_the_body_closes_the_upstream_at_once_and_tells_what_was_seen() {
    let raw = Raw::bind().await;
    let mut call = raw.call("POST");
    call.usage = Some(UsageStyle::Anthropic);
    let engine = engine();
    let (answer, _, mut peer) = raw.answer(&engine, call, STREAM.as_bytes()).await;
    let mut answer = answer.unwrap();
    let start =
        "data: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":9,\"output_tokens\":1}}}\n\n";
    peer.write(chunk(start)).await;
    next(&mut answer).await.unwrap().unwrap();
    let room = engine.room();
    drop(answer.body);
    assert!(peer.closed().await);
    assert_eq!(engine.room(), room + 1);
    let reading = within(answer.meter.ended()).await;
    assert_eq!((reading.end, reading.usage.unwrap().input_tokens), (End::Dropped, 9));
}

#[tokio::test]
async fn dropping_the_call_before_its_head_closes_the_upstream() {
    let raw = Raw::bind().await;
    let engine = engine();
    let mut call = Box::pin(engine.forward(raw.call("GET")));
    let mut peer = tokio::select! {
        _ = &mut call => panic!("nobody has answered"),
        peer = async { let mut peer = raw.accept().await; peer.head().await; peer } => peer,
    };
    assert_eq!(engine.room(), 1023);
    drop(call);
    assert!(peer.closed().await);
    assert_eq!(engine.room(), 1024);
}

#[tokio::test]
async fn a_request_in_chunks_goes_on_chunk_by_chunk() {
    let raw = Raw::bind().await;
    let (sender, body) = request_body();
    let mut call = raw.call("POST");
    call.body = body;
    let engine = engine();
    let (answer, ()) = tokio::join!(within(engine.forward(call)), async {
        let mut peer = raw.accept().await;
        let head = peer.head().await.to_lowercase();
        assert!(head.contains("transfer-encoding: chunked") && !head.contains("content-length"), "{head}");
        for text in ["first", "second"] {
            assert!(sender.send(Bytes::from(text)).await);
            assert_eq!(peer.until(text.as_bytes()).await.matches(text).count(), 1);
        }
        sender.finish().await;
        peer.until(b"0\r\n\r\n").await;
        peer.write(format!("{OK}Content-Length: 2\r\n\r\nhi")).await;
    });
    assert_eq!(collect(&mut answer.unwrap()).await, (b"hi".to_vec(), None));
}

#[tokio::test]
async fn a_request_that_is_cut_off_is_never_taken_for_a_whole_one() {
    let raw = Raw::bind().await;
    let (sender, body) = request_body();
    let mut call = raw.call("POST");
    call.body = body;
    let engine = engine();
    let (answer, ()) = tokio::join!(within(engine.forward(call)), async {
        let mut peer = raw.accept().await;
        peer.head().await;
        assert!(sender.send(Bytes::from("half")).await);
        peer.until(b"half\r\n").await;
        drop(sender);
        assert!(peer.closed().await, "without the last chunk");
    });
    assert_eq!(answer.unwrap_err(), UpstreamFault::RequestBroken);
}

#[tokio::test]
async fn a_request_that_grows_too_long_is_cut_off() {
    let raw = Raw::bind().await;
    let engine = engine();
    let (sender, body) = request_body();
    let mut call = raw.call("POST");
    (call.body, call.max_body_bytes) = (body, 9);
    let (answer, ()) = tokio::join!(within(engine.forward(call)), async {
        let mut peer = raw.accept().await;
        peer.head().await;
        assert!(sender.send(Bytes::from("12345")).await);
        peer.until(b"12345\r\n").await;
        sender.send(Bytes::from("67890")).await;
        assert!(peer.closed().await);
        drop(sender);
    });
    assert_eq!(answer.unwrap_err(), UpstreamFault::RequestTooLarge);
    let mut call = raw.call("POST");
    (call.body, call.max_body_bytes) = (RequestBody::Whole(Bytes::from("1234567890")), 9);
    assert_eq!(engine.forward(call).await.unwrap_err(), UpstreamFault::RequestTooLarge);
    assert!(!raw.is_called().await, "a whole one is never begun");
}

#[tokio::test]
async fn an_agent_that_stops_sending_is_told_so_and_not_the_upstream() {
    let raw = Raw::bind().await;
    let (sender, body) = request_body();
    let mut call = raw.call("POST");
    call.body = body;
    call.timeouts = timeouts(|bounds| bounds.idle = SHORT);
    assert!(sender.send(Bytes::from("half")).await);
    let engine = engine();
    let (answer, _peer) = tokio::join!(within(engine.forward(call)), raw.accept());
    assert_eq!(answer.unwrap_err(), UpstreamFault::RequestStalled);
    // Soon nobody takes it any more.
    within(async { while sender.send(Bytes::from("more")).await {} }).await;
}

#[tokio::test]
async fn an_upstream_that_is_not_read_is_not_read_ahead_without_bound() {
    let raw = Raw::bind().await;
    let head = format!("{OK}Transfer-Encoding: chunked\r\n\r\n");
    let (answer, _, mut peer) = raw.answer(&engine(), raw.call("GET"), head.as_bytes()).await;
    let answer = answer.unwrap();
    let block = chunk(&"x".repeat(64 * 1024));
    let mut written = 0;
    // The kernel's buffers and the library's take a few megabytes, and then no more.
    while tokio::time::timeout(SHORT * 4, peer.0.write_all(block.as_bytes())).await.is_ok() {
        written += block.len();
        assert!(written < 64 * 1024 * 1024, "everything is taken though nobody reads");
    }
    drop(answer);
    assert!(peer.closed().await);
}

#[tokio::test]
async fn an_agent_that_never_reads_is_ended_at_the_deadline() {
    let raw = Raw::bind().await;
    let mut call = raw.call("GET");
    call.timeouts = timeouts(|bounds| bounds.total = SHORT);
    let engine = engine();
    let (answer, _, mut peer) = raw.answer(&engine, call, STREAM.as_bytes()).await;
    let mut answer = answer.unwrap();
    assert!(peer.closed().await, "though nobody polls the body");
    assert_eq!(engine.room(), 1024);
    assert_eq!(collect(&mut answer).await.1, Some(UpstreamFault::TotalTimeout));
    assert_eq!(answer.meter.find().unwrap().end, End::Failed(UpstreamFault::TotalTimeout));
}

#[tokio::test]
async fn an_answer_before_the_request_is_whole_is_passed_on() {
    let raw = Raw::bind().await;
    let (sender, body) = request_body();
    let mut call = raw.call("POST");
    call.body = body;
    assert!(sender.send(Bytes::from("part")).await);
    let engine = engine();
    let said = "HTTP/1.1 413 Too Long\r\nContent-Length: 4\r\nConnection: close\r\n\r\nlong";
    let (answer, _, _peer) = raw.answer(&engine, call, said.as_bytes()).await;
    let mut answer = answer.unwrap();
    assert_eq!(answer.status, 413);
    assert_eq!(collect(&mut answer).await, (b"long".to_vec(), None));
}

#[tokio::test]
async fn one_more_call_than_there_is_room_for_is_refused() {
    let raw = Raw::bind().await;
    let engine =
        stipend::proxy::Upstreams::new(stipend::proxy::UpstreamConfig { max_calls: 1, ..crate::raw::config() })
            .unwrap();
    let (first, _, _peer) = raw.answer(&engine, raw.call("GET"), STREAM.as_bytes()).await;
    let first = first.unwrap();
    assert_eq!(engine.forward(raw.call("GET")).await.unwrap_err(), UpstreamFault::Busy);
    drop(first);
    let said = format!("{OK}Content-Length: 0\r\n\r\n");
    let (second, _, _peer) = raw.answer(&engine, raw.call("GET"), said.as_bytes()).await;
    let second = second.unwrap();
    assert_eq!(second.meter.find().unwrap().end, End::Complete, "an empty body ends though nobody asks for it");
    assert_eq!(engine.room(), 1, "and leaves its place");
}

#[tokio::test]
async fn a_connection_is_used_again_for_the_next_call() {
    let raw = Raw::bind().await;
    let engine = engine();
    let said = format!("{OK}Content-Length: 2\r\n\r\nhi");
    let (first, _, mut peer) = raw.answer(&engine, raw.call("GET"), said.as_bytes()).await;
    assert_eq!(collect(&mut first.unwrap()).await, (b"hi".to_vec(), None));
    let (second, ()) = tokio::join!(within(engine.forward(raw.call("GET"))), async {
        assert!(peer.head().await.contains(KEY));
        peer.write(&said).await;
    });
    assert_eq!(collect(&mut second.unwrap()).await, (b"hi".to_vec(), None));
    assert!(PATIENCE > SHORT && !raw.is_called().await);
}

#[tokio::test]
async fn a_slow_agent_is_not_taken_for_a_silent_upstream() {
    let raw = Raw::bind().await;
    let mut call = raw.call("GET");
    call.timeouts = timeouts(|bounds| bounds.idle = SHORT);
    let (answer, _, mut peer) = raw.answer(&engine(), call, STREAM.as_bytes()).await;
    let mut answer = answer.unwrap();
    peer.write(chunk("first!")).await;
    assert_eq!(next(&mut answer).await.unwrap().unwrap(), "first!");
    peer.write(chunk("second!")).await;
    tokio::time::sleep(SHORT * 3).await;
    assert_eq!(next(&mut answer).await.unwrap().unwrap(), "second!", "it was there in time");
}

#[tokio::test]
async fn a_request_that_the_upstream_does_not_take_makes_the_agent_wait() {
    let raw = Raw::bind().await;
    let (sender, body) = request_body();
    let mut call = raw.call("POST");
    (call.body, call.max_body_bytes) = (body, u64::MAX);
    call.timeouts = timeouts(|bounds| bounds.head = SHORT * 8);
    let engine = engine();
    let (answer, (_peer, sent)) = tokio::join!(within(engine.forward(call)), async {
        let peer = raw.accept().await;
        let block = Bytes::from(vec![b'x'; 64 * 1024]);
        let mut sent = 0;
        while sender.send(block.clone()).await {
            sent += block.len();
            assert!(sent < 64 * 1024 * 1024, "everything is taken though nobody reads");
        }
        (peer, sent)
    });
    assert_eq!(answer.unwrap_err(), UpstreamFault::HeadTimeout, "it is the upstream that is waited for");
    assert!(sent > 0);
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_is_replaced_without_a_word() {
    let raw = Raw::bind().await;
    let engine = engine();
    let said = format!("{OK}Content-Length: 2\r\n\r\nhi");
    for _ in 0..3 {
        let (answer, _, peer) = raw.answer(&engine, raw.call("POST"), said.as_bytes()).await;
        assert_eq!(collect(&mut answer.unwrap()).await, (b"hi".to_vec(), None));
        drop(peer);
        // A moment for the close to arrive: a call on its heels would be lost with the connection,
        // and nothing is sent twice.
        tokio::time::sleep(SHORT).await;
    }
}

#[tokio::test]
async fn a_request_that_reached_the_upstream_is_never_sent_again() {
    let raw = Raw::bind().await;
    let engine = engine();
    let said = format!("{OK}Content-Length: 2\r\n\r\nhi");
    let (answer, _, mut peer) = raw.answer(&engine, raw.call("GET"), said.as_bytes()).await;
    assert_eq!(collect(&mut answer.unwrap()).await, (b"hi".to_vec(), None));
    // On the kept connection, where a client might think that it was closed before the request.
    let (answer, ()) = tokio::join!(within(engine.forward(raw.call("GET"))), async {
        peer.head().await;
        drop(peer);
    });
    assert_eq!(answer.unwrap_err(), UpstreamFault::Closed);
    assert!(!raw.is_called().await);
}
