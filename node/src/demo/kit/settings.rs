//! What a node in a story needs besides what `init` writes: a platform on this machine, and a file for its SMS.

use std::path::Path;

use relaymesh_publish::sink::SinkHandle;

/// Sections to append to a configuration. Gateway clients are answered at once, so that a story sees what is promised and
/// not what is already done.
pub fn local(platform: &SinkHandle, sms_outbox: &Path) -> String {
    let (client_id, client_secret) = platform.client();
    let quoted = |text: &str| toml::Value::from(text).to_string();
    format!(
        "\n[sms.file]\npath = {}\n\n[otp]\nsms = true\n\n[ingress]\nwait = \"0s\"\n\n[net]\nallow_private = true\n\n\
         [platform.mastodon]\nbase_url = {}\nclient_id = {}\nclient_secret = {}\n",
        quoted(&sms_outbox.to_string_lossy()),
        quoted(&platform.url),
        quoted(&client_id),
        quoted(&client_secret),
    )
}
