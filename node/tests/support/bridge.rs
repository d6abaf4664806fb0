//! Bridge mail as a phone writes it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use relaymesh_phone::{ComposeBridge, StaticKey, Style, Via};
use relaymesh_protocol::bridge_content::BridgeContent;
use relaymesh_protocol::payload::BridgeVersion;

use super::kit::http::Http;
use super::kit::process::Node;

/// Makes the key that apps of a node carry along, and reads it as they do.
pub async fn static_key(node: &Node, http: &Http) -> StaticKey {
    node.ask(&["bridge", "keys", "generate", "--count", "1"]).await.unwrap();
    let listed = http.get(&format!("{}/v3/keys/static-x25519", node.http())).await.unwrap();
    let listed: serde_json::Value = serde_json::from_str(&listed.body).unwrap();
    let public = STANDARD.decode(listed[0]["keypair"].as_str().unwrap()).unwrap();
    let kid = u8::try_from(listed[0]["kid"].as_u64().unwrap()).unwrap();
    StaticKey { kid, public: public.as_slice().try_into().unwrap() }
}

/// A first mail, without a picture.
pub fn first_mail(key: StaticKey, content: BridgeContent) -> ComposeBridge {
    ComposeBridge {
        version: BridgeVersion::V2,
        via: Via::Fresh(key),
        content,
        language: None,
        image: None,
        style: Style::Plain,
    }
}
