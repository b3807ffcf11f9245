//! A terminal, for stories about what people see and are asked. Not here: what scripts get (`ctl`).

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Child, Command};

use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::ctl::ends_in_time;
use crate::{Ctl, Deadline, Done, wait_readable};

/// `O_NOCTTY`, as the standard library takes it.
const NOCTTY: i32 = OFlags::NOCTTY.bits().cast_signed();

/// The controlling side and the side that programs see.
fn open_pair() -> std::io::Result<(File, File)> {
    let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&controller)?;
    unlockpt(&controller)?;
    let name = ptsname(&controller, Vec::new())?;
    let path = Path::new(std::ffi::OsStr::from_bytes(name.as_bytes()));
    // Whoever is started on it makes it the terminal of its session, not the test.
    let terminal = OpenOptions::new().read(true).write(true).custom_flags(NOCTTY).open(path)?;
    tcsetwinsize(&terminal, Winsize { ws_row: 24, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 })?;
    Ok((File::from(controller), terminal))
}

/// A command on a terminal: what it shows is waited for, and what is typed answers.
#[derive(Debug)]
pub struct Terminal {
    described: String,
    child: Child,
    controller: File,
    shown: Vec<u8>,
}

impl Ctl {
    /// Starts a command on a terminal of its own, as a shell does: Ctrl-C interrupts it.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[must_use]
    pub fn terminal(&self, args: &[&str]) -> Terminal {
        // setsid(1) is the way to a controlling terminal without unsafe code.
        let mut setsid = Command::new("setsid");
        setsid.arg("--ctty");
        self.terminal_by(setsid, args)
    }

    /// The same from a shell that its terminal belongs to, and which outlives it: of its end nobody tells the command.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[must_use]
    pub fn terminal_of_shell(&self, args: &[&str]) -> Terminal {
        let mut setsid = Command::new("setsid");
        setsid.args(["--ctty", "sh", "-c", "trap : HUP; \"$@\"; exit $?", "sh"]);
        self.terminal_by(setsid, args)
    }

    fn terminal_by(&self, starter: Command, args: &[&str]) -> Terminal {
        let (controller, terminal) = open_pair().expect("there are pseudo terminals");
        let side = || terminal.try_clone().expect("a descriptor can be copied");
        let mut command = self.command_by(starter, args);
        command.env("TERM", "xterm").stdin(side()).stdout(side()).stderr(side());
        let child = command.spawn().expect("setsid of util-linux is there");
        Terminal { described: format!("fusionctl {}", args.join(" ")), child, controller, shown: Vec::new() }
    }

    /// Runs a command to its end on a terminal on which `input` is typed; its standard output is all that
    /// the terminal showed.
    ///
    /// # Panics
    ///
    /// When it does not end in time.
    #[track_caller]
    #[must_use]
    pub fn on_terminal(&self, args: &[&str], input: &str) -> Done {
        let mut terminal = self.terminal(args);
        terminal.types(input);
        terminal.done()
    }
}

impl Terminal {
    /// Waits until this was shown.
    ///
    /// # Panics
    ///
    /// When it is not shown in time.
    #[track_caller]
    pub fn shows(&mut self, text: &str) {
        while !self.text().contains(text) {
            assert!(self.read(), "{text:?} was not shown by {self:?}");
        }
    }

    /// Types something.
    ///
    /// # Panics
    ///
    /// When the terminal takes nothing.
    pub fn types(&mut self, text: &str) {
        self.controller.write_all(text.as_bytes()).expect("a terminal takes a line");
    }

    /// Waits for the end of the command; its standard output is all that the terminal showed.
    ///
    /// # Panics
    ///
    /// When it does not end in time.
    #[track_caller]
    #[must_use]
    pub fn done(mut self) -> Done {
        while self.read() {}
        self.ended()
    }

    /// Closes the terminal, as the end of a connection does, and waits for the end of the command.
    ///
    /// # Panics
    ///
    /// When it does not end in time.
    #[track_caller]
    #[must_use]
    pub fn hang_up(mut self) -> Done {
        self.controller = File::open("/dev/null").expect("there is nothing to read");
        self.ended()
    }

    #[track_caller]
    fn ended(mut self) -> Done {
        let in_time = ends_in_time(&self.child);
        if !in_time {
            drop(self.child.kill());
        }
        let status = self.child.wait().expect("our child can be waited for");
        let stdout = self.text();
        assert!(in_time, "`{}` did not end in time\n  shown: {stdout}", self.described);
        Done { command: self.described, code: status.code().unwrap_or(-1), stdout, stderr: String::new() }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.shown).into_owned()
    }

    /// Reads what is shown next; false when nobody has the other side any more, or nothing comes in time.
    fn read(&mut self) -> bool {
        if wait_readable(&[self.controller.as_fd()], Deadline::default()).is_none() {
            return false;
        }
        let mut piece = [0; 4096];
        match self.controller.read(&mut piece) {
            Ok(0) | Err(_) => false,
            Ok(count) => {
                self.shown.extend_from_slice(&piece[..count]);
                true
            }
        }
    }
}
