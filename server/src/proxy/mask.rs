//! The key does not come back: what an upstream echoes of a secret is overwritten with `*`,
//! in headers and in a body that arrives in pieces.
//!
//! Known forms are found (see `forms`), not every encoding that could be thought of: an upstream
//! that is set on giving its own key away can't be stopped. Of a body no more is held back than
//! what could be the beginning of a form, so that an event goes on as soon as it is there.

mod forms;

use super::limits::MIN_MASKED_BYTES;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue};
use memchr::memmem::Finder;
use std::sync::Arc;
use stipend_keys::Secret;

const STAR: u8 = b'*';

/// What must not come back, in all its forms.
#[derive(Clone, Debug)]
pub(super) struct Mask {
    body: Arc<[Form]>,
    headers: Arc<[Form]>,
}

impl Mask {
    pub fn new(secrets: &[Secret<String>]) -> Self {
        let of = |short: bool| -> Arc<[Form]> {
            let secrets = secrets.iter().map(|secret| secret.expose());
            let some = secrets.filter(|secret| short || secret.len() >= MIN_MASKED_BYTES);
            some.flat_map(|secret| forms::forms(secret)).map(Form::new).collect()
        };
        Self { body: of(false), headers: of(true) }
    }

    /// Whether a body is passed on as it is.
    pub fn is_empty(&self) -> bool {
        self.body.is_empty()
    }

    /// Masks the values; a field whose name has the secret in it goes.
    pub fn headers(&self, headers: HeaderMap) -> HeaderMap {
        if self.headers.is_empty() {
            return headers;
        }
        let mut masked = HeaderMap::with_capacity(headers.len());
        for (name, value) in headers.iter().filter(|(name, _)| !self.is_in_name(name.as_str())) {
            let mut bytes = BytesMut::from(value.as_bytes());
            let covered = find(&self.headers, &bytes);
            cover(&mut bytes, &covered);
            // A star is allowed wherever a character was.
            if let Ok(value) = HeaderValue::from_maybe_shared(bytes.freeze()) {
                masked.append(name.clone(), value);
            }
        }
        masked
    }

    /// Names are in lower case by now.
    fn is_in_name(&self, name: &str) -> bool {
        self.body.iter().any(|form| Finder::new(&form.bytes.to_ascii_lowercase()).find(name.as_bytes()).is_some())
    }

    /// A masker for one body.
    pub fn body(&self) -> BodyMask {
        BodyMask { forms: Arc::clone(&self.body), held: Bytes::new(), covered: 0 }
    }
}

/// One form of a secret, with what is needed to find it and its beginnings.
#[derive(Debug)]
struct Form {
    bytes: Vec<u8>,
    finder: Finder<'static>,
    /// For each length, the length of the longest shorter beginning that is also its end.
    borders: Vec<usize>,
}

impl Form {
    fn new(bytes: Vec<u8>) -> Self {
        let finder = Finder::new(&bytes).into_owned();
        let mut form = Self { borders: vec![0, 0], finder, bytes };
        let mut border = 0;
        for byte in form.bytes.iter().skip(1) {
            border = form.after(border, *byte);
            form.borders.push(border);
        }
        form
    }

    /// How much of the form has been seen after one more byte, if `seen` of it were before.
    fn after(&self, seen: usize, byte: u8) -> usize {
        let mut seen = seen;
        loop {
            if self.bytes.get(seen) == Some(&byte) {
                return seen + 1;
            }
            if seen == 0 {
                return 0;
            }
            seen = self.borders.get(seen).copied().unwrap_or(0);
        }
    }

    /// How many of the last bytes could be the beginning of this form, less than all of it.
    fn begun(&self, bytes: &[u8]) -> usize {
        let most = self.bytes.len().saturating_sub(1);
        let tail = bytes.get(bytes.len().saturating_sub(most)..).unwrap_or_default();
        tail.iter().fold(0, |seen, byte| self.after(seen, *byte))
    }
}

/// Masks a body as it passes.
#[derive(Debug)]
pub(super) struct BodyMask {
    forms: Arc<[Form]>,
    /// The end of what came, unmasked: it could be the beginning of a form.
    held: Bytes,
    /// How much of that is already known to be part of one.
    covered: usize,
}

impl BodyMask {
    /// What may go on after one more chunk; empty where all of it could be a beginning.
    pub fn push(&mut self, chunk: Bytes) -> Bytes {
        if self.forms.is_empty() {
            return chunk;
        }
        let whole = if self.held.is_empty() {
            chunk
        } else {
            let mut joined = BytesMut::with_capacity(self.held.len() + chunk.len());
            joined.extend_from_slice(&self.held);
            joined.extend_from_slice(&chunk);
            joined.freeze()
        };
        let held = self.forms.iter().map(|form| form.begun(&whole)).max().unwrap_or(0);
        self.release(whole, held)
    }

    /// The rest, when nothing more comes.
    pub fn finish(&mut self) -> Bytes {
        let rest = std::mem::take(&mut self.held);
        self.release(rest, 0)
    }

    fn release(&mut self, whole: Bytes, held: usize) -> Bytes {
        let mut covered = find(&self.forms, &whole);
        let cut = whole.len().saturating_sub(held);
        // What reaches into the held part from before it is not found again there.
        let before = covered.iter().filter(|(start, _)| *start < cut).map(|(_, end)| *end);
        let reaching = before.max().unwrap_or(0).max(self.covered).saturating_sub(cut);
        if self.covered > 0 {
            covered.push((0, self.covered));
        }
        self.covered = reaching;
        self.held = whole.slice(cut..);
        let passing = whole.slice(..cut);
        if covered.is_empty() {
            return passing;
        }
        let mut passing = BytesMut::from(passing.as_ref());
        cover(&mut passing, &covered);
        passing.freeze()
    }
}

/// Where forms are, also where they overlap.
fn find(forms: &[Form], bytes: &[u8]) -> Vec<(usize, usize)> {
    let mut found: Vec<(usize, usize)> = Vec::new();
    for form in forms {
        let mut from = 0;
        while let Some(at) = bytes.get(from..).and_then(|rest| form.finder.find(rest)) {
            let start = from + at;
            let end = start + form.bytes.len();
            match found.last_mut() {
                Some(last) if last.0 <= start && start <= last.1 => last.1 = last.1.max(end),
                _ => found.push((start, end)),
            }
            from = start + 1;
        }
    }
    found
}

fn cover(bytes: &mut BytesMut, covered: &[(usize, usize)]) {
    for (start, end) in covered {
        let end = (*end).min(bytes.len());
        if let Some(part) = bytes.get_mut(*start..end) {
            part.fill(STAR);
        }
    }
}

#[cfg(test)]
mod tests;
