#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| waxwing_profiles::fuzzing::profile_text(bytes));
