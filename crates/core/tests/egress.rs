//! SMS that leave through another node: who is asked, in which order, and that no SMS is sent twice or silently lost.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use relaymesh_core::SmsPurpose;
use relaymesh_core::command::{OperatorCommand, OperatorReply};
use relaymesh_core::config::{Egress, SmsWay};
use relaymesh_protocol::ids::MessageId;
use world::{Fate, Frame, NUMBER, Person, RefreshMood, SmsMood, World, minutes, three};

/// A home with two more nodes of its instance and two partners, and a person who lives there.
struct Scene {
    world: World,
    home: usize,
    own: usize,
    other: usize,
    partner: usize,
    second: usize,
    person: Person,
    posts: usize,
}

impl Scene {
    /// The home's ways; its own ports are there or not.
    fn new(order: Vec<SmsWay>, ports: bool) -> Self {
        let mut world = World::new();
        let [home, own, other, partner, second] =
            [("home", 1), ("own", 2), ("other", 3), ("partner", 4), ("second", 5)].map(|(n, s)| world.add(n, s));
        for node in [own, other] {
            let reply = world.operate(home, OperatorCommand::Invite { own: true });
            let OperatorReply::Invite { code, .. } = reply else { panic!("{reply:?}") };
            world.operate(node, OperatorCommand::Join { code });
            world.run_for(2_000);
        }
        for node in [partner, second] {
            world.join(home, node);
            world.federate(home, node);
        }
        let mut person = Person::sign_up(&mut world, home, NUMBER, 11);
        let _ = person.compose("unsent", true);
        let mut scene = Self { world, home, own, other, partner, second, person, posts: 0 };
        scene.set(home, |config, _| {
            config.0.order = order.clone();
            *config.1 = ports;
        });
        for node in [partner, second] {
            scene.set(node, |config, home| config.0.partners = vec![home.to_owned()]);
        }
        scene.world.run_for(minutes(3));
        scene.world.sms.clear();
        scene.world.sms_by.clear();
        scene.world.sms_ids.clear();
        scene
    }

    /// Changes a node's egress, and whether it has ports, and starts it anew.
    fn set(&mut self, node: usize, change: impl Fn((&mut Egress, &mut bool), &str)) {
        let home = self.world.nodes[self.home].config.instance.clone();
        self.world.kill(node);
        let config = &mut self.world.nodes[node].config;
        change((&mut config.egress, &mut config.sms), &home);
        self.world.restart(node);
        self.world.run_for(minutes(2));
    }

    /// A post is published, of which the person is told by SMS.
    fn post(&mut self) {
        self.posts += 1;
        let text = format!("post {}", self.posts);
        let sms = self.person.compose(&text, true);
        self.person.send(&mut self.world, self.home, &sms);
        self.world.run_for(minutes(2));
        assert_eq!(self.world.count(&text), 1);
    }

    /// Who sent the person's SMS.
    fn senders(&self) -> Vec<usize> {
        assert!(self.world.sms.iter().all(|(to, text)| to == NUMBER && text.starts_with("Livraison")));
        self.world.sms_by.clone()
    }

    fn waiting(&mut self, node: usize) -> u64 {
        let OperatorReply::Status(status) = self.world.operate(node, OperatorCommand::Status) else { panic!() };
        status.sms_queue
    }
}

fn partner(name: &str) -> SmsWay {
    SmsWay::Partner(format!("instance-{name}"))
}

fn all_ways() -> Vec<SmsWay> {
    vec![SmsWay::Ports(0), SmsWay::Own, partner("partner"), partner("second")]
}

#[test]
fn each_way_has_its_turn_when_those_before_sent_nothing() {
    let mut scene = Scene::new(all_ways(), true);
    let Scene { home, own, other, partner, second, .. } = scene;
    let order = |mut senders: Vec<usize>| {
        senders.dedup();
        senders
    };
    scene.post();
    assert_eq!(scene.senders(), [home]);
    for (n, down) in [home, own, other, partner].into_iter().enumerate() {
        let mood = if n % 2 == 0 { SmsMood::Down } else { SmsMood::Refuses };
        scene.world.sms_moods.insert(down, mood);
        scene.post();
    }
    let mut senders = order(scene.senders());
    senders[1..3].sort_unstable();
    assert_eq!(senders[0], home);
    assert!(senders[1..].iter().all(|node| *node != home), "{senders:?}");
    assert_eq!(senders.last(), Some(&second));
    assert_eq!(scene.world.sms.len(), 5, "each post is told once");
    scene.world.run_for(minutes(60));
    assert_eq!((scene.world.sms.len(), scene.waiting(home)), (5, 0));
}

