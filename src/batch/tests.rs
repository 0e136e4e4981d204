//! Properties of the plan.

use proptest::prelude::*;

use super::*;

fn prompts() -> impl Strategy<Value = Vec<Vec<Prompt>>> {
    let group = (
        proptest::collection::vec(0u32..3, 0..6),
        proptest::collection::vec(proptest::collection::vec(0u32..3, 1..9), 0..9),
    );
    let group = group.prop_map(|(head, tails)| {
        let prompt = |tail: Vec<u32>| Prompt::whole([head.clone(), tail].concat());
        tails.into_iter().map(prompt).collect()
    });
    proptest::collection::vec(group, 0..6)
}

proptest! {
    #[test]
    fn every_prompt_is_scored_once_and_whole(
        groups in prompts(), pairs in 1usize..9, tokens in 1usize..60, share_prefixes: bool, fill: bool,
    ) {
        let batches = plan(&groups, Limits { pairs, tokens, share_prefixes, fill });
        let mut seen = Vec::new();
        for batch in &batches {
            let count = batch.pairs().count();
            prop_assert!(count <= pairs && count > 0);
            prop_assert!(batch.check().is_ok());
            prop_assert!(batch.token_ids.len() <= tokens || count == 1);
            prop_assert_eq!(batch.segments.iter().map(|segment| segment.tokens.len()).sum::<usize>(), batch.token_ids.len());
            let prompts = |batch: &Batch| -> Vec<_> {
                let ends = batch.pair_segments();
                ends.map(|end| (batch.segments[end].pair, batch.prompt(end))).collect()
            };
            match batch.halves() {
                None => prop_assert_eq!(count, 1),
                Some([first, second]) => {
                    prop_assert!(first.check().is_ok() && second.check().is_ok());
                    prop_assert!(first.pairs().count().abs_diff(second.pairs().count()) <= 1);
                    prop_assert_eq!([prompts(&first), prompts(&second)].concat(), prompts(batch));
                    prop_assert!(first.token_ids.len() <= batch.token_ids.len());
                }
            }
            for (index, segment) in batch.segments.iter().enumerate() {
                let Some(id) = segment.pair else { continue };
                let read: Vec<usize> = batch.history(index).into_iter().flatten().collect();
                let token_ids: Vec<u32> = read.iter().map(|&token| batch.token_ids[token]).collect();
                let positions: Vec<u32> = read.iter().map(|&token| batch.positions[token]).collect();
                prop_assert_eq!(&token_ids, &groups[id.group][id.candidate].token_ids);
                prop_assert_eq!(positions, (0..token_ids.len() as u32).collect::<Vec<_>>());
                seen.push(id);
            }
        }
        let groups_in_order: Vec<usize> = seen.iter().map(|id| id.group).collect();
        prop_assert!(groups_in_order.is_sorted());
        seen.sort();
        let expected: Vec<PairId> = groups.iter().enumerate()
            .flat_map(|(group, prompts)| (0..prompts.len()).map(move |candidate| PairId { group, candidate }))
            .collect();
        prop_assert_eq!(seen, expected);
    }
}

fn prompt(token_ids: &[u32]) -> Prompt {
    Prompt::whole(token_ids.to_vec())
}

#[test]
fn tokens_that_all_prompts_begin_with_are_computed_once() {
    let groups = [vec![prompt(&[1, 2, 3, 9]), prompt(&[1, 2, 4, 5, 9]), prompt(&[1, 2, 3])]];
    let batches = plan(&groups, Limits { pairs: 10, tokens: 100, share_prefixes: true, fill: false });
    assert_eq!(batches.len(), 1);
    assert_eq!(batches[0].token_ids, [1, 2, 4, 5, 9, 3, 9, 3]);
    assert_eq!(batches[0].positions, [0, 1, 2, 3, 4, 2, 3, 2]);
    assert_eq!(
        batches[0].segments.iter().map(|segment| segment.continues).collect::<Vec<_>>(),
        [None, Some(0), Some(0), Some(0)]
    );
}

#[test]
fn a_group_that_fits_one_batch_is_not_split() {
    let group = || vec![prompt(&[1, 2]), prompt(&[1, 3])];
    let batches =
        plan(&[group(), group(), group()], Limits { pairs: 3, tokens: 100, share_prefixes: true, fill: false });
    assert_eq!(batches.iter().map(|batch| batch.pairs().count()).collect::<Vec<_>>(), [2, 2, 2]);
    let batches = plan(&[group(), group(), group()], Limits { pairs: 9, tokens: 7, share_prefixes: true, fill: false });
    assert_eq!(batches.iter().map(|batch| batch.pairs().count()).collect::<Vec<_>>(), [4, 2]);
}

