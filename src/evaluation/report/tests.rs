use super::super::evaluate::EvaluatedQuery;
use super::*;

fn run(name: &str, values: &[f64]) -> EvaluatedRun {
    let query = |(index, &value): (usize, &f64)| EvaluatedQuery {
        id: format!("q{}", 10 - index).into(),
        values: [value, 3.].into(),
        judged: 3,
        ties: 1,
        retrieved: 3,
    };
    let queries = values.iter().enumerate().map(query).collect();
    EvaluatedRun { name: name.to_owned(), tag: None, evaluation: Evaluation { queries, lacking: 0, unjudged: 0 } }
}

fn report() -> Report {
    let measures = ["nDCG@10", "NumRet"].map(|name| Measure::parse(name).unwrap()).to_vec();
    Report { measures, runs: vec![run("bm25", &[0.25, 0.5]), run("a_b & c", &[0.5, 1.])], comparison: None }
}

#[test]
fn a_table_is_aligned_and_the_best_value_set_off() {
    let text = report().print(ReportFormat::Table, false, true).unwrap();
    let expected = "run      queries   ties  nDCG@10  NumRet\n\
                    bm25           2  50.0%   0.3750       6\n\
                    a_b & c        2  50.0%   \u{1b}[1m0.7500\u{1b}[0m       6\n";
    assert_eq!(text, expected);
}

#[test]
fn trec_evals_layout_has_its_names_and_its_order() {
    let text = report().print(ReportFormat::Trec, true, false).unwrap();
    let expected = ["ndcg_cut_10           \tq10\t0.2500", "num_ret               \tq10\t3"];
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..2], expected);
    assert_eq!(lines[2], "ndcg_cut_10           \tq9\t0.5000");
    assert_eq!(
        lines[4..7],
        ["runid                 \tall\tbm25", "ndcg_cut_10           \tall\t0.3750", "num_ret               \tall\t6"]
    );
}

#[test]
fn latex_has_one_cell_for_each_measure() {
    let text = report().print(ReportFormat::Latex, false, false).unwrap();
    assert!(
        text.contains("bm25 & 0.3750 & 6 \\\\\n") && text.contains("a\\_b \\& c & \\textbf{0.7500} & 6 \\\\\n"),
        "{text}"
    );
}
