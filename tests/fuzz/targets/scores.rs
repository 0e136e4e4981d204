#![no_main]

#[path = "../formats.rs"]
#[expect(dead_code, reason = "each target runs one of the formats")]
mod formats;

libfuzzer_sys::fuzz_target!(|data: &[u8]| formats::scores(data));
