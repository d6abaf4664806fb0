//! Gateway clients as the apps list them, and their reliability tests.

use std::collections::BTreeMap;
use std::time::Duration;

use relaymesh_protocol::ids::{E164, Timestamp};
use serde::{Deserialize, Serialize};

use crate::batch::Key;
use crate::command::{
    ClientRow, ClientsCommand, ClientsReply, Code, MessageOutcome, Private, Refusal, Reply, TestEnd, TestRow,
};
use crate::input::ReplyTo;
use crate::node::Node;
use crate::record::{Scope, Stored, delete_row, get_node, key, put_node, restore_row};
use crate::tx::{Run, Tx};

/// Most tests remembered. The oldest of those that nobody answered give way first, then the oldest.
const TESTS_MAX: usize = 10_000;
/// Most tests of one gateway client that wait at once: anybody may start one.
const PENDING_MAX: usize = 20;
/// Most tests of one gateway client that may be started in [`WINDOW`].
const PER_CLIENT: usize = 40;
/// And of all together.
const IN_ALL: usize = 400;
/// In which these are counted.
const WINDOW: Duration = Duration::from_hours(1);
/// A test without its SMS has timed out after this, in seconds.
const TEST_LIFE_S: u64 = 10 * 60;
/// Routed within this after it was received: counts for the score.
const SCORE_WITHIN_S: u64 = 180;
/// Routed within this: counts as success in a listing.
const LIST_WITHIN_S: u64 = 300;
/// Ids are drawn, not counted: a home that has a test of its own by the id of one that began at the ingress would take its SMS
/// for one of its own that came the wrong way. The apps read 32 bits with a sign.
const ID_MASK: u32 = 0x7fff_ffff;
/// Rows per page at most.
const PER_PAGE_MAX: u32 = 100;

/// What is remembered of tests.
#[derive(Debug, Default)]
pub(crate) struct State {
    tests: BTreeMap<u64, Test>,
}

/// How it changes.
#[derive(Debug)]
pub(crate) enum Change {
    Test(u64, Test),
    Gone(u64),
}

impl State {
    pub(crate) fn apply(&mut self, change: Change) {
        match change {
            Change::Test(id, test) => {
                self.tests.insert(id, test);
            }
            Change::Gone(id) => {
                self.tests.remove(&id);
            }
        }
    }
}

/// A reliability test.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Test {
    msisdn: E164,
    started: Timestamp,
    /// Seconds: as sent, as received, as routed.
    done: Option<(u64, u64, u64)>,
}

impl Stored for Test {
    const SCOPE: Scope = Scope::Node;
}

impl Test {
    fn status(&self, now: Timestamp) -> &'static str {
        match self.done {
            Some((.., routed)) if self.over(routed) => "timedout",
            Some(_) => "success",
            None if self.over(now.seconds()) => "timedout",
            None => "pending",
        }
    }

    /// Whether its time was over at this second.
    fn over(&self, at: u64) -> bool {
        at.saturating_sub(self.started.seconds()) > TEST_LIFE_S
    }

    /// Whether its SMS came in time, and was routed so many seconds after it was received.
    fn within(&self, seconds: u64) -> bool {
        self.done.is_some_and(|(_, received, routed)| !self.over(routed) && routed.saturating_sub(received) <= seconds)
    }

    fn row(&self, id: u64, now: Timestamp) -> TestRow {
        TestRow {
            id,
            msisdn: self.msisdn.reveal().to_owned(),
            started: self.started.seconds(),
            sms_sent: self.done.map(|(sent, ..)| sent),
            sms_received: self.done.map(|(_, received, _)| received),
            sms_routed: self.done.map(|(.., routed)| routed),
            status: self.status(now),
        }
    }
}

/// `GET/POST /v3/clients…`.
pub(crate) fn on_command(node: &Node, tx: &mut Tx<'_>, reply: ReplyTo, command: &ClientsCommand) -> Run {
    let now = tx.now();
    let answer = match command {
        ClientsCommand::List { country, operator, protocols, last_published_day, page, per_page } => {
            let rows = clients(node).filter(|row| {
                matches(&row.country, country.as_deref(), |a, b| a == b)
                    && matches(&row.operator, operator.as_deref(), |a, b| a.contains(b))
                    && protocols.as_deref().is_none_or(|p| row.protocols.iter().any(|have| contains(have, p)))
                    && last_published_day.is_none_or(|day| row.last_published / 86_400 == day)
            });
            let (rows, total) = paged(rows.collect(), *page, *per_page)?;
            ClientsReply::List { rows, total }
        }
        ClientsCommand::Countries => ClientsReply::Names(names(clients(node).map(|row| row.country))),
        ClientsCommand::Operators { country } => {
            let of = clients(node).filter(|row| row.country.eq_ignore_ascii_case(country));
            ClientsReply::Names(names(of.map(|row| row.operator)))
        }
        ClientsCommand::Tests { msisdn, page, per_page, status, from, to } => {
            let filter = Filter { msisdn, status: status.as_deref(), from: *from, to: *to };
            tests(node, now, &filter, *page, *per_page)?
        }
        ClientsCommand::StartTest { msisdn } => start_test(node, tx, msisdn)?,
    };
    tx.reply(reply, Reply::Clients(answer));
    Ok(())
}

