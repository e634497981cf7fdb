//! Proving the audit: of a file in two passes, first the hashes that must be met (signed
//! checkpoints, the heads other writers named, an earlier proof), then every record.

use super::super::Session;
use super::super::connect::read_text;
use super::super::error::CliError;
use super::super::print::Out;
use super::Verify;
use super::archive::{Head, Line, Reader};
use super::export;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufReader, BufWriter, Seek, Write};
use stipend_keys::{PublicJwk, TokenKind, Unverified};
use stipend_schema::AuditRow;
use stipend_schema::audit::{Anchor, ChainFault, ChainVerifier, Hash, RedactedText};

/// Hashes that must be met, at most.
const MAX_ANCHORS: usize = 1_000_000;

/// What was proved, and what a later proof can be held to.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Proof {
    pub issuer: String,
    pub records: u64,
    /// Checkpoints whose signature holds and whose record is there with that hash.
    pub checkpoints: u64,
    /// Checkpoints by keys that are gone or distrusted: they prove nothing.
    pub checkpoints_unproved: u64,
    /// Heads that other writers, or an earlier proof, had named, and that are there.
    pub heads_named_elsewhere: u64,
    /// Those of them whose record was pruned since.
    #[serde(default)]
    pub heads_pruned: u64,
    pub chains: Vec<ProvedChain>,
    /// Records, as `writer/n`, that something was taken out of: all but that is proved.
    #[serde(default)]
    pub redacted: Vec<String>,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ProvedChain {
    pub writer: String,
    pub records: i64,
    /// It is proved from the record after this one on: what was before was pruned.
    #[serde(default)]
    pub pruned_to: i64,
    /// Hash of the newest record, base64url.
    pub head: String,
}

pub(super) async fn run(session: &Session<'_>, args: &Verify) -> Result<(), CliError> {
    let known = args.known.as_deref().map(read_text).transpose()?;
    let known: Option<Proof> = known
        .map(|text| serde_json::from_str(&text))
        .transpose()
        .map_err(|_| CliError::usage("--known: this is no proof printed by `stipend audit verify --json`"))?;
    let proof = match &args.file {
        Some(path) => {
            let file = File::open(path).map_err(|error| CliError::usage(format!("{}: {error}", path.display())))?;
            let keys = args.keys.as_deref().map(read_text).transpose()?;
            verify_file(file, keys.as_deref().map(parse_keys).transpose()?, known.as_ref())?
        }
        None => verify_online(session, known.as_ref()).await?,
    };
    show(session.out, &proof)
}

/// Exports into a temporary file and proves that.
///
/// # Errors
/// [`CliError`] when the server refuses, or a record is not as it was written.
pub async fn verify_online(session: &Session<'_>, known: Option<&Proof>) -> Result<Proof, CliError> {
    let unusable = |error: std::io::Error| CliError::failed("no_space", format!("no temporary file: {error}"));
    let mut file = tempfile::tempfile().map_err(unusable)?;
    let mut out = BufWriter::new(&mut file);
    export::write_all(session, &mut out).await?;
    out.flush().map_err(unusable)?;
    drop(out);
    verify_file(file, None, known)
}

fn parse_keys(text: &str) -> Result<Vec<Map<String, Value>>, CliError> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<Map<String, Value>>,
    }
    let set: Set = serde_json::from_str(text).map_err(|_| CliError::usage("--keys: this is no JWK set (RFC 7517)"))?;
    Ok(set.keys)
}

