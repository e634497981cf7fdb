//! Distinguished names, as a certificate has them and as people write them (RFC 4514).
//!
//! Two names are equal when they have the same sequence of relative names, each the same set of
//! attributes, and each attribute the same type and the same value character by character. No
//! case is folded and no space dropped: who registers a name writes it as the certificate has it.

use std::collections::BTreeSet;
use x509_parser::asn1_rs::{Any, FromDer, Tag};
use x509_parser::x509::X509Name;

/// Longest written name, in bytes.
pub const MAX_NAME_BYTES: usize = 1024;
/// Relative names in a name, and attributes in one of them.
const MAX_PARTS: usize = 32;

/// Why a written name was refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NameFault {
    #[error("must have 1 to 1024 bytes")]
    Length,
    #[error("must be a distinguished name as RFC 4514 writes it, such as CN=agent,O=Example,C=DE")]
    Malformed,
    #[error("has an attribute whose name is not known: write its object identifier")]
    UnknownAttribute,
}

/// One attribute: its object identifier and its value.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Attribute {
    oid: String,
    value: AttributeValue,
}

#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum AttributeValue {
    Text(String),
    /// Tag and content of a value that is no text.
    Other(u32, Vec<u8>),
}

/// A name: its most significant part first, as in a certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DistinguishedName(Vec<BTreeSet<Attribute>>);

impl DistinguishedName {
    /// A certificate's. `None` where a text in it can't be read.
    #[must_use]
    pub fn of(name: &X509Name<'_>) -> Option<Self> {
        let mut parts = Vec::new();
        for part in name.iter_rdn() {
            let attributes = part.iter().map(|attribute| {
                let value = value(attribute.attr_value())?;
                Some(Attribute { oid: attribute.attr_type().to_id_string(), value })
            });
            parts.push(attributes.collect::<Option<BTreeSet<_>>>()?);
        }
        Some(Self(parts))
    }

    /// Reads a written one.
    ///
    /// # Errors
    /// [`NameFault`].
    pub fn parse(text: &str) -> Result<Self, NameFault> {
        if text.is_empty() || text.len() > MAX_NAME_BYTES {
            return Err(NameFault::Length);
        }
        let mut reader = Reader { rest: text };
        let mut parts = vec![BTreeSet::new()];
        loop {
            let attribute = reader.attribute()?;
            let part = parts.last_mut().ok_or(NameFault::Malformed)?;
            if !part.insert(attribute) || part.len() > MAX_PARTS {
                return Err(NameFault::Malformed);
            }
            match reader.next() {
                None => break,
                Some('+') => {}
                Some(',') if parts.len() < MAX_PARTS => parts.push(BTreeSet::new()),
                Some(_) => return Err(NameFault::Malformed),
            }
        }
        // RFC 4514 section 2.1: written from the last to the first.
        parts.reverse();
        Ok(Self(parts))
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn value(any: &Any<'_>) -> Option<AttributeValue> {
    let utf8 = || std::str::from_utf8(any.data).ok().map(str::to_owned);
    let text = match any.tag() {
        Tag::Utf8String => utf8()?,
        Tag::PrintableString | Tag::Ia5String | Tag::NumericString | Tag::VisibleString => {
            utf8().filter(|text| text.is_ascii())?
        }
        Tag::BmpString => {
            let (pairs, []) = any.data.as_chunks::<2>() else { return None };
            String::from_utf16(&pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect::<Vec<_>>()).ok()?
        }
        other => return Some(AttributeValue::Other(other.0, any.data.to_vec())),
    };
    Some(AttributeValue::Text(text))
}

/// RFC 4514 section 3, and the other types that certificates of workloads commonly have.
const TYPES: [(&str, &str); 16] = [
    ("CN", "2.5.4.3"),
    ("L", "2.5.4.7"),
    ("ST", "2.5.4.8"),
    ("O", "2.5.4.10"),
    ("OU", "2.5.4.11"),
    ("C", "2.5.4.6"),
    ("STREET", "2.5.4.9"),
    ("DC", "0.9.2342.19200300.100.1.25"),
    ("UID", "0.9.2342.19200300.100.1.1"),
    ("SN", "2.5.4.4"),
    ("GN", "2.5.4.42"),
    ("serialNumber", "2.5.4.5"),
    ("title", "2.5.4.12"),
    ("emailAddress", "1.2.840.113549.1.9.1"),
    ("organizationIdentifier", "2.5.4.97"),
    ("dnQualifier", "2.5.4.46"),
];

struct Reader<'t> {
    rest: &'t str,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let next = self.rest.chars().next()?;
        self.rest = self.rest.get(next.len_utf8()..).unwrap_or_default();
        Some(next)
    }

