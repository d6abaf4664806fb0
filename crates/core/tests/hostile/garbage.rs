//! Rubbish in every place that takes bytes from outside: no panic, and no record changes.

use std::collections::BTreeMap;

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use relaymesh_core::batch::Key;
use relaymesh_core::command::{Code, Command, Door, OperatorCommand, OperatorReply, Reply, Submit};
use relaymesh_protocol::frame::{Carried, FactHead, FilterHead, FilterLayer, Holdings, Request, Response};
use relaymesh_protocol::ids::{E164, MeshId, NodeId};
use serde_bytes::ByteBuf;

use crate::world::{Fate, Frame, Person, World, booth, letter_bytes};
use crate::{NUMBER, minutes, three};

fn bytes(rng: &mut ChaCha20Rng, max: usize) -> Vec<u8> {
    let mut bytes = vec![0; rng.next_u32() as usize % max];
    rng.fill_bytes(&mut bytes);
    bytes
}

fn array<const N: usize>(rng: &mut ChaCha20Rng) -> [u8; N] {
    let mut array = [0; N];
    rng.fill_bytes(&mut array);
    array
}

fn many<T>(rng: &mut ChaCha20Rng, max: usize, mut one: impl FnMut(&mut ChaCha20Rng) -> T) -> Vec<T> {
    (0..rng.next_u32() as usize % max).map(|_| one(rng)).collect()
}

fn head(rng: &mut ChaCha20Rng, nodes: &[NodeId]) -> FilterHead {
    let node = if rng.next_u32().is_multiple_of(2) {
        nodes[rng.next_u32() as usize % nodes.len()]
    } else {
        NodeId(array(rng))
    };
    let layer = if rng.next_u32().is_multiple_of(2) { FilterLayer::Base } else { FilterLayer::Recent };
    let version = if rng.next_u32().is_multiple_of(4) { u64::MAX } else { rng.next_u64() };
    FilterHead { node, layer, version, bytes: rng.next_u32() }
}

fn request(rng: &mut ChaCha20Rng, nodes: &[NodeId]) -> Request {
    let mesh = if rng.next_u32().is_multiple_of(2) { MeshId([1; 16]) } else { MeshId(array(rng)) };
    match rng.next_u32() % 9 {
        0 => Request::Envelopes(many(rng, 4, |rng| Carried { envelope: bytes(rng, 2_000), hops: 9, copies: 255 })),
        1 => Request::Digest(array(rng)),
        2 => Request::Heads(Box::new(Holdings {
            mesh,
            of: (rng.next_u32() >> 16) as u16,
            parts: many(rng, 80, |rng| (rng.next_u32() % 1_030) as u16),
            facts: many(rng, 50, |rng| FactHead { subject: bytes(rng, 40), seq: rng.next_u64() }),
            filters: many(rng, 50, |rng| head(rng, nodes)),
        })),
        3 => Request::WantFacts(many(rng, 5_000, |rng| FactHead { subject: bytes(rng, 40), seq: rng.next_u64() })),
        4 => Request::Facts(many(rng, 50, |rng| ByteBuf::from(bytes(rng, 400)))),
        5 => Request::WantFilter { head: head(rng, nodes), offset: rng.next_u32() },
        6 => Request::Evaluate { key_id: rng.next_u32(), blinded: many(rng, 40, array) },
        7 => Request::WhoHolds { keys: many(rng, 10_000, ChaCha20Rng::next_u64) },
        _ => Request::Join { proof: bytes(rng, 300), facts: many(rng, 5, |rng| ByteBuf::from(bytes(rng, 400))) },
    }
}

/// What a node has on disk, without the moment's rations.
fn rows(world: &World, node: usize) -> BTreeMap<Key, Vec<u8>> {
    let disk = &world.nodes[node].disk.0;
    let lasting = disk.iter().filter(|(row, _)| row.first() != Some(&relaymesh_core::record::key::META));
    lasting.map(|(row, (_, value))| (row.clone(), value.clone())).collect()
}

/// A node that knows a person, and a member that sends it rubbish.
fn scene() -> (World, usize, usize, Person) {
    let (mut world, a, b, _) = three();
    let person = Person::sign_up(&mut world, a, NUMBER, 11);
    world.federate(a, b);
    world.run_for(minutes(3));
    (world, a, b, person)
}

#[test]
fn random_requests_change_no_record() {
    let (mut world, a, b, _) = scene();
    let nodes: Vec<NodeId> = world.nodes.iter().map(|sim| sim.id).collect();
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let before = rows(&world, a);
    for _ in 0..1_500 {
        let _ = world.request(b, a, request(&mut rng, &nodes));
        world.run_for(5);
    }
    assert_eq!(rows(&world, a), before);
    assert!(world.responses.len() > 1_000, "each is answered");
}

