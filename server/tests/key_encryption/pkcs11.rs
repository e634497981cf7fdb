use crate::softhsm::{LABEL, PIN, with_token};
use crate::world::{A, NO_KEY, OWN_SECRETS, World};
use serde_json::json;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use stipend_schema::Backend;

/// Only scripts/test says where SoftHSM is; without it there is no token to test with.
#[expect(clippy::disallowed_methods, reason = "how scripts/test tells a test")]
fn is_here() -> bool {
    std::env::var_os("STIPEND_TEST_SOFTHSM_MODULE").is_some()
}

/// Starts a server on what is stored, and reads its log until it serves or ends.
fn serve(database: &str, settings: &[(&str, &str)]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stipend"));
    command.arg("serve").envs(settings.iter().copied()).stdout(Stdio::null()).stderr(Stdio::piped());
    let place = [("STIPEND_ISSUER", "http://127.0.0.1:0"), ("STIPEND_LISTEN", "127.0.0.1:0")];
    let mut child = command.envs(place).env("STIPEND_DATABASE_URL", database).spawn().unwrap();
    let mut log = String::new();
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        log.push_str(&line.unwrap());
        if log.contains("\"serving\"") {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    log
}

#[test]
fn a_token_seals_opens_after_a_restart_and_takes_over_from_a_static_key() {
    if !is_here() {
        return;
    }
    let test = "pkcs11::a_token_seals_opens_after_a_restart_and_takes_over_from_a_static_key";
    with_token(test, |token| {
        token.generate("kek-1", 1);
        let module = token.module.to_str().unwrap().to_owned();
        let with = |pin: &'static str| {
            [
                ("STIPEND_KEK_PROVIDER", "pkcs11"),
                ("STIPEND_PKCS11_MODULE", module.as_str()),
                ("STIPEND_PKCS11_TOKEN", LABEL),
                ("STIPEND_PKCS11_KEY", "kek-1"),
                ("STIPEND_PKCS11_PIN", pin),
            ]
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new(Backend::Sqlite, &[]).await;
            world.keep("one").await;
            world.restart(&[&with(PIN)[..], &[("STIPEND_KEK", A)]].concat()).await;
            world.keep("two").await;
            world.all_open(&["one", "two"]).await;
            assert_eq!(world.rewrap().await, OWN_SECRETS + 2);
            let alone = [&with(PIN)[..], &[NO_KEY]].concat();
            world.restart(&alone).await;
            world.all_open(&["one", "two"]).await;
            assert_eq!(world.status().await["current"], json!("pkcs11:kek-1"));

            let said = world.refused(&[]).await;
            assert!(said.contains("it is the key kek-1 in a PKCS#11 token"), "{said}");
            let missing = [&with(PIN)[..], &[NO_KEY, ("STIPEND_PKCS11_KEY", "kek-2")]].concat();
            let said = world.refused(&missing).await;
            assert!(said.contains("the PKCS#11 token has no AES key kek-2"), "{said}");
            // Within one process the token stays logged in, so these are processes of their own.
            let said = serve(world.database.url(), &with("canary-wrong"));
            assert!(said.contains("refuses the PIN") && !said.contains("canary"), "{said}");
            assert!(serve(world.database.url(), &with(PIN)).contains("\"serving\""));
        });
    });
}
