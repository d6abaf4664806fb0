//! What a story about nodes is made of: nodes as processes, a phone, gateway clients, and the files that show what came
//! out. The demo tells its story with it, and the black-box tests of the binary include it as it is; so it names nothing
//! of the rest of the binary.

pub mod follow;
pub mod gateway;
pub mod guard;
pub mod http;
pub mod mesh;
pub mod person;
pub mod process;
pub mod rpc;
pub mod settings;
