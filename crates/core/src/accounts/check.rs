//! What a request must hold before anything is looked up, in the order and with the texts that the apps show.

use relaymesh_protocol::ids::E164;
use relaymesh_ratchet::{ParseKeyError, PublicKey};

use super::identity::number;
use crate::command::{ClientKeys, Code, Identity, Private, Refusal};

/// What may be in a password besides letters and digits, one of them at least.
const PASSWORD_SPECIALS: &str = "!@#$%^&*()_+-=";
/// Shortest password, in characters.
const PASSWORD_CHARS_MIN: usize = 8;
/// Longest password, in bytes: more adds no strength and only feeds the hash.
const PASSWORD_BYTES_MAX: usize = 1_024;
/// Longest e-mail address, in bytes (RFC 5321).
const EMAIL_BYTES_MAX: usize = 254;

/// Calling codes that several regions share, and the main one of each (E.164 assignments). Only needed to accept the main
/// region for the others' numbers, as the apps' country picker has it.
const SHARED_CODES: [(&str, &str); 12] = [
    ("1", "US"),
    ("7", "RU"),
    ("39", "IT"),
    ("44", "GB"),
    ("47", "NO"),
    ("61", "AU"),
    ("212", "MA"),
    ("262", "RE"),
    ("290", "SH"),
    ("358", "FI"),
    ("590", "GP"),
    ("599", "CW"),
];

/// The phone's two public keys, parsed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PhoneKeys {
    pub publish: PublicKey,
    pub device_id: PublicKey,
}

pub(crate) fn invalid(text: impl Into<String>) -> Refusal {
    Refusal::new(Code::InvalidArgument, text)
}

/// The first field that is empty.
pub(crate) fn required(fields: &[(&str, &str)]) -> Result<(), Refusal> {
    match fields.iter().find(|(_, value)| value.is_empty()) {
        Some((name, _)) => Err(invalid(format!("Missing required field: {name}"))),
        None => Ok(()),
    }
}

/// Number or e-mail address, whichever was sent.
pub(super) fn either(identity: &Identity) -> (&'static str, &str) {
    let email = identity.email_address.reveal();
    let value = if email.is_empty() { identity.phone_number.reveal() } else { email };
    ("phone_number or email_address", value)
}

/// The number must be one of the country's. Numbers of a region that shares its calling code may name that region or the
/// code's main one.
pub(super) fn country(phone: &Private, given: &str) -> Result<(), Refusal> {
    if phone.reveal().is_empty() {
        return Ok(());
    }
    let unparsable = "The phone number is invalid. It must start with + and the country code.";
    let number = number(phone).ok_or_else(|| invalid(unparsable))?;
    let given = given.trim().to_uppercase();
    let own = number.country();
    let main = main_region(&number).map(str::to_owned).or_else(|| own.clone());
    let expected = main.ok_or_else(|| invalid("The phone number is invalid. Its country code is not in use."))?;
    // Canada's numbers were always accepted under the shared code, whatever their area.
    if given == expected || own.as_ref() == Some(&given) || (given == "CA" && expected == "US") {
        return Ok(());
    }
    // Two letters and nothing else of what was typed: refusals hold no content.
    let shown: String = given.chars().filter(char::is_ascii_alphanumeric).take(3).collect();
    Err(invalid(format!(
        "The phone number does not match the provided country code {shown}. Expected country code is {expected}."
    )))
}

fn main_region(number: &E164) -> Option<&'static str> {
    SHARED_CODES.iter().find(|(code, _)| number.digits().starts_with(code)).map(|(_, region)| *region)
}

/// `^[a-zA-Z0-9._%+-]+@[a-zA-Z0-9.-]+\.[a-zA-Z]{2,}$`, if there is one.
pub(super) fn email(address: &Private) -> Result<(), Refusal> {
    let text = address.reveal();
    if text.is_empty() || is_email(text) { Ok(()) } else { Err(invalid("Invalid email address format.")) }
}

fn is_email(text: &str) -> bool {
    let all = |text: &str, extra: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || extra.contains(c))
    };
    let Some((local, domain)) = text.split_once('@') else { return false };
    let Some((host, top)) = domain.rsplit_once('.') else { return false };
    text.len() <= EMAIL_BYTES_MAX
        && all(local, "._%+-")
        && all(host, ".-")
        && top.len() >= 2
        && top.chars().all(|c| c.is_ascii_alphabetic())
}

/// Both keys.
pub(super) fn keys(keys: &ClientKeys) -> Result<PhoneKeys, Refusal> {
    Ok(PhoneKeys {
        publish: public_key("client_publish_pub_key", &keys.publish)?,
        device_id: public_key("client_device_id_pub_key", &keys.device_id)?,
    })
}

fn public_key(field: &str, text: &Private) -> Result<PublicKey, Refusal> {
    PublicKey::from_base64_lenient(text.reveal()).map_err(|error| match error {
        ParseKeyError::Base64 | ParseKeyError::TextTooLong => {
            invalid(format!("The {field} field has an Invalid base64 encoding."))
        }
        ParseKeyError::Length { .. } => weak_key(field, "An X25519 public key is 32 bytes long"),
    })
}

