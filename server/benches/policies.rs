//! What a decision by policies costs, by how many there are: compiling them, and asking them.
//! `cargo bench -p stipend --bench policies`. Times are printed, never asserted.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::hint::black_box;
use std::time::Instant;
use stipend::policy::{Act, AgentFacts, AmountFact, Compiled, Facts, Target, check, text_hash};
use stipend_schema::policies::PolicyRow;
use stipend_token::{Environment, ScopeSet, UserContext};

/// Applies to the request, is evaluated whole, and does not forbid.
const TEXT: &str = "forbid (principal in Owner::\"acme\", action == Action::\"token:exchange\", resource) \
    when { context.now.hour < 24 && context.scope.contains(\"write\") } \
    unless { context has source && context.source.isInRange(ip(\"10.0.0.0/8\")) && context.amr.contains(\"mfa\") };";
const ROUNDS: u32 = 20_000;

fn row(number: usize) -> PolicyRow {
    PolicyRow {
        id: format!("pol_{number}"),
        owner_id: Some("acme".to_owned()),
        name: format!("n{number}"),
        text: TEXT.to_owned(),
        hash: text_hash(TEXT),
        state: "enabled".to_owned(),
        version: 1,
        created_by: "acme.boss".to_owned(),
        created_at: 0,
        updated_at: 0,
    }
}

fn facts() -> Facts {
    let owner = "acme".to_owned();
    Facts {
        act: Act::Exchange {
            grant_type: "urn:ietf:params:oauth:grant-type:token-exchange".to_owned(),
            expires_in: 300,
        },
        agent: AgentFacts {
            id: "acme.worker".to_owned(),
            owner: owner.clone(),
            kind: "agent",
            environment: Environment::Live,
        },
        target: Target::Resource { uri: "https://orders.example".to_owned(), owner, environment: None },
        now: 1_795_230_245,
        source: "10.1.2.3".parse().ok(),
        environment: Environment::Live,
        subject: "agent:acme.planner".to_owned(),
        actor: Some("agent:acme.worker".to_owned()),
        scope: ScopeSet::parse("read write").unwrap(),
        user: UserContext { amr: vec!["pwd".to_owned(), "mfa".to_owned()], ..UserContext::default() },
        amount: Some(AmountFact { unit: "USD".to_owned(), decimals: 6, value: 2_000_000 }),
        risk: None,
    }
}

fn main() {
    let facts = facts();
    let began = Instant::now();
    black_box(check(TEXT)).unwrap();
    println!("read and check one text: {:?}", began.elapsed());
    for count in [1, 10, 64] {
        let rows: Vec<PolicyRow> = (0..count).map(row).collect();
        let began = Instant::now();
        let compiled = Compiled::new("acme", &rows).unwrap();
        let compiling = began.elapsed();
        let began = Instant::now();
        for _ in 0..ROUNDS {
            assert!(black_box(compiled.denials(black_box(&facts))).is_empty());
        }
        println!("{count:>3} policies: compiled in {compiling:?}, a decision takes {:?}", began.elapsed() / ROUNDS);
    }
}
