//! Synthetic workloads: prompts of the lengths that rerankers meet. Only lengths matter to the speed; tokens are random.

use clap::ValueEnum;

use crate::prompt::Prompt;

/// Tokens that all prompts of a query share: system text, default instruction and a short question.
const SHARED: usize = 66;
/// Tokens behind the document.
const SUFFIX: usize = 9;

/// What is reranked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Workload {
    /// 100 passages of about 75 tokens for each query.
    Passage,
    /// 50 chunks of about 400 tokens.
    Rag,
    /// 10 documents of 2,000 to 8,000 tokens.
    Long,
}

impl Workload {
    /// As users write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Passage => "passage",
            Self::Rag => "rag",
            Self::Long => "long",
        }
    }

    /// How many candidates a query has.
    pub fn candidates(self) -> usize {
        match self {
            Self::Passage => 100,
            Self::Rag => 50,
            Self::Long => 10,
        }
    }

    fn document(self, random: &mut Random) -> usize {
        let (least, most) = match self {
            Self::Passage => (40, 110),
            Self::Rag => (300, 500),
            Self::Long => (2000, 8000),
        };
        least + random.below(most - least + 1)
    }

    /// Prompts of `pairs` pairs, by query, of tokens below `vocabulary`. The same every time.
    pub fn prompts(self, pairs: usize, vocabulary: usize) -> Vec<Vec<Prompt>> {
        let mut random = Random(0x5eed);
        let token = |random: &mut Random| random.below(vocabulary) as u32;
        let system: Vec<u32> = (0..SHARED / 2).map(|_| token(&mut random)).collect();
        let suffix: Vec<u32> = (0..SUFFIX).map(|_| token(&mut random)).collect();
        let mut groups = Vec::new();
        let mut left = pairs;
        while left > 0 {
            let candidates = left.min(self.candidates());
            left -= candidates;
            let query: Vec<u32> = (SHARED / 2..SHARED).map(|_| token(&mut random)).collect();
            let prompt = |random: &mut Random| {
                let document: Vec<u32> = (0..self.document(random)).map(|_| token(random)).collect();
                Prompt {
                    token_ids: [&system, &query, &document, &suffix].into_iter().flatten().copied().collect(),
                    truncated: false,
                }
            };
            groups.push((0..candidates).map(|_| prompt(&mut random)).collect());
        }
        groups
    }
}

/// Xorshift (Marsaglia, 2003): enough for lengths and tokens.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// From 0 up to `end`, without it.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 33) as usize * end) >> 31
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workloads_have_the_lengths_that_they_promise() {
        for (workload, pairs, range) in
            [(Workload::Passage, 250, 110..=190), (Workload::Rag, 60, 370..=580), (Workload::Long, 10, 2070..=8080)]
        {
            let groups = workload.prompts(pairs, 1000);
            assert_eq!(groups.len(), pairs.div_ceil(workload.candidates()));
            assert_eq!(groups.iter().map(Vec::len).sum::<usize>(), pairs);
            for prompt in groups.iter().flatten() {
                assert!(range.contains(&prompt.token_ids.len()) && prompt.token_ids.iter().all(|&token| token < 1000));
            }
            assert_eq!(groups[0][0].token_ids[..SHARED], groups[0][1].token_ids[..SHARED]);
        }
    }
}
