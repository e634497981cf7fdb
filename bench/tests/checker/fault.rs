//! What a fake server does wrong.

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// A charge is answered and not done.
    ChargeIsLost,
    /// A retry is answered as the first time, and done again.
    RetryIsDoneTwice,
    /// Every limit is one higher than it says.
    OneTooMuch,
    /// Introspection knows no revocation.
    RevokedIsActive,
    /// Spending and exchanging know no revocation.
    RevokedSpends,
    /// A revocation ends the token alone.
    ChildrenSurvive,
    GoodTokenIsCalledDead,
    GoodTokenIsRefused,
    /// A charge is refused though there is enough.
    EnoughIsRefused,
    RecordIsForgotten,
    /// A charge that was done is on record as refused.
    RecordSaysOtherwise,
    /// A charge that nobody asked for is on record.
    RecordIsInvented,
    RetryIsAnsweredOtherwise,
    /// A retry whose token is dead by then is refused, though it was done.
    RetryNeedsALiveToken,
    /// Another request with the same key is answered as the first.
    KeyIsReused,
    MoreIsGranted,
    CarvedIsNotTaken,
    VoidFreesNothing,
    /// No fault at all, but for answers that are 500 though all was done.
    AnswersAreLost,
}
