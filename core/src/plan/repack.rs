//! Which packs a push writes anew, so that a bundle with a long history stays quick to read.

use crate::pack::limits::{MAX_PACKS, PACK_BYTES};

/// A pack below this size, in bytes, is a small one.
pub const SMALL_PACK_BYTES: u64 = PACK_BYTES / 8;

/// How many small packs a bundle may have.
pub const MAX_SMALL_PACKS: usize = 64;

/// How much of a pack the files of a new bundle need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackUse {
    /// How many bytes its frames have.
    pub stored: u64,
    /// How many of those the files need.
    pub used: u64,
    /// Whether the project has all the files that need it: what is not here is left as it is.
    pub is_here: bool,
}

/// Decides which of `packs` are written anew: each whose used half is the smaller one; when there are too many small ones,
/// all of those together; and when there are too many packs at all, the smaller half of them, because a manifest can name
/// only so many. Packs that nobody needs are not among them: they are left out anyway.
#[must_use]
pub fn plan_repack(packs: &[PackUse]) -> Vec<usize> {
    let is_needed = |pack: &PackUse| pack.used > 0;
    let is_small = |pack: &PackUse| is_needed(pack) && pack.stored < SMALL_PACK_BYTES;
    let are_too_many = packs.iter().filter(|pack| is_small(pack)).count() > MAX_SMALL_PACKS;
    let mut sizes: Vec<u64> = packs.iter().filter(|pack| is_needed(pack)).map(|pack| pack.stored).collect();
    sizes.sort_unstable();
    let half = sizes.get(sizes.len() / 2).copied().unwrap_or_default();
    let is_of_too_many = |pack: &PackUse| sizes.len() as u64 > MAX_PACKS && pack.stored <= half;
    let is_written_anew = |pack: &PackUse| {
        let is_mostly_waste = pack.used.saturating_mul(2) < pack.stored;
        let is_one_too_many = (are_too_many && is_small(pack)) || is_of_too_many(pack);
        pack.is_here && is_needed(pack) && (is_mostly_waste || is_one_too_many)
    };
    packs.iter().enumerate().filter(|(_, pack)| is_written_anew(pack)).map(|(at, _)| at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pack(stored: u64, used: u64) -> PackUse {
        PackUse { stored, used, is_here: true }
    }

    #[test]
    fn waste_is_written_anew_and_what_is_not_here_is_left() {
        let elsewhere = PackUse { is_here: false, ..pack(PACK_BYTES, 1) };
        let packs = [pack(100, 50), pack(100, 49), pack(100, 0), elsewhere, pack(PACK_BYTES, PACK_BYTES)];
        assert_eq!(plan_repack(&packs), [1]);
    }

    #[test]
    fn of_too_many_packs_the_smaller_half_is_written_anew() {
        let packs = |count| (0..count).map(|at| pack(SMALL_PACK_BYTES + at, SMALL_PACK_BYTES + at));
        assert_eq!(plan_repack(&packs(MAX_PACKS).collect::<Vec<_>>()), [0; 0]);
        let anew = plan_repack(&packs(MAX_PACKS + 1).collect::<Vec<_>>());
        assert_eq!(anew, (0..=150).collect::<Vec<_>>());
    }

    #[test]
    fn too_many_small_packs_are_put_together() {
        let mut packs = vec![pack(10, 10); MAX_SMALL_PACKS];
        packs.push(pack(SMALL_PACK_BYTES, SMALL_PACK_BYTES));
        assert_eq!(plan_repack(&packs), [0; 0]);
        packs.push(pack(SMALL_PACK_BYTES - 1, SMALL_PACK_BYTES - 1));
        let small: Vec<usize> = (0..MAX_SMALL_PACKS).chain([MAX_SMALL_PACKS + 1]).collect();
        assert_eq!(plan_repack(&packs), small);
    }
}
