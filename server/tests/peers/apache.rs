//! Apache with mod_auth_openidc: it fetches the JWKS itself, by https, and verifies locally.

use crate::world::{ORDERS, Service, World, free_port, judges_tokens};
use std::fmt::Write;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const MODULES: &str = "/usr/lib/apache2/modules";
/// It is no program for a search path.
const APACHE: &str = "/usr/sbin/apache2";

fn configuration(folder: &Path, port: u16, issuer: &str) -> String {
    let folder = folder.display();
    let mut text = String::new();
    for (name, file) in [
        ("mpm_event", "mpm_event"),
        ("authn_core", "authn_core"),
        ("authz_core", "authz_core"),
        ("authz_user", "authz_user"),
        ("auth_openidc", "auth_openidc"),
    ] {
        let _ = writeln!(text, "LoadModule {name}_module {MODULES}/mod_{file}.so");
    }
    let _ = write!(
        text,
        "ServerName localhost\nListen 127.0.0.1:{port}\nPidFile {folder}/pid\nErrorLog {folder}/error.log\n\
         DefaultRuntimeDir {folder}\nMutex pthread\nUser www-data\nGroup www-data\nDocumentRoot {folder}/www\n\
         OIDCOAuthVerifyJwksUri {issuer}/oauth2/jwks\nOIDCOAuthSSLValidateServer On\n\
         OIDCCABundlePath {folder}/ca.pem\nOIDCOAuthRemoteUserClaim sub\nOIDCCryptoPassphrase of-no-use-here\n"
    );
    for scope in ["read", "write"] {
        let _ = write!(
            text,
            "<Location /{scope}>\n  AuthType oauth20\n  <RequireAll>\n    Require claim iss:{issuer}\n\
             \x20   Require claim aud:{ORDERS}\n    Require claim \"scope~(^| ){scope}( |$)\"\n  </RequireAll>\n</Location>\n"
        );
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn apache_judges_tokens_by_the_jwks_that_it_fetches() {
    let world = World::new().await;
    let folder = world.folder();
    // Started by root it serves as another user.
    std::fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
    std::fs::create_dir(folder.join("www")).unwrap();
    for scope in ["read", "write"] {
        world.write(&format!("www/{scope}"), "ok");
    }
    let port = free_port();
    let file = world.write("apache.conf", &configuration(folder, port, &world.server.issuer));
    // One process: children would outlive a parent that is killed.
    let args = ["-f", file.to_str().unwrap(), "-X"];
    let service = Service::start(&world, port, APACHE, &args).await;
    // The module answers a claim that is not there like a token that is not good.
    judges_tokens(&world, &service, 401).await;
}
