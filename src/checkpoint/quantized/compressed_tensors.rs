//! compressed-tensors, the format of llm-compressor and vLLM: groups of modules, each with a scheme for its weights.

use anyhow::{Context, Result, bail, ensure};
use safetensors::Dtype;
use serde_json::Value;

use super::codes::Codes;
use super::parts::{Module, Part, words};
use super::patterns::Target;
use super::rows::{Groups, Layout, Numbers, QuantizedRows, SCALES, Zeros};
use super::settings::refuse_set;
use super::{Scheme, excluded, refused};
use crate::fields::Fields;

/// The fields that are read, or that say nothing of the weights.
const FIELDS: [&str; 15] = [
    "config_groups",
    "dequantize",
    "format",
    "global_compression_ratio",
    "ignore",
    "kv_cache_scheme",
    "method",
    "quant_method",
    "quantization_status",
    "run_compressed",
    "sparsity_config",
    "transform_config",
    "moe_sparsity_config",
    "use_optimized_inference",
    "version",
];

/// A configuration of compressed-tensors.
pub(super) struct CompressedTensors {
    groups: Vec<Group>,
    ignored: Vec<(String, Target)>,
}

/// Modules whose weights are stored in the same way.
struct Group {
    targets: Vec<Target>,
    /// None where activations alone are quantized.
    weights: Option<Weights>,
    /// Whether activations are quantized, too.
    with_activations: bool,
}

/// How weights are quantized.
#[derive(Clone, Copy)]
struct Weights {
    bits: u32,
    is_float: bool,
    symmetric: bool,
    scope: Scope,
    /// Whether integers are packed in words.
    packed: bool,
    /// Whether inputs belong to groups in any order, which `weight_g_idx` lists.
    any_order: bool,
}

/// What shares a scale.
#[derive(Clone, Copy)]
enum Scope {
    Tensor,
    Channel,
    Group(usize),
    Block([usize; 2]),
}

impl CompressedTensors {
    pub(super) fn read(fields: Fields<'_>) -> Result<Self> {
        fields.only_known(&FIELDS)?;
        let status = fields.text("quantization_status")?.unwrap_or("compressed");
        // Files of 2024 state `frozen` of compressed weights, too; the types of the tensors show what they are.
        ensure!(
            ["compressed", "frozen"].contains(&status),
            "quantization_status is `{status}`: the weights are rounded each time that they are used; save the model with \
             save_compressed=True of llm-compressor"
        );
        refuse_set(fields, "transform_config", "what goes into layers is rotated, which rerank does not do")?;
        if let Some(sparsity) = fields.object("sparsity_config")? {
            let format = sparsity.text("format")?.unwrap_or("dense");
            ensure!(format == "dense", "{}", refused::layout("compressed-tensors", "sparsity_config.format", format));
        }
        let format = fields.text("format")?;
        let groups = fields.object("config_groups")?.context("it has no config_groups")?;
        let read = |(name, value)| Group::read(value, format).with_context(|| format!("config_groups.{name}"));
        let groups = groups.iter().map(read).collect::<Result<_>>()?;
        let ignored = fields.texts("ignore")?.into_iter();
        let ignored = ignored.map(|text| Ok((text.to_owned(), Target::new(text)?))).collect::<Result<_>>()?;
        Ok(Self { groups, ignored })
    }

    /// The group that names a module most closely.
    fn group(&self, module: &Module<'_>) -> Result<Option<usize>> {
        let mut best: Option<(u8, usize)> = None;
        for (index, group) in self.groups.iter().enumerate() {
            for target in &group.targets {
                if let Some(rank) = target.rank(module)?.filter(|rank| best.is_none_or(|(best, _)| *rank < best)) {
                    best = Some((rank, index));
                }
            }
        }
        Ok(best.map(|(_, index)| index))
    }

    fn weights(&self, group: usize) -> Option<Weights> {
        self.groups.get(group)?.weights
    }
}

