//! Invites and joins.

use std::time::Duration;

use relaymesh_protocol::frame::{Holdings, Request, Response};
use relaymesh_protocol::ids::EntityId;

use super::super::Relation;
use super::super::fact::Subject;
use super::super::invite::{Code as InviteCode, Invite};
use super::super::restore::INVITE;
use super::net::{Net, config};
use crate::command::{Code, OperatorCommand, OperatorReply};
use crate::config::Accept;
use crate::crypto::RecordAad;
use crate::record::{encode, key};
use crate::testing::Router as _;

fn refused(result: Result<OperatorReply, crate::command::Refusal>) -> (Code, String) {
    let refusal = result.expect_err("refused");
    (refusal.code, refusal.text)
}

#[test]
fn an_invited_node_joins_and_both_sides_see_each_other() {
    let mut net = Net::new(&["alpha", "beta"]);
    assert_eq!(net.names(0), Vec::<String>::new());
    let code = net.invite(0);
    assert!(matches!(net.join(1, &code), Ok(OperatorReply::Done { .. })));
    let connected = |name: &str| vec![(name.to_owned(), "connected".to_owned())];
    assert_eq!(net.others(0), connected("beta"));
    assert_eq!(net.others(1), connected("alpha"));
    let (alpha, beta) = (net.peers[0].node(), net.peers[1].node());
    assert_eq!(alpha.membership.mesh(), beta.membership.mesh(), "the joiner adopts the inviter's mesh");
    let brought = beta.membership.own_instance();
    assert_eq!(alpha.membership.sponsor_of(&brought), Some(alpha.membership.own_instance()));
    assert_eq!(beta.membership.relation(&alpha.id()), Relation::Member);
    let seen = alpha.membership.node(&beta.id()).unwrap();
    assert_eq!((seen.name.as_str(), seen.instance_name.as_str()), ("beta", "beta-org"));
    assert_eq!(seen.sealing.first(), Some(&beta.crypto().publics(beta.keys()).sealing[0].0));
    assert_eq!(net.peers[0].allow.get(&net.peers[1].id()).unwrap(), &net.peers[1].config.addresses);
}

#[test]
fn a_code_is_good_once() {
    let mut net = Net::new(&["alpha", "beta", "gamma"]);
    let code = net.invite(0);
    net.join(1, &code).unwrap();
    let (code_kind, text) = refused(net.join(2, &code));
    assert_eq!(code_kind, Code::PermissionDenied);
    assert!(text.contains("used already") && text.contains("node invite"), "{text}");
    assert_eq!(net.names(0), ["beta"]);
    // Used up also after a restart, since it was marked before the answer left.
    net.restart(0);
    assert_eq!(refused(net.join(2, &code)).0, Code::PermissionDenied);
    assert_eq!(refused(net.join(1, &code)).0, Code::AlreadyExists);
}

#[test]
fn a_lost_answer_is_given_again_to_the_same_node() {
    let mut net = Net::new(&["alpha", "beta"]);
    let text = net.invite(0);
    let code = InviteCode::parse(&text).unwrap();
    net.join(1, &text).unwrap();
    let (alpha, beta) = (net.peers[0].node(), net.peers[1].node());
    let (id, proof) = {
        let proof = super::super::invite::Proof::new(&code.secret, &beta.id(), &alpha.id());
        (proof.id, proof)
    };
    assert_eq!(alpha.membership.invites[&id].used_by, Some(beta.id()));
    assert!(alpha.membership.invites[&id].admits(&proof, &beta.id(), &alpha.id(), net.now));
}

#[test]
fn errors_say_what_to_do() {
    let mut net = Net::new(&["alpha", "beta"]);
    let code = net.invite(0);
    let typo = format!("{}a{}", &code[..30], &code[31..]);
    let typo = if typo == code { format!("{}b{}", &code[..30], &code[31..]) } else { typo };
    assert!(refused(net.join(1, &typo)).1.contains("typo"));
    assert!(refused(net.join(1, "hello")).1.contains("rm1"));
    assert!(refused(net.join(0, &code)).1.contains("this very node"));
    net.cut(0, 1);
    let (kind, text) = refused(net.join(1, &code));
    assert_eq!(kind, Code::Unavailable);
    assert!(text.contains("/dns4/alpha.example/tcp/7443"), "{text}");
    net.heal(0, 1);
    net.days(7);
    assert!(refused(net.join(1, &code)).1.contains("expired"));
    assert_eq!(net.names(0), Vec::<String>::new());
}

#[test]
fn an_inviter_that_never_answers_is_given_up() {
    let mut net = Net::new(&["alpha", "beta"]);
    let code = net.invite(0);
    // Only the joiner runs: what it asks stays without any answer.
    let beta = net.peers.remove(1);
    let mut alone = Net::default();
    alone.now = net.now;
    alone.peers.push(beta);
    alone.deaf = true;
    let (kind, text) = refused(alone.join(0, &code));
    assert_eq!(kind, Code::Unavailable);
    assert!(text.contains("does not answer"), "{text}");
    assert!(alone.now.since(net.now) >= Duration::from_secs(20));
}

