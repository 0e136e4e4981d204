//! What the options mean: defaults resolved, conflicts refused with a remedy. After this, nobody reads options again.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use same_file::Handle;

use crate::batch::LimitsChoice;
use crate::bench::{Bench, Model};
use crate::cli::{
    BatchArguments, BenchArguments, DtypeChoice, InputArguments, OnError, OutputArguments, ProgressChoice,
    RankArguments,
};
use crate::device::DeviceChoice;
use crate::input::InputOptions;
use crate::kernels::{Level, Precision};
use crate::model::ModelSource;
use crate::output::{Layout, OutputFormat};
use crate::rank::Cutoff;

/// One ranking run, understood.
#[derive(Debug)]
pub struct Config {
    /// Where the candidates come from.
    pub input: InputOptions,
    /// Whether a record that can't be used is skipped; else the run stops there.
    pub skip_bad_records: bool,
    /// Where the rankings go; `None` is standard output.
    pub output: Option<PathBuf>,
    /// What the lines look like.
    pub layout: Layout,
    /// Which candidates are kept.
    pub cutoff: Cutoff,
    /// Where the run's figures go.
    pub stats: Option<PathBuf>,
    /// Which model.
    pub model: ModelSource,
    /// Which device.
    pub device: DeviceChoice,
    /// The processor's instructions that are used.
    pub level: Level,
    /// Precision of products, `None` for the device's own choice.
    pub precision: Option<Precision>,
    /// What the model is told to judge by, if the user says so.
    pub instruction: Option<String>,
    /// Longest prompt in tokens, if the user says so.
    pub max_length: Option<usize>,
    /// What a batch may hold.
    pub limits: LimitsChoice,
    /// Threads that compute.
    pub threads: usize,
    /// Whether only the cost is told.
    pub dry_run: bool,
    /// How progress is shown.
    pub progress: Progress,
    /// How much is said.
    pub verbosity: Verbosity,
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A bar on the terminal.
    Bar,
    /// Log lines.
    Log,
    /// Not at all.
    None,
}

/// How much is said on standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Errors.
    Quiet,
    /// Warnings and the summary too.
    Normal,
    /// Everything that was chosen too.
    Verbose,
}

impl Config {
    /// Understands the options.
    ///
    /// # Errors
    /// A sentence with the remedy for options that contradict each other or name something that isn't there.
    pub fn resolve(arguments: &RankArguments) -> Result<Self> {
        let RankArguments { input, output, model, batch, running } = arguments;
        let input_options = resolve_input(input)?;
        let output_path =
            output.output.clone().filter(|path| !["-", "/dev/stdout"].contains(&&*path.to_string_lossy()));
        let layout = resolve_layout(output, output_path.as_deref())?;
        let stats = output.stats.clone();
        ensure!(
            stats.as_deref().is_none_or(|path| path.as_os_str() != "-"),
            "--stats needs a file: standard output is for rankings, and standard error for people"
        );
        check_distinct(&input_options, output_path.as_deref(), stats.as_deref())?;
        if let Some(score) = output.min_score {
            ensure!((0. ..=1.).contains(&score), "--min-score {score}: a score is a probability from 0 to 1");
        }
        let verbosity = match (running.quiet, running.verbose) {
            (true, _) => Verbosity::Quiet,
            (_, true) => Verbosity::Verbose,
            _ => Verbosity::Normal,
        };
        let progress = resolve_progress(running.progress, verbosity, output_path.is_none());
        Ok(Self {
            input: input_options,
            skip_bad_records: input.on_error == OnError::Skip,
            output: output_path,
            layout,
            cutoff: Cutoff { top_k: output.top_k.map(|top_k| top_k as usize), min_score: output.min_score },
            stats,
            model: ModelSource::parse(&model.model, &model.revision, model.offline)?,
            device: model.device.clone(),
            level: Level::chosen().map_err(anyhow::Error::msg)?,
            precision: resolve_precision(model.dtype),
            instruction: model.instruction.as_deref().map(resolve_instruction).transpose()?,
            max_length: model.max_length.map(|length| length as usize),
            limits: resolve_limits(batch),
            threads: running.threads.map_or_else(default_threads, |threads| threads as usize),
            dry_run: running.dry_run,
            progress,
            verbosity,
        })
    }
}

/// Understands the options of `rerank bench`.
///
/// # Errors
/// If the model or the forced instructions are not there.
pub fn resolve_bench(arguments: &BenchArguments) -> Result<Bench> {
    let level = Level::chosen().map_err(anyhow::Error::msg)?;
    let model = match &arguments.model {
        Some(model) => Model::Files(ModelSource::parse(model, "main", false)?),
        None => Model::Random(arguments.shape),
    };
    Ok(Bench {
        workloads: arguments.workload.clone(),
        pairs: arguments.pairs.map(|pairs| pairs as usize),
        model,
        device: arguments.device.clone(),
        level,
        precision: resolve_precision(arguments.dtype),
        limits: resolve_limits(&arguments.batch),
        threads: arguments.threads.map_or_else(default_threads, |threads| threads as usize),
        repetitions: arguments.repeat as usize,
    })
}

fn resolve_precision(choice: DtypeChoice) -> Option<Precision> {
    match choice {
        DtypeChoice::Auto => None,
        DtypeChoice::F32 => Some(Precision::F32),
        DtypeChoice::Bf16 => Some(Precision::Bf16),
        DtypeChoice::F16 => Some(Precision::F16),
        DtypeChoice::Int8 => Some(Precision::Int8),
    }
}

fn resolve_limits(arguments: &BatchArguments) -> LimitsChoice {
    LimitsChoice {
        pairs: arguments.batch_size.map(|pairs| pairs as usize),
        tokens: arguments.max_batch_tokens.map(|tokens| tokens as usize),
        share_prefixes: !arguments.no_prefix_sharing,
    }
}

