//! Models in several files, whose names end in `-00001-of-00003.gguf`.

use anyhow::{Context, Result, ensure};

use super::file::GgufFile;

/// More parts than any model has.
const MOST_PARTS: usize = 4096;

/// The names of all parts of a model of which one has this name; that alone, if it is no part.
pub(in crate::checkpoint) fn parts(name: &str) -> Vec<String> {
    let numbered = || {
        let (rest, count) = name.strip_suffix(".gguf")?.rsplit_once("-of-")?;
        let (stem, number) = rest.rsplit_once('-')?;
        let digits = |text: &str| text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
        let count: usize = Some(count).filter(|count| digits(count) && digits(number))?.parse().ok()?;
        let names = (1..=count).map(|number| format!("{stem}-{number:05}-of-{count:05}.gguf"));
        (1..=MOST_PARTS).contains(&count).then(|| names.collect())
    };
    numbered().unwrap_or_else(|| vec![name.to_owned()])
}

/// Checks that these files are all parts of one model, in their order.
pub(super) fn check(files: &[GgufFile]) -> Result<()> {
    let tensors: usize = files.iter().map(|file| file.tensors.len()).sum();
    for (index, file) in files.iter().enumerate() {
        let place = file.path.display();
        let stated = |name| file.metadata.count(name).with_context(|| place.to_string());
        let count = stated("split.count")?.unwrap_or(1).max(1);
        ensure!(
            count == files.len(),
            "{place}: the metadata's split.count is {count}, and by its name it is one of {} parts; give all parts the names that they \
             were published with",
            files.len()
        );
        let number = stated("split.no")?.unwrap_or(0);
        ensure!(
            number == index,
            "{place}: the metadata's split.no is {number}, and by its name it is {index}; download the parts again"
        );
        let all = stated("split.tensors.count")?.unwrap_or(tensors);
        ensure!(
            all == tensors,
            "{place}: the metadata's split.tensors.count is {all}, and the {} parts have {tensors} tensors; download them again",
            files.len()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_names_all_of_them() {
        assert_eq!(parts("Q8_0/m-00002-of-00002.gguf"), ["Q8_0/m-00001-of-00002.gguf", "Q8_0/m-00002-of-00002.gguf"]);
        for name in ["m.gguf", "m-1-of-2.gguf", "m-00001-of-99999.gguf", "m-00001-of-00000.gguf"] {
            assert_eq!(parts(name), [name]);
        }
    }
}
