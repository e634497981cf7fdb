//! The answer's body on its way to the agent, chunk by chunk as the agent takes them: masked,
//! read for what it says was used, and bounded in time whether the agent reads or not.

use super::fault::UpstreamFault;
use super::limits::Timeouts;
use super::mask::BodyMask;
use super::request::Upload;
use super::usage::{Usage, UsageReader};
use bytes::Bytes;
use futures_util::Stream;
use parking_lot::Mutex;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, Sleep, sleep_until};

/// How an answer's body ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// The upstream sent all of it, and it was passed on.
    Complete,
    /// The agent went away, or did not want the rest.
    Dropped,
    Failed(UpstreamFault),
}

/// What was seen of an answer by the time it ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reading {
    pub end: End,
    /// Absent where the answer said nothing of it, or nothing that can be believed. Before a
    /// [`End::Complete`] it may be less than what was used.
    pub usage: Option<Usage>,
    /// Whether the usage is what was used in the end, though the body may not have come to its
    /// own.
    pub usage_is_whole: bool,
    /// The model that the answer names, at most 128 visible characters.
    pub model: Option<String>,
    /// Bytes of the body that were passed on.
    pub bytes: u64,
}

/// Tells of an answer once it has ended, however it ended.
#[derive(Clone, Debug)]
pub struct Meter(watch::Receiver<Option<Reading>>);

impl Meter {
    /// The reading, if the body has ended.
    #[must_use]
    pub fn find(&self) -> Option<Reading> {
        self.0.borrow().clone()
    }

    /// Waits for the end: a body that is dropped ends there and then.
    pub async fn ended(&mut self) -> Reading {
        let seen = self.0.wait_for(Option::is_some).await.ok().and_then(|reading| reading.clone());
        // The body always leaves a reading before it goes.
        seen.unwrap_or(Reading { end: End::Dropped, usage: None, usage_is_whole: false, model: None, bytes: 0 })
    }
}

type Incoming = Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send>>;

/// What an upstream's connection and the node's count of calls hang on.
pub(super) struct Live {
    pub incoming: Incoming,
    pub _permit: OwnedSemaphorePermit,
}

/// How a body is treated.
pub(super) struct Treatment {
    pub mask: BodyMask,
    pub usage: Option<UsageReader>,
    /// None once the call is over: the upload is let go.
    pub upload: Option<Upload>,
    pub timeouts: Timeouts,
    pub deadline: Instant,
}

/// The body of an answer. Dropping it ends the upstream's request at once.
pub struct AnswerBody {
    /// Shared with the task that ends the call at its deadline, should nobody read.
    live: Arc<Mutex<Option<Live>>>,
    limit: JoinHandle<()>,
    quiet: Pin<Box<Sleep>>,
    treatment: Treatment,
    bytes: u64,
    ended: bool,
    told: watch::Sender<Option<Reading>>,
}

impl fmt::Debug for AnswerBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerBody").field("bytes", &self.bytes).field("ended", &self.ended).finish_non_exhaustive()
    }
}

impl AnswerBody {
    pub(super) fn new(live: Live, treatment: Treatment) -> (Self, Meter) {
        let live = Arc::new(Mutex::new(Some(live)));
        let (told, meter) = watch::channel(None);
        let deadline = treatment.deadline;
        let quiet = Box::pin(sleep_until(deadline.min(Instant::now() + treatment.timeouts.idle)));
        let limit = end_at(deadline, Arc::clone(&live));
        (Self { live, limit, quiet, treatment, bytes: 0, ended: false, told }, Meter(meter))
    }

    /// Ends a body that is known to be empty, also if nobody asks for it.
    pub(super) fn end_empty(&mut self) {
        self.end(End::Complete);
    }

    fn end(&mut self, end: End) {
        if self.ended {
            return;
        }
        self.ended = true;
        self.limit.abort();
        drop(self.live.lock().take());
        drop(self.treatment.upload.take());
        let usage_is_whole = self.treatment.usage.as_ref().is_some_and(UsageReader::is_whole);
        let (usage, model) = self.treatment.usage.take().map(UsageReader::finish).unwrap_or_default();
        self.told.send_replace(Some(Reading { end, usage, usage_is_whole, model, bytes: self.bytes }));
    }

    fn fail(&mut self, fault: UpstreamFault) -> Poll<Option<Result<Bytes, UpstreamFault>>> {
        self.end(End::Failed(fault));
        Poll::Ready(Some(Err(fault)))
    }

    fn pass(&mut self, chunk: Bytes) -> Option<Bytes> {
        if chunk.is_empty() {
            return None;
        }
        if let Some(usage) = &mut self.treatment.usage {
            usage.read(&chunk);
        }
        self.bytes = self.bytes.saturating_add(u64::try_from(chunk.len()).unwrap_or(u64::MAX));
        Some(chunk)
    }

    fn poll_incoming(&self, context: &mut Context<'_>) -> Option<Poll<Option<reqwest::Result<Bytes>>>> {
        self.live.lock().as_mut().map(|live| live.incoming.as_mut().poll_next(context))
    }
}

impl Stream for AnswerBody {
    type Item = Result<Bytes, UpstreamFault>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if this.ended {
                return Poll::Ready(None);
            }
            // Gone without us: the deadline has passed.
            let Some(polled) = this.poll_incoming(context) else { return this.fail(UpstreamFault::TotalTimeout) };
            match polled {
                Poll::Ready(Some(Ok(chunk))) => {
                    let now = Instant::now();
                    this.quiet.as_mut().reset(this.treatment.deadline.min(now + this.treatment.timeouts.idle));
                    let masked = this.treatment.mask.push(chunk);
                    if let Some(chunk) = this.pass(masked) {
                        return Poll::Ready(Some(Ok(chunk)));
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    let of_request = this.treatment.upload.as_ref().and_then(Upload::fault);
                    let fault = of_request.unwrap_or_else(|| UpstreamFault::from_http(&error));
                    return this.fail(fault);
                }
                Poll::Ready(None) => {
                    let rest = this.treatment.mask.finish();
                    let rest = this.pass(rest);
                    this.end(End::Complete);
                    return Poll::Ready(rest.map(Ok));
                }
                Poll::Pending => {
                    std::task::ready!(this.quiet.as_mut().poll(context));
                    let late = Instant::now() >= this.treatment.deadline;
                    return this.fail(if late { UpstreamFault::TotalTimeout } else { UpstreamFault::IdleTimeout });
                }
            }
        }
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        self.end(End::Dropped);
    }
}

/// An agent that does not read would keep the upstream and a place among the calls for ever.
#[expect(clippy::disallowed_methods, reason = "owned by the body, which ends it with itself")]
fn end_at(deadline: Instant, live: Arc<Mutex<Option<Live>>>) -> JoinHandle<()> {
    tokio::spawn(async move {
        sleep_until(deadline).await;
        drop(live.lock().take());
    })
}
