//! Where a text may be cut: behind a sentence or a line, else behind a word (Unicode Standard Annex 29), else behind any character.

use unicode_segmentation::UnicodeSegmentation;

/// How far behind a place a word may go on, in bytes: whether the place is inside a word shows that far.
const LOOK_AHEAD: usize = 256;

/// A text with the ends of its sentences.
pub(super) struct Boundaries<'a> {
    text: &'a str,
    /// The ends of sentences and of lines, ascending.
    sentences: Vec<usize>,
}

impl<'a> Boundaries<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let sentences = text.split_sentence_bound_indices().map(|(start, sentence)| start + sentence.len()).collect();
        Self { text, sentences }
    }

    /// The best place to cut in the second half of a range: the last end of a sentence, else of a word, else the range's end.
    pub(super) fn last_in(&self, start: usize, end: usize) -> usize {
        if end >= self.text.len() {
            return self.text.len();
        }
        let half = start + (end - start) / 2;
        let reached = self.sentences.partition_point(|sentence| *sentence <= end);
        let sentence = reached.checked_sub(1).and_then(|last| self.sentences.get(last)).copied();
        sentence.filter(|sentence| *sentence > half).or_else(|| self.last_word_in(half, end)).unwrap_or(end)
    }

    fn last_word_in(&self, half: usize, end: usize) -> Option<usize> {
        let (from, to) =
            (self.text.floor_char_boundary(half), self.text.floor_char_boundary(end.saturating_add(LOOK_AHEAD)));
        let window = self.text.get(from..to)?;
        let ends = window.split_word_bound_indices().map(|(start, word)| from + start + word.len());
        ends.take_while(|place| *place <= end).filter(|place| *place > half).last()
    }
}
