//! How many requests a node serves at once, and which it gives up first when more are asked of it.
//!
//! A request takes a seat of its class once its body is there; with none free it waits, a little
//! and in a room of limited size, and beyond that it is answered 503 before anything is decided,
//! written or signed for it. Classes have seats of their own, so that what begins work never
//! takes them from what ends it. Whoever waits for somebody else (an authentication that needs
//! Argon2id, another issuer's keys, the end of a second) gives its seat up meanwhile: a seat is
//! for work that this node is doing.

use crate::limits::{ADMISSION_WAIT, MAX_ADMINISTERING, MAX_ENDING};
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What a request is for, by what is refused last.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Class {
    /// Answered from memory, or by one look at the database: never refused.
    Free,
    /// Takes something away: revocations, and what stops an agent, an owner, a key.
    Ending,
    /// All else that an admin does.
    Administering,
    /// Looks at what was issued, or ends what was begun: introspection, captures, status lists.
    Settling,
    /// A credential is released or used.
    Custody,
    /// Brings something into the world: tokens, holds, charges, registrations.
    Beginning,
}

/// No seat, and no room to wait for one.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("too many requests of this kind are under way")]
pub struct Full;

/// Seats of one class.
#[derive(Clone, Debug)]
struct Pool {
    seats: Arc<Semaphore>,
    /// Places for those who wait.
    room: Arc<Semaphore>,
}

impl Pool {
    fn new(seats: usize) -> Self {
        Self { seats: Arc::new(Semaphore::new(seats)), room: Arc::new(Semaphore::new(seats)) }
    }

    fn is_full(&self) -> bool {
        self.seats.available_permits() == 0 && self.room.available_permits() == 0
    }

    async fn enter(&self) -> Result<OwnedSemaphorePermit, Full> {
        // Those who wait come first: a seat that is given back goes to them and is never free here.
        if let Ok(seat) = Arc::clone(&self.seats).try_acquire_owned() {
            return Ok(seat);
        }
        let _place = self.room.try_acquire().map_err(|_| Full)?;
        let waited = tokio::time::timeout(ADMISSION_WAIT, Arc::clone(&self.seats).acquire_owned()).await;
        waited.map_err(|_| Full)?.map_err(|_| Full)
    }
}

/// The seats of a node.
#[derive(Debug)]
pub struct Admission {
    ending: Pool,
    administering: Pool,
    settling: Pool,
    custody: Pool,
    beginning: Pool,
}

impl Admission {
    /// So many seats for each class but those that end things and administer, which have numbers
    /// of their own.
    #[must_use]
    pub fn new(seats: usize) -> Self {
        Self {
            ending: Pool::new(MAX_ENDING),
            administering: Pool::new(MAX_ADMINISTERING),
            settling: Pool::new(seats),
            custody: Pool::new(seats),
            beginning: Pool::new(seats),
        }
    }

    fn pool(&self, class: Class) -> Option<&Pool> {
        match class {
            Class::Free => None,
            Class::Ending => Some(&self.ending),
            Class::Administering => Some(&self.administering),
            Class::Settling => Some(&self.settling),
            Class::Custody => Some(&self.custody),
            Class::Beginning => Some(&self.beginning),
        }
    }

    /// Whether one more request of this class would be refused now.
    #[must_use]
    pub fn is_full(&self, class: Class) -> bool {
        self.pool(class).is_some_and(Pool::is_full)
    }

    /// Requests of this class that have a seat.
    #[must_use]
    pub fn seated(&self, class: Class, seats: usize) -> usize {
        self.pool(class).map_or(0, |pool| seats.saturating_sub(pool.seats.available_permits()))
    }

    /// Serves a request of this class: within, [`enter`] and [`aside`] know its seat.
    pub async fn serve<F: Future>(&self, class: Class, work: F) -> F::Output {
        match self.pool(class) {
            Some(pool) => SEAT.scope(Seat { pool: pool.clone(), permit: Mutex::new(None) }, work).await,
            None => work.await,
        }
    }
}

