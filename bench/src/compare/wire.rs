//! One connection that is kept alive, and as little of HTTP/1.1 as a measurement needs. The load
//! runs on the cores of what it measures: whatever this does for a request is taken from there.
//! Owns reading a whole answer; it must never take a half of one for the whole.

use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longest wait for an answer.
const DEADLINE: Duration = Duration::from_secs(30);
/// Largest answer.
const MAX_ANSWER_BYTES: usize = 1 << 20;
const HEAD_END: &[u8] = b"\r\n\r\n";

#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    answer: Vec<u8>,
}

/// An answer, whatever it says.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

/// How the body ends.
#[derive(Clone, Copy, Debug)]
enum Framing {
    Length(usize),
    Chunked,
}

impl Connection {
    /// # Errors
    /// In words.
    pub async fn open(address: &str) -> Result<Self, String> {
        let stream = TcpStream::connect(address).await.map_err(|error| format!("{address}: {error}"))?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        Ok(Self { stream, answer: Vec::with_capacity(4096) })
    }

    /// Sends a request and reads the answer to it.
    ///
    /// # Errors
    /// In words, where there is none within the deadline.
    pub async fn ask(&mut self, request: &[u8]) -> Result<Answer, String> {
        match tokio::time::timeout(DEADLINE, self.exchange(request)).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {} s", DEADLINE.as_secs())),
        }
    }

    async fn exchange(&mut self, request: &[u8]) -> Result<Answer, String> {
        self.stream.write_all(request).await.map_err(|error| error.to_string())?;
        self.answer.clear();
        let head_end = loop {
            self.read_more().await?;
            if let Some(at) = self.answer.windows(HEAD_END.len()).position(|four| four == HEAD_END) {
                break at + HEAD_END.len();
            }
        };
        let head = self.answer.get(..head_end).and_then(|head| std::str::from_utf8(head).ok());
        let (status, framing) = head.and_then(read_head).ok_or("a head that is not HTTP/1.1 with a length")?;
        loop {
            let rest = self.answer.get(head_end..).unwrap_or_default();
            if let Some(body) = whole(rest, framing)? {
                return Ok(Answer { status, body });
            }
            self.read_more().await?;
        }
    }

    async fn read_more(&mut self) -> Result<(), String> {
        if self.answer.len() > MAX_ANSWER_BYTES {
            return Err("the answer is too large".to_owned());
        }
        match self.stream.read_buf(&mut self.answer).await {
            Ok(0) => Err("the connection was closed".to_owned()),
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }
}

fn read_head(head: &str) -> Option<(u16, Framing)> {
    let mut lines = head.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let mut framing = None;
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { continue };
        if name.eq_ignore_ascii_case("content-length") {
            framing = Some(Framing::Length(value.trim().parse().ok()?));
        } else if name.eq_ignore_ascii_case("transfer-encoding") && value.trim().eq_ignore_ascii_case("chunked") {
            framing = Some(Framing::Chunked);
        }
    }
    Some((status, framing?))
}

/// The body, once all of it is there.
fn whole(rest: &[u8], framing: Framing) -> Result<Option<Vec<u8>>, String> {
    match framing {
        Framing::Length(length) if rest.len() > length => Err("more was answered than asked for".to_owned()),
        Framing::Length(length) => Ok((rest.len() == length).then(|| rest.to_vec())),
        Framing::Chunked => unchunk(rest),
    }
}

fn unchunk(mut rest: &[u8]) -> Result<Option<Vec<u8>>, String> {
    let mut body = Vec::new();
    loop {
        let Some(at) = rest.windows(2).position(|two| two == b"\r\n") else { return Ok(None) };
        let (line, after) = (rest.get(..at).unwrap_or_default(), rest.get(at + 2..).unwrap_or_default());
        let text = std::str::from_utf8(line).map_err(|error| error.to_string())?;
        let length = usize::from_str_radix(text.trim(), 16).map_err(|_| format!("a chunk of {text:?}"))?;
        if length > MAX_ANSWER_BYTES {
            return Err("the answer is too large".to_owned());
        }
        if after.len() < length + 2 {
            return Ok(None);
        }
        if length == 0 {
            return Ok(Some(body));
        }
        body.extend_from_slice(after.get(..length).unwrap_or_default());
        rest = after.get(length + 2..).unwrap_or_default();
    }
}

/// A request with a body, written out.
#[must_use]
pub fn post(address: &str, path: &str, authorization: Option<&str>, kind: &str, body: &str) -> Vec<u8> {
    let authorization = authorization.map(|value| format!("authorization: {value}\r\n")).unwrap_or_default();
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\n{authorization}content-type: {kind}\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// A request without one.
#[must_use]
pub fn get(address: &str, path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_in_chunks_is_whole_with_its_last_chunk_alone() {
        let all = b"4\r\n{\"a\"\r\n3\r\n:1}\r\n0\r\n\r\n";
        for cut in 0..all.len() {
            assert_eq!(unchunk(&all[..cut]).unwrap(), None, "cut at {cut}");
        }
        assert_eq!(unchunk(all).unwrap().unwrap(), b"{\"a\":1}");
        assert!(unchunk(b"x\r\n").is_err());
        assert!(unchunk(b"ffffffff\r\n").is_err());
    }

    #[test]
    fn a_head_must_say_how_its_body_ends() {
        assert!(read_head("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n").is_none());
        assert!(read_head("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n").is_none());
        let (status, framing) = read_head("HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\n").unwrap();
        assert!(status == 503 && matches!(framing, Framing::Length(2)));
        assert!(whole(b"abc", Framing::Length(2)).is_err());
        assert_eq!(whole(b"a", Framing::Length(2)).unwrap(), None);
    }
}
