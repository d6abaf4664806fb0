//! What a mesh does once its nodes know each other.

use std::collections::BTreeSet;
use std::time::Duration;

use relaymesh_protocol::frame::{FilterHead, Holdings, Request, Response, SUM_LEN};
use relaymesh_protocol::ids::MeshId;
use serde_bytes::ByteBuf;

use super::super::{Relation, all_facts, fact, parts};
use super::net::{Net, config};
use crate::command::{Code, OperatorCommand, OperatorReply};
use crate::config::{Config, Roles};
use crate::crypto::Crypto;
use crate::testing::Router as _;

/// A mesh where the first node invited all others.
fn mesh(names: &[&str]) -> Net {
    let mut net = Net::new(names);
    for joiner in 1..names.len() {
        let code = net.invite(0);
        net.join(joiner, &code).unwrap();
    }
    net.pass(Duration::from_secs(300));
    net
}

fn done(result: Result<OperatorReply, crate::command::Refusal>) -> String {
    match result {
        Ok(OperatorReply::Done { message }) => message,
        other => panic!("{other:?}"),
    }
}

fn federate(net: &mut Net, at: usize, instance: &str) -> String {
    done(net.operator(at, OperatorCommand::Federate { instance: instance.to_owned() }))
}

fn relation(net: &Net, a: usize, b: usize) -> Relation {
    net.peers[a].node().membership.relation(&net.peers[b].id())
}

/// A question about all that a node has.
fn heads(mesh: MeshId) -> Request {
    Request::Heads(Box::new(Holdings { mesh, of: 1, parts: vec![0], facts: Vec::new(), filters: Vec::new() }))
}

fn facts_of(net: &Net, at: usize) -> BTreeSet<Vec<u8>> {
    all_facts(net.peers[at].node()).into_iter().map(ByteBuf::into_vec).collect()
}

#[test]
fn both_sides_make_partners() {
    let mut net = mesh(&["alpha", "beta", "gamma"]);
    assert_eq!(relation(&net, 0, 1), Relation::Member);
    assert!(federate(&mut net, 0, "beta-org").contains("offered"));
    assert_eq!((relation(&net, 0, 1), relation(&net, 1, 0)), (Relation::Offered, Relation::Offered));
    assert!(federate(&mut net, 1, "alpha").contains("partner now"), "a node's name means its instance");
    assert_eq!((relation(&net, 0, 1), relation(&net, 1, 0)), (Relation::Partner, Relation::Partner));
    assert_eq!(relation(&net, 0, 2), Relation::Member);
    net.restart(0);
    assert_eq!(relation(&net, 0, 1), Relation::Partner);
    let refusal = net.operator(0, OperatorCommand::Federate { instance: "nobody".to_owned() }).unwrap_err();
    assert_eq!(refusal.code, Code::NotFound);
}

#[test]
fn what_names_several_is_ambiguous_and_counted_not_unknown() {
    let mut net = mesh(&["alpha", "beta", "gamma"]);
    let mut refused = |command: OperatorCommand| {
        let refusal = net.operator(0, command).expect_err("it names more than one");
        assert_eq!(refusal.code, Code::InvalidArgument, "{}", refusal.text);
        refusal.text
    };
    // What every peer id begins with.
    for text in ["12D3", "12D3KooW", "1"] {
        let text = text.to_owned();
        for told in [
            refused(OperatorCommand::Ping { node: text.clone() }),
            refused(OperatorCommand::Block { target: text.clone() }),
            refused(OperatorCommand::Unblock { target: text.clone() }),
            refused(OperatorCommand::Federate { instance: text.clone() }),
        ] {
            assert!(told.contains("ambiguous: 3 node ids begin so"), "{told}");
        }
    }
    let beta = net.peers[1].id().peer_id();
    // Three characters may be those of several nodes, but not of none.
    let short = beta[8..11].to_owned();
    let told = net.operator(0, OperatorCommand::Ping { node: short }).unwrap_err();
    assert!(told.code == Code::InvalidArgument && told.text.contains(&beta), "{}", told.text);
    let nobody = net.operator(0, OperatorCommand::Block { target: String::new() }).unwrap_err();
    assert_eq!(nobody.code, Code::NotFound);
    done(net.operator(0, OperatorCommand::Block { target: beta[8..16].to_owned() }));
}