fn matches(have: &str, want: Option<&str>, how: impl Fn(&str, &str) -> bool) -> bool {
    want.is_none_or(|want| how(&have.to_lowercase(), &want.to_lowercase()))
}

fn contains(have: &str, want: &str) -> bool {
    have.to_lowercase().contains(&want.to_lowercase())
}

fn names(all: impl Iterator<Item = String>) -> Vec<String> {
    let mut names: Vec<String> = all.filter(|name| !name.is_empty()).collect();
    names.sort();
    names.dedup();
    names
}

fn paged<T>(all: Vec<T>, page: u32, per_page: u32) -> Result<(Vec<T>, u64), Refusal> {
    if page == 0 || per_page == 0 {
        let text = "Invalid page or per_page parameter. Must be positive integers.";
        return Err(Refusal::new(Code::InvalidArgument, text));
    }
    let (total, size) = (all.len() as u64, per_page.min(PER_PAGE_MAX) as usize);
    let skip = (page as usize - 1).saturating_mul(size);
    Ok((all.into_iter().skip(skip).take(size).collect(), total))
}

fn clients(node: &Node) -> impl Iterator<Item = ClientRow> {
    node.ingress.gateways().map(move |(id, gateway)| ClientRow {
        msisdn: gateway.msisdn.reveal().to_owned(),
        country: gateway.country.clone().unwrap_or_default(),
        operator: gateway.operator.clone().unwrap_or_default(),
        operator_code: String::new(),
        protocols: vec!["https".to_owned()],
        reliability: reliability(node, &gateway.msisdn),
        last_published: node.ingress.brought(id).last_seen.seconds(),
    })
}

/// Whole percent of answered tests whose SMS was routed in time; a gateway client without any has none. Anybody may start a
/// test and send nothing: without an SMS it says nothing of the gateway client.
fn reliability(node: &Node, msisdn: &E164) -> u8 {
    let answered: Vec<_> =
        node.clients.tests.values().filter(|test| test.msisdn == *msisdn && test.done.is_some()).collect();
    let good = answered.iter().filter(|test| test.within(SCORE_WITHIN_S)).count();
    (100 * good).checked_div(answered.len()).and_then(|percent| u8::try_from(percent).ok()).unwrap_or(0)
}

struct Filter<'a> {
    msisdn: &'a Private,
    status: Option<&'a str>,
    from: Option<u64>,
    to: Option<u64>,
}

fn tests(node: &Node, now: Timestamp, filter: &Filter<'_>, page: u32, per_page: u32) -> Result<ClientsReply, Refusal> {
    let mut of: Vec<_> =
        node.clients.tests.iter().filter(|(_, test)| test.msisdn.reveal() == filter.msisdn.reveal()).collect();
    of.sort_by_key(|(id, test)| (test.started, **id));
    let success = of.iter().filter(|(_, test)| test.within(LIST_WITHIN_S)).count() as u64;
    let failed = of.iter().filter(|(_, test)| test.status(now) == "timedout").count() as u64;
    let rows: Vec<TestRow> = of
        .into_iter()
        .map(|(id, test)| test.row(*id, now))
        .filter(|row| filter.status.is_none_or(|status| row.status == status))
        .filter(|row| filter.from.is_none_or(|from| row.started >= from))
        .filter(|row| filter.to.is_none_or(|to| row.started <= to))
        .collect();
    let (rows, total) = paged(rows, page, per_page)?;
    Ok(ClientsReply::Tests { rows, total, success, failed })
}

fn start_test(node: &Node, tx: &mut Tx<'_>, msisdn: &Private) -> Run<ClientsReply> {
    let known = node.ingress.gateways().find(|(_, gateway)| gateway.msisdn.reveal() == msisdn.reveal());
    let Some((_, gateway)) = known else { return Ok(ClientsReply::Unknown) };
    let now = tx.now();
    let all = node.clients.tests.values();
    let lately = || all.clone().filter(|test| now.since(test.started) < WINDOW);
    let of = || lately().filter(|test| test.msisdn == gateway.msisdn);
    if of().filter(|test| test.status(now) == "pending").count() >= PENDING_MAX || of().count() >= PER_CLIENT {
        return Err(Refusal::new(Code::ResourceExhausted, "too many tests of this gateway client; try later").into());
    }
    if lately().count() >= IN_ALL {
        return Err(Refusal::new(Code::ResourceExhausted, "too many tests; try later").into());
    }
    let id = u64::from((u32::from_be_bytes(tx.random()) & ID_MASK).max(1));
    if tx.get(&key::test(id))?.is_some() {
        return Err(Refusal::unavailable().into());
    }
    let test = Test { msisdn: gateway.msisdn.clone(), started: now, done: None };
    put_node(node, tx, key::test(id), &test)?;
    tx.then(Change::Test(id, test));
    if let Some(oldest) = gives_way(&node.clients.tests, now) {
        delete_row(tx, key::test(oldest))?;
        tx.then(Change::Gone(oldest));
    }
    Ok(ClientsReply::Started { test_id: id, started: now.seconds() })
}

