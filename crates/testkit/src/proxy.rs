//! A server in front of another that answers badly now and then: for whoever must survive that.
//!
//! What it does with a request follows from a seed and the request's number, so that a run can be repeated as far as the order
//! of requests can. It speaks HTTP/1.1, a connection for each request, on the loopback interface.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::seeded::Seeded;

/// The longest head of a request or an answer.
const HEAD_LEN_MAX: usize = 64 << 10;
/// How long either side may be silent.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// What may be done to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// 500, without asking the server.
    InternalError,
    /// 503 with `Retry-After: 1`, without asking the server.
    Unavailable,
    /// The connection is reset in place of an answer. The server may have been asked.
    ResetBefore,
    /// The connection is reset within the body of the answer.
    ResetWithin,
    /// The connection ends within the body of the answer as if all were well.
    Cut,
    /// The answer claims to be longer than it is.
    LongerThanTrue,
    /// The answer claims to be shorter than it is, and is.
    ShorterThanTrue,
    /// Silence for [`Faults::stall`], and then the end.
    Stall,
    /// The answer comes late by a tenth of [`Faults::stall`].
    Delay,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::InternalError,
        Self::Unavailable,
        Self::ResetBefore,
        Self::ResetWithin,
        Self::Cut,
        Self::LongerThanTrue,
        Self::ShorterThanTrue,
        Self::Stall,
        Self::Delay,
    ];
}

/// What a proxy does.
#[derive(Debug, Clone)]
pub struct Faults {
    /// Decides which requests fail, and how.
    pub seed: u64,
    /// Of 100 requests so many.
    pub percent: usize,
    /// Those to choose from.
    pub kinds: Vec<Fault>,
    /// How long a stall lasts.
    pub stall: Duration,
}

/// A proxy that runs until it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    target: SocketAddr,
    faults: Faults,
    hides_absence: bool,
    requests: AtomicU64,
    calm: AtomicBool,
    ended: AtomicBool,
    done: Mutex<BTreeMap<Fault, Vec<String>>>,
}

impl Proxy {
    /// Starts one in front of `target`.
    ///
    /// # Panics
    ///
    /// When the loopback interface has no free port.
    #[must_use]
    pub fn start(target: SocketAddr, faults: Faults) -> Self {
        Self::serving(target, faults, false)
    }

    /// Starts one that also answers 403 where the server says to GET or HEAD that there is nothing, as S3 does to whoever
    /// may not list the bucket.
    ///
    /// # Panics
    ///
    /// When the loopback interface has no free port.
    #[must_use]
    pub fn without_listing(target: SocketAddr, faults: Faults) -> Self {
        Self::serving(target, faults, true)
    }

    fn serving(target: SocketAddr, faults: Faults, hides_absence: bool) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let shared = Arc::new(Shared {
            target,
            faults,
            hides_absence,
            requests: AtomicU64::new(0),
            calm: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            done: Mutex::default(),
        });
        let listening = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if listening.ended.load(Ordering::Relaxed) {
                    return;
                }
                let shared = Arc::clone(&listening);
                // Whoever breaks off gets no more; the next request is another connection.
                thread::spawn(move || drop(shared.serve(client)));
            }
        });
        Self { address, shared }
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Has it do nothing to requests, or what it was made for again.
    pub fn set_calm(&self, calm: bool) {
        self.shared.calm.store(calm, Ordering::Relaxed);
    }

    /// The targets of the requests to which this was done.
    #[must_use]
    pub fn done(&self, fault: Fault) -> Vec<String> {
        let done = self.shared.done.lock().unwrap_or_else(PoisonError::into_inner);
        done.get(&fault).cloned().unwrap_or_default()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        // Wakes the listener, which then sees that it is over.
        drop(TcpStream::connect(self.address));
    }
}

/// The head of a request or an answer.
struct Head {
    /// Its first line.
    line: String,
    headers: Vec<(String, String)>,
}

