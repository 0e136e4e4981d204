//! `adapter_config.json` of PEFT: what each of its fields means, and which mean nothing for scores.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::patterns::Pattern;
use super::targets::{Excluded, Layers, Names, Targets};
use crate::fields::Fields;

/// Fields that are obeyed.
const READ: [&str; 19] = [
    "peft_type",
    "r",
    "lora_alpha",
    "use_rslora",
    "target_modules",
    "exclude_modules",
    "layers_to_transform",
    "layers_pattern",
    "rank_pattern",
    "alpha_pattern",
    "modules_to_save",
    "bias",
    "init_lora_weights",
    "lora_bias",
    "task_type",
    "base_model_name_or_path",
    "revision",
    "ensure_weight_tying",
    // It is about layers of GPT-2's kind, which no family here has.
    "fan_in_fan_out",
];

/// Fields that change no score: who wrote the file, how it was trained, and settings of what is refused where it is on.
const HARMLESS: [&str; 16] = [
    "auto_mapping",
    "corda_config",
    "enable_lora",
    "eva_config",
    "inference_mode",
    "loftq_config",
    "lora_dropout",
    "lora_ga_config",
    "megatron_core",
    "merge_weights",
    "peft_version",
    "qalora_group_size",
    "runtime_config",
    "unsloth_fixed",
    "unsloth_version",
    "velora_config",
];

/// Fields that are not supported where they are given, and what they are.
const OFF: [(&str, &str); 11] = [
    ("use_dora", "DoRA, which scales the rows of merged weights"),
    ("use_qalora", "QA-LoRA, which pools what goes into a layer"),
    ("use_bdlora", "block-diagonal matrices"),
    (
        "alora_invocation_tokens",
        "activated LoRA, which changes the tokens behind an invocation only and can't be merged",
    ),
    ("arrow_config", "a choice among adapters for each token"),
    ("kasa_config", "KaSA, which changes the base weights"),
    ("monteclora_config", "MonteCLoRA, which draws samples"),
    ("layer_replication", "layers that are there several times"),
    ("megatron_config", "layers of Megatron"),
    ("trainable_token_indices", "rows of an embedding that were trained by themselves"),
    ("target_parameters", "parameters of experts"),
];

/// Ways to begin the training that leave the base weights as they are. What is not among them subtracts something of them.
const PLAIN_BEGINNINGS: [&str; 3] = ["gaussian", "eva", "orthogonal"];

/// An adapter's configuration.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) targets: Targets,
    scale: Scale,
    /// Modules whose weights stand in the adapter whole.
    pub(super) saved: Vec<(String, Pattern)>,
    /// Whether the second matrix has a bias.
    pub(super) has_bias: bool,
    /// Whether an embedding and the head that is the same change together.
    pub(super) ties: bool,
    /// The model that it was trained on: a path, or an id on the hub.
    pub(super) base: Option<String>,
    /// The base's revision.
    pub(super) revision: Option<String>,
}

/// What the product of both matrices is multiplied by.
#[derive(Debug)]
struct Scale {
    rank: usize,
    alpha: f64,
    ranks: Vec<(Pattern, usize)>,
    alphas: Vec<(Pattern, f64)>,
    by_root: bool,
}

impl Settings {
    /// Understands a configuration.
    ///
    /// # Errors
    /// If it is none of LoRA, or has something that is not supported, which is named.
    pub(super) fn of(value: &Value) -> Result<Self> {
        let fields = Fields::of(value)?;
        check_kind(fields)?;
        check_others(fields)?;
        let text = |name| Ok::<_, anyhow::Error>(fields.text(name)?.map(str::to_owned));
        let saved = names(fields, "modules_to_save")?.unwrap_or_default();
        let pattern = |name: &String| Ok((name.clone(), Pattern::of_parts("modules_to_save", name)?));
        Ok(Self {
            targets: targets(fields)?,
            scale: Scale::of(fields)?,
            saved: saved.iter().map(pattern).collect::<Result<_>>()?,
            has_bias: fields.flag("lora_bias")?,
            ties: fields.flag("ensure_weight_tying")?,
            base: text("base_model_name_or_path")?.filter(|base| !base.is_empty()),
            revision: text("revision")?.filter(|revision| !revision.is_empty()),
        })
    }

