//! The forms in which an upstream may echo a secret.

use super::super::limits::MIN_MASKED_BYTES;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// A secret as it is; in base64 of both alphabets, also where it stands within something longer
/// (the pair of `Basic`); percent-encoded; and as JSON writes it. A short secret only as it is.
pub(super) fn forms(secret: &str) -> Vec<Vec<u8>> {
    let mut forms = vec![secret.as_bytes().to_vec()];
    if secret.len() >= MIN_MASKED_BYTES {
        for shift in 0..3 {
            forms.extend(base64_within(secret.as_bytes(), shift));
        }
        for upper in [true, false] {
            forms.push(percent(secret, upper, |byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)));
            // As forms of HTML have it, and as most libraries leave what needs no encoding.
            forms.push(percent(secret, upper, |byte| byte.is_ascii_graphic() && !b"%&=+?#\"<>".contains(&byte)));
        }
        let json = serde_json::to_string(secret).unwrap_or_default();
        let json = json.get(1..json.len().saturating_sub(1)).unwrap_or_default().to_owned();
        forms.push(json.replace('/', "\\/").into_bytes());
        forms.push(json.into_bytes());
    }
    forms.retain(|form| !form.is_empty());
    forms.sort();
    forms.dedup();
    forms
}

/// The characters that only the secret decides, where `shift` bytes of something else come
/// before it in a group of three: whatever stands around it.
fn base64_within(secret: &[u8], shift: usize) -> Vec<Vec<u8>> {
    let mut bytes = vec![0; shift];
    bytes.extend_from_slice(secret);
    // Of each group of 6 bits, the first that begins within the secret, and the last that ends there.
    let first = (shift * 8).div_ceil(6);
    let last = bytes.len() * 8 / 6;
    let core = |text: String| text.get(first..last).map(|core| core.as_bytes().to_vec());
    [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)].into_iter().filter_map(core).collect()
}

fn percent(secret: &str, upper: bool, plain: impl Fn(u8) -> bool) -> Vec<u8> {
    let mut text = Vec::with_capacity(secret.len() * 3);
    for byte in secret.bytes() {
        match (plain(byte), upper) {
            (true, _) => text.push(byte),
            (false, true) => text.extend(format!("%{byte:02X}").bytes()),
            (false, false) => text.extend(format!("%{byte:02x}").bytes()),
        }
    }
    text
}
