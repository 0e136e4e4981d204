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

    /// The best place to cut behind one place and up to another: the last end of a sentence, else of a word, else the latter place.
    /// White space behind it may reach further.
    pub(super) fn last_between(&self, behind: usize, end: usize) -> usize {
        if end >= self.text.len() {
            return self.text.len();
        }
        let end = self.behind_white_space(end);
        let reached = self.sentences.partition_point(|sentence| *sentence <= end);
        let sentence = reached.checked_sub(1).and_then(|last| self.sentences.get(last)).copied();
        sentence.filter(|sentence| *sentence > behind).or_else(|| self.last_word_between(behind, end)).unwrap_or(end)
    }

    fn last_word_between(&self, behind: usize, end: usize) -> Option<usize> {
        let (from, to) =
            (self.text.floor_char_boundary(behind), self.text.floor_char_boundary(end.saturating_add(LOOK_AHEAD)));
        let window = self.text.get(from..to)?;
        let ends = window.split_word_bound_indices().map(|(start, word)| from + start + word.len());
        ends.take_while(|place| *place <= end).filter(|place| *place > behind).last()
    }

    /// Where the white space ends that begins at a place: a sentence ends behind it.
    fn behind_white_space(&self, place: usize) -> usize {
        let rest = self.text.get(place..).unwrap_or_default();
        place + (rest.len() - rest.trim_start().len())
    }
}
