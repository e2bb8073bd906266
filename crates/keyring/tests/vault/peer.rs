//! A server that says what a test wants it to say.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::json;

/// What it does to one connection, once it has read the request.
#[derive(Clone)]
#[allow(dead_code, reason = "not every test binary needs every answer")]
pub(crate) enum Does {
    /// Sends these bytes and closes.
    Sends(Vec<u8>),
    /// Sends these bytes, over and over.
    Floods(Vec<u8>, Vec<u8>),
    /// Refuses with this status, in words that repeat the whole request.
    Echoes(&'static str),
    /// Says nothing and keeps the connection.
    Stalls,
}

/// It answers one connection after the other, each as the script says; the last answer serves for all that follow.
pub(crate) struct Peer {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Peer {
    pub(crate) fn start(script: Vec<Does>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = requests.clone();
        // It ends with the process.
        thread::spawn(move || {
            let mut stalled = Vec::new();
            for connection in 0.. {
                let (stream, _) = listener.accept().unwrap();
                let Some(request) = read(&stream) else { continue };
                seen.lock().unwrap().push(request.clone());
                let does = match script.get(connection).or(script.last()).unwrap() {
                    Does::Echoes(status) => answer(status, &json!({ "errors": [request] }).to_string()),
                    does => does.clone(),
                };
                match does {
                    Does::Echoes(_) => {}
                    Does::Stalls => stalled.push(stream),
                    Does::Sends(bytes) => drop((&stream).write_all(&bytes)),
                    Does::Floods(head, piece) => {
                        let _ = (&stream).write_all(&head);
                        while (&stream).write_all(&piece).is_ok() {}
                    }
                }
            }
        });
        Self { address, requests }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests so far: head and body.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// An answer of HTTP with this status line's end and this body.
pub(crate) fn answer(status: &str, body: &str) -> Does {
    let len = body.len();
    Does::Sends(
        format!("HTTP/1.1 {status}\r\ncontent-length: {len}\r\nconnection: close\r\n\r\n{body}").into(),
    )
}

/// One request, unless the other side closes before.
fn read(stream: &TcpStream) -> Option<String> {
    let mut reader = BufReader::new(stream);
    let (mut head, mut len) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            len = value.trim().parse().unwrap();
        }
        head += &line;
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; len];
    reader.read_exact(&mut body).ok()?;
    Some(head + &String::from_utf8(body).unwrap())
}
