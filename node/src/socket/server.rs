//! The node's side.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use relaymesh_core::command::{Code, OperatorCommand, Refusal, Reply};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::OwnedReadHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::path::ShortPath;
use super::{Answer, BUNDLE_LINE_BYTES_MAX, LINE_BYTES_MAX, Listening, Question, Told};

/// Connections at once; more wait in the kernel's queue. An operator has a few terminals.
const CONNECTIONS_MAX: usize = 16;
/// Time for a caller to write its next line and to take an answer.
const LINE_TIMEOUT: Duration = Duration::from_secs(60);
/// What a line that carries a bundle begins with; only such a line may be long.
const BUNDLE_START: &[u8] = b"{\"command\":{\"bundle_import\"";
/// Pause after the system could not hand over a connection (no file descriptors left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Why the socket cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another node answers there.
    #[error("another node is running on {}; stop it first or choose another data directory", path.display())]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// The file system said no.
    #[error("the socket {} cannot be made ({source}); check the data directory's owner and permissions", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

/// The bound socket. The file goes away with it.
#[derive(Debug)]
pub struct Listener {
    listener: UnixListener,
    path: PathBuf,
}

impl Listener {
    /// Binds the socket, over one that a killed node left behind. Readable by its owner only from the first moment.
    ///
    /// # Errors
    /// When a node answers there, or the file system refuses.
    pub async fn bind(path: &Path) -> Result<Self, BindError> {
        let failed = |source| BindError::Io { path: path.to_owned(), source };
        let short = ShortPath::of(path).map_err(failed)?;
        if UnixStream::connect(&short).await.is_ok() {
            return Err(BindError::InUse { path: path.to_owned() });
        }
        let draft = path.with_extension(format!("sock.{}", std::process::id()));
        let short_draft = ShortPath::of(&draft).map_err(failed)?;
        let _ = std::fs::remove_file(&draft);
        let listener = UnixListener::bind(&short_draft).map_err(failed)?;
        close_to_others(&draft).and_then(|()| std::fs::rename(&draft, path)).map_err(failed)?;
        Ok(Self { listener, path: path.to_owned() })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn close_to_others(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
}

/// Answers commands until `shutdown`; then waits for those under way. `ask` hands a command to the node; `listening` is told
/// to whoever asks for it.
pub async fn serve<A, F>(socket: Listener, ask: A, listening: Listening, shutdown: CancellationToken)
where
    A: Fn(OperatorCommand) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Reply> + Send + 'static,
{
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let tasks = TaskTracker::new();
    loop {
        let slot = tokio::select! {
            () = shutdown.cancelled() => break,
            slot = Arc::clone(&slots).acquire_owned() => slot,
        };
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = socket.listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (ask, shutdown) = (ask.clone(), shutdown.clone());
        tasks.spawn(async move {
            // A caller that goes away in between is its own affair.
            let _ = talk(stream, ask, listening, shutdown).await;
            drop(slot);
        });
    }
    tasks.close();
    tasks.wait().await;
}

async fn talk<A, F>(stream: UnixStream, ask: A, listening: Listening, shutdown: CancellationToken) -> io::Result<()>
where
    A: Fn(OperatorCommand) -> F,
    F: Future<Output = Reply>,
{
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    loop {
        let line = tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            line = timeout(LINE_TIMEOUT, next_line(&mut read)) => line,
        };
        let (answer, go_on) = match line {
            Err(_) | Ok(Line::End) => return Ok(()),
            Ok(Line::TooLong) => (refuse("invalid_argument", "the line is too long"), false),
            Ok(Line::Whole(bytes)) => match Question::parse(&bytes) {
                // The parser's own words could repeat what a caller sent.
                None => {
                    (refuse("invalid_argument", "the line is no command; is this program of the same version?"), true)
                }
                Some(Question::Command(command)) => (answer_of(ask(command).await), true),
                Some(Question::Listening {}) => (Answer::Listening(listening), true),
            },
        };
        let mut line = serde_json::to_vec(&answer)?;
        line.push(b'\n');
        timeout(LINE_TIMEOUT, write.write_all(&line)).await??;
        if !go_on {
            return Ok(());
        }
    }
}

enum Line {
    Whole(Vec<u8>),
    TooLong,
    End,
}

/// The next line, within the limit of a command, or of a bundle if it begins like one.
async fn next_line(read: &mut BufReader<OwnedReadHalf>) -> Line {
    let mut line = Vec::new();
    let mut left = LINE_BYTES_MAX;
    loop {
        match read.take(left as u64).read_until(b'\n', &mut line).await {
            Err(_) => return Line::End,
            Ok(_) if line.ends_with(b"\n") => return Line::Whole(line),
            Ok(read) if read < left => return if line.is_empty() { Line::End } else { Line::Whole(line) },
            Ok(_) if line.len() == LINE_BYTES_MAX && line.starts_with(BUNDLE_START) => {
                left = BUNDLE_LINE_BYTES_MAX - LINE_BYTES_MAX;
            }
            Ok(_) => return Line::TooLong,
        }
    }
}

fn refuse(code: &str, message: &str) -> Answer {
    Answer::Error(Told::new(code, message, ""))
}

fn answer_of(reply: Reply) -> Answer {
    match reply {
        Reply::Operator(reply) => Answer::Reply(reply),
        Reply::Refused(Refusal { code, text }) => Answer::Error(Told::new(code_name(code), text, hint(code))),
        _ => refuse("internal", "the node answered another question"),
    }
}

fn code_name(code: Code) -> &'static str {
    match code {
        Code::InvalidArgument => "invalid_argument",
        Code::NotFound => "not_found",
        Code::AlreadyExists => "already_exists",
        Code::Unauthenticated => "unauthenticated",
        Code::PermissionDenied => "permission_denied",
        Code::FailedPrecondition => "failed_precondition",
        Code::ResourceExhausted => "resource_exhausted",
        Code::Unimplemented => "unimplemented",
        Code::Unavailable => "unavailable",
        Code::Internal => "internal",
    }
}

fn hint(code: Code) -> &'static str {
    match code {
        Code::Unavailable | Code::ResourceExhausted => "try again later; `relaymesh doctor` says more",
        Code::Internal => "see the node's log; `relaymesh doctor` says more",
        _ => "",
    }
}
