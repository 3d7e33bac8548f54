//! Which operations are taken back, and what that makes of each path.

use std::collections::BTreeMap;

use thiserror::Error;

/// What decides whether an operation can be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Whether it was an undo itself.
    pub is_undo: bool,
    /// What is wrong with it, if anything is.
    pub fault: Option<Fault>,
}

/// Why an operation cannot be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// What is written of it cannot be read.
    Damaged,
    /// It was told to keep nothing.
    NotKept,
    /// A push came after it: others may have what it left.
    Pushed,
}

/// Which operations to go through to take back the `count` newest, newest first, by their places in `operations`, which
/// come newest first too.
///
/// What an undo took back is not among the operations any more, so that it left the project as the next older one did:
/// where that is taken back as well, the undo is passed by.
///
/// # Errors
///
/// There are not so many, or one of them cannot be taken back.
pub fn choose(operations: &[Operation], count: usize) -> Result<Vec<usize>, CannotUndo> {
    let Some(chosen) = operations.get(..count).filter(|chosen| !chosen.is_empty()) else {
        return Err(CannotUndo::TooFew { there: operations.len() });
    };
    let faults = chosen.iter().enumerate();
    if let Some((at, fault)) = faults.filter_map(|(at, one)| Some((at, one.fault?))).next() {
        return Err(CannotUndo::Fault { at, fault });
    }
    let last = count.saturating_sub(1);
    let is_passed = |(at, operation): &(usize, &Operation)| operation.is_undo && *at != last;
    Ok(chosen.iter().enumerate().filter(|each| !is_passed(each)).map(|(at, _)| at).collect())
}

/// Why operations cannot be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CannotUndo {
    /// There are not so many.
    #[error("only {there} can be taken back")]
    TooFew {
        /// How many there are.
        there: usize,
    },
    /// One of them stands in the way.
    #[error("one of them cannot be taken back")]
    Fault {
        /// Its place.
        at: usize,
        /// What is wrong with it.
        fault: Fault,
    },
}

/// What several operations did to one path or file, taken together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change<B, A> {
    /// What was there before the oldest of them.
    pub before: B,
    /// What the newest of them left there.
    pub after: A,
}

/// Puts the changes of several operations together, which come newest first.
pub fn together<K: Ord, B, A>(
    changes: impl IntoIterator<Item = (K, Change<B, A>)>,
) -> BTreeMap<K, Change<B, A>> {
    let mut together: BTreeMap<K, Change<B, A>> = BTreeMap::new();
    for (key, change) in changes {
        match together.entry(key) {
            std::collections::btree_map::Entry::Occupied(mut newer) => newer.get_mut().before = change.before,
            std::collections::btree_map::Entry::Vacant(vacant) => _ = vacant.insert(change),
        }
    }
    together
}

#[cfg(test)]
mod tests {
    use super::*;

    const PULL: Operation = Operation { is_undo: false, fault: None };
    const UNDO: Operation = Operation { is_undo: true, fault: None };

    #[test]
    fn an_undo_is_passed_by_unless_it_is_the_oldest_to_go() {
        assert_eq!(choose(&[PULL, PULL, PULL], 2), Ok(vec![0, 1]));
        assert_eq!(choose(&[UNDO, PULL], 1), Ok(vec![0]));
        assert_eq!(choose(&[UNDO, PULL], 2), Ok(vec![1]));
        assert_eq!(choose(&[PULL, UNDO, PULL], 2), Ok(vec![0, 1]));
        assert_eq!(choose(&[PULL, UNDO, PULL], 3), Ok(vec![0, 2]));
        assert_eq!(choose(&[UNDO, UNDO, PULL], 2), Ok(vec![1]));
    }

    #[test]
    fn what_stands_in_the_way_is_named() {
        assert_eq!(choose(&[], 1), Err(CannotUndo::TooFew { there: 0 }));
        assert_eq!(choose(&[PULL], 2), Err(CannotUndo::TooFew { there: 1 }));
        assert_eq!(choose(&[PULL], 0), Err(CannotUndo::TooFew { there: 1 }));
        let pushed = Operation { fault: Some(Fault::Pushed), ..PULL };
        assert_eq!(choose(&[PULL, pushed], 1), Ok(vec![0]));
        assert_eq!(choose(&[PULL, pushed], 2), Err(CannotUndo::Fault { at: 1, fault: Fault::Pushed }));
    }

    #[test]
    fn the_oldest_before_and_the_newest_after_count() {
        let change = |before, after| Change { before, after };
        let changes = [("a", change(2, 3)), ("b", change(0, 1)), ("a", change(1, 2))];
        let expected = BTreeMap::from([("a", change(1, 3)), ("b", change(0, 1))]);
        assert_eq!(together(changes), expected);
    }
}
