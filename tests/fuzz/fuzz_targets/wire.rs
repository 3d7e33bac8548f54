//! See `modelops_bundle_tests::fuzz::wire_form`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    modelops_bundle_tests::fuzz::wire_form(bytes);
});
