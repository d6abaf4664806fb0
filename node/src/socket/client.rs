//! The command line's side: one question, one answer, bounded in time and size.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use relaymesh_core::command::{OperatorCommand, OperatorReply};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::path::ShortPath;
use super::{Answer, BUNDLE_LINE_BYTES_MAX, Listening, Question, Told};

/// A node that is alive takes a connection at once.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longer than any single step of the node; a ping gives up after 10 s by itself.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// A bundle is read, opened and stored envelope by envelope.
const BUNDLE_TIMEOUT: Duration = Duration::from_secs(600);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody listens.
    #[error("no node answers at {} ({})", path.display(), said(source))]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The node took the connection and did not answer in time.
    #[error("the node did not answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// The connection broke, or what came is no answer.
    #[error("the node's answer was cut off or cannot be read")]
    Broken,
    /// The node said no.
    #[error("{}", .0.message)]
    Refused(Told),
}

/// What the usual answers of the system mean here.
fn said(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => "it is not running".to_owned(),
        io::ErrorKind::PermissionDenied => "it belongs to another user".to_owned(),
        _ => error.to_string(),
    }
}

/// Asks the node at `path`. Dropping the future closes the connection; the command may have been done.
///
/// # Errors
/// When nobody listens, no answer comes, or the node refuses.
pub async fn ask(path: &Path, command: OperatorCommand) -> Result<OperatorReply, AskError> {
    let patience = match command {
        OperatorCommand::BundleImport { .. } | OperatorCommand::BundleExport => BUNDLE_TIMEOUT,
        _ => ANSWER_TIMEOUT,
    };
    match put(path, Question::Command(command), patience).await? {
        Answer::Reply(reply) => Ok(reply),
        _ => Err(AskError::Broken),
    }
}

/// Asks the node at `path` where it listens.
///
/// # Errors
/// When nobody listens at `path`, no answer comes, or the node is of a version that knows no such question.
pub async fn listening(path: &Path) -> Result<Listening, AskError> {
    match put(path, Question::Listening {}, ANSWER_TIMEOUT).await? {
        Answer::Listening(listening) => Ok(listening),
        _ => Err(AskError::Broken),
    }
}

/// One question; what the node refuses is an error.
async fn put(path: &Path, question: Question, patience: Duration) -> Result<Answer, AskError> {
    let unreachable = |source| AskError::Unreachable { path: path.to_owned(), source };
    let short = ShortPath::of(path).map_err(unreachable)?;
    let connected = timeout(CONNECT_TIMEOUT, UnixStream::connect(&short)).await;
    let stream = connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(unreachable)?;
    let answer = timeout(patience, exchange(stream, question)).await;
    match answer.map_err(|_| AskError::TimedOut(patience))? {
        Ok(Answer::Error(told)) => Err(AskError::Refused(told)),
        Ok(answer) => Ok(answer),
        Err(_) => Err(AskError::Broken),
    }
}

async fn exchange(stream: UnixStream, question: Question) -> io::Result<Answer> {
    let (read, mut write) = stream.into_split();
    let mut line = serde_json::to_vec(&question)?;
    line.push(b'\n');
    // A node that refuses a long line answers before it has read it all.
    let sent = write.write_all(&line).await;
    let mut answer = Vec::new();
    BufReader::new(read.take(BUNDLE_LINE_BYTES_MAX as u64)).read_until(b'\n', &mut answer).await?;
    if answer.is_empty() {
        sent?;
    }
    Ok(serde_json::from_slice(&answer)?)
}
