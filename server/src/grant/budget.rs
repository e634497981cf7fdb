//! The budget of a new token: what was asked for (RFC 9396), or by default, under every cap
//! there is. How much of it there is, the ledger decides with the issue, in one transaction.

use crate::app::App;
use crate::budget::Purse;
use crate::limits::CARVE_RETURN_SECONDS;
use crate::policy::AmountFact;
use crate::reason::Reason;
use crate::records::{BudgetPath, Resource, Unavailable};
use std::sync::Arc;
use stipend_keys::dated_id;
use stipend_schema::Dep;
use stipend_schema::ledger::{Granted, NewLine, NewToken};
use stipend_token::budget::{Amount, Asked, BudgetCap, Enforce, MAX_AMOUNT, MAX_TOKEN_LINES, TokenLine, Unit};
use stipend_token::rule::RuleSpec;
use stipend_token::{AccessToken, Audience};

/// Where a token's budget comes from.
#[derive(Debug)]
pub(super) enum Source<'a> {
    /// The lines of the client that its authority begins with, and what it gets by default.
    Purse { purse: Box<Purse>, default: Option<Vec<BudgetCap>>, tasks: bool },
    /// The lines of the subject token: nothing else, ever, once it has any.
    Token(&'a [TokenLine]),
    /// There is none: the subject token says nothing of budgets, or the target takes none.
    Nothing,
}

/// What is asked of the source, and what caps it.
#[derive(Debug)]
pub(super) struct Question<'a> {
    pub targets: &'a [Arc<Resource>],
    pub asked: Option<&'a [Asked]>,
    pub rules: &'a [&'a RuleSpec],
    /// What people have approved; nothing beyond it.
    pub approved: Option<&'a [BudgetCap]>,
    pub exp: i64,
}

/// The lines to open, and what was looked at to find them.
#[derive(Debug, Default)]
pub struct Plan {
    pub deps: Vec<Dep>,
    lines: Vec<NewLine>,
    /// The token says what its budget is, be it none.
    says: bool,
}

/// One line that is wished for.
#[derive(Debug)]
struct Wish {
    cap: BudgetCap,
    enforce: Enforce,
    task: Option<String>,
    required: bool,
}

/// Finds the lines that the token's are to go under.
///
/// # Errors
/// The [`Reason`], with what was looked at.
pub(super) async fn plan(
    app: &App,
    mut source: Source<'_>,
    question: &Question<'_>,
) -> Result<Plan, (Reason, Vec<Dep>)> {
    let result = lines(app, &mut source, question).await;
    let deps = match source {
        Source::Purse { purse, .. } => purse.deps,
        Source::Token(_) | Source::Nothing => Vec::new(),
    };
    match result {
        Ok((lines, says)) => Ok(Plan { deps, lines, says }),
        Err(reason) => Err((reason, deps)),
    }
}

/// One resource spends from it, or two could each spend all of it.
pub(super) fn takes_budgets(targets: &[Arc<Resource>]) -> bool {
    matches!(targets, [only] if only.budget_capable)
}

async fn lines(app: &App, source: &mut Source<'_>, question: &Question<'_>) -> Result<(Vec<NewLine>, bool), Reason> {
    if !takes_budgets(question.targets) {
        let none_behind = matches!(source, Source::Token(_));
        return if question.asked.is_some() { Err(Reason::NoBudgetTarget) } else { Ok((Vec::new(), none_behind)) };
    }
    let mut lines = Vec::new();
    for wish in wishes(source, question.asked)? {
        let found = match find(app, source, &wish).await? {
            Some((path, cap)) => cap.under(ceilings(question.rules).chain(question.approved)).map(|cap| (path, cap)),
            None => None,
        };
        let Some((path, cap)) = found else {
            if wish.required {
                return Err(Reason::NoBudgetInUnit);
            }
            continue;
        };
        lines.push(NewLine {
            line_id: dated_id("bl_", app.clock.now()),
            owner_id: path.owner_id.clone(),
            unit: cap.unit,
            amount: cap.amount,
            per_call: cap.per_call,
            enforce: wish.enforce,
            above: path.lines.clone(),
            required: wish.required,
            max_children: path.jti.is_some().then(|| max_children(app, question.rules)),
            due_at: question.exp.saturating_add(CARVE_RETURN_SECONDS),
        });
    }
    let says = !lines.is_empty() || matches!(source, Source::Token(_));
    Ok((lines, says))
}

