//! What an opened payload asks for: a post of a connected account, a bridge mail, or the end of a reliability test.

use relaymesh_protocol::bridge_content::BridgeContent;
use relaymesh_protocol::content::{Content, PlatformContent, ServiceType, split_image};
use relaymesh_protocol::ids::{E164, Language};
use relaymesh_protocol::payload::{BridgePayload, Payload, PlatformPayload};
use relaymesh_protocol::platform::Platform;
use relaymesh_protocol::sms_text::Notice;

use super::consume::Incoming;
use super::job::{EMAIL_BRIDGE, JobContent, Pair};
use super::{claim, parts};
use crate::clients::{self, Arrival, Sms};
use crate::command::MessageOutcome;
use crate::egress;
use crate::locator::{self, Routing};
use crate::node::Node;
use crate::record::index::{self, Kind};
use crate::record::vault::{TOKEN, Token, token_key};
use crate::record::{Entity, Stored};
use crate::tx::{Run, Tx};

/// Letter of the e-mail bridge.
const EMAIL_LETTER: u8 = b'e';
/// Most receivers of one bridge mail, all three lists together.
const RECIPIENTS_MAX: usize = 20;

/// What will be done.
pub(super) struct Plan {
    pub platform: String,
    pub account: String,
    pub device_tokens: Option<Pair>,
    /// What is owed; none where it is done already.
    pub content: Option<JobContent>,
    pub at_once: Option<MessageOutcome>,
}

/// Why an opened payload is refused without consuming its key. Everything here may come from a flip outside the MAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Misfit {
    Shortcode,
    Content,
    Account,
    Platform,
    TooLong,
    /// A test of a gateway client that did not bring it. Nobody is told: the test itself tells when its time is over.
    Elsewhere,
}

/// Reads an opened payload.
pub(super) fn plan(
    node: &Node,
    tx: &mut Tx<'_>,
    incoming: &Incoming<'_>,
    payload: &Payload,
    entity: &Entity,
    known: bool,
    plaintext: &[u8],
) -> Run<Result<Plan, Misfit>> {
    match payload {
        Payload::Platform(platform) if known => plan_platform(node, tx, incoming, platform, entity, plaintext),
        Payload::Platform(_) => Ok(Err(Misfit::Account)),
        Payload::Bridge(bridge) => Ok(plan_bridge(node, incoming, bridge, plaintext)),
    }
}

fn plan_platform(
    node: &Node,
    tx: &mut Tx<'_>,
    incoming: &Incoming<'_>,
    payload: &PlatformPayload,
    entity: &Entity,
    plaintext: &[u8],
) -> Run<Result<Plan, Misfit>> {
    let Some(platform) = Platform::by_shortcode(payload.shortcode) else { return Ok(Err(Misfit::Shortcode)) };
    let (image, rest) = match split_image(plaintext, usize::from(incoming.image.unwrap_or(0))) {
        Ok(split) => split,
        Err(_) => return Ok(Err(Misfit::Content)),
    };
    let Ok(parsed) = PlatformContent::parse(payload.version, platform.service, rest) else {
        return Ok(Err(Misfit::Content));
    };
    if let Content::Test { id } = &parsed.content {
        let vouched = claim::is_vouched(node, incoming.from, incoming.submission);
        let submission = incoming.submission;
        let sms = Sms {
            gateway: submission.gateway.as_ref().filter(|_| vouched),
            received: submission.received,
            date: submission.date,
            date_sent: submission.date_sent,
        };
        return Ok(match clients::arrived(node, tx, id, sms)? {
            Arrival::Ended(outcome) => Ok(test_plan(platform, outcome)),
            Arrival::Elsewhere => Err(Misfit::Elsewhere),
            Arrival::NoTest => Err(Misfit::Content),
        });
    }
    let Some(account) = parsed.content.account().map(str::to_owned) else { return Ok(Err(Misfit::Content)) };
    let Some(settings) = node.config().platforms.iter().find(|p| p.name == platform.name) else {
        return Ok(Err(Misfit::Platform));
    };
    if entity.get::<Token>(node, tx, TOKEN, &token_key(platform.name, &account))?.is_none() {
        return Ok(Err(Misfit::Account));
    }
    let image = (!image.is_empty()).then(|| image.to_vec());
    let Some(content) = job_content(&parsed.content, image, settings.text_max) else { return Ok(Err(Misfit::TooLong)) };
    Ok(Ok(Plan {
        platform: platform.name.to_owned(),
        account,
        device_tokens: parsed
            .tokens
            .as_ref()
            .map(|tokens| Pair { access: tokens.access.clone(), refresh: tokens.refresh.clone() }),
        content: Some(content),
        at_once: None,
    }))
}

