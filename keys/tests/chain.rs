//! Several providers as one: moving between them, and the check at start.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    reason = "tests"
)]

use std::sync::Arc;

use rstest::rstest;
use stipend_keys::seal::{ChainError, DataKey, KekChain, MAX_CHAIN_PROVIDERS, kek_id, missing_keks};
use stipend_keys::{KeyEncryption, SealError, Sealer, Secret, StaticKek};

const AAD: &[u8] = b"credentials/c1/1";
const VALUE: &[u8] = b"an API key";

/// A provider elsewhere: a static key under a namespaced id.
#[derive(Debug)]
struct Elsewhere {
    id: &'static str,
    key: StaticKek,
}

impl KeyEncryption for Elsewhere {
    fn current_id(&self) -> &str {
        self.id
    }

    fn key_ids(&self) -> Vec<&str> {
        vec![self.id]
    }

    fn wrap(&self, aad: &[u8], data_key: &DataKey) -> Result<Vec<u8>, SealError> {
        self.key.wrap(aad, data_key)
    }

    fn unwrap(&self, kek_id: &str, aad: &[u8], wrapped: &[u8]) -> Result<DataKey, SealError> {
        if kek_id != self.id {
            return Err(SealError::UnknownKek(kek_id.to_owned()));
        }
        self.key.unwrap(self.key.current_id(), aad, wrapped)
    }
}

fn fixed(seed: u8) -> Arc<StaticKek> {
    let mut bytes = [seed; 32];
    bytes[0] = !seed;
    Arc::new(StaticKek::new(Secret::new(bytes), vec![]).unwrap())
}

fn elsewhere(id: &'static str, seed: u8) -> Arc<Elsewhere> {
    let mut bytes = [seed; 32];
    bytes[0] = !seed;
    Arc::new(Elsewhere { id, key: StaticKek::new(Secret::new(bytes), vec![]).unwrap() })
}

fn sealer(current: Arc<dyn KeyEncryption>, previous: Vec<Arc<dyn KeyEncryption>>) -> Sealer {
    Sealer::new(Arc::new(KekChain::new(current, previous).unwrap()))
}

#[test]
fn values_move_from_a_static_key_to_a_service_to_a_token() {
    let sealed = Sealer::new(fixed(1)).seal(AAD, VALUE).unwrap();

    let second = sealer(elsewhere("vault:transit/stipend", 2), vec![fixed(1)]);
    assert_eq!(second.open(AAD, &sealed).unwrap().expose(), VALUE, "what was sealed before opens");
    assert_eq!(second.needs_rewrap(&sealed), Ok(true));
    let moved = second.rewrap(AAD, &sealed).unwrap();
    assert_eq!(second.needs_rewrap(&moved), Ok(false));
    assert_eq!(kek_id(&moved), Ok("vault:transit/stipend"));

    let third = sealer(elsewhere("pkcs11:stipend", 3), vec![elsewhere("vault:transit/stipend", 2), fixed(1)]);
    for older in [&sealed, &moved] {
        assert_eq!(third.needs_rewrap(older), Ok(true));
        assert_eq!(third.open(AAD, &third.rewrap(AAD, older).unwrap()).unwrap().expose(), VALUE);
        assert_eq!(third.rewrap(b"credentials/c2/1", older), Err(SealError::Refused));
    }
    let only_token = Sealer::new(elsewhere("pkcs11:stipend", 3));
    assert_eq!(only_token.open(AAD, &third.rewrap(AAD, &moved).unwrap()).unwrap().expose(), VALUE);
    assert_eq!(only_token.open(AAD, &moved).unwrap_err(), SealError::UnknownKek("vault:transit/stipend".into()));
}

#[test]
fn a_value_does_not_open_under_the_name_of_another_provider() {
    // The same key material behind both ids: the id itself is bound.
    let chain = sealer(elsewhere("vault:transit/a", 2), vec![elsewhere("vault:transit/b", 2)]);
    let sealed = chain.seal(AAD, VALUE).unwrap();
    let mut renamed = sealed.clone();
    let at = 2 + "vault:transit/".len();
    assert_eq!(renamed[at], b'a');
    renamed[at] = b'b';
    assert_eq!(kek_id(&renamed), Ok("vault:transit/b"));
    assert_eq!(chain.open(AAD, &renamed).unwrap_err(), SealError::Refused);
}

