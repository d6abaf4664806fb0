//! As much of an IMAP client as is needed to have Dovecot read a mailbox to us: how a foreign parser understands our
//! messages is what matters.

use std::net::Ipv4Addr;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// One message as Dovecot reads it.
#[derive(Debug)]
pub struct Letter {
    /// `BODYSTRUCTURE`: the tree of its parts.
    pub structure: String,
    /// Header and body, as stored.
    pub text: String,
}

impl Letter {
    /// The value of a header, unfolded.
    pub fn header(&self, name: &str) -> Option<String> {
        let head = self.text.split("\r\n\r\n").next().unwrap_or_default().replace("\r\n ", " ").replace("\r\n\t", " ");
        let value = |line: &str| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        };
        head.split("\r\n").find_map(value)
    }
}

struct Talk {
    stream: BufReader<TcpStream>,
    tags: u32,
}

impl Talk {
    /// A command, and everything up to its end; literals stand in the text where they were.
    async fn ask(&mut self, command: &str) -> String {
        self.tags += 1;
        let tag = format!("t{} ", self.tags);
        self.stream.write_all(format!("{tag}{command}\r\n").as_bytes()).await.unwrap();
        let mut all = String::new();
        loop {
            let line = self.line().await;
            if line.starts_with(&tag) {
                assert!(line.starts_with(&format!("{tag}OK")), "{command:?}: {line}");
                return all;
            }
            all += &line;
        }
    }

    /// One line with the literals in it.
    async fn line(&mut self) -> String {
        let mut line = String::new();
        loop {
            let from = line.len();
            assert!(self.stream.read_line(&mut line).await.unwrap() > 0, "the server went away");
            let Some(length) = literal(&line[from..]) else { return line };
            let mut bytes = vec![0; length];
            self.stream.read_exact(&mut bytes).await.unwrap();
            line += &String::from_utf8_lossy(&bytes);
        }
    }
}

/// The length in `{123}` at the end of a line.
fn literal(line: &str) -> Option<usize> {
    line.trim_end().strip_suffix('}')?.rsplit_once('{')?.1.parse().ok()
}

/// All messages of a mailbox, oldest first.
pub async fn letters(port: u16, name: &str, password: &str) -> Vec<Letter> {
    let stream = BufReader::new(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap());
    let mut talk = Talk { stream, tags: 0 };
    talk.line().await;
    talk.ask(&format!("LOGIN {name} {password}")).await;
    let selected = talk.ask("SELECT INBOX").await;
    let count = selected.lines().find_map(|line| line.strip_prefix("* ")?.strip_suffix(" EXISTS"));
    let count: usize = count.unwrap().parse().unwrap();
    let mut letters = Vec::new();
    for number in 1..=count {
        let structure = talk.ask(&format!("FETCH {number} BODYSTRUCTURE")).await;
        let fetched = talk.ask(&format!("FETCH {number} BODY.PEEK[]")).await;
        let text = fetched.split_once("}\r\n").map(|(_, text)| text).unwrap();
        letters.push(Letter { structure, text: text.strip_suffix(")\r\n").unwrap_or(text).to_owned() });
    }
    letters
}
