//! Key-encryption keys in a transit engine, against a stand-in of the tests.
#![cfg(feature = "vault")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    reason = "tests"
)]

mod transit;
#[path = "transit/tls.rs"]
mod transit_tls;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rstest::rstest;
use stipend_keys::seal::vault::{MAX_CALLS, MAX_PREVIOUS_KEYS, VaultConfig, VaultKek};
use stipend_keys::seal::{KekChain, VaultError, kek_id};
use stipend_keys::{KeyEncryption, SealError, Sealer, Secret, StaticKek};
use tempfile::TempDir;
use transit::{Mood, Transit, deserted};
use transit_tls::Authority;

const AAD: &[u8] = b"credentials/c1/1";
const OTHER: &[u8] = b"credentials/c2/1";
const VALUE: &[u8] = b"canary-sk-live";
const ID: &str = "vault:transit/stipend";

struct Setting {
    transit: Transit,
    directory: TempDir,
}

impl Setting {
    fn new() -> Self {
        Self::with(Transit::start(None))
    }

    fn with(transit: Transit) -> Self {
        let setting = Self { transit, directory: tempfile::tempdir().unwrap() };
        setting.write_token("hvs.canary-1\n");
        setting
    }

    fn write_token(&self, text: &str) {
        std::fs::write(self.directory.path().join("token"), text).unwrap();
    }

    fn config(&self) -> VaultConfig {
        VaultConfig {
            address: format!("http://127.0.0.1:{}", self.transit.port),
            ca_file: None,
            token_file: self.directory.path().join("token"),
            namespace: None,
            mount: "transit".into(),
            key: "stipend".into(),
            previous: vec![],
            timeout: Duration::from_secs(5),
        }
    }

    fn connect(&self) -> Arc<VaultKek> {
        Arc::new(VaultKek::connect(&self.config()).unwrap())
    }

    fn refused(&self, change: impl FnOnce(&mut VaultConfig)) -> VaultError {
        let mut config = self.config();
        change(&mut config);
        VaultKek::connect(&config).unwrap_err()
    }
}

fn data_key() -> Secret<[u8; 32]> {
    Secret::new(stipend_keys::secret::random_bytes())
}

#[test]
fn what_is_sealed_with_vault_opens_with_the_same_aad_only() {
    let setting = Setting::new();
    let kek = setting.connect();
    let sealer = Sealer::new(kek.clone());
    let sealed = sealer.seal(AAD, VALUE).unwrap();
    assert_eq!(kek_id(&sealed), Ok(ID));
    assert_eq!(sealer.open(AAD, &sealed).unwrap().expose(), VALUE);
    assert_eq!(sealer.open(OTHER, &sealed).unwrap_err(), SealError::Refused);

    let key = data_key();
    let wrapped = kek.wrap(AAD, &key).unwrap();
    assert!(wrapped.starts_with(b"vault:v1:"));
    assert_eq!(kek.unwrap(ID, AAD, &wrapped).unwrap().expose(), key.expose());
    assert_eq!(kek.unwrap(ID, OTHER, &wrapped).unwrap_err(), SealError::Refused);
    assert_eq!(
        kek.unwrap("vault:transit/x", AAD, &wrapped).unwrap_err(),
        SealError::UnknownKek("vault:transit/x".into())
    );
    let asked = &setting.transit.state().asked;
    assert!(asked.iter().all(|(path, _)| path.starts_with("/v1/transit/") && path.ends_with("/stipend")));
}

