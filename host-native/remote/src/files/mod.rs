//! Files of this machine, as the remotes on it and the stores of credentials need them: read whole and bounded, written
//! whole and durably, locked between processes, and taken away again where work breaks off.
//!
//! A program that keeps files of its own beside the remotes may use the same.

pub mod durable;
pub mod file_lock;
pub mod leftovers;
pub mod rights;
pub mod user_folders;
pub mod whole_file;
