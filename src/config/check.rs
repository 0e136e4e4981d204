//! Resolves the options of `rerank check`.

use anyhow::{Result, ensure};

use super::model::resolve_threads;
use super::recipe::resolve_recipe;
use super::resolve_verbosity;
use crate::check::{Check, ComparedAs, Dtypes, Table};
use crate::checkpoint::{AdapterChoice, ModelSource};
use crate::cli::{CheckArguments, CheckDtype};
use crate::engine::cpu::Instructions;
use crate::precision::Precision;

/// Resolves the options of `rerank check`.
///
/// # Errors
/// If the model or a file does not exist, the processor lacks the forced instructions, or options contradict each other.
pub fn resolve_check(arguments: &CheckArguments) -> Result<Check> {
    let instructions = Instructions::from_environment().map_err(anyhow::Error::msg)?;
    let name = arguments.named.as_ref().unwrap_or(&arguments.model);
    let model = ModelSource::parse(name, &arguments.revision, arguments.offline)?;
    ensure!(
        model != ModelSource::Fake,
        "--model fake: it counts words in common, and there is nothing to check; name a model's directory, or its id on the hub"
    );
    let compared_as = match arguments.compared_as.as_deref() {
        None => ComparedAs::Recognised,
        Some(name) if name.eq_ignore_ascii_case("none") => ComparedAs::Nothing,
        Some(name) => ComparedAs::Named(name.to_owned()),
    };
    ensure!(
        arguments.golden.is_none() || compared_as != ComparedAs::Nothing,
        "--as none compares with nothing, and --golden with the scores in a file; leave one of them out"
    );
    let adapter = AdapterChoice::parse(&arguments.adapter, &model, arguments.offline)?;
    Ok(Check {
        model,
        adapter,
        device: arguments.device.clone(),
        gpu_memory: arguments.gpu_memory,
        instructions,
        dtypes: resolve_dtypes(&arguments.dtype),
        recipe: resolve_recipe(&arguments.recipe, arguments.max_length)?,
        table: arguments.golden.as_deref().map_or_else(Table::published, Table::read)?,
        is_own_table: arguments.golden.is_some(),
        compared_as,
        threads: resolve_threads(arguments.threads)?,
        verbosity: resolve_verbosity(&arguments.verbosity),
    })
}

fn resolve_dtypes(choices: &[CheckDtype]) -> Dtypes {
    let precision = |choice: &CheckDtype| match choice {
        CheckDtype::F32 => Some(Precision::F32),
        CheckDtype::Bf16 => Some(Precision::Bf16),
        CheckDtype::F16 => Some(Precision::F16),
        CheckDtype::Int8 => Some(Precision::Int8),
        CheckDtype::Int16 => Some(Precision::Int16),
        CheckDtype::Fp8 => Some(Precision::Fp8),
        CheckDtype::Auto | CheckDtype::All => None,
    };
    match choices.contains(&CheckDtype::All) {
        true => Dtypes::All,
        false => Dtypes::Chosen(choices.iter().map(precision).collect()),
    }
}
