//! `rerank eval`: reads judgements and runs, evaluates them, and compares the runs.

use std::collections::HashSet;
use std::path::PathBuf;

use anyhow::{Result, bail};

use super::compare::{Test, compare};
use super::evaluate::{Evaluation, EvaluationOptions, evaluate};
use super::html::{self, PageOptions};
use super::measures::Measure;
use super::qrels::{Qrels, QrelsFormat};
use super::report::{EvaluatedRun, Report};
use super::run::{Run, RunFileFormat};
use crate::output::{Existing, OutputFile};
use crate::progress::{Progress, Reporter, Verbosity, counted};

/// The configuration of an evaluation.
#[derive(Debug)]
pub struct Eval {
    /// The judgements; `None` is standard input.
    pub qrels: Option<PathBuf>,
    /// Their format, unless it is recognised.
    pub qrels_format: Option<QrelsFormat>,
    /// The runs.
    pub runs: Vec<RunFile>,
    /// Their format, unless it is recognised.
    pub run_format: Option<RunFileFormat>,
    /// The measures.
    pub measures: Vec<Measure>,
    /// Which queries and documents count.
    pub options: EvaluationOptions,
    /// The place of the run with which the others are compared.
    pub baseline: usize,
    /// How the runs are compared; `None` compares none.
    pub test: Option<Test>,
    /// The page that is written, if one is wanted.
    pub page: Option<PageOptions>,
    /// Threads that compute.
    pub threads: usize,
    /// How much is printed on standard error.
    pub verbosity: Verbosity,
}

/// A run's file, and its name in the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFile {
    /// The name.
    pub name: String,
    /// The file; `None` is standard input.
    pub path: Option<PathBuf>,
    /// Whether the name was given, and goes before the one in the run's own lines.
    pub is_named: bool,
}

impl Eval {
    /// Evaluates the runs.
    ///
    /// # Errors
    /// If a file can't be read, a measure is not defined for the grades, a run has no query that was judged, or the page can't be
    /// written.
    pub fn run(&self) -> Result<Report> {
        crate::threads::start(self.threads)?;
        // These lines may be lost if standard error is closed, but the report must not be.
        let reporter = Reporter::new(Progress::None, self.verbosity);
        let page =
            self.page.as_ref().map(|page| anyhow::Ok((page, OutputFile::open(&page.path, Existing::Overwrite)?)));
        let page = page.transpose()?;
        let qrels = Qrels::read(self.qrels.as_deref(), self.qrels_format)?;
        qrels.notes().iter().for_each(|note| reporter.note(note));
        qrels.check(&self.measures)?;
        // One run at a time is held in memory.
        let evaluated = |file: &RunFile| self.evaluate(file, &qrels, &reporter);
        let mut runs = self.runs.iter().map(evaluated).collect::<Result<Vec<_>>>()?;
        self.settle_queries(&mut runs, &qrels, &reporter)?;
        let several = runs.len() > 1;
        let evaluations = || runs.iter().map(|run| &run.evaluation).collect::<Vec<_>>();
        let comparison = self.test.filter(|_| several);
        let comparison = comparison.map(|test| compare(&evaluations(), &self.measures, self.baseline, test));
        let report = Report { measures: self.measures.clone(), runs, comparison };
        if let Some((options, mut file)) = page {
            html::write(
                options,
                &mut file,
                html::Evaluated { eval: self, report: &report, qrels: &qrels, reporter: &reporter },
            )?;
        }
        Ok(report)
    }

    fn evaluate(&self, file: &RunFile, qrels: &Qrels, reporter: &Reporter) -> Result<EvaluatedRun> {
        let run = Run::read(file.path.as_deref(), self.run_format)?;
        run.notes().iter().for_each(|note| reporter.note(note));
        let evaluation = evaluate(qrels, &run, &self.measures, self.options);
        let of_run = run.queries().len();
        if evaluation.unjudged == of_run {
            let example = |id: Option<&str>| id.unwrap_or_default().to_owned();
            bail!(
                "no query of {} has judgements in {}: the run has queries such as {:?}, the qrels such as {:?}; are these the \
                 judgements of the same queries?",
                run.name(),
                qrels.name(),
                example(run.queries().first().map(|query| &*query.id)),
                example(qrels.queries().first().map(|query| &*query.id))
            );
        }
        reporter.line(&coverage(&file.name, &evaluation, qrels, self.options.complete));
        let has_documents = evaluation.queries.iter().any(|query| query.retrieved > 0);
        if has_documents && evaluation.queries.iter().all(|query| query.judged == 0) {
            reporter.warning(&format!(
                "no document of {} has a judgement in {}: do both have the same identifiers of documents?",
                run.name(),
                qrels.name()
            ));
        }
        let tag = run.tag().filter(|_| !file.is_named).map(str::to_owned);
        Ok(EvaluatedRun { name: file.name.clone(), tag, evaluation })
    }

    /// Leaves the queries that all runs have: other means could not be compared.
    fn settle_queries(&self, runs: &mut [EvaluatedRun], qrels: &Qrels, reporter: &Reporter) -> Result<()> {
        if self.options.complete || runs.len() < 2 || runs.iter().all(|run| run.evaluation.lacking == 0) {
            return Ok(());
        }
        let ids: Vec<HashSet<Box<str>>> =
            (runs.iter()).map(|run| run.evaluation.queries.iter().map(|query| query.id.clone()).collect()).collect();
        let is_common = |id: &str| ids.iter().all(|ids| ids.contains(id));
        let common = qrels.queries().iter().filter(|query| is_common(&query.id)).count();
        if common == 0 {
            bail!("the runs have no judged query in common: name runs of the same queries, or add --complete");
        }
        for run in runs.iter_mut() {
            run.evaluation.queries.retain(|query| is_common(&query.id));
        }
        reporter.note(&format!(
            "the runs are compared over the {} that all of them have; --complete counts what a run lacks as an empty ranking",
            counted(common as u64, "query", "queries")
        ));
        Ok(())
    }
}

/// How the queries of a run and of the judgements fit together.
fn coverage(name: &str, evaluation: &Evaluation, qrels: &Qrels, complete: bool) -> String {
    let judged = qrels.queries().len();
    let had = judged - evaluation.lacking;
    let lacking = match (evaluation.lacking, complete) {
        (0, _) => String::new(),
        (_, true) => ", the others count with empty rankings".to_owned(),
        (_, false) => ", the others do not count (--complete counts them with empty rankings)".to_owned(),
    };
    format!(
        "{name}: has {had} of {} that were judged{lacking}; {} of the run {} no judgements",
        counted(judged as u64, "query", "queries"),
        counted(evaluation.unjudged as u64, "query", "queries"),
        if evaluation.unjudged == 1 { "has" } else { "have" }
    )
}
