//! `STOP` and `START`.

use std::collections::BTreeMap;

use relaymesh_core::command::Door;
use relaymesh_core::record::key;

use crate::world::{Person, PlatformMood, Stranger, bridge_text};
use crate::{NUMBER, OTHER, booth, bridge_user, counter, entities, forward, mails, minutes, sms, three, told};

#[test]
fn nothing_is_mailed_for_a_number_that_said_stop_and_it_hears_so_once() {
    let (mut world, a, _, c) = three();
    let (at_a, at_c) = (booth(&mut world, a), booth(&mut world, c));
    let (mut phone, server) = bridge_user(&mut world, a, at_a, c);
    assert_eq!(told(&world, NUMBER, "Répondez STOP"), 1);
    for text in ["stop!", "STOP"] {
        assert!(forward(&mut world, a, at_a, NUMBER, text));
        world.run_for(minutes(20));
    }
    assert_eq!(told(&world, NUMBER, "suspendus"), 1);
    world.kill(c);
    world.restart(c);
    let old = bridge_text(phone.mail("old session", false));
    let new = bridge_text(Stranger::new(server, 0, 2).mail("new session", true));
    for (node, door) in [(a, at_a), (c, at_c), (c, Door::Open)] {
        for text in [&old, &new] {
            let _ = world.ask(node, sms(text, NUMBER, door, None));
        }
        world.run_for(minutes(10));
    }
    assert_eq!(mails(&world), ["hello"]);
    assert!(counter(&world, c, "bridge_frozen") > 0);
    let other = bridge_text(Stranger::new(server, 0, 3).mail("somebody else", true));
    assert!(forward(&mut world, a, at_a, OTHER, &other));
    world.run_for(minutes(3));
    assert_eq!(mails(&world), ["hello", "somebody else"]);
}

#[test]
fn start_and_a_new_key_exchange_through_a_gateway_client_begin_again() {
    let (mut world, a, _, c) = three();
    let (at_a, at_c) = (booth(&mut world, a), booth(&mut world, c));
    let (mut phone, server) = bridge_user(&mut world, a, at_a, c);
    assert!(forward(&mut world, a, at_a, NUMBER, "STOP"));
    world.run_for(minutes(2));
    // Ingresses hold these, and offer them again and again.
    let held = bridge_text(Stranger::new(server, 0, 2).mail("sent while stopped", true));
    assert!(forward(&mut world, a, at_a, NUMBER, &held));
    world.run_for(minutes(30));
    assert!(forward(&mut world, a, at_a, NUMBER, "Start"));
    world.run_for(minutes(20));
    assert_eq!(told(&world, NUMBER, "de nouveau"), 1);
    let old = bridge_text(phone.mail("under the old keys", false));
    assert!(forward(&mut world, c, at_c, NUMBER, &old));
    world.run_for(minutes(20));
    assert_eq!(mails(&world), ["hello"], "START alone begins nothing");
    let mut fresh = Stranger::new(server, 0, 5);
    assert!(forward(&mut world, a, at_a, NUMBER, &bridge_text(fresh.mail("begins", true))));
    world.run_for(minutes(2));
    assert!(forward(&mut world, c, at_c, NUMBER, &bridge_text(fresh.mail("goes on", false))));
    world.run_for(minutes(20));
    assert!(mails(&world).starts_with(&["hello".to_owned(), "begins".to_owned(), "goes on".to_owned()]));
    assert!(!mails(&world).iter().any(|mail| mail == "sent while stopped" || mail == "under the old keys"));
}

#[test]
fn a_late_copy_of_an_answer_changes_nothing() {
    let (mut world, _, _, c) = three();
    let door = booth(&mut world, c);
    let (_, server) = bridge_user(&mut world, c, door, c);
    let early = Some(i64::try_from(world.now.0).unwrap());
    let _ = world.ask(c, sms("STOP", NUMBER, door, early));
    world.run_for(minutes(1));
    assert!(forward(&mut world, c, door, NUMBER, "START"));
    world.run_for(minutes(1));
    let _ = world.ask(c, sms("STOP", NUMBER, door, early));
    world.run_for(minutes(20));
    assert_eq!((told(&world, NUMBER, "suspendus"), counter(&world, c, "bridge_stopped")), (1, 1));
    assert!(forward(&mut world, c, door, NUMBER, &bridge_text(Stranger::new(server, 0, 2).mail("on", true))));
    world.run_for(minutes(1));
    assert_eq!(mails(&world), ["hello", "on"]);
}

#[test]
fn a_mail_that_has_not_left_does_not_leave_after_stop() {
    let (mut world, _, _, c) = three();
    let door = booth(&mut world, c);
    let (mut phone, _) = bridge_user(&mut world, c, door, c);
    world.mood = PlatformMood::Down;
    assert!(forward(&mut world, c, door, NUMBER, &bridge_text(phone.mail("waits", false))));
    world.run_for(minutes(1));
    assert!(forward(&mut world, c, door, NUMBER, "STOP"));
    world.run_for(minutes(1));
    world.mood = PlatformMood::Fine;
    world.run_for(minutes(30));
    assert_eq!((mails(&world), told(&world, NUMBER, "Échec")), (vec!["hello".to_owned()], 1));
}

#[test]
fn an_account_of_the_number_is_not_touched() {
    let (mut world, a, _, c) = three();
    let door = booth(&mut world, a);
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    let [id] = entities(&world, c)[..] else { panic!("one account") };
    let account = |world: &crate::World| -> BTreeMap<_, _> {
        let (head, records) = (key::head(&id), key::entity_prefix(&id));
        let disk = world.nodes[c].disk.0.iter();
        disk.filter(|(row, _)| **row == head || row.starts_with(&records))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect()
    };
    bridge_user(&mut world, a, door, c);
    let before = account(&world);
    for text in ["STOP", "START", "STOP"] {
        assert!(forward(&mut world, a, door, NUMBER, text));
        world.run_for(minutes(20));
    }
    assert_eq!(account(&world), before);
    assert!(counter(&world, c, "bridge_stopped") == 2);
    let post = person.compose("still here", true);
    person.send(&mut world, a, &post);
    world.run_for(minutes(2));
    assert_eq!(world.count("still here"), 1);
}

#[test]
fn stop_from_the_open_door_or_for_another_number_does_nothing() {
    let (mut world, a, _, c) = three();
    let (at_a, at_c) = (booth(&mut world, a), booth(&mut world, c));
    let (mut phone, _) = bridge_user(&mut world, a, at_a, c);
    let _ = world.ask(c, sms("STOP", NUMBER, Door::Open, None));
    for (text, from) in [("STOP", OTHER), ("START", NUMBER), ("please STOP", NUMBER)] {
        let _ = world.ask(c, sms(text, from, at_c, None));
    }
    world.run_for(minutes(20));
    assert!(forward(&mut world, a, at_a, NUMBER, &bridge_text(phone.mail("goes on", false))));
    world.run_for(minutes(2));
    assert_eq!(mails(&world), ["hello", "goes on"]);
    assert_eq!(counter(&world, c, "bridge_stopped"), 0);
}

#[test]
fn one_number_has_its_share_of_answers_in_a_day() {
    let (mut world, a, _, _) = three();
    let door = booth(&mut world, a);
    let taken = (0..20).filter(|_| forward(&mut world, a, door, NUMBER, "STOP")).count();
    assert_eq!(taken, 10);
    assert!(forward(&mut world, a, door, OTHER, "STOP"));
}
