//! Carries plans out: moves bytes between the project and a remote. What is to be moved is not decided here.

mod download;
mod tag;
mod upload;

pub use self::download::{DownloadError, Downloaded, download};
pub use self::tag::{TagError, move_tag, tag_digest};
pub use self::upload::{UploadError, Uploaded, upload};
