//! A set of constraints: what is in it must all hold.

use super::amount::MaxAmount;
use super::call::{Call, Counted, Request};
use super::host::HostPattern;
use super::list::{AllOf, AnyOf, Pattern, TooMany, present};
use super::method::Method;
use super::path_pattern::PathPattern;
use super::rate::{Rate, Uses};
use super::recipients::Recipients;
use super::source::Cidr;
use super::time_of_day::Hours;
use super::verdict::{Broken, Kind, Mode, Need, Reason, Verdict};
use serde::{Deserialize, Serialize};

/// A member that is absent admits everything.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ConstraintSet {
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    methods: Option<AnyOf<Method>>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    hosts: Option<AnyOf<HostPattern>>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    paths: Option<AnyOf<PathPattern>>,
    #[serde(skip_serializing_if = "AllOf::is_empty")]
    rate: AllOf<Rate>,
    #[serde(skip_serializing_if = "AllOf::is_empty")]
    max_amount: AllOf<MaxAmount>,
    #[serde(skip_serializing_if = "AllOf::is_empty")]
    recipients: AllOf<Recipients>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    source: Option<AnyOf<Cidr>>,
    #[serde(skip_serializing_if = "AllOf::is_empty")]
    time_of_day: AllOf<Hours>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    uses: Option<Uses>,
    #[serde(skip_serializing_if = "Mode::is_default")]
    pub mode: Mode,
}

impl Pattern for Method {
    fn is_within(&self, other: &Self) -> bool {
        self == other
    }
}

impl ConstraintSet {
    pub fn new(mode: Mode) -> Self {
        Self { mode, ..Self::default() }
    }

    /// What is counted, and nothing else.
    pub fn of_counts(uses: Option<Uses>, rate: AllOf<Rate>, mode: Mode) -> Self {
        Self { uses, rate, ..Self::new(mode) }
    }

    /// The members of it that are counted.
    pub fn counted(&self) -> Self {
        Self::of_counts(self.uses, self.rate.clone(), self.mode)
    }

    pub fn uses(&self) -> Option<Uses> {
        self.uses
    }

    pub fn rates(&self) -> impl Iterator<Item = &Rate> {
        self.rate.iter()
    }

    pub fn is_empty(&self) -> bool {
        *self == Self::new(self.mode)
    }

    /// Both, in the mode of the first: what either denies is denied.
    pub fn meet(&self, other: &Self) -> Result<Self, TooMany> {
        Ok(Self {
            methods: meet_lists(self.methods.as_ref(), other.methods.as_ref())?,
            hosts: meet_lists(self.hosts.as_ref(), other.hosts.as_ref())?,
            paths: meet_lists(self.paths.as_ref(), other.paths.as_ref())?,
            rate: self.rate.meet(&other.rate)?,
            max_amount: self.max_amount.meet(&other.max_amount)?,
            recipients: self.recipients.meet(&other.recipients)?,
            source: meet_lists(self.source.as_ref(), other.source.as_ref())?,
            time_of_day: self.time_of_day.meet(&other.time_of_day)?,
            uses: self.uses.into_iter().chain(other.uses).min(),
            mode: self.mode,
        })
    }

    /// Less the members that others imply.
    pub fn without(self, others: &Self) -> Self {
        Self {
            methods: list_without(self.methods, others.methods.as_ref()),
            hosts: list_without(self.hosts, others.hosts.as_ref()),
            paths: list_without(self.paths, others.paths.as_ref()),
            rate: self.rate.without(&others.rate),
            max_amount: self.max_amount.without(&others.max_amount),
            recipients: self.recipients.without(&others.recipients),
            source: list_without(self.source, others.source.as_ref()),
            time_of_day: self.time_of_day.without(&others.time_of_day),
            uses: self.uses.filter(|uses| others.uses.is_none_or(|other| other > *uses)),
            mode: self.mode,
        }
    }

    /// Whether no call whatever passes: some list is empty.
    pub fn never(&self) -> bool {
        let empty = [
            self.methods.as_ref().is_some_and(AnyOf::is_empty),
            self.hosts.as_ref().is_some_and(AnyOf::is_empty),
            self.paths.as_ref().is_some_and(AnyOf::is_empty),
            self.source.as_ref().is_some_and(AnyOf::is_empty),
        ];
        empty.contains(&true)
            || self.recipients.iter().any(Recipients::never)
            || self.time_of_day.iter().any(Hours::never)
    }

