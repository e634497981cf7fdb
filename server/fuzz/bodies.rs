//! What each fuzz target does with its input. The targets and the smoke test in
//! `tests/fuzz_smoke` share these, so what CI runs is what the fuzzer runs.

use stipend::policy;
use stipend::signals::{self, NewStatus, Poll, StreamRequest, Verification};

/// The text of a policy: reading it ends, and it is either stored as it is or refused with the
/// place of what is wrong, which is in the text.
pub fn policy_text(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match policy::check(text) {
        Ok(checked) => {
            assert!((1..=16).contains(&checked.statements), "{}", checked.statements);
            assert_eq!(checked.hash, policy::text_hash(text));
            assert!(!text.contains("permit ("), "what permits is refused");
        }
        Err(faults) => {
            assert!(!faults.is_empty() && faults.len() <= 8);
            let lines = text.split('\n').count();
            for fault in faults {
                assert!(fault.line >= 1 && fault.column >= 1 && fault.line <= lines + 1, "{fault:?}");
                assert!(fault.message.chars().count() <= 301, "{fault:?}");
            }
        }
    }
}

/// The bodies of the Shared Signals endpoints: what is read is JSON that anybody would read the
/// same way, and says nothing of what it must not show.
pub fn signal_bodies(data: &[u8]) {
    let stream = signals::parse::<StreamRequest>(data);
    let status = signals::parse::<NewStatus>(data);
    let verify = signals::parse::<Verification>(data);
    let poll = signals::parse::<Poll>(data);
    if stream.is_some() || status.is_some() || verify.is_some() || poll.is_some() {
        let lenient: serde_json::Value =
            serde_json::from_slice(data).unwrap_or_else(|error| panic!("accepted what serde_json refuses: {error}"));
        assert!(lenient.is_object());
        let shown = format!("{stream:?}");
        let secret = lenient.pointer("/delivery/authorization_header").and_then(serde_json::Value::as_str);
        // A secret of a few letters is in every text.
        let leaks = secret.is_some_and(|secret| secret.len() > 24 && shown.contains(secret));
        assert!(!leaks || lenient.get("description").is_some() || lenient.as_object().is_some_and(|all| all.len() > 1));
    }
}
