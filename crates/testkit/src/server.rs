//! Real servers and stand-ins of services, each started for one test on a free port of the loopback interface with a
//! folder of its own, waited for by port, and killed by pid when dropped.
//!
//! ```no_run
//! # fn a_datakey_unwraps() {
//! let Some(bao) = waxwing_testkit::server::openbao() else { return };
//! let url = bao.url();
//! # }
//! ```

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::peers;

/// How long a server may take until its port accepts. On two busy cores the slowest takes some seconds.
const START_MAX: Duration = Duration::from_secs(120);
/// How long an answer to [`Server::request`] may take.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// The token of [`openbao`]'s root, who may do everything.
pub const OPENBAO_TOKEN: &str = "root";
/// The access key that [`seaweedfs`] and [`rclone_s3`] know.
pub const S3_ACCESS_KEY: &str = "test";
/// The secret of [`S3_ACCESS_KEY`].
pub const S3_SECRET_KEY: &str = "testsecret";
/// The bucket for ciphertexts of [`seaweedfs`] and [`rclone_s3`].
pub const S3_BUCKET: &str = "inbox";
/// Their bucket for plaintexts.
pub const S3_OUTPUT_BUCKET: &str = "outbox";

/// The user of [`webdav`].
pub const WEBDAV_USER: &str = "ann";
/// The password of [`WEBDAV_USER`].
pub const WEBDAV_PASSWORD: &str = "hunter2";

/// A process that listens on loopback.
#[derive(Debug)]
pub struct Server {
    child: Child,
    command: Command,
    port: u16,
    dir: PathBuf,
}

impl Server {
    /// Starts what `describe` says for a free port and an empty folder, and waits until the port accepts.
    ///
    /// # Panics
    ///
    /// When it does not start.
    pub fn start(describe: impl FnOnce(u16, &Path) -> Command) -> Self {
        let port = free_port();
        let dir = std::env::temp_dir().join(format!("waxwing-server-{}-{port}", std::process::id()));
        fs::create_dir_all(&dir).expect("the folder for temporary files is writable");
        let mut command = describe(port, &dir);
        let log = fs::File::create(dir.join("log")).expect("the folder was just made");
        let other = log.try_clone().expect("a descriptor can be duplicated");
        command.stdin(Stdio::null()).stdout(log).stderr(other);
        let child = command.spawn().unwrap_or_else(|err| panic!("{command:?}: {err}"));
        let mut server = Self { child, command, port, dir };
        server.wait();
        server
    }

