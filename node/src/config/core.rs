//! What the core must know of the configuration.

use std::time::Duration;

use relaymesh_core::config as core;
use relaymesh_protocol::ids::{MeshId, NodeId};
use relaymesh_publish::mastodon::{RESEND_WITHIN, app_redirects};
use sha2::{Digest as _, Sha256};

use super::{Config, Role};

/// Name of the one platform that can be configured.
const MASTODON: &str = "mastodon";
/// Scope asked for when the browser is sent to a Mastodon instance.
const MASTODON_SCOPE: &str = "profile write:statuses write:media";
/// Length of a post where the instance's administrator did not change it, in characters.
const POST_CHARS: usize = 500;

/// The mesh that a node is alone in until it joins another: as random as the node's key, so nothing must be stored.
pub(super) fn first_mesh(node: &NodeId) -> MeshId {
    let digest: [u8; 32] =
        Sha256::new().chain_update(b"RM1/first-mesh\0").chain_update(node.as_bytes()).finalize().into();
    let mut id = [0; 16];
    id.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    MeshId(id)
}

impl Config {
    /// The core's settings. `mesh` is where the node begins; once it joined another, the store knows better.
    pub fn to_core(&self, mesh: MeshId) -> core::Config {
        let sms = self.sms.file.is_some() || !self.sms.http.is_empty();
        core::Config {
            name: self.node.name.clone(),
            instance: self.node.instance.clone(),
            contact: self.node.contact.clone(),
            mesh,
            roles: self.roles(),
            country: self.node.country.as_ref().map(|letters| letters.to_ascii_uppercase()),
            addresses: self.mesh.external.clone(),
            local_addresses: Vec::new(),
            accept: self.mesh.accept,
            ingress_wait: self.ingress.wait.0,
            otp: core::Otp {
                sms: self.otp.sms.unwrap_or(sms),
                email: self.otp.email.unwrap_or(self.bridge.smtp.is_some()),
            },
            platforms: self.platforms(),
            bridge_domain: self.bridge.domain.clone().filter(|_| self.bridge.smtp.is_some()),
            sms,
            egress: self.sms_ways(),
            otp_countries: self.otp.countries.iter().map(|letters| letters.to_ascii_uppercase()).collect(),
            captcha: self.otp.captcha.is_some(),
            metered: self.net.metered,
            pace: core::Pace::default(),
            timelines: core::TIMELINES,
            without: core::Without::default(),
        }
    }

    /// The roles, `bridge` included when it can be served.
    pub fn roles(&self) -> core::Roles {
        let has = |role| self.node.roles.contains(&role);
        let bridge = self.bridge.domain.is_some() && self.bridge.smtp.is_some();
        core::Roles {
            gateway: has(Role::Gateway),
            vault: has(Role::Vault),
            relay: has(Role::Relay) && self.serves_relay(),
            bridge: bridge || has(Role::Bridge),
        }
    }

    /// Whether members behind NAT can reserve a circuit here: that needs an address that they can reach.
    pub(super) fn serves_relay(&self) -> bool {
        let reachable = !self.mesh.external.is_empty();
        self.mesh.relay_server.unwrap_or(reachable && self.node.roles.contains(&Role::Relay))
    }

    fn platforms(&self) -> Vec<core::Platform> {
        let mastodon = self.platform.mastodon.as_ref().map(|mastodon| core::Platform {
            name: MASTODON.to_owned(),
            authorize_url: format!("{}/oauth/authorize", mastodon.base_url.trim_end_matches('/')),
            client_id: mastodon.client_id.clone(),
            scope: MASTODON_SCOPE.to_owned(),
            redirect_urls: mastodon.redirect_urls.clone().unwrap_or_else(app_redirects),
            text_max: mastodon.post_chars.unwrap_or(POST_CHARS),
            resend_within: if mastodon.idempotency_keys == Some(false) { Duration::ZERO } else { RESEND_WITHIN },
        });
        mastodon.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Env;

    fn read(text: &str) -> Config {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("relaymesh.toml");
        std::fs::write(&path, text).unwrap();
        Config::load(&path, &Env::default()).unwrap().config
    }

    #[test]
    fn defaults_are_a_node_without_ways_out() {
        let core = read("").to_core(MeshId([1; 16]));
        assert_eq!(core.roles.names(), ["gateway", "vault"], "a relay needs an address that others reach");
        assert!(!core.otp.sms && !core.otp.email && !core.sms && core.platforms.is_empty());
        assert_eq!(core.ingress_wait.as_secs(), 2);
    }

    #[test]
    fn a_domain_and_a_smart_host_make_a_bridge() {
        let core = read("[bridge]\ndomain = 'a.org'\n[bridge.smtp]\nhost = 'b.org'\n").to_core(MeshId([1; 16]));
        assert!(core.roles.bridge && core.otp.email);
        assert_eq!(core.bridge_domain.as_deref(), Some("a.org"));
        assert!(!read("[bridge]\ndomain = 'a.org'\n").roles().bridge);
    }

    #[test]
    fn mastodon_is_offered_with_its_address_and_limits() {
        let text = "[platform.mastodon]\nbase_url = 'https://m.org/'\nclient_id = 'id'\n[sms.file]\npath = 'x'\n";
        let core = read(text).to_core(MeshId([1; 16]));
        let mastodon = core.platforms.first().unwrap();
        assert_eq!(mastodon.authorize_url, "https://m.org/oauth/authorize");
        assert_eq!(mastodon.redirect_urls, app_redirects());
        let own = read(&text.replace("client_id", "redirect_urls = ['https://a.org/back']\nclient_id"));
        assert_eq!(own.to_core(MeshId([1; 16])).platforms.first().unwrap().redirect_urls, ["https://a.org/back"]);
        assert_eq!((mastodon.text_max, mastodon.resend_within.as_secs()), (500, 2700));
        let forgetful =
            read(&text.replace("client_id", "idempotency_keys = false\nclient_id")).to_core(MeshId([1; 16]));
        assert!(forgetful.platforms.first().unwrap().resend_within.is_zero());
        assert!(core.otp.sms && core.sms);
    }

    #[test]
    fn ways_of_sms_are_groups_of_ports_and_nodes_between_them() {
        use relaymesh_core::config::SmsWay::{Own, Partner, Ports};
        let http = "[sms.http.a]\nurl = 'https://a.org/{to}/{text}'\n[sms.http.b]\nurl = 'https://b.org/{to}/{text}'\n";
        let ways = |order: &str| read(&format!("[sms]\n{order}\n{http}")).to_core(MeshId([1; 16])).egress.order;
        assert_eq!(ways(""), [Ports(0), Own], "all ports, then other nodes of the instance");
        let order = "reply_order = ['a', 'node', 'b', 'node:Relief org']";
        assert_eq!(ways(order), [Ports(0), Own, Ports(1), Partner("Relief org".to_owned())]);
        assert_eq!(ways("reply_order = ['node:x', 'b', 'a']"), [Partner("x".to_owned()), Ports(0)]);
        assert_eq!(read("").to_core(MeshId([1; 16])).egress, core::Egress { order: vec![Own], ..Default::default() });
        let serve =
            "[sms.budget]\ncountries = ['cm']\n[sms.serve]\npartners = ['Relief org']\nper_partner_per_day = 7\n";
        let egress = read(serve).to_core(MeshId([1; 16])).egress;
        assert_eq!(
            (egress.countries, egress.partners, egress.per_partner_per_day),
            (vec!["CM".to_owned()], vec!["Relief org".to_owned()], 7)
        );
    }
}