impl Head {
    fn read(from: &mut impl io::BufRead) -> io::Result<Self> {
        let mut lines = Vec::new();
        let mut left = HEAD_LEN_MAX;
        loop {
            let mut line = String::new();
            let read = from.by_ref().take(left as u64).read_line(&mut line)?;
            left -= read;
            match line.trim_end() {
                _ if read == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                "" => break,
                text => lines.push(text.to_owned()),
            }
        }
        let mut lines = lines.into_iter();
        let line = lines.next().ok_or(io::ErrorKind::InvalidData)?;
        let header = |line: String| {
            line.split_once(':').map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        };
        Ok(Self { line, headers: lines.filter_map(header).collect() })
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn len(&self) -> Option<u64> {
        self.get("content-length")?.parse().ok()
    }

    fn write(&self, to: &mut impl io::Write, len: Option<u64>) -> io::Result<()> {
        let mut text = format!("{}\r\n", self.line);
        for (name, value) in &self.headers {
            match (name.as_str(), len) {
                ("connection" | "keep-alive", _) => {}
                ("content-length", Some(len)) => text += &format!("content-length: {len}\r\n"),
                _ => text += &format!("{name}: {value}\r\n"),
            }
        }
        text += "connection: close\r\n\r\n";
        to.write_all(text.as_bytes())
    }
}

impl Shared {
    /// What is done to the next request.
    fn next(&self) -> (Option<Fault>, u64) {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let mut dice = Seeded::new(self.faults.seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let struck = dice.below(100) < self.faults.percent && !self.faults.kinds.is_empty();
        let fault = struck.then(|| self.faults.kinds[dice.below(self.faults.kinds.len())]);
        (fault, dice.next_u64())
    }

    fn note(&self, fault: Fault, request: &Head) {
        let path = request.line.split(' ').nth(1).unwrap_or_default();
        let path = path.split('?').next().unwrap_or_default().to_owned();
        self.done.lock().unwrap_or_else(PoisonError::into_inner).entry(fault).or_default().push(path);
    }

    fn serve(&self, client: TcpStream) -> io::Result<()> {
        client.set_read_timeout(Some(SILENCE_MAX))?;
        let mut reader = BufReader::new(client.try_clone()?);
        let request = Head::read(&mut reader)?;
        let (fault, dice) = self.next();
        let fault = fault.filter(|_| !self.calm.load(Ordering::Relaxed));
        if let Some(fault) = fault {
            self.note(fault, &request);
        }
        let mut client = client;
        match fault {
            Some(Fault::InternalError) => return refuse(&mut client, "500 Internal Server Error", ""),
            Some(Fault::Unavailable) => {
                return refuse(&mut client, "503 Service Unavailable", "retry-after: 1\r\n");
            }
            Some(Fault::Stall) => {
                thread::sleep(self.faults.stall);
                return Ok(());
            }
            Some(Fault::Delay) => thread::sleep(self.faults.stall / 10),
            _ => {}
        }
        let mut server = TcpStream::connect(self.target)?;
        server.set_read_timeout(Some(SILENCE_MAX))?;
        request.write(&mut server, None)?;
        io::copy(&mut reader.take(request.len().unwrap_or(0)), &mut server)?;
        let mut answers = BufReader::new(server);
        let mut answer = Head::read(&mut answers)?;
        if answer.line.starts_with("HTTP/1.1 100") {
            answer = Head::read(&mut answers)?;
        }
        if fault == Some(Fault::ResetBefore) {
            return reset(&client);
        }
        let looks = request.line.starts_with("GET ") || request.line.starts_with("HEAD ");
        if self.hides_absence && looks && answer.line.split(' ').nth(1) == Some("404") {
            return refuse(&mut client, "403 Forbidden", "");
        }
        let len = answer.len();
        let body = len.unwrap_or(u64::MAX);
        // Somewhere within the body, where that has a length.
        let within = len.filter(|&len| len > 0).map(|len| dice % len);
        match (fault, within) {
            (Some(Fault::ResetWithin), Some(at)) => {
                answer.write(&mut client, None)?;
                io::copy(&mut answers.take(at), &mut client)?;
                reset(&client)
            }
            (Some(Fault::Cut), Some(at)) => {
                answer.write(&mut client, None)?;
                io::copy(&mut answers.take(at), &mut client).map(drop)
            }
            (Some(Fault::LongerThanTrue), Some(at)) => {
                answer.write(&mut client, Some(body + 1 + at))?;
                io::copy(&mut answers.take(body), &mut client).map(drop)
            }
            (Some(Fault::ShorterThanTrue), Some(at)) => {
                answer.write(&mut client, Some(at))?;
                io::copy(&mut answers.take(at), &mut client).map(drop)
            }
            _ => {
                answer.write(&mut client, None)?;
                io::copy(&mut answers.take(body), &mut client).map(drop)
            }
        }
    }
}

fn refuse(client: &mut TcpStream, status: &str, header: &str) -> io::Result<()> {
    let answer = format!("HTTP/1.1 {status}\r\n{header}content-length: 0\r\nconnection: close\r\n\r\n");
    client.write_all(answer.as_bytes())
}

/// Ends a connection with a reset rather than in order.
fn reset(client: &TcpStream) -> io::Result<()> {
    rustix::net::sockopt::set_socket_linger(client, Some(Duration::ZERO))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = "0123456789";

    /// A server that gives [`BODY`] to whoever asks.
    fn target() -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let mut reader = BufReader::new(client.try_clone().unwrap());
                if Head::read(&mut reader).is_ok() {
                    let mut client = client;
                    let _ = write!(client, "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{BODY}");
                }
            }
        });
        address
    }

    /// The whole answer through a proxy that always does this; an error when the connection was reset.
    fn answer(fault: Option<Fault>) -> io::Result<String> {
        let faults = Faults {
            seed: 1,
            percent: if fault.is_some() { 100 } else { 0 },
            kinds: fault.into_iter().collect(),
            stall: Duration::from_millis(200),
        };
        let proxy = Proxy::start(target(), faults);
        let mut stream = TcpStream::connect(proxy.address)?;
        stream.write_all(b"GET /x?secret HTTP/1.1\r\nhost: h\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        assert!(fault.is_none_or(|fault| proxy.done(fault) == ["/x"]));
        Ok(text)
    }

    fn claimed_and_true(answer: &str) -> (usize, usize) {
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let claimed = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        (claimed.parse().unwrap(), body.len())
    }

    #[test]
    fn without_faults_the_answer_is_the_servers() {
        let answer = answer(None).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with(BODY), "{answer}");
    }

    #[test]
    fn every_fault_is_what_it_says() {
        assert!(answer(Some(Fault::InternalError)).unwrap().starts_with("HTTP/1.1 500"));
        assert!(answer(Some(Fault::Unavailable)).unwrap().contains("retry-after"));
        for fault in [Fault::ResetBefore, Fault::ResetWithin] {
            assert_eq!(answer(Some(fault)).unwrap_err().kind(), io::ErrorKind::ConnectionReset, "{fault:?}");
        }
        let (claimed, true_len) = claimed_and_true(&answer(Some(Fault::Cut)).unwrap());
        assert!(claimed == 10 && true_len < 10);
        let (claimed, true_len) = claimed_and_true(&answer(Some(Fault::LongerThanTrue)).unwrap());
        assert!(claimed > 10 && true_len == 10);
        let (claimed, true_len) = claimed_and_true(&answer(Some(Fault::ShorterThanTrue)).unwrap());
        assert!(claimed < 10 && claimed == true_len);
        assert_eq!(answer(Some(Fault::Stall)).unwrap(), "");
        assert!(answer(Some(Fault::Delay)).unwrap().ends_with(BODY));
    }

    #[test]
    fn a_seed_decides() {
        let shared = |seed| Shared {
            target: ([127, 0, 0, 1], 1).into(),
            faults: Faults { seed, percent: 50, kinds: Fault::ALL.to_vec(), stall: Duration::ZERO },
            hides_absence: false,
            requests: AtomicU64::new(0),
            calm: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            done: Mutex::default(),
        };
        let course = |seed| {
            let shared = shared(seed);
            (0..200).map(|_| shared.next().0).collect::<Vec<_>>()
        };
        assert_eq!(course(1), course(1));
        assert_ne!(course(1), course(2));
        assert!(Fault::ALL.iter().all(|fault| course(1).contains(&Some(*fault))));
    }
}
