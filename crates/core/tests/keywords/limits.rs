//! What one number, or somebody who claims it, can make a bridge do and remember.

use relaymesh_core::command::Door;
use relaymesh_core::record::{key, vault};
use relaymesh_protocol::base64text;
use relaymesh_protocol::payload::{KeyExchange, Payload};

use crate::world::{Stranger, World, bridge_text};
use crate::{DAY_MS, NUMBER, OTHER, booth, bridge_user, counter, entities, forward, mails, minutes, rows, told};

/// One node of its own.
pub fn alone() -> (World, usize, Door) {
    let mut world = World::new();
    let c = world.add("c", 3);
    let door = booth(&mut world, c);
    (world, c, door)
}

#[test]
fn a_first_mail_that_was_overheard_is_not_mailed_from_another_number() {
    let (mut world, c, door) = alone();
    let (mut phone, server) = bridge_user(&mut world, c, door, c);
    let mut other = Stranger::new(server, 0, 9);
    let hello = other.mail("hello", true);
    let next = other.mail("next", false);
    assert!(forward(&mut world, c, door, OTHER, &bridge_text(hello.clone())));
    assert!(forward(&mut world, c, door, OTHER, &bridge_text(next.clone())));
    assert!(forward(&mut world, c, door, NUMBER, &bridge_text(phone.mail("mine", false))));
    world.run_for(minutes(1));
    assert_eq!(mails(&world).len(), 4);

    // The second mail too opens under the session that its phone's first one begins: no position of it is free.
    let mut spliced = next;
    spliced.key_exchange = hello.key_exchange;
    let mut twin = hello.clone();
    if let Some(KeyExchange { client_public, .. }) = &mut twin.key_exchange {
        client_public[31] ^= 0x80;
    }
    world.kill(c);
    world.restart(c);
    for (n, forged) in [hello, spliced, twin].into_iter().enumerate() {
        for number in ["+237650777001", NUMBER] {
            assert!(forward(&mut world, c, door, number, &bridge_text(forged.clone())));
            world.run_for(minutes(20));
        }
        assert_eq!(mails(&world).len(), 4, "forgery {n}");
    }
    assert_eq!(entities(&world, c).len(), 2, "no number came of it");
    assert!(counter(&world, c, "position_reused") >= 6);
}

#[test]
fn what_is_over_the_allowance_waits_for_the_next_day_and_the_number_hears_so_once_a_day() {
    let (mut world, c, door) = alone();
    let (mut phone, _) = bridge_user(&mut world, c, door, c);
    for n in 0..6 {
        assert!(forward(&mut world, c, door, NUMBER, &bridge_text(phone.mail(&format!("mail {n}"), false))));
        world.run_for(minutes(1));
    }
    let limit = "autant de mails que permis";
    world.run_for(minutes(60));
    assert_eq!((mails(&world).len(), told(&world, NUMBER, limit)), (3, 1));
    world.sleep(c, DAY_MS);
    world.run_for(minutes(60));
    assert_eq!((mails(&world).len(), told(&world, NUMBER, limit)), (6, 2));
    world.sleep(c, DAY_MS);
    world.run_for(minutes(60));
    let mut sent = mails(&world);
    sent.sort_unstable();
    assert_eq!(sent, ["hello", "mail 0", "mail 1", "mail 2", "mail 3", "mail 4", "mail 5"]);
    assert_eq!(told(&world, NUMBER, limit), 2);
}

#[test]
fn the_allowance_outlives_a_restart() {
    let (mut world, c, door) = alone();
    let (mut phone, _) = bridge_user(&mut world, c, door, c);
    for n in 0..6 {
        world.kill(c);
        world.restart(c);
        assert!(forward(&mut world, c, door, NUMBER, &bridge_text(phone.mail(&format!("mail {n}"), false))));
        world.run_for(minutes(30));
    }
    assert_eq!(mails(&world).len(), 3);
}

#[test]
fn a_refusal_over_the_allowance_writes_nothing_but_that_it_was_told() {
    let (mut world, c, door) = alone();
    let (_, server) = bridge_user(&mut world, c, door, c);
    let [id] = entities(&world, c)[..] else { panic!("one identity") };
    let mine = |world: &World| -> Vec<_> {
        let records = key::entity_prefix(&id);
        let disk = world.nodes[c].disk.0.iter();
        disk.filter(|(row, _)| row.starts_with(&records)).map(|(k, v)| (k.clone(), v.clone())).collect()
    };
    let forge = |world: &mut World, n: u64| {
        let forged = bridge_text(Stranger::new(server, 0, 100 + n).mail("not me", true));
        assert!(forward(world, c, door, NUMBER, &forged));
        world.run_for(minutes(1));
    };
    (0..3).for_each(|n| forge(&mut world, n));
    assert_eq!(mails(&world).len(), 3);
    let (before, spent) = (mine(&world), rows(&world, c, key::SPENT));
    (3..23).for_each(|n| forge(&mut world, n));
    assert_eq!(mine(&world), before);
    assert_eq!((rows(&world, c, key::SPENT), spent), (3, 3));
    assert!(counter(&world, c, "bridge_over_allowance") > 20);
}

#[test]
fn results_of_a_bridge_identity_are_forgotten_after_their_life_and_what_they_were_is_not_mailed_again() {
    let (mut world, c, door) = alone();
    let (mut phone, _) = bridge_user(&mut world, c, door, c);
    let [id] = entities(&world, c)[..] else { panic!("one identity") };
    let first = bridge_text(phone.mail("first", true));
    assert!(forward(&mut world, c, door, NUMBER, &first));
    assert!(forward(&mut world, c, door, NUMBER, &bridge_text(phone.mail("second", false))));
    world.run_for(minutes(1));
    let seen = |world: &World| {
        let prefix = key::entity(&id, vault::SEEN, b"");
        world.nodes[c].disk.0.keys().filter(|row| row.starts_with(&prefix)).count()
    };
    assert_eq!((mails(&world).len(), seen(&world)), (3, 3));
    world.sleep(c, 151 * DAY_MS);
    world.run_for(minutes(5));
    for n in 0..2 {
        assert!(forward(&mut world, c, door, NUMBER, &bridge_text(phone.mail(&format!("later {n}"), false))));
        world.run_for(minutes(1));
    }
    assert_eq!((mails(&world).len(), seen(&world)), (5, 2));
    let Ok(Payload::Bridge(again)) = Payload::parse(&base64text::decode(&first).unwrap()) else { panic!() };
    for number in [NUMBER, OTHER] {
        assert!(forward(&mut world, c, door, number, &bridge_text(again.clone())));
        world.run_for(minutes(20));
    }
    assert_eq!(mails(&world).len(), 5);
}
