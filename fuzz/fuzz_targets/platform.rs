//! JSON that a platform or a captcha service answers, in each place where one is read.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    for status in [200, 202, 400, 429] {
        let _ = relaymesh_publish::fuzz::answer(status, "application/json", "5", body);
    }
});
