//! Resolves the options of `rerank eval`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::distinct::{Files, check_distinct};
use super::input::check_file;
use super::model::resolve_threads;
use crate::cli::{EvalArguments, TestChoice};
use crate::evaluation::command::{Eval, RunFile};
use crate::evaluation::compare::Test;
use crate::evaluation::evaluate::EvaluationOptions;
use crate::evaluation::html::PageOptions;
use crate::evaluation::measures::Measure;
use crate::evaluation::report::ReportFormat;
use crate::evaluation::tuning::Tuning;
use crate::input::name_without_extensions;
use crate::output::extension;
use crate::progress::Verbosity;
use crate::store;

/// The measures that are computed where none is named.
const USUAL: &str = "nDCG@10 RR@10 AP R@100 Judged@10";
/// The same in trec_eval's layout.
const USUAL_OF_TREC: &str = "official";
/// The name of standard input.
const STANDARD_INPUT: &str = "-";

/// Resolves the options of `rerank eval`.
///
/// # Errors
/// If a file does not exist, a measure or a run is not known, or options contradict each other.
pub fn resolve_eval(arguments: &EvalArguments) -> Result<Eval> {
    let runs = resolve_runs(&arguments.runs)?;
    let qrels = file(&arguments.qrels, "--qrels")?;
    let from_stdin = runs.iter().map(|run| &run.path).chain([&qrels]).filter(|path| path.is_none()).count();
    ensure!(from_stdin < 2, "standard input can be one file, and `-` names {from_stdin}: write the others to files");
    ensure!(
        arguments.baseline.is_none() || runs.len() > 1,
        "--baseline: there is one run, and nothing to compare it with; name several runs, or leave the option out"
    );
    check_test(arguments, runs.len())?;
    let test = match arguments.test.unwrap_or(TestChoice::T) {
        TestChoice::T => Some(Test::T),
        TestChoice::Randomisation => Some(Test::Randomisation),
        TestChoice::None => None,
    };
    ensure!(
        arguments.baseline.is_none() || test.is_some(),
        "--baseline names a run to compare with, and --test none compares none; leave one of them out"
    );
    ensure!(
        !(arguments.per_query && arguments.format == ReportFormat::Latex),
        "--per-query: the table in LaTeX has the summaries only; use --format table, jsonl, csv or trec for every query"
    );
    let page = resolve_page(arguments, &runs, qrels.as_deref())?;
    Ok(Eval {
        qrels,
        qrels_format: arguments.qrels_format,
        baseline: baseline(&runs, arguments.baseline.as_deref())?,
        runs,
        run_format: arguments.input_format,
        measures: resolve_measures(arguments)?,
        options: EvaluationOptions { complete: arguments.complete, depth: arguments.depth.map(|depth| depth as usize) },
        // trec_eval's layout has no place for it.
        test: test.filter(|_| arguments.format != ReportFormat::Trec || page.is_some()),
        page,
        threads: resolve_threads(arguments.threads)?,
        verbosity: if arguments.quiet { Verbosity::Quiet } else { Verbosity::Normal },
    })
}

/// Refuses a test where nothing is compared, or nothing of it is printed.
fn check_test(arguments: &EvalArguments, runs: usize) -> Result<()> {
    let names_test = arguments.test.is_some_and(|test| test != TestChoice::None);
    if !names_test || arguments.report.is_some() {
        return Ok(());
    }
    ensure!(
        runs > 1,
        "--test: there is one run, and nothing to compare it with; name several runs, or leave the option out"
    );
    ensure!(
        arguments.format != ReportFormat::Trec,
        "--test: trec_eval's layout has no place for comparisons; use --format table, jsonl, csv or latex, or leave one of the \
         two out"
    );
    Ok(())
}

