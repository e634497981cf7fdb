//! Key-encryption keys in a PKCS#11 token, against SoftHSM.
#![cfg(feature = "pkcs11")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    reason = "tests"
)]

mod softhsm;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use cryptoki::object::Attribute;
use softhsm::{LABEL, PIN, Token, with_token};
use stipend_keys::seal::pkcs11::{KeyName, MAX_PREVIOUS_KEYS, Pkcs11Kek};
use stipend_keys::seal::{KekChain, Pkcs11Error, kek_id, missing_keks};
use stipend_keys::{KeyEncryption, SealError, Sealer, Secret, StaticKek};

const AAD: &[u8] = b"credentials/c1/1";
const OTHER: &[u8] = b"credentials/c2/1";
const VALUE: &[u8] = b"canary-sk-live";

fn connect(token: &Token, key: &str, previous: &[&str]) -> Arc<Pkcs11Kek> {
    Arc::new(Pkcs11Kek::connect(token.config(key, previous)).unwrap())
}

fn refused(token: &Token, key: &str, previous: &[&str]) -> Pkcs11Error {
    Pkcs11Kek::connect(token.config(key, previous)).unwrap_err()
}

fn data_key() -> Secret<[u8; 32]> {
    Secret::new(stipend_keys::secret::random_bytes())
}

#[test]
fn what_is_sealed_with_a_token_opens_with_the_same_aad_only() {
    with_token("what_is_sealed_with_a_token_opens_with_the_same_aad_only", |token| {
        token.generate("kek-1", 1);
        let kek = connect(token, "kek-1", &[]);
        assert_eq!(kek.current_id(), "pkcs11:kek-1");
        let sealer = Sealer::new(kek.clone());
        let sealed = sealer.seal(AAD, VALUE).unwrap();
        assert_eq!(sealer.open(AAD, &sealed).unwrap().expose(), VALUE);
        assert_eq!(sealer.open(OTHER, &sealed).unwrap_err(), SealError::Refused);
        assert_eq!(kek_id(&sealed), Ok("pkcs11:kek-1"));
        assert_eq!(Sealer::new(connect(token, "kek-1", &[])).open(AAD, &sealed).unwrap().expose(), VALUE);

        let key = data_key();
        let wrapped = kek.wrap(AAD, &key).unwrap();
        assert_eq!(kek.unwrap("pkcs11:kek-1", AAD, &wrapped).unwrap().expose(), key.expose());
        assert_eq!(kek.unwrap("pkcs11:kek-1", OTHER, &wrapped).unwrap_err(), SealError::Refused);
        assert_eq!(kek.unwrap("pkcs11:kek-1", b"", &wrapped).unwrap_err(), SealError::Refused);
        let many: HashSet<_> = (0..64).map(|_| kek.wrap(AAD, &key).unwrap()[..12].to_vec()).collect();
        assert_eq!(many.len(), 64, "each wrap has a nonce of its own");
    });
}

#[test]
fn wrapped_keys_do_not_swap_and_no_altered_byte_is_taken() {
    with_token("wrapped_keys_do_not_swap_and_no_altered_byte_is_taken", |token| {
        token.generate("kek-1", 1);
        let kek = connect(token, "kek-1", &[]);
        let (one, other) = (data_key(), data_key());
        let left = kek.wrap(AAD, &one).unwrap();
        let right = kek.wrap(OTHER, &other).unwrap();
        let open = |aad: &[u8], wrapped: &[u8]| kek.unwrap("pkcs11:kek-1", aad, wrapped);
        assert_eq!(open(AAD, &right).unwrap_err(), SealError::Refused);
        assert_eq!(open(OTHER, &left).unwrap_err(), SealError::Refused);
        for index in 0..left.len() {
            let mut flipped = left.clone();
            flipped[index] ^= 1 << (index % 8);
            assert_eq!(open(AAD, &flipped).unwrap_err(), SealError::Refused, "byte {index}");
            assert_eq!(open(AAD, &left[..index]).unwrap_err(), SealError::Malformed, "cut at {index}");
            let mixed = [&left[..index], &right[index..]].concat();
            assert_eq!(open(AAD, &mixed).unwrap_err(), SealError::Refused, "mixed at {index}");
        }
        assert_eq!(open(AAD, &[&left[..], &[0]].concat()).unwrap_err(), SealError::Malformed);
        assert_eq!(open(AAD, &left).unwrap().expose(), one.expose(), "refusals leave the session whole");

        let sealer = Sealer::new(kek.clone());
        let sealed = sealer.seal(AAD, VALUE).unwrap();
        for index in 0..sealed.len() {
            let mut flipped = sealed.clone();
            flipped[index] ^= 0x10;
            assert!(sealer.open(AAD, &flipped).is_err(), "byte {index}");
            assert!(sealer.open(AAD, &sealed[..index]).is_err(), "cut at {index}");
        }
    });
}

