//! A node as users run it, whose system clock steps under it: `libfaketime` stands between it and
//! the kernel, and reads anew what time it is at each call. Its monotonic clock goes on.

use crate::world::{PATIENCE, World};
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Instant;
use stipend::testing::{KEK, Process, TestServer};
use stipend_schema::Backend;
use stipend_schema::testing::TestDatabase;
use tokio::process::Child;

/// Where distributions put it: Debian by architecture, others in one of the plain places.
fn library() -> PathBuf {
    let under = |root: &str| {
        let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect::<Vec<PathBuf>>()
    };
    let mut roots = under("/usr/lib");
    roots.extend(["/usr/lib", "/usr/lib64", "/usr/local/lib"].map(PathBuf::from));
    let found = roots.iter().map(|root| root.join("faketime/libfaketimeMT.so.1")).find(|path| path.exists());
    found.expect("libfaketime: scripts/test installs it (Debian: apt-get install libfaketime)")
}

struct Stepped {
    node: Child,
    base: String,
    clock: PathBuf,
}

impl Stepped {
    async fn start(world: &World, folder: &Path) -> Self {
        let clock = folder.join("clock");
        std::fs::write(&clock, "+0").unwrap();
        let (library, file) = (library(), clock.to_str().unwrap());
        let mut node = Process::serve(
            env!("CARGO_BIN_EXE_stipend"),
            &[
                ("STIPEND_ISSUER", &world.server.issuer),
                ("STIPEND_LISTEN", "127.0.0.1:0"),
                ("STIPEND_DATABASE_URL", &world.server.database_url),
                ("STIPEND_KEK", KEK),
                ("LD_PRELOAD", library.to_str().unwrap()),
                ("FAKETIME_TIMESTAMP_FILE", file),
                ("FAKETIME_NO_CACHE", "1"),
                ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ],
        );
        let address = node.until("serving").await["address"].as_str().unwrap().to_owned();
        Self { node: node.unread(), base: format!("http://{address}"), clock }
    }

    /// From now on the node's clock is so many seconds off; in one move, as the node reads it.
    fn step(&self, seconds: i64) {
        let next = self.clock.with_extension("next");
        std::fs::write(&next, format!("{seconds:+}")).unwrap();
        std::fs::rename(&next, &self.clock).unwrap();
    }

    async fn until_ready(&self, world: &World, wanted: StatusCode) -> Value {
        let began = Instant::now();
        loop {
            let answer = world.server.http.get(format!("{}/readyz", self.base)).send().await.unwrap();
            let (status, said) = (answer.status(), answer.json::<Value>().await.unwrap());
            if status == wanted {
                return said;
            }
            assert!(began.elapsed() < PATIENCE, "{status}: {said}");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_system_clock_that_steps_under_a_running_node() {
    let database = TestDatabase::new(Backend::Postgres).await;
    let world = World::on(TestServer::start_on(database.url(), &[]).await).await;
    let folder = tempfile::tempdir().unwrap();
    let mut stepped = Stepped::start(&world, folder.path()).await;
    let (here, there) = (world.server.issuer.clone(), stepped.base.clone());
    stepped.until_ready(&world, StatusCode::OK).await;
    let asked =
        async |token: &str| world.post(&there, "/oauth2/introspect", &world.service, &[("token", token)]).await.body;
    let dead = json!({"active": false});
    let doomed = world.server.token(&world.agent, &[]).await;
    assert_eq!(asked(&doomed).await["active"], true);
    world.post(&here, "/oauth2/revoke", &world.agent, &[("token", &doomed)]).await;
    // What is promised of another node is a second.
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let mut spent = 0;
    // Ten minutes and a day forward, and back behind where it began.
    for seconds in [600, 86_400, -600, -86_400, 0] {
        stepped.step(seconds);
        let wanted = if seconds == 0 { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        let said = stepped.until_ready(&world, wanted).await;
        let off = "off by more than 30 s against the database";
        assert_eq!(said["clock"] == off, seconds != 0, "{said}");
        assert_eq!(asked(&doomed).await, dead, "what was revoked is dead at {seconds:+}");
        // A day on, the token's life is over by that clock; by one that is behind, its key is not
        // valid yet. Nowhere is more done than was asked for.
        let charged = world.charge(&there, spent).await;
        let alive = asked(&world.token).await["active"] == true;
        assert_eq!(alive, charged.status == StatusCode::OK, "{seconds:+}: {}", charged.body);
        let again = world.charge(&here, spent).await;
        assert_eq!((again.status, &again.body["spent"]), (StatusCode::OK, &json!(1)), "{seconds:+}: {}", again.body);
        spent += 1;
    }
    assert_eq!(asked(&world.token).await["active"], true, "its clock is right again");
    world.proofs(spent).await;
    stepped.node.start_kill().unwrap();
    stepped.node.wait().await.unwrap();
    world.server.stop().await;
}