/// A key that is base64 and still none.
pub(super) fn weak_key(field: &str, why: &str) -> Refusal {
    invalid(format!("The {field} field has an Invalid X25519 public key: {why}."))
}

/// The rules for a new password; the first that is broken is told. No breach list is asked: a password alone opens nothing
/// (see ARCHITECTURE.md).
pub(super) fn password(password: &Private) -> Result<(), Refusal> {
    let text = password.reveal();
    let has = |of: fn(&char) -> bool| text.chars().any(|c| of(&c));
    let broken = if text.chars().count() < PASSWORD_CHARS_MIN {
        "be at least 8 characters long"
    } else if text.len() > PASSWORD_BYTES_MAX {
        "be at most 1024 bytes long"
    } else if !has(char::is_ascii_lowercase) {
        "include at least one lowercase letter (a-z)"
    } else if !has(char::is_ascii_uppercase) {
        "include at least one uppercase letter (A-Z)"
    } else if !has(char::is_ascii_digit) {
        "include at least one number (0-9)"
    } else if !has(|c| PASSWORD_SPECIALS.contains(*c)) {
        "include at least one special character from the following set: !@#$%^&*()_+-="
    } else {
        return Ok(());
    };
    Err(invalid(format!("Password must {broken}")))
}

/// A password that is only compared: one that no rule would let in is wrong, and not worth a hash.
pub(super) fn is_hashable(password: &Private) -> bool {
    password.reveal().len() <= PASSWORD_BYTES_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e_mail_addresses_follow_the_apps_rule() {
        for good in ["a@b.cm", "a.b+c%d-e_f@x-y.z.Org", "A1@1.co"] {
            assert!(is_email(good), "{good}");
        }
        let long = format!("{}@b.cm", "a".repeat(EMAIL_BYTES_MAX));
        for bad in
            ["", "a", "a@b", "a@b.c", "@b.cm", "a@.cm", "a@b.c1", "a b@c.de", "a@b@c.de", "é@b.cm", "a@b.cm\n", &long]
        {
            assert!(!is_email(bad), "{bad}");
        }
    }

    #[test]
    fn password_rules_are_told_one_by_one() {
        let text = |p: &str| password(&p.into()).err().map(|r| r.text);
        let special = "Password must include at least one special character from the following set: !@#$%^&*()_+-=";
        for (given, told) in [
            ("aA1!", "Password must be at least 8 characters long"),
            ("AAAAAAA1!", "Password must include at least one lowercase letter (a-z)"),
            ("aaaaaaa1!", "Password must include at least one uppercase letter (A-Z)"),
            ("aaaaaaaA!", "Password must include at least one number (0-9)"),
            ("aaaaaaaA1", special),
            ("aaaaaaaA1?", special),
        ] {
            assert_eq!(text(given).as_deref(), Some(told), "{given}");
        }
        assert_eq!(text("aaaaaaA1!"), None);
        assert!(text(&"aA1!".repeat(257)).is_some());
    }

    #[test]
    fn a_number_may_name_its_region_or_the_main_one_of_its_calling_code() {
        let check = |phone: &str, given: &str| country(&phone.into(), given);
        for (phone, given) in [
            ("+237 650 12 34 56", "CM"),
            ("+237650123456", "cm"),
            ("+12025550123", "US"),
            ("+16135550123", "CA"),
            ("+16135550123", "US"),
            ("+77011234567", "KZ"),
            ("+77011234567", "RU"),
            ("+447797712345", "JE"),
            ("+447797712345", "GB"),
            ("", "CM"),
        ] {
            assert_eq!(check(phone, given), Ok(()), "{phone} {given}");
        }
        let text = |phone, given| check(phone, given).err().map(|r| r.text).unwrap_or_default();
        assert_eq!(
            text("+237650123456", "ng"),
            "The phone number does not match the provided country code NG. Expected country code is CM."
        );
        assert_eq!(
            text("+77011234567", "US"),
            "The phone number does not match the provided country code US. Expected country code is RU."
        );
        for bad in ["650123456", "+", "+237x", "+0237650123456"] {
            assert!(text(bad, "CM").starts_with("The phone number is invalid. "), "{bad}");
        }
    }

    #[test]
    fn keys_must_be_base64_of_32_bytes() {
        let text = |key: &str| public_key("client_publish_pub_key", &key.into()).err().map(|r| r.text);
        assert_eq!(text("A").as_deref(), Some("The client_publish_pub_key field has an Invalid base64 encoding."));
        assert_eq!(
            text("AQID").as_deref(),
            Some(
                "The client_publish_pub_key field has an Invalid X25519 public key: An X25519 public key is 32 bytes long."
            )
        );
        let key = PublicKey([9; 32]).to_base64();
        assert_eq!(text(&format!("{key}\n")), None);
    }
}