/// One request's.
struct Seat {
    pool: Pool,
    permit: Mutex<Option<OwnedSemaphorePermit>>,
}

tokio::task_local! {
    static SEAT: Seat;
}

/// Takes the seat of the request that is being served, once. Nothing where it needs none.
///
/// # Errors
/// [`Full`].
pub async fn enter() -> Result<(), Full> {
    let Ok(Some(pool)) = SEAT.try_with(|seat| seat.permit.lock().is_none().then(|| seat.pool.clone())) else {
        return Ok(());
    };
    sit(pool.enter().await?);
    Ok(())
}

/// Waits for somebody else without a seat. Whoever was let in comes back when there is one: what
/// it waited for was done, and to refuse it now would be to do that again.
pub async fn aside<F: Future>(wait: F) -> F::Output {
    let left = SEAT.try_with(|seat| seat.permit.lock().take().map(|_| Arc::clone(&seat.pool.seats))).ok().flatten();
    let waited = wait.await;
    if let Some(seats) = left
        && let Ok(permit) = seats.acquire_owned().await
    {
        sit(permit);
    }
    waited
}

fn sit(permit: OwnedSemaphorePermit) {
    // Outside of a request the seat is given back at once.
    let _ = SEAT.try_with(|seat| *seat.permit.lock() = Some(permit));
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use std::future::pending;
    use tokio::sync::oneshot;

    const CLASS: Class = Class::Beginning;

    async fn held(admission: &Admission, done: oneshot::Receiver<()>) -> Result<(), Full> {
        let work = async {
            enter().await?;
            // A second time is the same seat.
            enter().await?;
            let _ = done.await;
            Ok(())
        };
        admission.serve(CLASS, work).await
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_sit_as_many_wait_and_the_rest_is_refused_at_once() {
        let admission = Admission::new(2);
        let mut ends = Vec::new();
        let mut served = Vec::new();
        for _ in 0..4 {
            let (end, done) = oneshot::channel();
            ends.push(end);
            let mut one = Box::pin(held(&admission, done));
            assert!((&mut one).now_or_never().is_none());
            served.push(one);
        }
        assert!(admission.is_full(CLASS) && admission.seated(CLASS, 2) == 2);
        let (_end, done) = oneshot::channel();
        assert_eq!(held(&admission, done).now_or_never(), Some(Err(Full)));
        // Other classes have their own.
        for other in [Class::Free, Class::Ending, Class::Administering, Class::Settling, Class::Custody] {
            assert_eq!(admission.serve(other, enter()).now_or_never(), Some(Ok(())), "{other:?}");
        }
        // In order of arrival: the third sits down where the first got up.
        ends.remove(0).send(()).unwrap();
        assert_eq!(served.remove(0).await, Ok(()));
        assert!(served[1].as_mut().now_or_never().is_none());
        assert_eq!(admission.seated(CLASS, 2), 2);
        // The last of them has waited long enough.
        assert_eq!(served.remove(2).await, Err(Full));
        ends.remove(1).send(()).unwrap();
        assert_eq!(served.remove(1).await, Ok(()));
        drop((ends, served));
        assert_eq!(admission.seated(CLASS, 2), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_somebody_else_or_goes_away_keeps_no_seat() {
        let admission = Admission::new(1);
        let (answer, answered) = oneshot::channel::<()>();
        let mut waits = Box::pin(admission.serve(CLASS, async {
            enter().await.unwrap();
            let _ = aside(answered).await;
            pending::<()>().await;
        }));
        assert!((&mut waits).now_or_never().is_none());
        assert_eq!(admission.seated(CLASS, 1), 0);
        answer.send(()).unwrap();
        assert!((&mut waits).now_or_never().is_none());
        assert_eq!(admission.seated(CLASS, 1), 1);
        drop(waits);
        assert_eq!(admission.seated(CLASS, 1), 0);
        // Outside of a request neither means anything.
        assert_eq!(enter().await, Ok(()));
        aside(async {}).await;
    }
}