#[test]
fn the_name_of_an_instance_counts_before_beginnings_of_node_ids() {
    let mut net = Net::new(&["alpha"]);
    let at = net.add(Config { instance: "12D3".to_owned(), ..config("beta") });
    let code = net.invite(0);
    net.join(at, &code).unwrap();
    net.pass(Duration::from_secs(300));
    done(net.operator(0, OperatorCommand::Block { target: "12d3".to_owned() }));
    let told = net.operator(0, OperatorCommand::Block { target: "12D3K".to_owned() }).unwrap_err();
    assert!(told.text.contains("ambiguous: 2 node ids"), "{}", told.text);
}

#[test]
fn an_instance_may_be_named_before_it_comes() {
    let mut net = Net::new(&["alpha", "beta"]);
    let id = net.peers[1].node().membership.own_instance().to_string();
    assert!(federate(&mut net, 0, &id).contains("when that instance joins"));
    net.restart(0);
    let code = net.invite(0);
    net.join(1, &code).unwrap();
    net.pass(Duration::from_secs(120));
    assert_eq!(relation(&net, 1, 0), Relation::Offered);
}

#[test]
fn a_blocked_node_is_no_member_here_and_stays_one_elsewhere() {
    let mut net = mesh(&["alpha", "beta", "gamma"]);
    let beta = net.peers[1].id();
    done(net.operator(0, OperatorCommand::Block { target: "beta".to_owned() }));
    for restarted in [false, true] {
        if restarted {
            net.restart(0);
        }
        net.pass(Duration::from_secs(300));
        let (alpha, gamma) = (net.peers[0].node(), net.peers[2].node());
        assert!(!alpha.membership.is_member(&beta) && gamma.membership.is_member(&beta));
        assert!(!alpha.membership.connected().contains(&beta));
        assert!(!net.peers[0].allow.contains_key(&beta));
        assert!(net.others(0).contains(&("beta".to_owned(), "blocked".to_owned())));
    }
    let mesh = net.peers[0].node().membership.mesh();
    assert_eq!(net.put_to(0, beta, heads(mesh)), Response::NotMember);
    let own = net.operator(0, OperatorCommand::Block { target: "alpha".to_owned() }).unwrap_err();
    assert_eq!(own.code, Code::InvalidArgument);
}

#[test]
fn a_ping_to_who_is_blocked_says_so_and_how_to_end_it() {
    let mut net = mesh(&["alpha", "beta"]);
    federate(&mut net, 0, "beta-org");
    federate(&mut net, 1, "alpha-org");
    for (target, what) in [("beta", "beta is blocked here"), ("beta-org", "beta's instance is blocked here")] {
        done(net.operator(0, OperatorCommand::Block { target: target.to_owned() }));
        let refusal = net.operator(0, OperatorCommand::Ping { node: "beta".to_owned() }).unwrap_err();
        assert_eq!(refusal.code, Code::FailedPrecondition);
        assert!(refusal.text.contains(what), "{}", refusal.text);
        let row = net.list(0).pop().unwrap();
        assert_eq!((row.state.as_str(), row.relation.as_str()), ("blocked", "none"));
        // As the answer says.
        let command = refusal.text.split('`').nth(1).unwrap();
        let target = command.strip_prefix("relaymesh node unblock ").unwrap().to_owned();
        done(net.operator(0, OperatorCommand::Unblock { target }));
        let row = net.list(0).pop().unwrap();
        assert_ne!((row.state.as_str(), row.relation.as_str()), ("blocked", "none"));
        // The link went with the block, so it is let out now, waits, and is given up.
        let waits = net.operator_waiting(0, OperatorCommand::Ping { node: "beta".to_owned() }).unwrap_err();
        assert_eq!(waits.code, Code::Unavailable, "{}", waits.text);
    }
}

