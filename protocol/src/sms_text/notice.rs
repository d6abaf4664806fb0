//! One text for each thing that a person is told.

use super::{OtpCode, TokenLine, marker, name, utc};
use crate::ids::{Language, Timestamp};

/// Something to tell a person by SMS. Outcomes carry the person's own count of messages, so that they can be compared
/// with what the platform shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The platform has it.
    Published {
        /// Platform name.
        platform: String,
        /// When.
        at: Timestamp,
        /// Which message of this person.
        number: u32,
    },
    /// The platform does not have it and will not.
    Failed {
        /// Platform name.
        platform: String,
        /// When.
        at: Timestamp,
        /// Which message of this person.
        number: u32,
    },
    /// The platform's answer never came; it may have it.
    Uncertain {
        /// Platform name.
        platform: String,
        /// When.
        at: Timestamp,
        /// Which message of this person.
        number: u32,
        /// Whether the person can answer `RESEND` and this number.
        resend: bool,
    },
    /// A message ended, and the platform gave a new refresh token on the way that the phone must store.
    TokenRefreshed {
        /// How it ended: one of those above, which are one line each.
        outcome: Box<Self>,
        /// What the app reads.
        token: TokenLine,
    },
    /// A message came damaged and nothing was published.
    Damaged,
    /// No home took the message before it expired; it may or may not be published.
    Expired {
        /// When its SMS was sent.
        sent: Timestamp,
    },
    /// An image never became whole at the node that received a part of it.
    ImageIncomplete {
        /// Segments here.
        have: u8,
        /// Segments it has, once the first one is here.
        total: Option<u8>,
    },
    /// The phone's keys and ours no longer fit.
    LoginAgain,
    /// A number sent its first bridge mail, and can answer `STOP`.
    BridgeStarted {
        /// The mail address of the number.
        alias: String,
    },
    /// The number answered `STOP`.
    BridgeStopped,
    /// The number answered `START` after that.
    BridgeAgain {
        /// The mail address of the number.
        alias: String,
    },
    /// More mails than a number may send; what is over waits.
    BridgeLimit,
    /// A one-time code.
    Otp(OtpCode),
}

impl Notice {
    /// The text. What a language has no text for is in English, behind the language's marker.
    #[must_use]
    pub fn text(&self, language: Language) -> String {
        match self {
            Self::Published { platform, at, number } => outcome(language, Outcome::Published, platform, *at, *number),
            Self::Failed { platform, at, number } => outcome(language, Outcome::Failed, platform, *at, *number),
            Self::Uncertain { platform, at, number, resend } => uncertain(language, platform, *at, *number, *resend),
            Self::TokenRefreshed { outcome, token } => {
                format!("{}\n\n{}\n{}", outcome.text(language), paste(language), token.0)
            }
            // Auto-fill looks for exactly this text, in every language.
            Self::Otp(code) => format!("Your SMSWithoutBorders-Auth verification code is: {}", code.0),
            _ if language == Language::FR => self.french(),
            _ => self.english(),
        }
    }

    fn english(&self) -> String {
        match self {
            Self::Damaged => {
                "RelaySMS: A message from you came damaged and was not published. Please send it again.".to_owned()
            }
            Self::Expired { sent } => {
                format!(
                    "RelaySMS: We cannot tell whether your message of {} was published. Please check before you send it again.",
                    utc(*sent)
                )
            }
            Self::ImageIncomplete { have, total } => {
                format!(
                    "RelaySMS: {} of your image message came to us. We cannot tell whether it was published. Please check.",
                    parts(*have, *total, "of", "part(s)")
                )
            }
            Self::LoginAgain => {
                "RelaySMS: Your messages can no longer be read. Please log in again in the app.".to_owned()
            }
            Self::BridgeStarted { alias } => {
                format!(
                    "RelaySMS: Your number now sends and receives mail as {}. Not you, or no longer wanted? Reply STOP",
                    alias_name(alias)
                )
            }
            Self::BridgeStopped => {
                "RelaySMS: Mail from your number is stopped, nothing more is sent for it. To begin again, reply START"
                    .to_owned()
            }
            Self::BridgeAgain { alias } => {
                format!(
                    "RelaySMS: Your number may send mail as {} again, from your app's next message on. To end it, reply STOP",
                    alias_name(alias)
                )
            }
            Self::BridgeLimit => {
                "RelaySMS: Your number has sent as many mails as it may for now. The others wait, and follow later."
                    .to_owned()
            }
            Self::Published { .. }
            | Self::Failed { .. }
            | Self::Uncertain { .. }
            | Self::TokenRefreshed { .. }
            | Self::Otp(_) => self.text(Language::EN),
        }
    }

