//! The table of a report, which fits 80 columns.

use std::fmt::{self, Display, Formatter};

use console::{measure_text_width, truncate_str};

use super::report::{Comparison, Entry, Report};
use crate::progress::counted;

/// The columns of a terminal that is not wider than usual.
const COLUMNS: usize = 80;
/// Those of a document's number and text.
const TEXT: usize = 27;

/// What can be done where nothing is compared, with a model as its options name it.
fn nothing_compared(model: &str) -> String {
    format!(
        "\
Nothing was compared. If it is a published model, --as NAME compares it with
that one (rerank check --list has the names). On another machine:
  rerank check {model} --format json > scores.json
and here
  rerank check {model} --golden scores.json
"
    )
}

impl Display for Report {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let run = &self.run;
        writeln!(formatter, "model   {}", run.model)?;
        writeln!(formatter, "recipe  {} ({}); score: {}", run.recipe.name, run.recipe.origin, run.recipe.score)?;
        if let Some(weights) = &run.weights {
            writeln!(formatter, "weights {weights}")?;
        }
        writeln!(formatter, "device  {}", run.device)?;
        for (dtype, kernels) in self.kernels() {
            writeln!(formatter, "{dtype:<7} by {kernels}")?;
        }
        match &run.compared_with {
            Some(with) => {
                let by = if run.by_order { ", by order alone, as the weights are quantized" } else { "" };
                writeln!(formatter, "compared with {with}{by}\n")?;
                row(formatter, "", "dtype", ["expected", "got", "difference", "allowed", ""])?;
            }
            None => {
                writeln!(formatter, "compared with nothing\n")?;
                row(formatter, "", "dtype", ["logit", "score", "", "", ""])?;
            }
        }
        let sources = self.sources();
        let queries = self.entries.iter().map(|entry| entry.number).max().unwrap_or(0);
        for number in 1..=queries {
            let entries: Vec<&Entry> = self.entries.iter().filter(|entry| entry.number == number).collect();
            query(formatter, &entries, &sources)?;
        }
        writeln!(formatter)?;
        for (index, source) in sources.iter().enumerate() {
            writeln!(formatter, "[{}] {}", index + 1, cut(source, usize::MAX))?;
        }
        self.conclusion(formatter)
    }
}

impl Report {
    /// The kernels of each precision.
    fn kernels(&self) -> Vec<(&'static str, &str)> {
        let mut kernels: Vec<_> = self.entries.iter().map(|entry| (entry.dtype, entry.kernels.as_str())).collect();
        kernels.dedup();
        kernels
    }

    /// The sources of known scores, which are too long for the table.
    fn sources(&self) -> Vec<&str> {
        let mut sources: Vec<&str> = Vec::new();
        for source in self.entries.iter().flat_map(|entry| &entry.compared).filter_map(|known| known.source.as_deref())
        {
            if !sources.contains(&source) {
                sources.push(source);
            }
        }
        sources
    }

    /// What holds of all pairs.
    fn conclusion(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let dtypes: Vec<&str> = self.kernels().into_iter().map(|(dtype, _)| dtype).collect();
        let apart = self.entries.iter().map(|entry| entry.alone.difference).fold(0., f64::max);
        match apart == 0. {
            true => writeln!(formatter, "Every pair alone has the very score that it has in a batch.")?,
            false => writeln!(formatter, "Pairs alone and in a batch differ by up to {apart:.1e}.")?,
        }
        self.order(formatter, &dtypes)?;
        if self.agrees == Some(true) {
            let compared = self.entries.iter().flat_map(|entry| &entry.compared);
            let count: usize = compared.map(|compared| compared.agrees.len()).sum();
            let dtypes = dtypes.join(", ");
            match count {
                _ if self.run.by_order => writeln!(
                    formatter,
                    "Documents whose known logits are more than 2 apart are in their order, in {dtypes}."
                )?,
                1 => writeln!(formatter, "The one score agrees, in {dtypes}.")?,
                count => writeln!(formatter, "All {count} scores agree, in {dtypes}.")?,
            }
        }
        if self.run.compared_with.is_none() {
            let adapter = if self.run.names_adapter { " --adapter ADAPTER" } else { "" };
            formatter.write_str(&nothing_compared(&format!("--model MODEL{adapter}")))?;
        }
        Ok(())
    }