impl Group {
    fn read(value: &Value, format: Option<&str>) -> Result<Self> {
        let fields = Fields::of(value)?;
        fields.only_known(&["targets", "weights", "input_activations", "output_activations", "format"])?;
        let format = fields.text("format")?.or(format);
        let targets = fields.texts("targets")?.into_iter().map(Target::new).collect::<Result<_>>()?;
        let with_activations =
            ["input_activations", "output_activations"].iter().any(|name| fields.get(name).is_some());
        let weights = fields.object("weights")?.map(|weights| Weights::read(weights, format)).transpose()?;
        Ok(Self { targets, weights, with_activations })
    }
}

impl Weights {
    fn read(fields: Fields<'_>, format: Option<&str>) -> Result<Self> {
        let bits = fields.size("num_bits")?.unwrap_or(8);
        let kind = fields.text("type")?.unwrap_or("int").to_lowercase();
        let packed = match format {
            Some("pack-quantized") => true,
            Some("int-quantized" | "float-quantized" | "naive-quantized") => false,
            // Each group has its own.
            None | Some("mixed-precision") => {
                bail!("it has no format; the weights are in one of pack-quantized, int-quantized and float-quantized")
            }
            Some("dense") => bail!(
                "format is `dense`: the weights are rounded each time that they are used; save the model with \
                 save_compressed=True of llm-compressor"
            ),
            Some(other) => bail!("{}", refused::layout("compressed-tensors", "format", other)),
        };
        let is_float = match kind.as_str() {
            "int" => false,
            "float" => true,
            other => bail!("type is `{other}`, and should be int or float"),
        };
        let is_known = if is_float { bits == 8 && !packed } else { (2..=8).contains(&bits) };
        ensure!(
            is_known,
            "the weights are of type {kind} with num_bits {bits} in format {}; rerank reads integers of 2 to 8 bits and floats \
             of 8; {}",
            format.unwrap_or_default(),
            refused::REMEDY
        );
        ensure!(packed || bits == 8, "num_bits is {bits}, and weights of format {} have 8", format.unwrap_or_default());
        refuse_set(fields, "dynamic", "the weights are rounded each time that they are used")?;
        Ok(Self {
            bits: bits as u32,
            is_float,
            symmetric: fields.flag_or_true("symmetric")?,
            scope: Scope::read(fields)?,
            packed,
            // True is how it was written before there were several orders.
            any_order: match fields.get("actorder") {
                Some(Value::Bool(any_order)) => *any_order,
                _ => fields.text("actorder")?.is_some_and(|order| order.eq_ignore_ascii_case("group")),
            },
        })
    }

    fn describe(&self) -> String {
        let scope = match self.scope {
            Scope::Tensor => "one scale a matrix".to_owned(),
            Scope::Channel => "a scale for each output".to_owned(),
            Scope::Group(size) => format!("groups of {size}"),
            Scope::Block([rows, columns]) => format!("blocks of {rows} x {columns}"),
        };
        format!("{}{}, {scope}", if self.is_float { "fp" } else { "int" }, self.bits)
    }

    /// The scales' layout, their shape if it has two sizes, and the inputs of a group.
    fn scales(&self, module: &Module<'_>) -> (Layout, [usize; 2], usize) {
        let [outputs, inputs] = [module.outputs, module.inputs.max(1)];
        match self.scope {
            Scope::Tensor => (Layout::single(), [1, 1], inputs),
            Scope::Channel => (Layout::by_output(1), [outputs, 1], inputs),
            Scope::Group(size) => {
                let groups = inputs.div_ceil(size);
                (Layout::by_output(groups), [outputs, groups], size)
            }
            Scope::Block([rows, columns]) => {
                let groups = inputs.div_ceil(columns);
                (Layout { outputs: rows, ..Layout::by_output(groups) }, [outputs.div_ceil(rows), groups], columns)
            }
        }
    }

