use super::*;

fn config(vars: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    Source::from_vars(vars.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())))
        .and_then(Config::from_source)
        .map_err(|errors| errors.0)
}

#[test]
fn the_defaults_are_a_working_configuration() {
    let config = config(&[]).unwrap();
    assert_eq!(config.issuer, "http://127.0.0.1:8080");
    assert_eq!((config.max_depth, config.signing_alg), (4, Algorithm::Es256));
}

#[test]
fn a_secret_comes_from_one_place() {
    let errors = config(&[("STIPEND_KEK", "x"), ("STIPEND_KEK_FILE", "/dev/null")]).unwrap_err();
    assert!(errors.iter().any(|error| error == "STIPEND_KEK and STIPEND_KEK_FILE exclude each other"), "{errors:?}");
}

#[test]
fn every_mistake_is_reported_at_once() {
    let errors = config(&[
        ("STIPEND_ISSUER", "http://as.example"),
        ("STIPEND_LISTEN", "nowhere"),
        ("STIPEND_DATABASE_URL", "mysql://x"),
        ("STIPEND_MAX_DEPTH", "99"),
        ("STIPEND_LISTENER", "x"),
        ("STIPEND_TLS_CERT_FILE", "a.pem"),
        ("STIPEND_KEK_FILE", "/does/not/exist"),
        ("STIPEND_BOOTSTRAP_SECRET", "short"),
    ])
    .unwrap_err();
    for name in [
        "ISSUER",
        "LISTEN:",
        "DATABASE_URL",
        "MAX_DEPTH",
        "STIPEND_LISTENER",
        "did you mean STIPEND_LISTEN",
        "TLS_KEY_FILE",
        "KEK_FILE",
        "BOOTSTRAP_SECRET",
    ] {
        assert!(errors.iter().any(|error| error.contains(name)), "{name} in {errors:#?}");
    }
}

#[test]
fn plain_http_needs_loopback_or_a_declared_proxy() {
    assert!(config(&[("STIPEND_ISSUER", "http://as.example")]).is_err());
    assert!(config(&[("STIPEND_ISSUER", "http://as.example"), ("STIPEND_TRUSTED_PROXIES", "10.0.0.0/8")]).is_ok());
    assert!(config(&[("STIPEND_ISSUER", "http://localhost:1234")]).is_ok());
    assert!(config(&[("STIPEND_ISSUER", "http://[::1]:1234")]).is_ok());
    assert!(config(&[("STIPEND_ISSUER", "http://localhost.evil.example")]).is_err());
    for bad in
        ["https://as.example/", "https://as.example/x", "https://as.example?x", "https://u@as.example", "ftp://a", "x"]
    {
        assert!(config(&[("STIPEND_ISSUER", bad)]).is_err(), "{bad}");
    }
}

#[test]
fn postgres_needs_a_key_encryption_key() {
    let errors = config(&[("STIPEND_DATABASE_URL", "postgres://u:pw@h/d")]).unwrap_err();
    assert!(errors.iter().any(|error| error.starts_with("STIPEND_KEK")), "{errors:?}");
    let key = "0123456789abcdef".repeat(4);
    let config = config(&[("STIPEND_DATABASE_URL", "postgres://u:pw@h/d"), ("STIPEND_KEK", &key)]).unwrap();
    assert!(!format!("{config:?}").contains("pw"), "a password must not be shown");
    assert!(!format!("{config:?}").contains(&key));
}

#[test]
fn the_environment_wins_over_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("stipend.toml");
    std::fs::write(&file, "max_depth = 2\nlisten = \"127.0.0.1:9999\"\n").unwrap();
    let path = file.to_str().unwrap();
    let got = config(&[("STIPEND_CONFIG_FILE", path), ("STIPEND_MAX_DEPTH", "3")]).unwrap();
    assert_eq!((got.max_depth, got.listen.port()), (3, 9999));
    std::fs::write(&file, "max_dept = 2\n").unwrap();
    assert!(config(&[("STIPEND_CONFIG_FILE", path)]).unwrap_err().iter().any(|e| e.contains("did you mean")));
}

#[test]
fn secrets_come_from_files_too() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("secret");
    std::fs::write(&file, format!("{}\n", "s".repeat(40))).unwrap();
    let got = config(&[("STIPEND_BOOTSTRAP_SECRET_FILE", file.to_str().unwrap())]).unwrap();
    assert_eq!(got.bootstrap_secret.unwrap().expose(), &"s".repeat(40));
}

