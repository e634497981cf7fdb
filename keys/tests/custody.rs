//! Hostile cases of custody that hold for any provider: rows exchanged, fields of the
//! aad run together, secrets in what is printed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    reason = "tests"
)]

use std::fmt::Debug;
use std::sync::Arc;

use proptest::prelude::*;
use stipend_keys::jwe::Parameters;
use stipend_keys::seal::{ChainError, KekChain, Pkcs11Error, VaultError, aad_of, missing_keks};
use stipend_keys::{EncryptionJwk, Fingerprinter, JweError, KeyEncryption, SealError, Sealer, Secret, StaticKek};

const CANARY: &str = "canary0123456789canary0123456789";

fn fixed(seed: u8) -> Arc<StaticKek> {
    let mut bytes = [seed; 32];
    bytes[0] = !seed;
    Arc::new(StaticKek::new(Secret::new(bytes), vec![]).unwrap())
}

/// The row of a credential's version, as a store binds it.
fn row(owner: &str, credential: &str, version: u64) -> Vec<u8> {
    aad_of(&[b"credential", owner.as_bytes(), credential.as_bytes(), &version.to_be_bytes()])
}

#[test]
fn no_row_opens_in_the_place_of_another() {
    let sealer = Sealer::new(Arc::new(KekChain::new(fixed(1), vec![fixed(2)]).unwrap()));
    let rows = [
        row("o1", "c1", 1),
        row("o1", "c1", 2),
        row("o1", "c2", 1),
        row("o2", "c1", 1),
        row("o1c", "1", 1),
        row("o", "1c1", 1),
        row("", "o1c1", 1),
        aad_of(&[b"credential", b"o1", b"c1"]),
        aad_of(&[b"credentialo1", b"c1", &1_u64.to_be_bytes()]),
        aad_of(&[b"webhook", b"o1", b"c1", &1_u64.to_be_bytes()]),
    ];
    let sealed: Vec<_> = rows.iter().map(|aad| sealer.seal(aad, CANARY.as_bytes()).unwrap()).collect();
    for (at, aad) in rows.iter().enumerate() {
        for (from, value) in sealed.iter().enumerate() {
            assert_eq!(sealer.open(aad, value).is_ok(), at == from, "row {from} in the place of {at}");
            assert_eq!(sealer.rewrap(aad, value).is_ok(), at == from, "row {from} in the place of {at}");
        }
    }
}

#[test]
fn a_wrapped_key_of_another_row_and_of_another_provider_is_refused() {
    let one = Sealer::new(fixed(1));
    let other = Sealer::new(fixed(2));
    let both = Sealer::new(Arc::new(KekChain::new(fixed(1), vec![fixed(2)]).unwrap()));
    let (left, right) = (row("o1", "c1", 1), row("o1", "c2", 1));
    // The head of a sealed value is its KEK id and wrapped key: 1 + 1 + 12 + 2 + 60.
    let head = 76;
    let mixed = |from: &Sealer, aad: &[u8]| {
        let target = one.seal(&left, CANARY.as_bytes()).unwrap();
        [&from.seal(aad, CANARY.as_bytes()).unwrap()[..head], &target[head..]].concat()
    };
    assert_eq!(both.open(&left, &mixed(&one, &right)).unwrap_err(), SealError::Refused);
    assert_eq!(both.open(&right, &mixed(&one, &right)).unwrap_err(), SealError::Refused);
    assert_eq!(both.open(&left, &mixed(&other, &left)).unwrap_err(), SealError::Refused);
    assert_eq!(both.open(&left, &mixed(&one, &left)).unwrap_err(), SealError::Refused, "a data key is of one value");
}

