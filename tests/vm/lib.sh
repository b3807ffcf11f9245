# What stories share. Each is sourced after this into a shell of its own, as root, and fails at the first command that does.
set -euo pipefail

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# is FOUND EXPECTED WHAT
is() { [ "$1" = "$2" ] || fail "$3 is '$1', expected '$2'"; }

# A command as a user, with that user's groups and nothing of root's environment.
as() {
    local user=$1 home
    shift
    home=$(getent passwd "$user" | cut -d: -f6)
    (cd "$home" && runuser -u "$user" -- env -i HOME="$home" USER="$user" PATH=/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8 \
        XDG_RUNTIME_DIR="/run/user/$(id -u "$user")" "$@")
}

# refused CODE COMMAND…: it must end with that exit code.
refused() {
    local expected=$1 code=0
    shift
    "$@" || code=$?
    is "$code" "$expected" "the exit code of '$*'"
}

# eventually SECONDS COMMAND…: so many times PATIENCE, for what systemd does on its own, which no command waits for.
eventually() {
    local limit=$((SECONDS + $1 * ${PATIENCE:-1}))
    shift
    until "$@"; do
        [ $SECONDS -lt $limit ] || fail "not within its time: $*"
        sleep 0.2
    done
}

main_pid() { systemctl show -P MainPID fusiond.service; }
# Whether another process than OLD serves.
served_anew() { local pid; pid=$(main_pid); [ "$pid" != 0 ] && [ "$pid" != "$1" ] && systemctl --quiet is-active fusiond.service; }
# gave_up: the start ended because of what only a person can mend, and is not repeated.
gave_up() {
    is "$(systemctl show -P ExecMainStatus fusiond.service)" 78 "the daemon's exit code"
    is "$(systemctl is-failed fusiond.service || true)" failed "the service"
    is "$(systemctl show -P NRestarts fusiond.service)" 0 "the number of restarts"
}
# A process that cannot be mistaken for a later one of the same number.
identity() { echo "$1:$(cut -d' ' -f22 "/proc/$1/stat")"; }
# shims PATH: the shims whose cgroup has a name that ends so.
shims() {
    local pid
    for pid in $(pgrep -x fusion-shim); do
        if grep -sq "^0::.*$1\$" "/proc/$pid/cgroup"; then echo "$pid"; fi
    done
}
no_agents() { ! pgrep -x fusion-shim >/dev/null; }
user_exists() { id "$1" >/dev/null 2>&1; }

# Users of the machine; members of the group may talk to the daemon.
member() { user_exists "$1" || useradd --create-home --shell /bin/bash --groups fusion "$1"; }

# long_task USER NAME: an agent with a task that does not end; prints the identity of its process. Names are used once: a
# key of an earlier story means its task.
long_task() { task_of "$1" "$2" 'echo $$' '; exec sleep infinity'; }
# deaf_task USER NAME: the same, with a child of the program's own that does not take SIGTERM for anything.
deaf_task() { task_of "$1" "$2" "trap '' TERM; sleep infinity & echo \$!" '; wait'; }
parent() { ps -o ppid= -p "$1" | tr -d ' '; }
task_of() {
    local file
    file=$(getent passwd "$1" | cut -d: -f6)/$2.pid
    rm -f "$file"
    as "$1" mkfifo "$file"
    as "$1" fusionctl agent spawn "$2" --profile shell >/dev/null
    as "$1" fusionctl task submit --agent "$2" --key "$2-long" "$3 > $file$4" >/dev/null
    identity "$(cat "$file")"
}

# rootless_task USER NAME: the same for a daemon of the user's own manager, which lingers.
rootless_task() {
    user_exists "$1" || useradd --create-home --shell /bin/bash "$1"
    loginctl enable-linger "$1"
    eventually 30 test -S "/run/user/$(id -u "$1")/bus"
    as "$1" systemctl --user daemon-reload
    as "$1" systemctl --user start fusiond.service
    long_task "$1" "$2"
}

# no_linger USER: back to how it was.
no_linger() {
    loginctl disable-linger "$1"
    eventually 30 nobody_left "$1"
}
nobody_left() { ! pgrep -u "$1" >/dev/null; }

# polite_task USER NAME [SUBMIT-FLAG]…: the same, with a program that takes SIGTERM as the wish to end, and then writes the
# last line of ~/NAME.last; it takes a second for that.
polite_task() {
    local user=$1 name=$2 home begun
    shift 2
    home=$(getent passwd "$user" | cut -d: -f6)
    begun=$home/$name.begun
    rm -f "$begun" "$home/$name.last"
    as "$user" mkfifo "$begun"
    as "$user" fusionctl agent spawn "$name" --profile shell >/dev/null
    as "$user" fusionctl task submit --agent "$name" --key "$name" "$@" \
        "trap 'sleep 1; echo ended >> $home/$name.last; exit 0' TERM; echo > $begun; while :; do sleep 0.2; done" >/dev/null
    read -r _ <"$begun"
    rm "$begun"
}
# was_polite USER NAME: the program came to its last line.
was_polite() {
    local last
    last=$(getent passwd "$1" | cut -d: -f6)/$2.last
    is "$(cat "$last" || true)" ended "the last line of $2"
    rm "$last"
}

# agent_is USER NAME STATE
agent_is() { [ "$(as "$1" fusionctl -o json agent show "$2" | jq -r .state)" = "$3" ]; }

# ended_as USER KEY CODE: what became of the first attempt of a task. A daemon that just started may still be looking.
ended_as() { [ "$(as "$1" fusionctl -o json task show "key:$2" | jq -r '.attempts[0].failure.code')" = "$3" ]; }

# lives IDENTITY: it is the same process as before.
lives() {
    [ -e "/proc/${1%%:*}" ] || fail "process $1 is gone"
    is "$(identity "${1%%:*}")" "$1" "the process"
}

# work USER KEY COUNT: many small tasks, each of which writes one line to the user's ledger.
work() {
    local n ledger
    ledger=$(getent passwd "$1" | cut -d: -f6)/ledger
    for n in $(seq "$3"); do
        printf '{"key": "%s-%s", "prompt": "sleep 0.05; echo %s-%s >> %s", "capabilities": ["sh"]}\n' "$2" "$n" "$2" "$n" "$ledger"
    done | as "$1" fusionctl -q task submit --file - >/dev/null
}

# worked USER KEY COUNT: all of them succeeded, and each ran exactly once.
worked() {
    local home expected found
    home=$(getent passwd "$1" | cut -d: -f6)
    seq "$3" | sed "s/^/key:$2-/" | as "$1" fusionctl -q task wait - >/dev/null || fail "not all tasks of $2 succeeded"
    expected=$(seq "$3" | sed "s/^/$2-/" | sort)
    found=$(grep "^$2-" "$home/ledger" | sort)
    [ "$found" = "$expected" ] || fail "tasks were lost or ran twice: $(diff <(echo "$expected") <(echo "$found") | head)"
}

# Every file of the machine that a package could have left, without what changes by itself.
list_files() {
    find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /vm -o -path /tmp -o -path /home -o -path /root \
        -o -path /var/log -o -path /var/cache -o -path /var/lib/dpkg -o -path /var/lib/systemd -o -path /run/user \
        -o -path /run/log -o -path /run/systemd -o -path /run/udev -o -path /var/tmp \) -prune -o -print | sort
}
