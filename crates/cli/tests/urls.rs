//! Files anywhere: URLs as inputs and outputs of the built binary, on real servers.
#![cfg(feature = "connectors")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use support::{Place, Ran};
use waxwing_testkit::server::{
    self, S3_ACCESS_KEY, S3_BUCKET, S3_SECRET_KEY, Server, WEBDAV_PASSWORD, WEBDAV_USER,
};
use waxwing_testkit::{payload, peers};

/// A whole frame of the usual length with its tag.
const SEALED_FRAME_LEN: usize = (64 << 10) + 16;

/// A service that keeps files, and a look behind its back.
struct Service {
    server: Server,
    /// What stands in front of a name.
    prefix: String,
    environment: Vec<(&'static str, String)>,
    is_s3: bool,
}

impl Service {
    fn s3() -> Option<Self> {
        let server = server::seaweedfs()?;
        let environment = s3_environment(&server.url());
        Some(Self { server, prefix: format!("s3://{S3_BUCKET}/"), environment, is_s3: true })
    }

    fn webdav() -> Option<Self> {
        let server = server::webdav()?;
        let environment = vec![
            ("WAXWING_WEBDAV_USER", WEBDAV_USER.to_owned()),
            ("WAXWING_WEBDAV_PASSWORD", WEBDAV_PASSWORD.to_owned()),
        ];
        Some(Self { prefix: format!("webdav://{}/", server.address()), server, environment, is_s3: false })
    }

    fn sftp() -> Option<Self> {
        let server = server::sftp()?;
        let config = server.dir().join("config").display().to_string();
        let environment = vec![("WAXWING_SSH_CONFIG", config)];
        Some(Self { prefix: format!("sftp://ann@{}/", server.address()), server, environment, is_s3: false })
    }

    fn all() -> Vec<Self> {
        [Self::s3(), Self::webdav(), Self::sftp()].into_iter().flatten().collect()
    }

    fn url(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn command(&self, place: &Place, arguments: &[&str]) -> Command {
        let mut command = place.command(arguments);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    fn run(&self, place: &Place, arguments: &[&str]) -> Ran {
        Ran(self.command(place, arguments).output().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.server.dir().join("files").join(name)
    }

    /// Everything that is there, hidden names and unfinished uploads too, with its length.
    fn holds(&self) -> BTreeMap<String, u64> {
        if self.is_s3 {
            let listing = self.boto(
                "for o in s3.list_objects_v2(Bucket=b).get('Contents', []): print(o['Key'], o['Size'])\n\
                 for u in s3.list_multipart_uploads(Bucket=b).get('Uploads', []): print('upload/' + u['Key'], 0)",
                "",
            );
            let entry = |line: &str| {
                let (name, len) = line.rsplit_once(' ').unwrap();
                (name.to_owned(), len.parse().unwrap())
            };
            return listing.lines().map(entry).collect();
        }
        let entries = fs::read_dir(self.path("")).unwrap().map(Result::unwrap);
        entries
            .map(|entry| (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().len()))
            .collect()
    }

    /// What is there when everything was taken back. rclone's WebDAV may finish a hidden file after it was removed: it
    /// answers a PUT before it has written it. Under load it does so seconds later.
    fn holds_in_the_end(&self) -> BTreeMap<String, u64> {
        let mut holds = self.holds();
        if self.prefix.starts_with("webdav:") {
            holds.retain(|name, _| !name.starts_with(".waxwing-"));
        }
        holds
    }

    /// Puts bytes there by other means.
    fn put(&self, name: &str, bytes: &[u8]) {
        if self.is_s3 {
            let file = self.server.dir().join("put");
            fs::write(&file, bytes).unwrap();
            self.boto(&format!("s3.upload_file(arg, b, '{name}')"), &file.display().to_string());
        } else {
            fs::write(self.path(name), bytes).unwrap();
        }
    }

    fn boto(&self, lines: &str, argument: &str) -> String {
        let script = format!(
            "import sys, boto3\nb, arg = '{S3_BUCKET}', sys.argv[1]\n\
             s3 = boto3.client('s3', endpoint_url='{}', region_name='us-east-1',\
             aws_access_key_id='{S3_ACCESS_KEY}', aws_secret_access_key='{S3_SECRET_KEY}')\n{lines}\n",
            self.server.url()
        );
        let mut python = Command::new(peers::servers().unwrap());
        let ran = python.args(["-c", &script, argument]).output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).unwrap()
    }
}

fn s3_environment(endpoint: &str) -> Vec<(&'static str, String)> {
    vec![
        ("AWS_ENDPOINT_URL", endpoint.to_owned()),
        ("AWS_ACCESS_KEY_ID", S3_ACCESS_KEY.to_owned()),
        ("AWS_SECRET_ACCESS_KEY", S3_SECRET_KEY.to_owned()),
    ]
}

/// Something between a client and a server that counts.
struct Proxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<u8>>>,
    answered: Arc<AtomicU64>,
}

impl Proxy {
    fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy =
            Self { address: listener.local_addr().unwrap(), asked: Arc::default(), answered: Arc::default() };
        let (asked, answered) = (proxy.asked.clone(), proxy.answered.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().map(Result::unwrap) {
                let upstream = TcpStream::connect(server).unwrap();
                let (asked, answered) = (asked.clone(), answered.clone());
                let back = (upstream.try_clone().unwrap(), client.try_clone().unwrap());
                std::thread::spawn(move || {
                    relay(client, upstream, |bytes| asked.lock().unwrap().extend(bytes))
                });
                std::thread::spawn(move || {
                    relay(back.0, back.1, |bytes| {
                        _ = answered.fetch_add(bytes.len() as u64, Ordering::SeqCst)
                    });
                });
            }
        });
        proxy
    }

