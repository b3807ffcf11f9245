//! Hands in a temporary folder, with the real shim and real users. Not here: what is tested.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use fusion_core::agent::{AgentLimits, Recipe};
use fusion_core::task::{Exit, ExitKind, StopWhy, TaskKind};
use fusion_core::{AgentId, Millis, Outcome, TaskId, Uid};
use fusion_shim::cgroup::{Kind, probe};
use fusiond::runtime::{
    AgentConnection, BackendChoice, Config, Order, ReadStored, Runtime, Setup, TaskInput,
};
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use tokio::sync::mpsc;

/// The uid of the user who owns the agents of tests, shared with the stories.
pub(crate) const UID: u32 = 60_001;
pub(crate) const USER: &str = "fusion-t1";
/// What every stored prompt holds here.
const STORED: &[u8] = b"a long prompt";
pub(crate) const NONCE: [u8; 16] = [9; 16];
/// Nothing here takes longer, even on a busy machine.
const DEADLINE: Duration = Duration::from_secs(40);
const USERS_LOCK: &str = "/run/lock/fusion-tests.lock";

/// One daemon's hands; a rig can have several, one after the other.
pub(crate) struct Rig {
    root: PathBuf,
    _folder: tempfile::TempDir,
    choice: BackendChoice,
    cgroup_name: String,
    shim: PathBuf,
    pub(crate) agent: AgentId,
    pub(crate) hands: Hands,
    epoch: u64,
}

/// A started runtime and its outlets.
pub(crate) struct Hands {
    pub(crate) runtime: Runtime,
    outcomes: mpsc::UnboundedReceiver<Outcome>,
    pub(crate) connections: mpsc::Receiver<AgentConnection>,
}

/// The backends that this machine has.
pub(crate) fn choices() -> Vec<BackendChoice> {
    let name = fresh_name();
    let ground = probe(&name, None);
    ground.remove_bases();
    let all = [
        (BackendChoice::CgroupV2, Kind::V2),
        (BackendChoice::CgroupV1, Kind::V1),
        (BackendChoice::None, Kind::None),
    ];
    let has = |kind| match kind {
        Kind::Systemd => ground.systemd.is_some(),
        Kind::V2 => ground.v2.is_some(),
        Kind::V1 => ground.v1.is_some(),
        Kind::None => true,
    };
    all.into_iter().filter(|(_, kind)| has(*kind)).map(|(choice, _)| choice).collect()
}

/// Runs a test with every backend of this machine, on a runtime as the daemon's.
pub(crate) fn with_each_backend<F: Future<Output = Rig>>(test: impl Fn(Rig) -> F) {
    for choice in choices() {
        eprintln!("backend {choice:?}");
        on_runtime(async {
            let rig = Box::pin(test(Rig::new(choice, ""))).await;
            rig.clean_up().await;
        });
    }
}

pub(crate) fn on_runtime(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(test);
}

