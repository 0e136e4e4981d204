//! The program: it parses the options, runs the command, reports errors, and returns the exit status.

use std::io::IsTerminal;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use clap::Parser;
use rerank::bench::Report;
use rerank::check::Table;
use rerank::cli::{
    BenchArguments, CacheCommand, CheckArguments, CheckFormat, Cli, Command, EvalArguments, MergeArguments,
    PlanArguments, PlanFormat, StatusArguments, StatusFormat, completions, man_page,
};
#[cfg(feature = "serve")]
use rerank::cli::{LogFormat, ServeArguments};
#[cfg(feature = "serve")]
use rerank::config::resolve_serve;
use rerank::config::{Config, resolve_bench, resolve_check, resolve_eval, resolve_merge, resolve_plan, resolve_tuning};
use rerank::evaluation::report::ReportFormat;
use rerank::exit::{Exit, UsageError};
use rerank::out_of_memory;
use rerank::panics;
use rerank::pipeline;
#[cfg(feature = "serve")]
use rerank::progress::json_message;
use rerank::progress::{Progress, Reporter, Verbosity, escaped};
use rerank::shard::{self, Status};
use rerank::signals;
use rerank::standard_output;
use rerank::stop::Stop;
use rerank::store;

static STOP: Stop = Stop::new();

#[global_allocator]
static ALLOCATOR: out_of_memory::Allocator = out_of_memory::Allocator;

fn main() -> ExitCode {
    panics::report();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // Help and version go to standard output; anything else is a usage error, on standard error.
        Err(text) if !text.use_stderr() => {
            return ended(standard_output::printed(|| text.print()).context(UNWRITTEN).map(|()| Exit::Done));
        }
        Err(error) => error.exit(),
    };
    match &cli.command {
        Some(Command::Bench(arguments)) => ended(bench(arguments)),
        Some(Command::Cache(command)) => ended(cache(command)),
        Some(Command::Check(arguments)) => ended(check(arguments)),
        Some(Command::Eval(arguments)) => ended(eval(arguments)),
        Some(Command::Merge(arguments)) => ended(merge(arguments)),
        Some(Command::Plan(arguments)) => ended(plan(arguments)),
        Some(Command::Status(arguments)) => ended(status(arguments)),
        #[cfg(feature = "serve")]
        Some(Command::Serve(arguments)) => serve(arguments),
        Some(Command::Completions { shell }) => ended(print(&completions(*shell))),
        Some(Command::Man { command }) => {
            ended(man_page(command.as_deref()).map_err(Into::into).and_then(|page| print(&page)))
        }
        None => rank(&cli),
    }
}

const UNWRITTEN: &str = "cannot write to standard output";

fn print(text: &[u8]) -> anyhow::Result<Exit> {
    standard_output::print(text).context(UNWRITTEN).map(|()| Exit::Done)
}

/// Reports the error, if there is one, and returns the exit status.
fn ended(result: anyhow::Result<Exit>) -> ExitCode {
    reported(result, &Reporter::new(Progress::None, Verbosity::Quiet))
}

fn reported(result: anyhow::Result<Exit>, reporter: &Reporter) -> ExitCode {
    let exit = result.unwrap_or_else(|error| {
        // Options that take no address have checked none, and quote what they were given.
        reporter.error(&store::without_passwords(&format!("{error:#}")));
        Exit::of(&error)
    });
    exit.into()
}

/// Marks an error as one of the options, for the exit status.
fn misuse(error: anyhow::Error) -> anyhow::Error {
    UsageError::new(format!("{error:#}")).into()
}

fn rank(cli: &Cli) -> ExitCode {
    let config = match Config::resolve(&cli.rank) {
        Ok(config) => config,
        Err(error) => return ended(Err(misuse(error))),
    };
    let reporter = Arc::new(Reporter::new(config.progress, config.verbosity));
    let is_quiet = config.verbosity == Verbosity::Quiet;
    signals::listen(&STOP, "finishing the batch at hand", move |message| (!is_quiet).then(|| message.to_owned()));
    // A panic was printed where it occurred; the rankings that are written stay complete.
    let run = catch_unwind(AssertUnwindSafe(|| pipeline::run(&config, &reporter, &STOP)));
    reported(run.unwrap_or_else(|_| Err(anyhow!("the run has panicked, which is a fault of rerank"))), &reporter)
}

