//! Sealing: what opens, and everything that must not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    clippy::too_many_lines,
    reason = "tests"
)]

use std::sync::Arc;

use proptest::prelude::*;
use stipend_keys::seal::{KekParseError, MAX_PLAINTEXT_BYTES};
use stipend_keys::{KeyEncryption, SealError, Sealer, Secret, StaticKek};

const AAD: &[u8] = b"signing_keys/abc/1";
const VALUE: &[u8] = b"a private key";

fn key(seed: u8) -> Secret<[u8; 32]> {
    let mut bytes = [seed; 32];
    bytes[0] = !seed;
    Secret::new(bytes)
}

fn sealer(current: u8, previous: &[u8]) -> Sealer {
    let previous = previous.iter().map(|seed| key(*seed)).collect();
    Sealer::new(Arc::new(StaticKek::new(key(current), previous).unwrap()))
}

fn refusal(sealer: &Sealer, aad: &[u8], sealed: &[u8]) -> SealError {
    sealer.open(aad, sealed).expect_err("it was opened")
}

#[test]
fn what_is_sealed_opens_with_the_same_key_and_aad_only() {
    let one = sealer(1, &[]);
    let sealed = one.seal(AAD, VALUE).unwrap();
    assert_eq!(one.open(AAD, &sealed).unwrap().expose(), VALUE);
    assert_ne!(one.seal(AAD, VALUE).unwrap(), sealed, "each value has its own data key");
    for aad in [&b""[..], b"signing_keys/abc/2", b"signing_keys/abc/1 ", b"signing_keys/abc/"] {
        assert_eq!(refusal(&one, aad, &sealed), SealError::Refused);
    }
    assert!(!sealed.windows(VALUE.len()).any(|window| window == VALUE));
}

#[test]
fn empty_and_longest_values_are_sealed_and_longer_ones_refused() {
    let one = sealer(1, &[]);
    for length in [0, 1, MAX_PLAINTEXT_BYTES] {
        let value = vec![7; length];
        let sealed = one.seal(AAD, &value).unwrap();
        assert_eq!(one.open(AAD, &sealed).unwrap().expose(), &value);
    }
    let value = vec![7; MAX_PLAINTEXT_BYTES + 1];
    assert_eq!(one.seal(AAD, &value).unwrap_err(), SealError::TooLong);
}

#[test]
fn a_missing_key_is_named() {
    let sealed = sealer(1, &[]).seal(AAD, VALUE).unwrap();
    let id = StaticKek::new(key(1), vec![]).unwrap().current_id().to_owned();
    let error = refusal(&sealer(2, &[3]), AAD, &sealed);
    assert_eq!(error, SealError::UnknownKek(id.clone()));
    assert!(error.to_string().contains(&id));
    assert_eq!(sealer(2, &[3]).rewrap(AAD, &sealed), Err(SealError::UnknownKek(id)));
}

#[test]
fn any_flipped_bit_and_any_truncation_is_refused() {
    let one = sealer(1, &[2]);
    let sealed = one.seal(AAD, VALUE).unwrap();
    for index in 0..sealed.len() {
        for bit in 0..8 {
            let mut flipped = sealed.clone();
            flipped[index] ^= 1 << bit;
            assert!(one.open(AAD, &flipped).is_err(), "byte {index} bit {bit}");
            assert!(one.rewrap(AAD, &flipped).is_err(), "byte {index} bit {bit}");
        }
    }
    for length in 0..sealed.len() {
        assert!(one.open(AAD, &sealed[..length]).is_err(), "{length}");
        assert!(one.rewrap(AAD, &sealed[..length]).is_err(), "{length}");
    }
    assert!(one.open(AAD, &[sealed, vec![0]].concat()).is_err());
}

#[test]
fn parts_of_two_sealed_values_do_not_mix() {
    let one = sealer(1, &[]);
    let left = one.seal(AAD, VALUE).unwrap();
    let right = one.seal(AAD, b"other private").unwrap();
    assert_eq!(left.len(), right.len());
    for cut in 0..left.len() {
        let mixed = [&left[..cut], &right[cut..]].concat();
        let same = mixed == left || mixed == right;
        assert_eq!(one.open(AAD, &mixed).is_ok(), same, "cut at {cut}");
    }
}