    /// The ranges that were asked for since the last call, and the bytes that came back.
    fn take(&self) -> (Vec<Range<u64>>, u64) {
        let asked = String::from_utf8(std::mem::take(&mut *self.asked.lock().unwrap())).unwrap();
        let range = |line: &str| {
            let (name, value) = line.split_once(": bytes=")?;
            let (start, last) = value.split_once('-')?;
            let range = start.parse().unwrap()..last.parse::<u64>().unwrap() + 1;
            name.eq_ignore_ascii_case("range").then_some(range)
        };
        let ranges = asked.lines().filter_map(range).collect::<Vec<_>>();
        let gets = asked.lines().filter(|line| line.starts_with("GET ")).count();
        assert_eq!(gets, ranges.len(), "nothing is asked for whole");
        (ranges, self.answered.swap(0, Ordering::SeqCst))
    }
}

fn relay(mut from: TcpStream, mut to: TcpStream, mut see: impl FnMut(&[u8])) {
    let mut bytes = [0; 65536];
    while let Ok(len @ 1..) = from.read(&mut bytes) {
        see(&bytes[..len]);
        if to.write_all(&bytes[..len]).is_err() {
            break;
        }
    }
    // The other end may have gone first.
    let _ = to.shutdown(Shutdown::Both);
}

#[test]
fn a_range_costs_the_header_the_final_frame_and_the_frames_it_needs() {
    const LEN: usize = (20 << 20) + 12_345;
    const FRAME_LEN: u64 = 64 << 10;
    for mut service in [Service::s3(), Service::webdav()].into_iter().flatten() {
        let place = Place::new();
        place.write("in", payload(LEN));
        place.run(&["seal", "-r", "k.pub", "-o", "sealed", "in"]).ok();
        let sealed = place.read("sealed");
        service.put("x.wax", &sealed);
        let proxy = Proxy::to(service.server.address());
        let direct = service.server.address().to_string();
        let through = proxy.address.to_string();
        service.prefix = service.prefix.replace(&direct, &through);
        for (_, value) in &mut service.environment {
            *value = value.replace(&direct, &through);
        }
        // Across the border of two frames.
        let (start, end) = (7 * FRAME_LEN - 5, 7 * FRAME_LEN + 5);
        let range = format!("{start}-{}", end - 1);
        let ran = service.run(&place, &["open", "-k", "k", "--range", &range, &service.url("x.wax")]).ok();
        assert_eq!(ran.0.stdout, payload(LEN)[start as usize..end as usize]);
        let (ranges, answered) = proxy.take();
        let len = sealed.len() as u64;
        let sealed_frame_len = SEALED_FRAME_LEN as u64;
        let body = len - (LEN as u64).div_ceil(FRAME_LEN) * 16 - LEN as u64;
        let prefix_end = ranges.iter().find(|range| range.start == 0 && range.end > 1).unwrap().end;
        let frame = |index| body + index * sealed_frame_len..body + (index + 1) * sealed_frame_len;
        let last = body + (LEN as u64 / FRAME_LEN) * sealed_frame_len..len;
        let expected = [0..prefix_end, prefix_end..body, last, frame(6), frame(7)];
        // WebDAV asks for one byte first, to learn length and version.
        let ranges: Vec<_> = ranges.into_iter().filter(|range| *range != (0..1)).collect();
        assert_eq!(ranges, expected, "{}", service.prefix);
        let needed: u64 = expected.iter().map(|range| range.end - range.start).sum();
        assert!(answered < needed + 16_384, "{answered} bytes came for {needed}");
    }
}

