//! A carved line from the token to the last report: what was not spent comes back.

use crate::company::{Company, amount};
use stipend_relying::{Counter, CounterOptions, Enforce};

#[tokio::test]
async fn what_a_carved_line_did_not_spend_comes_back_when_it_is_reported() {
    let company = Company::new(1000).await;
    let directory = tempfile::tempdir().unwrap();
    let counter = Counter::open(&directory.path().join("counter"), CounterOptions::default()).unwrap();
    let spender = company.spender().await;
    let token = company.verified(&company.carved(400).await).await;
    let line = token.budget.as_ref().unwrap()[0].clone();
    assert_eq!((line.enforce, line.amount), (Enforce::Service, amount(400)));
    let before = company.planner_line().await;
    assert_eq!(before["used"]["carved"], 400, "{before}");
    let first = counter.take(&line, token.exp, amount(300), company.now()).await.unwrap();
    assert!(counter.take(&line, token.exp, amount(101), company.now()).await.is_err());
    counter.settle(first, amount(120)).await.unwrap();
    let open = counter.take(&line, token.exp, amount(50), company.now()).await.unwrap();
    let reports = counter.report(&spender, company.now()).await;
    assert!(reports.len() == 1 && reports[0].outcome.is_ok() && reports[0].spent == 120, "{reports:?}");
    assert_eq!(company.read(&token).await.spent, 120);
    counter.settle(open, amount(10)).await.unwrap();
    company.server.clock.advance(token.exp + 120 - company.now());
    let reports = counter.report(&spender, company.now()).await;
    assert!(reports.len() == 1 && reports[0].outcome.is_ok() && reports[0].last, "{reports:?}");
    let after = company.planner_line().await;
    assert_eq!((&after["used"]["carved"], &after["used"]["spent"]), (&0.into(), &130.into()), "{after}");
    assert!(counter.report(&spender, company.now()).await.is_empty());
}
