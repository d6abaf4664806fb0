//! HTTP requests in quick succession over connections that stay open. Written by hand, because the load shares the
//! machine with what it measures.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use futures::future::try_join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::ratchet::share;

/// Longest time for one answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longest answer that is read, in bytes.
const ANSWER_MAX: usize = 64 * 1024;

/// A request as it goes over the wire.
pub fn request(path: &str, headers: &str, json: &serde_json::Value) -> Vec<u8> {
    let body = json.to_string();
    let length = body.len();
    let head = "host: localhost\r\ncontent-type: application/json";
    format!("POST {path} HTTP/1.1\r\n{head}\r\n{headers}content-length: {length}\r\n\r\n{body}").into_bytes()
}

/// A connection.
pub struct Line {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Line {
    pub async fn connect(at: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(at).await.context("no connection")?;
        stream.set_nodelay(true).context("no connection")?;
        Ok(Self { stream, answer: Vec::new() })
    }

    /// Sends one request and reads the answer to its end; gives the status.
    pub async fn send(&mut self, request: &[u8]) -> Result<u16> {
        tokio::time::timeout(PATIENCE, self.exchange(request)).await.context("no answer in time")?
    }

    async fn exchange(&mut self, request: &[u8]) -> Result<u16> {
        self.stream.write_all(request).await.context("the connection broke off")?;
        self.answer.clear();
        loop {
            if let Some((status, end)) = parse(&self.answer)
                && self.answer.len() >= end
            {
                return Ok(status);
            }
            let read = self.stream.read_buf(&mut self.answer).await.context("the connection broke off")?;
            ensure!(read > 0 && self.answer.len() <= ANSWER_MAX, "the answer broke off, or has no end");
        }
    }
}

/// Status and whole length of an answer, once its head is there.
fn parse(answer: &[u8]) -> Option<(u16, usize)> {
    let head_end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    let head = std::str::from_utf8(answer.get(..head_end)?).ok()?;
    let status = head.get(9..12)?.parse().ok()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    Some((status, head_end + 4 + length.unwrap_or(0)))
}

/// How it went.
pub struct Loaded {
    /// Answers with 2xx per second.
    pub per_second: f64,
    /// Milliseconds in which 99 of 100 were answered.
    pub p99_ms: f64,
}

/// Sends all requests over `connections`, each of them one after the other. An answer other than 2xx ends it.
pub async fn run(at: SocketAddr, connections: usize, requests: Vec<Vec<u8>>) -> Result<Loaded> {
    let count = requests.len();
    let mut shares: Vec<Vec<Vec<u8>>> = vec![Vec::new(); connections];
    for (n, request) in requests.into_iter().enumerate() {
        shares[n % connections].push(request);
    }
    let lines = try_join_all((0..connections).map(|_| Line::connect(at))).await?;
    let begun = Instant::now();
    let tasks = lines.into_iter().zip(shares).map(|(line, share)| tokio::spawn(send_all(line, share)));
    let done = try_join_all(tasks).await.context("a connection's task panicked")?;
    let seconds = begun.elapsed().as_secs_f64();
    let mut millis = done.into_iter().collect::<Result<Vec<_>>>()?.concat();
    Ok(Loaded { per_second: count as f64 / seconds, p99_ms: share(&mut millis, 0.99) })
}

async fn send_all(mut line: Line, requests: Vec<Vec<u8>>) -> Result<Vec<f64>> {
    let mut millis = Vec::with_capacity(requests.len());
    for request in requests {
        let begun = Instant::now();
        let status = line.send(&request).await?;
        millis.push(begun.elapsed().as_secs_f64() * 1e3);
        if !(200..300).contains(&status) {
            bail!("the answer was {status}");
        }
    }
    Ok(millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_with_its_body() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
        assert_eq!(parse(answer), Some((200, answer.len())));
        assert_eq!(parse(&answer[..20]), None);
        assert_eq!(parse(b"HTTP/1.1 503 Service Unavailable\r\n\r\n"), Some((503, 36)));
        assert_eq!(parse(b"noise\r\n\r\n"), None);
    }
}
