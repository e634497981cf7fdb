//! What is configured is checked at the start, and a password is never shown.

use crate::process::{Redis, free_port};
use stipend::config::{Config, SETTINGS, Source};
use stipend::serve::StartError;
use stipend::testing::TestServer;
use stipend_schema::Backend;
use stipend_schema::testing::TestDatabase;

fn read(settings: &[(&str, &str)]) -> Result<Config, String> {
    let vars = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Source::from_vars(vars).and_then(Config::from_source).map_err(|errors| errors.to_string())
}

#[test]
fn a_password_is_shown_nowhere() {
    let url = "redis://someone:s3cret@redis.example:6380/2";
    let config = read(&[("STIPEND_REDIS_URL", url)]).unwrap();
    assert!(!format!("{config:?}").contains("s3cret"));
    let vars = [("STIPEND_REDIS_URL".to_owned(), url.to_owned())];
    let source = Source::from_vars(vars).unwrap();
    let setting = SETTINGS.iter().find(|setting| setting.env == "STIPEND_REDIS_URL").unwrap();
    assert_eq!(source.shown(setting).unwrap(), "redis://someone:***@redis.example:6380/2");
    for bad in ["redis://:s3cret@h/#insecure", "rediss://:s3cret@h/#insecure", "s3cret", "redis://:s3cret@h/s3cret"] {
        let fault = read(&[("STIPEND_REDIS_URL", bad)]).unwrap_err();
        assert!(fault.contains("STIPEND_REDIS_URL") && !fault.contains("s3cret"), "{fault}");
    }
}

#[test]
fn rates_are_read_and_off_by_default() {
    let rates = read(&[]).unwrap().rates;
    assert_eq!((rates.client, rates.owner), (None, None));
    let rates = read(&[("STIPEND_CLIENT_RATE", "600/60/100"), ("STIPEND_OWNER_RATE", "off")]).unwrap().rates;
    assert_eq!((rates.client.map(|rate| rate.burst()), rates.owner), (Some(100), None));
    for bad in ["600", "0/60", "600/60s", "on", "-1/60"] {
        assert!(read(&[("STIPEND_CLIENT_RATE", bad)]).unwrap_err().contains("STIPEND_CLIENT_RATE"), "{bad}");
    }
    assert!(read(&[("STIPEND_REDIS_CA_FILE", "/x")]).unwrap_err().contains("goes with"));
}

/// Nothing that is wrong with Redis keeps a node from starting, but what is wrong here does.
#[tokio::test]
async fn a_ca_file_that_is_none_is_said_at_the_start() {
    let database = TestDatabase::new(Backend::Sqlite).await;
    let url = format!("rediss://:s3cret@127.0.0.1:{}", free_port());
    let settings = [("STIPEND_REDIS_URL", url.as_str()), ("STIPEND_REDIS_CA_FILE", "/nowhere/ca.pem")];
    let refused = TestServer::try_start_on(database.url(), &settings).await.unwrap_err();
    assert!(matches!(refused, StartError::Redis(_)), "{refused}");
    assert!(refused.to_string().contains("/nowhere/ca.pem") && !format!("{refused:?}").contains("s3cret"));
}

/// Two deployments may share one Redis.
#[tokio::test]
async fn deployments_that_share_a_redis_have_limits_of_their_own() {
    let redis = Redis::start();
    let url = redis.url();
    let settings = [("STIPEND_REDIS_URL", url.as_str()), ("STIPEND_CLIENT_RATE", "3/3600")];
    let (one, other) = tokio::join!(
        crate::world::World::new(Backend::Sqlite, 1, &settings),
        crate::world::World::new(Backend::Sqlite, 1, &settings)
    );
    assert_eq!((one.admitted(5).await, other.admitted(5).await), (3, 3));
}

/// Without Redis nothing is said of it.
#[tokio::test]
async fn a_node_without_redis_is_whole() {
    let world = crate::world::World::new(Backend::Sqlite, 1, &[]).await;
    let (status, body) = world.ready(0).await;
    assert_eq!((status.as_u16(), &body["status"], body.get("redis")), (200, &"ok".into(), None));
}