#[test]
fn a_previous_key_opens_and_an_unknown_one_is_named() {
    with_token("a_previous_key_opens_and_an_unknown_one_is_named", |token| {
        token.generate("kek-1", 1);
        token.generate("kek-2", 2);
        let before = Sealer::new(connect(token, "kek-1", &[]));
        let sealed = before.seal(AAD, VALUE).unwrap();

        let during = Sealer::new(connect(token, "kek-2", &["kek-1"]));
        assert_eq!(during.open(AAD, &sealed).unwrap().expose(), VALUE);
        assert_eq!(during.needs_rewrap(&sealed), Ok(true));
        let rewrapped = during.rewrap(AAD, &sealed).unwrap();
        assert_eq!(during.needs_rewrap(&rewrapped), Ok(false));

        let after = connect(token, "kek-2", &[]);
        assert_eq!(missing_keks(&*after, [kek_id(&sealed).unwrap()])[0].id(), "pkcs11:kek-1");
        let after = Sealer::new(after);
        assert_eq!(after.open(AAD, &rewrapped).unwrap().expose(), VALUE);
        assert_eq!(after.open(AAD, &sealed).unwrap_err(), SealError::UnknownKek("pkcs11:kek-1".into()));

        // A key that was retired in the token itself still opens.
        token.generate_with("kek-0", 9, &[Attribute::Encrypt(false)]);
        assert!(Pkcs11Kek::connect(token.config("kek-2", &["kek-0"])).is_ok());
    });
}

#[test]
fn a_deployment_moves_from_a_static_key_to_a_token() {
    with_token("a_deployment_moves_from_a_static_key_to_a_token", |token| {
        token.generate("kek-1", 1);
        let fixed = || Arc::new(StaticKek::parse(&"0123456789abcdef".repeat(4), &[]).unwrap());
        let sealed = Sealer::new(fixed()).seal(AAD, VALUE).unwrap();
        let hsm = connect(token, "kek-1", &[]);
        let chain = Sealer::new(Arc::new(KekChain::new(hsm.clone(), vec![fixed()]).unwrap()));
        assert_eq!(chain.open(AAD, &sealed).unwrap().expose(), VALUE);
        assert_eq!(chain.needs_rewrap(&sealed), Ok(true));
        let moved = chain.rewrap(AAD, &sealed).unwrap();
        assert_eq!(Sealer::new(hsm).open(AAD, &moved).unwrap().expose(), VALUE);
    });
}

#[test]
fn keys_are_found_by_id_where_labels_repeat() {
    with_token("keys_are_found_by_id_where_labels_repeat", |token| {
        token.generate("kek", 0x0a);
        token.generate("kek", 0x0b);
        assert_eq!(refused(token, "kek", &[]), Pkcs11Error::KeyAmbiguous("kek".into(), 2));
        let kek = connect(token, "id=0b", &["id=0A"]);
        assert_eq!(kek.key_ids(), ["pkcs11:id=0b", "pkcs11:id=0a"]);
        let key = data_key();
        let wrapped = kek.wrap(AAD, &key).unwrap();
        assert_eq!(kek.unwrap("pkcs11:id=0b", AAD, &wrapped).unwrap().expose(), key.expose());
        assert_eq!(kek.unwrap("pkcs11:id=0a", AAD, &wrapped).unwrap_err(), SealError::Refused);
    });
}