/// Resolves the options of `rerank eval --tune-fusion`.
///
/// # Errors
/// If a file does not exist, a measure is not known, or options contradict each other.
pub fn resolve_tuning(arguments: &EvalArguments) -> Result<Tuning> {
    let runs = resolve_runs(&arguments.runs)?;
    ensure!(
        runs.len() < 3,
        "--tune-fusion: {} runs are named; name one, ranked JSONL with the first stage's scores, or two, the first stage's and the reranker's",
        runs.len()
    );
    ensure!(
        matches!(arguments.format, ReportFormat::Table | ReportFormat::Jsonl),
        "--tune-fusion is printed as a table or as JSON; use --format table or jsonl"
    );
    let qrels = file(&arguments.qrels, "--qrels")?;
    let from_stdin = runs.iter().map(|run| &run.path).chain([&qrels]).filter(|path| path.is_none()).count();
    ensure!(from_stdin < 2, "standard input can be one file, and `-` names {from_stdin}: write the others to files");
    let mut measures = resolve_measures(arguments)?;
    ensure!(
        arguments.measures.is_empty() || measures.len() == 1,
        "--tune-fusion makes one measure high, and --measures names {}; name one",
        measures.len()
    );
    let measure = measures.swap_remove(0);
    ensure!(
        !measure.is_count() && !measure.is_geometric_mean(),
        "--tune-fusion makes a mean over the queries high, and {measure} is none; name another measure"
    );
    Ok(Tuning {
        qrels,
        qrels_format: arguments.qrels_format,
        runs,
        run_format: arguments.input_format,
        measure,
        threads: resolve_threads(arguments.threads)?,
        verbosity: if arguments.quiet { Verbosity::Quiet } else { Verbosity::Normal },
    })
}

/// The grade from which on documents are relevant, where nothing else is said.
const LEVEL: i32 = 1;

/// The page that is written: a file of its own, of runs that can be read twice.
fn resolve_page(arguments: &EvalArguments, runs: &[RunFile], qrels: Option<&Path>) -> Result<Option<PageOptions>> {
    let Some(path) = arguments.report.clone() else { return Ok(None) };
    store::check_local(&path, "--report")?;
    let is_page = matches!(extension(&path).as_deref(), Some("html" | "htm"));
    ensure!(is_page, "--report {}: the report is a page in HTML; name it .html", path.display());
    for run in runs {
        let is_file = run.path.as_ref().is_some_and(|path| path.is_file() || store::is_address(path));
        let file = run.path.as_ref().map_or_else(|| "standard input".to_owned(), |path| path.display().to_string());
        ensure!(is_file, "--report: the runs are read twice, and {file} can be read only once; write it to a file");
    }
    let texts = |path: &Option<PathBuf>, option| -> Result<Option<PathBuf>> {
        let named = |path: &PathBuf| file(path, option)?.with_context(|| format!("{option}: name a file"));
        path.as_ref().map(named).transpose()
    };
    let queries = texts(&arguments.queries, "--queries")?;
    let collection = texts(&arguments.collection, "--collection")?;
    let read = runs.iter().filter_map(|run| run.path.clone()).chain(queries.clone());
    check_distinct(&Files {
        inputs: Vec::new(),
        input: qrels.map(Path::to_owned),
        others: read.chain(collection.clone()).collect(),
        output: None,
        others_written: vec![("--report", path.clone())],
        is_dry_run: false,
    })?;
    Ok(Some(PageOptions { path, queries, collection, level: arguments.level.unwrap_or(LEVEL) }))
}

fn resolve_measures(arguments: &EvalArguments) -> Result<Vec<Measure>> {
    let usual = if arguments.format == ReportFormat::Trec { USUAL_OF_TREC } else { USUAL };
    let named = if arguments.measures.is_empty() { vec![usual.to_owned()] } else { arguments.measures.clone() };
    let says_level = |text: &String| text.split(['(', ',', ' ']).any(|part| part.starts_with("rel="));
    ensure!(
        arguments.level.is_none() || !named.iter().any(says_level),
        "--level and rel= in --measures both say from which grade on documents are relevant; leave one of them out"
    );
    parse_measures(&named, arguments.level)
}