#[test]
fn a_stranger_is_told_nothing() {
    let (mut world, a, _, _) = scene();
    let x = world.add("x", 77);
    let nodes: Vec<NodeId> = world.nodes.iter().map(|sim| sim.id).collect();
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    let before = rows(&world, a);
    for _ in 0..300 {
        let asked = request(&mut rng, &nodes);
        let answer = world.request(x, a, asked.clone());
        world.run_for(5);
        let told = world.responses.remove(&answer);
        let quiet = matches!(told, None | Some(Response::NotMember | Response::Refused | Response::Busy { .. }));
        assert!(quiet, "{asked:?} is answered with {told:?}");
    }
    assert_eq!(rows(&world, a), before);
}

#[test]
fn random_envelopes_and_bodies_change_no_record() {
    let (mut world, a, b, _) = scene();
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let before = rows(&world, a);
    for n in 0..600_u64 {
        let mut carried = match n % 3 {
            0 => Carried { envelope: bytes(&mut rng, 3_000), hops: 0, copies: 0 },
            // A sound envelope around rubbish.
            1 => {
                let mut body = bytes(&mut rng, 600);
                if let Some(first) = body.first_mut() {
                    *first = 1;
                }
                if let Some(kind) = body.get_mut(1) {
                    *kind %= 7;
                }
                // No SMS and no question on purpose: those may leave a record.
                if matches!(body.get(1), Some(2 | 6)) {
                    body[1] = 0;
                }
                letter_bytes(&world.nodes[b].keyring, &world.nodes[a], world.now, &body, n)
            }
            _ => letter_bytes(&world.nodes[b].keyring, &world.nodes[a], world.now, b"\x01\x00", n),
        };
        carried.hops = (rng.next_u32() % 8) as u8;
        carried.copies = rng.next_u32() as u8;
        world.deliver(b, a, carried);
        world.run_for(30);
    }
    assert_eq!(rows(&world, a), before);
}

#[test]
fn random_answers_change_no_record() {
    let (mut world, a, b, mut person) = scene();
    world.run_for(minutes(5));
    let mut rng = ChaCha20Rng::seed_from_u64(4);
    let before = rows(&world, a);
    world.tap(move |from, to, frame| {
        if let (true, Frame::Response(response)) = ((from, to) == (b, a), frame) {
            *response = match rng.next_u32() % 8 {
                0 => Response::Heads {
                    facts: many(&mut rng, 50, |rng| FactHead { subject: bytes(rng, 40), seq: rng.next_u64() }),
                    filters: many(&mut rng, 50, |rng| head(rng, &[NodeId([7; 32])])),
                },
                1 => Response::Facts(many(&mut rng, 50, |rng| ByteBuf::from(bytes(rng, 300)))),
                2 => Response::Filter {
                    head: head(&mut rng, &[NodeId([7; 32])]),
                    offset: rng.next_u32(),
                    bytes: bytes(&mut rng, 2_000),
                },
                3 => Response::Evaluated { evaluated: many(&mut rng, 20, array), proof: bytes(&mut rng, 100) },
                4 => Response::Holds(many(&mut rng, 100, |rng| rng.next_u32().is_multiple_of(2))),
                5 => Response::Differs { rest_s: rng.next_u32() as u16, sums: bytes(&mut rng, 600) },
                6 => Response::Joined(many(&mut rng, 20, |rng| ByteBuf::from(bytes(rng, 300)))),
                _ => Response::Busy { retry_after_ms: rng.next_u32() },
            };
        }
        Fate::Pass
    });
    world.run_for(minutes(40));
    let kept = |rows: BTreeMap<Key, Vec<u8>>| -> BTreeMap<Key, Vec<u8>> {
        // Its own filter and record are renewed by the clock, and answers of others still count.
        rows.into_iter().filter(|(row, _)| !matches!(row[0], b'f' | b'm')).collect()
    };
    assert_eq!(kept(rows(&world, a)), kept(before));
    let sms = person.compose("after all that", true);
    person.send(&mut world, b, &sms);
    world.run_for(minutes(20));
    assert_eq!(world.count("after all that"), 1, "the node still works");
}

#[test]
fn random_and_truncated_bundles_change_no_record() {
    let (mut world, a, b, mut person) = scene();
    for (x, y) in [(0, 1), (0, 2), (1, 2)] {
        world.cut(x, y);
    }
    let sms = person.compose("in the bundle", true);
    person.send(&mut world, b, &sms);
    world.run_for(1_000);
    let OperatorReply::Bundle { bytes: whole, envelopes, .. } = world.operate(b, OperatorCommand::BundleExport) else {
        panic!("no bundle");
    };
    assert!(envelopes > 0);
    let mut rng = ChaCha20Rng::seed_from_u64(5);
    let before = rows(&world, a);
    for n in 0..300 {
        let bad = match n % 3 {
            0 => bytes(&mut rng, 3_000),
            1 => [b"RMBUNDL1".to_vec(), bytes(&mut rng, 3_000)].concat(),
            _ => whole[..rng.next_u32() as usize % whole.len()].to_vec(),
        };
        let reply = world.ask(a, Command::Operator(OperatorCommand::BundleImport { bytes: bad }));
        assert!(matches!(reply, Reply::Refused(_)), "{reply:?}");
    }
    assert_eq!(rows(&world, a), before);
    // Flipped bits do what they can: parts that still hold are taken, nothing else.
    for n in 0..400 {
        let mut bad = whole.clone();
        let at = rng.next_u32() as usize % bad.len();
        bad[at] ^= 1 << (n % 8);
        let _ = world.ask(a, Command::Operator(OperatorCommand::BundleImport { bytes: bad }));
        assert!(world.posts.iter().all(|post| post.text == "in the bundle"));
    }
    world.operate(a, OperatorCommand::BundleImport { bytes: whole });
    world.run_for(minutes(1));
    assert_eq!((world.count("in the bundle"), world.posts.len()), (1, 1));
}

