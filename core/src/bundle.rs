//! Bundles as they lie in a repository: the documents of one, and how they are read and written.

pub mod descriptor;
pub mod foreign;
pub mod groups;
pub mod history;
pub mod index;
pub mod layout;
pub mod manifest;
pub mod open;
pub mod resolve;
pub mod tree;