#[test]
fn a_refusal_is_final_and_asks_nobody_else() {
    #[derive(Debug)]
    struct Untouched;
    impl KeyEncryption for Untouched {
        fn current_id(&self) -> &str {
            "vault:transit/untouched"
        }
        fn key_ids(&self) -> Vec<&str> {
            vec!["vault:transit/untouched"]
        }
        fn wrap(&self, _: &[u8], _: &DataKey) -> Result<Vec<u8>, SealError> {
            panic!("asked to wrap")
        }
        fn unwrap(&self, _: &str, _: &[u8], _: &[u8]) -> Result<DataKey, SealError> {
            panic!("asked to unwrap")
        }
    }
    let chain = sealer(fixed(1), vec![Arc::new(Untouched)]);
    let mut sealed = chain.seal(AAD, VALUE).unwrap();
    assert_eq!(chain.open(b"credentials/c2/1", &sealed).unwrap_err(), SealError::Refused);
    let at = sealed.len() - VALUE.len() - 40;
    sealed[at] ^= 1;
    assert_eq!(chain.open(AAD, &sealed).unwrap_err(), SealError::Refused);
}

#[test]
fn a_key_in_two_providers_and_too_many_providers_are_refused() {
    let id = fixed(1).current_id().to_owned();
    assert_eq!(KekChain::new(fixed(1), vec![fixed(1)]).unwrap_err(), ChainError::Duplicate(id.clone()));
    let twice: Vec<Arc<dyn KeyEncryption>> = vec![fixed(1), elsewhere("vault:transit/a", 1), fixed(1)];
    assert_eq!(KekChain::new(fixed(2), twice).unwrap_err(), ChainError::Duplicate(id));
    let many = |count: u8| (2..2 + count).map(|seed| fixed(seed) as Arc<dyn KeyEncryption>).collect::<Vec<_>>();
    let limit = u8::try_from(MAX_CHAIN_PROVIDERS).unwrap();
    assert!(KekChain::new(fixed(1), many(limit - 1)).is_ok());
    assert_eq!(KekChain::new(fixed(1), many(limit)).unwrap_err(), ChainError::TooMany);
}

#[test]
fn a_chain_lists_the_keys_of_all_its_providers() {
    let (one, two) = (fixed(1), fixed(2));
    let chain = KekChain::new(one.clone(), vec![elsewhere("vault:transit/a", 3), two.clone()]).unwrap();
    assert_eq!(chain.current_id(), one.current_id());
    assert_eq!(chain.key_ids(), [one.current_id(), "vault:transit/a", two.current_id()]);
}

#[test]
fn keys_that_the_database_needs_and_nobody_has_are_named_once() {
    let (one, lost) = (fixed(1), fixed(9));
    let chain = KekChain::new(one.clone(), vec![elsewhere("vault:transit/a", 3)]).unwrap();
    let found = [one.current_id(), lost.current_id(), "vault:transit/a", "vault:transit/b", lost.current_id()];
    let missing = missing_keks(&chain, found);
    let mut ids: Vec<_> = missing.iter().map(|kek| kek.id()).collect();
    let mut expected = [lost.current_id(), "vault:transit/b"];
    ids.sort_unstable();
    expected.sort_unstable();
    assert_eq!(ids, expected);
    assert!(missing_keks(&chain, [one.current_id(), "vault:transit/a"]).is_empty());
    assert!(missing_keks(&chain, []).is_empty());
}

#[rstest]
#[case("AbCdEfGhIjKl", "static key", "STIPEND_KEK_PREVIOUS")]
#[case("pkcs11:stipend-2026", "the key stipend-2026 in a PKCS#11 token", "configure that token")]
#[case("vault:transit/stipend", "the transit key transit/stipend", "configure that service")]
#[case("kms:alias", "its kind kms is unknown", "newer release")]
fn a_missing_key_is_explained(#[case] id: &str, #[case] what: &str, #[case] remedy: &str) {
    let missing = missing_keks(&*fixed(1), [id]);
    let text = missing[0].to_string();
    assert!(text.contains(id) && text.contains(what) && text.contains(remedy), "{text}");
}

#[test]
fn an_id_from_the_database_cannot_fake_a_line_of_a_log() {
    let text = missing_keks(&*fixed(1), ["a\nERROR: \u{1b}[31mgone"])[0].to_string();
    assert!(!text.contains(['\n', '\u{1b}']), "{text}");
}