#[test]
fn a_rewrap_in_s3_leaves_the_body_where_it_is() {
    let Some(mut service) = Service::s3() else { return };
    let place = Place::new();
    place.run(&["keygen", "--type", "aes-256", "--name", "backup/1", "-o", "new.key"]).ok();
    for len in [0, 1000, (6 << 20) + 1, 64 << 20] {
        place.write("in", payload(len));
        place.run(&["seal", "--force", "-r", "k.pub", "-o", "sealed", "in"]).ok();
        service.put("x.wax", &place.read("sealed"));
        let proxy = Proxy::to(service.server.address());
        let direct =
            std::mem::replace(&mut service.environment, s3_environment(&format!("http://{}", proxy.address)));
        service.run(&place, &["rewrap", "-k", "k", "-r", "new.key", "--only", &service.url("x.wax")]).ok();
        let sent = proxy.asked.lock().unwrap().len();
        let answered = proxy.answered.load(Ordering::SeqCst);
        assert!(sent < 7 << 20 && answered < 7 << 20, "{sent} bytes sent and {answered} received of {len}");
        service.environment = direct;
        let opened = service.run(&place, &["open", "-k", "new.key", &service.url("x.wax")]).ok();
        assert_eq!(opened.0.stdout, payload(len));
        assert_eq!(service.run(&place, &["open", "-k", "k", &service.url("x.wax")]).code(), 4);
        assert_eq!(service.holds().len(), 1, "no upload is left");
    }
    // A header that was kept apart.
    let (header, body) = (service.url("header"), service.url("body"));
    service.run(&place, &["seal", "-r", "k.pub", "--detached", &header, "-o", &body, "in"]).ok();
    service.run(&place, &["rewrap", "--header", "-k", "k", "-r", "new.key", "--only", &header]).ok();
    service.run(&place, &["open", "-k", "new.key", "--header", &header, "-o", "out", &body]).ok();
    assert!(place.read("out") == payload(64 << 20));
}

#[test]
fn what_cannot_copy_says_so() {
    for service in [Service::webdav(), Service::sftp()].into_iter().flatten() {
        let place = Place::new();
        place.write("in", payload(1000));
        let url = service.url("x.wax");
        service.run(&place, &["seal", "-r", "k.pub", "-o", &url, "in"]).ok();
        let before = service.holds();
        let ran = service.run(&place, &["rewrap", "-k", "k", "-r", "k.pub", "--only", &url]);
        assert_eq!(ran.code(), 1, "{}", ran.stderr());
        assert!(ran.stderr().contains("cannot copy a part"), "{}", ran.stderr());
        assert_eq!(service.holds(), before);
    }
}

#[test]
fn web_servers_are_read() {
    let place = Place::new();
    place.write("in", payload(3_000_000));
    place.run(&["seal", "-r", "k.pub", "-o", "sealed", "in"]).ok();
    let Some(ranged) = server::http() else { return };
    fs::write(ranged.dir().join("files/x.wax"), place.read("sealed")).unwrap();
    let url = format!("{}/x.wax?signature=1", ranged.url());
    assert_eq!(place.run(&["open", "-k", "k", &url]).ok().0.stdout, payload(3_000_000));
    let part = place.run(&["open", "-k", "k", "--range", "1000000-1000009", &url]).ok();
    assert_eq!(part.0.stdout, payload(3_000_000)[1_000_000..1_000_010]);
    place.run(&["open", "-k", "k", &format!("{}/none?secret", ranged.url())]).fails(
        7,
        &format!(
            "error: cannot read: `{}/none?…`: it is not there, or its bucket or folder is not\n",
            ranged.url()
        ),
    );

    // Python's own gives files whole alone.
    let whole = Server::start(|port, dir| {
        fs::write(dir.join("x.wax"), place.read("sealed")).unwrap();
        let mut command = Command::new(peers::servers().unwrap());
        command.args(["-m", "http.server", "--bind", "127.0.0.1", &port.to_string()]).current_dir(dir);
        command
    });
    let url = format!("{}/x.wax", whole.url());
    assert_eq!(place.run(&["open", "-k", "k", &url]).ok().0.stdout, payload(3_000_000));
    place.run(&["open", "-k", "k", "--range", "0-9", &url]).fails(
        1,
        &format!(
            "error: cannot open `{url}`: `{url}`: the server gives no parts of it, only all of it\n  hint: open it without --range\n"
        ),
    );
}

