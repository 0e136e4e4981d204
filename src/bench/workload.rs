//! Synthetic workloads: prompts of the lengths that rerankers meet. Their tokens are random, since only lengths matter to the
//! speed.

use clap::ValueEnum;

use crate::model::Architecture;
use crate::random::Random;
use crate::recipe::Prompt;

/// The lengths of the parts of a prompt around the document, in tokens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Template {
    /// The beginning, which all prompts share.
    system: usize,
    /// The query, with the words around it.
    query: usize,
    /// The part that follows the document.
    suffix: usize,
    /// The length to which longer prompts are cut.
    max_length: usize,
    /// The size of the model's vocabulary.
    vocabulary: usize,
}

impl Template {
    /// The template of a model's family.
    pub(super) fn of(architecture: &Architecture) -> Self {
        let vocabulary = architecture.vocabulary();
        match architecture.shares_prefixes() {
            true => Self::decoder(vocabulary),
            false => Self::encoder(vocabulary, architecture.max_length),
        }
    }

    /// The template of Qwen3-Reranker: system text, default instruction, a short question, and the beginning of the answer.
    fn decoder(vocabulary: usize) -> Self {
        Self { system: 33, query: 33, suffix: 9, max_length: usize::MAX, vocabulary }
    }

    /// The template of encoders: a short question and separators.
    fn encoder(vocabulary: usize, max_length: usize) -> Self {
        Self { system: 1, query: 12, suffix: 1, max_length, vocabulary }
    }
}

/// The kind of documents that are reranked.
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
    /// The name, as users write it.
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

    /// The prompts of `pairs` pairs, by query, which are the same every time.
    pub(super) fn prompts(self, pairs: usize, template: Template) -> Vec<Vec<Prompt>> {
        let Template { system, query, suffix, max_length, vocabulary, .. } = template;
        let room = max_length.saturating_sub(system + query + suffix);
        let mut random = Random(0x5eed);
        let tokens =
            |random: &mut Random, count| -> Vec<u32> { (0..count).map(|_| random.below(vocabulary) as u32).collect() };
        let (system, suffix) = (tokens(&mut random, system), tokens(&mut random, suffix));
        let mut groups = Vec::new();
        let mut left = pairs;
        while left > 0 {
            let candidates = left.min(self.candidates());
            left -= candidates;
            let query = tokens(&mut random, query);
            let prompt = |random: &mut Random| {
                let length = self.document(random);
                let document = tokens(random, length.min(room));
                let token_ids = [&system, &query, &document, &suffix].into_iter().flatten().copied().collect();
                Prompt { truncated: length > room, document_cut: length > room, ..Prompt::whole(token_ids) }
            };
            groups.push((0..candidates).map(|_| prompt(&mut random)).collect());
        }
        groups
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
            let groups = workload.prompts(pairs, Template::decoder(1000));
            assert_eq!(groups.len(), pairs.div_ceil(workload.candidates()));
            assert_eq!(groups.iter().map(Vec::len).sum::<usize>(), pairs);
            for prompt in groups.iter().flatten() {
                assert!(range.contains(&prompt.token_ids.len()) && prompt.token_ids.iter().all(|&token| token < 1000));
            }
            let cut = workload.prompts(pairs, Template::encoder(1000, 128));
            assert!(cut.iter().flatten().all(|prompt| prompt.token_ids.len() <= 128));
            assert!(cut.iter().flatten().any(|prompt| prompt.truncated) || workload == Workload::Passage);
            assert_eq!(groups[0][0].token_ids[..66], groups[0][1].token_ids[..66]);
        }
    }
}
