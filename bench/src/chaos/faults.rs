//! Doing the faults, and undoing them.

use super::database::Postgres;
use super::node::ServerNode;
use super::proxy::{Proxy, Way};
use super::redis::Redis;
use super::schedule::Fault;
use crate::error::BenchError;
use rustix::process::Signal;
use std::time::Duration;

/// How late a delayed node's traffic is, each way.
const LATE: Duration = Duration::from_millis(200);

/// All that runs for a chaos run; dropping it ends all of it.
#[derive(Debug)]
pub(super) struct Deployment {
    // Dropped in this order: the nodes before what they lean on.
    pub nodes: Vec<ServerNode>,
    pub proxies: Vec<Proxy>,
    pub redis: Option<Redis>,
    pub postgres: Option<Postgres>,
}

impl Deployment {
    /// Does one fault: begins it, waits, ends it.
    pub async fn suffer(&mut self, fault: Fault, lasts: Duration) -> Result<(), BenchError> {
        match fault {
            Fault::Kill(node) => {
                if let Some(node) = self.nodes.get_mut(node) {
                    node.kill().await;
                    tokio::time::sleep(lasts).await;
                    node.start()?;
                }
            }
            Fault::Pause(node) => {
                if let Some(node) = self.nodes.get(node) {
                    node.signal(Signal::STOP);
                    tokio::time::sleep(lasts).await;
                    node.signal(Signal::CONT);
                }
            }
            Fault::Terminate | Fault::Freeze | Fault::Crash | Fault::ReadOnly => self.database(fault, lasts).await?,
            Fault::Blackout => {
                for node in &mut self.nodes {
                    node.kill().await;
                }
                self.database(Fault::Crash, lasts).await?;
                for node in &mut self.nodes {
                    node.start()?;
                }
            }
            Fault::Cut(node) => self.way(node, Way::Cut, lasts).await,
            Fault::Blackhole(node) => self.way(node, Way::Blackhole, lasts).await,
            Fault::Delay(node) => self.way(node, Way::Delay(LATE), lasts).await,
            Fault::KillRedis => {
                if let Some(redis) = &mut self.redis {
                    redis.kill().await;
                    tokio::time::sleep(lasts).await;
                    redis.resume()?;
                }
            }
            Fault::FreezeRedis => {
                if let Some(redis) = &self.redis {
                    redis.signal(Signal::STOP);
                    tokio::time::sleep(lasts).await;
                    redis.signal(Signal::CONT);
                }
            }
        }
        Ok(())
    }

    async fn database(&self, fault: Fault, lasts: Duration) -> Result<(), BenchError> {
        let Some(postgres) = &self.postgres else { return Ok(()) };
        match fault {
            Fault::Freeze => {
                let frozen = postgres.freeze();
                tokio::time::sleep(lasts).await;
                Postgres::thaw(&frozen);
                Ok(())
            }
            Fault::Crash => {
                postgres.crash().await?;
                tokio::time::sleep(lasts).await;
                postgres.resume().await
            }
            Fault::ReadOnly => {
                postgres.read_only(true).await?;
                tokio::time::sleep(lasts).await;
                postgres.read_only(false).await
            }
            _ => postgres.terminate_backends().await,
        }
    }

    async fn way(&self, node: usize, way: Way, lasts: Duration) {
        if let Some(proxy) = self.proxies.get(node) {
            proxy.turn(way);
            tokio::time::sleep(lasts).await;
            proxy.turn(Way::Open);
        }
    }
}
