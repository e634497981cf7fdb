//! Every reason says what it may, and strangers learn nothing by it.

use super::*;

#[test]
fn descriptions_keep_to_the_alphabet_of_rfc_6749_5_2() {
    for reason in Reason::ALL {
        let ok = |text: &str| text.bytes().all(|b| matches!(b, 0x20 | 0x21 | 0x23..=0x5B | 0x5D..=0x7E));
        assert!(ok(reason.description()) && ok(reason.code().error()), "{reason:?}");
    }
}

#[test]
fn every_reason_its_code_and_status() {
    let table: Vec<String> = Reason::ALL
        .iter()
        .map(|r| format!("{:<28} {} {:<30} {}", r.as_str(), r.code().status(), r.code().error(), r.description()))
        .collect();
    insta::assert_snapshot!(table.join("\n"));
}

#[test]
fn what_fails_authentication_looks_alike() {
    // RFC 6749 section 5.2 and 10.10: no oracle for which part was wrong.
    let alike = [
        Reason::UnknownClient,
        Reason::WrongSecret,
        Reason::ClientNotActive,
        Reason::WrongAuthMethod,
        Reason::MalformedBasic,
        Reason::CertificateUntrusted,
        Reason::CertificateNotRegistered,
        Reason::DocumentNotAdmitted,
        Reason::DocumentClientsFull,
    ];
    for reason in alike {
        assert_eq!((reason.code(), reason.description()), (OAuthCode::InvalidClient, "client authentication failed"));
    }
}
