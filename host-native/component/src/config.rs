// Compiled into the library and into its build script: code that is compiled ahead of time is taken only where it
// runs under the very settings that it was compiled for, and the defaults depend on Cargo features.

/// How much address space an engine may take for the memory of a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressSpace {
    /// 4 GiB and a guard for each memory, nearly all of it never touched: then no access has to be checked.
    Ample,
    /// What is used and a little more, where the system limits it (`ulimit -v`): accesses are checked, and a memory that
    /// grows moves.
    Scarce,
}

/// The most that a memory of [`AddressSpace::Scarce`] takes ahead of its need, in bytes.
const SCARCE_BYTES: u64 = 64 << 20;

/// The settings of every engine that runs a core.
pub fn config(space: AddressSpace) -> wasmtime::Config {
    let mut config = wasmtime::Config::new();
    config
        .concurrency_support(false)
        .gc_support(false)
        .wasm_backtrace_details(wasmtime::WasmBacktraceDetails::Disable);
    if space == AddressSpace::Scarce {
        config
            .memory_reservation(SCARCE_BYTES)
            .memory_reservation_for_growth(SCARCE_BYTES)
            .memory_guard_size(0);
    }
    config
}
