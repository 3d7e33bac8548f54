//! A guard against losing most of a tree by mistake: an empty folder that is pushed, a bundle that somebody emptied.

/// More dropped files than this, and more than half of all, are a mass drop.
const FEW: u64 = 10;

/// Whether most of the files may be dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DropGuard {
    /// The operation stops.
    #[default]
    Stop,
    /// The user has said that they may.
    Accept,
}

/// That most of the files would be dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MassDrop {
    /// How many would be.
    pub dropped: u64,
    /// How many there are.
    pub of: u64,
}

impl MassDrop {
    /// Judges a drop of `dropped` out of `of` files, after which `left` files are there: it is one where nothing is left, or
    /// where it is more than ten and more than half of all.
    pub fn of(dropped: u64, of: u64, left: u64) -> Option<Self> {
        let is_all = dropped > 0 && left == 0;
        let is_most = dropped > FEW && dropped > of / 2;
        (is_all || is_most).then_some(Self { dropped, of })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_files_or_more_than_ten_and_more_than_half_are_a_mass_drop() {
        for (dropped, of, left, is_one) in [
            (0, 0, 0, false),
            (0, 3, 3, false),
            (1, 1, 0, true),
            (1, 1, 1, false),
            (10, 10, 0, true),
            (10, 12, 2, false),
            (11, 21, 10, true),
            (11, 22, 11, false),
            (11, 12, 30, true),
        ] {
            let found = MassDrop::of(dropped, of, left);
            assert_eq!(found, is_one.then_some(MassDrop { dropped, of }), "{dropped} of {of}, {left} left");
        }
    }
}