#[test]
fn wrapped_keys_do_not_swap_and_no_altered_byte_is_taken() {
    let setting = Setting::new();
    let kek = setting.connect();
    let left = kek.wrap(AAD, &data_key()).unwrap();
    let right = kek.wrap(OTHER, &data_key()).unwrap();
    assert_eq!(kek.unwrap(ID, AAD, &right).unwrap_err(), SealError::Refused);
    assert_eq!(kek.unwrap(ID, OTHER, &left).unwrap_err(), SealError::Refused);
    for index in 0..left.len() {
        for bit in [0, 1, 5, 7] {
            let mut flipped = left.clone();
            flipped[index] ^= 1 << bit;
            assert!(kek.unwrap(ID, AAD, &flipped).is_err(), "byte {index} bit {bit}");
        }
        assert_eq!(kek.unwrap(ID, AAD, &left[..index]).unwrap_err(), SealError::Malformed, "cut at {index}");
        let mixed = [&left[..index], &right[index..]].concat();
        // Two texts end alike once in a while: then this is the left one, whole.
        assert!(mixed == left || kek.unwrap(ID, AAD, &mixed).is_err(), "mixed at {index}");
    }
    for tail in [&b"="[..], b"A", b"\n", b" ", b"AAAA"] {
        assert_eq!(kek.unwrap(ID, AAD, &[&left[..], tail].concat()).unwrap_err(), SealError::Malformed);
    }
}

#[test]
fn nothing_but_its_own_ciphertext_is_sent_to_the_service() {
    let setting = Setting::new();
    let kek = setting.connect();
    let wrapped = String::from_utf8(kek.wrap(AAD, &data_key()).unwrap()).unwrap();
    let base64 = wrapped.strip_prefix("vault:v1:").unwrap();
    let before = setting.transit.state().asked.len();
    for text in [
        String::new(),
        "vault:v1:".into(),
        base64.into(),
        format!("vault:v01:{base64}"),
        format!("vault:v+1:{base64}"),
        format!("vault:v0:{base64}"),
        format!("vault:v-1:{base64}"),
        format!("vault:v4294967296:{base64}"),
        format!("Vault:v1:{base64}"),
        format!("vault:v1:{} {}", &base64[..40], &base64[40..]),
        format!("vault:v1:{base64}\"}}"),
        format!("vault:v1:{}", "A".repeat(5000)),
    ] {
        assert_eq!(kek.unwrap(ID, AAD, text.as_bytes()).unwrap_err(), SealError::Malformed, "{text}");
    }
    assert_eq!(kek.unwrap(ID, AAD, &[0xff; 89]).unwrap_err(), SealError::Malformed);
    assert_eq!(setting.transit.state().asked.len(), before);
}

#[test]
fn a_key_rotated_in_vault_opens_old_versions_and_asks_for_a_rewrap() {
    let setting = Setting::new();
    let kek = setting.connect();
    let sealer = Sealer::new(kek.clone());
    let first = sealer.seal(AAD, VALUE).unwrap();
    assert_eq!(sealer.needs_rewrap(&first), Ok(false));
    setting.transit.rotate("stipend");
    let second = sealer.seal(AAD, VALUE).unwrap();
    assert_eq!(sealer.needs_rewrap(&first), Ok(true), "the answer showed version 2");
    assert_eq!(sealer.needs_rewrap(&second), Ok(false));
    assert_eq!(sealer.open(AAD, &first).unwrap().expose(), VALUE);
    // A provider made after the rotation knows it from the start.
    assert_eq!(Sealer::new(setting.connect()).needs_rewrap(&first), Ok(true));
    let rewrapped = sealer.rewrap(AAD, &first).unwrap();
    assert_eq!(sealer.needs_rewrap(&rewrapped), Ok(false));

    setting.transit.state().min_decryption_version = 2;
    let error = sealer.open(AAD, &first).unwrap_err();
    assert_eq!(error, SealError::Vault(VaultError::VersionDisallowed("transit/stipend".into())));
    assert_eq!(sealer.open(AAD, &rewrapped).unwrap().expose(), VALUE);
    setting.transit.state().min_decryption_version = 1;
    setting.transit.state().keys.get_mut("stipend").unwrap().pop();
    let error = sealer.open(AAD, &rewrapped).unwrap_err();
    assert_eq!(error, SealError::Vault(VaultError::VersionUnknown("transit/stipend".into())));
}

