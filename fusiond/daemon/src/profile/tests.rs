//! Profiles from good and bad files. Not here: taking results out of output (`result`).

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::*;

const CLAUDE: &str = r#"
[profile.claude]
kind = "exec"
command = ["claude", "-p", "--output-format", "json"]
prompt = "stdin"
home = "workspace"
auth = "gateway"
result = "json:.result"
usage = "json:.total_cost_usd"
tokens = ["json:.usage.input_tokens", "json:.usage.output_tokens"]
resume = ["--resume", "{{ session_id }}"]
capabilities = ["code"]
sandbox = "user"
idle_timeout = "10m"
detect = ["claude", "--version"]
"#;

fn read(text: &str) -> Result<Vec<Profile>, Vec<String>> {
    parse::file(Path::new("p.toml"), text)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

#[test]
fn the_documented_profile_is_read_and_reads_back() {
    let [claude] = read(CLAUDE).unwrap().try_into().unwrap();
    assert_eq!(claude.command, ["claude", "-p", "--output-format", "json"]);
    assert_eq!(claude.result.to_string(), "json:.result");
    assert_eq!(claude.idle_timeout, Some(Millis::from_secs(600)));
    assert_eq!(claude.source, "p.toml");
    assert_eq!(read(&claude.to_toml()).unwrap(), [claude]);
}

#[test]
fn every_value_reads_back() {
    let text = "[profile.\"a.b\"]\ndescription = \"say \\\"x\\\"\"\nkind = \"acp\"\ncommand = ['c:\\d', \"\"]\n\
                home = \"user\"\nauth = \"own\"\nresult = \"file\"\nsandbox = \"bwrap\"\n\
                env = { A = \"1\", \"b-c\" = \"two\\nlines\" }\n";
    let profiles = read(text).unwrap();
    assert_eq!(read(&profiles[0].to_toml()).unwrap(), profiles);
}

#[test]
fn built_in_profiles_are_there() {
    let profiles = Profiles::built_in();
    assert_eq!(
        profiles.list().map(|profile| profile.name.as_str()).collect::<Vec<_>>(),
        ["claude", "codex", "command", "gemini", "shell"]
    );
    let shell = profiles.get("shell").unwrap();
    assert_eq!((shell.command.as_slice(), shell.prompt), (&["/bin/sh".to_owned()][..], Prompt::Stdin));
    assert_eq!(shell.capabilities, ["sh"]);
    assert_eq!(read(&shell.to_toml()).unwrap()[0].command, shell.command);
    assert!(profiles.get("command").unwrap().command.is_empty());
    assert_eq!(profiles.nearest("shel"), Some("shell"));
    assert_eq!(profiles.nearest("frobnicator"), None);
    assert!(profiles.list().all(|profile| profile.source == BUILT_IN));
}

/// A file, and what is said of it.
const BAD_FILES: &[(&str, &str)] = &[
    (
        "[profile.a]\ncommand = [\"x\"]\ncomand = 1\n",
        "p.toml:3:1: profile a: unknown key `comand`, the nearest known key is `command`",
    ),
    (
        "[profile.a]\ncommand = []\n",
        "p.toml:2:1: profile a: `command`: expected a list of texts, the program first, found no program",
    ),
    (
        "[profile.a]\ncommand = \"x\"\n",
        "p.toml:2:1: profile a: `command`: expected a list of texts, found \"x\"",
    ),
    ("[profile.a]\ncommand = [1]\n", "p.toml:2:1: profile a: `command`: expected a text, found a number"),
    (
        "\n[profile.a]\n",
        "p.toml:2:10: profile a: `command` is missing: expected a list of texts, the program first",
    ),
    (
        "[profile.a]\ncommand = [\"x\"]\nkind = \"exe\"\n",
        "p.toml:3:1: profile a: `kind`: expected one of \"exec\", \"acp\", found \"exe\"",
    ),
    (
        "[profile.a]\ncommand = [\"x\"]\nprompt = true\n",
        "p.toml:3:1: profile a: `prompt`: expected one of \"stdin\", \"argv\", \"file\", found true",
    ),
    (
        "[profile.a]\ncommand = [\"x\"]\nprompt = \"argv\"\n",
        "p.toml:1:10: profile a: prompt = \"argv\" without {{ prompt }} in `command`",
    ),
    (
        "[profile.a]\ncommand = [\"x\"]\nkind = \"acp\"\nprompt = \"file\"\n",
        "p.toml:1:10: profile a: kind = \"acp\" takes prompts as messages: leave `prompt` out",
    ),
    (
        "[profile.a]\ncommand = [\"x\"]\nresult = \"xml\"\n",
        "p.toml:3:1: profile a: `result`: expected text, json[:PATH], jsonl[:PATH] or file, found \"xml\"",
    ),
    (
        "[profile.a]\ncommand = [\"x\"]\nidle_timeout = 10\n",
        "p.toml:3:1: profile a: `idle_timeout`: expected a duration such as \"10m\", found a number",
    ),
    (
        "[profile.a]\ncommand = [\"x\"]\ncapabilities = [\"a b\"]\n",
        "p.toml:3:1: profile a: `capabilities`: expected names of letters, digits and `._-:/+` of at most 64 bytes, found \"a b\"",
    ),
    (
        "[profile.a]\ncommand = [\"x\"]\nenv = {FUSION_X = \"1\"}\n",
        "p.toml:3:1: profile a: `env`: FUSION_X is the daemon's own to set",
    ),
    (
        "[profile.a]\ncommand = [\"x\"]\nenv = {KEY = 1}\n",
        "p.toml:3:1: profile a: `env`: expected a text as the value of KEY",
    ),
    (
        "[profile.\"-a\"]\n",
        "p.toml:1:10: profile \"-a\": expected a name of letters, digits, `.`, `_`, `-` that begins with a letter or digit, of at most 63 bytes",
    ),
    ("profile = 1\n", "p.toml:1:1: `profile`: expected a table, [profile.NAME]"),
    ("[profile]\na = 1\n", "p.toml:2:1: profile a: expected a table, [profile.a]"),
    (
        "[claude]\ncommand = [\"x\"]\n",
        "p.toml:1:2: unknown key `claude`, expected tables [profile.NAME] alone",
    ),
];

#[test]
fn bad_files_say_what_is_wrong_and_where() {
    for (text, message) in BAD_FILES.iter().copied() {
        assert_eq!(read(text), Err(vec![message.to_owned()]), "{text}");
    }
    let syntax = read("[profile.a]\ncommand = [\"x\"\n").unwrap_err();
    assert!(syntax[0].starts_with("p.toml:"), "{syntax:?}");
}

#[test]
fn a_broken_file_is_left_out_and_a_later_folder_wins() {
    let root = tempfile::tempdir().unwrap();
    let (first, second) = (root.path().join("first"), root.path().join("second"));
    std::fs::create_dir(&first).unwrap();
    std::fs::create_dir(&second).unwrap();
    let profile = |name: &str, program: &str| format!("[profile.{name}]\ncommand = [\"{program}\"]\n");
    std::fs::write(first.join("10.toml"), profile("a", "old") + &profile("shell", "/bin/bash")).unwrap();
    std::fs::write(first.join("20.toml"), profile("b", "x") + "kind = 1\n").unwrap();
    std::fs::write(first.join("README"), "no profile").unwrap();
    std::fs::write(second.join("10.toml"), profile("a", "new")).unwrap();
    let folders = [first.clone(), root.path().join("none"), second.clone()];
    let (profiles, problems) = Profiles::load(&folders, Trust::Readable);
    assert_eq!(profiles.get("a").unwrap().command, ["new"]);
    assert_eq!(profiles.get("a").unwrap().source, second.join("10.toml").display().to_string());
    assert_eq!(profiles.get("shell").unwrap().command, ["/bin/bash"]);
    assert!(profiles.get("b").is_none());
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!(problems[0].place.to_string(), format!("{}:3:1", first.join("20.toml").display()));
}

#[test]
fn root_reads_only_what_root_alone_can_write() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.toml");
    std::fs::write(&file, "[profile.a]\ncommand = [\"x\"]\n").unwrap();
    let folders = [folder.path().to_owned()];
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o664)).unwrap();
    let (profiles, problems) = Profiles::load(&folders, Trust::RootOnly);
    assert!(profiles.get("a").is_none());
    assert_eq!(
        problems[0].text,
        format!("has mode 0664, expected one that only root can write: chmod go-w {}", file.display())
    );
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(Profiles::load(&folders, Trust::RootOnly).0.get("a").is_some());
    std::os::unix::fs::chown(&file, Some(12_345), None).unwrap();
    let (_, problems) = Profiles::load(&folders, Trust::RootOnly);
    assert_eq!(
        problems[0].text,
        format!("belongs to uid 12345, expected root: chown root {}", file.display())
    );
}