#[test]
fn only_nodes_that_say_they_can_are_asked_and_only_those_of_the_order() {
    let mut scene = Scene::new(vec![SmsWay::Own], false);
    let (own, other) = (scene.own, scene.other);
    scene.set(own, |(_, ports), _| *ports = false);
    scene.set(other, |(egress, _), _| egress.countries = vec!["FR".to_owned()]);
    scene.post();
    scene.world.run_for(minutes(30));
    assert!(scene.senders().is_empty(), "no port, another country, and partners are not in the order");
    scene.set(other, |(egress, _), _| egress.countries = vec!["FR".to_owned(), "cm".to_owned()]);
    scene.post();
    assert_eq!(scene.senders(), [other]);
}

#[test]
fn a_node_sends_for_partners_it_names_and_so_many_a_day() {
    let mut scene = Scene::new(vec![partner("partner"), partner("second")], false);
    let (first, second) = (scene.partner, scene.second);
    scene.set(first, |(egress, _), _| egress.per_partner_per_day = 2);
    for _ in 0..3 {
        scene.post();
    }
    assert_eq!(scene.senders(), [first, first, second]);
    scene.set(second, |(egress, _), _| egress.partners.clear());
    scene.post();
    assert_eq!(scene.world.sms.len(), 3, "one has no budget left, the other was never told to serve us");
    // What was refused for today only is tried again, and goes out on the next day.
    scene.world.run_for(minutes(24 * 60 - 4));
    assert_eq!(scene.senders()[3..], [first]);
}

#[test]
fn a_lost_answer_sends_nothing_twice_and_nobody_else_is_asked() {
    let mut scene = Scene::new(vec![SmsWay::Own, partner("partner")], false);
    let home = scene.home;
    scene.world.tap(move |from, to, frame| {
        // Answers also come by custodians.
        let answers = matches!(frame, Frame::Envelope(_)) && to == home && from != home;
        if answers { Fate::Lose } else { Fate::Pass }
    });
    scene.post();
    scene.world.run_for(minutes(20));
    assert_eq!((scene.world.sms.len(), scene.waiting(home)), (1, 1), "sent, and nobody told us");
    let sender = scene.senders()[0];
    scene.world.kill(sender);
    scene.world.restart(sender);
    scene.world.run_for(minutes(20));
    assert_eq!(scene.world.sms.len(), 1, "asked again, also after a kill: it is the same SMS");
    scene.world.untap();
    scene.world.kill(home);
    scene.world.restart(home);
    scene.world.run_for(minutes(40));
    assert_eq!((scene.senders(), scene.waiting(home)), (vec![sender], 0));
}

#[test]
fn a_node_that_is_away_gives_the_next_its_turn_and_a_request_that_may_be_there_does_not() {
    let mut scene = Scene::new(vec![SmsWay::Own, partner("partner")], false);
    let Scene { home, own, other, partner, .. } = scene;
    for away in [own, other] {
        scene.world.kill(away);
    }
    scene.post();
    assert_eq!(scene.senders(), [partner]);
    for back in [own, other] {
        scene.world.restart(back);
    }
    scene.world.run_for(minutes(30));
    assert_eq!(scene.world.sms.len(), 1, "no request waits for them anywhere");
    // From now on requests get lost without a word.
    scene.world.tap(move |from, to, frame| {
        let request = matches!(frame, Frame::Envelope(_)) && from == home && (to == own || to == other);
        if request { Fate::Lose } else { Fate::Pass }
    });
    scene.post();
    scene.world.run_for(minutes(10));
    assert_eq!((scene.world.sms.len(), scene.waiting(home)), (1, 1), "it may be there");
    scene.world.untap();
    scene.world.run_for(minutes(30));
    assert_eq!((scene.world.sms.len(), scene.waiting(home)), (2, 0));
}