#[test]
fn a_deployment_moves_from_a_static_key_to_vault_and_to_another_key_there() {
    let setting = Setting::new();
    let fixed = || Arc::new(StaticKek::parse(&"0123456789abcdef".repeat(4), &[]).unwrap());
    let sealed = Sealer::new(fixed()).seal(AAD, VALUE).unwrap();
    let mut config = setting.config();
    config.key = "older".into();
    let older = Arc::new(VaultKek::connect(&config).unwrap());
    let chain = Sealer::new(Arc::new(KekChain::new(older, vec![fixed()]).unwrap()));
    assert_eq!(chain.needs_rewrap(&sealed), Ok(true));
    let moved = chain.rewrap(AAD, &sealed).unwrap();
    assert_eq!(kek_id(&moved), Ok("vault:transit/older"));

    let mut config = setting.config();
    config.previous = vec!["older".into()];
    let newer = Sealer::new(Arc::new(VaultKek::connect(&config).unwrap()));
    assert_eq!(newer.open(AAD, &moved).unwrap().expose(), VALUE);
    assert_eq!(newer.needs_rewrap(&moved), Ok(true));
    assert_eq!(newer.needs_rewrap(&newer.rewrap(AAD, &moved).unwrap()), Ok(false));
}

#[test]
fn a_renewed_token_is_read_when_the_old_one_is_refused() {
    let setting = Setting::new();
    let kek = setting.connect();
    setting.transit.state().token = "hvs.canary-2".into();
    let error = kek.wrap(AAD, &data_key()).unwrap_err();
    assert_eq!(error, SealError::Vault(VaultError::Denied("transit/stipend".into())));
    assert!(error.is_temporary());
    setting.write_token("hvs.canary-2");
    assert!(kek.wrap(AAD, &data_key()).is_ok());
    let before = setting.transit.state().asked.len();
    assert!(kek.wrap(AAD, &data_key()).is_ok());
    assert_eq!(setting.transit.state().asked.len(), before + 1, "the new token is kept");

    setting.transit.state().token = "hvs.canary-3".into();
    std::fs::remove_file(setting.directory.path().join("token")).unwrap();
    assert!(matches!(kek.wrap(AAD, &data_key()).unwrap_err(), SealError::Vault(VaultError::TokenFile(_))));
}

#[test]
fn a_namespace_is_sent() {
    let setting = Setting::new();
    setting.transit.state().namespace = Some("team/payments".into());
    assert!(matches!(setting.refused(|_| {}), VaultError::Denied(_)));
    let mut config = setting.config();
    config.namespace = Some("team/payments".into());
    assert!(VaultKek::connect(&config).is_ok());
}

#[test]
fn what_is_wrong_is_told_at_start() {
    let setting = Setting::new();
    for address in [
        "",
        "vault:8200",
        "ftp://127.0.0.1",
        "http://vault.example:8200",
        "http://10.0.0.1:8200",
        "http://127.0.0.1.example:8200",
        "https://user:pw@vault.example",
        "https://vault.example/ui",
        "https://vault.example/?x",
        "http://127.0.0.1:1\r\nx: y",
    ] {
        assert_eq!(setting.refused(|config| config.address = address.into()), VaultError::Address, "{address}");
    }
    for name in ["", ".", "..", "a/b", "a b", "a?b", "a#b", "a%2fb", "ä", &"a".repeat(101)] {
        assert_eq!(setting.refused(|config| config.key = name.into()), VaultError::Name, "{name}");
        assert_eq!(setting.refused(|config| config.previous = vec![name.into()]), VaultError::Name, "{name}");
    }
    for path in ["", "/transit", "transit/", "a//b", "a/../b", "a\r\nb"] {
        assert_eq!(setting.refused(|config| config.mount = path.into()), VaultError::Name, "{path}");
        assert_eq!(setting.refused(|config| config.namespace = Some(path.into())), VaultError::Name, "{path}");
    }
    assert_eq!(setting.refused(|config| config.previous = vec!["stipend".into()]), VaultError::Duplicate);
    let many = vec!["x".to_owned(); MAX_PREVIOUS_KEYS + 1];
    assert_eq!(setting.refused(|config| config.previous = many), VaultError::TooManyKeys);
    assert_eq!(setting.refused(|config| config.key = "gone".into()), VaultError::KeyMissing("transit/gone".into()));
    assert_eq!(setting.refused(|config| config.mount = "kv".into()), VaultError::KeyMissing("kv/stipend".into()));
    assert!(matches!(setting.refused(|config| config.token_file = "/nowhere".into()), VaultError::TokenFile(_)));
    for text in ["", " \n", "two words", "line\nline", "tökén", &"x".repeat(9000)] {
        setting.write_token(text);
        assert!(matches!(setting.refused(|_| {}), VaultError::TokenFile(_)), "{text}");
    }
}

