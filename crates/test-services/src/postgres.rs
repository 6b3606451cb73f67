//! A PostgreSQL server for tests.

use std::collections::HashSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use rustix::process::Signal;

use crate::ports::free_tcp_port;
use crate::process::Process;
use crate::program::{self, User};

/// A PostgreSQL server on a free loopback port; ends with the value, or with the process.
pub struct Postgres {
    process: Process,
    port: u16,
    durability: Durability,
    user: Option<User>,
    /// Whether its data are on a disk of their own.
    own_disk: bool,
    databases: AtomicU32,
    templates: Mutex<HashSet<String>>,
}

/// What a commit waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The disk, as in production.
    Disk,
    /// The operating system alone: survives the end of the server, but not of the machine.
    Memory,
}

impl Postgres {
    /// The server that the tests of this process share, each in a [`database`](Self::database) of
    /// its own. Commits do not wait for the disk. Not for tests that end or pause it.
    ///
    /// # Panics
    /// Where there is no PostgreSQL; the text says how to install it.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(|| Self::start_with(Durability::Memory))
    }

    /// Starts a server whose commits are on disk when they are acknowledged.
    ///
    /// # Panics
    /// Where there is no PostgreSQL; the text says how to install it.
    pub fn start() -> Self {
        Self::start_with(Durability::Disk)
    }

    /// Starts a server.
    ///
    /// # Panics
    /// Where there is no PostgreSQL.
    pub fn start_with(durability: Durability) -> Self {
        Self::new(durability).started()
    }

    /// Starts a server whose data are on a disk of so many megabytes, at least 100, that
    /// [`fill_disk`](Self::fill_disk) fills. None where this process may not mount one, which takes
    /// root on Linux.
    ///
    /// # Panics
    /// Where there is no PostgreSQL.
    pub fn start_on_disk_of(megabytes: u32) -> Option<Self> {
        let mut postgres = Self::new(Durability::Disk);
        postgres.own_disk = true;
        let data = postgres.data();
        std::fs::create_dir(&data).expect("the data directory can be made");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "tmpfs"])
            .arg(&data)
            .output();
        if !mounted.is_ok_and(|output| output.status.success()) {
            return None;
        }
        postgres.process.unmount(&data);
        Some(postgres.started())
    }

    fn new(durability: Durability) -> Self {
        Self {
            process: Process::new("postgres", Signal::QUIT),
            port: 0,
            durability,
            user: program::unprivileged(),
            own_disk: false,
            databases: AtomicU32::new(0),
            templates: Mutex::default(),
        }
    }

    fn started(mut self) -> Self {
        let postgres = &mut self;
        postgres.create_cluster();
        // Between finding a port free and using it another process may take it.
        for _ in 0..3 {
            postgres.port = free_tcp_port();
            if postgres.run() {
                return self;
            }
        }
        panic!("postgres does not start:\n{}", postgres.process.log());
    }

    /// Creates an empty database and answers its `postgres://` URL, with the password.
    ///
    /// # Panics
    /// Where the server does not run.
    pub fn database(&self) -> String {
        self.create_database("template0")
    }

    /// Creates a copy of a database that `prepare` fills, once a server, for each name: what all
    /// tests begin with (a migrated schema) is made once. `prepare` must close its connections.
    ///
    /// # Panics
    /// Where the server does not run.
    pub fn database_from(&self, template: &str, prepare: impl FnOnce(&str)) -> String {
        let mut templates = self
            .templates
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        if !templates.contains(template) {
            self.sql(
                "postgres",
                &format!("CREATE DATABASE \"{template}\" TEMPLATE template0"),
            );
            prepare(&self.url(template));
            templates.insert(template.to_owned());
        }
        drop(templates);
        self.create_database(template)
    }

    /// The URL of a database of this server by its name, whether it is there or not.
    pub fn url(&self, database: &str) -> String {
        format!(
            "postgres://{SUPERUSER}:{PASSWORD}@127.0.0.1:{}/{database}",
            self.port
        )
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Runs SQL in a database, given by its name or URL, and answers the rows as text: one a line,
    /// columns parted by `|`.
    ///
    /// # Panics
    /// Where it fails.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        let url = match database.contains("://") {
            true => database.to_owned(),
            false => self.url(database),
        };
        let output = Command::new(program::find("psql"))
            .args(["--no-psqlrc", "--no-align", "--tuples-only", "--quiet"])
            .args(["--set=ON_ERROR_STOP=1", "--dbname", &url, "--command", sql])
            .output()
            .expect("psql can be started");
        assert!(
            output.status.success(),
            "{sql}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout)
            .trim_end()
            .to_owned()
    }

    /// Ends it at once with all its processes, as a crash of the machine would.
    ///
    /// # Panics
    /// Where it does not run.
    pub fn kill(&self) {
        self.process.kill();
    }

    /// Starts it again after [`kill`](Self::kill), on the same port and with the same data, and
    /// waits until it takes connections.
    ///
    /// # Panics
    /// Where it runs, or does not start.
    pub fn restart(&self) {
        assert!(
            self.run(),
            "postgres does not start again:\n{}",
            self.process.log()
        );
    }

    /// Makes it hang: connections stay open, and nothing answers.
    ///
    /// # Panics
    /// Where it does not run.
    pub fn pause(&self) {
        self.process.pause();
    }

    /// Lets it go on after [`pause`](Self::pause).
    pub fn resume(&self) {
        self.process.resume();
    }

    /// Whether it was started and has not ended.
    pub fn runs(&self) -> bool {
        self.process.runs()
    }

    /// Leaves no byte free on the disk of [`start_on_disk_of`](Self::start_on_disk_of).
    ///
    /// # Panics
    /// Where it has none of its own.
    pub fn fill_disk(&self) {
        assert!(self.own_disk, "a disk that others use is not filled");
        let mut filler = std::fs::File::create(self.filler()).expect("a file can be made");
        let block = [0; 4096];
        while filler.write_all(&block).is_ok() {}
    }

    /// Takes back what [`fill_disk`](Self::fill_disk) did.
    ///
    /// # Panics
    /// Where the disk is not filled.
    pub fn free_disk(&self) {
        std::fs::remove_file(self.filler()).expect("the disk was filled");
    }

    /// What it has written to its log.
    pub fn log(&self) -> String {
        self.process.log()
    }

    fn create_database(&self, template: &str) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql(
            "postgres",
            &format!("CREATE DATABASE \"{name}\" TEMPLATE \"{template}\""),
        );
        self.url(&name)
    }

    fn create_cluster(&self) {
        let directory = self.process.directory();
        let (data, password) = (self.data(), directory.join("password"));
        std::fs::create_dir_all(&data).expect("the data directory can be made");
        std::fs::write(&password, PASSWORD).expect("the password can be written");
        if let Some(user) = self.user {
            // Its data are its own; others' eyes reach no further than this directory.
            let passage = std::fs::Permissions::from_mode(0o711);
            std::fs::set_permissions(directory, passage).expect("the directory is ours");
            for path in [&data, &password] {
                std::os::unix::fs::chown(path, Some(user.uid), Some(user.gid))
                    .expect("root may give files away");
            }
        }
        let output = self
            .command("initdb")
            .arg("--pgdata")
            .arg(&data)
            .arg("--pwfile")
            .arg(&password)
            .args(["--username", SUPERUSER, "--auth=scram-sha-256"])
            .args(["--encoding=UTF8", "--locale=C", "--no-sync"])
            .args(self.own_disk.then_some("--wal-segsize=1"))
            .output()
            .expect("initdb can be started");
        assert!(
            output.status.success(),
            "initdb failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    fn run(&self) -> bool {
        let fsync = match self.durability {
            Durability::Disk => "fsync=on",
            Durability::Memory => "fsync=off",
        };
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.data());
        for setting in SETTINGS.iter().copied().chain([fsync]) {
            command.args(["-c", setting]);
        }
        if self.own_disk {
            command.args(["-c", "min_wal_size=2MB", "-c", "max_wal_size=8MB"]);
        }
        command.args(["-p", &self.port.to_string()]);
        self.process.spawn(&mut command);
        self.process.wait_until(|| takes_connections(self.port))
    }

    /// A program of PostgreSQL, as a user whom it accepts.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program::find(program));
        // The directory of the test may be closed to that user.
        command.current_dir("/").env("LC_ALL", "C");
        if let Some(user) = self.user {
            command.uid(user.uid).gid(user.gid);
        }
        command
    }

    fn filler(&self) -> PathBuf {
        self.data().join("filler")
    }

    fn data(&self) -> PathBuf {
        self.process.directory().join("data")
    }
}

