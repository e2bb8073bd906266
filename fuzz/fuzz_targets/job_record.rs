#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| waxwing_delivery::fuzzing::job_record(bytes));
