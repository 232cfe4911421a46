//! Literal integers of operations. Goes in: what a caller writes. Comes out: the parameters of a
//! node. Whether they fit is for the operation's rule to say.

use tilefold_compiler::ops::pack_lists;

/// An index or a length. One beyond `i64` stays too large for every rule.
pub(super) fn size(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// Lists of them.
pub(super) fn lists(lists: &[&[usize]]) -> Vec<i64> {
    let lists: Vec<Vec<i64>> =
        lists.iter().map(|list| list.iter().map(|&n| size(n)).collect()).collect();
    pack_lists(&lists.iter().map(Vec::as_slice).collect::<Vec<_>>())
}
