//! Public keys as JSON, good ones to begin with.

use super::b64;
use serde_json::{Value, json};

pub const X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
pub const Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
pub const ED: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

pub fn ec() -> Value {
    json!({"kty": "EC", "crv": "P-256", "x": X, "y": Y})
}

pub fn okp() -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "x": ED})
}

pub fn rsa(bits: usize, e: &[u8]) -> Value {
    let mut n = vec![0xff; bits.div_ceil(8)];
    n[0] = 0xff >> ((8 - bits % 8) % 8);
    json!({"kty": "RSA", "n": b64(n), "e": b64(e)})
}

pub fn with(mut key: Value, member: &str, value: Value) -> Value {
    key[member] = value;
    key
}