/// The measures of these texts, with documents relevant from a grade on, each once.
pub(super) fn parse_measures(named: &[String], level: Option<i32>) -> Result<Vec<Measure>> {
    let mut measures: Vec<Measure> = Vec::new();
    for text in named {
        for measure in Measure::parse_list(text).with_context(|| format!("--measures {text}"))? {
            let levelled = level.map_or_else(|| measure.clone(), |level| measure.clone().with_level(level));
            // Named twice, it would be printed twice, and in JSON lost.
            if !measures.contains(&levelled) {
                measures.push(levelled);
            }
        }
    }
    ensure!(!measures.is_empty(), "--measures names no measure; name some, as in nDCG@10, or leave it out");
    Ok(measures)
}

fn baseline(runs: &[RunFile], name: Option<&str>) -> Result<usize> {
    let Some(name) = name else { return Ok(0) };
    let names = || runs.iter().map(|run| run.name.as_str()).collect::<Vec<_>>().join(", ");
    let place = runs.iter().position(|run| run.name == name);
    place.with_context(|| format!("--baseline {name}: no run is called so; the runs are {}", names()))
}

/// The runs with different names: the one that is given, or the file's name, with its folder where two files have one name.
fn resolve_runs(arguments: &[String]) -> Result<Vec<RunFile>> {
    let mut runs = Vec::new();
    let mut shown = Vec::new();
    for argument in arguments {
        let is_file = Path::new(argument).exists() || store::is_address(Path::new(argument));
        let named = argument.split_once('=').filter(|(name, _)| !name.is_empty() && !is_file);
        let path = file(Path::new(named.map_or(argument.as_str(), |(_, path)| path)), "RUN")?;
        let name = named.map_or_else(|| short_name(path.as_deref()), |(name, _)| name.to_owned());
        shown.push((store::without_secrets(argument), named.is_some()));
        runs.push(RunFile { name, path, is_named: named.is_some() });
    }
    let mut counts: HashMap<String, usize> = HashMap::new();
    runs.iter().for_each(|run| *counts.entry(run.name.clone()).or_default() += 1);
    for (run, (argument, is_named)) in runs.iter_mut().zip(&shown) {
        if counts.get(&run.name).is_some_and(|&count| count > 1) && !is_named {
            run.name = argument.clone();
        }
    }
    for (index, run) in runs.iter().enumerate() {
        if runs.iter().take(index).any(|other| other.name == run.name) {
            let file = run.path.as_deref().map_or("-".into(), |path| path.display().to_string());
            bail!("two runs are called {}: give one of them another name, as in NAME={file}", run.name);
        }
    }
    Ok(runs)
}

/// The name of a run's file without its folder, and without what names its format and its compression.
fn short_name(path: Option<&Path>) -> String {
    let name = path.and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    name.map_or_else(|| "standard input".to_owned(), |name| name_without_extensions(&name).to_owned())
}

/// A file that is read; `None` is standard input.
fn file(path: &Path, option: &str) -> Result<Option<PathBuf>> {
    if path.as_os_str() == STANDARD_INPUT {
        return Ok(None);
    }
    // The file is not opened here: opening a named pipe would take its content away from the reader.
    let path = store::public(path).with_context(|| option.to_owned())?;
    check_file(&path).with_context(|| option.to_owned())?;
    Ok(Some(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_have_the_shortest_names_that_differ() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, "").unwrap();
            path.to_str().unwrap().to_owned()
        };
        let (first, second, other) = (write("a/run.trec.gz"), write("b/run.trec"), write("x=y.v2.jsonl"));
        let names = |arguments: &[String]| -> Result<Vec<String>> {
            Ok(resolve_runs(arguments)?.into_iter().map(|run| run.name).collect())
        };
        assert_eq!(names(&[first.clone(), other.clone()]).unwrap(), ["run", "x=y.v2"]);
        assert_eq!(names(&[first.clone(), second.clone()]).unwrap(), [first.clone(), second]);
        assert_eq!(
            names(&[format!("bm25={first}"), first.clone(), "-".into()]).unwrap(),
            ["bm25", "run", "standard input"]
        );
        let error = names(&[first.clone(), first]).unwrap_err().to_string();
        assert!(error.contains("two runs are called") && error.contains("as in NAME="), "{error}");
    }
}