/// A sender as a modem, an app or a liar may write it.
fn sender(rng: &mut ChaCha20Rng, n: usize) -> String {
    const LETTERS: [char; 20] =
        ['+', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', ' ', '-', '(', ')', '/', '*', ';', '٣', '\u{ff16}'];
    let of = |rng: &mut ChaCha20Rng, letters: &[char], max| -> String {
        many(rng, max, |rng| letters[rng.next_u32() as usize % letters.len()]).into_iter().collect()
    };
    match n % 5 {
        0 => String::from_utf8_lossy(&bytes(rng, 30)).into_owned(),
        1 => of(rng, &LETTERS, 25),
        2 => format!("6{}", of(rng, &LETTERS[1..11], 14)),
        3 => format!(
            "tel:6{};{}=+{}",
            of(rng, &LETTERS[1..11], 14),
            ["phone-context", "ext"][n % 2],
            of(rng, &LETTERS, 9)
        ),
        _ => format!("00{}", of(rng, &LETTERS[1..11], 20)),
    }
}

/// A gateway client's country says how a number without a code is read, and nothing else of a sender is believed.
#[test]
fn random_senders_at_a_door_with_a_country_are_read_as_numbers_or_refused() {
    let (mut world, a, _, mut person) = scene();
    let add = OperatorCommand::GatewayAdd {
        name: "booth".to_owned(),
        msisdn: "+237699000000".into(),
        country: Some("CM".to_owned()),
        operator: None,
    };
    let OperatorReply::GatewayAdded { path, .. } = world.operate(a, add) else { panic!("no gateway client") };
    let door = Door::Gateway(relaymesh_core::gateway_id(path.reveal().split('/').nth(2).unwrap()));
    let text = person.compose("by country", false);
    let submit = |text: &str, sender: String| {
        Command::Submit(Submit { door, text: text.into(), sender: sender.into(), date: None, date_sent: None })
    };
    // What a gateway client brought is counted, whatever it was.
    let rows = |world: &World| {
        let all = rows(world, a).into_iter();
        all.filter(|(row, _)| row[0] != relaymesh_core::record::key::GATEWAY).collect::<BTreeMap<_, _>>()
    };
    let mut rng = ChaCha20Rng::seed_from_u64(7);
    let mut read = 0;
    for n in 0..600 {
        let sender = sender(&mut rng, n);
        let (known, before) = (E164::normalise(sender.trim(), Some("CM")), rows(&world));
        let reply = world.ask(a, submit(&text, sender));
        match known {
            Ok(_) => read += usize::from(matches!(reply, Reply::Submitted(_))),
            Err(_) => {
                assert!(matches!(&reply, Reply::Refused(why) if why.code == Code::InvalidArgument), "{reply:?}");
                assert_eq!(rows(&world), before);
            }
        }
    }
    assert!((30..570).contains(&read), "{read} of 600 are numbers");
    world.run_for(minutes(1));
    assert!(world.posts.is_empty(), "the number that it is from is not theirs");
    world.ask(a, submit(&text, NUMBER.replace("+237", " ")));
    world.run_for(minutes(1));
    assert_eq!((world.count("by country"), world.posts.len()), (1, 1));
}

#[test]
fn random_texts_at_the_door_are_refused_or_held() {
    let (mut world, a, _, person) = scene();
    let booth = booth(&mut world, a);
    let mut rng = ChaCha20Rng::seed_from_u64(6);
    let mut texts = vec![String::new(), "\0".to_owned(), "A".repeat(200_000), "é".repeat(5_000), "====".to_owned()];
    texts.extend((0..800).map(|n| match n % 3 {
        0 => String::from_utf8_lossy(&bytes(&mut rng, 200)).into_owned(),
        1 => relaymesh_protocol::base64text::encode(&bytes(&mut rng, 200)),
        _ => {
            let mut like = bytes(&mut rng, 200);
            like.splice(0..0, [(n % 256) as u8, 2, (n % 7) as u8]);
            relaymesh_protocol::base64text::encode(&like)
        }
    }));
    for text in texts {
        let senders = [person.number.as_str(), "", "not a number", "+0", "650 12 34 56"];
        for (sender, door) in senders.into_iter().flat_map(|sender| [(sender, Door::Open), (sender, booth)]) {
            let submit = Submit {
                door,
                text: text.clone().into(),
                sender: sender.into(),
                date: Some(i64::MIN),
                date_sent: Some(i64::MAX),
            };
            let _ = world.send(a, Command::Submit(submit));
        }
        world.run_for(5);
    }
    world.run_for(minutes(1));
    assert!(world.posts.is_empty());
}
