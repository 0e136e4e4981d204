//! The key of a score.

use crate::recipe::Prompt;

/// A hash of the tokens that a prompt's logit depends on. With 128 bits, two of 10¹² different prompts have one key with a
/// probability of less than 10⁻¹⁴.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(pub(super) [u8; 16]);

impl Key {
    /// The key of a prompt.
    pub fn of(prompt: &Prompt) -> Self {
        // Without a second type, all tokens are of the first.
        let first = prompt.second_type.unwrap_or(prompt.token_ids.len()) as u64;
        Self::of_bytes(&[bytemuck::cast_slice(&prompt.token_ids), &first.to_le_bytes()])
    }

    pub(super) fn of_bytes(parts: &[&[u8]]) -> Self {
        let mut hasher = blake3::Hasher::new();
        for part in parts {
            hasher.update(part);
        }
        let mut key = [0; 16];
        key.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Self(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_equal_if_tokens_and_types_are() {
        let prompt = |token_ids: &[u32], second_type| Prompt { second_type, ..Prompt::whole(token_ids.to_vec()) };
        let keys = [
            prompt(&[1, 2, 3], None),
            prompt(&[1, 2], None),
            prompt(&[1, 2, 3], Some(1)),
            prompt(&[1, 2, 3], Some(2)),
            prompt(&[], None),
        ]
        .map(|prompt| Key::of(&prompt));
        for (index, key) in keys.iter().enumerate() {
            assert!(keys[..index].iter().all(|earlier| earlier != key));
        }
        // A second type that no token has makes no difference.
        assert_eq!(Key::of(&prompt(&[1, 2, 3], Some(3))), keys[0]);
        let cut = Prompt { truncated: true, ..prompt(&[1, 2], None) };
        assert_eq!(Key::of(&cut), keys[1]);
    }
}
