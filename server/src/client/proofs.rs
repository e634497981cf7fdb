//! Proofs of secrets under way, each shared by all who ask the same at the same time: a crowd
//! of one client on a cold node must not need an Argon2id turn for every request.
//!
//! What is asked is named by a MAC over the client, the secret and the stored hashes, so nobody
//! gets an answer to another question; and an answer is given to those who waited for it and
//! never kept, so that a wrong secret costs the same work the next time.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use tokio::sync::OnceCell;

/// Names a question: a MAC under the key of the process.
pub(super) type Question = [u8; 32];

/// Which of the stored hashes the secret matches, if any.
type Answer = Option<usize>;

/// There is an entry only while a request waits for it, so no more than there are requests.
#[derive(Default)]
pub struct Proofs {
    under_way: Mutex<HashMap<Question, Arc<OnceCell<Answer>>>>,
}

impl Proofs {
    /// The answer to `question`: that of the run under way, or of `run`. When whoever runs goes
    /// away or fails, the next one that waits runs.
    pub(super) async fn ask<E>(
        &self,
        question: Question,
        run: impl AsyncFnOnce() -> Result<Answer, E>,
    ) -> Result<Answer, E> {
        let seat = Seat::take(self, question);
        seat.cell.get_or_try_init(|| run()).await.copied()
    }
}

impl fmt::Debug for Proofs {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Proofs")
    }
}

/// One that waits for an answer.
struct Seat<'a> {
    proofs: &'a Proofs,
    question: Question,
    cell: Arc<OnceCell<Answer>>,
}

impl<'a> Seat<'a> {
    fn take(proofs: &'a Proofs, question: Question) -> Self {
        let cell = Arc::clone(proofs.under_way.lock().entry(question).or_default());
        Self { proofs, question, cell }
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut under_way = self.proofs.under_way.lock();
        let Some(cell) = under_way.get(&self.question).filter(|cell| Arc::ptr_eq(cell, &self.cell)) else {
            return;
        };
        // The map's and this one's: seats are taken and left under the lock alone.
        let last = Arc::strong_count(cell) <= 2;
        if last || cell.initialized() {
            under_way.remove(&self.question);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::Notify;

    const ONE: Question = [1; 32];
    const OTHER: Question = [2; 32];

    /// Counts its runs, each of which ends when it is told to.
    #[derive(Default)]
    struct Work {
        runs: AtomicUsize,
        end: Notify,
    }

    impl Work {
        async fn ask(&self, proofs: &Proofs, question: Question, answer: Result<Answer, &'static str>) -> Outcome {
            proofs
                .ask(question, async || {
                    self.runs.fetch_add(1, Ordering::Relaxed);
                    self.end.notified().await;
                    answer
                })
                .await
        }

        fn runs(&self) -> usize {
            self.runs.load(Ordering::Relaxed)
        }
    }

    type Outcome = Result<Answer, &'static str>;

    fn waiting(proofs: &Proofs) -> usize {
        proofs.under_way.lock().len()
    }

    #[tokio::test]
    async fn one_run_answers_all_who_ask_the_same_and_no_one_else() {
        let (proofs, work) = (Proofs::default(), Work::default());
        let mut same: Vec<_> = (0..256).map(|_| Box::pin(work.ask(&proofs, ONE, Ok(Some(1))))).collect();
        assert!(same.iter_mut().all(|asked| asked.now_or_never().is_none()));
        let mut other = Box::pin(work.ask(&proofs, OTHER, Ok(None)));
        assert!((&mut other).now_or_never().is_none());
        assert_eq!(work.runs(), 2);
        work.end.notify_waiters();
        for asked in same {
            assert_eq!(asked.await, Ok(Some(1)));
        }
        assert_eq!(other.await, Ok(None));
        assert_eq!((work.runs(), waiting(&proofs)), (2, 0));
    }

    #[tokio::test]
    async fn who_runs_may_go_away_or_fail_and_the_next_one_runs() {
        let (proofs, work) = (Proofs::default(), Work::default());
        let mut gone = Box::pin(work.ask(&proofs, ONE, Ok(None)));
        let mut failing = Box::pin(work.ask(&proofs, ONE, Err("busy")));
        let mut next = Box::pin(work.ask(&proofs, ONE, Ok(Some(0))));
        for asked in [&mut gone, &mut failing, &mut next] {
            assert!(asked.now_or_never().is_none());
        }
        drop(gone);
        assert!((&mut failing).now_or_never().is_none());
        work.end.notify_one();
        assert_eq!(failing.await, Err("busy"));
        work.end.notify_one();
        assert_eq!(next.await, Ok(Some(0)));
        assert_eq!((work.runs(), waiting(&proofs)), (3, 0));
    }

    #[tokio::test]
    async fn an_answer_is_not_kept_for_those_who_come_later() {
        let (proofs, work) = (Proofs::default(), Work::default());
        for runs in 1..=2 {
            work.end.notify_one();
            assert_eq!(work.ask(&proofs, ONE, Ok(None)).await, Ok(None));
            assert_eq!((work.runs(), waiting(&proofs)), (runs, 0));
        }
        let mut first = Box::pin(work.ask(&proofs, ONE, Ok(None)));
        let mut slow = Box::pin(work.ask(&proofs, ONE, Ok(None)));
        assert!((&mut first).now_or_never().is_none() && (&mut slow).now_or_never().is_none());
        work.end.notify_one();
        assert_eq!(first.await, Ok(None));
        // One that was answered and has not looked yet keeps nothing open.
        assert!(work.ask(&proofs, ONE, Ok(None)).now_or_never().is_none());
        assert_eq!(slow.await, Ok(None));
        assert_eq!((work.runs(), waiting(&proofs)), (4, 0));
    }
}
