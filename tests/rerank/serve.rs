//! The service, as its clients see it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::adapters::{Adapter, write};
use super::fixture::{Files, rerank, rerank_on};
use super::serve_fixture::{JSON, Service, documents, text};

const TINY: [&str; 2] = ["--model", "testdata/tiny-reranker"];

/// The logits that a run gives documents, in their order.
fn logits_of_a_run(query: &str, documents: &[String], options: &[&str]) -> Vec<f32> {
    let candidates: Vec<Value> = documents.iter().map(|text| json!({ "text": text })).collect();
    let input = json!({ "query": query, "candidates": candidates }).to_string();
    let run = rerank_on(input, &[&TINY, options].concat());
    let mut logits = vec![f32::NAN; documents.len()];
    for result in run.rankings()[0]["results"].as_array().unwrap() {
        logits[result["original_rank"].as_u64().unwrap() as usize - 1] = result["logit"].as_f64().unwrap() as f32;
    }
    logits
}

#[test]
fn every_client_gets_the_scores_of_a_run_whoever_asks_beside_it() {
    let service = Service::start(&TINY);
    proptest!(ProptestConfig { cases: 6, failure_persistence: None, ..ProptestConfig::default() }, |(
        requests in proptest::collection::vec(
            (proptest::collection::vec(0usize..12, 1..6), proptest::collection::vec(proptest::collection::vec(0usize..12, 0..30), 1..20)),
            1..9,
        )
    )| {
        let requests: Vec<(String, Vec<String>)> =
            requests.iter().map(|(query, documents)| (text(query), documents.iter().map(|words| text(words)).collect())).collect();
        let lines: Vec<String> = requests.iter().map(|(query, documents)| {
            let candidates: Vec<Value> = documents.iter().map(|text| json!({ "text": text })).collect();
            json!({ "query": query, "candidates": candidates }).to_string()
        }).collect();
        let rankings = rerank_on(lines.join("\n"), &TINY).rankings();
        let answers: Vec<Vec<f32>> = thread::scope(|scope| {
            let ask = |(query, documents): &(String, Vec<String>)| service.logits(query, documents);
            let asking: Vec<_> = requests.iter().map(|request| scope.spawn(move || ask(request))).collect();
            asking.into_iter().map(|asking| asking.join().unwrap()).collect()
        });
        prop_assert_eq!(rankings.len(), answers.len());
        for (ranking, logits) in rankings.iter().zip(answers) {
            let results = ranking["results"].as_array().unwrap();
            prop_assert_eq!(results.len(), logits.len());
            for result in results {
                let index = result["original_rank"].as_u64().unwrap() as usize - 1;
                prop_assert_eq!(result["logit"].as_f64().unwrap() as f32, logits[index]);
            }
        }
    });
}

