//! The documents that the program prints with `--json`: what a command found or did, as values of serde.
//!
//! They hold facts; the words that a person reads are written by the program that shows a document. Nothing is decided
//! here, and nothing of the library or the core is named: a page, a test or another program reads with this crate alone
//! what was printed. Digests are texts such as `sha256:…`; paths are those of the bundle unless a field says otherwise.
//!
//! A command that fails prints an [`ErrorDocument`]; where it has found something all the same, a [`FailedReport`].

mod add;
mod blobs;
mod change;
mod completions;
mod component;
mod copy;
mod delete;
mod diff;
mod environment;
mod error;
mod export;
mod health;
mod ignored;
mod import;
mod init;
mod inspect;
mod login;
mod man;
mod manifest;
mod pull;
mod push;
mod remove;
mod repos;
mod settings;
mod status;
mod tag;
mod undo;
mod verify;
mod version;

pub use add::AddReport;
pub use blobs::BlobsReport;
pub use change::{ChangeReport, FileReport, SeenChange, UnreadableReport};
pub use completions::CompletionsReport;
pub use component::{ComponentReport, CostReport, ExtractReport, FunctionReport, MeasureReport};
pub use copy::{CopiedReport, CopyReport};
pub use delete::DeleteReport;
pub use diff::{DiffChange, DiffReport};
pub use environment::{EnvironmentReport, EnvironmentsReport, StoreReport, SwitchReport};
pub use error::{BlockedReport, ErrorDocument, ErrorReport, FailedReport};
pub use export::{ExportFormat, ExportReport};
pub use health::{CheckReport, HealthReport};
pub use ignored::{ExplainReport, ExplainedPath, IgnoredReport, RuleReport};
pub use import::ImportReport;
pub use init::InitReport;
pub use inspect::{
    BundleFileReport, BundleReport, EstimateReport, InspectReport, OtherBundleReport, PackReport,
    PacksReport, SharingReport,
};
pub use login::{LoginReport, LogoutReport, StoredReport};
pub use man::ManReport;
pub use manifest::{ManifestReport, ManifestsReport, TagsReport};
pub use pull::{DownloadedReport, PullReport};
pub use push::{PushReport, UploadedReport};
pub use remove::RemoveReport;
pub use repos::ReposReport;
pub use settings::{SetReport, SettingReport, SettingSource, SettingValue, SettingsReport};
pub use status::{PinnedReport, RemoteReport, RemoteState, StatusReport, ViewReport};
pub use tag::{NamedTagReport, TagReport};
pub use undo::{OperationKind, OperationReport, OperationsReport, UndoReport, UndoneReport};
pub use verify::{CheckedReport, FaultReport, VerifyReport};
pub use version::AtReport;
