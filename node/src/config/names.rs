//! Host names that a configuration relies on. Nothing is looked up here.

use super::Config;

/// Which addresses a name must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Any.
    Any,
    /// One of IPv4.
    V4,
    /// One of IPv6.
    V6,
}

/// A host name, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostName {
    /// Dotted key.
    pub key: String,
    /// The name; never an address.
    pub host: String,
    /// What it must have.
    pub family: Family,
}

impl Config {
    /// Every name that somebody looks up: this node, to reach services, or others, to reach this node. A secret that
    /// cannot be read names nobody; that is an error of its own.
    pub fn host_names(&self) -> Vec<HostName> {
        let urls = [
            ("node.public_url", self.node.public_url.as_deref()),
            ("platform.mastodon.base_url", self.platform.mastodon.as_ref().map(|m| m.base_url.as_str())),
            ("otp.captcha.url", self.otp.captcha.as_ref().map(|captcha| captcha.url.as_str())),
        ];
        let mut names: Vec<HostName> = urls.into_iter().filter_map(|(key, url)| of_url(key, url?)).collect();
        for (name, section) in &self.sms.http {
            let url = section.url.as_ref().and_then(|at| at.resolve(&self.dir, &self.env).ok());
            names.extend(url.and_then(|url| of_url(&format!("sms.http.{name}.url"), url.expose())));
        }
        if let Some((host, _)) = self.smart_host()
            && !host.is_empty()
            && host.parse::<std::net::IpAddr>().is_err()
        {
            names.push(HostName { key: "bridge.smtp.host".to_owned(), host, family: Family::Any });
        }
        names.extend(self.mesh.external.iter().filter_map(|address| of_multiaddr(address)));
        names
    }
}

fn of_url(key: &str, text: &str) -> Option<HostName> {
    let url = reqwest::Url::parse(text).ok()?;
    Some(HostName { key: key.to_owned(), host: url.domain()?.to_owned(), family: Family::Any })
}

fn of_multiaddr(text: &str) -> Option<HostName> {
    let mut words = text.split('/').skip(1);
    let family = match words.next()? {
        "dns" => Family::Any,
        "dns4" => Family::V4,
        "dns6" => Family::V6,
        _ => return None,
    };
    Some(HostName { key: "mesh.external".to_owned(), host: words.next()?.to_owned(), family })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Env;

    #[test]
    fn names_are_found_in_every_section_and_addresses_are_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("relaymesh.toml");
        let text = r#"
            [node]
            public_url = "https://relay.example.org"
            [mesh]
            external = ["/dns4/four.example.org/tcp/1", "/dns6/six.example.org/tcp/443/wss", "/ip4/192.0.2.7/tcp/1"]
            [platform.mastodon]
            base_url = "https://social.example.org/"
            [otp.captcha]
            url = "https://192.0.2.9/siteverify"
            [sms.http.one]
            url = "https://token@sms.example.org:8443/{to}?key=hidden"
            [bridge.smtp]
            host = "192.0.2.8"
        "#;
        std::fs::write(&path, text).unwrap();
        let load = || Config::load(&path, &Env::default()).unwrap().config.host_names();
        let names: Vec<_> = load().into_iter().map(|name| (name.key, name.host, name.family)).collect();
        let expected = [
            ("node.public_url", "relay.example.org", Family::Any),
            ("platform.mastodon.base_url", "social.example.org", Family::Any),
            ("sms.http.one.url", "sms.example.org", Family::Any),
            ("mesh.external", "four.example.org", Family::V4),
            ("mesh.external", "six.example.org", Family::V6),
        ];
        assert_eq!(names, expected.map(|(key, host, family)| (key.to_owned(), host.to_owned(), family)));
        std::fs::write(&path, text.replace("192.0.2.8", "mail.example.org")).unwrap();
        assert_eq!(load().iter().filter(|name| name.key == "bridge.smtp.host").count(), 1);
    }
}