    fn codes<'a>(&self, module: &mut Module<'a>) -> Result<Codes<'a>> {
        let [outputs, inputs] = [module.outputs, module.inputs];
        if !self.packed {
            let part = module.part("weight")?;
            let dtype = if self.is_float { Dtype::F8_E4M3 } else { Dtype::I8 };
            part.check(&[dtype], &[outputs, inputs])?;
            let bytes = part.bytes;
            return Ok(if self.is_float { Codes::Float8 { bytes, inputs } } else { Codes::Signed { bytes, inputs } });
        }
        let shape = module.part("weight_shape")?;
        shape.check_type(&[Dtype::I64, Dtype::I32])?;
        let stated: Vec<i64> = match shape.dtype {
            Dtype::I64 => shape.bytes.as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect(),
            _ => shape.integers().map(i64::from).collect(),
        };
        ensure!(
            stated == [outputs as i64, inputs as i64],
            "{} is {stated:?}, and config.json demands [{outputs}, {inputs}]",
            shape.described()
        );
        let part = module.part("weight_packed")?;
        // Until 2026, words had whole values only, which makes a difference of widths that don't divide a word.
        let (dense, whole) = (words(inputs, self.bits as usize), inputs.div_ceil(32 / self.bits as usize));
        if part.shape == [outputs, whole] && whole != dense {
            part.check_type(&[Dtype::I32])?;
            return Ok(Codes::WholeInWords { bytes: part.bytes, stride: whole * 4, bits: self.bits });
        }
        part.check(&[Dtype::I32], &[outputs, dense])?;
        Ok(Codes::Rows { bytes: part.bytes, stride: dense * 4, bits: self.bits })
    }

    fn zeros<'a>(&self, module: &mut Module<'a>, layout: Layout, shape: [usize; 2]) -> Result<Zeros<'a>> {
        // Packed integers are unsigned.
        let middle = if self.packed { (1u32 << (self.bits - 1)) as f32 } else { 0. };
        let part = match module.optional("weight_zero_point") {
            // Older versions stored zeros where there is nothing to subtract.
            Some(part) if !(self.symmetric && part.bytes.iter().all(|byte| *byte == 0)) => part,
            found => {
                ensure!(
                    self.symmetric || found.is_some(),
                    "{}; the configuration states that the weights are not symmetric",
                    module.missing("weight_zero_point")
                );
                return Ok(Zeros::Same(middle));
            }
        };
        ensure!(!self.is_float, "{}: zero points of floats are not supported", part.described());
        if self.packed && part.dtype == Dtype::I32 {
            ensure!(
                matches!(self.scope, Scope::Channel | Scope::Group(_)),
                "{}: zero points are packed for groups and channels only",
                part.described()
            );
            let [outputs, groups] = shape;
            let (dense, whole) = (words(outputs, self.bits as usize), outputs.div_ceil(32 / self.bits as usize));
            ensure!(
                dense == whole || part.shape != [whole, groups],
                "{}: zero points of {} bits in words of whole values are not supported; save the model with a newer version of \
                 compressed-tensors",
                part.described(),
                self.bits
            );
            part.check(&[Dtype::I32], &[dense, groups])?;
            return Ok(Zeros::ByOutput { bytes: part.bytes, groups, bits: self.bits });
        }
        check_scales(&part, &[Dtype::I8], shape)?;
        Ok(Zeros::Numbers(Numbers::new(part, layout), middle))
    }
}

impl Scope {
    fn read(fields: Fields<'_>) -> Result<Self> {
        let size = match fields.get("group_size").and_then(Value::as_i64) {
            Some(-1) => None,
            _ => fields.size("group_size")?,
        };
        let strategy = fields.text("strategy")?.map(str::to_lowercase);
        Ok(match (strategy.as_deref(), size) {
            (Some("tensor"), _) => Self::Tensor,
            (Some("channel"), _) => Self::Channel,
            (Some("group") | None, Some(size)) => Self::Group(size),
            (Some("group"), None) => bail!("strategy is `group`, and there is no group_size"),
            (Some("block"), _) => Self::Block(block(fields, "block_structure")?),
            (None, None) if fields.get("group_size").is_some() => Self::Channel,
            (None, None) => Self::Tensor,
            (Some(other), _) => bail!("{}", refused::layout("compressed-tensors", "strategy", other)),
        })
    }
}

/// The two sizes of blocks.
pub(super) fn block(fields: Fields<'_>, name: &str) -> Result<[usize; 2]> {
    let sizes = fields.get(name).and_then(Value::as_array).and_then(|sizes| {
        let size = |size: &Value| usize::try_from(size.as_u64()?).ok().filter(|size| (1..=1 << 31).contains(size));
        match sizes.as_slice() {
            [rows, columns] => Some([size(rows)?, size(columns)?]),
            _ => None,
        }
    });
    sizes.with_context(|| format!("{name} should be the rows and columns of a block, such as [128, 128]"))
}

