//! A disk that is full. Where this process may mount, it is a small file system that is really
//! full; elsewhere a trigger refuses every row of the audit with the error of a full disk, which is
//! what a node sees of it.

use crate::database::Private;
use crate::world::World;
use std::path::{Path, PathBuf};
use std::process::Command;
use stipend::testing::TestServer;
use stipend_schema::Backend;
use stipend_schema::testing::TestDatabase;
use tempfile::TempDir;

/// Of the small file system, in MiB: some for the tables, none to spare.
const SIZE: usize = 48;

/// A file system in memory; gone with the test.
struct Small(PathBuf);

impl Small {
    fn mount(at: &Path) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let options = format!("size={SIZE}m,mode=777");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(at);
        let mounted = mount.stderr(std::process::Stdio::null()).status().is_ok_and(|status| status.success());
        if !mounted {
            eprintln!("nothing can be mounted here: a trigger stands in for the full disk");
        }
        mounted.then(|| Self(at.to_owned()))
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    /// Writes until there is no room left.
    fn fill(&self) {
        use std::io::Write;
        let mut file = std::fs::File::create(self.filler()).unwrap();
        for size in [64 * 1024, 1024, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
    }

    fn empty(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_under_sqlite() {
    let dir = TempDir::with_prefix("stipend-full-").unwrap();
    let Some(small) = Small::mount(&dir.path().join("small")) else {
        return stand_in(
            Backend::Sqlite,
            "CREATE TRIGGER full BEFORE INSERT ON audit_records BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END",
            "DROP TRIGGER full",
        )
        .await;
    };
    let url = format!("sqlite://{}", small.0.join("stipend.db").display());
    let world = World::on(TestServer::start_on(&url, &[]).await).await;
    world.endures(async || small.fill(), async || small.empty()).await;
    world.server.stop().await;
}

/// The tables are in a tablespace there: PostgreSQL itself goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_under_postgres() {
    let private = Private::start(&["checkpoint_timeout=30"]).await;
    let Some(small) = Small::mount(&private.dir.path().join("small")) else {
        let refuse = "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$; \
             CREATE TRIGGER full_disk BEFORE INSERT ON audit_records FOR EACH ROW EXECUTE FUNCTION full_disk()";
        return stand_in(Backend::Postgres, refuse, "DROP TRIGGER full_disk ON audit_records").await;
    };
    let here = small.0.join("tables");
    std::fs::create_dir(&here).unwrap();
    let owned = Command::new("chown").arg("postgres").arg(&here).status();
    assert!(owned.is_ok_and(|status| status.success()));
    let space = format!("CREATE TABLESPACE small LOCATION '{}'", here.display());
    let moved = ["DROP DATABASE stipend", "CREATE DATABASE stipend TABLESPACE small"];
    private.postgres.sql("postgres", &[&space, moved[0], moved[1]]).await.unwrap();
    let world = private.world().await;
    // What is written during the fault must need new pages.
    let breaks = async || {
        small.fill();
        let rows = "INSERT INTO no_room SELECT repeat('x', 1000) FROM generate_series(1, 100000)";
        let made = private.postgres.sql("stipend", &["CREATE TABLE no_room (t text)"]).await;
        assert!(made.is_err() || private.postgres.sql("stipend", &[rows]).await.is_err());
    };
    world.endures(breaks, async || small.empty()).await;
    world.server.stop().await;
}

async fn stand_in(backend: Backend, refuse: &str, allow: &str) {
    let database = TestDatabase::new(backend).await;
    let world = World::on(TestServer::start_on(database.url(), &[]).await).await;
    let breaks = async || database.execute(refuse).await.unwrap();
    world.endures(breaks, async || database.execute(allow).await.unwrap()).await;
    world.server.stop().await;
}
