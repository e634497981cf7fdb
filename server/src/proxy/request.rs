//! The agent's body on its way to the upstream: whole, or in chunks as they come, counted, and
//! with a note of who is waiting for whom.

use super::fault::UpstreamFault;
use super::limits::{CHUNKS_IN_FLIGHT, Timeouts};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use parking_lot::Mutex;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep_until};

type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, UpstreamFault>> + Send>>;

/// A body to forward. One in chunks goes out as chunks (`Transfer-Encoding: chunked`); a whole
/// one with its length.
pub enum RequestBody {
    Whole(Bytes),
    Chunks(Pin<Box<dyn Stream<Item = Result<Bytes, UpstreamFault>> + Send>>),
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Whole(_) => "Whole(…)",
            Self::Chunks(_) => "Chunks(…)",
        })
    }
}

/// A body that arrives in chunks on another thread, or from what can't be sent to one. The
/// sender waits while the upstream takes nothing.
#[must_use]
pub fn request_body() -> (BodySender, RequestBody) {
    let (sender, mut receiver) = mpsc::channel(CHUNKS_IN_FLIGHT);
    let mut ended = false;
    let chunks = futures_util::stream::poll_fn(move |context| {
        if ended {
            return Poll::Ready(None);
        }
        let arrived = std::task::ready!(receiver.poll_recv(context));
        ended = !matches!(arrived, Some(Some(_)));
        Poll::Ready(match arrived {
            Some(Some(chunk)) => Some(Ok(chunk)),
            Some(None) => None,
            None => Some(Err(UpstreamFault::RequestBroken)),
        })
    });
    (BodySender(sender), RequestBody::Chunks(Box::pin(chunks)))
}

/// Where the chunks of a [`request_body`] go in. Dropped before [`BodySender::finish`] it cuts
/// the request off, so that half a body is never taken for a whole one.
#[derive(Debug)]
pub struct BodySender(mpsc::Sender<Option<Bytes>>);

impl BodySender {
    /// `false` where nobody takes any more of it: the call is over.
    pub async fn send(&self, chunk: Bytes) -> bool {
        self.0.send(Some(chunk)).await.is_ok()
    }

    /// That was all of it.
    pub async fn finish(self) {
        // Nobody there to tell: the call is over.
        let _ = self.0.send(None).await;
    }
}

/// The body for the HTTP library, and what can be seen of its progress.
pub(super) fn outgoing(body: RequestBody, max_bytes: u64) -> Result<(reqwest::Body, Upload), UpstreamFault> {
    match body {
        RequestBody::Whole(bytes) if exceeds(bytes.len(), max_bytes) => Err(UpstreamFault::RequestTooLarge),
        RequestBody::Whole(bytes) => Ok((bytes.into(), Upload::new(None))),
        RequestBody::Chunks(chunks) => {
            let upload = Upload::new(Some(chunks));
            let counted = Counted { left: max_bytes, shared: Arc::clone(&upload.0) };
            Ok((reqwest::Body::wrap_stream(counted), upload))
        }
    }
}

fn exceeds(length: usize, most: u64) -> bool {
    u64::try_from(length).map_or(true, |length| length > most)
}

/// How far the body has come. Dropped, it lets go of the rest: a connection that is stuck
/// would hold on to the agent's body for as long as the kernel waits for the upstream.
#[derive(Debug)]
pub(super) struct Upload(Arc<Shared>);

struct Shared {
    progress: Mutex<Progress>,
    chunks: Mutex<Option<Chunks>>,
    /// Rung when somebody else is waited for than before.
    turned: Notify,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("progress", &self.progress).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Progress {
    /// Since when nothing has moved.
    since: Instant,
    /// Whether it is the agent that is waited for.
    agent: bool,
    fault: Option<UpstreamFault>,
}

impl Drop for Upload {
    fn drop(&mut self) {
        let rest = self.0.chunks.lock().take();
        drop(rest);
    }
}

impl Upload {
    fn new(chunks: Option<Chunks>) -> Self {
        let progress = Mutex::new(Progress { since: Instant::now(), agent: false, fault: None });
        Self(Arc::new(Shared { progress, chunks: Mutex::new(chunks), turned: Notify::new() }))
    }

    /// What was wrong with the body, if that is why the call failed.
    pub fn fault(&self) -> Option<UpstreamFault> {
        self.0.progress.lock().fault
    }

    /// Returns when nothing has moved for too long, or the call has taken too long.
    pub async fn stalled(&self, timeouts: Timeouts, deadline: Instant) -> UpstreamFault {
        loop {
            let (since, agent) = {
                let progress = self.0.progress.lock();
                (progress.since, progress.agent)
            };
            let quiet = since + if agent { timeouts.idle } else { timeouts.head };
            let now = Instant::now();
            if now >= deadline {
                return UpstreamFault::TotalTimeout;
            }
            if now >= quiet {
                return if agent { UpstreamFault::RequestStalled } else { UpstreamFault::HeadTimeout };
            }
            tokio::select! {
                () = sleep_until(quiet.min(deadline)) => {}
                () = self.0.turned.notified() => {}
            }
        }
    }
}

impl Shared {
    fn note(&self, agent: bool, moved: bool) {
        let mut progress = self.progress.lock();
        let turned = progress.agent != agent;
        if moved || turned {
            progress.since = Instant::now();
        }
        progress.agent = agent;
        if turned {
            self.turned.notify_one();
        }
    }
}

struct Counted {
    left: u64,
    shared: Arc<Shared>,
}

impl Counted {
    fn poll_chunks(&self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, UpstreamFault>>> {
        match self.shared.chunks.lock().as_mut() {
            Some(chunks) => chunks.poll_next_unpin(context),
            // The call is over, and what went out so far must not look whole.
            None => Poll::Ready(Some(Err(UpstreamFault::RequestBroken))),
        }
    }
}

impl Stream for Counted {
    type Item = Result<Bytes, UpstreamFault>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.poll_chunks(context);
        self.shared.note(polled.is_pending(), polled.is_ready());
        let Poll::Ready(Some(chunk)) = polled else { return polled };
        let counted = chunk.and_then(|chunk| {
            let length = u64::try_from(chunk.len()).unwrap_or(u64::MAX);
            self.left = self.left.checked_sub(length).ok_or(UpstreamFault::RequestTooLarge)?;
            Ok(chunk)
        });
        if let Err(fault) = &counted {
            self.shared.progress.lock().fault = Some(*fault);
        }
        Poll::Ready(Some(counted))
    }
}