fn verify_file(
    mut file: File,
    keys: Option<Vec<Map<String, Value>>>,
    known: Option<&Proof>,
) -> Result<Proof, CliError> {
    let unreadable = |error: std::io::Error| CliError::failed("unreadable", error.to_string());
    file.rewind().map_err(unreadable)?;
    let (mut head, reader) = Reader::open(BufReader::new(&file))?;
    if let Some(keys) = keys {
        head.keys = keys;
    }
    let mut anchors = Anchors::new(&head);
    anchors.take_known(known, &head)?;
    anchors.take_all(reader)?;
    (&file).rewind().map_err(unreadable)?;
    let (_, mut reader) = Reader::open(BufReader::new(&file))?;
    let verifier = ChainVerifier::new(anchors.list.iter().cloned()).map_err(|fault| refuse(&fault))?;
    let cuts: HashMap<String, i64> = anchors.prunings.iter().map(|cut| (cut.writer.clone(), cut.n)).collect();
    let mut verifier = verifier.with_prunings(anchors.prunings).with_redactions(anchors.redactions);
    let mut promised = None;
    while let Some(line) = reader.next()? {
        match line {
            Line::Record { record, hash } => verifier.push(&row(record, &hash)?).map_err(|fault| refuse(&fault))?,
            Line::Checkpoint { .. } | Line::Pruned { .. } | Line::Redacted { .. } => {}
            Line::End { end } => promised = Some(end),
        }
    }
    let summary = verifier.finish().map_err(|fault| refuse(&fault))?;
    if promised != Some(summary.records) {
        return Err(not_proved("the file does not have as many records as it says"));
    }
    let met = u64::try_from(summary.anchors_met).unwrap_or(u64::MAX);
    let pruned = u64::try_from(summary.anchors_pruned).unwrap_or(u64::MAX);
    let chain = |head: stipend_schema::audit::WriterHead| ProvedChain {
        pruned_to: cuts.get(&head.writer).copied().unwrap_or(0),
        writer: head.writer,
        records: head.n,
        head: URL_SAFE_NO_PAD.encode(head.hash),
    };
    Ok(Proof {
        issuer: anchors.issuer.to_owned(),
        records: summary.records,
        checkpoints: anchors.signed,
        checkpoints_unproved: anchors.unproved,
        heads_named_elsewhere: met.saturating_sub(anchors.signed),
        heads_pruned: pruned,
        redacted: summary.redacted.iter().map(|(writer, n)| format!("{writer}/{n}")).collect(),
        chains: summary.heads.into_iter().map(chain).collect(),
    })
}

fn refuse(fault: &ChainFault) -> CliError {
    CliError::failed("not_proved", format!("the audit is not as it was written: {fault}"))
        .hint("keep the database as it is, and compare with an earlier export")
}

/// The hashes that must be met, each once.
struct Anchors<'a> {
    issuer: &'a str,
    keys: Vec<PublicJwk>,
    list: HashSet<Anchor>,
    signed: u64,
    unproved: u64,
    prunings: Vec<Anchor>,
    redactions: Vec<RedactedText>,
}

impl<'a> Anchors<'a> {
    fn new(head: &'a Head) -> Self {
        let keys = head.keys.iter().filter_map(|key| PublicJwk::parse(key).ok()).collect();
        Self {
            issuer: &head.issuer,
            keys,
            list: HashSet::new(),
            signed: 0,
            unproved: 0,
            prunings: Vec::new(),
            redactions: Vec::new(),
        }
    }

    fn take_known(&mut self, known: Option<&Proof>, head: &Head) -> Result<(), CliError> {
        let Some(known) = known else { return Ok(()) };
        if known.issuer != head.issuer {
            return Err(CliError::usage(format!("--known is a proof of {}, not of {}", known.issuer, head.issuer)));
        }
        for chain in &known.chains {
            self.add(Anchor { writer: chain.writer.clone(), n: chain.records, hash: parse_hash(&chain.head)? })?;
        }
        Ok(())
    }

    fn take_all<R: std::io::BufRead>(&mut self, mut reader: Reader<R>) -> Result<(), CliError> {
        while let Some(line) = reader.next()? {
            match line {
                Line::Record { record, hash } => {
                    for anchor in Anchor::named_by(&row(record, &hash)?) {
                        self.add(anchor)?;
                    }
                }
                Line::Checkpoint { checkpoint } => self.take_checkpoint(&checkpoint)?,
                Line::Pruned { pruning } => {
                    let claims = self.stated(&pruning, TokenKind::AuditPruning)?;
                    self.prunings.push(place(&claims)?);
                }
                Line::Redacted { redaction } => {
                    let claims = self.stated(&redaction, TokenKind::AuditRedaction)?;
                    let Anchor { writer, n, hash } = place(&claims)?;
                    let redacted = parse_hash(text_of(&claims, "redacted"))?;
                    self.redactions.push(RedactedText { writer, n, hash, redacted });
                }
                Line::End { end: _ } => return Ok(()),
            }
        }
        Err(not_proved("the file is cut off"))
    }

    fn take_checkpoint(&mut self, jws: &str) -> Result<(), CliError> {
        let Some(claims) = self.proved(jws, TokenKind::AuditCheckpoint)? else {
            self.unproved = self.unproved.saturating_add(1);
            return Ok(());
        };
        if text_of(&claims, "iss") != self.issuer {
            return Err(not_proved("a checkpoint is of another issuer"));
        }
        if self.add(place(&claims)?)? {
            self.signed = self.signed.saturating_add(1);
        }
        Ok(())
    }

