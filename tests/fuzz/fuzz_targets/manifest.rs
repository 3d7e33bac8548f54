//! See `modelops_bundle_tests::fuzz::manifest`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    modelops_bundle_tests::fuzz::manifest(bytes);
});
