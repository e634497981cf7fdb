//! Status lists (draft-ietf-oauth-status-list, section 4): a few bits for each of many tokens,
//! compressed.
//!
//! The list comes from outside where it is read, so its size is bounded before it is inflated,
//! and a place that it does not have is no status at all. Who signed it, and of what age it is,
//! is asked elsewhere.

use crate::json::{JsonError, int_member, str_member};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use serde_json::{Map, Value, json};
use std::io::{Read, Write};

/// What a list says of a token (section 7.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Status {
    Valid,
    /// For ever.
    Invalid,
    /// For the time being.
    Suspended,
    /// Of the application's own making, or of a later standard.
    Other(u8),
}

impl Status {
    #[must_use]
    pub const fn from_value(value: u8) -> Self {
        match value {
            0 => Self::Valid,
            1 => Self::Invalid,
            2 => Self::Suspended,
            other => Self::Other(other),
        }
    }

    #[must_use]
    pub const fn value(self) -> u8 {
        match self {
            Self::Valid => 0,
            Self::Invalid => 1,
            Self::Suspended => 2,
            Self::Other(value) => value,
        }
    }
}

/// Why a list is none.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum StatusListError {
    #[error("the status list has not the form that its standard gives it")]
    Malformed,
    #[error("the status list is larger than what is read")]
    TooLarge,
    #[error("the status does not fit in the list's bits, or the list has no such place")]
    NoRoom,
}

impl From<JsonError> for StatusListError {
    fn from(_: JsonError) -> Self {
        Self::Malformed
    }
}

/// The statuses of some tokens, by their places from 0 on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StatusList {
    /// For each status: 1, 2, 4 or 8.
    bits: u8,
    /// The first status in the lowest bits of the first byte (section 4.1).
    bytes: Vec<u8>,
}

impl StatusList {
    /// All valid. Places fill whole bytes, so there may be some more than `places`.
    ///
    /// # Errors
    /// [`StatusListError::Malformed`] where `bits` is not 1, 2, 4 or 8.
    pub fn new(bits: u8, places: usize) -> Result<Self, StatusListError> {
        if !matches!(bits, 1 | 2 | 4 | 8) {
            return Err(StatusListError::Malformed);
        }
        let bytes = places.div_ceil(usize::from(8 / bits));
        Ok(Self { bits, bytes: vec![0; bytes] })
    }

    /// Notes a status.
    ///
    /// # Errors
    /// [`StatusListError::NoRoom`].
    pub fn set(&mut self, idx: i64, status: Status) -> Result<(), StatusListError> {
        let (value, mask) = (status.value(), self.mask());
        let (byte, shift) = self.place(idx).ok_or(StatusListError::NoRoom)?;
        let byte = self.bytes.get_mut(byte).ok_or(StatusListError::NoRoom)?;
        if value > mask {
            return Err(StatusListError::NoRoom);
        }
        *byte = (*byte & !(mask << shift)) | (value << shift);
        Ok(())
    }

    /// The status at a place; nothing where the list has no such place.
    #[must_use]
    pub fn find(&self, idx: i64) -> Option<Status> {
        let (byte, shift) = self.place(idx)?;
        let byte = self.bytes.get(byte)?;
        Some(Status::from_value((byte >> shift) & self.mask()))
    }

    /// How many places it has.
    #[must_use]
    pub fn places(&self) -> usize {
        self.bytes.len().saturating_mul(usize::from(8 / self.bits))
    }

    /// The uncompressed bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    const fn mask(&self) -> u8 {
        u8::MAX >> (8 - self.bits)
    }

    /// Which byte, and how far up in it.
    fn place(&self, idx: i64) -> Option<(usize, u32)> {
        let idx = usize::try_from(idx).ok()?;
        let per_byte = usize::from(8 / self.bits);
        let shift = u32::try_from(idx % per_byte).ok()?.saturating_mul(u32::from(self.bits));
        Some((idx / per_byte, shift))
    }

    /// `status_list` of a status list token (section 4.2).
    ///
    /// # Errors
    /// [`StatusListError::Malformed`]; compressing into memory does not fail.
    pub fn to_json(&self) -> Result<Value, StatusListError> {
        // Section 4.1 recommends the highest level: a list is written once and read often.
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&self.bytes).map_err(|_| StatusListError::Malformed)?;
        let compressed = encoder.finish().map_err(|_| StatusListError::Malformed)?;
        Ok(json!({ "bits": self.bits, "lst": URL_SAFE_NO_PAD.encode(compressed) }))
    }

    /// Reads `status_list`, which may be at most `max_bytes` long when inflated.
    ///
    /// # Errors
    /// [`StatusListError`].
    pub fn from_json(list: &Map<String, Value>, max_bytes: usize) -> Result<Self, StatusListError> {
        let bits = int_member(list, "bits")?.and_then(|bits| u8::try_from(bits).ok());
        let mut read = Self::new(bits.ok_or(StatusListError::Malformed)?, 0)?;
        let text = str_member(list, "lst")?.ok_or(StatusListError::Malformed)?;
        let compressed = URL_SAFE_NO_PAD.decode(text).map_err(|_| StatusListError::Malformed)?;
        // One byte more than is allowed is enough to know.
        let limit = u64::try_from(max_bytes).unwrap_or(u64::MAX).saturating_add(1);
        let mut inflated = ZlibDecoder::new(compressed.as_slice()).take(limit);
        inflated.read_to_end(&mut read.bytes).map_err(|_| StatusListError::Malformed)?;
        if read.bytes.len() > max_bytes {
            return Err(StatusListError::TooLarge);
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
