//! What the keyring answers, and which records make one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    clippy::too_many_lines,
    reason = "tests"
)]

mod deployment;

use std::sync::Arc;

use deployment::{Deployment, LEEWAY, LIFE, POLICY, START};
use stipend_keys::keyring::{MAX_KEYS, OPEN_ENDED};
use stipend_keys::{Algorithm, KeyRecord, Keyring, KeyringError, Signer};

#[test]
fn the_document_changes_its_tag_exactly_when_it_changes() {
    let mut deployment = Deployment::new();
    deployment.rotate(&POLICY, START);
    let before = deployment.ring.jwks(START);
    assert_eq!(deployment.ring.jwks(START + 500), before);
    deployment.rotate(&POLICY, START + 900);
    let after = deployment.ring.jwks(START + 900);
    assert_ne!(after.body, before.body);
    assert_ne!(after.etag, before.etag);
    assert!(after.etag.starts_with('"') && after.etag.ends_with('"') && after.etag.len() == 45);
    for member in ["\"d\":", "\"p\":", "\"q\":", "\"k\":"] {
        assert!(!after.body.contains(member));
    }
    let takeover = START + 900 + POLICY.publish_ahead_seconds;
    assert_eq!(deployment.ring.next_change(START + 900), Some(takeover));
    assert_eq!(deployment.ring.next_change(takeover), None);
}

fn record() -> (KeyRecord, Arc<Signer>) {
    let mut deployment = Deployment::new();
    deployment.rotate(&POLICY, START);
    (deployment.records[0].clone(), deployment.signers[0].clone())
}

#[test]
fn a_key_signs_and_verifies_within_its_times_and_signs_only_with_its_private_half() {
    let (record, signer) = record();
    let ring = Keyring::new(vec![record.clone()], &[]).unwrap();
    assert!(ring.signing_key(START).is_none());
    assert!(ring.verifier(&record.kid, START).is_some());
    assert!(ring.verifier(&record.kid, START - 1).is_none(), "not yet published");
    assert!(ring.verifier("' OR '1'='1", START).is_none());

    let retire_at = START + 1000;
    let remove_at = retire_at + LIFE + LEEWAY;
    let gone = KeyRecord { retire_at, remove_at, ..record };
    let ring = Keyring::new(vec![gone.clone()], &[signer]).unwrap();
    assert!(ring.signing_key(retire_at - 1).is_some());
    assert!(ring.signing_key(retire_at).is_none(), "retired");
    assert!(ring.verifier(&gone.kid, remove_at - 1).is_some());
    assert!(ring.verifier(&gone.kid, remove_at).is_none(), "removed");
    assert_eq!(ring.jwks(remove_at).body, r#"{"keys":[]}"#);
}

#[test]
fn records_that_contradict_themselves_make_no_keyring() {
    let (good, _) = record();
    let (other, _) = record();
    let ring = |records: Vec<KeyRecord>| Keyring::new(records, &[]).map(|_| ());
    let edit = |change: fn(&mut KeyRecord)| {
        let mut record = good.clone();
        change(&mut record);
        ring(vec![record])
    };
    assert_eq!(ring(vec![good.clone(), other.clone()]), Ok(()));
    assert_eq!(ring(vec![good.clone(), good.clone()]), Err(KeyringError::Duplicate));
    assert_eq!(edit(|r| r.kid = "other".to_owned()), Err(KeyringError::Inconsistent));
    assert_eq!(edit(|r| r.alg = Algorithm::Es256), Err(KeyringError::Inconsistent));
    assert_eq!(edit(|r| r.activate_at = r.publish_at - 1), Err(KeyringError::Times));
    assert_eq!(edit(|r| r.remove_at = START), Err(KeyringError::Times));
    assert_eq!(edit(|r| r.retire_at = OPEN_ENDED + 1), Err(KeyringError::Times));
    assert_eq!(edit(|r| r.public_jwk_json = "{}".to_owned()), Err(KeyringError::PublicKey));
    let swapped = KeyRecord { public_jwk_json: other.public_jwk_json, ..good.clone() };
    assert_eq!(ring(vec![swapped]), Err(KeyringError::Inconsistent));
    let named = KeyRecord {
        kid: "mine".to_owned(),
        public_jwk_json: good.public_jwk_json.replace(&good.kid, "mine"),
        ..good.clone()
    };
    assert_eq!(ring(vec![named]), Err(KeyringError::Inconsistent), "a kid is a thumbprint");
    assert_eq!(ring(vec![good; MAX_KEYS + 1]), Err(KeyringError::TooMany));
}
