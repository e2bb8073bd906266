#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| waxwing_store::fuzzing::presigned_query(bytes));
