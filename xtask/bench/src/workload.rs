//! The workloads, each a file of the name that it has on the command line.

pub(crate) mod a;
pub(crate) mod a100;
pub(crate) mod b;
pub(crate) mod c;
pub(crate) mod d;
pub(crate) mod decide;
pub(crate) mod hashing;
pub(crate) mod r;
pub(crate) mod start;
pub(crate) mod t;
