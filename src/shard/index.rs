//! For every ranking of a part, where its query stands in the input and how many bytes it has, in a few bytes each.

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bits of a number in each byte; the eighth is set in all bytes but the last one (LEB128).
const BITS: u32 = 7;

/// Positions, each as the difference to the one before, and sizes, as numbers of variable length (LEB128). In JSON it is a text
/// in Base64.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Index {
    bytes: Vec<u8>,
    last: u64,
}

/// Where a ranking's query stands in the input, and the bytes of the ranking before it is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Located {
    pub(super) position: u64,
    pub(super) bytes: u64,
}

impl Index {
    /// Adds the next ranking.
    ///
    /// # Errors
    /// If it does not stand behind the one before.
    pub(super) fn push(&mut self, located: Located) -> Result<()> {
        let is_behind = self.bytes.is_empty() || located.position > self.last;
        ensure!(is_behind, "its rankings are not in the order of the input");
        append(&mut self.bytes, located.position - self.last);
        append(&mut self.bytes, located.bytes);
        self.last = located.position;
        Ok(())
    }

    /// Takes the rankings out, in their order.
    pub(super) fn into_iter(self) -> IntoIter {
        IntoIter { bytes: self.bytes, at: 0, last: 0 }
    }
}

fn append(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 1 << BITS {
        bytes.push(number as u8 | 1 << BITS);
        number >>= BITS;
    }
    bytes.push(number as u8);
}

/// The rankings of an [`Index`].
pub(super) struct IntoIter {
    bytes: Vec<u8>,
    at: usize,
    last: u64,
}

impl IntoIter {
    fn number(&mut self) -> Result<u64> {
        let (mut number, mut shift) = (0, 0);
        loop {
            let byte = *self.bytes.get(self.at).context("the list of its rankings ends within a number")?;
            self.at += 1;
            ensure!(shift < u64::BITS, "the list of its rankings has a number that is too large");
            number |= u64::from(byte & ((1 << BITS) - 1)) << shift;
            shift += BITS;
            if byte < 1 << BITS {
                return Ok(number);
            }
        }
    }

    fn located(&mut self) -> Result<Located> {
        let position =
            self.last.checked_add(self.number()?).context("the list of its rankings has a false position")?;
        ensure!(self.last < position || self.last == 0, "the list of its rankings is not in the order of the input");
        self.last = position;
        Ok(Located { position, bytes: self.number()? })
    }
}

impl Iterator for IntoIter {
    type Item = Result<Located>;

    fn next(&mut self) -> Option<Self::Item> {
        (self.at < self.bytes.len()).then(|| self.located())
    }
}

impl Serialize for Index {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.bytes))
    }
}

impl<'de> Deserialize<'de> for Index {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD.decode(text).map_err(serde::de::Error::custom)?;
        Ok(Self { bytes, last: 0 })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_added_is_read_back(steps in proptest::collection::vec((1u64..1 << 42, 0u64..1 << 40), 0..50)) {
            let mut position = 0;
            let located: Vec<Located> = steps.iter().map(|&(step, bytes)| {
                position += step;
                Located { position, bytes }
            }).collect();
            let mut index = Index::default();
            located.iter().for_each(|&ranking| index.push(ranking).unwrap());
            let text = serde_json::to_string(&index).unwrap();
            let read: Index = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(read.into_iter().collect::<Result<Vec<_>>>().unwrap(), located);
        }

        #[test]
        fn a_damaged_list_is_an_error_and_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let mut last = None;
            for located in (Index { bytes, last: 0 }).into_iter() {
                let Ok(located) = located else { break };
                prop_assert!(last.is_none_or(|last| last < located.position || last == 0));
                last = Some(located.position);
            }
        }
    }

    #[test]
    fn rankings_out_of_order_are_refused() {
        let mut index = Index::default();
        index.push(Located { position: 5, bytes: 1 }).unwrap();
        assert!(index.push(Located { position: 5, bytes: 1 }).is_err());
    }
}
