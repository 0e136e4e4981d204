//! The service when it is asked for too much, when clients behave badly, and when it is to end.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;

use serde_json::{Value, json};

use super::serve_fixture::{JSON, Service, documents, post};

const TINY: [&str; 2] = ["--model", "testdata/tiny-reranker"];

/// A connection on which so much of a body is sent, of as many bytes as announced.
fn begin(service: &Service, sent: &str, announced: usize) -> TcpStream {
    let mut stream = TcpStream::connect(service.address()).unwrap();
    write!(stream, "POST /v1/rerank HTTP/1.1\r\nhost: a\r\ncontent-length: {announced}\r\n\r\n{sent}").unwrap();
    stream
}

fn small() -> Value {
    json!({ "query": "solar", "documents": ["a"] })
}

#[test]
fn requests_that_do_not_fit_are_turned_away_until_there_is_room() {
    let limits = ["--max-body", "1MiB", "--max-queue-size", "1MiB"];
    let service = Service::start(&[&TINY[..], &limits].concat());
    let most = "x".repeat(1_000_000);
    let waiting = begin(&service, &most, 1 << 20);
    service.wait_until("rerank_queue_bytes", |bytes| bytes == 1_000_000.);
    let refused = service.post("/v1/rerank", &json!({ "query": "solar", "documents": [most] }));
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")), "{}", refused.text);
    drop(waiting);
    service.wait_until("rerank_queue_bytes", |bytes| bytes == 0.);
    assert_eq!(service.post("/v1/rerank", &small()).status, 200);
}

#[test]
fn clients_that_send_everything_before_they_read_learn_what_is_wrong() {
    let service = Service::start(&[&TINY[..], &["--max-body", "64KiB"]].concat());
    // More than connections hold that nobody reads.
    let body = vec![b' '; 24 << 20];
    for (path, headers, status) in [
        ("/v1/rerank", &JSON[..], 413),
        ("/nothing", &JSON[..], 404),
        ("/v1/rerank", &[("content-type", "text/plain")][..], 415),
    ] {
        let answer = service.send(path, headers, &body);
        assert_eq!(answer.status, status, "{}", answer.text);
        answer.json();
    }
}

#[test]
fn connections_that_send_nothing_keep_nobody_out() {
    let service = Service::start(&[&TINY[..], &["--max-connections", "8"]].concat());
    let silent: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect(service.address()).unwrap()).collect();
    let answer = service.post("/v1/rerank", &json!({ "query": "solar", "documents": ["a"] }));
    assert_eq!(answer.status, 200, "{}", answer.text);
    drop(silent);
}

#[test]
fn clients_that_announce_much_and_send_little_keep_nobody_out() {
    let service = Service::start(&[&TINY[..], &["--max-body", "1MiB", "--max-queue-size", "1MiB"]].concat());
    let begun: Vec<TcpStream> = (0..4)
        .map(|_| {
            let mut stream = TcpStream::connect(service.address()).unwrap();
            write!(stream, "POST /v1/rerank HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n{{").unwrap();
            stream
        })
        .collect();
    service.wait_until("rerank_queue_bytes", |bytes| bytes == 4.);
    let answer = service.post("/v1/rerank", &json!({ "query": "solar", "documents": ["a"] }));
    assert_eq!(answer.status, 200, "{}", answer.text);
    drop(begun);
    service.wait_until("rerank_queue_bytes", |bytes| bytes == 0.);
}

/// The client sends everything and goes away while the service is stopped, which then learns of both at the same time.
#[test]
#[cfg(unix)]
fn nothing_is_scored_for_a_client_that_has_gone_away() {
    let service = Service::start(&TINY);
    let body = json!({ "query": "solar power", "documents": documents(3000, 40) }).to_string();
    let mut stream = begin(&service, &body[..1], body.len());
    service.wait_until("rerank_queue_bytes", |bytes| bytes == 1.);
    service.signal(libc::SIGSTOP);
    stream.set_nonblocking(true).unwrap();
    let sent = 1 + stream.write(&body.as_bytes()[1..]).unwrap();
    assert_eq!(sent, body.len(), "the connection holds the whole body");
    drop(stream);
    service.signal(libc::SIGCONT);
    service.wait_until("rerank_requests_total{dialect=\"rerank\",code=\"499\"}", |count| count == 1.);
    service.wait_until("rerank_queue_pairs", |pairs| pairs == 0.);
    assert_eq!(service.post("/v1/rerank", &small()).status, 200);
    assert!(service.metric("rerank_batch_pairs_sum") < 3000., "its pairs were not dropped");
}

#[test]
#[cfg(unix)]
fn told_to_end_the_service_answers_the_requests_at_hand() {
    let service = Service::start(&[&TINY[..], &["--log-format", "json"]].concat());
    let url = format!("{}/v1/rerank", service.url);
    let bodies: Vec<String> = (0..6)
        .map(|number| json!({ "query": format!("solar power {number}"), "documents": documents(400, 40) }).to_string())
        .collect();
    let asking: Vec<_> = bodies
        .into_iter()
        .map(|body| {
            let url = url.clone();
            thread::spawn(move || {
                post(&url, &JSON, body.as_bytes()).map(|mut response| {
                    let mut text = String::new();
                    response.body_mut().as_reader().read_to_string(&mut text).unwrap();
                    serde_json::from_str::<Value>(&text).unwrap()["results"].as_array().unwrap().len()
                })
            })
        })
        .collect();
    service.wait_until("rerank_queue_requests", |requests| requests == 6.);
    service.signal(libc::SIGTERM);
    let ending: Value = serde_json::from_str(&service.wait_for("terminated: ")).unwrap();
    assert_eq!(ending["level"], "info");
    for asking in asking {
        assert_eq!(asking.join().unwrap().unwrap(), 400);
    }
    service.wait_for("all requests are answered");
    assert!(post(&url, &JSON, b"{}").is_err(), "no connection is taken any more");
    assert_eq!(service.wait().code(), Some(0));
}

#[test]
#[cfg(unix)]
fn a_service_that_says_that_it_is_ready_ends_in_order() {
    let service = Service::start(&TINY);
    service.signal(libc::SIGTERM);
    service.wait_for("all requests are answered");
    assert_eq!(service.wait().code(), Some(0));
}

#[test]
#[cfg(unix)]
fn what_takes_too_long_at_the_end_is_given_up_with_an_answer() {
    let service = Service::start(&[&TINY[..], &["--drain-timeout", "1"]].concat());
    let mut waiting = begin(&service, "{", 1000);
    service.wait_until("rerank_queue_bytes", |bytes| bytes == 1.);
    service.signal(libc::SIGTERM);
    let mut answer = String::new();
    waiting.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("--drain-timeout"), "{answer}");
    service.wait_for("not all requests were answered within 1 s");
    assert_eq!(service.wait().code(), Some(1));
}
