//! Whether the names in the configuration resolve.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures::future::join_all;
use relaymesh_core::command::Finding;
use tokio::net::lookup_host;
use tokio::time::timeout;

use super::{finding, ok};
use crate::config::{Family, HostName};

/// Longer than a resolver's first try at its second server.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(8);
/// How C libraries say that a name is not there, as opposed to that nobody answered. Others count as no answer.
const NOT_THERE: [&str; 4] = ["not known", "does not resolve", "no address associated", "has no usable address"];

/// What became of a look-up.
#[derive(Debug)]
enum Looked {
    /// At least one address.
    Up(Vec<IpAddr>),
    /// The name is not there.
    Missing,
    /// Nobody said anything about it.
    Unanswered(String),
}

/// A finding for each name that does not resolve, or one for all that do.
pub async fn findings(names: Vec<HostName>) -> Vec<Finding> {
    let looked = join_all(names.iter().map(|name| look_up(&name.host))).await;
    judge(names.into_iter().zip(looked).collect())
}

async fn look_up(host: &str) -> Looked {
    match timeout(LOOKUP_TIMEOUT, lookup_host((host, 0))).await {
        Ok(Ok(found)) => Looked::Up(found.map(|at: SocketAddr| at.ip()).collect()),
        Ok(Err(error)) => classify(&error),
        Err(_) => Looked::Unanswered("no answer in time".to_owned()),
    }
}

fn classify(error: &io::Error) -> Looked {
    let told = error.to_string();
    let lower = told.to_ascii_lowercase();
    if NOT_THERE.iter().any(|words| lower.contains(words)) { Looked::Missing } else { Looked::Unanswered(told) }
}

fn judge(looked: Vec<(HostName, Looked)>) -> Vec<Finding> {
    let count = looked.len();
    let wrong: Vec<Finding> = looked.iter().filter_map(|(name, looked)| of_name(name, looked)).collect();
    match (count, wrong.is_empty()) {
        (0, _) => vec![ok("dns", "the configuration names no host")],
        (1, true) => vec![ok("dns", "the name in the configuration resolves")],
        (_, true) => vec![ok("dns", format!("all {count} names in the configuration resolve"))],
        _ => wrong,
    }
}

fn of_name(name: &HostName, looked: &Looked) -> Option<Finding> {
    let HostName { key, host, family } = name;
    let lacks = match looked {
        Looked::Up(found) => match family {
            Family::V4 if !found.iter().any(IpAddr::is_ipv4) => "has no IPv4 address",
            Family::V6 if !found.iter().any(IpAddr::is_ipv6) => "has no IPv6 address",
            _ if found.is_empty() => "has no address",
            _ => return None,
        },
        Looked::Missing => "does not resolve",
        Looked::Unanswered(why) => {
            return Some(finding("dns", "unknown", format!("{host} ({key}) could not be looked up: {why}"), ""));
        }
    };
    let fix = format!("correct {key}, or the records of the name; see what it has: getent ahosts {host}");
    Some(finding("dns", "error", format!("{host} ({key}) {lacks}"), fix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(host: &str, family: Family) -> HostName {
        HostName { key: "mesh.external".to_owned(), host: host.to_owned(), family }
    }

    fn levels(looked: Vec<(HostName, Looked)>) -> Vec<String> {
        judge(looked).into_iter().map(|finding| finding.level).collect()
    }

    #[test]
    fn a_name_needs_an_address_of_its_family() {
        let (four, six) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1]));
        for (family, found, good) in [
            (Family::Any, vec![four], true),
            (Family::Any, vec![six], true),
            (Family::V4, vec![six, four], true),
            (Family::V4, vec![six], false),
            (Family::V6, vec![six], true),
            (Family::V6, vec![four], false),
            (Family::Any, vec![], false),
        ] {
            let all = judge(vec![(name("n.example.org", family), Looked::Up(found))]);
            assert_eq!(all[0].level, if good { "ok" } else { "error" }, "{all:?}");
            assert_eq!(all[0].fix.contains("getent ahosts n.example.org"), !good, "{all:?}");
        }
    }

    #[test]
    fn only_the_names_that_are_wrong_are_told_and_silence_is_no_error() {
        let up = || (name("up.example.org", Family::Any), Looked::Up(vec![IpAddr::from([192, 0, 2, 1])]));
        let missing = (name("gone.example.org", Family::Any), Looked::Missing);
        let silent = (name("far.example.org", Family::Any), Looked::Unanswered("no answer in time".to_owned()));
        assert_eq!(levels(vec![]), ["ok"]);
        assert_eq!(levels(vec![up(), up()]), ["ok"]);
        assert_eq!(levels(vec![up(), missing]), ["error"]);
        assert_eq!(levels(vec![up(), silent]), ["unknown"]);
    }

    #[test]
    fn the_words_of_c_libraries_are_told_apart() {
        for (words, missing) in [
            ("failed to lookup address information: Name or service not known", true),
            ("failed to lookup address information: nodename nor servname provided, or not known", true),
            ("failed to lookup address information: Name does not resolve", true),
            ("failed to lookup address information: No address associated with hostname", true),
            ("failed to lookup address information: Temporary failure in name resolution", false),
            ("failed to lookup address information: Try again", false),
            ("failed to lookup address information: Non-recoverable failure in name resolution", false),
        ] {
            assert_eq!(matches!(classify(&io::Error::other(words)), Looked::Missing), missing, "{words}");
        }
    }

    #[tokio::test]
    async fn this_machine_knows_its_own_name() {
        let all = findings(vec![name("localhost", Family::Any)]).await;
        assert_eq!((all.len(), all[0].level.as_str()), (1, "ok"), "{all:?}");
    }
}