#[test]
fn what_is_missing_or_unfit_is_told_at_start() {
    with_token("what_is_missing_or_unfit_is_told_at_start", |token| {
        token.generate("kek-1", 1);
        token.generate_with("short", 2, &[Attribute::ValueLen(16.into())]);
        token.generate_with("open", 3, &[Attribute::Extractable(true)]);
        token.generate_with("clear", 4, &[Attribute::Sensitive(false)]);
        token.generate_with("decrypts", 5, &[Attribute::Encrypt(false)]);
        token.generate_with("encrypts", 6, &[Attribute::Decrypt(false)]);

        let mut config = token.config("kek-1", &[]);
        config.module = PathBuf::from("/nowhere/module.so");
        assert_eq!(Pkcs11Kek::connect(config).unwrap_err(), Pkcs11Error::Module("/nowhere/module.so".into()));
        let mut config = token.config("kek-1", &[]);
        config.module = token.directory.join("softhsm2.conf");
        assert!(matches!(Pkcs11Kek::connect(config).unwrap_err(), Pkcs11Error::Module(_)));
        let mut config = token.config("kek-1", &[]);
        config.token = "another".into();
        assert_eq!(Pkcs11Kek::connect(config).unwrap_err(), Pkcs11Error::TokenNotFound("another".into()));

        assert_eq!(refused(token, "kek-7", &[]), Pkcs11Error::KeyMissing("kek-7".into()));
        assert_eq!(refused(token, "kek-1", &["kek-7"]), Pkcs11Error::KeyMissing("kek-7".into()));
        assert_eq!(refused(token, "kek-1", &["kek-1"]), Pkcs11Error::Duplicate);
        for (name, why) in [
            ("short", "256 bits"),
            ("open", "read out"),
            ("clear", "read out"),
            ("decrypts", "may not encrypt"),
            ("encrypts", "may not decrypt"),
        ] {
            let error = refused(token, name, &[]);
            assert!(matches!(&error, Pkcs11Error::KeyUnfit(unfit, _) if unfit == name), "{error}");
            assert!(error.to_string().contains(why), "{error}");
        }
        let many: Vec<String> = (0..=MAX_PREVIOUS_KEYS).map(|index| format!("p{index}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(refused(token, "kek-1", &many), Pkcs11Error::TooManyKeys);
    });
}

#[test]
fn a_wrong_pin_is_tried_once_and_never_shown() {
    with_token("a_wrong_pin_is_tried_once_and_never_shown", |token| {
        token.generate("kek-1", 1);
        let mut config = token.config("kek-1", &[]);
        config.pin = Secret::new("wrong-canary".into());
        let shown = format!("{config:?}");
        let error = Pkcs11Kek::connect(config).unwrap_err();
        assert_eq!(error, Pkcs11Error::WrongPin);
        let shown = format!("{shown} {error:?} {error} {}", SealError::from(error.clone()));
        assert!(!shown.contains("canary"), "{shown}");
        let kek = connect(token, "kek-1", &[]);
        assert_eq!(format!("{kek:?}"), r#"Pkcs11Kek["pkcs11:kek-1"]"#);
        assert!(!format!("{:?}", token.config("kek-1", &[])).contains(PIN));

        // The PIN changes under a running provider: one attempt, then none, or the
        // token would lock itself.
        let session = token.session();
        session.set_pin(&PIN.into(), &"another-7391".into()).unwrap();
        session.logout().unwrap();
        drop(session);
        token.driver().get_slots_with_token().unwrap();
        assert_eq!(kek.wrap(AAD, &data_key()).unwrap_err(), SealError::Pkcs11(Pkcs11Error::WrongPin));
        let session = token.driver().open_rw_session(token.slot()).unwrap();
        session.login(cryptoki::session::UserType::User, Some(&"another-7391".into())).unwrap();
        session.set_pin(&"another-7391".into(), &PIN.into()).unwrap();
        session.logout().unwrap();
        assert_eq!(
            kek.wrap(AAD, &data_key()).unwrap_err(),
            SealError::Pkcs11(Pkcs11Error::WrongPin),
            "not tried again"
        );
        assert!(connect(token, "kek-1", &[]).wrap(AAD, &data_key()).is_ok());
    });
}

#[test]
fn a_lost_session_and_a_lost_login_are_made_again() {
    with_token("a_lost_session_and_a_lost_login_are_made_again", |token| {
        token.generate("kek-1", 1);
        let kek = connect(token, "kek-1", &[]);
        let key = data_key();
        let wrapped = kek.wrap(AAD, &key).unwrap();
        for _ in 0..3 {
            token.reset();
            assert_eq!(kek.unwrap("pkcs11:kek-1", AAD, &wrapped).unwrap().expose(), key.expose());
            token.reset();
            assert!(kek.wrap(AAD, &key).is_ok());
            token.session().logout().unwrap();
            assert_eq!(kek.unwrap("pkcs11:kek-1", AAD, &wrapped).unwrap().expose(), key.expose());
            token.session().logout().unwrap();
            assert!(kek.wrap(AAD, &key).is_ok());
            assert_eq!(kek.unwrap("pkcs11:kek-1", OTHER, &wrapped).unwrap_err(), SealError::Refused);
        }
    });
}

#[test]
fn a_removed_token_is_unavailable_and_comes_back() {
    with_token("a_removed_token_is_unavailable_and_comes_back", |token| {
        token.generate("kek-1", 1);
        let kek = connect(token, "kek-1", &[]);
        let key = data_key();
        let wrapped = kek.wrap(AAD, &key).unwrap();
        let (there, away) = (token.directory.join("tokens"), token.directory.join("away"));
        std::fs::rename(&there, &away).unwrap();
        for error in [kek.wrap(AAD, &key).unwrap_err(), kek.unwrap("pkcs11:kek-1", AAD, &wrapped).unwrap_err()] {
            assert!(error.is_temporary(), "{error:?}");
            assert!(matches!(error, SealError::Pkcs11(_)), "{error:?}");
        }
        std::fs::rename(&away, &there).unwrap();
        // SoftHSM looks for tokens when it is initialised only; a driver that watches
        // its slots needs no such help.
        token.reset();
        assert_eq!(kek.unwrap("pkcs11:kek-1", AAD, &wrapped).unwrap().expose(), key.expose());
    });
}

#[test]
fn eight_threads_share_the_sessions() {
    with_token("eight_threads_share_the_sessions", |token| {
        token.generate("kek-1", 1);
        let kek = connect(token, "kek-1", &[]);
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let kek = &kek;
                scope.spawn(move || {
                    for turn in 0..100 {
                        let aad = format!("credentials/{thread}/{turn}");
                        let key = data_key();
                        let wrapped = kek.wrap(aad.as_bytes(), &key).unwrap();
                        let opened = kek.unwrap("pkcs11:kek-1", aad.as_bytes(), &wrapped).unwrap();
                        assert_eq!(opened.expose(), key.expose());
                        assert_eq!(kek.unwrap("pkcs11:kek-1", b"", &wrapped).unwrap_err(), SealError::Refused);
                    }
                });
            }
            // And somebody logs all of them out meanwhile.
            for _ in 0..3 {
                std::thread::sleep(std::time::Duration::from_millis(5));
                drop(token.session().logout());
            }
        });
    });
}

#[test]
fn two_tokens_of_one_label_are_not_guessed_between() {
    with_token("two_tokens_of_one_label_are_not_guessed_between", |token| {
        token.add(LABEL);
        let config = token.config("kek-1", &[]);
        assert_eq!(Pkcs11Kek::connect(config).unwrap_err(), Pkcs11Error::TokenAmbiguous(LABEL.into(), 2));
    });
}

#[test]
fn names_of_keys_are_read_strictly() {
    for name in ["kek-1", "a", "Stipend_2026.q4", "id=00", "id=0a1b"] {
        assert_eq!(name.parse::<KeyName>().unwrap().to_string(), name);
    }
    assert_eq!("id=0A1B".parse::<KeyName>().unwrap().to_string(), "id=0a1b");
    let long = "a".repeat(65);
    let long_id = format!("id={}", "00".repeat(33));
    for name in ["", " ", "a b", "a/b", "a:b", "a=b", "id=", "id=0", "id=0g", "ké", "a\n", &long, &long_id] {
        assert_eq!(name.parse::<KeyName>().unwrap_err(), Pkcs11Error::KeyName, "{name}");
    }
}
