//! The plaintext of a platform payload, every version and service.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    use relaymesh_protocol::content::{PlatformContent, ServiceType};
    use relaymesh_protocol::payload::PlatformVersion;
    for version in [PlatformVersion::V0, PlatformVersion::V1, PlatformVersion::V2, PlatformVersion::V3] {
        for service in [ServiceType::Email, ServiceType::Text, ServiceType::Message, ServiceType::Test] {
            let _ = PlatformContent::parse(version, service, bytes);
        }
    }
});
