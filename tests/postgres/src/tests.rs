//! A cluster through its life, and that nothing of it is left behind, whatever ended its owner.

use std::{
    env, fs,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use rustix::process::Pid;

use crate::{Cluster, processes};

/// Asks whether the server speaks TLS; it answers with one byte.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

fn sql(cluster: &Cluster, statement: &str) -> String {
    let url = cluster.url();
    let output = cluster.command("psql").args(["-XAtq", "-d", &url, "-c", statement]).output().unwrap();
    assert!(output.status.success(), "{statement}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn connect(port: u16) -> io::Result<TcpStream> {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port))
}

fn all_processes(cluster: &Cluster) -> Vec<Pid> {
    let postmaster = cluster.postmaster().unwrap();
    let mut all = processes::children(postmaster).unwrap();
    assert!(!all.is_empty());
    all.push(postmaster);
    all
}

fn assert_gone(folder: &Path, port: u16, pids: &[Pid]) {
    assert!(!folder.exists(), "{} is left", folder.display());
    assert!(connect(port).is_err());
    pids.iter().for_each(|pid| processes::await_end(*pid).unwrap());
}

#[test]
fn it_comes_back_from_a_crash_with_what_was_committed_and_leaves_nothing() {
    let cluster = Cluster::start().unwrap();
    assert_eq!(cluster.url(), format!("postgres://postgres@127.0.0.1:{}/postgres", cluster.port()));
    let settings = ["fsync", "synchronous_commit", "max_connections", "server_encoding", "lc_collate"];
    let values = settings.map(|name| sql(&cluster, &format!("select current_setting('{name}')")));
    assert_eq!(values, ["on", "on", "200", "UTF8", "C"]);
    sql(&cluster, "create table kept as select generate_series(1, 100) as n");

    let before = all_processes(&cluster);
    cluster.stop_immediately().unwrap();
    assert!(connect(cluster.port()).is_err());
    before.iter().for_each(|pid| processes::await_end(*pid).unwrap());
    cluster.postmaster().unwrap_err();
    cluster.start_again().unwrap();
    assert_eq!(sql(&cluster, "select count(*) from kept"), "100");

    let (folder, port, processes) = (cluster.folder().to_owned(), cluster.port(), all_processes(&cluster));
    drop(cluster);
    assert_gone(&folder, port, &processes);
}

#[test]
fn while_paused_it_takes_connections_and_answers_nothing() {
    let cluster = Cluster::start().unwrap();
    cluster.pause().unwrap();
    let mut connection = connect(cluster.port()).unwrap();
    connection.write_all(&SSL_REQUEST).unwrap();
    connection.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let mut answer = [0];
    assert_eq!(connection.read(&mut answer).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    cluster.resume().unwrap();
    connection.set_read_timeout(None).unwrap();
    connection.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"N");

    cluster.pause().unwrap();
    cluster.stop_immediately().unwrap();
    cluster.start_again().unwrap();
    let (folder, port, processes) = (cluster.folder().to_owned(), cluster.port(), all_processes(&cluster));
    cluster.pause().unwrap();
    drop(cluster);
    assert_gone(&folder, port, &processes);
}

#[test]
fn a_port_that_another_program_has_is_not_the_end() {
    let mut cluster = Cluster::make().unwrap();
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let taken = other.local_addr().unwrap().port();
    let error = cluster.start_on_one_of([taken].into_iter()).unwrap_err();
    assert!(error.is_port_taken(), "{error}");
    cluster.start_on_one_of([taken].into_iter().chain(super::cluster::free_ports())).unwrap();
    assert_ne!(cluster.port(), taken);
    assert_eq!(sql(&cluster, "select 1"), "1");
}

const HOLD: &str = "GOSSIP_TEST_POSTGRES_HOLD";

/// No test by itself: the process that the next one kills. It tells of its cluster and then stays.
#[test]
fn held_until_killed() {
    if env::var_os(HOLD).is_none() {
        return;
    }
    let cluster = Cluster::start().unwrap();
    let processes = all_processes(&cluster).into_iter().map(|pid| pid.as_raw_nonzero().to_string());
    println!("\nHELD {} {} {}", cluster.folder().display(), cluster.port(), processes.collect::<Vec<_>>().join(" "));
    loop {
        thread::park();
    }
}

#[test]
fn it_does_not_outlive_a_process_that_is_killed() {
    let mut owner = Command::new(env::current_exe().unwrap());
    owner.args(["--exact", "tests::held_until_killed", "--nocapture"]).env(HOLD, "1");
    let mut owner = owner.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(owner.stdout.take().unwrap()).lines().map_while(Result::ok);
    let held = lines.find(|line| line.starts_with("HELD ")).unwrap();
    let words: Vec<&str> = held.split(' ').collect();
    let [_, folder, port, processes @ ..] = words.as_slice() else { panic!("{held}") };
    let processes: Vec<Pid> = processes.iter().map(|pid| Pid::from_raw(pid.parse().unwrap()).unwrap()).collect();
    connect(port.parse().unwrap()).unwrap();
    assert!(fs::exists(folder).unwrap());

    owner.kill().unwrap();
    // The watchdog has the same standard error, so its end is when nothing is left to do.
    let mut complaints = String::new();
    owner.stderr.take().unwrap().read_to_string(&mut complaints).unwrap();
    assert_eq!(complaints, "");
    owner.wait().unwrap();
    assert_gone(&PathBuf::from(folder), port.parse().unwrap(), &processes);
}