    fn french(&self) -> String {
        match self {
            Self::Damaged => {
                "RelaySMS : Un message de vous est arrivé altéré et n'a pas été publié. Veuillez le renvoyer."
                    .to_owned()
            }
            Self::Expired { sent } => {
                format!(
                    "RelaySMS : Nous ignorons si votre message du {} a été publié. Vérifiez avant de le renvoyer.",
                    utc(*sent)
                )
            }
            Self::ImageIncomplete { have, total } => {
                format!(
                    "RelaySMS : {} de votre image arrivées chez nous. Nous ignorons si le message a été publié. Veuillez vérifier.",
                    parts(*have, *total, "sur", "partie(s)")
                )
            }
            Self::LoginAgain => {
                "RelaySMS : Vos messages ne sont plus lisibles. Reconnectez-vous dans l'application.".to_owned()
            }
            Self::BridgeStarted { alias } => {
                format!(
                    "RelaySMS : Votre numéro écrit et lit désormais des mails: {}. Pas vous, ou plus voulu? Répondez STOP",
                    alias_name(alias)
                )
            }
            Self::BridgeStopped => {
                "RelaySMS : Les mails de votre numéro sont suspendus, plus rien ne part. Pour reprendre, répondez START"
                    .to_owned()
            }
            Self::BridgeAgain { alias } => {
                format!(
                    "RelaySMS : Votre numéro peut de nouveau écrire des mails: {}. Pour les suspendre, répondez STOP",
                    alias_name(alias)
                )
            }
            Self::BridgeLimit => {
                "RelaySMS : Votre numéro a envoyé autant de mails que permis pour l'instant. Les autres suivront."
                    .to_owned()
            }
            Self::Published { .. }
            | Self::Failed { .. }
            | Self::Uncertain { .. }
            | Self::TokenRefreshed { .. }
            | Self::Otp(_) => self.text(Language::FR),
        }
    }
}

#[derive(Clone, Copy)]
enum Outcome {
    Published,
    Failed,
}

fn outcome(language: Language, outcome: Outcome, platform: &str, at: Timestamp, number: u32) -> String {
    let (marker, platform, at) = (marker(language), name(platform), utc(at));
    let french = language == Language::FR;
    let status = match outcome {
        Outcome::Published if french => "Envoyé avec succès",
        Outcome::Failed if french => "Échec de l'envoi",
        Outcome::Published => "Successfully sent",
        Outcome::Failed => "Failed to send",
    };
    if french {
        format!("{marker} {status} message à {platform} à {at}. #{number}")
    } else {
        format!("{marker} {status} message to {platform} at {at}. #{number}")
    }
}

fn uncertain(language: Language, platform: &str, at: Timestamp, number: u32, resend: bool) -> String {
    let (marker, platform, at) = (marker(language), name(platform), utc(at));
    if language == Language::FR {
        let answer = if resend { format!("; s'il manque, répondez RESEND {number}") } else { String::new() };
        format!("{marker} Message #{number} à {platform} à {at} incertain. Vérifiez {platform}{answer}")
    } else {
        let answer = if resend { format!("; if missing, reply RESEND {number}") } else { String::new() };
        format!("{marker} Message #{number} to {platform} at {at} is uncertain. Check {platform}{answer}")
    }
}

fn paste(language: Language) -> &'static str {
    if language == Language::FR {
        "Veuillez coller ce message dans votre application RelaySMS"
    } else {
        "Please paste this message in your RelaySMS app"
    }
}

fn parts(have: u8, total: Option<u8>, of: &str, unit: &str) -> String {
    total.map_or_else(|| format!("{have} {unit}"), |total| format!("{have} {of} {total} {unit}"))
}

/// A domain may be longer than a platform's name, and an address cut short is none.
fn alias_name(alias: &str) -> String {
    alias.chars().filter(|c| !c.is_control()).collect()
}