const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const VAULT: [(&str, &str); 3] = [
    ("STIPEND_KEK_PROVIDER", "vault"),
    ("STIPEND_VAULT_ADDRESS", "http://127.0.0.1:8200"),
    ("STIPEND_VAULT_TOKEN_FILE", "/run/vault/token"),
];
const PKCS11: [(&str, &str); 5] = [
    ("STIPEND_KEK_PROVIDER", "pkcs11"),
    ("STIPEND_PKCS11_MODULE", "/usr/lib/hsm.so"),
    ("STIPEND_PKCS11_TOKEN", "main"),
    ("STIPEND_PKCS11_KEY", "kek-1"),
    ("STIPEND_PKCS11_PIN", "canary-7391"),
];

#[test]
fn another_provider_needs_no_static_key_even_with_postgres() {
    let postgres = [("STIPEND_DATABASE_URL", "postgres://u:pw@h/d")];
    let vault = config(&[&VAULT[..], &postgres].concat()).unwrap().kek;
    assert_eq!((vault.provider, vault.fixed.is_none()), (KekProvider::Vault, true));
    let vault = vault.vault.unwrap();
    assert_eq!((vault.mount.as_str(), vault.key.as_str(), vault.timeout.as_secs()), ("transit", "stipend", 5));
    let token = config(&[&PKCS11[..], &postgres].concat()).unwrap();
    assert!(!format!("{token:?}").contains("canary"), "a PIN must not be shown");
    let token = token.kek.pkcs11.unwrap();
    assert_eq!((token.token.as_str(), token.pin.expose().as_str()), ("main", "canary-7391"));
}

#[test]
fn what_is_configured_beside_the_provider_is_there_to_open() {
    let settings = [&VAULT[1..], &PKCS11[1..], &[("STIPEND_KEK", KEY)]].concat();
    let kek = config(&settings).unwrap().kek;
    assert_eq!(kek.provider, KekProvider::Static);
    assert!(kek.vault.is_some() && kek.pkcs11.is_some() && kek.fixed.is_some());
}

#[test]
fn every_mistake_of_key_encryption_is_told_at_once_and_no_secret_is_quoted() {
    let errors = config(&[
        ("STIPEND_KEK_PROVIDER", "kms"),
        ("STIPEND_KEK", "canary-no-key"),
        ("STIPEND_VAULT_ADDRESS", "http://vault.example"),
        ("STIPEND_VAULT_KEY", "a/b"),
        ("STIPEND_VAULT_TIMEOUT_SECONDS", "0"),
        ("STIPEND_PKCS11_MODULE", "/usr/lib/hsm.so"),
        ("STIPEND_PKCS11_KEY", "two words"),
        ("STIPEND_PKCS11_KEYS_PREVIOUS", "kek-0, id=zz"),
    ])
    .unwrap_err()
    .join("\n");
    for told in [
        "STIPEND_KEK_PROVIDER: expected static, vault or pkcs11",
        "STIPEND_KEK, STIPEND_KEK_PREVIOUS: a key-encryption key must be",
        "STIPEND_VAULT_*: the address of Vault must be https",
        "STIPEND_VAULT_*: a name of a mount",
        "STIPEND_VAULT_TOKEN_FILE: required",
        "STIPEND_VAULT_TIMEOUT_SECONDS",
        "STIPEND_PKCS11_TOKEN: required",
        "STIPEND_PKCS11_KEY: expected",
        "STIPEND_PKCS11_KEYS_PREVIOUS: expected",
        "STIPEND_PKCS11_PIN: required",
    ] {
        assert!(errors.contains(told), "{told} in {errors}");
    }
    assert!(!errors.contains("canary"), "{errors}");
}

#[rstest::rstest]
#[case(&[("STIPEND_KEK_PROVIDER", "vault")], "vault needs STIPEND_VAULT_ADDRESS")]
#[case(&[("STIPEND_KEK_PROVIDER", "pkcs11")], "pkcs11 needs STIPEND_PKCS11_MODULE")]
#[case(&[("STIPEND_VAULT_TOKEN_FILE", "/x")], "STIPEND_VAULT_TOKEN_FILE: of no use without STIPEND_VAULT_ADDRESS")]
#[case(&[("STIPEND_PKCS11_PIN", "canary")], "STIPEND_PKCS11_PIN: of no use without STIPEND_PKCS11_MODULE")]
#[case(&[("STIPEND_VAULT_ADDRESS", "https://v.example"), ("STIPEND_VAULT_TOKEN_FILE", "/x")], "needs a CA file")]
#[case(&[("STIPEND_KEK", KEY), ("STIPEND_KEK_PREVIOUS", KEY)], "configured twice")]
fn half_a_provider_is_none(#[case] vars: &[(&str, &str)], #[case] told: &str) {
    let errors = config(vars).unwrap_err();
    assert!(errors.len() == 1 && errors[0].contains(told) && !errors[0].contains("canary"), "{told} in {errors:?}");
}