#[test]
fn an_unknown_format_is_refused() {
    let one = sealer(1, &[]);
    for bytes in [&[][..], &[0], &[1], &[2, 1, b'a'], &[1, 0, 0, 0], &[1, 1, 0x1b, 0, 0], &[1, 1, b'a', 0xff, 0xff]] {
        assert_eq!(refusal(&one, AAD, bytes), SealError::Malformed);
        assert_eq!(one.needs_rewrap(bytes), Err(SealError::Malformed));
    }
}

#[test]
fn rotating_the_key_rewraps_without_touching_the_ciphertext() {
    let before = sealer(1, &[]);
    let sealed = before.seal(AAD, VALUE).unwrap();
    assert_eq!(before.needs_rewrap(&sealed), Ok(false));

    let during = sealer(2, &[1]);
    assert_eq!(during.open(AAD, &sealed).unwrap().expose(), VALUE);
    assert_eq!(during.needs_rewrap(&sealed), Ok(true));
    assert_eq!(during.rewrap(b"another row", &sealed), Err(SealError::Refused));
    let rewrapped = during.rewrap(AAD, &sealed).unwrap();
    assert_eq!(during.needs_rewrap(&rewrapped), Ok(false));
    assert_eq!(rewrapped[rewrapped.len() - VALUE.len()..], sealed[sealed.len() - VALUE.len()..]);

    let after = sealer(2, &[]);
    assert_eq!(after.open(AAD, &rewrapped).unwrap().expose(), VALUE);
    assert!(matches!(refusal(&after, AAD, &sealed), SealError::UnknownKek(_)));
    assert!(matches!(refusal(&before, AAD, &rewrapped), SealError::UnknownKek(_)));
}

#[test]
fn keys_read_from_hex_and_base64url_are_the_same_key() {
    let hex = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    let base64url = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
    let id = |text: &str| StaticKek::parse(text, &[]).unwrap().current_id().to_owned();
    assert_eq!(id(hex), id(base64url));
    assert_eq!(id(&hex.to_uppercase()), id(base64url));
    assert_eq!(id(&format!(" {hex}\n")), id(base64url));
    assert_eq!(StaticKek::parse(hex, &[base64url]).unwrap_err(), KekParseError::Duplicate);
}

#[test]
fn text_that_is_not_a_key_is_refused_without_being_quoted() {
    let hex = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    for text in [
        "",
        "secret",
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        "AAECAwQFBgcICQoLDA0ODw",
        "+/ECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
        &hex[..62],
        &format!("{hex}00"),
        &hex.replace('f', "g"),
        &"é".repeat(32),
    ] {
        let error = StaticKek::parse(text, &[]).unwrap_err();
        assert_eq!(error, KekParseError::Format, "{text}");
        assert_eq!(StaticKek::parse(hex, &[text]).unwrap_err(), KekParseError::Format);
    }
    assert_eq!(StaticKek::parse(&"00".repeat(32), &[]).unwrap_err(), KekParseError::Weak);
    let many: Vec<_> = (0..17).map(key).collect();
    assert_eq!(StaticKek::new(key(99), many).unwrap_err(), KekParseError::TooMany);
}

#[test]
fn keys_print_as_their_ids() {
    let kek = StaticKek::new(key(1), vec![key(2)]).unwrap();
    let ids: Vec<_> = kek.ids().collect();
    assert_eq!(format!("{kek:?}"), format!("StaticKek{ids:?}"));
    assert!(ids.iter().all(|id| id.len() == 12));
}

proptest! {
    #[test]
    fn any_value_under_any_aad_comes_back(
        aad in prop::collection::vec(any::<u8>(), 0..64),
        value in prop::collection::vec(any::<u8>(), 0..512),
    ) {
        let one = sealer(1, &[]);
        let sealed = one.seal(&aad, &value).unwrap();
        let opened = one.open(&aad, &sealed).unwrap();
        prop_assert_eq!(opened.expose(), &value);
    }

    #[test]
    fn arbitrary_bytes_never_open_and_never_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..256),
        versioned: bool,
    ) {
        let mut bytes = bytes;
        if versioned && !bytes.is_empty() {
            bytes[0] = 1;
        }
        prop_assert!(sealer(1, &[]).open(AAD, &bytes).is_err());
    }
}
