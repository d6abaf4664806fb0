//! What the running node finds wrong with itself, and what mends it.

use std::time::Duration;

use relaymesh_protocol::ids::{GatewayId, Timestamp};

use crate::command::Finding;
use crate::node::Node;
use crate::record::UNREADABLE;

/// A gateway client that brought nothing for so long may have died.
const SILENT_AFTER: Duration = Duration::from_hours(7 * 24);
/// Messages whose home is there do not wait so long.
const LATE_AFTER: Duration = Duration::from_hours(1);
/// Clocks that are kept right differ by far less.
const AHEAD_MAX: Duration = Duration::from_secs(15 * 60);
/// What shows whether a clock is right.
const CLOCK: &str =
    "compare this machine's time with a watch: date -u; to set it: timedatectl set-ntp true, or date -u -s";

/// All of it, in a fixed order of checks.
pub(super) fn findings(node: &Node, now: Timestamp) -> Vec<Finding> {
    let mut all = mesh(node);
    all.extend(clock(node, now));
    all.extend(ways(node));
    all.extend(gateways(node, now));
    all.push(waiting(node, now));
    all.push(store(node));
    all.push(records(node));
    all
}

fn finding(check: &str, level: &str, found: String, fix: &str) -> Finding {
    Finding::new(check, level, found, fix)
}

fn judge(check: &str, good: bool, found: String, fix: &str) -> Finding {
    let (level, fix) = if good { ("ok", "") } else { ("warning", fix) };
    finding(check, level, found, fix)
}

fn counted(node: &Node, name: &str) -> u64 {
    node.counters().get(name).copied().unwrap_or(0)
}

fn mesh(node: &Node) -> Vec<Finding> {
    let members = node.membership.members().count();
    let connected = node.membership.connected().len();
    vec![
        judge(
            "mesh.members",
            members > 0,
            format!("{members} other members"),
            "run `relaymesh node invite` on a node of the mesh and `relaymesh node join CODE` here",
        ),
        judge(
            "mesh.connected",
            connected > 0 || members == 0,
            format!("{connected} of {members} connected"),
            "check listen.mesh, the firewall and the addresses in `relaymesh node list`",
        ),
    ]
}

/// Two clocks that differ are seen from whichever is behind: what the other writes is dated ahead there. Nobody's time is
/// believed for that, and none is set by it.
fn clock(node: &Node, now: Timestamp) -> Vec<Finding> {
    let mut all = Vec::new();
    let limit = now.after(AHEAD_MAX);
    let own = node.membership.issued(&node.id()).max(Some(node.started()));
    if own.is_some_and(|own| own > limit) {
        let found = "this node's own record is dated ahead of its clock, which was set back".to_owned();
        all.push(finding("clock.own", "error", found, CLOCK));
    }
    let issued: Vec<Timestamp> =
        node.membership.members().filter_map(|member| node.membership.issued(&member.id)).collect();
    let (known, ahead) = (issued.len(), issued.iter().filter(|issued| **issued > limit).count());
    // Further ahead than any clock may be, they are not taken in at all.
    let refused = counted(node, "fact_of_the_future");
    all.push(match (known, ahead, refused) {
        (0, _, 0) => finding("clock.peers", "unknown", "there are no other members to compare with".to_owned(), ""),
        (_, 0, 0) => judge("clock.peers", true, format!("{known} other members agree with it"), ""),
        _ => {
            let most = ahead > 1 && ahead * 2 > known;
            let found = format!(
                "records of {ahead} of {known} members are dated ahead, and {refused} times some from more than a day ahead \
                 were refused: this clock is behind, or theirs are ahead"
            );
            finding("clock.peers", if most { "error" } else { "warning" }, found, CLOCK)
        }
    });
    all
}

fn ways(node: &Node) -> Vec<Finding> {
    let config = node.config();
    let keys = node.keys().statics.len();
    vec![
        judge(
            "bridge.keys",
            keys > 0 || !config.roles.bridge,
            format!("{keys} static keys"),
            "run `relaymesh bridge keys generate`, and `relaymesh bridge keys export FILE` for those who make apps",
        ),
        judge(
            "sms.route",
            config.sms,
            (if config.sms { "configured" } else { "none" }).to_owned(),
            "set [sms.file] or [sms.http] so that people get codes and answers",
        ),
        judge(
            "platforms",
            !config.platforms.is_empty() || !config.roles.vault,
            format!("{} configured", config.platforms.len()),
            "set [platform.mastodon]",
        ),
    ]
}

fn gateways(node: &Node, now: Timestamp) -> Vec<Finding> {
    let all = || node.ingress.gateways();
    let (enrolled, silent) = (all().count(), all().filter(|(id, _)| is_silent(node, id, now)).count());
    let ignored: u64 = all().map(|(id, _)| node.ingress.brought(id).ignored).sum();
    vec![
        judge(
            "gateways",
            enrolled > 0 || !node.config().roles.gateway,
            format!("{enrolled} enrolled"),
            "run `relaymesh gateway add NAME --msisdn +…`",
        ),
        judge(
            "gateways.silent",
            silent == 0,
            format!("{silent} brought nothing for a week, or ever"),
            "look at `relaymesh gateway list`, then at the phone: is its app still running, and its battery manager off?",
        ),
        judge(
            "privacy",
            ignored == 0,
            format!("{ignored} private SMS were forwarded here, and dropped unread"),
            "let gateway clients forward RelaySMS messages only, or use a number that nobody else writes to",
        ),
    ]
}

/// Whether an enrolled gateway client has brought nothing for long, or ever. Phones stop forwarding without a word.
fn is_silent(node: &Node, id: &GatewayId, now: Timestamp) -> bool {
    now.since(node.ingress.brought(id).last_seen) >= SILENT_AFTER
}

fn waiting(node: &Node, now: Timestamp) -> Finding {
    let late = node.delivery.held_before(Timestamp(now.0.saturating_sub(LATE_AFTER.as_millis() as u64)));
    judge(
        "messages.waiting",
        late == 0,
        format!("{late} messages have waited for a home for more than an hour"),
        "see `relaymesh node list`: is their home away, or is there none that is a partner? `relaymesh node federate` makes partners",
    )
}

fn records(node: &Node) -> Finding {
    match counted(node, UNREADABLE) {
        0 => judge("store.records", true, "each record that was read has opened".to_owned(), ""),
        shut => {
            let found = format!("{shut} records did not open since start");
            let fix = "if this is a restored copy, put keyring and store of one and the same backup back; else the disk may be damaged";
            finding("store.records", "error", found, fix)
        }
    }
}

fn store(node: &Node) -> Finding {
    match counted(node, "store_failed") {
        0 => judge("store", true, "no write has failed".to_owned(), ""),
        failed => {
            let found = format!("{failed} writes failed since start");
            finding("store", "error", found, "check free space and the disk's health, then restart")
        }
    }
}
