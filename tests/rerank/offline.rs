//! `--offline`: the system ends a program that opens a way to the network, and this one goes on.

use std::os::unix::process::{CommandExt, ExitStatusExt};

use crate::fake_hub::{Hub, ODD, ended, ranked, ranking, run};
use crate::fixture::Files;

/// Has the system kill this process when it asks for a socket of IPv4 or IPv6.
fn forbid_network() -> std::io::Result<()> {
    use libc::{BPF_ABS, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W};
    use libc::{SECCOMP_RET_ALLOW, SECCOMP_RET_KILL_PROCESS, SYS_socket};
    let load = |offset: u32| libc::sock_filter { code: (BPF_LD | BPF_W | BPF_ABS) as u16, jt: 0, jf: 0, k: offset };
    let jump =
        |value: u32, jt: u8, jf: u8| libc::sock_filter { code: (BPF_JMP | BPF_JEQ | BPF_K) as u16, jt, jf, k: value };
    let end = |k: u32| libc::sock_filter { code: (BPF_RET | BPF_K) as u16, jt: 0, jf: 0, k };
    // Of `seccomp_data`: the call's number, and the lower half of its first argument.
    let (number, domain) = (0, 16);
    let mut filter = [
        load(number),
        jump(SYS_socket as u32, 0, 3),
        load(domain),
        jump(libc::AF_INET as u32, 2, 0),
        jump(libc::AF_INET6 as u32, 1, 0),
        end(SECCOMP_RET_ALLOW),
        end(SECCOMP_RET_KILL_PROCESS),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: the program is read during the call.
    let is_set = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) == 0
    };
    if is_set { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

/// Ranks without a network. None if the system does not let it be forbidden, as in some containers.
fn without_network(files: &Files, variables: &[(&str, &str)], arguments: &[&str]) -> Option<std::process::Output> {
    let mut command = ranking(files, "http://127.0.0.1:1", variables, arguments);
    // SAFETY: the filter allocates nothing.
    unsafe { command.pre_exec(forbid_network) };
    command.output().ok()
}

#[test]
fn no_network_is_asked_for_where_none_is_allowed() {
    let files = Files::new();
    let hub = Hub::start();
    ranked(&run(&files, &hub.endpoint(), &[], &ODD));
    drop(hub);
    let Some(asking) = without_network(&Files::new(), &[], &ODD) else { return };
    assert_eq!(asking.status.signal(), Some(libc::SIGSYS), "a run that downloads is killed: {asking:?}");
    let offline = [&ODD[..], &["--offline"]].concat();
    for (variables, arguments) in [
        (&[][..], &offline[..]),
        (&[("HF_HUB_OFFLINE", "1")], &ODD),
        (&[("HF_TOKEN", "hf_secret")], &offline),
        // What is in the cache, or in a directory, needs no network either.
        (&[], &ODD),
        (&[], &["--model", "testdata/odd-reranker"]),
        (&[("HTTPS_PROXY", "http://127.0.0.1:1")], &["--model", "testdata/odd-reranker"]),
    ] {
        ranked(&ended(&without_network(&files, variables, arguments).unwrap()));
    }
    // A model that is not here is an error, and not asked for.
    let absent = [&["--model", "owner/absent", "--offline"][..], &["--dry-run"]].concat();
    ended(&without_network(&files, &[], &absent).unwrap()).fails(1, &["owner/absent", "--offline"]);
}
