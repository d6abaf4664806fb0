//! Answers as text for people: plain words and columns, nothing told by colour alone.

mod qr;
mod table;
mod time;

use std::fmt::Write as _;

use relaymesh_core::command::{BridgeKeyRow, Finding, GatewayRow, NodeRow, StatusReport, TraceReport};
use relaymesh_protocol::ids::Timestamp;

pub use table::table;
pub use time::{date, span};

use qr::qr;
use table::pairs;

/// `status`.
pub fn status(report: &StatusReport) -> String {
    let rows = [
        ("node", format!("{} ({})", report.name, report.peer_id)),
        ("instance", report.instance.clone()),
        ("up for", span(report.uptime_ms)),
        ("members", format!("{} known, {} connected", report.members, report.connected)),
        ("accounts", report.entities.to_string()),
        ("waiting for a home", report.held.to_string()),
        ("held for others", report.custody.to_string()),
        ("to be published", report.jobs.to_string()),
        ("SMS to be sent", report.sms_queue.to_string()),
    ];
    let mut out = pairs(&rows);
    if !report.counters.is_empty() {
        out.push_str("\nsince start\n");
        let counters: Vec<(&str, String)> =
            report.counters.iter().map(|(name, n)| (name.as_str(), n.to_string())).collect();
        out.push_str(&pairs(&counters));
    }
    out
}

/// `trace`.
pub fn trace(report: &TraceReport) -> String {
    let mut out = format!("message {}\n", report.message);
    let rows = report
        .events
        .iter()
        .map(|event| vec![date(event.at), event.room.to_string(), event.what.to_string()])
        .collect();
    out.push_str(&table(&["WHEN", "WHERE", "WHAT"], rows));
    out
}

/// `doctor`.
pub fn findings(all: &[Finding]) -> String {
    let mut out = String::new();
    for Finding { check, level, found, fix, .. } in all {
        writeln!(out, "{level:<8} {check}: {found}").expect("a String takes any text");
        if !fix.is_empty() {
            writeln!(out, "         → {fix}").expect("a String takes any text");
        }
    }
    out
}

/// `node id`.
pub fn node(row: &NodeRow) -> String {
    pairs(&[
        ("name", row.name.clone()),
        ("peer id", row.peer_id.clone()),
        ("instance", format!("{} ({})", row.instance, row.instance_id)),
        ("roles", row.roles.join(", ")),
        ("addresses", if row.addrs.is_empty() { "none published".to_owned() } else { row.addrs.join(" ") }),
    ])
}

/// `node list`.
pub fn nodes(rows: &[NodeRow]) -> String {
    let cells = rows.iter().map(|row| {
        vec![
            row.name.clone(),
            row.instance.clone(),
            row.state.clone(),
            row.relation.clone(),
            row.roles.join(","),
            row.peer_id.clone(),
        ]
    });
    table(&["NAME", "INSTANCE", "STATE", "RELATION", "ROLES", "PEER ID"], cells.collect())
}

/// `node invite`: the code alone on the first line, so that a script can take it.
pub fn invite(code: &str, expires: Timestamp) -> String {
    let mut out = format!("{code}\n\nOn the other node, before {}:\n  relaymesh node join CODE\n", date(expires));
    out.push_str(&qr(code));
    out
}

/// How a gateway client's URL came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlOf {
    /// From `node.public_url`.
    Setting,
    /// Where the node listens, which another machine may reach.
    Listener,
    /// No other machine can use it.
    ThisMachine,
}

/// `gateway add`: the URL alone on the first line, so that a script can take it. A phone that scans a code is another machine,
/// so a URL of this one gets none.
pub fn gateway_added(name: &str, url: &str, of: UrlOf) -> String {
    let (code, line) = match of {
        UrlOf::ThisMachine => (String::new(), "the line above, with the address by which phones reach this node"),
        _ => (qr(url), "the line above (or the code)"),
    };
    let mut out = format!("{url}\n\n{code}");
    write!(
        out,
        "In DekuSMS on the phone {name:?}:\n  1. Settings → Gateway Clients → Add → HTTP\n  2. URL: {line}; protocol POST\n  3. Forward: all messages. Private SMS are dropped unread.\nThe URL is shown only now; `relaymesh gateway remove` ends it.\n"
    )
    .expect("a String takes any text");
    if of == UrlOf::Listener {
        out.push_str(
            "The address is the one this node listens at; set node.public_url if phones reach it by another.\n",
        );
    }
    out
}

/// `gateway list`.
pub fn gateways(rows: &[GatewayRow]) -> String {
    let cells = rows.iter().map(|row| {
        let country = row.country.clone().unwrap_or_else(|| "-".to_owned());
        let seen = if row.last_seen.0 == 0 { "never".to_owned() } else { date(row.last_seen) };
        vec![
            row.name.clone(),
            row.id.clone(),
            row.msisdn.clone(),
            country,
            row.accepted.to_string(),
            row.ignored.to_string(),
            seen,
        ]
    });
    table(&["NAME", "ID", "NUMBER", "COUNTRY", "ACCEPTED", "IGNORED", "LAST SEEN"], cells.collect())
}

/// `bridge keys list`.
pub fn bridge_keys(rows: &[BridgeKeyRow]) -> String {
    let cells =
        rows.iter().map(|row| vec![row.kid.to_string(), row.status.clone(), row.version.clone(), row.keypair.clone()]);
    table(&["KID", "STATUS", "VERSION", "PUBLIC KEY"], cells.collect())
}