#[test]
fn much_room_is_filled_with_a_part_of_a_group() {
    let group = |shared: usize| -> Vec<Prompt> {
        let own = |last: u32| Prompt::whole([vec![7; shared], vec![last; 1000]].concat());
        (0..8).map(own).collect()
    };
    let counts = |shared: usize, pairs: usize, fill: bool| -> Vec<usize> {
        let limits = Limits { pairs, tokens: 13_000, share_prefixes: true, fill };
        let batches = plan(&[group(shared), group(shared)], limits);
        assert!(batches.iter().all(|batch| batch.token_ids.len() <= 13_000));
        batches.iter().map(|batch| batch.pairs().count()).collect()
    };
    assert_eq!(counts(100, 100, true), [12, 4]);
    assert_eq!(counts(100, 100, false), [8, 8]);
    // A long shared prefix is not computed twice, and no prefix for the sake of a single pair.
    assert_eq!(counts(400, 100, true), [8, 8]);
    assert_eq!(counts(100, 9, true), [8, 8]);
    assert_eq!(counts(100, 10, true), [10, 6]);
}

#[test]
fn a_batch_whose_parts_do_not_fit_together_is_refused() {
    let prompt = |tokens: &[u32]| Prompt::whole(tokens.to_vec());
    let groups = [vec![prompt(&[1, 2, 3]), prompt(&[1, 2, 4, 5])]];
    let limits = Limits { pairs: 9, tokens: 99, share_prefixes: true, fill: false };
    let whole = &plan(&groups, limits)[0];
    assert_eq!((whole.segments.len(), whole.check().is_ok()), (3, true));
    type Change = fn(&mut Batch);
    let changes: [(Change, &str); 11] = [
        (|batch| *batch = Batch::default(), "has 0 tokens"),
        (|batch| batch.positions.truncate(4), "has 4 positions"),
        (|batch| batch.token_types.push(0), "6 types"),
        (|batch| batch.segments[1].tokens.end = 9, "segment 1"),
        (|batch| batch.segments[1].tokens.end = 2, "segment 1"),
        (|batch| batch.segments[1].tokens = 1..3, "segment 1"),
        (|batch| batch.segments.truncate(2), "belong to no segment"),
        (|batch| batch.segments[1].continues = Some(1), "continues segment 1"),
        (|batch| batch.segments[2].continues = Some(7), "continues segment 7"),
        (|batch| batch.positions[4] = u32::MAX, "the positions of segment 2"),
        (|batch| batch.segments[2].continues = None, "do not count from 0"),
    ];
    for (change, problem) in changes {
        let mut batch = whole.clone();
        change(&mut batch);
        let error = batch.check().unwrap_err().to_string();
        assert!(error.contains(problem), "{problem}: {error}");
    }
}

proptest! {
    /// In the fair order, a large group gets what small ones leave of the batches, though they keep coming; and whatever is removed,
    /// the rest is scored once.
    #[test]
    fn no_group_waits_for_ever(large in 1usize..60, sizes in proptest::collection::vec(1usize..3, 1..12), removed in 0usize..12) {
        let limits = Limits { pairs: 4, tokens: 8, share_prefixes: false, fill: false };
        let mut queue = Queue::new(QueueOrder::Fair);
        let prompts = |size: usize| (0..size).map(|candidate| (candidate, Prompt::whole(vec![1; 2])));
        queue.push(0, prompts(large), limits);
        let (mut batches, mut seen) = (0, Vec::new());
        for (number, size) in sizes.iter().cycle().enumerate().map(|(number, size)| (number + 1, size)) {
            // Up to half of what can be scored.
            queue.push(number, prompts(*size), limits);
            if number == removed {
                prop_assert_eq!(queue.remove(number, |candidate| candidate == 0).len(), size - 1);
            }
            seen.extend(queue.next_batch(limits).unwrap().pairs());
            batches += 1;
            if seen.iter().filter(|pair| pair.group == 0).count() == large {
                break;
            }
            prop_assert!(batches <= 2 * large.div_ceil(4) + 2, "{batches}");
        }
        while let Some(batch) = queue.next_batch(limits) {
            seen.extend(batch.pairs());
        }
        let count = seen.len();
        seen.sort();
        seen.dedup();
        prop_assert_eq!((seen.len(), queue.pairs()), (count, 0));
    }
}

#[test]
fn a_small_group_waits_for_one_batch_of_a_large_one_at_most() {
    let limits = Limits { pairs: 4, tokens: 8, share_prefixes: false, fill: false };
    for before in 0..9 {
        let mut queue = Queue::new(QueueOrder::Fair);
        let prompts = |size: usize| (0..size).map(|candidate| (candidate, Prompt::whole(vec![1; 2])));
        queue.push(0, prompts(40), limits);
        (0..before).for_each(|_| drop(queue.next_batch(limits)));
        queue.push(1, prompts(1), limits);
        let waited = (0..).find(|_| queue.next_batch(limits).unwrap().pairs().any(|pair| pair.group == 1));
        assert!(waited <= Some(1), "{waited:?} after {before}");
    }
}