/// The most memory that the process held, in bytes, looked at until it ends.
fn peak_memory(child: &mut Child) -> u64 {
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
        peak = peak.max(kib.unwrap_or(0) << 10);
        std::thread::sleep(Duration::from_millis(5));
    }
    peak
}

#[test]
fn what_is_sealed_elsewhere_opens_from_there() {
    for service in Service::all() {
        let place = Place::new();
        for len in [0, 1, (5 << 20) + 3] {
            let (sealed, opened) = (service.url(&format!("{len}.wax")), service.url(&format!("{len}.txt")));
            place.write("in", payload(len));
            service.run(&place, &["seal", "-r", "k.pub", "-o", &sealed, "in"]).ok();
            assert_eq!(service.run(&place, &["open", "-k", "k", &sealed]).ok().0.stdout, payload(len));
            // From there to there, and back from there as an input that is sealed.
            service.run(&place, &["open", "-k", "k", "-o", &opened, &sealed]).ok();
            service.run(&place, &["seal", "-r", "k.pub", "--force", "-o", "back.wax", &opened]).ok();
            assert_eq!(place.run(&["open", "-k", "k", "back.wax"]).ok().0.stdout, payload(len));
        }
        let names: Vec<_> = service.holds().into_keys().collect();
        assert_eq!(
            names,
            ["0.txt", "0.wax", "1.txt", "1.wax", "5242883.txt", "5242883.wax"],
            "{}",
            service.prefix
        );
    }
}

#[test]
fn detached_headers_and_records_live_elsewhere_too() {
    for service in Service::all() {
        let place = Place::new();
        place.write("in", payload(300_000));
        let (body, header, json) = (service.url("body"), service.url("header"), service.url("record.json"));
        service.run(&place, &["seal", "-r", "k.pub", "--detached", &header, "-o", &body, "in"]).ok();
        let opened = service.run(&place, &["open", "-k", "k", "--header", &header, &body]).ok();
        assert_eq!(opened.0.stdout, payload(300_000));
        let sealing =
            ["seal", "-r", "k.pub", "--format", "record", "--record", &json, "--force", "-o", &body, "in"];
        service.run(&place, &sealing).ok();
        let opened = service.run(&place, &["open", "-k", "k", "--record", &json, &body]).ok();
        assert_eq!(opened.0.stdout, payload(300_000));
        assert_eq!(service.holds().len(), 3);
    }
}

#[test]
fn long_files_need_little_memory() {
    const LEN: usize = 64 << 20;
    const MEMORY_MAX: u64 = 96 << 20;
    for service in Service::all() {
        let place = Place::new();
        place.write("in", payload(LEN));
        let (sealed, opened) = (service.url("long.wax"), service.url("long.txt"));
        for arguments in [
            vec!["seal", "-r", "k.pub", "-o", &sealed, "in"],
            vec!["open", "-k", "k", "-o", &opened, &sealed],
        ] {
            let mut child = service.command(&place, &arguments).spawn().unwrap();
            let peak = peak_memory(&mut child);
            assert!(child.wait().unwrap().success());
            eprintln!("{} {}: {} MiB at the most", service.prefix, arguments[0], peak >> 20);
            assert!(peak < MEMORY_MAX, "{}: {peak}", service.prefix);
        }
        assert_eq!(service.run(&place, &["open", "-k", "k", &sealed]).ok().0.stdout, payload(LEN));
        assert_eq!(service.holds()["long.txt"], LEN as u64);
    }
}

#[test]
fn attack_28_what_is_not_authentic_appears_nowhere() {
    for service in Service::all() {
        let place = Place::new();
        // Long enough that parts of it are uploaded before the fault is met.
        place.write("in", payload(40 << 20));
        place.run(&["seal", "-r", "k.pub", "-o", "sealed", "in"]).ok();
        let mut sealed = place.read("sealed");
        // Before the final frame, so that anybody can see it.
        service.put("cut.wax", &sealed[..sealed.len() - 40 * SEALED_FRAME_LEN]);
        let at = sealed.len() - 100_000;
        sealed[at] ^= 1;
        service.put("flipped.wax", &sealed);
        let before = service.holds();
        for (name, code) in [("flipped.wax", 3), ("cut.wax", 5)] {
            let (from, to) = (service.url(name), service.url("out.txt"));
            let ran = service.run(&place, &["open", "-k", "k", "-o", &to, &from]);
            assert_eq!(ran.code(), code, "{}: {}", service.prefix, ran.stderr());
            assert_eq!(service.run(&place, &["open", "-k", "k", "-o", "out.txt", &from]).code(), code);
        }
        assert_eq!(service.holds_in_the_end(), before, "{}", service.prefix);
        assert!(!place.names(".").contains(&"out.txt".to_owned()));
    }
}

