//! What stands between a run and the hub's files: proxies, redirects, pages for people, and where the cache is.

use std::io::{Read, Write};
use std::net::TcpListener;

use crate::fake_hub::{COMMIT, Fault, Hub, ODD, SHARD, ended, ranked, ranking, run};
use crate::fixture::Files;

const ALWAYS: usize = usize::MAX;
const BRIEF: [(&str, &str); 1] = [("HF_HUB_ETAG_TIMEOUT", "0.05")];
/// A page that passes for a file by its headers.
const PAGE: Fault = Fault::Status(
    "200 OK",
    "content-type: text/html\r\nx-repo-commit: 0123456789abcdef0123456789abcdef01234567\r\netag: \"page\"\r\n",
);

#[test]
fn a_page_never_gets_into_the_cache() {
    for file in ["config.json", SHARD] {
        let files = Files::new();
        let hub = Hub::start();
        hub.fail(file, PAGE, 1);
        run(&files, &hub.endpoint(), &[], &ODD).fails(1, &[file, "the answer is a web page", "proxy"]);
        ranked(&run(&files, &hub.endpoint(), &[], &ODD));
    }
}

#[test]
fn a_file_of_another_size_than_the_hub_says_never_gets_into_the_cache() {
    const OTHER: &str =
        "x-repo-commit: 0123456789abcdef0123456789abcdef01234567\r\netag: \"a\"\r\nx-linked-size: 900\r\n";
    let files = Files::new();
    let hub = Hub::start();
    hub.fail("config.json", Fault::Status("200 OK", OTHER), 2);
    run(&files, &hub.endpoint(), &[], &ODD).fails(1, &["config.json", "another size than the hub states"]);
    ranked(&run(&files, &hub.endpoint(), &[], &ODD));
}

#[test]
fn an_answer_is_said_to_lack_what_it_lacks() {
    for (headers, named) in [
        ("etag: \"a\"\r\n", "the commit (X-Repo-Commit)"),
        ("x-repo-commit: 0123456789abcdef0123456789abcdef01234567\r\n", "the content's name (ETag)"),
    ] {
        let hub = Hub::start();
        hub.fail("config.json", Fault::Status("200 OK", headers), ALWAYS);
        run(&Files::new(), &hub.endpoint(), &[], &ODD).fails(1, &["config.json", named, "HF_ENDPOINT"]);
    }
}

#[test]
fn a_damaged_file_in_the_cache_comes_with_its_remedy() {
    let files = Files::new();
    let hub = Hub::start();
    ranked(&run(&files, &hub.endpoint(), &[], &ODD));
    files.write(&format!("home/hub/models--owner--odd/blobs/{SHARD}"), "<!DOCTYPE html>");
    let run = run(&files, &hub.endpoint(), &[], &ODD);
    run.fails(1, &[SHARD, "web page", "delete", "home/hub/models--owner--odd and run again"]);
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
}

#[test]
fn a_redirect_is_followed_without_the_token() {
    let files = Files::new();
    let (hub, storage) = (Hub::start(), Hub::start());
    let to = format!(
        "x-repo-commit: {COMMIT}\r\nx-linked-etag: \"other\"\r\nlocation: {}/owner/odd/resolve/main/config.json\r\n",
        storage.endpoint()
    );
    hub.fail("config.json", Fault::Status("302 Found", to.leak()), 2);
    ranked(&run(&files, &hub.endpoint(), &[("HF_TOKEN", "hf_secret")], &ODD));
    assert_eq!(storage.requests().len(), 2);
    assert!(storage.requests().iter().all(|request| !request.contains("hf_secret")), "the token went elsewhere");
}

#[test]
fn where_a_redirect_fails_is_named() {
    for (to, parts) in [
        ("location: http://127.0.0.1:1/x\r\n", ["refused", "at 127.0.0.1:1, where it redirected to"]),
        ("location: file:///etc/passwd\r\n", ["file:///etc/passwd", "no address on the web"]),
        ("location: \r\n", ["redirected 10 times", "owner/odd"]),
    ] {
        let hub = Hub::start();
        hub.fail("/", Fault::Status("302 Found", to), ALWAYS);
        run(&Files::new(), &hub.endpoint(), &BRIEF, &ODD).fails(1, &parts);
    }
}

#[test]
fn a_proxy_is_named_where_it_fails() {
    let hub = Hub::start();
    let closed = Hub::start().endpoint();
    let through = format!("through the proxy {}", closed.trim_start_matches("http://"));
    let proxy = [("HTTP_PROXY", closed.as_str())];
    run(&Files::new(), &hub.endpoint(), &proxy, &ODD).fails(1, &["refused", &through]);
    let passed_by = [proxy[0], ("NO_PROXY", "127.0.0.1")];
    ranked(&run(&Files::new(), &hub.endpoint(), &passed_by, &ODD));
    for wrong in ["::::", "gopher://user:secret@proxy:80"] {
        let run = run(&Files::new(), &hub.endpoint(), &[("https_proxy", wrong)], &ODD);
        run.fails(1, &["https_proxy", "http://HOST:PORT"]);
        assert!(!run.stderr.contains("secret"), "{}", run.stderr);
    }
}

#[test]
fn a_server_without_tls_is_not_waited_for() {
    // As web servers do, it answers what it can't understand in its own words.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("https://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
        }
    });
    let run = run(&Files::new(), &endpoint, &BRIEF, &ODD);
    run.fails(1, &["no secure connection", "does it speak https"]);
    assert!(!run.stderr.contains("attempt"), "{}", run.stderr);
}

#[test]
fn a_list_that_is_no_text_is_no_network_fault() {
    let hub = Hub::start();
    hub.fail("/api/", Fault::Status("204 No Content", ""), ALWAYS);
    run(&Files::new(), &hub.endpoint(), &BRIEF, &ODD).fails(1, &["is no such list", "is it a model hub"]);
}

#[test]
fn the_cache_is_where_the_python_client_has_it() {
    let hub = Hub::start();
    for (name, value, place) in [
        ("XDG_CACHE_HOME", "/xdg", "xdg/huggingface/hub"),
        ("HUGGINGFACE_HUB_CACHE", "/old", "old"),
        ("HF_HOME", "~/in home", "home/in home/hub"),
    ] {
        let files = Files::new();
        let value = if value.starts_with('~') { value.to_owned() } else { files.name(&value[1..]) };
        let mut command = ranking(&files, &hub.endpoint(), &[], &ODD);
        command.env_remove("HF_HOME").env("HOME", files.path("home")).env(name, value);
        ranked(&ended(&command.output().unwrap()));
        assert!(files.path(place).join("models--owner--odd/snapshots").join(COMMIT).join(SHARD).exists(), "{name}");
    }
}

#[test]
fn a_cache_that_cannot_be_written_comes_with_its_remedy() {
    let files = Files::new();
    let hub = Hub::start();
    let file = files.write("file", "");
    run(&files, &hub.endpoint(), &[("HF_HOME", &file)], &ODD)
        .fails(1, &["cannot write to the cache of models", &file, "HF_HOME or HF_HUB_CACHE names another folder"]);
}

#[test]
fn a_revision_is_a_name_and_not_a_path() {
    let files = Files::new();
    let hub = Hub::start();
    for revision in ["", "../x", "/main", "v 1"] {
        run(&files, &hub.endpoint(), &[], &[&ODD[..], &["--revision", revision]].concat())
            .fails(2, &["--revision", "branch"]);
    }
    assert_eq!(hub.requests(), Vec::<String>::new());
}
