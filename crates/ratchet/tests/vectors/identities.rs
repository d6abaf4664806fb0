//! Device IDs and long-lived tokens.

use relaymesh_ratchet::llt::{self, Eid, VerifyError};
use relaymesh_ratchet::{SharedSecret, agree, device_id};
use serde_json::Value;

use crate::{array, pair, records, text};

fn device_secret(record: &Value) -> SharedSecret {
    let client = pair(&record["client_device_id_priv"], &record["client_device_id_pub"]);
    let server = pair(&record["server_device_id_priv"], &record["server_device_id_pub"]);
    let shared = agree(server.secret(), &client.public()).unwrap();
    assert_eq!(shared, agree(client.secret(), &server.public()).unwrap());
    assert_eq!(shared.as_bytes(), &array(&record["device_id_shared"]));
    shared
}

#[test]
fn device_ids() {
    for record in records("device_id", 4) {
        let client = pair(&record["client_device_id_priv"], &record["client_device_id_pub"]);
        let id = device_id(&device_secret(record), text(&record["identifier_text"]), &client.public());
        assert_eq!(id, array(&record["device_id_bytes_in_payload"]));
        assert_eq!(hex::encode(id), text(&record["device_id_hex_string_used_by_vault"]));
    }
}

#[test]
fn long_lived_tokens() {
    for record in records("llt", 4) {
        let shared = device_secret(record);
        let eid: Eid = text(&record["eid"]).parse().unwrap();
        let now_s = record["fernet_time"].as_u64().unwrap();
        assert_eq!(record["jwt_claims"]["iat"].as_u64(), Some(now_s));

        let field = llt::mint(&shared, &eid, now_s, &array(&record["fernet_iv"]));
        assert_eq!(field, text(&record["long_lived_token_field_text"]));

        let opened = llt::open(&shared, &field).unwrap();
        assert_eq!((opened.eid, opened.minted_at_s), (eid, now_s));
        assert_eq!(opened.plaintext.as_str(), text(&record["fernet_plaintext_text"]));

        let presented = text(&record["client_presents_text"]);
        assert_eq!(llt::split_eid(presented).unwrap(), (eid, text(&record["jwt_text"])));
        let expiry = record["jwt_claims"]["exp"].as_u64().unwrap();
        assert_eq!(llt::verify(&shared, presented, now_s), Ok(eid));
        assert_eq!(llt::verify(&shared, presented, expiry - 1), Ok(eid));
        assert_eq!(llt::verify(&shared, presented, expiry), Err(VerifyError::Expired));
    }
}