#[test]
fn what_exists_is_kept_or_replaced_as_told() {
    for service in Service::all() {
        let place = Place::new();
        place.write("in", payload(1000));
        let url = service.url("x.wax");
        service.put("x.wax", b"precious");
        let expected = format!(
            "error: cannot write: `{}`: it exists already\n  hint: choose another name, or replace it with --force\n",
            url.replace("ann@", "")
        );
        service.run(&place, &["seal", "-r", "k.pub", "-o", &url, "in"]).fails(1, &expected);
        assert_eq!(service.holds(), BTreeMap::from([("x.wax".to_owned(), 8)]));
        service.run(&place, &["seal", "-r", "k.pub", "--force", "-o", &url, "in"]).ok();
        assert_eq!(service.run(&place, &["open", "-k", "k", &url]).ok().0.stdout, payload(1000));
        assert_eq!(service.holds().len(), 1);
    }
}

/// Starts a sealing of standard input, and feeds it `len` bytes.
fn begin_sealing(service: &Service, place: &Place, url: &str, len: usize) -> Child {
    let mut command = service.command(place, &["seal", "-r", "k.pub", "-o", url]);
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.as_mut().unwrap().write_all(&payload(len)).unwrap();
    child
}

#[test]
fn attack_28_of_two_who_write_one_name_the_first_wins() {
    for service in Service::all() {
        for len in [1000, 30 << 20] {
            let place = Place::new();
            let (name, url) = (format!("{len}.wax"), service.url(&format!("{len}.wax")));
            let slow = begin_sealing(&service, &place, &url, len);
            // It looked, and found nothing, before it took its input.
            std::thread::sleep(Duration::from_millis(if len < 65536 { 1500 } else { 0 }));
            service.put(&name, b"first");
            let ran = Ran(slow.wait_with_output().unwrap());
            assert_eq!(ran.code(), 1, "{}", ran.stderr());
            assert!(ran.stderr().contains("it exists already"), "{}", ran.stderr());
            assert_eq!(service.holds().get(&name), Some(&5), "{}", service.prefix);
        }
        assert_eq!(service.holds().len(), 2, "{}", service.prefix);
    }
}

#[test]
fn an_object_that_is_replaced_meanwhile_is_no_mixture() {
    for service in Service::all() {
        let place = Place::new();
        // Longer than what is read ahead, and than what pipes hold.
        place.write("a", payload(48 << 20));
        service.put("a", &payload(48 << 20));
        let mut command = service.command(&place, &["seal", "-r", "k.pub", &service.url("a")]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = vec![0; 1 << 20];
        child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
        std::thread::sleep(Duration::from_millis(1100));
        service.put("a", &vec![7; 48 << 20]);
        let ran = Ran(child.wait_with_output().unwrap());
        assert_eq!(ran.code(), 1, "{}", ran.stderr());
        assert!(ran.stderr().contains("it changed while it was read"), "{}", ran.stderr());
    }
}

#[test]
fn attack_15_wrong_credentials_are_denied_and_not_printed() {
    for mut service in Service::all() {
        let place = Place::new();
        place.write("in", payload(1000));
        service.put("x", b"something");
        for (name, value) in &mut service.environment {
            match *name {
                "AWS_SECRET_ACCESS_KEY" | "WAXWING_WEBDAV_PASSWORD" => *value = "wr0ngSecret".to_owned(),
                "WAXWING_SSH_CONFIG" => {
                    // Somebody else's key.
                    let other = service.server.dir().join("other");
                    let mut keygen = Command::new(peers::ssh().unwrap().with_file_name("ssh-keygen"));
                    let made = keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&other).status();
                    assert!(made.unwrap().success());
                    let config = fs::read_to_string(&*value).unwrap().replace("/user\n", "/other\n");
                    fs::write(&*value, config).unwrap();
                }
                _ => {}
            }
        }
        for arguments in [
            ["open", "-k", "k", &service.url("x")].as_slice(),
            &["seal", "-r", "k.pub", "-o", &service.url("y"), "in"],
        ] {
            let ran = service.run(&place, arguments);
            assert_eq!(ran.code(), 1, "{}", ran.stderr());
            assert!(ran.stderr().contains("the service denies access"), "{}", ran.stderr());
            assert!(!ran.stderr().contains("wr0ngSecret"), "{}", ran.stderr());
        }
        assert_eq!(service.holds().len(), 1);
    }
    let place = Place::new();
    for url in [
        "https://u:wr0ngSecret@127.0.0.1:1/a?X-Amz-Signature=wr0ngSecret",
        "webdav://u:wr0ngSecret@127.0.0.1:1/a",
    ] {
        let ran = place.run(&["open", "-k", "k", url]);
        assert_eq!(ran.code(), 1, "{}", ran.stderr());
        assert!(ran.stderr().contains("cannot be reached"), "{}", ran.stderr());
        assert!(!ran.stderr().contains("wr0ngSecret"), "{}", ran.stderr());
    }
}

