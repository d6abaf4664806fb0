//! Whatever a server answers: it is taken as a whole or refused by name, and what is refused changes nothing.

mod common;

use common::{NOW, NUMBER, ServerKeys, log_in, rng};
use proptest::prelude::*;
use relaymesh_phone::api::{EntityAnswer, StoredToken, oauth_state, read_oauth_state};
use relaymesh_phone::{AgeCheck, FinishError, Identity, Kind, Phone, SecretText, TOKEN_AGE_MAX_S};
use relaymesh_ratchet::{PublicKey, SharedSecret, agree, fuzz};

/// Most accounts, and most bytes of a field.
const ACCOUNTS_MAX: usize = 256;
const FIELD_BYTES_MAX: usize = 8 * 1024;

/// Whoever logs in next is somebody else.
fn identity() -> Identity {
    "+237650123457".parse().expect("a number")
}

/// What stands in a field that should be a key.
fn key_field() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<[u8; 32]>().prop_map(|key| relaymesh_protocol::base64text::encode(&key)),
        // Small order: no secret can be agreed with it.
        (0..2_u8).prop_map(|n| relaymesh_protocol::base64text::encode(&[[n].as_slice(), &[0; 31]].concat())),
        "[A-Za-z0-9+/=\n]{0,60}",
        any::<String>(),
    ]
}

/// What a server that knows the device secret may answer as a token.
#[derive(Clone, Debug)]
enum Token {
    Text(String),
    Holds(Vec<u8>),
    Authentic(Vec<u8>),
}

fn token() -> impl Strategy<Value = Token> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..200);
    prop_oneof![
        1 => any::<String>().prop_map(Token::Text),
        1 => "[A-Za-z0-9+/=]{0,700}".prop_map(Token::Text),
        1 => bytes().prop_map(Token::Holds),
        3 => "[0-9a-f]{32}:[ -~]{0,40}".prop_map(|text| Token::Holds(text.into_bytes())),
        1 => "[0-9a-f]{31,33}:?[ -~]{0,40}".prop_map(|text| Token::Holds(text.into_bytes())),
        1 => bytes().prop_map(Token::Authentic),
    ]
}

impl Token {
    fn text(self, secret: Option<&SharedSecret>) -> String {
        match (self, secret) {
            (Self::Text(text), _) => text,
            (Self::Holds(plaintext), Some(secret)) => fuzz::login_token(secret, &plaintext),
            (Self::Authentic(bytes), Some(secret)) => fuzz::authentic_token(secret, &bytes),
            (Self::Holds(_) | Self::Authentic(_), None) => String::new(),
        }
    }
}