fn resolve_input(arguments: &InputArguments) -> Result<InputOptions> {
    let path = arguments.input.clone().filter(|path| path.as_os_str() != "-");
    ensure!(
        arguments.input.is_some() || !std::io::stdin().is_terminal(),
        "there is no input: name a file with --input, or pipe candidates into rerank (see --help)"
    );
    for path in [&path, &arguments.queries, &arguments.collection].into_iter().flatten() {
        ensure!(path.exists(), "there is no file {}", path.display());
    }
    Ok(InputOptions {
        path,
        format: arguments.input_format,
        columns: arguments.columns.clone().unwrap_or_default(),
        queries: arguments.queries.clone(),
        collection: arguments.collection.clone(),
    })
}

fn resolve_layout(arguments: &OutputArguments, path: Option<&Path>) -> Result<Layout> {
    let extension = path.and_then(Path::extension).map(|extension| extension.to_string_lossy().to_lowercase());
    if let (Some(path), Some("gz" | "zst")) = (path, extension.as_deref()) {
        bail!("--output {}: output is not compressed here; pipe it through gzip or zstd", path.display());
    }
    let by_extension = || path.map_or(OutputFormat::Jsonl, OutputFormat::of);
    Ok(Layout { format: arguments.output_format.unwrap_or_else(by_extension), text: !arguments.no_text })
}

/// Refuses to write over what is read, or two things into one file. Files are told apart by what they are on disk, so that
/// links, and a redirected standard input, count.
fn check_distinct(input: &InputOptions, output: Option<&Path>, stats: Option<&Path>) -> Result<()> {
    let stdin = input.path.is_none().then(Handle::stdin).and_then(Result::ok);
    let files = [&input.path, &input.queries, &input.collection].into_iter().flatten();
    let read: Vec<Handle> = files.filter_map(|path| Handle::from_path(path).ok()).chain(stdin).collect();
    for written in [output, stats].into_iter().flatten().filter(|path| path.is_file()) {
        let handle = Handle::from_path(written)?;
        ensure!(
            !read.contains(&handle),
            "{} is read and would be written over; give the output another name",
            written.display()
        );
    }
    if let (Some(output), Some(stats)) = (output, stats) {
        let same = output == stats || same_file::is_same_file(output, stats).unwrap_or(false);
        ensure!(!same, "--output and --stats name the same file, {}", stats.display());
    }
    Ok(())
}

fn resolve_instruction(text: &str) -> Result<String> {
    let instruction = match text.strip_prefix('@') {
        None => text.to_owned(),
        Some(path) => {
            let text = std::fs::read_to_string(path).with_context(|| format!("--instruction: cannot read {path}"))?;
            text.trim_start_matches('\u{feff}').trim_end().to_owned()
        }
    };
    ensure!(!instruction.trim().is_empty(), "--instruction is empty; leave it out for the model's own");
    Ok(instruction)
}

/// All cores, or what rayon's own variable says.
fn default_threads() -> usize {
    let variable = std::env::var("RAYON_NUM_THREADS").ok().and_then(|threads| threads.parse().ok());
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    variable.filter(|threads| *threads > 0).unwrap_or_else(cores)
}

fn resolve_progress(choice: ProgressChoice, verbosity: Verbosity, to_stdout: bool) -> Progress {
    let terminal = std::io::stderr().is_terminal();
    // Rankings on the same terminal would push the bar up and leave it there.
    let crowded = to_stdout && std::io::stdout().is_terminal();
    match choice {
        ProgressChoice::None => Progress::None,
        ProgressChoice::Auto if verbosity == Verbosity::Quiet => Progress::None,
        ProgressChoice::Auto if terminal && !crowded => Progress::Bar,
        ProgressChoice::Bar if terminal => Progress::Bar,
        ProgressChoice::Auto | ProgressChoice::Bar | ProgressChoice::Log => Progress::Log,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::Cli;

    fn resolve(arguments: &[&str]) -> Result<Config> {
        let program = ["rerank", "--input", "testdata/candidates.jsonl", "--model", "testdata/odd-reranker"];
        Config::resolve(&Cli::try_parse_from(program.iter().chain(arguments))?.rank)
    }

    #[test]
    fn the_output_format_follows_the_extension() {
        assert_eq!(resolve(&[]).unwrap().layout.format, OutputFormat::Jsonl);
        assert_eq!(resolve(&["-o", "a.trec"]).unwrap().layout.format, OutputFormat::Trec);
        assert_eq!(resolve(&["-o", "a.trec", "--output-format", "csv"]).unwrap().layout.format, OutputFormat::Csv);
        assert_eq!(resolve(&["-o", "-"]).unwrap().output, None);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (arguments, named) in [
            (vec!["--output", "testdata/../testdata/candidates.jsonl"], "another name"),
            (vec!["--stats", "testdata/candidates.jsonl"], "another name"),
            (vec!["--output", "a", "--stats", "a"], "same file"),
            (vec!["--output", "a.jsonl.gz"], "gzip"),
            (vec!["--min-score", "1.5"], "probability"),
            (vec!["--min-score", "nan"], "probability"),
            (vec!["--instruction", " "], "empty"),
            (vec!["--instruction", "@missing.txt"], "missing.txt"),
            (vec!["--queries", "missing.tsv"], "missing.tsv"),
            (vec!["--top-k", "0"], "top-k"),
            (vec!["--quiet", "--verbose"], "cannot be used with"),
        ] {
            let message = format!("{:#}", resolve(&arguments).unwrap_err());
            assert!(message.contains(named), "{arguments:?}: {message}");
        }
    }
}
