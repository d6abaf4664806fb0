//! Whether the services that a node depends on answer, asked from this machine as the node would.

use std::time::Duration;

use relaymesh_core::command::Finding;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::finding;
use crate::config::Config;

/// A mail server that does not take a connection within this time keeps everybody's mail waiting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// No captcha service takes this for somebody's answer: it says no, and that it is there.
const NOBODY: &str = "relaymesh doctor";

/// One finding for each service that is configured.
pub async fn findings(config: &Config) -> Vec<Finding> {
    let (captcha, mail) = tokio::join!(captcha(config), mail(config));
    captcha.into_iter().chain(mail).collect()
}

async fn captcha(config: &Config) -> Option<Finding> {
    // A section that is wrong is a finding about the configuration already.
    let service = config.captcha_alone().ok().flatten()?;
    Some(match service.verify(NOBODY).await {
        Ok(_) => finding("otp.captcha", "ok", "the captcha service answers", ""),
        Err(error) => finding(
            "otp.captcha",
            "error",
            format!("{error}: nobody can sign up, log in or reset a password"),
            "check otp.captcha.url and its secret, and the way out of this machine; or take [otp.captcha] out",
        ),
    })
}

async fn mail(config: &Config) -> Option<Finding> {
    let (host, port) = config.smart_host()?;
    let found = match timeout(CONNECT_TIMEOUT, TcpStream::connect((host.as_str(), port))).await {
        Ok(Ok(_)) => return Some(finding("mail", "ok", format!("{host} takes connections"), "")),
        Ok(Err(error)) => format!("{host} port {port} does not take connections ({error}): bridge mail waits"),
        Err(_) => format!("{host} port {port} does not answer: bridge mail waits"),
    };
    Some(finding("mail", "error", found, "check bridge.smtp.host and port, and whether the provider lets mail out"))
}
