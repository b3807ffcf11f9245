//! A terminal, for stories about what people see and are asked. Not here: what scripts get (`ctl`).

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::ctl::ends_in_time;
use crate::{Ctl, Done};

/// The controlling side and the side that programs see.
fn open_pair() -> std::io::Result<(File, File)> {
    let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&controller)?;
    unlockpt(&controller)?;
    let name = ptsname(&controller, Vec::new())?;
    let path = Path::new(std::ffi::OsStr::from_bytes(name.as_bytes()));
    // Nobody becomes its session: the test itself has none to lose.
    let terminal = OpenOptions::new().read(true).write(true).open(path)?;
    tcsetwinsize(&terminal, Winsize { ws_row: 24, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 })?;
    Ok((File::from(controller), terminal))
}

impl Ctl {
    /// Runs a command to its end on a terminal on which `input` is typed; its standard output is all that
    /// the terminal showed.
    ///
    /// # Panics
    ///
    /// When it does not end in time.
    #[track_caller]
    #[must_use]
    pub fn on_terminal(&self, args: &[&str], input: &str) -> Done {
        let (mut controller, terminal) = open_pair().expect("there are pseudo terminals");
        let side = || terminal.try_clone().expect("a descriptor can be copied");
        let mut command = self.command(args);
        command.env("TERM", "xterm").stdin(side()).stdout(side()).stderr(side());
        let mut child = command.spawn().expect("fusionctl can be started");
        drop((command, terminal));
        controller.write_all(input.as_bytes()).expect("a terminal takes a line");
        let reader = std::thread::spawn(move || {
            let mut shown = Vec::new();
            // The read fails when nobody has the other side any more.
            drop(controller.read_to_end(&mut shown));
            String::from_utf8_lossy(&shown).into_owned()
        });
        let described = format!("fusionctl {}", args.join(" "));
        let in_time = ends_in_time(&child);
        if !in_time {
            drop(child.kill());
        }
        let status = child.wait().expect("our child can be waited for");
        let stdout = reader.join().expect("the reader does not panic");
        assert!(in_time, "`{described}` did not end in time\n  shown: {stdout}");
        Done { command: described, code: status.code().unwrap_or(-1), stdout, stderr: String::new() }
    }
}
