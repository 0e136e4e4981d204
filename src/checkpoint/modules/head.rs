//! The head that the modules behind a pooling make.

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};

use super::folder::{self, Dense, SCORES};
use super::{Module, ModuleKind, Modules};
use crate::checkpoint::{ModelFiles, Weights};
use crate::model::{Architecture, Head, HeadOutput, HeadStep, Pooling};

/// A head in the folders of modules, in place of the one that a configuration describes.
#[derive(Debug)]
pub struct ModuleHead {
    pooling: Pooling,
    head: Head,
    /// The features of a pooled vector, and the file that has them.
    width: Option<(usize, String)>,
    /// The folders that have weights.
    folders: Vec<String>,
}

/// What the modules before have made.
struct Made {
    steps: Vec<HeadStep>,
    output: Option<HeadOutput>,
    /// The features of the vector, and the file that has them.
    width: Option<(usize, String)>,
}

impl ModuleHead {
    /// Reads the head; none, if the model has no modules, or none that pools.
    ///
    /// # Errors
    /// If a module is not supported, or the modules do not make a score.
    pub fn read(files: &ModelFiles) -> Result<Option<Self>> {
        let Some(modules) = Modules::read(files)?.filter(Modules::pools) else { return Ok(None) };
        let Some(pool) = modules.list.get(1) else { return Ok(None) };
        modules.check_scores(files, pool)?;
        let (pooling, width) = modules.config(files, pool, |fields, _| folder::pooling(fields))?;
        let width = width.map(|width| (width, pool.config()));
        let mut made = Made { steps: Vec::new(), output: None, width: width.clone() };
        let mut folders = Vec::new();
        for (index, module) in modules.list.iter().enumerate().skip(2) {
            let unknown = || format!("{}: module {index} is {}", modules.place, module.class);
            ensure!(
                made.output.is_none(),
                "{}, behind the module that gives the scores, which is not supported",
                unknown()
            );
            match module.kind {
                ModuleKind::Dropout => continue,
                ModuleKind::Dense => {
                    let dense = modules.config(files, module, |fields, _| folder::dense(fields, &module.folder))?;
                    made.add_dense(dense, module)?;
                }
                ModuleKind::LayerNorm => {
                    let norm = modules.config(files, module, |fields, _| folder::norm(fields, &module.folder))?;
                    made.add_norm(norm, module)?;
                }
                _ => bail!("{}, and behind a Pooling only Dense, LayerNorm and Dropout are supported", unknown()),
            }
            folders.push(module.folder.clone());
        }
        let output = made.output.context("a Dense that gives the scores was found before")?;
        Ok(Some(Self { pooling, head: Head { steps: made.steps, output, temperature: 1. }, width, folders }))
    }

    /// Puts the head in place of the described one.
    ///
    /// # Errors
    /// If it is made for vectors of another width than the model's.
    pub fn apply(&self, architecture: &mut Architecture) -> Result<()> {
        if let Some((width, place)) = &self.width {
            let hidden = architecture.hidden;
            ensure!(
                *width == hidden,
                "{place} is for vectors of {width} features, and the model of config.json has {hidden}"
            );
        }
        architecture.pooling = self.pooling;
        architecture.padding = None;
        architecture.head = self.head.clone();
        Ok(())
    }

    /// Adds the weights of the folders to those of the model. Returns their files.
    ///
    /// # Errors
    /// If a file is missing, or is not safetensors.
    pub fn add_weights(&self, files: &ModelFiles, weights: &mut Weights) -> Result<Vec<PathBuf>> {
        let add = |folder: &String| {
            let path = files.get(&format!("{folder}/model.safetensors"))?;
            weights.add_folder(folder, &path)?;
            Ok(path)
        };
        self.folders.iter().map(add).collect()
    }
}

impl Modules {
    /// Refuses models that make vectors of texts, by what they lack.
    fn check_scores(&self, files: &ModelFiles, pool: &Module) -> Result<()> {
        let gives_scores = |module: &Module| {
            self.config(files, module, |fields, _| Ok(fields.text("module_output_name")? == Some(SCORES)))
        };
        for module in self.list.iter().filter(|module| module.kind == ModuleKind::Dense) {
            if gives_scores(module)? {
                return Ok(());
            }
        }
        bail!(
            "{} is that of an embedding model, which gives vectors and no scores: its module 1, {}, pools the tokens into a vector, \
             and no Dense makes a score of it (module_output_name {SCORES}); name a reranker, such as Qwen/Qwen3-Reranker-0.6B",
            self.place,
            pool.class
        )
    }
}

impl Made {
    fn add_dense(&mut self, dense: Dense, module: &Module) -> Result<()> {
        let Dense { linear, activation, scores } = dense;
        let (outputs, inputs) = (linear.outputs(), linear.weight.inputs());
        self.check_width(inputs, module)?;
        self.width = Some((outputs, module.config()));
        if !scores {
            self.steps.push(HeadStep::Dense(linear, activation));
            return Ok(());
        }
        let place = module.config();
        ensure!(outputs == 1, "{place}: out_features is {outputs}, and a reranker has one score");
        ensure!(
            activation.is_none(),
            "{place}: activation_function is not supported where a module gives the scores, only torch.nn.modules.linear.Identity"
        );
        self.output = Some(HeadOutput::Classifier(linear));
        Ok(())
    }

    fn add_norm(&mut self, step: HeadStep, module: &Module) -> Result<()> {
        if let HeadStep::Norm(norm) = &step {
            self.check_width(norm.weight.rows.len(), module)?;
        }
        self.steps.push(step);
        Ok(())
    }

    /// Checks that a module takes what the one before gives.
    fn check_width(&self, inputs: usize, module: &Module) -> Result<()> {
        if let Some((width, place)) = &self.width {
            let own = module.config();
            ensure!(inputs == *width, "{own} is for vectors of {inputs} features, and those of {place} have {width}");
        }
        Ok(())
    }
}
