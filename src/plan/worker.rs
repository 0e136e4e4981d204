//! The command line of a worker: that of the plan, without what only a plan has.

use std::borrow::Cow;
use std::path::Path;

use crate::store;

/// The options of a plan that a worker does not have; each has a value.
const OWN: [&str; 7] =
    ["--shards", "--minutes", "--pairs-per-second", "--tokens-per-second", "--speed", "--load-seconds", "--format"];

/// The command line of a worker, quoted for a shell: from the arguments behind `rerank plan`.
pub fn command_line(arguments: &[String], shard: &str) -> String {
    let mut line = vec![Cow::from("rerank")];
    let added = ["--output", "parts", "--shard", shard].map(Cow::from);
    // Everything behind a lone `--` is a file.
    let options = arguments.iter().position(|argument| argument == "--").unwrap_or(arguments.len());
    let (options, files) = arguments.split_at(options);
    let mut rest = options.iter();
    while let Some(argument) = rest.next() {
        if OWN.contains(&argument.as_str()) {
            rest.next();
        } else if !OWN.iter().any(|own| argument.strip_prefix(own).is_some_and(|value| value.starts_with('='))) {
            line.push(quoted(argument));
        }
    }
    line.extend(added.into_iter().chain(files.iter().map(|file| quoted(file))));
    line.join(" ")
}

/// An argument as a POSIX shell takes it literally.
fn quoted(argument: &str) -> Cow<'_, str> {
    let argument = public(argument);
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./,:=@%+".contains(&byte);
    if !argument.is_empty() && argument.bytes().all(is_plain) {
        return argument;
    }
    format!("'{}'", argument.replace('\'', r"'\''")).into()
}

/// An argument without what is secret in an address.
fn public(argument: &str) -> Cow<'_, str> {
    match argument.split_once('=').filter(|(option, _)| option.starts_with('-')) {
        Some((option, value)) if store::is_web(Path::new(value)) => {
            format!("{option}={}", store::without_secrets(value)).into()
        }
        None if store::is_web(Path::new(argument)) => store::without_secrets(argument).into(),
        _ => argument.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_has_the_options_of_a_plan_but_for_its_own() {
        let arguments =
            ["in/*.jsonl", "--minutes", "2", "--model", "it's", "--format=json", "--shards=9", "--dtype=bf16"];
        let line = command_line(&arguments.map(str::to_owned), "I/9");
        assert_eq!(line, r"rerank 'in/*.jsonl' --model 'it'\''s' --dtype=bf16 --output parts --shard I/9");
    }

    #[test]
    fn what_stands_behind_two_dashes_stays_a_file() {
        let arguments = ["--minutes", "2", "--model", "m", "--", "in.jsonl", "--format=json"];
        let line = command_line(&arguments.map(str::to_owned), "I/9");
        assert_eq!(line, "rerank --model m --output parts --shard I/9 -- in.jsonl --format=json");
    }
}