/// How often a store may be late before it counts as our fault.
const TRIES_MAX: usize = 3;

#[test]
fn attack_28_a_command_that_is_stopped_takes_back_what_it_wrote() {
    for service in Service::all() {
        for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
            let left = || {
                let place = Place::new();
                let child = begin_sealing(&service, &place, &service.url("x.wax"), 30 << 20);
                assert_ne!(service.holds().len(), 0, "it is on its way");
                let stopped = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
                assert!(stopped.success());
                let ran = Ran(child.wait_with_output().unwrap());
                assert_eq!(ran.code(), code, "{}", ran.stderr());
                service.holds_in_the_end()
            };
            // A busy SeaweedFS may store a part after it was told to abort the upload, which is then there again.
            let late = |left: &BTreeMap<String, u64>| {
                service.is_s3 && left.keys().all(|name| name == "upload/x.wax")
            };
            let tries = (0..TRIES_MAX).map(|_| left());
            let last = tries
                .take_while(|left| !left.is_empty())
                .map(|left| assert!(late(&left), "{left:?}"))
                .count();
            assert!(last < TRIES_MAX, "{}: every upload stayed", service.prefix);
        }
    }
}

#[test]
fn attack_28_a_server_that_dies_leaves_nothing_under_the_name() {
    for mut service in Service::all() {
        let place = Place::new();
        let mut child = begin_sealing(&service, &place, &service.url("x.wax"), 30 << 20);
        service.server.kill();
        // The rest of the input, into a process that may have given up.
        let _ = child.stdin.as_mut().unwrap().write_all(&payload(30 << 20));
        let ran = Ran(child.wait_with_output().unwrap());
        assert_eq!(ran.code(), 1, "{}", ran.stderr());
        assert!(
            ran.stderr().contains("127.0.0.1") || ran.stderr().contains("s3://inbox/x.wax"),
            "{}",
            ran.stderr()
        );
        // rclone cannot make its folder twice; what is on the disk tells.
        if service.is_s3 {
            service.server.restart();
        }
        assert!(!service.holds().contains_key("x.wax"), "{}", service.prefix);
    }
}

#[test]
fn folders_and_odd_urls_are_refused() {
    let place = Place::new();
    fs::create_dir(place.path("folder")).unwrap();
    place.write("folder/a", b"a");
    place.write("in", b"x");
    for (arguments, said) in [
        (
            ["seal", "-r", "k.pub", "-o", "s3://b/folder", "folder"].as_slice(),
            "`folder` is a folder, and `s3://b/folder` is a URL",
        ),
        (&["seal", "-r", "k.pub", "-o", "s3://b/folder/", "in"], "folders over URLs"),
        (&["seal", "-r", "k.pub", "-o", "gopher://h/x", "in"], "`gopher://` is not among"),
        (&["seal", "-r", "k.pub", "-o", "gdrive://x", "in"], "no access token for gdrive"),
        (&["seal", "-r", "k.pub", "-o", "s3://b/x", "in"], "no region"),
        (&["seal", "-r", "k.pub", "-o", "http://127.0.0.1:1/x", "in"], "can only be read"),
    ] {
        let ran = place.run(arguments);
        assert_eq!(ran.code(), 2, "{}", ran.stderr());
        assert!(ran.stderr().contains(said), "{}", ran.stderr());
    }
    assert_eq!(place.names("."), ["folder", "in", "k", "k.pub"]);
}