fn stored() -> impl Strategy<Value = StoredToken> {
    let name =
        || prop_oneof![8 => "[a-c]{1,2}", 2 => any::<String>(), 1 => (8_000..8_400_usize).prop_map(|n| "a".repeat(n))];
    let key = prop_oneof![Just("access_token"), Just("refresh_token"), Just("id_token"), Just("")];
    let tokens = proptest::collection::btree_map(key.prop_map(str::to_owned), name().prop_map(SecretText::from), 0..4);
    (name(), name(), tokens, any::<bool>()).prop_map(
        |(platform, account_identifier, account_tokens, is_stored_on_device)| StoredToken {
            platform,
            account_identifier,
            account_tokens,
            is_stored_on_device,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_answer_logs_in_or_changes_nothing(
        (publish, device, token) in (key_field(), key_field(), token()),
        (sound_publish, sound_device) in (any::<bool>(), any::<bool>()),
        now_s in prop_oneof![Just(0), 0..TOKEN_AGE_MAX_S * 2, any::<u64>()],
    ) {
        let keys = ServerKeys::new(5);
        let pending = Phone::begin(Kind::LogIn, identity(), &mut rng(6));
        let sound = keys.answer(&pending, 0);
        let request = pending.request("", None, "", relaymesh_phone::Style::Android);
        let client = PublicKey::from_base64_lenient(&request.client_device_id_pub_key).expect("a key");
        let secret = agree(keys.device.secret(), &client).ok();
        let answer = EntityAnswer {
            long_lived_token: token.text(secret.as_ref()).as_str().into(),
            server_publish_pub_key: if sound_publish { sound.server_publish_pub_key } else { publish },
            server_device_id_pub_key: if sound_device { sound.server_device_id_pub_key } else { device },
        };
        let (mut phone, _) = log_in(NUMBER, 1);
        let before = phone.encode();
        let renewed = pending.renew(&mut phone, &answer, now_s, AgeCheck::Android, &mut rng(7));
        let finished = pending.finish(&answer, now_s, AgeCheck::Android, &mut rng(7));
        match (renewed, finished) {
            (Ok(()), Ok(new)) => {
                prop_assert!(sound_device, "only the server's own key opens its token");
                prop_assert_eq!((new.eid(), new.device_id()), (phone.eid(), phone.device_id()));
                prop_assert_eq!(Phone::decode(&phone.encode()).expect("it is stored").encode(), phone.encode());
                prop_assert!(now_s < TOKEN_AGE_MAX_S, "the token is of the year 1970");
            }
            (Err(why), Err(same)) => {
                prop_assert_eq!(why, same);
                prop_assert_eq!(phone.encode(), before);
                if let FinishError::Age { off_s } = why {
                    prop_assert!(off_s == now_s && off_s >= TOKEN_AGE_MAX_S);
                }
            }
            (renewed, finished) => prop_assert!(false, "{:?}, {:?}", renewed, finished.err()),
        }
    }

    #[test]
    fn any_list_of_accounts_is_taken_whole_or_not_at_all(
        mut first in proptest::collection::vec(stored(), 0..6),
        mut second in proptest::collection::vec(stored(), 0..6),
        more in prop_oneof![9 => Just(0_usize), 1 => 250..260_usize],
    ) {
        let (mut phone, _) = log_in(NUMBER, 1);
        second.extend(vec![StoredToken { account_identifier: "many".to_owned(), ..no_tokens() }; more]);
        for listed in [&mut first, &mut second] {
            let before = (phone.encode(), phone.accounts().to_vec());
            let fits = |text: &str| text.len() <= FIELD_BYTES_MAX;
            let kept = |name: &str| name != "id_token" && !name.is_empty();
            let entry_fits = |entry: &StoredToken| {
                let mut tokens = entry.account_tokens.iter().filter(|(name, _)| kept(name));
                fits(&entry.platform) && fits(&entry.account_identifier) && tokens.all(|(_, token)| fits(token.reveal()))
            };
            let sound = listed.len() <= ACCOUNTS_MAX && listed.iter().all(entry_fits);
            prop_assert_eq!(phone.import_accounts(listed).is_ok(), sound);
            if !sound {
                prop_assert_eq!((phone.encode(), phone.accounts().to_vec()), before);
                continue;
            }
            prop_assert_eq!(phone.accounts().len(), listed.len());
            for (account, entry) in phone.accounts().iter().zip(listed.iter()) {
                prop_assert!(account.platform == entry.platform && account.identifier == entry.account_identifier);
                let known = before.1.iter().find(|old| old.platform == account.platform && old.identifier == account.identifier);
                let token = |name: &str, old: Option<&SecretText>| {
                    let sent = entry.account_tokens.get(name).filter(|token| !token.reveal().is_empty());
                    sent.or(old).cloned()
                };
                prop_assert!(account.access == token("access_token", known.and_then(|old| old.access.as_ref())));
                prop_assert!(account.refresh == token("refresh_token", known.and_then(|old| old.refresh.as_ref())));
            }
            let stored = Phone::decode(&phone.encode()).expect("what is kept can be stored");
            prop_assert_eq!(stored.accounts(), phone.accounts());
        }
    }

    #[test]
    fn any_state_that_comes_back_is_read_or_refused(
        text in any::<String>(),
        bytes in proptest::collection::vec(any::<u8>(), 0..60),
        platform in "[^,]{0,40}",
        flag: bool,
    ) {
        let _ = read_oauth_state(&text);
        let like = relaymesh_protocol::base64text::encode(&bytes);
        if let Some((platform, flag)) = read_oauth_state(&like) {
            prop_assert_eq!(read_oauth_state(&oauth_state(&platform, flag)), Some((platform, flag)));
        }
        prop_assert_eq!(read_oauth_state(&oauth_state(&platform, flag)), Some((platform.clone(), flag)));
        for bad in [platform.clone(), format!("{platform},"), format!("{platform},{text}\u{1}")] {
            let state = relaymesh_protocol::base64text::encode(bad.as_bytes());
            prop_assert_eq!(read_oauth_state(&state), None);
        }
    }
}

fn no_tokens() -> StoredToken {
    StoredToken {
        platform: "mastodon".to_owned(),
        account_identifier: String::new(),
        account_tokens: std::collections::BTreeMap::new(),
        is_stored_on_device: false,
    }
}

/// That the answers above reach the end of a login.
#[test]
fn a_sound_answer_logs_in() {
    let pending = Phone::begin(Kind::LogIn, identity(), &mut rng(6));
    let answer = ServerKeys::new(5).answer(&pending, NOW.seconds());
    assert!(pending.finish(&answer, NOW.seconds(), AgeCheck::Android, &mut rng(7)).is_ok());
}
