//! A line on the operator's socket.

#![no_main]

use libfuzzer_sys::fuzz_target;
use relaymesh_core::command::OperatorCommand;

/// As the node's socket has it.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Question {
    Command(OperatorCommand),
    Listening {},
}

fuzz_target!(|line: &[u8]| {
    if let Ok(question) = serde_json::from_slice::<Question>(line) {
        let written = serde_json::to_vec(&question).expect("what was read is written");
        let again: Question = serde_json::from_slice(&written).expect("what was written is read");
        assert_eq!(serde_json::to_vec(&again).expect("as before"), written);
    }
});