#[test]
fn who_is_unblocked_is_a_member_again_also_after_a_restart() {
    for (blocked, unblocked) in [("beta", "beta"), ("beta-org", "beta-org"), ("beta", "")] {
        let mut net = mesh(&["alpha", "beta", "gamma"]);
        let beta = net.peers[1].id();
        let name = if unblocked.is_empty() { beta.peer_id() } else { unblocked.to_owned() };
        let unblock =
            |net: &mut Net, target: &str| net.operator(0, OperatorCommand::Unblock { target: target.to_owned() });
        assert_eq!(unblock(&mut net, &name).unwrap_err().code, Code::NotFound, "nobody is blocked");
        done(net.operator(0, OperatorCommand::Block { target: blocked.to_owned() }));
        net.pass(Duration::from_secs(600));
        assert_eq!(unblock(&mut net, "gamma").unwrap_err().code, Code::NotFound);
        assert!(!net.peers[0].node().membership.is_member(&beta));
        done(unblock(&mut net, &name));
        for restarted in [false, true] {
            if restarted {
                net.restart(0);
            }
            net.pass(Duration::from_secs(2_000));
            assert!(net.peers[0].node().membership.is_member(&beta), "{blocked}, restarted: {restarted}");
            assert!(net.peers[0].allow.contains_key(&beta));
            assert!(!net.others(0).contains(&("beta".to_owned(), "blocked".to_owned())));
        }
        let mesh = net.peers[0].node().membership.mesh();
        assert_ne!(net.put_to(0, beta, heads(mesh)), Response::NotMember);
    }
}

#[test]
fn an_unblocked_instance_is_a_partner_only_when_both_say_so_anew() {
    let mut net = mesh(&["alpha", "beta"]);
    federate(&mut net, 0, "beta-org");
    federate(&mut net, 1, "alpha-org");
    done(net.operator(0, OperatorCommand::Block { target: "beta-org".to_owned() }));
    net.pass(Duration::from_secs(60));
    done(net.operator(0, OperatorCommand::Unblock { target: "beta-org".to_owned() }));
    net.pass(Duration::from_secs(300));
    assert_eq!(relation(&net, 0, 1), Relation::Offered);
    federate(&mut net, 0, "beta-org");
    net.pass(Duration::from_secs(2_000));
    assert_eq!((relation(&net, 0, 1), relation(&net, 1, 0)), (Relation::Partner, Relation::Partner));
}

#[test]
fn a_blocked_instance_loses_its_trust() {
    let mut net = mesh(&["alpha", "beta"]);
    federate(&mut net, 0, "beta-org");
    federate(&mut net, 1, "alpha-org");
    done(net.operator(0, OperatorCommand::Block { target: "beta-org".to_owned() }));
    net.pass(Duration::from_secs(60));
    assert!(!net.peers[0].node().membership.is_member(&net.peers[1].id()));
    let own = net.peers[0].node().membership.own_instance();
    let other = net.peers[1].node().membership.own_instance();
    assert!(!net.peers[0].node().membership.facts.federates(own, other));
}

#[test]
fn what_happened_in_a_cut_off_part_is_known_everywhere_after_it_heals() {
    let mut net = mesh(&["alpha", "beta", "gamma", "delta"]);
    // Alpha and beta here, gamma and delta there.
    for (a, b) in [(0, 2), (0, 3), (1, 2), (1, 3)] {
        net.cut(a, b);
    }
    let (here, there) = (net.add(config("epsilon")), net.add(config("zeta")));
    let code = net.invite(1);
    net.join(here, &code).unwrap();
    let code = net.invite(3);
    net.join(there, &code).unwrap();
    for (a, b) in [(0, there), (1, there), (2, here), (3, here), (here, there)] {
        net.cut(a, b);
    }
    federate(&mut net, 0, "beta-org");
    net.pass(Duration::from_secs(600));
    assert_eq!(net.names(0), ["beta", "delta", "epsilon", "gamma"]);
    assert_eq!(net.names(2), ["alpha", "beta", "delta", "zeta"]);
    // One bridge between both parts is enough.
    net.heal(1, 2);
    net.pass(Duration::from_secs(900));
    let all = facts_of(&net, 0);
    for at in 0..net.peers.len() {
        assert_eq!(facts_of(&net, at), all, "node {at}");
        assert_eq!(net.list(at).len(), 6);
    }
    assert_eq!(relation(&net, there, 0), Relation::Member);
    let (alpha, beta) = (net.peers[0].node().membership.own_instance(), net.peers[1].node().membership.own_instance());
    assert!(net.peers[there].node().membership.facts.federates(alpha, beta));
}

