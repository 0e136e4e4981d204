//! Whole runs of the real program, and the library's numbers against the reference implementation.

mod adapters;
mod adapters_refused;
mod bad_files;
mod bad_input;
mod bad_tables;
mod bench;
#[cfg(target_os = "linux")]
mod bombs;
mod cache;
mod check;
mod checkpoints;
#[cfg(feature = "cuda")]
mod cuda;
mod decoders;
mod descriptions;
mod determinism;
#[cfg(unix)]
mod directories;
mod emulated;
mod encoders;
mod eval;
mod exact;
mod fake_hub;
#[cfg(feature = "stores")]
mod fake_store;
mod families;
mod family;
mod first_steps;
mod fixture;
mod foreign;
mod formats;
mod fusion;
mod generated;
mod gguf;
mod gguf_changed;
mod gguf_file;
mod gguf_metadata;
mod gguf_tokenizer;
mod gpu;
mod gpu_attention;
mod gpu_features;
mod gpu_gated;
mod gpu_quantized;
mod gpu_races;
mod gpu_streaming;
mod handed_models;
#[cfg(unix)]
mod hostile;
#[cfg(unix)]
mod hostile_examples;
#[cfg(unix)]
#[path = "../fuzz/formats.rs"]
mod hostile_formats;
mod hub;
mod hub_elsewhere;
mod hub_faults;
mod interpreters;
mod judging;
#[cfg(target_os = "linux")]
mod large;
mod long;
#[cfg(unix)]
mod meddled_texts;
mod meddling;
mod memory;
mod mended;
mod model_files;
mod models;
mod modules;
#[cfg(unix)]
mod odd_files;
#[cfg(target_os = "linux")]
mod offline;
mod outputs;
mod packed;
mod pairs;
mod parity;
#[cfg(feature = "parquet")]
mod parquet;
#[cfg(feature = "parquet")]
mod parquet_beir;
#[cfg(all(feature = "parquet", target_os = "linux"))]
mod parquet_damage;
#[cfg(feature = "parquet")]
mod parquet_levels;
#[cfg(feature = "parquet")]
mod parquet_output;
#[cfg(feature = "parquet")]
mod parquet_places;
#[cfg(feature = "parquet")]
mod parquet_reported;
#[cfg(feature = "parquet")]
mod parquet_several;
#[cfg(feature = "parquet")]
mod parquet_types;
mod people;
mod piped;
mod pipes;
#[cfg(unix)]
mod plan;
#[cfg(feature = "parquet")]
mod plan_columns;
mod plumbing;
#[cfg(feature = "cuda")]
mod products;
mod quantized;
mod quantized_damage;
mod quantized_refused;
mod query_fields;
mod ranked_again;
mod real_shapes;
mod recipe_notes;
mod recipe_options;
mod recipes;
mod reference;
mod report;
mod resume;
mod resume_refused;
mod round_trips;
mod running;
mod runs;
mod secrets;
#[cfg(feature = "serve")]
mod serve;
#[cfg(feature = "serve")]
mod serve_fixture;
#[cfg(feature = "serve")]
mod serve_limits;
mod session;
mod shapes;
mod shards;
mod shards_agree;
#[cfg(unix)]
mod shards_broken;
mod shards_files;
mod shards_refused;
#[cfg(unix)]
mod shards_whole;
mod signals;
#[cfg(feature = "stores")]
mod stores;
#[cfg(all(unix, feature = "stores"))]
mod stores_interrupted;
#[cfg(feature = "stores")]
mod stores_refused;
mod tables;
mod tiny;
mod tokens;
mod tools;
mod without_texts;
