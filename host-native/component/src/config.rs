// Compiled into the library and into its build script: code that is compiled ahead of time is taken only where it
// runs under the very settings that it was compiled for, and the defaults depend on Cargo features.

/// The settings of every engine that runs a core.
pub fn config() -> wasmtime::Config {
    let mut config = wasmtime::Config::new();
    config
        .concurrency_support(false)
        .gc_support(false)
        .wasm_backtrace_details(wasmtime::WasmBacktraceDetails::Disable);
    config
}
