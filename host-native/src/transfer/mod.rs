//! Carries plans out: moves bytes between the project and a remote, or between remotes. What is to be moved is not decided here.

mod contents;
mod copy;
mod delete;
mod delivery;
mod direct;
mod download;
mod files_archive;
mod forecast;
mod holes;
mod landing;
pub(crate) mod packing;
mod positioned;
mod room;
mod sending;
pub(crate) mod tables;
mod tag;
mod unpacking;
mod upload;
mod verify;

pub use self::contents::read_files;
pub use self::copy::{Carried, Copied, Parts, copy_to_archive, copy_to_remote, foresee};
pub use self::delete::{DeleteError, Deleted, Doomed, delete, find_doomed, plan_delete};
pub(crate) use self::delivery::lost_of;
pub use self::delivery::{Delivered, Delivery, claim, deliver, find_lost, foresee_deliveries};
pub(crate) use self::download::copy_verified;
pub use self::download::{DownloadError, Downloaded, download};
pub use self::files_archive::{ExportError, ExportTarget, export_files, foresee_export};
pub use self::forecast::forecast;
pub use self::packing::PackingError;
use self::sending::Sending;
pub use self::tables::{Tables, TablesError, load_all_tables, load_tables};
pub(crate) use self::tag::Tagging;
pub use self::tag::{
    Doubt, Expected, Named, NamedKind, PartlyTagged, TagError, Unconfirmed, check_tag, claim_tag, look_up,
    move_tags, tag_digest,
};
pub use self::upload::{Sent, UploadError, upload};
pub use self::verify::tells_damage;
pub use self::verify::{Checked, Fault, FaultKind, Verification, VerifyError, verify, verify_bundle};
