//! Two texts, one behind the other, which are cut as the truncation `longest_first` of transformers does.

use anyhow::Result;

use super::{Prompt, TextTokenizer};

/// The prompt of two texts. Where it is too long, the longer text loses its end, and both do where both are long.
pub(super) fn longest_first(tokenizer: &TextTokenizer, texts: [String; 2], max_length: usize) -> Result<Prompt> {
    let [first, second] = &texts;
    let (mut first_tokens, longer) = tokenizer.encode_up_to(first, max_length)?;
    // An odd token is that of the longer text. Where both are longer than a whole prompt, the first is counted to its end.
    let counted = if longer { tokenizer.encode(first)?.len() } else { first_tokens.len() };
    let (mut second_tokens, _) = tokenizer.encode_up_to(second, counted.max(max_length.saturating_add(1)))?;
    let kept = kept([counted, second_tokens.len()], max_length);
    let truncated = counted + second_tokens.len() > max_length;
    first_tokens.truncate(kept[0]);
    second_tokens.truncate(kept[1]);
    first_tokens.extend(second_tokens);
    Ok(Prompt { token_ids: first_tokens, second_type: None, truncated })
}

/// How many tokens two texts of these lengths keep.
fn kept(lengths: [usize; 2], most: usize) -> [usize; 2] {
    let [first, second] = lengths;
    let half = most / 2;
    match (first > half, second > half) {
        _ if first + second <= most => lengths,
        (false, _) => [first, most - first],
        (_, false) => [most - second, second],
        // An odd token is that of the longer text.
        _ if first > second => [most - half, half],
        _ => [half, most - half],
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokenizers::Encoding;
    use tokenizers::utils::truncation::{TruncationParams, truncate_encodings};

    use super::*;

    fn encoding(length: usize) -> Encoding {
        Encoding::from_tokens(
            (0..).take(length).map(|id| tokenizers::Token::new(id, String::new(), (0, 0))).collect(),
            0,
        )
    }

    #[test]
    fn both_texts_are_cut_where_both_are_long() {
        assert_eq!(kept([161, 181], 60), [30, 30]);
        assert_eq!(kept([40, 181], 60), [30, 30]);
        assert_eq!(kept([10, 181], 60), [10, 50]);
    }

    proptest! {
        #[test]
        fn texts_keep_what_the_library_keeps(first in 0_usize..40, second in 0_usize..40, max_length in 1_usize..40) {
            let parameters = TruncationParams { max_length, ..TruncationParams::default() };
            let (one, other) =
                truncate_encodings(encoding(first), Some(encoding(second)), &parameters).unwrap();
            prop_assert_eq!(kept([first, second], max_length), [one.len(), other.unwrap().len()]);
            // A text is only read as far as it may be kept.
            let read = second.min(first.max(max_length + 1));
            prop_assert_eq!(kept([first, read], max_length), kept([first, second], max_length));
        }
    }
}