#[test]
fn a_node_with_company_stays_in_its_mesh() {
    let mut net = Net::new(&["alpha", "beta", "gamma"]);
    let code = net.invite(0);
    net.join(1, &code).unwrap();
    let other = net.invite(2);
    let (kind, text) = refused(net.join(1, &other));
    assert_eq!(kind, Code::FailedPrecondition);
    assert!(text.contains("cannot be in two"), "{text}");
}

#[test]
fn newcomers_are_told_of_everybody_and_everybody_of_them() {
    let mut net = Net::new(&["alpha", "beta", "gamma"]);
    for joiner in [1, 2] {
        let code = net.invite(joiner - 1);
        net.join(joiner, &code).unwrap();
    }
    net.pass(Duration::from_secs(5));
    assert_eq!(net.names(0), ["beta", "gamma"]);
    assert_eq!(net.names(1), ["alpha", "gamma"]);
    assert_eq!(net.names(2), ["alpha", "beta"]);
    let sponsor = net.peers[0].node().membership.sponsor_of(&net.peers[2].node().membership.own_instance());
    assert_eq!(sponsor, Some(net.peers[1].node().membership.own_instance()));
}

/// Makes an invite for a node of the inviter's own instance, as the disk would have it.
fn own_code(net: &mut Net, at: usize) -> String {
    let text = net.invite(at);
    let mut code = InviteCode::parse(&text).unwrap();
    code.own = true;
    let (id, invite) = Invite::of(&code.secret, code.expires, true);
    let place = key::policy(INVITE, &id);
    let node = net.peers[at].node();
    let aad =
        RecordAad { shard: node.id(), table: key::POLICY, entity: EntityId([0; 16]), record: &place[1..], counter: 0 };
    let root = crate::crypto::table_root(node.keys());
    let row = node.crypto().seal_record(&root, aad, [9; 24], &encode(&invite));
    net.peers[at].disk.rows.insert(place, (u64::MAX, row));
    net.restart(at);
    code.encode()
}

#[test]
fn a_second_node_of_an_instance_joins_and_stays_after_a_restart() {
    let mut net = Net::new(&["alpha", "beta", "gamma"]);
    let code = net.invite(0);
    net.join(2, &code).unwrap();
    let code = own_code(&mut net, 0);
    net.join(1, &code).unwrap();
    net.pass(Duration::from_secs(120));
    let instance = net.peers[0].node().membership.own_instance();
    for restarts in [false, true] {
        if restarts {
            net.restart(1);
            net.pass(Duration::from_secs(120));
        }
        let (alpha, beta, gamma) = (net.peers[0].node(), net.peers[1].node(), net.peers[2].node());
        assert_eq!(beta.membership.own_instance(), instance);
        assert_eq!(alpha.membership.relation(&beta.id()), Relation::Own);
        assert_eq!(beta.membership.relation(&alpha.id()), Relation::Own);
        assert_eq!(gamma.membership.instance_of(&beta.id()), Some(instance));
    }
    let (kind, text) = refused(net.operator(1, OperatorCommand::Invite { own: false }));
    assert_eq!(kind, Code::FailedPrecondition);
    assert!(text.contains("holds the instance's key"), "{text}");
    // The holder of the key gives the endorsement anew before it expires.
    let beta = net.peers[1].id();
    let before = net.peers[2].node().membership.facts.endorsement(instance, beta).unwrap().expires;
    net.days(40);
    let after = net.peers[2].node().membership.facts.endorsement(instance, beta).unwrap().expires;
    assert!(after > before);
}

#[test]
fn open_and_list_meshes_decide_by_themselves() {
    let mut net = Net::new(&["beta", "gamma"]);
    let open = net.add(crate::config::Config { accept: Accept::Open, ..config("open") });
    let list = net.add(crate::config::Config { accept: Accept::List, ..config("list") });
    let code = net.invite(open);
    net.join(0, &code).unwrap();
    assert!(net.join(1, &code).is_ok(), "an open node takes whoever comes");
    // A closed node lets no stranger connect; it would also refuse one that is connected.
    let code = net.invite(list);
    let lone = net.add(config("lone"));
    assert_eq!(refused(net.join(lone, &code)).0, Code::Unavailable);
    let stranger = net.peers[lone].id();
    let asked = Request::Join { proof: Vec::new(), facts: Vec::new() };
    assert_eq!(net.put_to(list, stranger, asked), Response::Refused);
}

#[test]
fn a_stranger_learns_nothing_and_cannot_flood() {
    let mut net = Net::new(&["alpha", "beta"]);
    let mesh = net.peers[0].node().membership.mesh();
    let stranger = net.peers[1].id();
    for request in [
        Request::Digest([0; 16]),
        Request::Heads(Box::new(Holdings { mesh, of: 1, parts: vec![0], facts: Vec::new(), filters: Vec::new() })),
        Request::WantFacts(Vec::new()),
        Request::Facts(Vec::new()),
    ] {
        assert_eq!(net.put_to(0, stranger, request), Response::NotMember);
    }
    let join = || Request::Join { proof: vec![1, 2, 3], facts: Vec::new() };
    let answers: Vec<Response> = (0..100).map(|_| net.put_to(0, stranger, join())).collect();
    assert!(answers.iter().filter(|answer| **answer == Response::Refused).count() <= 20);
    assert!(matches!(answers.last(), Some(Response::Busy { .. })));
    let subject = Subject::Node(stranger);
    assert!(net.peers[0].node().membership.facts.get(&subject).is_none());
}
