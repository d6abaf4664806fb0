//! A publication owed: its parts, and how far each is.

use relaymesh_protocol::ids::{E164, EntityId, Language, MessageId, NodeId, Timestamp};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::batch::Key;
use crate::command::{FailureClass, MessageOutcome, Refusal};
use crate::node::Node;
use crate::output::{Private64, PublishContent};
use crate::record::vault::JOB;
use crate::record::{Entity, Stored, delete_row, key};
use crate::tx::{Run, Tx};

/// Name of the bridge as a platform.
pub(super) const EMAIL_BRIDGE: &str = "email_bridge";

/// One publication owed.
#[derive(Clone, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub(crate) struct Job {
    /// Platform name.
    pub platform: String,
    /// Account identifier.
    pub account: String,
    /// Tokens that the phone sent along.
    pub device_tokens: Option<Pair>,
    /// What is published.
    pub content: JobContent,
    /// How far each part is.
    #[zeroize(skip)]
    pub parts: Vec<Part>,
    /// Who handed the message in: hears how it ended.
    #[zeroize(skip)]
    pub ingress: NodeId,
    /// Who is told by SMS.
    #[zeroize(skip)]
    pub number: Option<E164>,
    /// In which language.
    #[zeroize(skip)]
    pub language: Language,
    /// Record key of the consumed block, which keeps the outcome.
    #[zeroize(skip)]
    pub block: [u8; 16],
    /// Given up after this.
    #[zeroize(skip)]
    pub deadline: Timestamp,
    /// The token was refreshed for it once, with an answer.
    #[zeroize(skip)]
    pub refreshed: bool,
    /// Attempts so far, for the pause between them.
    #[zeroize(skip)]
    pub attempts: u32,
    /// Which message of the entity this is, counted from 1.
    #[zeroize(skip)]
    pub ordinal: u64,
    /// It is uncertain, and its content stays until then, in case its person asks for it once more.
    #[zeroize(skip)]
    pub kept_until: Option<Timestamp>,
    /// Answers that asked for it once more, by id.
    #[zeroize(skip)]
    pub asked: Vec<MessageId>,
    /// What the phone's tokens became by a refresh that the phone has not been told of.
    pub renewed: Option<Pair>,
}

/// The tokens of an account that only the phone keeps.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub(crate) struct Pair {
    /// Short-lived.
    pub access: String,
    /// Gives the next pair, on some platforms once.
    pub refresh: String,
}

impl Stored for Job {
    const VERSION: u8 = 3;

    /// Version 1 ended before `kept_until`: none, and nobody asked. Version 2 ended before `renewed`: none.
    fn migrate(version: u8, bytes: &[u8]) -> Option<Self> {
        let lacks: &[u8] = match version {
            1 => &[0, 0, 0],
            2 => &[0],
            _ => return None,
        };
        let whole = Zeroizing::new([bytes, lacks].concat());
        let (job, left) = postcard::take_from_bytes(&whole).ok()?;
        left.is_empty().then_some(job)
    }
}

impl Job {
    /// The number that its person is told.
    pub fn told_as(&self) -> u32 {
        u32::try_from(self.ordinal).unwrap_or(u32::MAX)
    }
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job").field("platform", &self.platform).field("parts", &self.parts).finish_non_exhaustive()
    }
}

/// Content of a job.
#[derive(Clone, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub(crate) enum JobContent {
    /// Posts of a thread, in order; an image goes with the first.
    Thread {
        /// Texts.
        posts: Vec<String>,
        /// WebP.
        image: Option<Vec<u8>>,
    },
    /// A mail.
    Email {
        /// Comma-separated.
        to: String,
        /// Comma-separated.
        cc: String,
        /// Comma-separated.
        bcc: String,
        /// Line.
        subject: String,
        /// Text.
        body: String,
        /// WebP.
        image: Option<Vec<u8>>,
    },
    /// A direct message.
    Message {
        /// Recipient.
        to: String,
        /// Text.
        text: String,
    },
}

impl JobContent {
    /// How many parts it has.
    pub fn parts(&self) -> usize {
        match self {
            Self::Thread { posts, .. } => posts.len(),
            Self::Email { .. } | Self::Message { .. } => 1,
        }
    }

    /// One part, as the platform's adapter takes it.
    pub fn part(&self, index: usize) -> Option<PublishContent> {
        let private = |bytes: &Option<Vec<u8>>| bytes.clone().map(Private64);
        Some(match self {
            Self::Thread { posts, image } => PublishContent::Text {
                text: posts.get(index)?.clone().into(),
                image: if index == 0 { private(image) } else { None },
            },
            Self::Email { to, cc, bcc, subject, body, image } => PublishContent::Email {
                to: to.clone().into(),
                cc: cc.clone().into(),
                bcc: bcc.clone().into(),
                subject: subject.clone().into(),
                body: body.clone().into(),
                image: private(image),
            },
            Self::Message { to, text } => PublishContent::Message { to: to.clone().into(), text: text.clone().into() },
        })
    }
}

