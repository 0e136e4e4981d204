//! A report as a table for a paper. It needs `\usepackage{booktabs}`.

use super::{Report, SIGNIFICANT, rounded};

pub(super) fn print(report: &Report) -> String {
    let columns = "r".repeat(report.measures.len());
    let mut text = String::new();
    if let Some(comparison) = &report.comparison {
        text += &format!(
            "% $^{{*}}$: p < {SIGNIFICANT} against {}, {}, Holm's correction over runs\n",
            report.baseline().replace(char::is_control, " "),
            comparison.test.describe()
        );
    }
    let names: Vec<String> = report.measures.iter().map(|measure| escaped(&measure.to_string())).collect();
    text += &format!("\\begin{{tabular}}{{l{columns}}}\n\\toprule\nRun & {} \\\\\n\\midrule\n", names.join(" & "));
    let summaries = report.summaries();
    for (index, (run, summary)) in report.runs.iter().zip(&summaries).enumerate() {
        let cell = |(place, &value): (usize, &f64)| {
            let value = report.measures.get(place).map(|measure| rounded(measure, value)).unwrap_or_default();
            let is_significant = report.difference(index, place).is_some_and(|difference| difference.p < SIGNIFICANT);
            let value = if report.is_best(&summaries, index, place) { format!("\\textbf{{{value}}}") } else { value };
            if is_significant { value + "$^{*}$" } else { value }
        };
        let cells: Vec<String> = summary.iter().enumerate().map(cell).collect();
        text += &format!("{} & {} \\\\\n", escaped(&run.name), cells.join(" & "));
    }
    text + "\\bottomrule\n\\end{tabular}\n"
}

/// A text without what LaTeX takes for commands.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '\\' => escaped += "\\textbackslash{}",
            '~' => escaped += "\\textasciitilde{}",
            '<' => escaped += "\\textless{}",
            '>' => escaped += "\\textgreater{}",
            '"' => escaped += "\\textquotedbl{}",
            character if character.is_control() => escaped.push(' '),
            '^' => escaped += "\\textasciicircum{}",
            '#' | '$' | '%' | '&' | '_' | '{' | '}' => escaped.extend(['\\', character]),
            character => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_are_no_commands() {
        assert_eq!(super::escaped(r"a_b{50%}\x"), r"a\_b\{50\%\}\textbackslash{}x");
        assert_eq!(super::escaped("<a>\n"), r"\textless{}a\textgreater{} ");
    }
}