fn wishes(source: &Source<'_>, asked: Option<&[Asked]>) -> Result<Vec<Wish>, Reason> {
    let all_of = |unit: &Unit| BudgetCap {
        unit: unit.clone(),
        amount: Amount::new(MAX_AMOUNT).unwrap_or_default(),
        per_call: None,
    };
    let default = |cap| Wish { cap, enforce: Enforce::Server, task: None, required: false };
    let wishes = match (asked, source) {
        (Some(asked), Source::Token(_) | Source::Nothing | Source::Purse { tasks: false, .. })
            if asked.iter().any(|asked| asked.task.is_some()) =>
        {
            return Err(Reason::TaskNotOwn);
        }
        (Some(asked), _) => asked.iter().map(wish).collect(),
        (None, Source::Nothing) => Vec::new(),
        (None, Source::Token(lines)) => lines.iter().map(|line| default(all_of(&line.unit))).collect(),
        (None, Source::Purse { default: Some(caps), .. }) => caps.iter().cloned().map(default).collect(),
        (None, Source::Purse { purse, .. }) => {
            purse.default_units().take(MAX_TOKEN_LINES).map(|unit| default(all_of(unit))).collect()
        }
    };
    Ok(wishes)
}

fn wish(asked: &Asked) -> Wish {
    let cap = BudgetCap { unit: asked.unit.clone(), amount: asked.amount, per_call: asked.per_call };
    Wish { cap, enforce: asked.enforce, task: asked.task.clone(), required: true }
}

/// The line above, as far as the source has one in the unit.
async fn find(
    app: &App,
    source: &mut Source<'_>,
    wish: &Wish,
) -> Result<Option<(Arc<BudgetPath>, BudgetCap)>, Unavailable> {
    let unit = &wish.cap.unit;
    let (id, cap) = match source {
        Source::Nothing => return Ok(None),
        Source::Token(lines) => {
            let Some(line) = lines.iter().find(|line| line.unit == *unit) else { return Ok(None) };
            let has = BudgetCap { unit: line.unit.clone(), amount: line.amount, per_call: line.per_call };
            (line.id.clone(), wish.cap.within(&has))
        }
        Source::Purse { purse, .. } => {
            let line = match &wish.task {
                Some(task) => purse.task(app, task, unit).await?,
                None => purse.line(unit).cloned(),
            };
            let Some(line) = line else { return Ok(None) };
            (line.id, Some(wish.cap.clone()))
        }
    };
    Ok(app.records.budget_path(&id).await?.zip(cap))
}

fn ceilings<'a>(rules: &'a [&'a RuleSpec]) -> impl Iterator<Item = &'a [BudgetCap]> {
    rules.iter().filter_map(|rule| rule.budget_ceiling.as_deref())
}

fn max_children(app: &App, rules: &[&RuleSpec]) -> i64 {
    rules.iter().filter_map(|rule| rule.max_children).fold(app.config.max_children, i64::min)
}

impl Plan {
    /// What the token says before the ledger has narrowed it: never less than afterwards.
    #[must_use]
    pub fn claim(&self) -> Option<Vec<TokenLine>> {
        let line = |line: &NewLine| TokenLine {
            id: line.line_id.clone(),
            unit: line.unit.clone(),
            amount: line.amount,
            per_call: Some(line.per_call.unwrap_or(line.amount)),
            enforce: line.enforce,
        };
        self.says.then(|| self.lines.iter().map(line).collect())
    }

    /// The most that there may be in each unit.
    #[must_use]
    pub fn amounts(&self) -> Vec<AmountFact> {
        let amount = |line: &NewLine| AmountFact {
            unit: line.unit.code().to_owned(),
            decimals: line.unit.decimals().into(),
            value: line.amount.parts(),
        };
        self.lines.iter().map(amount).collect()
    }

    /// Most that the token may spend, in each unit.
    #[must_use]
    pub fn caps(&self) -> Vec<BudgetCap> {
        let cap = |line: &NewLine| BudgetCap {
            unit: line.unit.clone(),
            amount: line.amount,
            per_call: Some(line.per_call.unwrap_or(line.amount)),
        };
        self.lines.iter().map(cap).collect()
    }

    /// The order to the ledger; none where there is nothing to order.
    #[must_use]
    pub fn order(self, claims: &AccessToken) -> Option<NewToken> {
        (!self.lines.is_empty()).then(|| NewToken {
            jti: claims.jti.clone(),
            audience: claims.aud.first().map(Audience::as_str).unwrap_or_default().to_owned(),
            expires_at: claims.exp,
            lines: self.lines,
        })
    }
}

/// Puts what the ledger granted into the claim.
pub(super) fn fill(claims: &mut AccessToken, granted: &[Granted]) {
    if let Some(lines) = &mut claims.budget {
        lines.retain_mut(|line| {
            let granted = granted.iter().find(|granted| granted.line_id == line.id);
            granted.is_some_and(|granted| {
                line.amount = granted.amount;
                line.per_call = granted.per_call;
                true
            })
        });
    }
}