#[test]
fn nothing_that_is_printed_has_a_secret() {
    let key: [u8; 32] = CANARY.as_bytes().try_into().unwrap();
    let kek: Arc<dyn KeyEncryption> = Arc::new(StaticKek::new(Secret::new(key), vec![]).unwrap());
    let chain = Arc::new(KekChain::new(kek.clone(), vec![fixed(2)]).unwrap());
    let sealer = Sealer::new(chain.clone());
    let sealed = sealer.seal(b"row", CANARY.as_bytes()).unwrap();
    let jwk = br#"{"kty":"OKP","crv":"X25519","x":"hSDwCYkwp1R0i33ctD73Wg2_Og0mOBr066SpjqqbTmo"}"#;
    let recipient = EncryptionJwk::from_json(jwk).unwrap();
    let content = Secret::new(CANARY.as_bytes().to_vec());
    let too_long = Secret::new(CANARY.repeat(4000).into_bytes());
    let fingerprinter = Fingerprinter::derive(&Secret::new(key));
    let mut shown = vec![
        print(&kek),
        print(&chain),
        print(&sealer),
        print(&sealer.open(b"row", &sealed)),
        print(&sealer.open(b"other", &sealed)),
        print(&Sealer::new(fixed(3)).open(b"row", &sealed)),
        print(&KekChain::new(kek.clone(), vec![kek.clone()])),
        print(&missing_keks(&*kek, ["x"])),
        print(&recipient),
        print(&recipient.encrypt(&Parameters::default(), &content)),
        print(&recipient.encrypt(&Parameters::default(), &too_long)),
        print(&EncryptionJwk::from_json(format!(r#"{{"kty":"{CANARY}","d":"{CANARY}"}}"#).as_bytes())),
        print(&EncryptionJwk::from_json(format!(r#"{{"kty":"{CANARY}"}}"#).as_bytes())),
        print(&EncryptionJwk::from_json(format!(r#"{{"{CANARY}"#).as_bytes())),
        print(&fingerprinter),
        fingerprinter.fingerprint(b"owner", CANARY.as_bytes()),
    ];
    shown.push(String::from_utf8_lossy(&sealed).into_owned());
    for text in shown {
        assert!(!text.contains(&CANARY[..8]), "{text}");
        // Bytes printed as numbers: "can".
        assert!(!text.contains("99, 97, 110"), "{text}");
    }
}

fn print(value: &impl Debug) -> String {
    format!("{value:?} {value:#?}")
}

#[test]
fn every_error_is_a_sentence_for_an_operator() {
    let name = || "x".to_owned();
    let pkcs11 = [
        Pkcs11Error::Module(name()),
        Pkcs11Error::TokenNotFound(name()),
        Pkcs11Error::TokenAmbiguous(name(), 2),
        Pkcs11Error::WrongPin,
        Pkcs11Error::PinLocked,
        Pkcs11Error::PinNotSet,
        Pkcs11Error::KeyMissing(name()),
        Pkcs11Error::KeyAmbiguous(name(), 2),
        Pkcs11Error::KeyUnfit(name(), "it is short"),
        Pkcs11Error::Mechanism,
        Pkcs11Error::Busy,
        Pkcs11Error::Unavailable(name()),
    ];
    let vault = [
        VaultError::CaFile(name()),
        VaultError::NoCaFile,
        VaultError::TokenFile(name()),
        VaultError::Unreachable,
        VaultError::Sealed,
        VaultError::RateLimited,
        VaultError::Denied(name()),
        VaultError::KeyMissing(name()),
        VaultError::VersionDisallowed(name()),
        VaultError::VersionUnknown(name()),
        VaultError::KeyUnfit(name()),
        VaultError::Redirected,
        VaultError::BadAnswer,
        VaultError::Failed,
    ];
    let shown = pkcs11.map(|error| SealError::from(error).to_string()).into_iter();
    let shown = shown.chain(vault.map(|error| SealError::from(error).to_string()));
    for text in shown.chain([ChainError::Duplicate(name()).to_string()]) {
        assert!(text.contains(": ") && text.len() < 240 && !text.contains("  "), "{text}");
    }
    assert_eq!(JweError::Refused.to_string(), "the key could not be encrypted to");
}

proptest! {
    #[test]
    fn two_lists_of_fields_never_make_one_aad(
        left in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 0..4),
        right in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 0..4),
    ) {
        let aad = |fields: &[Vec<u8>]| aad_of(&fields.iter().map(Vec::as_slice).collect::<Vec<_>>());
        prop_assert_eq!(aad(&left) == aad(&right), left == right);
    }

    #[test]
    fn cutting_the_same_bytes_elsewhere_makes_another_aad(
        bytes in prop::collection::vec(any::<u8>(), 1..40),
        one in any::<prop::sample::Index>(),
        other in any::<prop::sample::Index>(),
    ) {
        let (one, other) = (one.index(bytes.len()), other.index(bytes.len()));
        let aad = |at: usize| aad_of(&[&bytes[..at], &bytes[at..]]);
        prop_assert_eq!(aad(one) == aad(other), one == other);
    }

    #[test]
    fn arbitrary_bytes_are_no_key_to_encrypt_to(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(EncryptionJwk::from_json(&bytes).is_err());
    }
}
