//! In which form a bundle's files lie in its repository.

/// In which form a bundle's files lie in its repository.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// One blob a file: other tools can read it.
    #[default]
    Files,
    /// Files cut into chunks, and chunks gathered in packs: many small files and large ones that change a little.
    Packed,
}

impl Layout {
    /// The name that settings and JSON documents use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Packed => "packed",
        }
    }
}
