//! A small SMTP server: for the demo, where mail should be looked at and not delivered, and for
//! tests, which need a server that fails on command. Plain SMTP, no login, keeps what it gets.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Longest command or text line, in bytes.
const LINE_BYTES_MAX: u64 = 16 << 10;
/// Longest message, in bytes.
const MESSAGE_BYTES_MAX: usize = 16 << 20;
/// Messages kept; older ones go.
const MESSAGES_MAX: usize = 10_000;
/// Connections at one time.
const CONNECTIONS_MAX: usize = 256;

/// What goes wrong in one conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// This reply instead of the greeting.
    Greeting(u16),
    /// This reply to `MAIL`.
    Mail(u16),
    /// This reply to each `RCPT`.
    Rcpt(u16),
    /// This reply to `DATA`.
    Data(u16),
    /// This reply to the text; nothing is kept.
    Text(u16),
    /// The connection ends after `DATA` was answered; nothing is kept.
    CutInText,
    /// The text is kept and the connection ends without a reply.
    CutAfterText,
    /// The text is kept and no reply ever comes.
    HangAfterText,
    /// Not even a greeting.
    Hang,
}

/// A message as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Envelope sender.
    pub from: String,
    /// Envelope recipients.
    pub to: Vec<String>,
    /// Headers and body, lines ended by CR LF.
    pub text: String,
}

#[derive(Default)]
struct Shared {
    messages: Mutex<VecDeque<Stored>>,
    fault: Mutex<Option<(Fault, u32)>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn take_fault(&self) -> Option<Fault> {
        let mut slot = lock(&self.fault);
        let (fault, left) = (*slot)?;
        *slot = (left > 1).then_some((fault, left - 1));
        Some(fault)
    }

    fn keep(&self, message: Stored) {
        let mut messages = lock(&self.messages);
        if messages.len() >= MESSAGES_MAX {
            messages.pop_front();
        }
        messages.push_back(message);
    }
}

/// The server. Dropping it ends it and every conversation.
pub struct SmtpSink {
    addr: SocketAddr,
    shared: Arc<Shared>,
    _close: watch::Sender<()>,
}

impl std::fmt::Debug for SmtpSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SmtpSink({})", self.addr)
    }
}

impl SmtpSink {
    /// Starts on `addr`; port 0 picks one.
    pub async fn start(addr: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(addr).await?;
        let addr = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let (close, mut closed) = watch::channel(());
        let server = serve(listener, Arc::clone(&shared));
        tokio::spawn(async move {
            tokio::select! {
                () = server => {}
                _ = closed.changed() => {}
            }
        });
        Ok(Self { addr, shared, _close: close })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The messages kept so far, oldest first.
    pub fn messages(&self) -> Vec<Stored> {
        lock(&self.shared.messages).iter().cloned().collect()
    }

    /// From now on each of the next `times` conversations meets `fault`.
    pub fn fault(&self, fault: Fault, times: u32) {
        *lock(&self.shared.fault) = (times > 0).then_some((fault, times));
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut talks = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while talks.try_join_next().is_some() {}
        if talks.len() >= CONNECTIONS_MAX {
            continue;
        }
        let fault = shared.take_fault();
        let talk = Talk { stream: BufReader::new(stream), shared: Arc::clone(&shared), fault };
        // How a conversation ends is the client's affair.
        talks.spawn(async move { talk.run().await.is_ok() });
    }
}

struct Talk {
    stream: BufReader<TcpStream>,
    shared: Arc<Shared>,
    fault: Option<Fault>,
}

impl Talk {
    async fn run(mut self) -> io::Result<()> {
        match self.fault {
            Some(Fault::Hang) => return std::future::pending().await,
            Some(Fault::Greeting(code)) => return self.reply(code, "as told").await,
            _ => self.reply(220, "sink").await?,
        }
        let (mut from, mut to) = (String::new(), Vec::new());
        while let Some(line) = self.line().await? {
            let verb = line.get(..4).unwrap_or_default().to_ascii_uppercase();
            match verb.as_str() {
                "EHLO" => self.stream.write_all(b"250-sink\r\n250 8BITMIME\r\n").await?,
                "MAIL" => {
                    (from, to) = (path(&line), Vec::new());
                    self.reply(self.told(250), "sender").await?;
                }
                "RCPT" => {
                    let code = if let Some(Fault::Rcpt(code)) = self.fault { code } else { 250 };
                    if code == 250 {
                        to.push(path(&line));
                    }
                    self.reply(code, "recipient").await?;
                }
                "DATA" => self.data(&from, std::mem::take(&mut to)).await?,
                "RSET" | "NOOP" | "HELO" => self.reply(250, "ok").await?,
                "QUIT" => return self.reply(221, "bye").await,
                _ => self.reply(502, "unknown command").await?,
            }
        }
        Ok(())
    }

    fn told(&self, otherwise: u16) -> u16 {
        if let Some(Fault::Mail(code)) = self.fault { code } else { otherwise }
    }

    async fn data(&mut self, from: &str, to: Vec<String>) -> io::Result<()> {
        if let Some(Fault::Data(code)) = self.fault {
            return self.reply(code, "as told").await;
        }
        if to.is_empty() {
            return self.reply(503, "no recipient").await;
        }
        self.reply(354, "go ahead").await?;
        if self.fault == Some(Fault::CutInText) {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let text = self.text().await?;
        if let Some(Fault::Text(code)) = self.fault {
            return self.reply(code, "as told").await;
        }
        self.shared.keep(Stored { from: from.to_owned(), to, text });
        match self.fault {
            Some(Fault::CutAfterText) => Err(io::ErrorKind::ConnectionAborted.into()),
            Some(Fault::HangAfterText) => std::future::pending().await,
            _ => self.reply(250, "kept").await,
        }
    }

    /// Lines up to the single dot, with the stuffed dots taken out.
    async fn text(&mut self) -> io::Result<String> {
        let mut text = String::new();
        while let Some(line) = self.line().await? {
            if line == "." {
                return Ok(text);
            }
            text.push_str(line.strip_prefix('.').unwrap_or(&line));
            text.push_str("\r\n");
            if text.len() > MESSAGE_BYTES_MAX {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
        Err(io::ErrorKind::UnexpectedEof.into())
    }

    /// One line without its end, None at the end of the stream.
    async fn line(&mut self) -> io::Result<Option<String>> {
        let mut bytes = Vec::new();
        let mut limited = (&mut self.stream).take(LINE_BYTES_MAX);
        limited.read_until(b'\n', &mut bytes).await?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let Some(line) = bytes.strip_suffix(b"\r\n") else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        Ok(Some(String::from_utf8_lossy(line).into_owned()))
    }

    async fn reply(&mut self, code: u16, text: &str) -> io::Result<()> {
        self.stream.write_all(format!("{code} {text}\r\n").as_bytes()).await
    }
}

/// What stands between the angle brackets.
fn path(line: &str) -> String {
    let inner = line.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    inner.map(|(inside, _)| inside.to_owned()).unwrap_or_default()
}
