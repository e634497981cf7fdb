//! Wake-ups: whoever publishes changes tells the feed's new head on a channel, and the other
//! nodes look at the feed at once. A message is a hint and nothing else: it makes a node look,
//! no more often than [`WAKE_GAP`] allows, and a node that hears nothing looks by itself.

use super::breaker::Breaker;
use super::link::{Link, config, connect, ping};
use crate::limits::{REDIS_CONNECT_TIMEOUT, REDIS_PING_EVERY, REDIS_RESPONSE_TIMEOUT, WAKE_GAP};
use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, Client, PushInfo, PushKind, RedisResult, Value};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use stipend_keys::secret::random_bytes;
use stipend_schema::TailerHandle;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

/// Longest message that is a head: an integer.
const MAX_HEAD_BYTES: usize = 20;

/// Tells every new head. Heads that come while one is being told are told as one.
pub(super) async fn publish(link: Arc<Link>, channel: String, mut heads: watch::Receiver<i64>) {
    while heads.changed().await.is_ok() {
        let (head, channel) = (*heads.borrow_and_update(), channel.as_str());
        // Who hears nothing looks by itself a tenth of a second later.
        let _ = link
            .call(async |mut connection: MultiplexedConnection| {
                ::redis::cmd("PUBLISH").arg(channel).arg(head).query_async::<i64>(&mut connection).await
            })
            .await;
    }
}

/// What the listening task and the connection share.
#[derive(Debug)]
struct Ears {
    heard: Notify,
    lost: Notify,
}

/// Listens for heads, for as long as the node lives. `listening` says whether it does.
pub(super) async fn listen(client: Client, channel: String, tailer: TailerHandle, listening: Arc<AtomicBool>) {
    let ears = Arc::new(Ears { heard: Notify::new(), lost: Notify::new() });
    tokio::join!(wake(&ears, &tailer), stay(&client, &channel, &tailer, &ears, &listening));
}

/// However many messages come, the feed is looked at no more often than this.
async fn wake(ears: &Ears, tailer: &TailerHandle) {
    loop {
        ears.heard.notified().await;
        tailer.wake();
        sleep(WAKE_GAP).await;
    }
}

/// Keeps a subscription up.
async fn stay(client: &Client, channel: &str, tailer: &TailerHandle, ears: &Arc<Ears>, listening: &AtomicBool) {
    let mut breaker = Breaker::new();
    loop {
        let subscribed = timeout(REDIS_CONNECT_TIMEOUT, subscribe(client, channel, tailer, ears)).await;
        if let Ok(Ok(connection)) = subscribed {
            breaker.recovered(Instant::now());
            listening.store(true, Ordering::Relaxed);
            // What was told before it listened.
            ears.heard.notify_one();
            until_lost(&connection, ears).await;
            listening.store(false, Ordering::Relaxed);
            breaker.failed(super::breaker::Fault::Lost, Instant::now());
        } else {
            breaker.tried();
        }
        let [jitter] = random_bytes::<1>();
        sleep(breaker.pause(jitter)).await;
    }
}

async fn until_lost(connection: &MultiplexedConnection, ears: &Ears) {
    loop {
        tokio::select! {
            () = ears.lost.notified() => return,
            () = sleep(REDIS_PING_EVERY) => {}
        }
        if !matches!(timeout(REDIS_RESPONSE_TIMEOUT, ping(connection.clone())).await, Ok(Ok(()))) {
            return;
        }
    }
}

async fn subscribe(
    client: &Client,
    channel: &str,
    tailer: &TailerHandle,
    ears: &Arc<Ears>,
) -> RedisResult<MultiplexedConnection> {
    let mut connection = connect(client, with_ears(Arc::clone(ears), tailer.clone())).await?;
    connection.subscribe(channel).await?;
    Ok(connection)
}

/// Messages are judged where they are read, so that there is no queue of them.
fn with_ears(ears: Arc<Ears>, tailer: TailerHandle) -> AsyncConnectionConfig {
    config().set_push_sender(move |push: PushInfo| -> Result<(), Infallible> {
        match push.kind {
            PushKind::Message if head(&push.data).is_some_and(|head| head > tailer.position()) => {
                ears.heard.notify_one();
            }
            PushKind::Disconnection => ears.lost.notify_one(),
            _ => {}
        }
        Ok(())
    })
}

/// The head that a message tells, if it is one.
fn head(data: &[Value]) -> Option<i64> {
    let [_, Value::BulkString(text)] = data else { return None };
    std::str::from_utf8(text.get(..MAX_HEAD_BYTES.min(text.len()))?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_an_integer_and_anything_else_is_none() {
        let message = |text: &str| head(&[Value::BulkString(b"channel".to_vec()), Value::BulkString(text.into())]);
        assert_eq!(message("7"), Some(7));
        assert_eq!(message("9223372036854775807"), Some(i64::MAX));
        for text in ["", "x", "7 ", "9223372036854775808", "\u{0}", &"1".repeat(1_000_000)] {
            assert_eq!(message(text), None);
        }
        assert_eq!(head(&[Value::BulkString(b"7".to_vec())]), None);
        assert_eq!(head(&[Value::Nil, Value::Int(7)]), None);
    }
}
