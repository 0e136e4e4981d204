//! Which of several files a shard has.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::Path;

use super::Shard;

/// For each of these files, with its size in bytes, whether the shard has it. The largest file goes first, each to the shard that
/// has the fewest bytes so far (the longest-processing-time rule of Graham, 1969); files of one size are taken by their names, and
/// shards of one size by their numbers, so that all workers come to the same.
pub fn files_of(shard: Shard, files: &[(&Path, u64)]) -> Vec<bool> {
    let mut order: Vec<usize> = (0..files.len()).collect();
    order.sort_by_key(|&index| files.get(index).map(|(path, bytes)| (Reverse(*bytes), *path)));
    let mut shards: BinaryHeap<Reverse<(u64, u32)>> = (0..shard.count).map(|index| Reverse((0, index))).collect();
    let mut has = vec![false; files.len()];
    for index in order {
        let (Some(Reverse((taken, least))), Some((_, bytes))) = (shards.pop(), files.get(index)) else { break };
        shards.push(Reverse((taken.saturating_add(*bytes), least)));
        if let Some(has) = has.get_mut(index) {
            *has = least == shard.index;
        }
    }
    has
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_file_has_one_shard_and_no_shard_has_much_more_than_another(
            sizes in proptest::collection::vec(0u64..1000, 0..40),
            count in 1u32..9,
        ) {
            let names: Vec<String> = (0..sizes.len()).map(|index| format!("f{index}")).collect();
            let files: Vec<(&Path, u64)> = names.iter().map(Path::new).zip(sizes.iter().copied()).collect();
            let shards: Vec<Vec<bool>> = (0..count).map(|index| files_of(Shard { index, count }, &files)).collect();
            for file in 0..files.len() {
                prop_assert_eq!(shards.iter().filter(|has| has[file]).count(), 1);
            }
            let bytes = |has: &Vec<bool>| -> u64 { has.iter().zip(&sizes).filter(|(has, _)| **has).map(|(_, size)| size).sum() };
            let (least, most) = (shards.iter().map(bytes).min().unwrap(), shards.iter().map(bytes).max().unwrap());
            prop_assert!(most - least <= sizes.iter().copied().max().unwrap_or(0));
        }
    }

    #[test]
    fn files_of_one_size_are_taken_by_their_names() {
        let of = |index| {
            files_of(
                Shard { index, count: 2 },
                &[("b", 5), ("a", 5), ("c", 9)].map(|(name, size)| (Path::new(name), size)),
            )
        };
        assert_eq!([of(0), of(1)], [[false, false, true], [true, true, false]]);
    }
}
