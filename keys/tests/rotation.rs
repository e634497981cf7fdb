//! Rotation against a simulated clock, second by second.
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

use std::collections::{BTreeMap, VecDeque};

use deployment::{Deployment, LEEWAY, LIFE, POLICY, START};
use proptest::prelude::*;
use stipend_keys::{Algorithm, KeyringError, PublicJwkSet, RotationPolicy, TokenKind, Unverified};

/// What an outside observer can hold against the deployment, second by second.
#[derive(Default)]
struct Observer {
    first_published: BTreeMap<String, i64>,
    signed: VecDeque<(i64, String)>,
    distrusted: Vec<String>,
}

impl Observer {
    fn look(&mut self, deployment: &Deployment, now: i64) {
        let published = deployment.published(now);
        for kid in &published {
            self.first_published.entry(kid.clone()).or_insert(now);
            assert!(!self.distrusted.contains(kid), "a distrusted key is published at {now}");
        }
        let kid = deployment.signing_kid(now);
        assert!(!self.distrusted.contains(&kid), "a distrusted key signs at {now}");
        assert!(published.contains(&kid), "the signing key is not published at {now}");
        if !deployment.hurried.contains(&kid) {
            let ahead = now - self.first_published[&kid];
            assert!(ahead >= POLICY.publish_ahead_seconds, "published {ahead} s ahead at {now}");
        }
        self.signed.push_back((now, kid));
        while self.signed.front().is_some_and(|(at, _)| *at < now - LIFE - LEEWAY) {
            self.signed.pop_front();
        }
        // One look per signature would be quadratic; the oldest, per key, decides.
        let mut kids: Vec<_> = self.signed.iter().map(|(_, kid)| kid).collect();
        kids.dedup();
        for kid in kids {
            let verifies = deployment.ring.verifier(kid, now).is_some();
            assert_eq!(verifies, !self.distrusted.contains(kid), "a live token's key at {now}");
        }
    }
}

#[test]
fn at_every_second_one_key_signs_and_every_live_token_verifies() {
    let mut deployment = Deployment::new();
    let mut observer = Observer::default();
    let mut signers = vec![];
    for now in START..START + 12_000 {
        if (now - START) % 7 == 0 {
            deployment.rotate(&POLICY, now);
        }
        observer.look(&deployment, now);
        signers.push(deployment.signing_kid(now));
    }
    signers.dedup();
    assert!((11..=13).contains(&signers.len()), "{} keys signed", signers.len());
    let count = signers.len();
    signers.sort();
    signers.dedup();
    assert_eq!(signers.len(), count, "no key comes back");
    assert_eq!(deployment.hurried.len(), 1, "only the first key was in a hurry");
    assert!(deployment.records.len() <= 3, "old keys go");
}

#[test]
fn a_rotation_job_that_stops_makes_a_key_sign_longer_and_no_worse() {
    let mut deployment = Deployment::new();
    let mut observer = Observer::default();
    for now in START..START + 20_000 {
        let down = (now - START) % 5000 > 1500;
        if !down && (now - START) % 30 == 0 {
            deployment.rotate(&POLICY, now);
        }
        observer.look(&deployment, now);
    }
    assert_eq!(deployment.hurried.len(), 1);
}

#[test]
fn a_distrusted_key_is_gone_at_once_and_replaced_at_once() {
    let mut deployment = Deployment::new();
    let mut observer = Observer::default();
    // Distrust the signing key once without and once with a successor waiting, then
    // the waiting successor itself.
    for now in START..START + 9000 {
        let victim = match now - START {
            400 | 2350 => Some(deployment.signing_kid(now)),
            5000 => {
                let pending = deployment.records.iter().find(|r| now < r.activate_at);
                Some(pending.map_or_else(|| deployment.signing_kid(now), |r| r.kid.clone()))
            }
            _ => None,
        };
        if let Some(kid) = victim {
            deployment.distrust(&kid, now);
            observer.distrusted.push(kid);
            deployment.rotate(&POLICY, now);
        } else if (now - START) % 10 == 0 {
            deployment.rotate(&POLICY, now);
        }
        observer.look(&deployment, now);
    }
    assert!((2..=4).contains(&deployment.hurried.len()));
}

