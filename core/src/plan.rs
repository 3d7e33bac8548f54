//! Plans: what is to be done, as plain data. Carrying them out is the host's whole part.

pub mod delete;
pub mod drops;
pub mod early_send;
pub mod fetch;
pub mod keep;
pub mod layout;
pub mod pull;
pub mod push;
pub mod remove;
pub mod repack;
pub mod seal;
pub mod standing;
pub mod storage;
pub mod tag;
pub mod undo;
pub mod version;
pub mod view;