    pub fn judge(&self, call: &Call<'_>, verdict: &mut Verdict) {
        let mut judge = Judge { mode: self.mode, verdict };
        self.judge_request(call.request.as_ref(), &mut judge);
        if let Some(source) = &self.source {
            judge.listed(Kind::Source, call.source.map(|address| source.any(|block| block.contains(address))));
        }
        if self.time_of_day.iter().any(|hours| !hours.hold(call.now)) {
            judge.broken(Kind::TimeOfDay, Reason::OutsideHours);
        }
        self.judge_counts(&call.counted, &mut judge);
    }

    fn judge_request(&self, request: Option<&Request<'_>>, judge: &mut Judge<'_>) {
        if let Some(methods) = &self.methods {
            judge.listed(Kind::Methods, request.map(|request| methods.any(|method| method == request.method)));
            if request.is_some_and(|request| request.method_overridden) {
                judge.broken(Kind::Methods, Reason::MethodOverridden);
            }
        }
        if let Some(hosts) = &self.hosts {
            judge.listed(Kind::Hosts, request.map(|request| hosts.any(|pattern| pattern.matches(request.host))));
        }
        if let Some(paths) = &self.paths {
            judge.listed(Kind::Paths, request.map(|request| paths.any(|pattern| pattern.matches(request.path))));
        }
        let body = request.map(|request| request.body).ok_or(Reason::NotSeen);
        for max in self.max_amount.iter() {
            match body.and_then(|body| max.read(body)) {
                Ok(amount) => {
                    let unit = max.unit().map(str::to_owned);
                    judge.verdict.needs.push(Need::Amount { amount, unit, mode: judge.mode });
                }
                Err(reason) => judge.broken(Kind::MaxAmount, reason),
            }
        }
        for recipients in self.recipients.iter() {
            if let Err(reason) = body.and_then(|body| recipients.check(body)) {
                judge.broken(Kind::Recipients, reason);
            }
        }
    }

    fn judge_counts(&self, counted: &Counted<'_>, judge: &mut Judge<'_>) {
        if let Some(uses) = self.uses {
            if counted.uses.is_some_and(|used| used >= u64::from(uses.limit())) {
                judge.broken(Kind::Uses, Reason::Exceeded);
            }
            judge.verdict.needs.push(Need::Uses { limit: uses.limit(), mode: judge.mode });
        }
        for rate in self.rate.iter() {
            let full =
                |count: &super::call::RateCount| count.per_s == rate.per_s() && count.count >= u64::from(rate.count());
            if counted.rates.iter().any(full) {
                judge.broken(Kind::Rate, Reason::Exceeded);
            }
            judge.verdict.needs.push(Need::Rate { rate: *rate, mode: judge.mode });
        }
    }
}

/// Gathers what one set says.
struct Judge<'a> {
    mode: Mode,
    verdict: &'a mut Verdict,
}

impl Judge<'_> {
    fn broken(&mut self, constraint: Kind, reason: Reason) {
        self.verdict.broken.push(Broken { constraint, reason, mode: self.mode });
    }

    /// `None`: there was nothing to look at.
    fn listed(&mut self, constraint: Kind, listed: Option<bool>) {
        match listed {
            Some(true) => {}
            Some(false) => self.broken(constraint, Reason::NotListed),
            None => self.broken(constraint, Reason::NotSeen),
        }
    }
}

fn meet_lists<T: Pattern>(a: Option<&AnyOf<T>>, b: Option<&AnyOf<T>>) -> Result<Option<AnyOf<T>>, TooMany> {
    match (a, b) {
        (Some(a), Some(b)) => a.meet(b).map(Some),
        (a, b) => Ok(a.or(b).cloned()),
    }
}

fn list_without<T: Pattern>(list: Option<AnyOf<T>>, other: Option<&AnyOf<T>>) -> Option<AnyOf<T>> {
    list.filter(|list| !other.is_some_and(|other| other.is_within(list)))
}