fn test_plan(platform: &Platform, outcome: MessageOutcome) -> Plan {
    debug_assert_eq!(platform.service, ServiceType::Test);
    Plan {
        platform: platform.name.to_owned(),
        account: String::new(),
        device_tokens: None,
        content: None,
        at_once: Some(outcome),
    }
}

fn job_content(content: &Content, image: Option<Vec<u8>>, text_max: usize) -> Option<JobContent> {
    Some(match content {
        Content::Text { body, .. } => JobContent::Thread { posts: parts::split(body, text_max)?, image },
        Content::Email { to, cc, bcc, subject, body, .. } => JobContent::Email {
            to: to.clone(),
            cc: cc.clone(),
            bcc: bcc.clone(),
            subject: subject.clone(),
            body: body.clone(),
            image,
        },
        Content::Message { to, body, .. } => JobContent::Message { to: to.clone(), text: body.clone() },
        Content::Test { .. } => return None,
    })
}

fn plan_bridge(
    node: &Node,
    incoming: &Incoming<'_>,
    payload: &BridgePayload,
    plaintext: &[u8],
) -> Result<Plan, Misfit> {
    if payload.letter != EMAIL_LETTER {
        return Err(Misfit::Shortcode);
    }
    node.config().bridge_domain.as_ref().ok_or(Misfit::Platform)?;
    let number = incoming.number.as_ref().ok_or(Misfit::Account)?;
    let image_len = usize::from(incoming.image.unwrap_or(0));
    let (mail, image) =
        BridgeContent::parse_with_image(payload.version, plaintext, image_len).map_err(|_| Misfit::Content)?;
    let receivers = [&mail.to, &mail.cc, &mail.bcc];
    let count: usize = receivers.iter().map(|list| list.split(',').filter(|a| !a.trim().is_empty()).count()).sum();
    if count == 0 || count > RECIPIENTS_MAX {
        return Err(Misfit::Content);
    }
    Ok(Plan {
        platform: EMAIL_BRIDGE.to_owned(),
        account: alias(node, number),
        device_tokens: None,
        content: Some(JobContent::Email {
            to: mail.to.clone(),
            cc: mail.cc.clone(),
            bcc: mail.bcc.clone(),
            subject: mail.subject.clone(),
            body: mail.body.clone(),
            image: (!image.is_empty()).then(|| image.to_vec()),
        }),
        at_once: None,
    })
}

/// A bridge identity's number.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct BridgeIdentity {
    pub number: E164,
}

impl Stored for BridgeIdentity {}

/// Table byte of [`BridgeIdentity`]; one record, key empty.
pub(super) const BRIDGE_IDENTITY: u8 = 9;

/// The mail address of a number.
pub(super) fn alias(node: &Node, number: &E164) -> String {
    let domain = node.config().bridge_domain.as_deref().unwrap_or_default();
    format!("{}@{domain}", number.digits())
}

/// First contact of a number: its bridge identity begins here, apart from any account, and the number is told.
pub(super) fn register(
    node: &Node,
    tx: &mut Tx<'_>,
    incoming: &Incoming<'_>,
    entity: &mut Entity,
    language: Language,
) -> Run {
    let Some(number) = incoming.number.as_ref() else { return Ok(()) };
    index::put(node, tx, Kind::Bridge, number.reveal().as_bytes(), entity.id)?;
    entity.put(node, tx, BRIDGE_IDENTITY, b"", &BridgeIdentity { number: number.clone() })?;
    let routing = Routing { device: None, phone: None, bridge: Some(number.clone()) };
    locator::add_entity(node, tx, entity.id, &routing)?;
    node.count(tx, "bridge_first_contact");
    let notice = Notice::BridgeStarted { alias: alias(node, number) };
    egress::notice(node, tx, number, language, &notice)
}