/// How far a part is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Part {
    /// Nothing was sent, or the platform said to come back.
    Ready,
    /// The first attempt is under way, or it ended and nobody knows how.
    Sending {
        /// When it began.
        first: Timestamp,
    },
    /// Published.
    Done {
        /// As the platform names it.
        remote: String,
    },
    /// Sent again after an attempt whose end is unknown: whatever the platform says of this one, it may be there.
    Repeating {
        /// When the first attempt whose end is unknown began: so long does the platform know the part's key.
        first: Timestamp,
    },
}

impl Part {
    /// Since when it may be on the platform without this node's knowledge.
    pub fn in_doubt_since(&self) -> Option<Timestamp> {
        match self {
            Self::Sending { first } | Self::Repeating { first } => Some(*first),
            Self::Ready | Self::Done { .. } => None,
        }
    }
}

impl Job {
    /// The part that is under way or in doubt: there is one at most.
    pub fn open_part(&mut self) -> Option<&mut Part> {
        self.parts.iter_mut().find(|part| part.in_doubt_since().is_some())
    }

    /// A part goes out. What is unknown of an earlier attempt stays so.
    pub fn begin(&mut self, index: usize, now: Timestamp) {
        if let Some(part) = self.parts.get_mut(index) {
            *part = match part.in_doubt_since() {
                Some(first) => Part::Repeating { first },
                None => Part::Sending { first: now },
            };
        }
    }

    /// The platform did not take the attempt under way: nothing is there unless an earlier one left it there.
    pub fn not_taken(&mut self) {
        if let Some(part) = self.open_part()
            && matches!(part, Part::Sending { .. })
        {
            *part = Part::Ready;
        }
    }

    /// How it ends without having been published whole: failed, or uncertain where some of it is or may be there.
    pub fn unfinished(&self, class: FailureClass) -> MessageOutcome {
        // What its person asked for once more was uncertain before, and stays so.
        if self.asked.is_empty() && self.parts.iter().all(|part| *part == Part::Ready) {
            MessageOutcome::Failed(class)
        } else {
            MessageOutcome::Uncertain
        }
    }
}

/// Record key under which a job is sealed apart.
fn record(message: &MessageId) -> &[u8] {
    message.as_bytes()
}

/// Writes a new job in the entity's batch. Where one lies already (no honest message comes there), the run is refused:
/// what is owed is never written over.
pub(super) fn create(node: &Node, tx: &mut Tx<'_>, entity: &mut Entity, message: &MessageId, job: &Job) -> Run {
    if !tx.presume_absent(&key::job(message))? {
        node.count(tx, "job_in_the_way");
        return Err(Refusal::unavailable().into());
    }
    put(node, tx, entity, message, job)
}

/// Writes a job in the entity's batch.
pub(super) fn put(node: &Node, tx: &mut Tx<'_>, entity: &mut Entity, message: &MessageId, job: &Job) -> Run {
    let mut row = entity.id.0.to_vec();
    row.extend(entity.seal_apart(node, tx, JOB, record(message), job)?);
    tx.put(key::job(message), row)
}

/// Removes a job.
pub(super) fn delete(tx: &mut Tx<'_>, message: &MessageId) -> Run {
    delete_row(tx, key::job(message))
}

/// Whose job a row is.
pub(super) fn owner(row: &[u8]) -> Option<EntityId> {
    row.first_chunk::<16>().map(|id| EntityId(*id))
}

/// Reads a job and its entity.
pub(super) fn get(node: &Node, tx: &mut Tx<'_>, message: &MessageId) -> Run<Option<(Entity, Job)>> {
    let job_key: Key = key::job(message);
    let Some(row) = tx.get(&job_key)? else { return Ok(None) };
    let entity = match owner(&row) {
        Some(id) => Entity::load(node, tx, id)?,
        None => None,
    };
    let opened = entity.and_then(|entity| {
        let job = entity.open_apart::<Job>(node, JOB, record(message), row.get(16..)?)?;
        Some((entity, job))
    });
    if opened.is_none() {
        node.count(tx, "record_unreadable");
    }
    Ok(opened)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{decode, encode};

    #[test]
    fn jobs_of_earlier_versions_are_read() {
        let job = Job {
            platform: "mastodon".to_owned(),
            account: "ada@mastodon.test".to_owned(),
            device_tokens: Some(Pair { access: "a".to_owned(), refresh: "r".to_owned() }),
            content: JobContent::Thread { posts: vec!["text".to_owned()], image: None },
            parts: vec![Part::Ready],
            ingress: NodeId([1; 32]),
            number: None,
            language: Language::FR,
            block: [2; 16],
            deadline: Timestamp(9),
            refreshed: false,
            attempts: 3,
            ordinal: 4,
            kept_until: None,
            asked: Vec::new(),
            renewed: None,
        };
        let mut bytes = encode(&job).to_vec();
        for (version, lacks) in [(2, 1), (1, 2)] {
            bytes.truncate(bytes.len() - lacks);
            bytes[0] = version;
            let read = decode::<Job>(&bytes).unwrap();
            assert!(read.device_tokens == job.device_tokens && read.renewed.is_none() && read.attempts == 3);
        }
        bytes[0] = 4;
        assert!(decode::<Job>(&bytes).is_none());
    }
}