    fn wait(&mut self) {
        let deadline = Instant::now() + START_MAX;
        while TcpStream::connect(self.address()).is_err() {
            if let Some(status) = self.child.try_wait().expect("a child can be asked") {
                panic!("{:?} ended with {status}:\n{}", self.command, self.log());
            }
            assert!(Instant::now() < deadline, "{:?} does not listen:\n{}", self.command, self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Kills it (SIGKILL) and starts it again on the same port, over the same folder.
    pub fn restart(&mut self) {
        self.kill();
        self.child = self.command.spawn().expect("it started before");
        self.wait();
    }

    /// Kills it, so that nobody listens any more.
    pub fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Its process, to ask the system what it took.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The folder that it was given.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// One request of HTTP/1.0, for what a test sets up: the status and the body of the answer.
    ///
    /// # Panics
    ///
    /// When the server does not answer, or not in HTTP.
    #[must_use]
    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address()).expect("the server listens");
        stream.set_read_timeout(Some(ANSWER_MAX)).expect("a time that is not zero");
        let mut request = format!("{method} {path} HTTP/1.0\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        stream.write_all(format!("{request}\r\n{body}").as_bytes()).expect("the server reads");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("the server answers");
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.expect("an answer has a status"), body.to_owned())
    }

    /// What it printed.
    #[must_use]
    pub fn log(&self) -> String {
        let bytes = fs::read(self.dir.join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        // What cannot be removed lies in the folder for temporary files.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// moto: AWS KMS, DynamoDB, SQS and Secrets Manager in memory. It checks neither signatures nor the state of a key.
#[must_use]
pub fn moto() -> Option<Server> {
    let program = peers::servers()?.with_file_name("moto_server");
    Some(Server::start(|port, _| {
        let mut command = Command::new(program);
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        command
    }))
}

/// dynalite: DynamoDB over LevelDB, so that what was written is there after [`Server::restart`]. It knows no transactions.
#[must_use]
pub fn dynalite() -> Option<Server> {
    let (node, modules) = (peers::node()?, peers::node_aws()?);
    Some(Server::start(|port, dir| {
        let mut command = Command::new(node);
        command.arg(modules.join("node_modules/dynalite/cli.js"));
        command.args(["--host", "127.0.0.1", "--port", &port.to_string(), "--createTableMs", "0"]);
        command.arg("--path").arg(dir.join("tables"));
        command
    }))
}

/// LocalStack with these services (`kms`, `s3,sqs`): it knows disabled and deleted keys, and its RSA keys are real.
#[must_use]
pub fn localstack(services: &str) -> Option<Server> {
    let python = peers::localstack()?;
    // The installation, in which it keeps its own files: DIR/bin/python.
    let root = python.ancestors().nth(2).expect("a Python of an environment lies in its bin").to_owned();
    Some(Server::start(|port, _| {
        let mut command = Command::new(python);
        command
            .args(["-m", "localstack.runtime.main"])
            .env("FILESYSTEM_ROOT", root)
            .env("GATEWAY_LISTEN", format!("127.0.0.1:{port}"))
            .env("LOCALSTACK_HOST", format!("127.0.0.1:{port}"))
            .env("SERVICES", services)
            .env("S3_SKIP_SIGNATURE_VALIDATION", "0")
            .env("SQS_ENDPOINT_STRATEGY", "path")
            .env("DNS_ADDRESS", "0")
            .env("DISABLE_EVENTS", "1")
            .env("SKIP_SSL_CERT_DOWNLOAD", "1");
        command
    }))
}

/// OpenBao in development mode: unsealed, in memory, root's token is [`OPENBAO_TOKEN`]. No engine is mounted yet.
#[must_use]
pub fn openbao() -> Option<Server> {
    let program = peers::servers()?.with_file_name("bao");
    Some(Server::start(|port, _| {
        let mut command = Command::new(program);
        command.args(["server", "-dev", "-dev-no-store-token"]);
        command.arg(format!("-dev-root-token-id={OPENBAO_TOKEN}"));
        command.arg(format!("-dev-listen-address=127.0.0.1:{port}"));
        command
    }))
}

/// OpenBao over storage that outlives it, and the token of its root. It unseals itself; after a restart, which forgets nothing
/// but takes a moment longer than the port, [`wait_for_openbao`] waits until it serves.
///
/// # Panics
///
/// When it cannot be set up.
#[must_use]
pub fn openbao_durable() -> Option<(Server, String)> {
    let program = peers::servers()?.with_file_name("bao");
    let server = Server::start(|port, dir| {
        let (cluster, dir_text) = (free_port(), dir.display());
        let config = format!(
            r#"
            api_addr = "http://127.0.0.1:{port}"
            cluster_addr = "http://127.0.0.1:{cluster}"
            listener "tcp" {{
              address = "127.0.0.1:{port}"
              cluster_address = "127.0.0.1:{cluster}"
              tls_disable = true
            }}
            storage "raft" {{
              path = "{dir_text}/data"
              node_id = "one"
            }}
            seal "static" {{
              current_key_id = "one"
              current_key = "file://{dir_text}/seal.key"
            }}
            "#
        );
        fs::create_dir(dir.join("data")).expect("the folder was just made");
        fs::write(dir.join("seal.key"), [7; 32]).expect("the folder was just made");
        fs::write(dir.join("bao.hcl"), config).expect("the folder was just made");
        let mut command = Command::new(program);
        command.arg("server").arg(format!("-config={dir_text}/bao.hcl"));
        command
    });
    let shares = r#"{"recovery_shares":1,"recovery_threshold":1}"#;
    let (status, answer) = server.request("PUT", "/v1/sys/init", &[], shares);
    let token = answer.split_once("\"root_token\":\"").and_then(|(_, rest)| rest.split('"').next());
    let token = token.unwrap_or_else(|| panic!("OpenBao is not set up ({status}): {answer}")).to_owned();
    wait_for_openbao(&server);
    Some((server, token))
}

/// Waits until an OpenBao is unsealed and serves.
///
/// # Panics
///
/// When it does not within the time that a start may take.
pub fn wait_for_openbao(server: &Server) {
    let deadline = Instant::now() + START_MAX;
    loop {
        let (status, _) = server.request("GET", "/v1/sys/health", &[], "");
        if status == 200 {
            return;
        }
        assert!(Instant::now() < deadline, "OpenBao does not serve ({status}):\n{}", server.log());
        thread::sleep(Duration::from_millis(20));
    }
}

/// SeaweedFS: real S3 storage with the buckets [`S3_BUCKET`] and [`S3_OUTPUT_BUCKET`] for [`S3_ACCESS_KEY`]. It checks
/// signatures and conditions, and answers to names of the kind `BUCKET.localhost`, too.
#[must_use]
pub fn seaweedfs() -> Option<Server> {
    let program = peers::servers()?.with_file_name("weed");
    Some(Server::start(|port, dir| {
        let mut command = Command::new(program);
        command.arg("mini").arg(format!("-dir={}", dir.display()));
        command.args(["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-admin.ui=false", "-webdav=false"]);
        command.args([format!("-bucket={S3_BUCKET},{S3_OUTPUT_BUCKET}"), format!("-s3.port={port}")]);
        command.arg("-s3.domainName=localhost");
        // Two of them run side by side only if no port is left to its default.
        for part in ["admin", "filer", "master", "s3", "volume"] {
            command.arg(format!("-{part}.port.grpc={}", free_port()));
        }
        for part in ["admin", "filer", "master", "volume"] {
            command.arg(format!("-{part}.port={}", free_port()));
        }
        command.args(["-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false"]);
        command.env("AWS_ACCESS_KEY_ID", S3_ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", S3_SECRET_KEY);
        command
    }))
}

/// rclone as a WebDAV server for [`WEBDAV_USER`], over the folder `files` of its folder.
#[must_use]
pub fn webdav() -> Option<Server> {
    rclone("webdav", |command, _| {
        command.args(["--user", WEBDAV_USER, "--pass", WEBDAV_PASSWORD]);
    })
}

/// rclone as an SFTP server over the folder `files` of its folder. `ssh -F CONFIG` gets in, with the file `config` of its
/// folder.
#[must_use]
pub fn sftp() -> Option<Server> {
    let keygen = peers::ssh()?.with_file_name("ssh-keygen");
    let server = rclone("sftp", |command, dir| {
        for name in ["host", "user"] {
            let mut make = Command::new(&keygen);
            make.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(dir.join(name)).stdout(Stdio::null());
            assert!(make.status().expect("ssh-keygen starts").success(), "{make:?}");
        }
        command.arg("--key").arg(dir.join("host")).arg("--authorized-keys").arg(dir.join("user.pub"));
    })?;
    let dir = server.dir();
    let host = fs::read_to_string(dir.join("host.pub")).expect("it was just made");
    let known = format!("[127.0.0.1]:{} {host}", server.port);
    fs::write(dir.join("known_hosts"), known).expect("the folder is writable");
    let config = format!(
        "IdentityFile {0}/user\nIdentitiesOnly yes\nUserKnownHostsFile {0}/known_hosts\n",
        dir.display()
    );
    fs::write(dir.join("config"), config).expect("the folder is writable");
    Some(server)
}

/// rclone as an S3 server for [`S3_ACCESS_KEY`], with the buckets of [`seaweedfs`] as folders in the folder `files` of its
/// folder. It does what conditions forbid, and says that it encrypted what it did not.
#[must_use]
pub fn rclone_s3() -> Option<Server> {
    rclone("s3", |command, dir| {
        for bucket in [S3_BUCKET, S3_OUTPUT_BUCKET] {
            fs::create_dir(dir.join("files").join(bucket)).expect("the folder was just made");
        }
        command.arg(format!("--auth-key={S3_ACCESS_KEY},{S3_SECRET_KEY}"));
    })
}

/// rclone as a web server over the folder `files` of its folder: it gives ranges.
#[must_use]
pub fn http() -> Option<Server> {
    rclone("http", |_, _| {})
}

/// `rclone serve KIND`, with a little more said about it, over the folder `files`.
fn rclone(kind: &str, more: impl FnOnce(&mut Command, &Path)) -> Option<Server> {
    let program = peers::servers()?.with_file_name("rclone");
    Some(Server::start(|port, dir| {
        let files = dir.join("files");
        fs::create_dir(&files).expect("the folder was just made");
        let mut command = Command::new(program);
        // Neither a configuration of the user's nor a cache of names: what is on the disk is what is served.
        command.args([
            "serve",
            kind,
            "--config=",
            "--dir-cache-time=0s",
            "--addr",
            &format!("127.0.0.1:{port}"),
        ]);
        more(&mut command, dir);
        command.arg(files);
        command
    }))
}

/// A port of the loopback interface that nobody listens on now.
///
/// # Panics
///
/// When there is none.
#[must_use]
pub fn free_port() -> u16 {
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("the loopback interface has a free port");
    listener.local_addr().expect("a listener has an address").port()
}
