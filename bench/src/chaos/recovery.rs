//! How long each node takes, after a fault has ended, until it serves again.

use crate::http::{Credentials, Node};
use serde::Serialize;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// What is promised: every node serves this soon after the end of a fault, with nobody's help.
pub const PROMISED: Duration = Duration::from_secs(5);
/// After this nobody waits for it any more.
const PATIENCE: Duration = Duration::from_secs(30);
/// A probe is sent this often, whether or not the one before was answered: a probe that hangs
/// must not hide that the next one would not.
const PROBE_EVERY: Duration = Duration::from_millis(50);

/// One fault, and what came after.
#[derive(Clone, Debug, Serialize)]
pub struct Recovery {
    pub fault: String,
    /// Seconds since the run began.
    pub at: f64,
    /// Seconds that it lasted.
    pub lasted: f64,
    /// Seconds from its end to the first token that each node issued; `None`: never.
    pub recovered: Vec<Option<f64>>,
}

impl Recovery {
    /// Nodes that took longer than is promised.
    pub fn late(&self) -> impl Iterator<Item = usize> {
        let late = |time: &Option<f64>| time.is_none_or(|time| time > PROMISED.as_secs_f64());
        self.recovered.iter().enumerate().filter(move |(_, time)| late(time)).map(|(node, _)| node)
    }
}

/// The time until a node issues a token.
pub(super) async fn until_served(node: Node, prober: Credentials) -> Option<f64> {
    let began = Instant::now();
    let mut probes = JoinSet::new();
    while began.elapsed() < PATIENCE {
        let (node, prober) = (node.clone(), prober.clone());
        probes.spawn(async move {
            let form = [("grant_type", "client_credentials".to_owned())];
            let said = node.form("/oauth2/token", &prober, None, &form).await;
            said.is_ok_and(|reply| reply.status == 200)
        });
        let next = tokio::time::sleep(PROBE_EVERY);
        tokio::pin!(next);
        loop {
            tokio::select! {
                Some(served) = probes.join_next() => if served.unwrap_or_default() {
                    return Some(began.elapsed().as_secs_f64());
                },
                () = &mut next => break,
            }
        }
    }
    None
}
