//! HTTP as bytes on a socket: what no well-meant client library would send.

use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Bytes of a body that are written at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// A request.
pub struct Call<'a> {
    pub method: &'a str,
    pub url: &'a str,
    pub content_type: Option<&'a str>,
    pub body: Body<'a>,
}

/// How a body is sent.
#[derive(Clone, Copy)]
pub enum Body<'a> {
    /// Its length goes before it.
    Announced(&'a [u8]),
    /// Its length shows at its end.
    Chunked(&'a [u8]),
}

pub struct Answer {
    pub status: u16,
    pub body: String,
    /// Length of all of it.
    pub bytes: usize,
}

impl Call<'_> {
    /// Sends it on a connection of its own. A node may say no before it has heard everything.
    pub async fn send(&self) -> io::Result<Answer> {
        let (host, path) = self.url.strip_prefix("http://").and_then(|rest| rest.split_once('/')).unwrap();
        let length = match self.body {
            Body::Announced(bytes) => format!("content-length: {}", bytes.len()),
            Body::Chunked(_) => "transfer-encoding: chunked".to_owned(),
        };
        let kind = self.content_type.map_or_else(String::new, |kind| format!("content-type: {kind}\r\n"));
        let head =
            format!("{} /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{kind}{length}\r\n\r\n", self.method);
        let mut stream = TcpStream::connect(host).await?;
        let (mut read, mut write) = stream.split();
        let mut answer = Vec::new();
        let ask = async {
            write.write_all(head.as_bytes()).await?;
            self.body.write(&mut write).await
        };
        // The node may hang up on the rest of what is sent, never on its own answer.
        let (_, heard) = tokio::join!(ask, read.read_to_end(&mut answer));
        heard?;
        Answer::parse(&answer).ok_or_else(|| io::Error::other("no HTTP answer"))
    }
}

impl Body<'_> {
    async fn write(self, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        match self {
            Self::Announced(bytes) => to.write_all(bytes).await,
            Self::Chunked(bytes) => {
                for chunk in bytes.chunks(CHUNK_BYTES) {
                    to.write_all(format!("{:x}\r\n", chunk.len()).as_bytes()).await?;
                    to.write_all(chunk).await?;
                    to.write_all(b"\r\n").await?;
                }
                to.write_all(b"0\r\n\r\n").await
            }
        }
    }
}

impl Answer {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = str::from_utf8(bytes).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
        Some(Self { status, body: body.to_owned(), bytes: bytes.len() })
    }
}