#[test]
fn documents_are_ranked_as_in_a_run() {
    let service = Service::start(&TINY);
    let documents = documents(9, 12);
    let candidates: Vec<Value> = documents.iter().map(|text| json!({ "text": text })).collect();
    let input = json!({ "query": "solar power", "instruction": "Find what is about rain", "candidates": candidates });
    let run = rerank_on(input.to_string(), &TINY).rankings();
    let answer = service.post(
        "/v1/rerank",
        &json!({ "query": "solar power", "documents": documents, "top_n": 4, "instruction": "Find what is about rain" }),
    );
    assert_eq!(answer.status, 200, "{}", answer.text);
    let results = answer.json()["results"].clone();
    let found: Vec<(u64, &Value)> = results
        .as_array()
        .unwrap()
        .iter()
        .map(|result| (result["index"].as_u64().unwrap() + 1, &result["relevance_score"]))
        .collect();
    let expected: Vec<(u64, &Value)> = run[0]["results"]
        .as_array()
        .unwrap()
        .iter()
        .take(4)
        .map(|result| (result["original_rank"].as_u64().unwrap(), &result["score"]))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn texts_are_cut_as_a_request_wants() {
    let service = Service::start(&[&TINY[..], &["--max-length", "96"]].concat());
    let documents = documents(3, 200);
    let asked = |fields: Value| {
        let mut body = json!({ "query": "solar power", "documents": documents, "use_activation": false });
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let answer = service.post("/vllm/v1/rerank", &body);
        assert_eq!(answer.status, 200, "{}", answer.text);
        let mut logits = vec![0.; documents.len()];
        for result in answer.json()["results"].as_array().unwrap() {
            logits[result["index"].as_u64().unwrap() as usize] = result["relevance_score"].as_f64().unwrap() as f32;
        }
        logits
    };
    assert_eq!(asked(json!({})), logits_of_a_run("solar power", &documents, &["--max-length", "96"]));
    assert_eq!(
        asked(json!({ "truncate_prompt_tokens": 80 })),
        logits_of_a_run("solar power", &documents, &["--max-length", "80"])
    );
    let few = asked(json!({ "max_tokens_per_doc": 5 }))[0];
    let beginnings: Vec<String> = (0..60).map(|length| documents[0][..length].to_owned()).collect();
    let of_beginnings = logits_of_a_run("solar power", &beginnings, &[]);
    let found = of_beginnings.iter().position(|logit| *logit == few);
    assert!(found.is_some_and(|length| (5..40).contains(&length)), "{found:?}");
    let query = "solar power from light and from the river ".repeat(3);
    let body = json!({ "query": query, "documents": ["a", "b"], "truncate_prompt_tokens": 64 });
    let refused = service.post("/v1/rerank", &body);
    assert_eq!(refused.status, 422, "{}", refused.text);
    assert!(refused.text.contains("truncate_prompt_tokens"), "{}", refused.text);
    let cut = service.post("/v1/rerank", &json!({ "query": query, "documents": ["a"], "max_tokens_per_query": 3 }));
    assert_eq!(cut.json()["results"][0]["truncated"], json!(true), "{}", cut.text);
    let refused = service.post("/tei/rerank", &json!({ "query": "solar", "texts": documents, "truncate": false }));
    assert_eq!(refused.status, 422, "{}", refused.text);
    assert!(refused.text.contains("document 0 is too long"), "{}", refused.text);
    let body = json!({ "query": { "text": "solar" }, "passages": documents });
    let refused = service.post("/v1/ranking", &body);
    assert!(refused.status == 422 && refused.text.contains("`truncate`"), "{}", refused.text);
    let cut = service.post("/v1/rerank", &json!({ "query": "solar", "documents": documents }));
    assert_eq!(cut.header("x-truncated-documents"), Some("3"));
}

#[test]
fn what_is_wrong_is_refused_with_its_status() {
    let service = Service::start(&[&TINY[..], &["--max-body", "64KiB", "--max-documents", "50"]].concat());
    let right = json!({ "query": "solar", "documents": ["a", "b"] }).to_string();
    let large = json!({ "query": "solar", "documents": ["x".repeat(70_000)] }).to_string();
    let many = json!({ "query": "solar", "documents": vec!["a"; 51] }).to_string();
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let packed = [("content-type", "application/json"), ("content-encoding", "gzip")];
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str, u16, &'a str);
    let cases: [Case; 11] = [
        ("/v1/rerank", &JSON, "{", 400, "the body can't be read"),
        ("/v1/rerank", &JSON, r#"{"query":1,"documents":["a"]}"#, 400, "query"),
        ("/v1/rerank", &JSON, r#"{"query":" ","documents":["a"]}"#, 422, "query is empty"),
        ("/v1/rerank", &JSON, r#"{"query":"a","documents":["a"],"model":"other"}"#, 404, "tiny-reranker"),
        ("/v1/rerank", &JSON, &large, 413, "--max-body"),
        ("/v1/rerank", &JSON, &many, 413, "50"),
        ("/v1/rerank", &form, &right, 415, "application/json"),
        ("/v1/rerank", &packed, &right, 415, "gzip"),
        ("/v1/embeddings", &JSON, &right, 404, "/v1/rerank"),
        ("/nothing", &JSON, &right, 404, "/v1/rerank"),
        ("/health", &JSON, &right, 405, "GET"),
    ];
    for (path, headers, body, status, part) in cases {
        let answer = service.send(path, headers, body.as_bytes());
        assert_eq!(answer.status, status, "{path} {body:.80}: {}", answer.text);
        assert!(answer.text.contains(part), "{path} {body:.80}: {}", answer.text);
        answer.json();
    }
    assert_eq!(service.get("/v1/rerank").header("allow"), Some("POST"));
    assert_eq!(service.post("/health", &json!({})).header("allow"), Some("GET, HEAD"));
    assert_eq!(service.send("/v1/rerank", &[], right.as_bytes()).status, 200);
    // Bytes that are no request end their connection, and no other.
    let mut stream = TcpStream::connect(service.address()).unwrap();
    stream.write_all(b"\x16\x03\x01 what is this\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 400"), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(service.send("/v1/rerank", &JSON, right.as_bytes()).status, 200);
}

#[test]
fn an_instruction_without_a_place_is_refused() {
    let service = Service::start(&["--model", "fake"]);
    let body = json!({ "query": "solar", "documents": ["a"], "instruction": "Find rain" });
    let refused = service.post("/v1/rerank", &body);
    assert_eq!(refused.status, 422, "{}", refused.text);
    assert!(refused.text.contains("`instruction`"), "{}", refused.text);
}

#[test]
fn only_those_who_have_a_key_are_served() {
    let files = Files::new();
    let path = files.write("keys", "\u{feff}first-key\nsecond-key\n");
    let service =
        Service::start(&[&TINY[..], &["--api-key-file", &path, "--verbose", "--cors", "https://a.example"]].concat());
    let body = json!({ "query": "solar", "documents": ["a"] }).to_string();
    let asked = |key: &str| service.send("/v1/rerank", &[JSON[0], ("authorization", key)], body.as_bytes());
    assert_eq!((asked("Bearer first-key").status, asked("Bearer second-key").status), (200, 200));
    let refused = asked("Bearer third-key");
    assert_eq!((refused.status, refused.header("www-authenticate")), (401, Some("Bearer")));
    assert_eq!(
        (service.get("/metrics").status, service.get("/health").status, service.get("/").status),
        (401, 200, 200)
    );
    let mut preflight = TcpStream::connect(service.address()).unwrap();
    let asked = "origin: https://a.example\r\naccess-control-request-method: POST\r\nconnection: close\r\n";
    write!(preflight, "OPTIONS /v1/rerank HTTP/1.1\r\nhost: a\r\n{asked}\r\n").unwrap();
    let mut answer = String::new();
    preflight.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("access-control-allow-headers: authorization,content-type"), "{answer}");
    let strange = service.send("/v1/rerank", &[JSON[0], ("origin", "https://b.example")], body.as_bytes());
    assert!(strange.status == 403 && strange.text.contains("--cors https://b.example"), "{}", strange.text);
    let page = service.send("/v1/rerank", &[JSON[0], ("origin", "https://a.example")], body.as_bytes());
    assert_eq!(page.header("access-control-allow-origin"), Some("https://a.example"));
    let messages = service.messages_until("/v1/rerank: 401").join("\n");
    assert!(messages.contains("/v1/rerank: 200") && !messages.contains("-key"), "{messages}");
}

#[test]
fn scores_are_kept_in_a_cache() {
    let files = Files::new();
    let directory = files.name("cache");
    let options = [&TINY[..], &["--cache", &directory]].concat();
    let service = Service::start(&options);
    let documents = documents(20, 9);
    let logits = service.logits("solar power", &documents);
    assert_eq!(logits, service.logits("solar power", &documents));
    assert_eq!(service.metric("rerank_cache_hits_total"), 20.);
    assert_eq!(logits, logits_of_a_run("solar power", &documents, &[]));
    let salted = json!({ "query": "solar power", "documents": documents, "cache_salt": "s" });
    let answer = service.post("/v1/rerank", &salted);
    assert_eq!(answer.status, 422);
    assert!(answer.text.contains("`cache_salt` can't set a cache apart"), "{}", answer.text);
}

#[test]
fn programs_and_people_can_see_what_it_is() {
    let options = ["--served-model-name", "my-model", "--metrics-alias", "tei", "--log-format", "json"];
    let service = Service::start(&[&TINY[..], &options].concat());
    // What is asked again and again is not in the log, but what is refused is.
    assert_eq!((service.get("/health").status, service.get("/metrics").status), (200, 200));
    assert_eq!(service.get("/nothing").status, 404);
    let line: Value = serde_json::from_str(&service.wait_for("\"request\"")).unwrap();
    assert_eq!(
        (&line["status"], &line["method"], &line["path"], &line["dialect"]),
        (&json!(404), &json!("GET"), &json!("/nothing"), &Value::Null)
    );
    let answer = service.post("/rerank", &json!({ "query": "solar", "documents": ["a"], "model": "my-model" }));
    assert_eq!((answer.status, &answer.json()["model"]), (200, &json!("my-model")));
    let line: Value = serde_json::from_str(&service.wait_for("\"request\"")).unwrap();
    assert_eq!((&line["status"], &line["documents"], &line["path"]), (&json!(200), &json!(1), &json!("/rerank")));
    assert_eq!(line["request_id"].as_str(), answer.header("x-request-id"));
    let own = service.send("/rerank", &[JSON[0], ("x-request-id", "mine-1")], b"{");
    assert_eq!(own.header("x-request-id"), Some("mine-1"));
    assert_eq!(service.get("/info").json()["model_id"], "my-model");
    assert_eq!(service.get("/v1/models").json()["data"][0]["id"], "my-model");
    let own = service.send("/vllm/rerank", &JSON, br#"{"query": "a", "documents": ["b"], "request_id": "mine-2"}"#);
    assert_eq!((own.header("x-request-id"), &own.json()["id"]), (Some("mine-2"), &json!("rerank-mine-2")));
    let late =
        service.send("/rerank", &[JSON[0], ("x-request-timeout", "1e-9")], br#"{"query": "a", "documents": ["b"]}"#);
    assert!([408, 504].contains(&late.status), "{}", late.text);
    for path in [
        "/health",
        "/health/",
        "/ping",
        "/.well-known/ready",
        "/weaviate/.well-known/ready",
        "/tei/health",
        "/tei",
        "/tei/metrics",
        "/nvidia/v1/health/ready",
        "/v1/health/live",
    ] {
        assert_eq!(service.get(path).status, 200, "{path}");
    }
    let metrics = service.get("/metrics");
    assert!(metrics.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    for name in [
        "rerank_info{model=\"my-model\"",
        "rerank_request_seconds_bucket",
        "te_request_count{method=\"batch\"} 4",
        "te_queue_size 0",
    ] {
        assert!(metrics.text.contains(name), "{name}: {}", metrics.text);
    }
    let page = service.get("/");
    assert!(
        page.text.contains("<html") && page.header("content-security-policy").unwrap().contains("script-src 'self'")
    );
}

#[test]
fn an_adapter_is_named_where_the_model_is() {
    let (adapter, files) = (Adapter::read("on-gptq"), Files::new());
    let [model, _] = adapter.write_base(&files);
    let mut tensors = adapter.tensors();
    let name = "base_model.model.model.layers.0.self_attn.v_proj.lora_B.weight";
    let without_number = tensors[name].affine(f64::NAN, 0.).unwrap();
    tensors.insert(name.to_owned(), without_number);
    write(&files.path("adapter"), &adapter.config, &tensors);
    let named = files.name("adapter");
    let service = Service::start(&["--model", &model, "--adapter", &named, "--served-model-name", "mine"]);
    assert_eq!(service.get("/info").json()["adapter"], named);
    assert_eq!(service.get("/v1/models").json()["data"][0]["adapter"], named);
    assert!(service.get("/metrics").text.contains(&format!("adapter=\"{named}\"")));
    let answer = service.post("/rerank", &json!({ "query": "solar", "documents": ["a"] }));
    assert_eq!(answer.status, 500);
    assert!(
        answer.text.contains(&format!("the output of mine with the adapter {named} is not a number")),
        "{}",
        answer.text
    );
}

#[test]
fn what_keeps_it_from_starting_is_reported() {
    let service = Service::start(&TINY);
    let port = service.address().rsplit(':').next().unwrap();
    rerank(&["serve", "--port", port, "--model", "fake"]).fails(1, &["cannot listen", port, "--port"]);
    rerank(&["serve", "--port", "0", "--model", "./testdata/none"]).fails(2, &["testdata/none"]);
    rerank(&["serve", "--dialect", "klingon"]).fails(2, &["--dialect klingon", "cohere"]);
    rerank(&["serve", "--cors", "example.org"]).fails(2, &["--cors example.org", "https://"]);
    rerank(&["serve", "--cors", "https://Example.org"]).fails(2, &["--cors https://Example.org", "lower case"]);
    rerank(&["serve", "--max-documents", "9", "--max-queue-pairs", "8"]).fails(2, &["--max-queue-pairs 8"]);
    let failed = rerank(&["serve", "--log-format", "json", "--model", "./testdata/none"]);
    let message: Value = serde_json::from_str(failed.stderr.trim()).unwrap();
    assert_eq!((&message["level"], failed.status), (&json!("error"), 2));
    rerank(&["serve", "--port", "0", "--quiet"]).fails(2, &["--port 0", "--quiet"]);
    let files = Files::new();
    for (text, parts) in [
        ("first-key\n\n second key\n", ["line 3 has characters", "without spaces"]),
        ("# of yesterday\nkey\n", ["line 1 begins with #", "comments are not possible"]),
        ("\u{feff}\n", ["there is no key", "one key a line"]),
    ] {
        let path = files.write("keys", text);
        let failed = rerank(&["serve", "--api-key-file", &path]);
        assert!(!failed.stderr.contains("second"), "{}", failed.stderr);
        failed.fails(2, &parts);
    }
    rerank(&["serve", "--max-body", "0"]).fails(2, &["--max-body 0"]);
    rerank(&["serve", "--served-model-name", "a,,b"]).fails(2, &["--served-model-name", "empty"]);
}
