//! What may be named, and how: paths, references, names that some systems cannot hold, and where a project goes.

pub mod file_names;
pub mod path;
pub mod reference;
pub mod relocate;
