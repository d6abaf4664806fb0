//! A request and a response of a connected node.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    use relaymesh_protocol::frame::{Request, Response};
    // The reader of libp2p's CBOR codec.
    if let Ok(request) = cbor4ii::serde::from_slice::<Request>(bytes) {
        let again = cbor4ii::serde::to_vec(Vec::new(), &request).expect("what was read can be written");
        assert_eq!(cbor4ii::serde::from_slice::<Request>(&again).expect("and read again"), request);
    }
    if let Ok(response) = cbor4ii::serde::from_slice::<Response>(bytes) {
        let again = cbor4ii::serde::to_vec(Vec::new(), &response).expect("what was read can be written");
        assert_eq!(cbor4ii::serde::from_slice::<Response>(&again).expect("and read again"), response);
    }
});
