//! Places: where socket, state, workspaces, configuration and profiles lie in each mode, and making the folders.
//!
//! ```text
//!             system                    --user                            --root DIR
//! run         /run/fusiond              $XDG_RUNTIME_DIR/fusiond          DIR/run
//! state       /var/lib/fusiond          $XDG_STATE_HOME/fusiond           DIR/state
//! workspaces  <state>/workspaces        <state>/workspaces                DIR/workspaces
//! config      /etc/fusiond              $XDG_CONFIG_HOME/fusiond          --config FILE
//! ```
//!
//! The store and the records of incarnations are private (0700) below `state`, which itself lets users through where
//! their workspaces lie in it. Not here: what is written into these folders.

mod error;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, OFlags, openat};

pub use self::error::PathsError;

/// How a daemon runs: whom it serves and where its files lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// As root, for all users of the machine.
    System,
    /// As a user, for that user alone, with the XDG places.
    User,
    /// To try it, with everything below one folder; serves all users if root runs it.
    Root(PathBuf),
}

impl Mode {
    /// The mode's word in `system status`.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Root(_) => "root",
        }
    }
}

/// All places of one daemon. The paths are absolute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// The mode that they follow from.
    pub mode: Mode,
    /// The uid that the daemon runs as; it owns the folders.
    pub uid: u32,
    /// Sockets, locks and exit records; gone after a reboot.
    pub run: PathBuf,
    /// The main socket.
    pub socket: PathBuf,
    /// What is kept.
    pub state: PathBuf,
    /// The store's folder, below `state` unless a setting moves it.
    pub store: PathBuf,
    /// `<agent>.<n>/` with logs and late exit records, below `state`.
    pub incarnations: PathBuf,
    /// `<user>/<agent-id>/` lie here.
    pub workspaces: PathBuf,
    /// The configuration file; `None` for `--root` without `--config`.
    pub config: Option<PathBuf>,
    /// Folders with profiles; a later one overrides an earlier one.
    pub profiles: Vec<PathBuf>,
}

/// Nobody but the daemon.
const PRIVATE: u32 = 0o700;
/// Others may pass through to what they know by name.
const PASSAGE: u32 = 0o711;
/// The widest mode of a folder that others may see but not change.
const VISIBLE: u32 = 0o755;

