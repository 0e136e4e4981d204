//! Loads a replica of the model for each device, at once or when the first batch comes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use anyhow::{Result, anyhow};

use super::Setup;
use crate::batch::{Batch, Limits};
use crate::engine::{Engine, Profile, Target, Work};
use crate::progress::Reporter;
use crate::reranker::Reranker;

/// The engines of all devices.
pub struct Loaded {
    /// One for each device.
    pub engines: Vec<Box<dyn Engine>>,
    /// The limits of a batch for which every device has memory.
    pub limits: Limits,
}

/// When replicas of the model are loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loading {
    /// At once.
    AtOnce {
        /// Whether the engines keep profiles of the time.
        profiled: bool,
    },
    /// When the first batch comes, which it may never do: the cache may have all scores.
    WhenNeeded {
        /// Whether the engines keep profiles of the time.
        profiled: bool,
    },
    /// At once, and again where one panics: what it was doing can't be relied on any more.
    Supervised,
}

/// A replica that is loaded.
struct Ready {
    engine: Box<dyn Engine>,
    /// The tokens of a batch for which there is memory.
    tokens: usize,
}

/// What a replica is loaded from.
struct Replica {
    reranker: Arc<Reranker>,
    target: Target,
    limits: Limits,
    profiled: bool,
    reporter: Arc<Reporter>,
}

/// A replica that is loaded when a batch comes for which it is not there: the first one, or that after a panic.
struct Deferred {
    replica: Replica,
    /// The engine, or why there is none.
    loaded: Option<Result<Ready, String>>,
}

impl Setup {
    /// Loads a replica of the model for each target, in parallel.
    ///
    /// # Errors
    /// If one can't be loaded.
    pub fn load(&self, loading: Loading, reporter: &Arc<Reporter>) -> Result<Loaded> {
        let limits = self.limits;
        let replicas = self.targets.iter().map(|target| Replica {
            reranker: Arc::clone(&self.reranker),
            target: target.clone(),
            limits,
            profiled: matches!(loading, Loading::AtOnce { profiled: true } | Loading::WhenNeeded { profiled: true }),
            reporter: Arc::clone(reporter),
        });
        if matches!(loading, Loading::WhenNeeded { .. }) {
            let deferred = replicas.map(|replica| Box::new(Deferred { replica, loaded: None }) as Box<dyn Engine>);
            return Ok(Loaded { engines: deferred.collect(), limits });
        }
        let loads: Vec<_> = replicas.map(|replica| thread::spawn(move || Ok((replica.load()?, replica)))).collect();
        let joined =
            loads.into_iter().map(|load| load.join().map_err(|_| anyhow!("loading the model has panicked"))?);
        let loaded: Vec<(Ready, Replica)> = joined.collect::<Result<_>>()?;
        let tokens = loaded.iter().map(|(ready, _)| ready.tokens).min().unwrap_or(limits.tokens);
        let engine = |(ready, replica): (Ready, Replica)| match loading {
            Loading::Supervised => Box::new(Deferred { replica, loaded: Some(Ok(ready)) }),
            _ => ready.engine,
        };
        let engines = loaded.into_iter().map(engine).collect();
        Ok(Loaded { engines, limits: Limits { tokens, ..limits } })
    }
}

impl Replica {
    fn load(&self) -> Result<Ready> {
        let Self { reranker, target, limits, profiled, reporter } = self;
        let mut engine = reranker.load(target)?;
        let tokens = engine.reserve(*limits)?;
        if *profiled {
            engine.begin_profile();
        }
        engine.warnings().iter().for_each(|warning| reporter.note(warning));
        if tokens < limits.tokens {
            reporter.note(&format!("batches have up to {tokens} tokens, for which there is memory"));
        }
        Ok(Ready { engine, tokens })
    }
}

impl Deferred {
    fn engine(&self) -> Option<&dyn Engine> {
        self.loaded.as_ref()?.as_ref().ok().map(|ready| &*ready.engine)
    }
}

impl Engine for Deferred {
    fn run(&mut self, batch: &Batch) -> Result<Vec<f32>> {
        let Self { replica, loaded } = self;
        let loading = loaded.get_or_insert_with(|| replica.load().map_err(|error| format!("{error:#}")));
        let engine = &mut loading.as_mut().map_err(|error| anyhow!("{error}"))?.engine;
        catch_unwind(AssertUnwindSafe(|| engine.run(batch))).unwrap_or_else(|_| {
            *loaded = None;
            Err(anyhow!("scoring a batch has panicked, which is a fault of rerank; the model is loaded anew"))
        })
    }

    fn fitting_tokens(&self) -> usize {
        let Some(Ok(Ready { engine, tokens })) = &self.loaded else { return usize::MAX };
        engine.fitting_tokens().min(*tokens)
    }

    fn warnings(&self) -> Vec<String> {
        self.engine().map(Engine::warnings).unwrap_or_default()
    }

    fn take_profile(&mut self) -> Option<Profile> {
        let Some(Ok(ready)) = &mut self.loaded else { return None };
        ready.engine.take_profile()
    }

    fn work(&self, batch: &Batch) -> Work {
        self.engine().map(|engine| engine.work(batch)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::{AdapterChoice, Downloads, ModelSource};
    use crate::engine::cpu::{Arithmetic, Level};
    use crate::precision::Precision;
    use crate::progress::{Progress, Verbosity};
    use crate::recipe::RecipeChoice;
    use crate::reranker::RerankerOptions;

    /// An engine that always panics.
    struct Panics;

    impl Engine for Panics {
        fn run(&mut self, _: &Batch) -> Result<Vec<f32>> {
            panic!("a fault of the engine")
        }
    }

    #[test]
    fn a_model_whose_engine_panics_is_loaded_anew() {
        let options = RerankerOptions {
            source: ModelSource::Fake,
            adapter: AdapterChoice::default(),
            recipe: RecipeChoice::default(),
            weights: true,
            on_gpu: false,
            downloads: Downloads::Silent,
        };
        let replica = Replica {
            reranker: Arc::new(Reranker::find(&options).unwrap()),
            target: Target::Cpu(Arithmetic::new(Level::available(), Precision::F32)),
            limits: Limits { pairs: 1, tokens: 9, share_prefixes: true, fill: true },
            profiled: false,
            reporter: Arc::new(Reporter::new(Progress::None, Verbosity::Quiet)),
        };
        let ready = Ready { engine: Box::new(Panics), tokens: 9 };
        let mut engine = Deferred { replica, loaded: Some(Ok(ready)) };
        let batch = Batch::filled(4, 4);
        assert!(engine.run(&batch).unwrap_err().to_string().contains("panicked"));
        assert_eq!(engine.run(&batch).unwrap().len(), batch.pairs().count());
    }
}