/// Whether a connection would be let in: the answer to a start message is a request to authenticate,
/// and no error (`the database system is starting up`).
fn takes_connections(port: u16) -> bool {
    let ask = || -> std::io::Result<u8> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        let parameters = format!("user\0{SUPERUSER}\0database\0postgres\0\0");
        let length = (8 + parameters.len()) as u32;
        let mut message = length.to_be_bytes().to_vec();
        message.extend_from_slice(&PROTOCOL_3.to_be_bytes());
        message.extend_from_slice(parameters.as_bytes());
        stream.write_all(&message)?;
        let mut kind = [0];
        stream.read_exact(&mut kind)?;
        Ok(kind[0])
    };
    ask().is_ok_and(|kind| kind == AUTHENTICATION)
}

const SUPERUSER: &str = "gameserver";
/// Of a server that lives for a test and listens on loopback alone.
const PASSWORD: &str = "a-test-password";
const SETTINGS: &[&str] = &[
    "listen_addresses=127.0.0.1",
    // A path of its own could be too long for a socket.
    "unix_socket_directories=",
    // Tests run at once, each with a pool.
    "max_connections=300",
    "shared_buffers=64MB",
    // In the data directory, so that nothing is left behind by a server that was killed.
    "dynamic_shared_memory_type=mmap",
    "log_checkpoints=off",
];
/// Version 3.0 of the protocol, in a start message.
const PROTOCOL_3: u32 = 196_608;
/// First byte of the message that asks for the password.
const AUTHENTICATION: u8 = b'R';
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