    fn attribute(&mut self) -> Result<Attribute, NameFault> {
        let (name, rest) = self.rest.split_once('=').ok_or(NameFault::Malformed)?;
        // Many tools write a space after the comma, which older rules allowed.
        let oid = oid(name.trim_start_matches(' '))?;
        self.rest = rest;
        let value = match self.rest.strip_prefix('#') {
            Some(rest) => {
                let end = rest.find([',', '+']).unwrap_or(rest.len());
                let (hex, rest) = rest.split_at_checked(end).ok_or(NameFault::Malformed)?;
                self.rest = rest;
                encoded(hex).ok_or(NameFault::Malformed)?
            }
            None => AttributeValue::Text(self.text()?),
        };
        Ok(Attribute { oid, value })
    }

    /// RFC 4514 section 2.4: to the next separator, escapes undone.
    fn text(&mut self) -> Result<String, NameFault> {
        let mut bytes: Vec<u8> = Vec::new();
        // Spaces at either end are meant only where they are escaped.
        let mut meant = 0;
        while let Some(next) = self.rest.chars().next() {
            match next {
                ',' | '+' => break,
                '"' | ';' | '<' | '>' | '\0' => return Err(NameFault::Malformed),
                '\\' => {
                    self.next();
                    bytes.extend(self.escape()?);
                    meant = bytes.len();
                }
                ' ' if bytes.is_empty() => return Err(NameFault::Malformed),
                ' ' => {
                    self.next();
                    bytes.push(b' ');
                }
                other => {
                    self.next();
                    bytes.extend(other.encode_utf8(&mut [0; 4]).bytes());
                    meant = bytes.len();
                }
            }
        }
        if bytes.len() != meant || bytes.is_empty() {
            return Err(NameFault::Malformed);
        }
        String::from_utf8(bytes).map_err(|_| NameFault::Malformed)
    }

    fn escape(&mut self) -> Result<Vec<u8>, NameFault> {
        let next = self.next().ok_or(NameFault::Malformed)?;
        if matches!(next, '"' | '+' | ',' | ';' | '<' | '>' | ' ' | '#' | '=' | '\\') {
            return Ok(next.to_string().into_bytes());
        }
        let digits = [Some(next), self.next()].map(|digit| digit.and_then(|digit| digit.to_digit(16)));
        let [Some(high), Some(low)] = digits else { return Err(NameFault::Malformed) };
        u8::try_from(high * 16 + low).map(|byte| vec![byte]).map_err(|_| NameFault::Malformed)
    }
}

/// A value written as the hex of its encoding.
fn encoded(hex: &str) -> Option<AttributeValue> {
    let (pairs, []) = hex.as_bytes().as_chunks::<2>() else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let byte = |[high, low]: &[u8; 2]| u8::try_from(digit(*high)? * 16 + digit(*low)?).ok();
    let bytes: Vec<u8> = pairs.iter().map(byte).collect::<Option<_>>()?;
    let (rest, any) = Any::from_der(&bytes).ok()?;
    if rest.is_empty() { value(&any) } else { None }
}

