//! Which URLs we are willing to open.

use url::{Host, Url};

use super::Rules;

/// Longest URL we open, in bytes: far above any real endpoint, small enough to ignore.
pub const URL_BYTES_MAX: usize = 2048;

/// Name endings that never belong to a host on the open Internet (RFC 2606, RFC 6761, RFC 6762,
/// RFC 7686, RFC 8375, RFC 9476 and the private endings that routers and clouds answer for).
const ENDINGS_REFUSED: &[&str] = &[
    "alt",
    "arpa",
    "cluster",
    "corp",
    "default",
    "domain",
    "example",
    "home",
    "internal",
    "intranet",
    "invalid",
    "lan",
    "local",
    "localdomain",
    "localhost",
    "mail",
    "onion",
    "private",
    "svc",
    "test",
    "workgroup",
];

/// Why a URL is not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Not a URL, or one with white space, control characters or backslashes in it.
    #[error("not a well-formed url")]
    Syntax,
    /// Longer than [`URL_BYTES_MAX`].
    #[error("url is longer than {URL_BYTES_MAX} bytes")]
    TooLong,
    /// Only `https` is opened.
    #[error("url scheme is not https")]
    Scheme,
    /// A user name or password stands before the host.
    #[error("url carries a user name or password")]
    UserInfo,
    /// The host is an IP address, in whatever spelling.
    #[error("url host is an ip address, not a name")]
    LiteralAddress,
    /// The host is not a name on the open Internet.
    #[error("url host is not a public host name")]
    HostName,
    /// Only port 443 is opened.
    #[error("url port is not 443")]
    Port,
}

/// Parses and checks one URL. The check is on the parsed form: the parser turns decimal, octal,
/// hexadecimal and full-width spellings of an address into that address.
pub(super) fn check(text: &str, rules: Rules) -> Result<Url, UrlError> {
    if text.len() > URL_BYTES_MAX {
        return Err(UrlError::TooLong);
    }
    let odd = |c: char| c.is_whitespace() || c.is_control() || c == '\\';
    if text.chars().any(odd) {
        return Err(UrlError::Syntax);
    }
    let url = Url::parse(text).map_err(|_| UrlError::Syntax)?;
    check_url(&url, rules)?;
    Ok(url)
}

/// The same check for a URL that is parsed already, as at a redirect.
pub(super) fn check_url(url: &Url, rules: Rules) -> Result<(), UrlError> {
    match url.scheme() {
        "https" => {}
        "http" if rules.any_port => {}
        _ => return Err(UrlError::Scheme),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(UrlError::UserInfo);
    }
    check_host(url, rules)?;
    if !rules.any_port && url.port_or_known_default() != Some(443) {
        return Err(UrlError::Port);
    }
    Ok(())
}

fn check_host(url: &Url, rules: Rules) -> Result<(), UrlError> {
    match url.host() {
        None => Err(UrlError::Syntax),
        Some(_) if rules.private_addresses => Ok(()),
        Some(Host::Ipv4(_) | Host::Ipv6(_)) => Err(UrlError::LiteralAddress),
        Some(Host::Domain(name)) if is_public_name(name) => Ok(()),
        Some(Host::Domain(_)) => Err(UrlError::HostName),
    }
}

/// A name of at least two labels of letters, digits and inner hyphens, 253 bytes at most, whose
/// ending is not private. A trailing dot is refused: it makes another name for the same host.
fn is_public_name(name: &str) -> bool {
    let Some((_, ending)) = name.rsplit_once('.') else {
        return false;
    };
    let known = !ENDINGS_REFUSED.contains(&ending.to_ascii_lowercase().as_str());
    let wordy = ending.bytes().any(|b| b.is_ascii_alphabetic());
    name.len() <= 253 && known && wordy && name.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    (1..=63).contains(&label.len()) && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
}
