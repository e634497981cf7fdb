//! A database of keys on a simulated clock, for the tests of rotation and keyring.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "shared by test binaries that use different parts"
)]

use std::sync::Arc;

use stipend_keys::rotation::NewKey;
use stipend_keys::{Algorithm, KeyRecord, Keyring, RotationPolicy, Signer, SigningKey, plan};

pub const LIFE: i64 = 300;
pub const LEEWAY: i64 = 60;
pub const START: i64 = 1_795_230_000;
pub const POLICY: RotationPolicy = RotationPolicy {
    algorithm: Algorithm::EdDsa,
    period_seconds: 1000,
    publish_ahead_seconds: 120,
    retire_after_seconds: LIFE + LEEWAY,
};

/// A database of keys and the ring made from it.
pub struct Deployment {
    pub records: Vec<KeyRecord>,
    pub signers: Vec<Arc<Signer>>,
    pub ring: Keyring,
    /// Keys that were allowed to sign at once: the first, and those after a distrust.
    pub hurried: Vec<String>,
}

impl Deployment {
    pub fn new() -> Self {
        Self { records: vec![], signers: vec![], ring: Keyring::new(vec![], &[]).unwrap(), hurried: vec![] }
    }

    fn create(&mut self, new: NewKey) -> String {
        let signer = SigningKey::generate(new.algorithm).unwrap().signer().unwrap();
        let kid = signer.kid().to_owned();
        self.records.push(KeyRecord {
            kid: kid.clone(),
            alg: signer.alg(),
            public_jwk_json: signer.public_jwk().to_public_json(),
            publish_at: new.publish_at,
            activate_at: new.activate_at,
            retire_at: new.retire_at,
            remove_at: new.remove_at,
            distrusted_at: None,
        });
        self.signers.push(Arc::new(signer));
        kid
    }

    /// Plans, applies, reloads. Planning twice must change nothing.
    pub fn rotate(&mut self, policy: &RotationPolicy, now: i64) {
        if let Some(plan) = plan(&self.records, policy, now) {
            if let Some(new) = plan.create {
                let kid = self.create(new);
                if new.activate_at == now {
                    self.hurried.push(kid);
                }
            }
            for change in plan.changes {
                let record = self.records.iter_mut().find(|r| r.kid == change.kid).unwrap();
                if record.activate_at != change.activate_at {
                    self.hurried.push(change.kid);
                }
                record.activate_at = change.activate_at;
                record.retire_at = change.retire_at;
                record.remove_at = change.remove_at;
            }
            // A key that has just begun to sign may have something to supersede.
            self.rotate(policy, now);
        }
        assert_eq!(plan(&self.records, policy, now), None, "planning settles");
        self.records.retain(|record| now < record.remove_at);
        self.ring = Keyring::new(self.records.clone(), &self.signers).unwrap();
    }

    pub fn signing_kid(&self, now: i64) -> String {
        self.ring.signing_key(now).expect("a signing key").kid().to_owned()
    }

    pub fn distrust(&mut self, kid: &str, now: i64) {
        let record = self.records.iter_mut().find(|record| record.kid == kid).unwrap();
        record.distrusted_at = Some(now);
    }

    pub fn published(&self, now: i64) -> Vec<String> {
        let body: serde_json::Value = serde_json::from_str(&self.ring.jwks(now).body).unwrap();
        let keys = body["keys"].as_array().unwrap().iter();
        keys.map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
    }
}