    /// The rank of a module's matrices, and what their product is multiplied by.
    ///
    /// # Errors
    /// If a pattern can't be matched.
    pub(super) fn scale(&self, module: &str) -> Result<(usize, f32)> {
        let Scale { rank, alpha, ranks, alphas, by_root } = &self.scale;
        let rank = first(ranks, module)?.unwrap_or(*rank);
        let alpha = first(alphas, module)?.unwrap_or(*alpha);
        let divisor = if *by_root { (rank as f64).sqrt() } else { rank as f64 };
        Ok((rank, (alpha / divisor) as f32))
    }

    /// The rank and the divisor of most modules, in words.
    pub(super) fn describe(&self) -> String {
        let Scale { rank, alpha, ranks, alphas, by_root } = &self.scale;
        let kind = if *by_root { "rank-stabilized LoRA" } else { "LoRA" };
        let others = if ranks.is_empty() && alphas.is_empty() { "" } else { " (others in some layers)" };
        format!("{kind} of rank {rank} and alpha {alpha}{others}")
    }
}

impl Scale {
    fn of(fields: Fields<'_>) -> Result<Self> {
        let ranks = entries(fields, "rank_pattern")?.into_iter().map(|(pattern, value)| {
            let rank = value.as_u64().filter(|rank| (1..1 << 20).contains(rank));
            let rank =
                rank.with_context(|| format!("rank_pattern gives the rank {value}, and should give a whole number"))?;
            Ok((pattern, rank as usize))
        });
        let alphas = entries(fields, "alpha_pattern")?.into_iter().map(|(pattern, value)| Ok((pattern, alpha(value)?)));
        Ok(Self {
            // What is left out is 8, as in PEFT.
            rank: fields.size("r")?.unwrap_or(8),
            alpha: fields.get("lora_alpha").map(alpha).transpose()?.unwrap_or(8.),
            ranks: ranks.collect::<Result<_>>()?,
            alphas: alphas.collect::<Result<_>>()?,
            by_root: fields.flag("use_rslora")?,
        })
    }
}

fn alpha(value: &Value) -> Result<f64> {
    let number = value.as_f64().filter(|number| number.is_finite());
    number.with_context(|| format!("lora_alpha or a value of alpha_pattern is {value}, and should be a number"))
}

/// The value of the first pattern that matches.
fn first<T: Copy>(patterns: &[(Pattern, T)], module: &str) -> Result<Option<T>> {
    for (pattern, value) in patterns {
        if pattern.matches(module)? {
            return Ok(Some(*value));
        }
    }
    Ok(None)
}

fn entries<'a>(fields: Fields<'a>, field: &'static str) -> Result<Vec<(Pattern, &'a Value)>> {
    let Some(object) = fields.object(field)? else { return Ok(Vec::new()) };
    object.iter().map(|(name, value)| Ok((Pattern::at_end(field, name)?, value))).collect()
}

/// A list of names; a single one may stand without its brackets.
fn names(fields: Fields<'_>, field: &str) -> Result<Option<Vec<String>>> {
    match fields.get(field) {
        None => Ok(None),
        Some(Value::String(name)) => Ok(Some(vec![name.clone()])),
        Some(_) => Ok(Some(fields.texts(field)?.into_iter().map(str::to_owned).collect())),
    }
}

