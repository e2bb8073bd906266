//! What a worker tells its operator, and what it does not.

mod support;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{ChildStderr, Stdio};

use support::{PATIENCE, Place, Running, wait_for};
use waxwing_testkit::exposition;

const CANARY: &str = "canary-5d1f";

/// A server with one job for `acme`, whose plaintext and file name are the canary's.
fn scene() -> (Place, Running) {
    let place = Place::new();
    place.run(&["agent", "register", "acme", "-k", "k.pub"]).ok();
    let server = Running::serve(&place);
    place.write("in.csv", CANARY);
    place.run(&["deliver", "in.csv", "--to", "acme", "--file-id", CANARY]).ok();
    (place, server)
}

/// Starts a worker that serves its vitals, and waits until it says where.
fn worker(place: &Place, more: &[&str]) -> (Running, String, BufReader<ChildStderr>) {
    let arguments = ["worker", "-k", "k", "--output", "inbox", "--metrics", "127.0.0.1:0"];
    let mut command = place.command(&[&arguments, more].concat());
    let mut child = Running(command.stderr(Stdio::piped()).spawn().unwrap());
    let mut log = BufReader::new(child.0.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("serving /metrics and /health") {
        line.clear();
        assert_ne!(log.read_line(&mut line).unwrap(), 0, "the worker ended");
    }
    let address = line.split_once("address=").unwrap().1.trim().to_owned();
    (child, address, log)
}

/// Status, head and body of an answer.
fn get(address: &str, path: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_owned(), body.to_owned())
}

#[test]
fn a_worker_serves_metrics_and_health() {
    let (place, _server) = scene();
    let (_worker, address, _log) = worker(&place, &[]);
    assert_eq!(get(&address, "/health").2, "ok\n");
    let done = "waxwing_jobs_settled_total{state=\"done\",class=\"\"}";
    let mut page = String::new();
    wait_for(|| {
        page = get(&address, "/metrics").2;
        exposition::read(&page).unwrap()[done] == 1.0
    });
    let samples = exposition::read(&page).unwrap();
    assert_eq!(samples["waxwing_plaintext_bytes_total"], CANARY.len() as f64);
    for stage in ["claim", "download", "open", "publish", "settle"] {
        assert_eq!(samples[&format!("waxwing_stage_seconds_count{{stage=\"{stage}\"}}")], 1.0, "{stage}");
    }
    // What a job is called, whose it is and what it held are nobody's label.
    for secret in [CANARY, "acme", "http", "sig"] {
        assert!(!page.contains(secret), "{secret}");
    }
    let (status, head, _) = get(&address, "/metrics");
    assert_eq!(status, 200);
    assert!(head.to_lowercase().contains("content-type: text/plain; version=0.0.4"), "{head}");
    assert_eq!(get(&address, "/data/x").0, 404);
}

/// Text 1's worker has no inbound API.
#[test]
fn by_default_a_worker_listens_nowhere() {
    let (place, _server) = scene();
    let mut command = place.command(&["worker", "-k", "k", "--output", "inbox"]);
    let worker = Running(command.stderr(Stdio::null()).spawn().unwrap());
    wait_for(|| place.path(&format!("inbox/{CANARY}.csv")).exists());
    assert_eq!(listening_sockets(worker.0.id()), 0);

    // The same look finds the socket of one that does listen.
    let (worker, ..) = self::worker(&place, &[]);
    assert_eq!(listening_sockets(worker.0.id()), 1);
}

/// How many TCP sockets a process listens on.
fn listening_sockets(pid: u32) -> usize {
    const LISTEN: &str = "0A";
    let inodes =
        ["/proc/net/tcp", "/proc/net/tcp6"].map(|file| std::fs::read_to_string(file).unwrap_or_default());
    let listening = inodes.iter().flat_map(|table| table.lines().skip(1)).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        (fields[3] == LISTEN).then(|| format!("socket:[{}]", fields[9]))
    });
    let listening: Vec<String> = listening.collect();
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("tests may look into their children");
    files
        .filter_map(|file| std::fs::read_link(file.ok()?.path()).ok())
        .filter(|target| listening.iter().any(|socket| target.as_os_str() == socket.as_str()))
        .count()
}

/// Attack row 15: what leaves in traces is names of jobs and stages, and times.
#[cfg(feature = "otel")]
#[test]
fn attack_15_traces_arrive_and_hold_no_secret() {
    let (place, _server) = scene();
    let (url, collector) = collector();
    place.run(&["worker", "--drain", "-k", "k", "--output", "inbox", "--otlp", &url]).ok();
    let sent = collector.join().unwrap();
    let has = |text: &str| sent.windows(text.len()).any(|window| window == text.as_bytes());
    for name in ["waxwing-worker", "job", "download", "open", "publish", "settle", "acme", "done"] {
        assert!(has(name), "{name}");
    }
    let home = place.path("home").display().to_string();
    for secret in [CANARY, "sig=", "PresignedURL", "data/", "inbox", &home] {
        assert!(!has(secret), "{secret}");
    }
}

/// Takes traces like an OpenTelemetry collector until whoever sends them ends; the thread's result is all bytes.
#[cfg(feature = "otel")]
fn collector() -> (String, std::thread::JoinHandle<Vec<u8>>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let taking = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut reader = BufReader::new(stream);
        let mut all = Vec::new();
        // The worker closes the connection when it ends.
        loop {
            let (mut line, mut len) = (String::new(), 0);
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return all;
            }
            assert!(line.starts_with("POST /v1/traces "), "{line}");
            while line != "\r\n" {
                line.clear();
                assert_ne!(reader.read_line(&mut line).unwrap(), 0, "a request was cut");
                let header = line.to_lowercase();
                if let Some(value) = header.strip_prefix("content-length:") {
                    len = value.trim().parse().unwrap();
                }
                all.extend_from_slice(line.as_bytes());
            }
            let mut body = vec![0; len];
            reader.read_exact(&mut body).unwrap();
            all.extend(body);
            let answer =
                "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
            reader.get_mut().write_all(answer.as_bytes()).unwrap();
        }
    });
    (url, taking)
}