#[test]
fn a_new_algorithm_takes_over_after_its_key_was_published() {
    let mut deployment = Deployment::new();
    deployment.rotate(&POLICY, START);
    let es256 = RotationPolicy { algorithm: Algorithm::Es256, ..POLICY };
    let mut observer = Observer::default();
    for now in START..START + 200 {
        if now >= START + 50 {
            deployment.rotate(&es256, now);
        }
        observer.look(&deployment, now);
        let alg = deployment.ring.signing_key(now).unwrap().alg();
        let expected = if now < START + 170 { Algorithm::EdDsa } else { Algorithm::Es256 };
        assert_eq!(alg, expected, "at {}", now - START);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn no_schedule_of_rotations_and_distrusts_breaks_the_promises(
        gaps in prop::collection::vec(1_i64..400, 1..20),
        distrusts in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let mut deployment = Deployment::new();
        let mut observer = Observer::default();
        let mut now = START;
        deployment.rotate(&POLICY, now);
        observer.look(&deployment, now);
        let when: Vec<usize> = distrusts.iter().map(|index| index.index(gaps.len())).collect();
        for (step, gap) in gaps.iter().enumerate() {
            for _ in 0..*gap {
                now += 1;
                observer.look(&deployment, now);
            }
            if when.contains(&step) {
                let kid = deployment.signing_kid(now);
                deployment.distrust(&kid, now);
                observer.distrusted.push(kid);
            }
            deployment.rotate(&POLICY, now);
            observer.look(&deployment, now);
        }
    }
}

#[test]
fn a_node_with_an_older_ring_and_one_with_a_newer_verify_at_one_relying_service() {
    let mut deployment = Deployment::new();
    deployment.rotate(&POLICY, START);
    deployment.rotate(&POLICY, START + 900);
    let takeover = START + 900 + POLICY.publish_ahead_seconds;
    // What a relying service fetched just after the successor appeared.
    let body = deployment.ring.jwks(START + 901).body;
    let document = PublicJwkSet::from_published_json(body.as_bytes()).unwrap();
    let mut used = vec![];
    for clock in [takeover - 1, takeover] {
        let signer = deployment.ring.signing_key(clock).unwrap();
        let token = signer.sign(TokenKind::AccessToken, b"{}").unwrap();
        let token = Unverified::parse(&token).unwrap();
        let key = document.candidates(token.alg(), token.kid()).next().unwrap();
        let verified = key.verifier().unwrap().verify(token, TokenKind::AccessToken).unwrap();
        used.push(verified.kid().to_owned());
    }
    assert_ne!(used[0], used[1]);
}

#[test]
fn a_policy_that_would_orphan_tokens_or_overlap_is_refused() {
    assert_eq!(POLICY.check(LIFE, LEEWAY), Ok(()));
    assert!(matches!(POLICY.check(LIFE + 1, LEEWAY), Err(KeyringError::Policy(_))));
    for (period_seconds, publish_ahead_seconds) in [(120, 120), (0, 0), (1000, -1)] {
        let policy = RotationPolicy { period_seconds, publish_ahead_seconds, ..POLICY };
        assert!(matches!(policy.check(LIFE, LEEWAY), Err(KeyringError::Policy(_))));
    }
}

mod beside {
    use super::*;
    use stipend_keys::rotation::plans;
    use stipend_keys::{KeyRecord, SigningKey};

    const ES256: Algorithm = Algorithm::Es256;
    const EDDSA: Algorithm = Algorithm::EdDsa;

    /// Two rings over one store, planned every ten minutes.
    #[derive(Default)]
    struct Pair {
        records: Vec<KeyRecord>,
        signers: Vec<std::sync::Arc<stipend_keys::Signer>>,
    }

    impl Pair {
        fn plan(&mut self, policy: &RotationPolicy, beside: Option<Algorithm>, now: i64) {
            // As the server does: what is removed is planned with no more.
            self.records.retain(|record| now < record.remove_at);
            for plan in plans(&self.records, policy, beside, now) {
                for change in plan.changes {
                    let record = self.records.iter_mut().find(|record| record.kid == change.kid).unwrap();
                    (record.activate_at, record.retire_at, record.remove_at) =
                        (change.activate_at, change.retire_at, change.remove_at);
                }
                if let Some(new) = plan.create {
                    let key = SigningKey::generate(new.algorithm).unwrap();
                    self.records.push(KeyRecord {
                        kid: key.kid().to_owned(),
                        alg: key.alg(),
                        public_jwk_json: key.public_jwk().to_public_json(),
                        publish_at: new.publish_at,
                        activate_at: new.activate_at,
                        retire_at: new.retire_at,
                        remove_at: new.remove_at,
                        distrusted_at: None,
                    });
                    self.signers.push(std::sync::Arc::new(key.signer().unwrap()));
                }
            }
        }

        fn ring(&self, beside: Option<Algorithm>) -> stipend_keys::Keyring {
            stipend_keys::Keyring::new(self.records.clone(), &self.signers).unwrap().with_beside(beside)
        }

        fn algs(&self, beside: Algorithm, now: i64) -> (Option<Algorithm>, Option<Algorithm>) {
            let ring = self.ring(Some(beside));
            let tokens = ring.signing_key(now).map(|signer| signer.alg());
            (tokens, ring.signing_key_of(beside, now).map(|signer| signer.alg()))
        }
    }

    #[test]
    fn each_algorithm_always_has_its_key_and_neither_retires_the_other() {
        let policy = RotationPolicy { algorithm: ES256, ..POLICY };
        let mut pair = Pair::default();
        for step in 0..200 {
            let now = START + step * 600;
            pair.plan(&policy, Some(EDDSA), now);
            assert_eq!(pair.algs(EDDSA, now), (Some(ES256), Some(EDDSA)), "at step {step}");
        }
        let made = |alg| pair.signers.iter().filter(|signer| signer.alg() == alg).count();
        assert!(made(EDDSA) > 2 && made(ES256) > 2, "both rotated");
    }

    #[test]
    fn what_signed_before_signs_on_until_its_successor_is_known_and_a_distrusted_one_is_succeeded_at_once() {
        // It was EdDSA for all; then tokens become ES256, and EdDSA stays for events.
        let mut pair = Pair::default();
        pair.plan(&RotationPolicy { algorithm: EDDSA, ..POLICY }, None, START);
        let policy = RotationPolicy { algorithm: ES256, ..POLICY };
        pair.plan(&policy, Some(EDDSA), START + 10);
        assert_eq!(pair.algs(EDDSA, START + 10), (Some(EDDSA), Some(EDDSA)), "not known to anybody yet");
        let over = START + 10 + POLICY.publish_ahead_seconds;
        pair.plan(&policy, Some(EDDSA), over);
        assert_eq!(pair.algs(EDDSA, over), (Some(ES256), Some(EDDSA)));
        assert_eq!(pair.records.len(), 2, "events keep their key");
        // Distrusted with a successor on its way, which steps in; the key of events does not.
        let due = over + POLICY.period_seconds - POLICY.publish_ahead_seconds;
        pair.plan(&policy, Some(EDDSA), due);
        let current = pair.ring(Some(EDDSA)).signing_key(due).unwrap().kid().to_owned();
        pair.records.iter_mut().find(|record| record.kid == current).unwrap().distrusted_at = Some(due);
        pair.plan(&policy, Some(EDDSA), due);
        let next = pair.ring(Some(EDDSA));
        let next = next.signing_key(due).unwrap();
        assert!(next.alg() == ES256 && next.kid() != current);
    }
}