fn bench(arguments: &BenchArguments) -> anyhow::Result<Exit> {
    standard_output::check().context(UNWRITTEN)?;
    resolve_bench(arguments).map_err(misuse)?.run(|report: &Report| {
        let text = if arguments.json { serde_json::to_string(report)? + "\n" } else { report.to_string() };
        standard_output::print(text.as_bytes()).context(UNWRITTEN)
    })
}

#[cfg(feature = "serve")]
fn serve(arguments: &ServeArguments) -> ExitCode {
    let is_json = arguments.running.log_format == LogFormat::Json;
    let run = || {
        let config = resolve_serve(arguments).map_err(misuse)?;
        let is_quiet = config.verbosity == Verbosity::Quiet;
        signals::listen(&STOP, "answering the requests at hand", move |message| match (is_quiet, is_json) {
            (true, _) => None,
            (false, true) => Some(json_message("info", message)),
            (false, false) => Some(message.to_owned()),
        });
        rerank::serve::run(&config, &STOP)
    };
    match is_json {
        true => reported(run(), &Reporter::json(Verbosity::Quiet)),
        false => ended(run()),
    }
}

fn cache(command: &CacheCommand) -> anyhow::Result<Exit> {
    standard_output::check().context(UNWRITTEN)?;
    print(rerank::cache::run(command)?.as_bytes())
}

fn status(arguments: &StatusArguments) -> anyhow::Result<Exit> {
    standard_output::check().context(UNWRITTEN)?;
    let status = Status::read(&store::directory(&arguments.directory, "status").map_err(misuse)?)?;
    let text = match arguments.format {
        StatusFormat::Json => serde_json::to_string(&status)? + "\n",
        StatusFormat::Text => status.text(),
    };
    print(text.as_bytes())?;
    Ok(if status.is_mergeable() { Exit::Done } else { Exit::Failed })
}

fn plan(arguments: &PlanArguments) -> anyhow::Result<Exit> {
    standard_output::check().context(UNWRITTEN)?;
    let given: Vec<String> = std::env::args_os().skip(2).map(|text| text.to_string_lossy().into_owned()).collect();
    let plan = resolve_plan(arguments).map_err(misuse)?.run(&given)?;
    let text = match arguments.shards.format {
        PlanFormat::Json => serde_json::to_string(&plan)? + "\n",
        PlanFormat::Text => plan.to_string().lines().map(|line| escaped(line) + "\n").collect(),
    };
    print(text.as_bytes())
}

fn merge(arguments: &MergeArguments) -> anyhow::Result<Exit> {
    let options = resolve_merge(arguments).map_err(misuse)?;
    signals::listen(&STOP, "ending without an output", |message| Some(message.to_owned()));
    let merged = shard::merge(&options, &STOP)?;
    let verbosity = if arguments.quiet { Verbosity::Quiet } else { Verbosity::Normal };
    let reporter = Reporter::new(Progress::None, verbosity);
    merged.notes.iter().for_each(|note| reporter.note(note));
    reporter.line(&merged.summary);
    Ok(merged.exit)
}

fn check(arguments: &CheckArguments) -> anyhow::Result<Exit> {
    standard_output::check().context(UNWRITTEN)?;
    if arguments.list {
        let names: String = Table::published()?.models().iter().map(|name| format!("{name}\n")).collect();
        return print(names.as_bytes());
    }
    let report = resolve_check(arguments).map_err(misuse)?.run()?;
    let text = match arguments.format {
        CheckFormat::Json => serde_json::to_string(&report)? + "\n",
        // It names what stands in files of strangers.
        CheckFormat::Text => report.to_string().lines().map(|line| escaped(line) + "\n").collect(),
    };
    print(text.as_bytes())?;
    report.verdict().map(|()| Exit::Done)
}

fn eval(arguments: &EvalArguments) -> anyhow::Result<Exit> {
    standard_output::check().context(UNWRITTEN)?;
    if arguments.tune_fusion {
        let figures = resolve_tuning(arguments).map_err(misuse)?.run()?;
        let text = match arguments.format {
            ReportFormat::Jsonl => figures.to_json().to_string() + "\n",
            _ => figures.to_string(),
        };
        return print(text.as_bytes());
    }
    let report = resolve_eval(arguments).map_err(misuse)?.run()?;
    let text = report.print(arguments.format, arguments.per_query, std::io::stdout().is_terminal())?;
    print(text.as_bytes())
}
