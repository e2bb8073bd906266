#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| waxwing_formats::fuzzing::keystore_contents(bytes));