    /// Whether documents that answer their query are first. It is no verdict: not every model was trained on such questions.
    fn order(&self, formatter: &mut Formatter<'_>, dtypes: &[&str]) -> fmt::Result {
        let is_first = |entry: &Entry| {
            let relevant = entry.logits[entry.texts.relevant?];
            Some(entry.logits.iter().filter(|&&logit| logit >= relevant).count() == 1)
        };
        let mut is_always = true;
        for dtype in dtypes {
            let of_dtype = self.entries.iter().filter(|entry| entry.dtype == *dtype && entry.logits.len() > 1);
            let first: Vec<bool> = of_dtype.filter_map(is_first).collect();
            let right = first.iter().filter(|&&is_first| is_first).count();
            if !first.is_empty() {
                let count = first.len();
                let count = counted(count as u64, "query", "queries");
                writeln!(formatter, "In {dtype} the document that answers is first in {right} of {count}.")?;
            }
            is_always &= right == first.len();
        }
        if !is_always && self.agrees != Some(true) {
            writeln!(formatter, "A wrong recipe may be why, or a model that was trained for other questions.")?;
        }
        Ok(())
    }
}

/// The lines of one query: its documents, and each of them in every precision.
fn query(formatter: &mut Formatter<'_>, entries: &[&Entry], sources: &[&str]) -> fmt::Result {
    let Some(first) = entries.first() else { return Ok(()) };
    let number = first.number;
    writeln!(formatter, "{}", cut(&format!("{number} {}", first.texts.query), COLUMNS))?;
    if let Some(instruction) = &first.texts.instruction {
        writeln!(formatter, "{}", cut(&format!("  instruction: {instruction}"), COLUMNS))?;
    }
    let mut lines: Vec<String> = Vec::new();
    for Comparison { values, dtype, source, .. } in entries.iter().flat_map(|entry| &entry.compared) {
        let number = sources.iter().position(|known| Some(*known) == source.as_deref());
        let from = number.map_or_else(String::new, |number| format!(" [{}]", number + 1));
        lines.push(format!("  {values} in {dtype}{from}"));
    }
    lines.dedup();
    lines.iter().try_for_each(|line| writeln!(formatter, "{line}"))?;
    for (index, document) in first.texts.documents.iter().enumerate() {
        let mut label = format!("  {number}.{} {document}", index + 1);
        for entry in entries {
            for compared in &entry.compared {
                let verdict = if compared.agrees[index] { "ok" } else { "OFF" };
                let numbers =
                    [compared.expected[index], f64::from(compared.got[index]), compared.difference[index]].map(value);
                let [expected, got, difference] = numbers.each_ref().map(String::as_str);
                let allowed = compared.allowed.as_ref().map_or("order".to_owned(), |allowed| allowance(allowed[index]));
                let cells = [expected, got, difference, &allowed, verdict];
                row(formatter, &std::mem::take(&mut label), entry.dtype, cells)?;
            }
            if entry.compared.is_empty() {
                let numbers = [entry.logits[index], entry.scores[index]].map(|number| value(f64::from(number)));
                let [logit, score] = numbers.each_ref().map(String::as_str);
                row(formatter, &std::mem::take(&mut label), entry.dtype, [logit, score, "", "", ""])?;
            }
        }
    }
    Ok(())
}

fn row(formatter: &mut Formatter<'_>, label: &str, dtype: &str, cells: [&str; 5]) -> fmt::Result {
    let [first, second, third, fourth, last] = cells;
    let label = cut(label, TEXT);
    let blank = " ".repeat(TEXT - measure_text_width(&label));
    let line = format!("{label}{blank} {dtype:<5} {first:>10} {second:>10} {third:>10} {fourth:>8} {last}");
    writeln!(formatter, "{}", line.trim_end())
}

/// The beginning of a text that fits into so many columns, without characters that steer a terminal.
fn cut(text: &str, columns: usize) -> String {
    let text: String = text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect();
    truncate_str(&text, columns, "…").into_owned()
}

/// Six decimals, or the digits of numbers that are smaller.
fn value(number: f64) -> String {
    if number == 0. || number.abs() >= 1e-3 { format!("{number:.6}") } else { format!("{number:.3e}") }
}

fn allowance(number: f64) -> String {
    if number >= 1e-4 { format!("{number:.4}") } else { format!("{number:.1e}") }
}
