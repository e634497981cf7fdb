//! PostgreSQL read-only, out of connections, with its backends terminated, stopped in its tracks,
//! and crashed. Whatever hurts a whole server is done to a private one.

use crate::world::{PATIENCE, World};
use std::time::Duration;
use stipend::testing::TestServer;
use stipend_bench::chaos::Postgres;
use stipend_schema::Backend;
use stipend_schema::testing::TestDatabase;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Two over what a node's pool has, and what PostgreSQL keeps for superusers.
const CONNECTIONS: usize = 20;

/// A private PostgreSQL; the directory is dropped after the server.
pub struct Private {
    pub postgres: Postgres,
    pub dir: TempDir,
}

impl Private {
    pub async fn start(settings: &[&str]) -> Self {
        use std::os::unix::fs::PermissionsExt;
        let dir = TempDir::with_prefix("stipend-faults-").unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let postgres = Postgres::start_with(dir.path(), settings).await.unwrap();
        Self { postgres, dir }
    }

    pub fn url(&self) -> String {
        Postgres::url(self.postgres.port)
    }

    pub async fn world(&self) -> World {
        World::on(TestServer::start_on(&self.url(), &[]).await).await
    }
}

async fn read_only(database: &TestDatabase, word: &str) {
    let set = format!("ALTER DATABASE %I SET default_transaction_read_only = {word}");
    let sql = format!("BEGIN READ WRITE; DO $$ BEGIN EXECUTE format('{set}', current_database()); END $$; COMMIT");
    database.execute(&sql).await.unwrap();
    database.cut_connections().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_became_read_only() {
    let database = TestDatabase::new(Backend::Postgres).await;
    let world = World::on(TestServer::start_on(database.url(), &[]).await).await;
    world.endures(async || read_only(&database, "on").await, async || read_only(&database, "off").await).await;
    world.server.stop().await;
}

/// Again and again, in the middle of transactions too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backends_that_are_terminated_again_and_again() {
    let database = TestDatabase::new(Backend::Postgres).await;
    let world = World::on(TestServer::start_on(database.url(), &[]).await).await;
    let base = world.server.issuer.clone();
    let cutting = async {
        for _ in 0..40 {
            database.cut_connections().await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let charging = async {
        let mut number = 0;
        loop {
            let answer = world.charge(&base, number).await;
            assert!([200, 503].contains(&answer.status.as_u16()), "{answer:?}");
            number += 1;
            tokio::task::yield_now().await;
            if number == 60 {
                return number;
            }
        }
    };
    let ((), charged) = tokio::join!(cutting, charging);
    world.is_back(&base).await;
    for number in 0..charged {
        assert_eq!(world.charge(&base, number).await.status, 200);
    }
    world.proofs(charged).await;
    world.server.stop().await;
}

/// Sessions of somebody else: a startup packet each, and then nothing.
struct Crowd(Vec<TcpStream>);

impl Crowd {
    /// One more, where there is room.
    async fn join(&mut self, port: u16) -> bool {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let words = b"user\0postgres\0database\0stipend\0application_name\0crowd\0\0";
        let mut packet = u32::try_from(words.len() + 8).unwrap().to_be_bytes().to_vec();
        packet.extend_from_slice(&196_608_u32.to_be_bytes());
        packet.extend_from_slice(words);
        stream.write_all(&packet).await.unwrap();
        // Authentication ('R') or an error ('E'): too many clients already.
        let said = stream.read_u8().await;
        let is_in = said.is_ok_and(|said| said == b'R');
        if is_in {
            self.0.push(stream);
        }
        is_in
    }

    async fn query(&mut self, sql: &str) {
        let Some(stream) = self.0.first_mut() else { return };
        let mut packet = vec![b'Q'];
        packet.extend_from_slice(&u32::try_from(sql.len() + 5).unwrap().to_be_bytes());
        packet.extend_from_slice(sql.as_bytes());
        packet.push(0);
        stream.write_all(&packet).await.unwrap();
    }

    /// Until all there are, are theirs.
    async fn crowd_out(&mut self, port: u16) {
        while self.0.len() < CONNECTIONS {
            while self.join(port).await {}
            self.query(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE backend_type = 'client backend' AND application_name <> 'crowd'",
            )
            .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_has_no_connection_left() {
    let private = Private::start(&[&format!("max_connections={CONNECTIONS}")]).await;
    let world = private.world().await;
    let crowd = tokio::sync::Mutex::new(Crowd(Vec::new()));
    let port = private.postgres.port;
    let breaks = async || {
        let mut crowd = crowd.lock().await;
        tokio::time::timeout(PATIENCE, crowd.crowd_out(port)).await.expect("all connections are taken");
    };
    world.endures(breaks, async || crowd.lock().await.0.clear()).await;
    world.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_stopped_in_its_tracks() {
    let private = Private::start(&[]).await;
    let world = private.world().await;
    let frozen = std::cell::RefCell::new(Vec::new());
    let breaks = async || {
        frozen.replace(private.postgres.freeze());
    };
    world.endures(breaks, async || Postgres::thaw(&frozen.take())).await;
    world.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_crashes_and_recovers_from_its_log() {
    let private = Private::start(&[]).await;
    let world = private.world().await;
    let breaks = async || private.postgres.crash().await.unwrap();
    world.endures(breaks, async || private.postgres.resume().await.unwrap()).await;
    world.server.stop().await;
}