#[test]
fn an_sms_that_may_have_been_sent_is_not_sent_by_another() {
    let mut scene = Scene::new(vec![SmsWay::Own, partner("partner")], false);
    for node in [scene.own, scene.other] {
        scene.world.sms_moods.insert(node, SmsMood::LosesAnswers);
    }
    scene.post();
    scene.world.run_for(minutes(60));
    let home = scene.home;
    assert_eq!((scene.world.sms.len(), scene.waiting(home)), (1, 0));
}

/// The person's phone keeps the tokens, and each post needs a new one, as long as this.
fn rotate(scene: &mut Scene, letters: usize) {
    scene.person.keep_tokens(&mut scene.world, scene.home, &"r".repeat(letters));
    scene.world.expire(&scene.person);
    scene.world.refresh = RefreshMood::Fine;
    scene.world.sms_purposes.clear();
}

#[test]
fn a_refreshed_token_is_as_important_at_nodes_of_its_instance_and_no_more_than_a_notice_at_partners() {
    for (way, purpose) in [(SmsWay::Own, SmsPurpose::Token), (partner("partner"), SmsPurpose::Notice)] {
        let mut scene = Scene::new(vec![way.clone()], false);
        rotate(&mut scene, 1_500);
        scene.post();
        assert_eq!((scene.senders().len(), &scene.world.sms_purposes[..]), (1, &[purpose][..]), "{way:?}");
        assert!(scene.world.sms[0].1.len() > 2_000, "more than an ordinary text may have");
    }
}

#[test]
fn a_refreshed_token_waits_for_longer_than_other_news() {
    for keeps in [false, true] {
        let mut scene = Scene::new(vec![SmsWay::Ports(0)], true);
        if keeps {
            rotate(&mut scene, 20);
        }
        let home = scene.home;
        scene.world.sms_moods.insert(home, SmsMood::Down);
        scene.post();
        scene.world.run_for(minutes(30 * 60));
        scene.world.sms_moods.clear();
        scene.world.run_for(minutes(60));
        assert_eq!((scene.senders().len(), scene.waiting(home)), (usize::from(keeps), 0));
    }
}

/// Room and words of each line of a message's timeline at a node, a room's name once while it goes on.
fn timeline(world: &World, node: usize, message: &MessageId) -> (Vec<String>, Vec<String>) {
    let lines = world.nodes[node].node().timeline(message);
    let mut rooms: Vec<String> = lines.iter().map(|line| line.room.to_string()).collect();
    rooms.dedup();
    (rooms, lines.iter().map(|line| line.what.to_string()).collect())
}

#[test]
fn a_timeline_goes_from_the_ingress_to_the_sms_and_names_nobody() {
    let (mut world, a, _, c) = three();
    let mut person = Person::sign_up(&mut world, c, NUMBER, 11);
    world.run_for(minutes(3));
    let ends = [
        (None, "sent, through own ports"),
        (Some(SmsMood::LosesAnswers), "UNCERTAIN: the answer never came, through own ports"),
        (Some(SmsMood::Refuses), "NOT SENT: no way took it"),
    ];
    for (mood, end) in ends {
        world.sms_moods.clear();
        world.sms_moods.extend(mood.map(|mood| (c, mood)));
        let sms = person.compose("bonjour", true);
        let message = person.send(&mut world, a, &sms);
        world.run_for(minutes(2));
        let ((came_in, at_ingress), (went_out, at_home)) =
            (timeline(&world, a, &message), timeline(&world, c, &message));
        assert_eq!(
            [came_in, went_out].concat(),
            ["ingress", "leg", "receipt", "vault", "publish", "sms"],
            "{at_home:?}"
        );
        assert_eq!(at_home[at_home.len() - 2..], ["ordered for the person", end]);
        let told = [at_ingress, at_home].concat().join("\n");
        assert!(!told.contains(&NUMBER[4..]) && !told.contains("bonjour") && !told.contains("Livraison"), "{told}");
    }
}

#[test]
fn a_timeline_says_through_which_node_the_sms_left() {
    let mut scene = Scene::new(vec![SmsWay::Own], false);
    let sms = scene.person.compose("through another", true);
    let message = scene.person.send(&mut scene.world, scene.home, &sms);
    scene.world.run_for(minutes(2));
    let name = scene.world.nodes[scene.senders()[0]].name.clone();
    let (_, lines) = timeline(&scene.world, scene.home, &message);
    let last = lines.last().unwrap();
    assert!(last.starts_with(&format!("sent, through {name}")), "{lines:?}");
}
