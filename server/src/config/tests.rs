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
    let key = "0".repeat(64);
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
