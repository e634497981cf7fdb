//! Private keys as JWK, and the decryption that production code must not have:
//! written here from RFC 7516 and RFC 7518, over OpenSSL's primitives.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::aes::{AesKey, unwrap_key};
use openssl::bn::{BigNum, BigNumContext};
use openssl::derive::Deriver;
use openssl::ec::{EcGroup, EcKey};
use openssl::encrypt::Decrypter;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey, Private, Public};
use openssl::rsa::{Padding, Rsa};
use openssl::symm::{Cipher, decrypt_aead};
use serde_json::{Value, json};

pub struct PrivateKey {
    key: PKey<Private>,
    pub public: Value,
    pub private: Value,
}

pub fn p256() -> PrivateKey {
    let key = EcKey::generate(&group()).unwrap();
    let (mut x, mut y) = (BigNum::new().unwrap(), BigNum::new().unwrap());
    let mut context = BigNumContext::new().unwrap();
    key.public_key().affine_coordinates(&group(), &mut x, &mut y, &mut context).unwrap();
    let text = |number: &openssl::bn::BigNumRef| encode(&number.to_vec_padded(32).unwrap());
    let public = json!({ "kty": "EC", "crv": "P-256", "x": text(&x), "y": text(&y) });
    let private = with(&public, &[("d", text(key.private_key()))]);
    PrivateKey { key: PKey::from_ec_key(key).unwrap(), public, private }
}

pub fn x25519() -> PrivateKey {
    let key = PKey::generate_x25519().unwrap();
    let public = json!({ "kty": "OKP", "crv": "X25519", "x": encode(&key.raw_public_key().unwrap()) });
    let private = with(&public, &[("d", encode(&key.raw_private_key().unwrap()))]);
    PrivateKey { key, public, private }
}

pub fn rsa(bits: u32) -> PrivateKey {
    let key = Rsa::generate(bits).unwrap();
    let text = |number: &openssl::bn::BigNumRef| encode(&number.to_vec());
    let public = json!({ "kty": "RSA", "n": text(key.n()), "e": text(key.e()) });
    let own = [
        ("d", text(key.d())),
        ("p", text(key.p().unwrap())),
        ("q", text(key.q().unwrap())),
        ("dp", text(key.dmp1().unwrap())),
        ("dq", text(key.dmq1().unwrap())),
        ("qi", text(key.iqmp().unwrap())),
    ];
    let private = with(&public, &own);
    PrivateKey { key: PKey::from_rsa(key).unwrap(), public, private }
}

pub fn with(jwk: &Value, members: &[(&str, String)]) -> Value {
    let mut jwk = jwk.clone();
    for (name, value) in members {
        jwk[*name] = Value::from(value.clone());
    }
    jwk
}

pub fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub fn decode(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

/// The header of a message.
pub fn header(message: &str) -> Value {
    serde_json::from_slice(&decode(message.split('.').next().unwrap())).unwrap()
}

impl PrivateKey {
    pub fn decrypt(&self, message: &str) -> Option<Vec<u8>> {
        let parts: Vec<&str> = message.split('.').collect();
        let [protected, encrypted_key, nonce, text, tag] = parts.try_into().unwrap();
        let header = header(message);
        let encrypted_key = decode(encrypted_key);
        let content_key = match header["alg"].as_str().unwrap() {
            "RSA-OAEP-256" => self.rsa_oaep(&encrypted_key)?,
            "ECDH-ES+A256KW" => {
                let key = AesKey::new_decrypt(&concat_kdf(&self.agree(&header["epk"]))).unwrap();
                let mut content_key = vec![0; encrypted_key.len() - 8];
                unwrap_key(&key, None, &mut content_key, &encrypted_key).ok()?;
                content_key
            }
            other => panic!("{other}"),
        };
        assert_eq!((header["enc"].as_str(), content_key.len(), decode(nonce).len()), (Some("A256GCM"), 32, 12));
        let (nonce, text, tag) = (decode(nonce), decode(text), decode(tag));
        decrypt_aead(Cipher::aes_256_gcm(), &content_key, Some(&nonce), protected.as_bytes(), &text, &tag).ok()
    }

    fn rsa_oaep(&self, encrypted_key: &[u8]) -> Option<Vec<u8>> {
        let mut decrypter = Decrypter::new(&self.key).unwrap();
        decrypter.set_rsa_padding(Padding::PKCS1_OAEP).unwrap();
        decrypter.set_rsa_oaep_md(MessageDigest::sha256()).unwrap();
        decrypter.set_rsa_mgf1_md(MessageDigest::sha256()).unwrap();
        let mut content_key = vec![0; decrypter.decrypt_len(encrypted_key).unwrap()];
        let length = decrypter.decrypt(encrypted_key, &mut content_key).ok()?;
        content_key.truncate(length);
        Some(content_key)
    }

    fn agree(&self, epk: &Value) -> Vec<u8> {
        let member = |name: &str| decode(epk[name].as_str().unwrap());
        let peer: PKey<Public> = if epk["kty"] == "EC" {
            let number = |name: &str| BigNum::from_slice(&member(name)).unwrap();
            let key = EcKey::from_public_key_affine_coordinates(&group(), &number("x"), &number("y")).unwrap();
            PKey::from_ec_key(key).unwrap()
        } else {
            PKey::public_key_from_raw_bytes(&member("x"), Id::X25519).unwrap()
        };
        let mut deriver = Deriver::new(&self.key).unwrap();
        deriver.set_peer(&peer).unwrap();
        deriver.derive_to_vec().unwrap()
    }
}

/// RFC 7518 section 4.6.2 for ECDH-ES+A256KW with the party infos empty.
fn concat_kdf(agreed: &[u8]) -> Vec<u8> {
    let alg = b"ECDH-ES+A256KW";
    let length = |bytes: u32| bytes.to_be_bytes();
    let input = [&length(1), agreed, &length(14), alg, &length(0), &length(0), &length(256)].concat();
    stipend_keys::sha256(&input).to_vec()
}

fn group() -> EcGroup {
    EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap()
}
