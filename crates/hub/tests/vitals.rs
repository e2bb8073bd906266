//! How a process does, as it is told to who asks.

use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use waxwing_hub::{Vitals, serve_vitals};

async fn ask(vitals: Vitals, request: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::select! {
        () = serve_vitals(listener, vitals, std::future::pending()) => unreachable!("nobody ends it"),
        read = stream.read_to_string(&mut answer) => read.unwrap(),
    };
    answer
}

fn vitals(is_healthy: bool) -> Vitals {
    Vitals {
        metrics: Arc::new(|| "a_total 1\n".to_owned()),
        metrics_type: "text/plain; version=0.0.4",
        is_healthy: Arc::new(move || is_healthy),
    }
}

#[tokio::test]
async fn health_is_in_the_status() {
    let well = ask(vitals(true), "GET /health HTTP/1.0\r\n\r\n").await;
    assert!(well.starts_with("HTTP/1.0 200 ") && well.ends_with("\r\n\r\nok\n"), "{well}");
    let unwell = ask(vitals(false), "GET /health HTTP/1.0\r\n\r\n").await;
    assert!(unwell.starts_with("HTTP/1.0 503 "), "{unwell}");
}

#[tokio::test]
async fn nothing_but_reading_is_answered() {
    let page = ask(vitals(true), "GET /metrics HTTP/1.0\r\n\r\n").await;
    assert!(
        page.contains("content-type: text/plain; version=0.0.4\r\n") && page.ends_with("a_total 1\n"),
        "{page}"
    );
    for (request, status) in [("POST /metrics", 405), ("GET /", 404), ("GET /debug/pprof", 404)] {
        let answer = ask(vitals(true), &format!("{request} HTTP/1.0\r\n\r\n")).await;
        assert!(answer.starts_with(&format!("HTTP/1.0 {status} ")), "{request}: {answer}");
    }
}