fn fresh_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("fusion-rt-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

impl Rig {
    /// Hands in `<temporary folder>/<below>`. Needs a tokio runtime around it.
    pub(crate) fn new(choice: BackendChoice, below: &str) -> Self {
        assert!(rustix::process::geteuid().is_root(), "these tests serve another user: run them as root");
        ensure_user();
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join(below);
        std::fs::create_dir_all(&root).expect("folders");
        let mut here = Some(root.as_path());
        while let Some(path) = here.filter(|path| path.starts_with(folder.path())) {
            std::fs::set_permissions(path, PermissionsExt::from_mode(0o711)).expect("chmod");
            here = path.parent();
        }
        let cgroup_name = fresh_name();
        let shim = shim();
        let hands = Hands::start(&root, choice, &cgroup_name, 1, &shim);
        let agent = AgentId(0x0192_0000_0000_1234_5678_9abc_def0_0000 + u128::from(std::process::id()));
        Self { root, _folder: folder, choice, cgroup_name, shim, agent, hands, epoch: 1 }
    }

    /// Crashes the daemon and starts the next one: the old hands are gone, shims are not.
    pub(crate) fn restart(&mut self) {
        self.epoch += 1;
        self.hands = Hands::start(&self.root, self.choice, &self.cgroup_name, self.epoch, &self.shim);
    }

    /// The same with another program as the shim.
    pub(crate) fn restart_with(&mut self, shim: PathBuf) {
        self.shim = shim;
        self.restart();
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn setup(&self, incarnation: u32) -> Arc<Setup> {
        self.setup_of(self.agent, incarnation)
    }

    pub(crate) fn setup_of(&self, agent: AgentId, incarnation: u32) -> Arc<Setup> {
        let workspace = self.workspace_of(agent).to_string_lossy().into_owned();
        let command = vec!["/bin/sh".to_owned(), "-c".to_owned(), "{{ prompt }}".to_owned()];
        let recipe = Recipe { command, workspace, ..Recipe::default() };
        Arc::new(Setup {
            agent,
            incarnation,
            nonce: NONCE,
            owner: Uid(UID),
            name: "tess".to_owned(),
            profile: "command".to_owned(),
            recipe,
            limits: AgentLimits::default(),
            seed: None,
        })
    }

    pub(crate) fn workspace(&self) -> PathBuf {
        self.workspace_of(self.agent)
    }

    pub(crate) fn workspace_of(&self, agent: AgentId) -> PathBuf {
        self.root.join("workspaces").join(USER).join(agent.to_string())
    }

    pub(crate) fn run_folder(&self, incarnation: u32) -> PathBuf {
        self.root.join("run/i").join(format!("{}.{incarnation}", self.agent))
    }

    pub(crate) fn state_folder(&self, incarnation: u32) -> PathBuf {
        self.root.join("state/i").join(format!("{}.{incarnation}", self.agent))
    }

    /// Launches the first incarnation and waits until it serves.
    pub(crate) async fn launch(&mut self) {
        self.order(Order::Launch { setup: self.setup(1) });
        let up = self.next().await;
        assert!(matches!(up, Outcome::ShimUp { incarnation: 1, highest_started: 0, .. }), "{up:?}");
    }

    pub(crate) fn order(&self, order: Order) {
        self.hands.runtime.order(vec![order]);
    }

    pub(crate) fn start(&self, serial: u32, script: &str) -> Order {
        let input = TaskInput {
            kind: TaskKind::Prompt,
            prompt: script.to_owned(),
            run: Vec::new(),
            env: vec![("EXTRA".to_owned(), "yes".to_owned())],
            stored: None,
        };
        let (agent, task, input) = (self.agent, TaskId(7), Arc::new(input));
        Order::Start {
            agent,
            incarnation: 1,
            serial,
            task,
            number: 1,
            stdin: fusion_core::task::Stdin::Closed,
            input,
            secrets: Vec::new(),
        }
    }

    pub(crate) fn ack(&self, serial: u32) -> Order {
        Order::Ack { agent: self.agent, incarnation: 1, serial }
    }

    pub(crate) fn stop_attempt(&self, serial: u32) -> Order {
        let (agent, grace) = (self.agent, Millis(5000));
        Order::Stop { agent, incarnation: 1, serial, grace, why: StopWhy::Cancelled }
    }

    pub(crate) fn stop_shim(&self, incarnation: u32, grace: u64) -> Order {
        Order::StopShim { agent: self.agent, incarnation, grace: Millis(grace) }
    }

    pub(crate) async fn next(&mut self) -> Outcome {
        self.hands.next().await
    }

    /// Runs a script to its end.
    pub(crate) async fn run(&mut self, serial: u32, script: &str) -> Exit {
        self.order(self.start(serial, script));
        self.exit_of(serial).await
    }

    /// The end of an attempt; its start may be told before.
    pub(crate) async fn exit_of(&mut self, serial: u32) -> Exit {
        loop {
            let outcome = self.next().await;
            if let Outcome::AttemptExited { serial: ended, exit, .. } = outcome {
                assert_eq!(ended, serial, "{exit:?}");
                return exit;
            }
            let began = matches!(outcome, Outcome::AttemptStarted { serial: at, .. } if at == serial);
            assert!(began, "expected the end of attempt {serial}, got {outcome:?}");
        }
    }

    pub(crate) async fn started(&mut self, serial: u32) {
        let outcome = self.next().await;
        assert!(matches!(outcome, Outcome::AttemptStarted { serial: at, .. } if at == serial), "{outcome:?}");
    }

    pub(crate) async fn output(&self, serial: u32) -> String {
        let log = self.hands.runtime.log(self.agent, 1, serial).expect("a log");
        let output = log.output(1 << 20).await.expect("output");
        String::from_utf8(output.bytes).expect("text")
    }

    /// Nothing of the incarnation is left among processes, cgroups and run folders.
    pub(crate) fn assert_nothing_is_left(&self, incarnation: u32) {
        assert!(!self.run_folder(incarnation).exists());
        let marker = format!("FUSION_SOCKET={}", self.run_folder(incarnation).join("agent.sock").display());
        assert_eq!(processes_with(&marker), Vec::<u32>::new());
        for cgroup in self.cgroups() {
            let name = format!("{}.{incarnation}", self.agent);
            assert!(!cgroup.join(name).exists(), "{} has it", cgroup.display());
        }
    }

    /// The daemon's base folders in all hierarchies.
    fn cgroups(&self) -> Vec<PathBuf> {
        let ground = probe(&self.cgroup_name, None);
        let v1 = ground.v1.map(|v1| [Some(v1.freezer), v1.memory, v1.pids, v1.cpu]);
        v1.into_iter().flatten().flatten().chain(ground.v2.map(|v2| v2.base)).collect()
    }

    /// Ends every incarnation, known or not.
    pub(crate) async fn clean_up(mut self) {
        self.restart();
        for incarnation in 1..=3 {
            self.order(self.stop_shim(incarnation, 0));
            loop {
                if let Outcome::ShimGone { incarnation: gone, .. } = self.next().await
                    && gone == incarnation
                {
                    break;
                }
            }
            self.assert_nothing_is_left(incarnation);
        }
        self.hands.runtime.remove_empty_cgroups();
    }
}

impl Hands {
    fn start(root: &Path, choice: BackendChoice, cgroup_name: &str, epoch: u64, shim: &Path) -> Self {
        let config = Config {
            run_dir: root.join("run"),
            state_dir: root.join("state"),
            workspaces_root: root.join("workspaces"),
            shim_path: shim.to_owned(),
            backend: choice,
            scopes: None,
            bounds: fusiond::config::Bounds::default(),
            cgroup_name: cgroup_name.to_owned(),
            epoch,
            umask: 0o077,
            log_quota: fusiond::runtime::LogQuota::new(1 << 20),
            nologin_users: None,
        };
        #[expect(clippy::disallowed_methods, reason = "a test sends few orders")]
        let (sender, outcomes) = mpsc::unbounded_channel();
        let (agent_connections, connections) = mpsc::channel(4);
        let read_stored: ReadStored = Arc::new(|_, to| to.write_all(STORED));
        let runtime = Runtime::start(config, sender, agent_connections, read_stored).expect("hands");
        Self { runtime, outcomes, connections }
    }

    pub(crate) async fn next(&mut self) -> Outcome {
        let next = tokio::time::timeout(DEADLINE, self.outcomes.recv()).await;
        next.expect("an outcome in time").expect("the hands live")
    }
}

/// The program beside the test's own.
pub(crate) fn shim() -> PathBuf {
    let own = std::env::current_exe().expect("a path");
    let shim = own.parent().and_then(Path::parent).expect("a target folder").join("fusion-shim");
    assert!(shim.exists(), "{} is missing: run `cargo build -p fusion-shim`", shim.display());
    shim
}

pub(crate) fn code(exit: &Exit) -> i32 {
    let ExitKind::Exited { code } = exit.kind else { panic!("expected an exit code, got {exit:?}") };
    code
}

/// Processes with this entry in their environment.
pub(crate) fn processes_with(entry: &str) -> Vec<u32> {
    let has = |pid: &u32| {
        std::fs::read(format!("/proc/{pid}/environ"))
            .is_ok_and(|bytes| bytes.split(|byte| *byte == 0).any(|found| found == entry.as_bytes()))
    };
    let entries = std::fs::read_dir("/proc").expect("/proc");
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(has).collect()
}

/// The shim of an incarnation: its working folder is the run folder.
pub(crate) fn shim_pid(run_folder: &Path) -> u32 {
    let entries = std::fs::read_dir("/proc").expect("/proc");
    let mut pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_shim = |pid: &u32| {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm"));
        name.is_ok_and(|name| name.trim() == "fusion-shim")
            && std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|path| path == run_folder)
    };
    pids.find(is_shim).expect("a shim in the run folder")
}

/// Made once for all tests of this machine; `cargo xtask test` removes it.
fn ensure_user() {
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC;
    let lock = rustix::fs::open(USERS_LOCK, flags, Mode::RUSR | Mode::WUSR).expect("a lock file");
    flock(&lock, FlockOperation::LockExclusive).expect("the lock");
    let known = Command::new("getent").args(["passwd", USER]).output().expect("getent");
    if known.status.success() {
        return;
    }
    let id = UID.to_string();
    run("groupadd", &["--system", "--gid", &id, USER]);
    run("useradd", &["--system", "--uid", &id, "--gid", &id, "--no-create-home", "--shell", "/bin/sh", USER]);
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().expect("the program runs");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?} failed: {words}");
}
