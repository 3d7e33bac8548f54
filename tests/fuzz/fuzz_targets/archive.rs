//! See `modelops_bundle_tests::fuzz::archive`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    modelops_bundle_tests::fuzz::archive(bytes);
});
