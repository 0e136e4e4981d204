//! Parse, run, report, exit status.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use rerank::bench::Report;
use rerank::cli::{BenchArguments, Cli, Command};
use rerank::config::{Config, Progress, Verbosity, resolve_bench};
use rerank::exit::Exit;
use rerank::out_of_memory;
use rerank::pipeline;
use rerank::progress::Reporter;
use rerank::stop::Stop;

static STOP: Stop = Stop::new();

#[global_allocator]
static ALLOCATOR: out_of_memory::Allocator = out_of_memory::Allocator;

fn main() -> ExitCode {
    let cli = Cli::try_parse().unwrap_or_else(|error| {
        if error.kind() == ErrorKind::InvalidSubcommand {
            // A mistake of whoever comes from tools that take files as they are; clap can only guess at subcommands.
            let _ = error.print();
            Reporter::new(Progress::None, Verbosity::Normal).note("hint: name an input file with --input FILE");
            std::process::exit(Exit::Usage as i32);
        }
        error.exit()
    });
    let exit = match &cli.command {
        Some(Command::Bench(arguments)) => bench(arguments),
        Some(Command::Completions { shell }) => {
            print(|text| clap_complete::generate(*shell, &mut Cli::command(), "rerank", text))
        }
        // Rendering into memory does not fail.
        Some(Command::Man) => print(|text| drop(clap_mangen::Man::new(Cli::command()).render(text))),
        None => rank(&cli),
    };
    exit.into()
}

fn rank(cli: &Cli) -> Exit {
    let config = match Config::resolve(&cli.rank) {
        Ok(config) => config,
        Err(error) => {
            Reporter::new(Progress::None, Verbosity::Quiet).error(&format!("{error:#}"));
            return Exit::Usage;
        }
    };
    let reporter = Arc::new(Reporter::new(config.progress, config.verbosity));
    // The first interrupt lets the batch at hand finish; the second ends the program. Without a handler, which fails only
    // where the system has none, the first does.
    let _ = ctrlc::set_handler(|| {
        if !STOP.request() {
            std::process::exit(Exit::Interrupted as i32);
        }
        let _ =
            writeln!(std::io::stderr(), "interrupted: finishing the batch at hand; interrupt again to stop at once");
    });
    pipeline::run(&config, &reporter, &STOP).unwrap_or_else(|error| {
        reporter.error(&format!("{error:#}"));
        Exit::Failed
    })
}

fn bench(arguments: &BenchArguments) -> Exit {
    let told = resolve_bench(arguments).map_err(|error| (Exit::Usage, error)).and_then(|bench| {
        let tell = |report: &Report| {
            let text = if arguments.json { serde_json::to_string(report)? + "\n" } else { report.to_string() };
            Ok(std::io::stdout().write_all(text.as_bytes())?)
        };
        bench.run(tell).map_err(|error| (Exit::Failed, error))
    });
    told.unwrap_or_else(|(exit, error)| {
        Reporter::new(Progress::None, Verbosity::Quiet).error(&format!("{error:#}"));
        exit
    })
}

fn print(render: impl FnOnce(&mut Vec<u8>)) -> Exit {
    let mut text = Vec::new();
    render(&mut text);
    match std::io::stdout().write_all(&text) {
        Ok(()) => Exit::Done,
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Exit::Done,
        Err(error) => {
            let problem = format!("cannot write to standard output: {error}");
            Reporter::new(Progress::None, Verbosity::Quiet).error(&problem);
            Exit::Failed
        }
    }
}
