//! Files that are no files: loops of links, named pipes, devices, holes of a gigabyte. Each is refused by its name, and nothing is
//! waited for.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::fixture::{Files, Run, rerank};

const ODD: &str = "testdata/odd-reranker";

pub(crate) fn make_pipe(path: &Path) {
    let name = CString::new(path.as_os_str().as_bytes()).unwrap();
    // SAFETY: the name ends with zero.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
}

type Make = fn(&Path);

/// What may stand in a file's place.
const KINDS: [(&str, Make); 5] = [
    ("a named pipe", make_pipe),
    ("a loop", |path| symlink(path, path).unwrap()),
    ("a link to nothing", |path| symlink("/nowhere", path).unwrap()),
    ("a device", |path| symlink("/dev/zero", path).unwrap()),
    ("a directory", |path| std::fs::create_dir(path).unwrap()),
];

#[track_caller]
fn is_refused(run: &Run, name: &str, kind: &str) {
    assert!([1, 2].contains(&run.status), "{name}, {kind}: {} {}", run.status, run.stderr);
    assert!(run.stderr.contains(name) && !run.stderr.contains("panicked"), "{name}, {kind}: {}", run.stderr);
}

#[test]
fn a_models_file_that_is_none_is_refused() {
    for name in [
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "modules.json",
        "chat_template.jinja",
        "model.safetensors.index.json",
        "model-00002-of-00003.safetensors",
    ] {
        for (kind, make) in KINDS {
            let files = Files::in_memory();
            let model = files.copy_model(ODD, "model");
            let path = files.path("model").join(name);
            let _ = std::fs::remove_file(&path);
            make(&path);
            is_refused(&rerank(&["--model", &model, "--input", "testdata/candidates.jsonl"]), name, kind);
        }
    }
}

#[test]
fn a_sidecar_that_is_none_is_refused() {
    let hole = |path: &Path| std::fs::File::create(path).unwrap().set_len(1 << 30).unwrap();
    let kinds = KINDS.into_iter().chain([("a hole", hole as Make)]);
    for (kind, make) in kinds {
        let files = Files::in_memory();
        let output = files.write("out.jsonl", "{\"query_id\":\"q\"}\n");
        make(&files.path("out.jsonl.run.json"));
        let ranks = ["--model", "fake", "--input", "testdata/candidates.jsonl", "--output", &output];
        for option in ["--resume", "--overwrite"] {
            is_refused(&rerank(&[&ranks[..], &[option]].concat()), "out.jsonl.run.json", kind);
        }
        assert_eq!(files.read("out.jsonl"), "{\"query_id\":\"q\"}\n", "{kind}");
    }
}

#[test]
fn a_pickle_is_no_weights_whatever_it_is_called() {
    let files = Files::in_memory();
    let model = files.copy_model(ODD, "model");
    std::fs::remove_file(files.path("model/model.safetensors.index.json")).unwrap();
    // It would run a program if it were loaded.
    let marker = files.name("loaded");
    let pickle = format!("\u{80}\u{2}cos\nsystem\nX\u{7f}\0\0\0touch {marker}\u{85}R.");
    let pickle: Vec<u8> = pickle.chars().map(|character| character as u8).collect();
    for name in ["model.safetensors", "pytorch_model.bin"] {
        files.write(&format!("model/{name}"), &pickle);
        let run = rerank(&["--model", &model, "--input", "testdata/candidates.jsonl"]);
        run.fails(1, &["model", if name == "model.safetensors" { "pickle" } else { "safetensors" }]);
        std::fs::remove_file(files.path(&format!("model/{name}"))).unwrap();
    }
    assert!(!Path::new(&marker).exists());
}