fn targets(fields: Fields<'_>) -> Result<Targets> {
    let layers = layers(fields)?;
    let included = match fields.get("target_modules") {
        None => bail!(
            "it has no target_modules: PEFT writes them, as a list of names or as a regular expression; add the modules that it \
             was trained on"
        ),
        Some(Value::String(text)) if text.eq_ignore_ascii_case("all-linear") => Names::AllLinear,
        Some(Value::String(text)) => Names::Pattern(Pattern::whole("target_modules", text)?),
        Some(_) => Names::List(names(fields, "target_modules")?.unwrap_or_default()),
    };
    ensure!(
        layers.is_none() || matches!(included, Names::List(_)),
        "layers_to_transform is given, and target_modules is no list; PEFT refuses both together, too"
    );
    let excluded = match fields.get("exclude_modules") {
        Some(Value::String(text)) if !text.is_empty() => Excluded::Pattern(Pattern::whole("exclude_modules", text)?),
        Some(Value::String(_)) | None => Excluded::List(Vec::new()),
        Some(_) => Excluded::List(names(fields, "exclude_modules")?.unwrap_or_default()),
    };
    let is_classifier = fields.text("task_type")? == Some("SEQ_CLS");
    Ok(Targets { included, excluded, layers, is_classifier })
}

fn layers(fields: Fields<'_>) -> Result<Option<Layers>> {
    let field = "layers_to_transform";
    let list = match fields.get(field) {
        None => return Ok(None),
        Some(Value::Array(list)) => list.as_slice(),
        Some(value) => std::slice::from_ref(value),
    };
    let index = |value: &Value| {
        let index =
            value.as_u64().with_context(|| format!("{field} has {value}, and should have the numbers of layers"))?;
        Ok(index as usize)
    };
    let indices = list.iter().map(index).collect::<Result<Vec<_>>>()?;
    let patterns = names(fields, "layers_pattern")?.unwrap_or_default();
    let patterns = match patterns.iter().all(String::is_empty) {
        true => vec![Pattern::of_layer(None)?],
        false => patterns.iter().map(|pattern| Pattern::of_layer(Some(pattern))).collect::<Result<_>>()?,
    };
    Ok(Some(Layers { indices, patterns }).filter(|layers| !layers.indices.is_empty()))
}

/// Refuses what is no LoRA.
fn check_kind(fields: Fields<'_>) -> Result<()> {
    match fields.text("peft_type")? {
        Some("LORA") => {}
        Some(other) => {
            bail!("its peft_type is {other}, and rerank merges LORA only; merge it with merge_and_unload() of peft")
        }
        None => bail!("it has no peft_type: it is no configuration of PEFT, which writes LORA there"),
    }
    for (name, kind) in OFF {
        let is_off = |value: &Value| match value {
            Value::Bool(on) => !on,
            Value::Object(map) => map.is_empty(),
            Value::Array(list) => list.is_empty(),
            _ => false,
        };
        ensure!(
            fields.get(name).is_none_or(is_off),
            "it has {name} ({kind}), which is not supported; merge it with merge_and_unload() of peft where that can be done"
        );
    }
    match fields.get("init_lora_weights") {
        None | Some(Value::Bool(_)) => Ok(()),
        Some(Value::String(name)) if PLAIN_BEGINNINGS.contains(&name.as_str()) => Ok(()),
        Some(other) => bail!(
            "init_lora_weights is {other}: PEFT changes the base weights for it when the adapter is loaded, which is not \
             supported; save it as plain LoRA by save_pretrained(…, path_initial_model_for_weight_conversion=…), or merge it with \
             merge_and_unload()"
        ),
    }
}

fn check_others(fields: Fields<'_>) -> Result<()> {
    if let Some(bias) = fields.text("bias")? {
        ensure!(["none", "all", "lora_only"].contains(&bias), "bias is {bias:?}, and should be none, all or lora_only");
    }
    let is_empty = |name: &String| match fields.get(name) {
        Some(Value::Bool(on)) => !on,
        Some(Value::Array(list)) => list.is_empty(),
        Some(Value::Object(map)) => map.is_empty(),
        _ => false,
    };
    let known: Vec<&str> = READ.into_iter().chain(HARMLESS).chain(OFF.map(|(name, _)| name)).collect();
    let others: Vec<String> = fields.others(&known).into_iter().filter(|name| !is_empty(name)).collect();
    ensure!(
        others.is_empty(),
        "it has fields that this version of rerank does not know, and which may change the scores: {}; if they have nothing to do \
         with what the adapter computes, remove them from the file",
        others.join(", ")
    );
    Ok(())
}
