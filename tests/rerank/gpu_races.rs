//! Nothing in Hopper's attention touches shared memory out of order: the emulated GPU follows who knows of whom. That it
//! would notice is shown by faults that are planted in the kernel's source.

use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Output};

use crate::emulated::compile_with;

/// What is replaced by what in the kernel's source.
type Change = (&'static str, &'static str);

const FAULTS: &[(&str, &[Change])] = &[
    ("results_over_queries_that_others_read", &[("meet_warpgroup(worker);", "")]),
    ("results_read_before_other_lanes_wrote_them", &[("__syncwarp();\n        int piece", "int piece")]),
    (
        "queries_given_free_while_lanes_read_results",
        &[("__syncwarp();\n            if (threadIdx.x % 32", "if (threadIdx.x % 32")],
    ),
    (
        "queries_given_free_before_results_are_written",
        &[
            ("__syncwarp();\n            if (threadIdx.x % 32", "if (own == 0 && threadIdx.x % 32"),
            (
                "meet_warpgroup(worker);",
                "meet_warpgroup(worker);\nif (threadIdx.x % 32 == 0) arrive(room.queries_empty(half));",
            ),
        ],
    ),
    ("queries_fetched_before_they_are_free", &[("wait_for_phase(room.queries_empty(half), round / 2 % 2 ^ 1);", "")]),
    (
        "one_room_for_all_queries",
        &[
            ("int half = round % 2;\n            wait_for_phase", "int half = 0;\n            wait_for_phase"),
            ("int half = round % 2;\n            // With", "int half = 0;\n            // With"),
        ],
    ),
    ("tiles_fetched_before_they_are_free", &[("wait_for_phase(room.empty(turn.stage), turn.phase ^ 1);", "")]),
    (
        "first_keys_given_free_before_they_are_read",
        &[(
            "wait_for_products<0>();\n        pin(scores);\n        release(turn);",
            "release(turn);\n        wait_for_products<0>();\n        pin(scores);",
        )],
    ),
    (
        "values_given_free_before_they_are_read",
        &[(
            "wait_for_products<0>();\n            pin(sums);\n            release(values);",
            "release(values);\n            wait_for_products<0>();\n            pin(sums);",
        )],
    ),
    (
        "values_given_free_while_products_read_them",
        &[("wait_for_products<0>();\n            pin(sums);", "wait_for_products<1>();\n            pin(sums);")],
    ),
    ("tiles_used_before_they_come", &[("wait_for_phase(room.full(turn.stage), turn.phase);", "")]),
    ("tiles_not_shown_to_products", &[("        show_to_products();\n", "")]),
    ("copies_not_waited_for", &[("arrive_when_copied(room.full(turn.stage));", "arrive(room.full(turn.stage));")]),
    (
        "the_tile_of_queries_left_without_an_arrival",
        &[("if (threadIdx.x == 0) arrive(room.full(turn.stage));", ""), ("GROUP_THREADS + 1)", "GROUP_THREADS)")],
    ),
];

/// The kernel's source in namespaces: as it is, and with each fault.
fn namespaces() -> String {
    let source = std::fs::read_to_string("src/engine/gpu/kernels/attention_hopper.cu").unwrap();
    // Inclusions stand before all namespaces, and kernels by name behind them.
    let start = source.find("namespace hopper {").unwrap();
    let kernel = &source[start..source.find("#define KERNEL").unwrap()];
    let mut all = String::new();
    for (name, changes) in [("unchanged", [].as_slice())].iter().chain(FAULTS) {
        let mut changed = kernel.replace("namespace hopper {", "namespace hopper {\nusing namespace ::hopper;");
        for (what, with) in *changes {
            assert_eq!(changed.matches(what).count(), 1, "{name}: the kernel's source has changed: {what}");
            changed = changed.replace(what, with);
        }
        writeln!(all, "namespace {name} {{\n{changed}\n}}").unwrap();
    }
    let names = FAULTS.iter().map(|(name, _)| format!("entry({name}) "));
    all + "#define FAULTS(entry) " + &names.collect::<String>() + "\n"
}

fn run(program: &Path, name: &str, shape: usize) -> Output {
    Command::new(program).args([name, &shape.to_string()]).output().unwrap()
}

#[test]
fn shared_memory_is_in_order_and_faults_in_it_would_be_found() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("faults.h"), namespaces()).unwrap();
    let program = folder.path().join("faults");
    compile_with(&["-O1", "-I", folder.path().to_str().unwrap()], "tests/gpu/faults.cpp", &program);
    for shape in 0..5 {
        let output = run(&program, "unchanged", shape);
        assert!(output.status.success(), "shape {shape}: {}", String::from_utf8_lossy(&output.stderr));
    }
    for (name, _) in FAULTS {
        let error = String::from_utf8(run(&program, name, 0).stderr).unwrap();
        assert!(error.starts_with("a race: "), "{name}: {error}");
    }
}