    /// A statement without which what is there is not as it was written: signed by a key at hand.
    fn stated(&self, jws: &str, kind: TokenKind) -> Result<Map<String, Value>, CliError> {
        if self.prunings.len().saturating_add(self.redactions.len()) >= MAX_ANCHORS {
            return Err(CliError::failed("too_large", "more than 1,000,000 prunings and redactions"));
        }
        let gone = "what was pruned or redacted is so by the word of a key that is gone or distrusted";
        let claims = self.proved(jws, kind)?.ok_or_else(|| not_proved(gone))?;
        if claims.get("iss").and_then(Value::as_str) != Some(self.issuer) {
            return Err(not_proved("a statement is of another issuer"));
        }
        Ok(claims)
    }

    /// The statement, when a key at hand has signed it; none when that key is not at hand.
    fn proved(&self, jws: &str, kind: TokenKind) -> Result<Option<Map<String, Value>>, CliError> {
        let forged = |_| not_proved("a checkpoint's or a statement's signature does not hold");
        let token = Unverified::parse(jws).map_err(forged)?;
        let Some(key) = self.keys.iter().find(|key| Some(key.kid()) == token.kid()) else { return Ok(None) };
        let verifier = key.verifier().map_err(|_| not_proved("a key of the issuer can't be used"))?;
        let verified = verifier.verify(token, kind).map_err(forged)?;
        Ok(Some(verified.into_claims()))
    }

    /// Whether it is new.
    fn add(&mut self, anchor: Anchor) -> Result<bool, CliError> {
        if self.list.len() >= MAX_ANCHORS {
            return Err(CliError::failed("too_large", "more than 1,000,000 checkpoints and heads"));
        }
        Ok(self.list.insert(anchor))
    }
}

fn text_of<'a>(claims: &'a Map<String, Value>, name: &str) -> &'a str {
    claims.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Which record a statement is about, with its hash.
fn place(claims: &Map<String, Value>) -> Result<Anchor, CliError> {
    let n = claims.get("n").and_then(Value::as_i64).unwrap_or_default();
    let hash = parse_hash(text_of(claims, "hash"))?;
    Ok(Anchor { writer: text_of(claims, "writer").to_owned(), n, hash })
}

fn not_proved(what: &str) -> CliError {
    CliError::failed("not_proved", format!("the audit is not as it was written: {what}"))
}

fn parse_hash(text: &str) -> Result<Hash, CliError> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok();
    bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| not_proved("a hash is no SHA-256"))
}

/// A record as the verifier takes it; its columns are in its text.
fn row(record: String, hash: &str) -> Result<AuditRow, CliError> {
    let value: Value = serde_json::from_str(&record).map_err(|_| not_proved("a record is not JSON"))?;
    let maybe = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let text = |name: &str| maybe(name).unwrap_or_default();
    let number = |name: &str| value.get(name).and_then(Value::as_i64).unwrap_or_default();
    Ok(AuditRow {
        writer: text("writer"),
        n: number("n"),
        at: number("at"),
        event: text("event"),
        outcome: text("outcome"),
        owner_id: maybe("owner_id"),
        subject_owner_id: maybe("subject_owner_id"),
        client_id: maybe("client_id"),
        jti: maybe("jti"),
        hash: parse_hash(hash)?.to_vec(),
        record,
    })
}

fn show(out: Out, proof: &Proof) -> Result<(), CliError> {
    if out.json {
        let value = serde_json::to_value(proof).map_err(|error| CliError::failed("output", error.to_string()))?;
        out.value(&value);
        return Ok(());
    }
    let chains = proof.chains.len();
    out.line(format!("The audit of {} holds.", proof.issuer));
    out.facts(&[
        ("records", format!("{} in {chains} {}", proof.records, if chains == 1 { "chain" } else { "chains" })),
        ("checkpoints", format!("{} signed, each met", proof.checkpoints)),
        ("named heads", format!("{} met", proof.heads_named_elsewhere)),
    ]);
    let cut = proof.chains.iter().filter(|chain| chain.pruned_to > 0).count();
    if cut > 0 {
        out.note(format!("{cut} of the chains are proved from where they were pruned on: that is signed"));
    }
    if !proof.redacted.is_empty() {
        out.note(format!("redacted, and all else of them proved: {}", proof.redacted.join(" ")));
    }
    if proof.checkpoints_unproved > 0 {
        out.note(format!(
            "{} checkpoints are signed by keys that are gone or distrusted: they prove nothing",
            proof.checkpoints_unproved
        ));
    }
    let rows = proof.chains.iter().map(|chain| {
        let from = Some(chain.pruned_to).filter(|to| *to > 0).map(|to| to.saturating_add(1).to_string());
        vec![chain.writer.clone(), chain.records.to_string(), from.unwrap_or_default(), chain.head.clone()]
    });
    out.line("");
    out.table(&["WRITER", "RECORDS", "FROM", "HEAD"], rows.collect(), "No records yet.");
    Ok(())
}