#[test]
fn a_service_that_does_not_bind_the_aad_is_refused_at_start() {
    let setting = Setting::new();
    setting.transit.mood(Mood::IgnoresAssociatedData);
    assert_eq!(setting.refused(|_| {}), VaultError::NoAssociatedData);
    setting.transit.mood(Mood::NotAead);
    assert_eq!(setting.refused(|_| {}), VaultError::KeyUnfit("transit/stipend".into()));
}

#[rstest]
#[case(Mood::Status(503, "Vault is sealed"), VaultError::Sealed)]
#[case(Mood::Status(429, "request path rate limit quota exceeded"), VaultError::RateLimited)]
#[case(Mood::Status(500, "internal canary"), VaultError::Failed)]
#[case(Mood::Status(502, "canary"), VaultError::Failed)]
#[case(Mood::Status(404, "no handler"), VaultError::KeyMissing("transit/stipend".into()))]
#[case(Mood::Status(405, "canary"), VaultError::BadAnswer)]
#[case(Mood::Status(204, ""), VaultError::BadAnswer)]
#[case(Mood::Garbage(b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec()), VaultError::BadAnswer)]
#[case(Mood::Body(b"<html>canary</html>".to_vec()), VaultError::BadAnswer)]
#[case(Mood::Body(b"{}".to_vec()), VaultError::BadAnswer)]
#[case(Mood::Body(br#"{"data":{}}"#.to_vec()), VaultError::BadAnswer)]
#[case(Mood::Body(br#"{"data":{"plaintext":"%%","ciphertext":"canary"}}"#.to_vec()), VaultError::BadAnswer)]
#[case(Mood::Body(br#"{"data":{"plaintext":"AAAA","ciphertext":"vault:v1:AAAA"}}"#.to_vec()), VaultError::BadAnswer)]
#[case(Mood::Body(vec![b' '; 100_000]), VaultError::BadAnswer)]
fn a_service_in_trouble_is_told_apart(#[case] mood: Mood, #[case] expected: VaultError) {
    let setting = Setting::new();
    let kek = setting.connect();
    let wrapped = kek.wrap(AAD, &data_key()).unwrap();
    setting.transit.mood(mood.clone());
    assert_eq!(kek.wrap(AAD, &data_key()).unwrap_err(), SealError::Vault(expected.clone()), "{mood:?}");
    let error = kek.unwrap(ID, AAD, &wrapped).unwrap_err();
    assert_eq!(error, SealError::Vault(expected), "{mood:?}");
    assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
    setting.transit.mood(Mood::Well);
    assert!(kek.unwrap(ID, AAD, &wrapped).is_ok());
}

#[test]
fn a_redirect_is_not_followed_and_takes_no_token_along() {
    let setting = Setting::new();
    let kek = setting.connect();
    let thief = Transit::start(None);
    setting.transit.mood(Mood::Redirects(format!("http://127.0.0.1:{}/v1/transit/encrypt/stipend", thief.port)));
    assert_eq!(kek.wrap(AAD, &data_key()).unwrap_err(), SealError::Vault(VaultError::Redirected));
    assert!(thief.state().asked.is_empty());
}