#[test]
fn news_go_from_node_to_node_within_seconds() {
    let mut net = mesh(&["alpha", "beta", "gamma", "delta", "epsilon"]);
    for a in 0..5 {
        for b in a + 2..5 {
            net.cut(a, b);
        }
    }
    // All links of the chain stand, and all hearts have beaten.
    net.pass(Duration::from_secs(120));
    federate(&mut net, 0, "epsilon-org");
    net.pass(Duration::from_secs(3));
    assert_eq!(relation(&net, 4, 0), Relation::Offered);
}

#[test]
fn only_what_differs_is_named() {
    let mut net = mesh(&["alpha", "beta", "gamma", "delta", "epsilon"]);
    let (beta, mesh) = (net.peers[1].id(), net.peers[0].node().membership.mesh());
    let Response::Differs { sums, .. } = net.put_to(0, beta, Request::Digest([0; 16])) else { panic!("no sums") };
    let parts: Vec<u16> = (0..).take(sums.len() / SUM_LEN).collect();
    assert!(parts.len() > 1);
    let of = u16::try_from(parts.len()).unwrap();
    let node = net.peers[1].node();
    let (mut facts, mut filters) = (node.membership.facts.heads(), crate::locator::filter_heads(node).to_vec());
    let mut ask = |parts: &[u16], facts: &[_], filters: &[_]| {
        let (parts, facts, filters) = (parts.to_vec(), facts.to_vec(), filters.to_vec());
        match net.put_to(0, beta, Request::Heads(Box::new(Holdings { mesh, of, parts, facts, filters }))) {
            Response::Heads { facts, filters } => (facts, filters),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(ask(&parts, &facts, &filters), (Vec::new(), Vec::new()), "nothing differs");
    let (fact, filter) = (facts.remove(0), filters.remove(0));
    assert_eq!(ask(&parts, &facts, &filters), (vec![fact.clone()], vec![filter]));
    filters.push(FilterHead { version: filter.version - 1, ..filter });
    assert_eq!(ask(&parts, &facts, &filters), (vec![fact.clone()], vec![filter]), "an older one is as good as none");
    let mut elsewhere = parts.clone();
    elsewhere.retain(|part| *part != parts::of_fact(&fact, of) && *part != parts::of_filter(&filter, of));
    assert_eq!(ask(&elsewhere, &facts, &filters), (Vec::new(), Vec::new()), "nor is it named in other parts");
    let malformed =
        Request::Heads(Box::new(Holdings { mesh, of: 3, parts: vec![0], facts: Vec::new(), filters: Vec::new() }));
    assert_eq!(net.put_to(0, beta, malformed), Response::Refused);
}

#[test]
fn a_quiet_mesh_says_little() {
    let mut net = mesh(&["alpha", "beta", "gamma"]);
    net.pass(Duration::from_hours(12));
    let before: u64 = net.peers.iter().map(|peer| peer.heard).sum();
    net.pass(Duration::from_hours(12));
    let frames: u64 = net.peers.iter().map(|peer| peer.heard).sum::<u64>() - before;
    // Three nodes, one other each, every two hours once they found nothing a few times.
    assert!((15..=24).contains(&frames), "{frames}");
}

#[test]
fn records_are_renewed_in_the_hour_after_midnight() {
    let mut net = mesh(&["alpha", "beta", "gamma"]);
    let issued = |net: &Net| -> BTreeSet<u64> {
        net.peers[0].node().membership.facts.records().map(|record| record.issued.0).collect()
    };
    let day = Duration::from_hours(24);
    net.pass(day);
    let (first, mut renewed) = (issued(&net), BTreeSet::new());
    for _ in 0..20 {
        net.pass(day);
        renewed.extend(issued(&net).difference(&first).copied());
    }
    assert!(renewed.len() >= 6, "three nodes, two renewals each: {renewed:?}");
    assert!(renewed.iter().all(|at| at % 86_400_000 <= 3_600_000), "{renewed:?}");
}

#[test]
fn a_restart_keeps_all() {
    let mut net = mesh(&["alpha", "beta", "gamma"]);
    let (before, digest) = (facts_of(&net, 1), net.peers[1].node().membership.facts.digest());
    let mesh_id = net.peers[1].node().membership.mesh();
    net.restart(1);
    assert_eq!(facts_of(&net, 1), before);
    assert_eq!(net.peers[1].node().membership.facts.digest(), digest);
    assert_eq!(net.peers[1].node().membership.mesh(), mesh_id, "not the one of the configuration");
    assert_eq!(net.names(1), ["alpha", "gamma"]);
    assert_eq!(net.peers[1].allow.len(), 2);
}

#[test]
fn records_are_renewed_in_time_and_expire_without_that() {
    let mut net = mesh(&["alpha", "beta", "gamma"]);
    net.days(20);
    assert!(net.others(0).iter().all(|(_, state)| state == "connected"), "{:?}", net.others(0));
    // Gamma is gone for a month: a hint for dialling and a member still; for half a year: forgotten.
    for other in [0, 1] {
        net.cut(2, other);
    }
    net.days(30);
    assert!(net.others(0).contains(&("gamma".to_owned(), "expired".to_owned())));
    let gamma = net.peers[2].id();
    assert!(net.peers[0].node().membership.is_member(&gamma));
    assert_eq!(net.peers[0].allow[&gamma], net.peers[2].config.addresses);
    net.days(170);
    assert_eq!(net.names(0), ["beta"]);
    assert!(!facts_of(&net, 0).iter().any(|bytes| matches!(
        fact::Held::stored(bytes).unwrap().fact,
        fact::Fact::Node(record) if record.node == gamma
    )));
}

#[test]
fn what_the_operator_changes_is_published() {
    let mut net = mesh(&["alpha", "beta"]);
    net.peers[1].config.name = "bravo".to_owned();
    net.peers[1].config.addresses = vec!["/dns4/bravo.example/tcp/1".to_owned()];
    net.restart(1);
    net.pass(Duration::from_secs(120));
    assert_eq!(net.names(0), ["bravo"]);
    assert_eq!(net.peers[0].allow[&net.peers[1].id()], ["/dns4/bravo.example/tcp/1"]);
}

#[test]
fn volunteers_publish_no_address_and_hidden_nodes_use_a_relay() {
    let mut net = Net::new(&["alpha"]);
    let relay = Config { roles: Roles { relay: true, ..config("relay").roles }, ..config("relay") };
    let hidden = Config { addresses: Vec::new(), ..config("hidden") };
    let roles = Roles { gateway: true, vault: false, relay: false, bridge: false };
    let volunteer = Config { roles, ..config("volunteer") };
    for config in [relay, hidden, volunteer] {
        let code = net.invite(0);
        let at = net.add(config);
        net.join(at, &code).unwrap();
    }
    net.pass(Duration::from_secs(300));
    let relay = net.peers[1].id();
    assert_eq!(net.peers[2].relays, [relay]);
    assert_eq!(net.peers[0].allow[&net.peers[2].id()], [format!("/p2p/{}/p2p-circuit", relay.peer_id())]);
    assert!(net.peers[0].allow[&net.peers[3].id()].is_empty() && net.peers[3].relays.is_empty());
    let code = net.invite(2);
    let code = super::super::invite::Code::parse(&code).unwrap();
    let through = format!("/dns4/relay.example/tcp/7443/p2p/{}/p2p-circuit", relay.peer_id());
    assert_eq!(code.bootstraps, [(net.peers[2].id(), vec![through])]);
}

#[test]
fn a_node_that_nobody_can_reach_cannot_invite() {
    let mut net = Net::new(&[]);
    let at = net.add(Config { addresses: Vec::new(), ..config("hidden") });
    let refusal = net.operator(at, OperatorCommand::Invite { own: false }).unwrap_err();
    assert!(refusal.text.contains("mesh.external"), "{}", refusal.text);
}

#[test]
fn a_code_that_no_other_machine_can_use_comes_with_a_warning() {
    let mut net = Net::new(&[]);
    let mut warned = |addresses: &[&str]| {
        let addresses = addresses.iter().map(|addr| (*addr).to_owned()).collect();
        let name = format!("node{}", net.peers.len());
        let at = net.add(Config { addresses, ..config(&name) });
        match net.operator(at, OperatorCommand::Invite { own: false }) {
            Ok(OperatorReply::Invite { warnings, .. }) => warnings,
            other => panic!("{other:?}"),
        }
    };
    let here = ["/ip4/127.0.0.1/tcp/7443", "/ip4/127.3.2.1/tcp/1", "/ip6/::1/tcp/7443", "/dns4/localhost/tcp/7443"];
    for addr in here {
        let warnings = warned(&[addr]);
        assert!(warnings.len() == 1 && warnings[0].contains("mesh.external"), "{addr}: {warnings:?}");
        assert!(warnings[0].contains("listen.mesh"), "{warnings:?}");
    }
    assert_eq!(warned(&here[..2]).len(), 1);
    for addr in ["/ip4/192.0.2.1/tcp/7443", "/dns4/relay.example/tcp/7443", "/ip6/2001:db8::1/tcp/7443"] {
        assert_eq!(warned(&[addr]), Vec::<String>::new(), "{addr}");
        assert_eq!(warned(&[here[0], addr]), Vec::<String>::new(), "one way in is enough");
    }
}

#[test]
fn a_revoked_node_is_out_for_everybody() {
    let mut net = mesh(&["alpha", "beta", "gamma"]);
    // Beta's instance revokes beta's node, as an operator does who lost it: the fact is the instance key's.
    let (mesh_id, beta) = (net.peers[1].node().membership.mesh(), net.peers[1].id());
    let revocation =
        fact::Revocation { by: net.peers[1].node().membership.own_instance(), node: Some(beta), seq: net.now.0 };
    let keyring = net.peers[1].keyring.clone();
    let held = fact::Fact::Revocation(revocation)
        .signed(&mesh_id, |label, parts| crate::crypto::RealCrypto.sign_instance(&keyring, label, parts));
    let gamma = net.peers[2].id();
    net.peers[0].heard = 0;
    assert_eq!(net.put_to(0, gamma, Request::Facts(vec![ByteBuf::from(held.bytes.clone())])), Response::Noted);
    net.pass(Duration::from_secs(600));
    for at in [0, 2] {
        assert!(!net.peers[at].node().membership.is_member(&beta), "node {at}");
        assert!(!net.peers[at].allow.contains_key(&beta));
        assert!(!net.peers[at].node().membership.connected().contains(&beta));
    }
    net.restart(0);
    assert!(!net.peers[0].node().membership.is_member(&beta));
}

#[test]
fn a_bundle_brings_facts_where_no_link_goes() {
    let mut net = mesh(&["alpha", "beta", "gamma"]);
    net.cut(0, 2);
    net.cut(1, 2);
    let late = net.add(config("late"));
    net.cut(late, 2);
    let code = net.invite(0);
    net.join(late, &code).unwrap();
    let facts = all_facts(net.peers[0].node());
    let (mine, total) = (facts_of(&net, 2), facts.len());
    assert!(mine.len() < total);
    // As a peer would hand them over, in an order that is good for nothing.
    let mut reversed = facts;
    reversed.reverse();
    let beta = net.peers[1].id();
    assert_eq!(net.put_to(2, beta, Request::Facts(reversed)), Response::Noted);
    assert_eq!(facts_of(&net, 2).len(), total);
    assert!(net.names(2).contains(&"late".to_owned()));
}

#[test]
fn another_meshs_facts_mean_nothing() {
    let mut net = mesh(&["alpha", "beta"]);
    let stranger = net.add(config("stranger"));
    let facts = all_facts(net.peers[stranger].node());
    let before = facts_of(&net, 0);
    let beta = net.peers[1].id();
    assert_eq!(net.put_to(0, beta, Request::Facts(facts)), Response::Noted);
    assert_eq!(facts_of(&net, 0), before);
    let mesh = net.peers[stranger].node().membership.mesh();
    assert_eq!(net.put_to(0, beta, heads(mesh)), Response::NotMember);
    let many = vec![ByteBuf::from(vec![0; 10]); 65];
    assert_eq!(net.put_to(0, beta, Request::Facts(many)), Response::Refused);
}