/// The test that makes room for one more, if there is none left.
fn gives_way(tests: &BTreeMap<u64, Test>, now: Timestamp) -> Option<u64> {
    if tests.len() < TESTS_MAX {
        return None;
    }
    let oldest = |all: &mut dyn Iterator<Item = (&u64, &Test)>| {
        all.min_by_key(|(id, test)| (test.started, **id)).map(|(id, _)| *id)
    };
    let unanswered = |(_, test): &(&u64, &Test)| test.done.is_none() && test.status(now) != "pending";
    oldest(&mut tests.iter().filter(unanswered)).or_else(|| oldest(&mut tests.iter()))
}

/// What an SMS means to a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// This became of it.
    Ended(MessageOutcome),
    /// It waits for an SMS through another gateway client.
    Elsewhere,
    /// The content names no test at all.
    NoTest,
}

/// How a test's SMS came in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sms<'a> {
    /// The gateway client that brought it, as far as somebody vouches for that.
    pub gateway: Option<&'a E164>,
    pub received: Timestamp,
    pub date: Option<i64>,
    pub date_sent: Option<i64>,
}

/// A test's SMS has come all the way to a home, which read the test's number in it.
pub(crate) fn arrived(node: &Node, tx: &mut Tx<'_>, id: &str, sms: Sms<'_>) -> Run<Arrival> {
    match id.trim().parse() {
        Ok(id) => end(node, tx, id, sms),
        Err(_) => Ok(Arrival::NoTest),
    }
}

/// A test that came in here has ended at another home. Where it began here, the home cannot know of it, and it is here that
/// its SMS had to come in. A home that says so of another message gains nothing: the gateway client did bring that.
pub(crate) fn ended_elsewhere(
    node: &Node,
    tx: &mut Tx<'_>,
    outcome: MessageOutcome,
    sms: Sms<'_>,
) -> Run<MessageOutcome> {
    let MessageOutcome::Test { id, .. } = outcome else { return Ok(outcome) };
    let updated = MessageOutcome::Test { id, end: TestEnd::Updated };
    let ends_here = outcome != updated && end(node, tx, id, sms)? == Arrival::Ended(updated);
    Ok(if ends_here { updated } else { outcome })
}

/// Only its own gateway client can end a test well: anybody may write a test's number in an SMS and hand it in anywhere.
fn end(node: &Node, tx: &mut Tx<'_>, id: u64, sms: Sms<'_>) -> Run<Arrival> {
    let ended = |end| Ok(Arrival::Ended(MessageOutcome::Test { id, end }));
    let Some(mut test) = get_node::<Test>(node, tx, &key::test(id))? else { return ended(TestEnd::Unknown) };
    let now = tx.now();
    let early = match test.status(now) {
        "pending" => true,
        "success" => return ended(TestEnd::AlreadySuccess),
        _ => false,
    };
    if sms.gateway != Some(&test.msisdn) {
        return if early { Ok(Arrival::Elsewhere) } else { ended(TestEnd::AlreadyTimedout) };
    }
    let seconds = |millis: Option<i64>| millis.and_then(|m| u64::try_from(m / 1000).ok());
    let received = seconds(sms.date).unwrap_or_else(|| sms.received.seconds());
    let sent = seconds(sms.date_sent).unwrap_or(received);
    // What was sent in time and came late is held against the gateway client; what was sent late is not.
    if early || (test.done.is_none() && !test.over(sent)) {
        test.done = Some((sent, received, now.seconds()));
        put_node(node, tx, key::test(id), &test)?;
        tx.then(Change::Test(id, test));
    }
    ended(if early { TestEnd::Updated } else { TestEnd::AlreadyTimedout })
}

/// Reads tests at start.
pub(crate) fn restore(node: &mut Node, rows: &[(Key, Vec<u8>)]) {
    for (row_key, row) in rows {
        let id = row_key.get(1..).and_then(|id| <[u8; 8]>::try_from(id).ok());
        if let (Some(id), Some(test)) = (id, restore_row::<Test>(node, row_key, row)) {
            node.clients.tests.insert(u64::from_be_bytes(id), test);
        }
    }
}