#[rstest]
#[case(Mood::Hangs)]
#[case(Mood::Trickles)]
#[case(Mood::Slow(Duration::from_secs(3)))]
fn a_call_ends_in_time(#[case] mood: Mood) {
    let setting = Setting::new();
    let mut config = setting.config();
    config.timeout = Duration::from_millis(300);
    let kek = VaultKek::connect(&config).unwrap();
    setting.transit.mood(mood);
    let start = Instant::now();
    let error = kek.wrap(AAD, &data_key()).unwrap_err();
    assert_eq!(error, SealError::Vault(VaultError::TimedOut));
    assert!(error.is_temporary() && start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

#[test]
fn a_service_that_is_away_is_unreachable() {
    let setting = Setting::new();
    let gone = format!("http://127.0.0.1:{}", deserted());
    assert_eq!(setting.refused(|config| config.address = gone), VaultError::Unreachable);
}

#[test]
fn connections_are_kept_and_one_that_was_closed_is_replaced() {
    let setting = Setting::new();
    let kek = setting.connect();
    for turn in 0..30 {
        if turn % 4 == 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        let key = data_key();
        let wrapped = kek.wrap(AAD, &key).unwrap();
        assert_eq!(kek.unwrap(ID, AAD, &wrapped).unwrap().expose(), key.expose());
    }
}

#[test]
fn calls_under_way_are_bounded() {
    let setting = Setting::new();
    let kek = setting.connect();
    setting.transit.mood(Mood::Slow(Duration::from_millis(30)));
    std::thread::scope(|scope| {
        for _ in 0..3 * MAX_CALLS {
            scope.spawn(|| {
                let key = data_key();
                let wrapped = kek.wrap(AAD, &key).unwrap();
                assert_eq!(kek.unwrap(ID, AAD, &wrapped).unwrap().expose(), key.expose());
            });
        }
    });
    let most = setting.transit.state().most_under_way;
    assert!((2..=MAX_CALLS).contains(&most), "{most}");
}

#[test]
fn https_is_checked_against_the_configured_ca_only() {
    let authority = Authority::new("ca of the tests");
    let setting = Setting::with(Transit::start(Some(authority.server("ca of the tests"))));
    let ca_file = setting.directory.path().join("ca.pem");
    let address = |config: &mut VaultConfig| config.address = format!("https://127.0.0.1:{}", setting.transit.port);
    let with = |pem: &[u8]| {
        std::fs::write(&ca_file, pem).unwrap();
        let mut config = setting.config();
        address(&mut config);
        config.ca_file = Some(ca_file.clone());
        VaultKek::connect(&config)
    };
    let kek = with(&authority.pem()).unwrap();
    let key = data_key();
    assert_eq!(kek.unwrap(ID, AAD, &kek.wrap(AAD, &key).unwrap()).unwrap().expose(), key.expose());

    let other = Authority::new("ca of the tests");
    let asked = setting.transit.state().asked.len();
    assert_eq!(with(&other.pem()).unwrap_err(), VaultError::Unreachable);
    assert_eq!(setting.transit.state().asked.len(), asked, "nothing was said to the wrong server");
    assert!(with(&[other.pem(), authority.pem()].concat()).is_ok());
    assert_eq!(setting.refused(address), VaultError::NoCaFile);
    for pem in [&b""[..], b"no pem", b"-----BEGIN CERTIFICATE-----\n%%%\n-----END CERTIFICATE-----\n"] {
        assert!(matches!(with(pem).unwrap_err(), VaultError::CaFile(_)));
    }
    let nowhere = PathBuf::from("/nowhere/ca.pem");
    let error = setting.refused(|config| {
        address(config);
        config.ca_file = Some(nowhere);
    });
    assert_eq!(error, VaultError::CaFile("/nowhere/ca.pem".into()));
    // Plain HTTP spoken to a TLS port.
    assert!(matches!(setting.refused(|_| {}), VaultError::BadAnswer | VaultError::Unreachable));
}

#[test]
fn the_access_token_is_never_shown() {
    let setting = Setting::new();
    let kek = setting.connect();
    setting.transit.state().token = "hvs.canary-9".into();
    let error = kek.wrap(AAD, &data_key()).unwrap_err();
    let shown = format!("{kek:?} {:?} {error:?} {error}", setting.config());
    assert!(!shown.contains("canary"), "{shown}");
    assert_eq!(format!("{kek:?}"), r#"VaultKek["vault:transit/stipend"]"#);
}
