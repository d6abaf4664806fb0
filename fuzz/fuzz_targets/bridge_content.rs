//! The plaintext of a bridge payload, every version.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    use relaymesh_protocol::bridge_content::BridgeContent;
    use relaymesh_protocol::payload::BridgeVersion;
    for version in [BridgeVersion::V1, BridgeVersion::V2, BridgeVersion::V3] {
        let _ = BridgeContent::parse(version, bytes);
    }
});