impl Paths {
    /// The places of a mode for the uid of this process; looks at nothing but the arguments. `config` is the file
    /// named by `--config`.
    ///
    /// # Errors
    /// [`PathsError`] if mode and uid do not fit, or if `--user` lacks its variables.
    pub fn find(
        mode: Mode,
        uid: u32,
        config: Option<PathBuf>,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, PathsError> {
        match mode {
            Mode::System if uid != 0 => Err(PathsError::NotRoot { uid }),
            Mode::System => Ok(Self::of_system(config)),
            Mode::User if uid == 0 => Err(PathsError::UserIsRoot),
            Mode::User => Self::of_user(uid, config, env),
            Mode::Root(root) => Self::of_root(&root, uid, config),
        }
    }

    fn of_system(config: Option<PathBuf>) -> Self {
        let state = PathBuf::from("/var/lib/fusiond");
        let config = config.unwrap_or_else(|| "/etc/fusiond/fusiond.toml".into());
        let profiles = vec![PathBuf::from(SHARED_PROFILES), "/etc/fusiond/profiles.d".into()];
        let workspaces = state.join("workspaces");
        Self::below(Mode::System, 0, "/run/fusiond".into(), state, workspaces, Some(config), profiles)
    }

    fn of_user(
        uid: u32,
        config: Option<PathBuf>,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, PathsError> {
        // The XDG base directory specification: a relative path is invalid and to be ignored.
        let absolute = |name: &str| env(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let xdg = |name: &str, fallback: &str| {
            absolute(name).or_else(|| Some(absolute("HOME")?.join(fallback))).ok_or(PathsError::NoHome)
        };
        let run = absolute("XDG_RUNTIME_DIR").ok_or(PathsError::NoRuntimeDir)?.join("fusiond");
        let state = xdg("XDG_STATE_HOME", ".local/state")?.join("fusiond");
        let own = xdg("XDG_CONFIG_HOME", ".config")?.join("fusiond");
        let config = config.unwrap_or_else(|| own.join("fusiond.toml"));
        let profiles =
            vec![PathBuf::from(SHARED_PROFILES), "/etc/fusiond/profiles.d".into(), own.join("profiles.d")];
        let workspaces = state.join("workspaces");
        Ok(Self::below(Mode::User, uid, run, state, workspaces, Some(config), profiles))
    }

    fn of_root(root: &Path, uid: u32, config: Option<PathBuf>) -> Result<Self, PathsError> {
        let root = std::path::absolute(root).map_err(|source| PathsError::Folder {
            verb: "find",
            path: root.to_owned(),
            source,
        })?;
        let profiles =
            vec![PathBuf::from(SHARED_PROFILES), "/etc/fusiond/profiles.d".into(), root.join("profiles.d")];
        let (run, state, workspaces) = (root.join("run"), root.join("state"), root.join("workspaces"));
        Ok(Self::below(Mode::Root(root), uid, run, state, workspaces, config, profiles))
    }

    fn below(
        mode: Mode,
        uid: u32,
        run: PathBuf,
        state: PathBuf,
        workspaces: PathBuf,
        config: Option<PathBuf>,
        profiles: Vec<PathBuf>,
    ) -> Self {
        Self {
            mode,
            uid,
            socket: run.join("fusiond.sock"),
            run,
            store: state.join("store"),
            incarnations: state.join("i"),
            state,
            workspaces,
            config,
            profiles,
        }
    }

    /// Moves what settings move.
    pub(crate) fn apply(&mut self, config: &crate::config::Config) {
        if let Some(root) = &config.workspaces.root {
            self.workspaces.clone_from(root);
        }
        if let Some(store) = &config.store.path {
            self.store.clone_from(store);
        }
    }

    /// Whether one daemon serves users other than its own.
    #[must_use]
    pub const fn serves_all(&self) -> bool {
        self.uid == 0
    }

    /// Whose files of settings and profiles may be read.
    #[must_use]
    pub const fn trust(&self) -> crate::config::Trust {
        match self.mode {
            Mode::System => crate::config::Trust::RootOnly,
            Mode::User | Mode::Root(_) => crate::config::Trust::Readable,
        }
    }

    /// The mode of the main socket where no setting says otherwise. A trial daemon of root has no group to be open
    /// to; who may do what is decided by the peer's uid in any case.
    #[must_use]
    pub fn socket_mode(&self) -> u32 {
        match self.mode {
            Mode::System => 0o660,
            Mode::Root(_) if self.serves_all() => 0o666,
            Mode::User | Mode::Root(_) => 0o600,
        }
    }

    /// Makes the folders that are missing, with their modes, and checks those that are there: by descriptor, without
    /// following a link at the end of a path.
    ///
    /// # Errors
    /// [`PathsError`] if one cannot be made, belongs to another uid, or is too open.
    pub fn prepare(&self) -> Result<(), PathsError> {
        let passage = if self.serves_all() { PASSAGE } else { PRIVATE };
        if let Mode::Root(root) = &self.mode {
            // What somebody named may be a folder with a life of its own: its mode stays.
            self.folder(root, PASSAGE, Found::Kept)?;
        }
        self.folder(&self.run, passage, Found::Set)?;
        match self.mode {
            // The workspaces lie in it; a package may have made it.
            Mode::System => self.folder(&self.state, passage, Found::Set)?,
            Mode::User | Mode::Root(_) => self.folder(&self.state, PRIVATE, Found::Strict)?,
        }
        self.folder(&self.store, PRIVATE, Found::Strict)?;
        self.folder(&self.incarnations, PRIVATE, Found::Strict)?;
        self.folder(&self.workspaces, passage, Found::Set)
    }

    fn folder(&self, path: &Path, mode: u32, found: Found) -> Result<(), PathsError> {
        let failed = |verb| move |source| PathsError::Folder { verb, path: path.to_owned(), source };
        let (folder, made) = open_or_make(path, mode).map_err(failed("make"))?;
        let seen = rustix::fs::fstat(&folder).map_err(io::Error::from).map_err(failed("read"))?;
        if seen.st_uid != self.uid {
            return Err(PathsError::Owner { path: path.to_owned(), owner: seen.st_uid, expected: self.uid });
        }
        let bits = seen.st_mode & 0o7777;
        let widest = match found {
            Found::Strict => mode,
            Found::Kept | Found::Set => VISIBLE,
        };
        if !made && bits & 0o777 & !widest != 0 {
            return Err(PathsError::Loose { path: path.to_owned(), mode: bits, expected: widest });
        }
        match found {
            Found::Set if bits & 0o777 & mode != mode => {
                rustix::fs::fchmod(&folder, rustix::fs::Mode::from_raw_mode(mode))
                    .map_err(io::Error::from)
                    .map_err(failed("set the mode of"))
            }
            Found::Set | Found::Kept | Found::Strict => Ok(()),
        }
    }
}

/// Where a package puts profiles.
pub(crate) const SHARED_PROFILES: &str = "/usr/share/fusiond/profiles.d";

/// What becomes of a folder that was there before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    /// It may be open to be seen; it is widened where others must pass.
    Set,
    /// It may be open to be seen; its mode stays.
    Kept,
    /// It may not be wider than the mode.
    Strict,
}

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Opens a folder, or makes it and those above it. The end of the path is never a link; those above may be.
fn open_or_make(path: &Path, mode: u32) -> io::Result<(OwnedFd, bool)> {
    match openat(CWD, path, FOLDER, rustix::fs::Mode::empty()) {
        Ok(folder) => return Ok((folder, false)),
        Err(rustix::io::Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let parent = open_parent(parent)?;
    let folder =
        fusion_sys::folder::make_folder_at(parent.as_fd(), name, rustix::fs::Mode::from_raw_mode(mode))?;
    Ok((folder, true))
}

/// The folder above, made with the modes of the umask where it is missing.
fn open_parent(path: &Path) -> io::Result<OwnedFd> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    std::fs::create_dir_all(path)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(openat(CWD, path, flags, rustix::fs::Mode::empty())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    fn own() -> u32 {
        rustix::process::geteuid().as_raw()
    }

    fn trial(root: &Path) -> Paths {
        Paths::find(Mode::Root(root.to_owned()), own(), None, &|_| None).unwrap()
    }

    fn mode(path: &Path) -> u32 {
        std::fs::symlink_metadata(path).unwrap().mode() & 0o7777
    }

    fn set_mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn each_mode_has_its_places() {
        let system = Paths::find(Mode::System, 0, None, &|_| None).unwrap();
        assert_eq!(system.socket, Path::new("/run/fusiond/fusiond.sock"));
        assert_eq!(system.workspaces, Path::new("/var/lib/fusiond/workspaces"));
        assert_eq!(system.config.as_deref(), Some(Path::new("/etc/fusiond/fusiond.toml")));
        assert_eq!(system.profiles.last().unwrap(), Path::new("/etc/fusiond/profiles.d"));
        assert_eq!((system.socket_mode(), system.serves_all()), (0o660, true));

        let env = |name: &str| match name {
            "XDG_RUNTIME_DIR" => Some("/run/user/1000".into()),
            "HOME" => Some("/home/ada".into()),
            "XDG_CONFIG_HOME" => Some("relative".into()),
            _ => None,
        };
        let user = Paths::find(Mode::User, 1000, None, &env).unwrap();
        assert_eq!(user.socket, Path::new("/run/user/1000/fusiond/fusiond.sock"));
        assert_eq!(user.state, Path::new("/home/ada/.local/state/fusiond"));
        assert_eq!(user.workspaces, Path::new("/home/ada/.local/state/fusiond/workspaces"));
        assert_eq!(user.config.as_deref(), Some(Path::new("/home/ada/.config/fusiond/fusiond.toml")));
        assert_eq!(user.profiles.last().unwrap(), Path::new("/home/ada/.config/fusiond/profiles.d"));
        assert_eq!((user.socket_mode(), user.serves_all()), (0o600, false));

        let root = Paths::find(Mode::Root("/x".into()), 1000, Some("/c".into()), &|_| None).unwrap();
        assert_eq!(root.socket, Path::new("/x/run/fusiond.sock"));
        assert_eq!(
            (root.state.as_path(), root.workspaces.as_path()),
            (Path::new("/x/state"), Path::new("/x/workspaces"))
        );
        assert_eq!((root.config.as_deref(), root.socket_mode()), (Some(Path::new("/c")), 0o600));
    }

    #[test]
    fn a_user_without_its_variables_is_told() {
        let runtime = |name: &str| (name == "XDG_RUNTIME_DIR").then(|| "/run/user/1".to_owned());
        assert!(matches!(Paths::find(Mode::User, 1, None, &|_| None), Err(PathsError::NoRuntimeDir)));
        assert!(matches!(Paths::find(Mode::User, 1, None, &runtime), Err(PathsError::NoHome)));
        assert!(matches!(Paths::find(Mode::User, 0, None, &runtime), Err(PathsError::UserIsRoot)));
        assert!(matches!(Paths::find(Mode::System, 1, None, &runtime), Err(PathsError::NotRoot { uid: 1 })));
    }

    #[test]
    fn folders_are_made_with_their_modes_and_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let paths = trial(&folder.path().join("deep/root"));
        let passage = if own() == 0 { 0o711 } else { 0o700 };
        for _ in 0..2 {
            paths.prepare().unwrap();
            assert_eq!(mode(&paths.run), passage);
            assert_eq!(mode(&paths.workspaces), passage);
            for private in [&paths.state, &paths.store, &paths.incarnations] {
                assert_eq!(mode(private), 0o700, "{}", private.display());
            }
        }
    }

    #[test]
    fn too_open_folders_are_refused_with_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let paths = trial(folder.path());
        paths.prepare().unwrap();
        set_mode(&paths.state, 0o755);
        let error = paths.prepare().unwrap_err();
        let path = paths.state.display();
        assert_eq!(error.to_string(), format!("folder {path} has mode 0755, expected 0700 or tighter"));
        assert_eq!(error.hint(), format!("if nobody else needs more: chmod 0700 {path}"));
        set_mode(&paths.state, 0o700);
        set_mode(&paths.workspaces, 0o777);
        assert!(matches!(paths.prepare(), Err(PathsError::Loose { .. })));
        set_mode(&paths.workspaces, 0o755);
        set_mode(folder.path(), 0o1777);
        assert!(matches!(paths.prepare(), Err(PathsError::Loose { .. })));
        set_mode(folder.path(), 0o700);
        paths.prepare().unwrap();
        assert_eq!(mode(folder.path()), 0o700);
    }

    #[test]
    fn links_files_and_folders_of_others_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let paths = trial(folder.path());
        let elsewhere = tempfile::tempdir().unwrap();
        symlink(elsewhere.path(), &paths.state).unwrap();
        assert!(matches!(paths.prepare(), Err(PathsError::Folder { .. })));
        std::fs::remove_file(&paths.state).unwrap();
        std::fs::write(&paths.state, "").unwrap();
        assert!(matches!(paths.prepare(), Err(PathsError::Folder { .. })));
        std::fs::remove_file(&paths.state).unwrap();
        if own() == 0 {
            std::fs::create_dir(&paths.state).unwrap();
            std::os::unix::fs::chown(&paths.state, Some(12_345), None).unwrap();
            let error = paths.prepare().unwrap_err();
            let path = paths.state.display();
            assert_eq!(error.to_string(), format!("folder {path} belongs to uid 12345, expected uid 0"));
        }
    }

    #[test]
    fn a_system_state_lets_users_through_to_workspaces_but_not_to_the_store() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let mut paths = trial(folder.path());
        paths.workspaces = state.join("workspaces");
        paths.mode = Mode::System;
        paths.prepare().unwrap();
        assert_eq!(mode(&state), if own() == 0 { 0o711 } else { 0o700 });
        assert_eq!(mode(&paths.store), 0o700);
    }
}