fn oid(name: &str) -> Result<String, NameFault> {
    if let Some((_, oid)) = TYPES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
        return Ok((*oid).to_owned());
    }
    let is_number = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()) && (part == "0" || !part.starts_with('0'))
    };
    match name.as_bytes().first() {
        Some(b'0'..=b'9') if name.contains('.') && name.split('.').all(is_number) => Ok(name.to_owned()),
        Some(b'a'..=b'z' | b'A'..=b'Z') => Err(NameFault::UnknownAttribute),
        _ => Err(NameFault::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rcgen::{CertificateParams, DnType, DnValue, KeyPair};
    use x509_parser::certificate::X509Certificate;

    fn of(parts: &[(DnType, DnValue)]) -> DistinguishedName {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, value) in parts {
            params.distinguished_name.push(kind.clone(), value.clone());
        }
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let (_, parsed) = X509Certificate::from_der(certificate.der()).unwrap();
        DistinguishedName::of(parsed.subject()).unwrap()
    }

    fn text(text: &str) -> DnValue {
        DnValue::Utf8String(text.to_owned())
    }

    #[test]
    fn what_people_write_is_what_a_certificate_has() {
        let have = of(&[
            (DnType::CountryName, text("DE")),
            (DnType::OrganizationName, text("Müller, Söhne")),
            (DnType::CommonName, text("#1 = a+b")),
        ]);
        for written in [
            r"CN=\#1 = a\+b,O=Müller\, Söhne,C=DE",
            r"cn=\231 \3D a\2Bb, o=M\C3\BCller\2c Söhne, c=DE",
            r"2.5.4.3=\#1 = a\+b,2.5.4.10=Müller\, Söhne,2.5.4.6=#0C024445",
        ] {
            assert_eq!(DistinguishedName::parse(written), Ok(have.clone()), "{written}");
        }
        // The same text in another string type is the same text.
        let printable = DnValue::PrintableString("DE".try_into().unwrap());
        let bmp = DnValue::BmpString("DE".try_into().unwrap());
        for value in [printable, bmp, text("DE")] {
            assert_eq!(of(&[(DnType::CountryName, value)]), DistinguishedName::parse("C=DE").unwrap());
        }
    }

    #[test]
    fn nothing_is_folded_and_nothing_dropped() {
        let have = of(&[(DnType::OrganizationName, text("Acme")), (DnType::CommonName, text("a b"))]);
        for other in [
            "CN=a  b,O=Acme",
            "CN=A b,O=Acme",
            "O=Acme,CN=a b",
            "CN=a b",
            "CN=a b+O=Acme",
            "CN=a b,O=Acme,C=DE",
            "OU=a b,O=Acme",
        ] {
            assert_ne!(DistinguishedName::parse(other).unwrap(), have, "{other}");
        }
        assert!(of(&[]).is_empty());
    }

    #[test]
    fn the_parts_of_one_relative_name_have_no_order() {
        let parse = |text| DistinguishedName::parse(text).unwrap();
        assert_eq!(parse("CN=a+UID=b,O=c"), parse("UID=b+CN=a,O=c"));
        assert_ne!(parse("CN=a+UID=b,O=c"), parse("CN=a,UID=b,O=c"));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for bad in [
            "",
            "a",
            "=a",
            "CN=",
            "CN=a,",
            ",CN=a",
            "CN=a+",
            "CN= a",
            "CN=a ,O=b",
            "CN=a;O=b",
            "CN=\"a\"",
            "CN=a<b",
            "CN=a\\",
            "CN=a\\zz",
            "CN=\\ff",
            "CN=a+CN=a",
            "1=a",
            "1..2=a",
            "01.2=a",
            ".1=a",
            "CN=#",
            "CN=#0",
            "CN=#zz",
            "CN=#0c0141ff",
            "CN=#0c0241",
            "CN=a\0",
        ] {
            assert!(DistinguishedName::parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(DistinguishedName::parse("XYZ=a"), Err(NameFault::UnknownAttribute));
        assert_eq!(DistinguishedName::parse(&format!("CN={}", "a".repeat(MAX_NAME_BYTES))), Err(NameFault::Length));
    }

    proptest! {
        #[test]
        fn any_value_comes_back_from_its_escapes(value in "\\PC{1,40}") {
            let escaped: String = value.bytes().map(|byte| format!("\\{byte:02x}")).collect();
            let parsed = DistinguishedName::parse(&format!("CN={escaped}"));
            prop_assert_eq!(parsed, Ok(of(&[(DnType::CommonName, text(&value))])));
        }

        #[test]
        fn no_input_panics(value in "\\PC{0,80}") {
            let _ = DistinguishedName::parse(&value);
        }
    }
}
