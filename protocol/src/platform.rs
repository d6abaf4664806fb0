//! The platforms that payloads name by one letter (payloads.md §2, http.md §4).

use crate::content::ServiceType;

/// The letter of the one bridge, e-mail.
pub const BRIDGE_EMAIL_LETTER: u8 = b'e';
/// Name of that bridge in texts and statistics.
pub const BRIDGE_EMAIL_NAME: &str = "email_bridge";

/// How an account at a platform is given to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// OAuth 2.
    OAuth2,
    /// A code sent to the phone number.
    Pnba,
    /// No account.
    Event,
}

/// A platform as phones list it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Platform {
    /// Lower-case name.
    pub name: &'static str,
    /// Its letter in payloads.
    pub shortcode: u8,
    /// How accounts are given.
    pub protocol: Protocol,
    /// What it publishes.
    pub service: ServiceType,
    /// Whether its OAuth answer may come through a custom URL scheme.
    pub url_scheme: bool,
}

const fn platform(name: &'static str, shortcode: u8, protocol: Protocol, service: ServiceType) -> Platform {
    Platform { name, shortcode, protocol, service, url_scheme: false }
}

/// Every known platform.
pub const PLATFORMS: [Platform; 6] = [
    platform("gmail", b'g', Protocol::OAuth2, ServiceType::Email),
    platform("mastodon", b'm', Protocol::OAuth2, ServiceType::Text),
    platform("telegram", b'T', Protocol::Pnba, ServiceType::Message),
    platform("bluesky", b'b', Protocol::OAuth2, ServiceType::Text),
    platform("reliability", b'r', Protocol::Event, ServiceType::Test),
    Platform { url_scheme: true, ..platform("twitter", b't', Protocol::OAuth2, ServiceType::Text) },
];

impl Platform {
    /// The platform of a letter; `t` and `T` differ.
    #[must_use]
    pub fn by_shortcode(shortcode: u8) -> Option<&'static Self> {
        PLATFORMS.iter().find(|p| p.shortcode == shortcode)
    }

    /// The platform of a lower-case name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<&'static Self> {
        PLATFORMS.iter().find(|p| p.name == name)
    }
}

impl Protocol {
    /// As phones spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OAuth2 => "oauth2",
            Self::Pnba => "pnba",
            Self::Event => "event",
        }
    }
}

impl ServiceType {
    /// As phones spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Text => "text",
            Self::Message => "message",
            Self::Test => "test",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_and_names_are_unique_and_found() {
        for platform in &PLATFORMS {
            assert_eq!(Platform::by_shortcode(platform.shortcode), Some(platform));
            assert_eq!(Platform::by_name(platform.name), Some(platform));
        }
        let names = |letter| Platform::by_shortcode(letter).map(|p| p.name);
        assert_eq!((names(b't'), names(b'T')), (Some("twitter"), Some("telegram")));
        assert_eq!(names(b'x'), None);
    }
}