/// Checks scales, or zero points of the same shape, which may leave sizes of 1 out.
pub(super) fn check_scales(part: &Part<'_>, dtypes: &[Dtype], shape: [usize; 2]) -> Result<()> {
    let of_channels = shape[1] == 1 && part.shape == [shape[0]];
    let of_tensor = shape == [1, 1] && part.count() == 1;
    if of_channels || of_tensor { part.check_type(dtypes) } else { part.check(dtypes, &shape) }
}

/// The groups of inputs that are not in order.
pub(super) fn group_index(part: &Part<'_>, inputs: usize, groups: usize) -> Result<Groups> {
    part.check(&[Dtype::I32], &[inputs])?;
    let group = |(input, group): (usize, i32)| match usize::try_from(group) {
        Ok(known) if known < groups => Ok(group as u32),
        _ => bail!("{}: input {input} is in group {group}, and there are {groups} groups", part.described()),
    };
    Ok(Groups::Of(part.integers().enumerate().map(group).collect::<Result<_>>()?, groups))
}

impl Scheme for CompressedTensors {
    fn method(&self) -> &'static str {
        "compressed-tensors"
    }

    fn markers(&self) -> &'static [&'static str] {
        &["weight_packed", "weight_scale", "weight_global_scale"]
    }

    fn parts(&self, module: &Module<'_>) -> &'static [&'static str] {
        let group = self.group(module).ok().flatten();
        match group.and_then(|group| self.weights(group)).is_some_and(|weights| weights.packed) {
            true => &["weight_packed", "weight_scale", "weight_shape"],
            false => &["weight", "weight_scale"],
        }
    }

    fn settle(&self, module: &Module<'_>) -> Result<usize> {
        let marker = self.markers().iter().find(|marker| module.has(marker)).copied().unwrap_or_default();
        for (text, target) in &self.ignored {
            if target.rank(module)?.is_some() {
                return excluded(module, marker, &format!("ignore ({text})"));
            }
        }
        self.group(module)?.filter(|group| self.weights(*group).is_some()).with_context(|| {
            format!(
                "{}: {}.{marker} is a part of quantized weights, and no targets of config_groups name this module",
                module.place(),
                module.name
            )
        })
    }

    fn rows<'a>(&self, module: &mut Module<'a>, setting: usize) -> Result<QuantizedRows<'a>> {
        let weights = self.weights(setting).context("no group of config_groups describes the weights")?;
        let codes = weights.codes(module)?;
        let (layout, shape, size) = weights.scales(module);
        let scales = module.part("weight_scale")?;
        check_scales(&scales, &SCALES, shape)?;
        let zeros = weights.zeros(module, layout, shape)?;
        let groups = match module.optional("weight_g_idx") {
            // Where inputs are in order, it may have been left as it was allocated.
            Some(part) if !part.integers().any(|group| group == -1) => {
                ensure!(matches!(weights.scope, Scope::Group(_)), "{}: the weights have no groups", part.described());
                group_index(&part, module.inputs, shape[1])?
            }
            part => {
                ensure!(
                    part.is_some() || !weights.any_order || shape[1] == 1,
                    "{}: {}.weight_g_idx is missing, which lists the group of each input where actorder is group; take the whole \
                     checkpoint",
                    module.place(),
                    module.name
                );
                Groups::Size(size)
            }
        };
        let scales = Numbers::new(scales, layout);
        Ok(QuantizedRows { codes, scales, zeros, groups, inputs: module.inputs, first: 0 })
    }

    fn describe(&self) -> String {
        let mut kinds: Vec<String> =
            self.groups.iter().filter_map(|group| Some(group.weights.as_ref()?.describe())).collect();
        kinds.dedup();
        let note = match self.groups.iter().any(|group| group.with_activations) {
            true => "; activations, which other engines quantize, too, are not",
            false => "",
        };
        format!("compressed-tensors ({}{note})", kinds.join("; "))
    }
}
