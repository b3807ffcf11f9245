# Each agent is a scope of its own in the slice of its user: systemd shows, limits and ends it.
member ada
as ada fusionctl agent spawn scoped --profile shell
as ada fusionctl task submit --agent scoped --key scoped --wait 'cat /proc/self/cgroup; tr "\0" "\n" < /proc/self/environ'
id=$(as ada fusionctl -o json agent show scoped | jq -r .id)

scope=$(systemctl list-units --plain --no-legend --state=active 'fusion-agent-*.scope' | grep -F scoped | cut -d' ' -f1)
[ -n "$scope" ] || fail "no scope is described with the agent's name: $(systemctl list-units --no-pager 'fusion*')"
is "$(systemctl show -P Slice "$scope")" "fusion-u$(id -u ada).slice" "the slice"
is "$(systemctl show -P Delegate "$scope")" yes "Delegate"
is "$(systemctl show -P OOMPolicy "$scope")" continue "OOMPolicy"
is "$(systemctl show -P TasksMax "$scope")" infinity "TasksMax"
for target in network.target remote-fs.target; do
    systemctl show -P After "$scope" | grep -qw "$target" || fail "the agent does not end before $target"
done
is "$(systemctl show -P TimeoutStopUSec "$scope")" 15s "what a stop leaves to its shim"
place=/fusion.slice/fusion-u$(id -u ada).slice/$scope
as ada fusionctl task result key:scoped | grep -q "$place/agent$" ||
    fail "the task ran outside $place/agent: $(as ada fusionctl task result key:scoped)"
# The limits of the agent are not those of its shim, which has to tell how it ended.
is "$(shims "$place/shim" | wc -l)" 1 "the number of shims in $place/shim"
inherited=$(as ada fusionctl task result key:scoped | grep -E '^(NOTIFY_SOCKET|WATCHDOG_|LISTEN_|CREDENTIALS_|INVOCATION_ID|JOURNAL_STREAM)' || true)
[ -z "$inherited" ] || fail "the task inherited variables of the service: $inherited"

# What its user's programs may do at a login they may do in an agent: the service is hardened with nothing that they inherit.
# (mmap, ptrace and socket by their numbers on x86-64 and arm64.)
cat >/home/ada/may.sh <<'END'
case $(uname -m) in aarch64) mmap=222 ptrace=117 ;; *) mmap=9 ptrace=101 ;; esac
try() { what=$1; shift; "$@" >/dev/null 2>&1; echo "$what: $?"; }
try 'a user namespace with a mount of its own' unshare -Urm mount -t tmpfs none /mnt
try 'a proc of its own' unshare -Urpf --mount-proc true
try 'a name of the host of its own' unshare -Uru sh -c 'echo sandbox > /proc/sys/kernel/hostname'
try 'memory that is written and executed' perl -e "exit(syscall($mmap, 0, 4096, 7, 34, -1, 0) == -1)"
try 'a personality' setarch "$(uname -m)" -R true
try 'a tracer' perl -e "exit(syscall($ptrace, 0, 0, 0, 0) == -1)"
try 'a netlink socket' perl -e 'socket(my $s, 16, 3, 0) or exit 1'
try 'a folder with the group bit' sh -c 'mkdir -p -m 2770 "$HOME/shared" && [ -g "$HOME/shared" ] && rmdir "$HOME/shared"'
try 'a file in /tmp' sh -c 'mktemp -p /tmp | xargs rm'
try 'modules and kernel settings in sight' sh -c 'ls /lib/modules && cat /proc/sys/kernel/osrelease /proc/cmdline'
try 'devices' sh -c 'echo > /dev/null && head -c1 /dev/urandom'
END
as ada fusionctl task submit --agent scoped --key may --env HOME=/home/ada --wait 'sh /home/ada/may.sh'
login=$(as ada sh /home/ada/may.sh)
is "$(as ada fusionctl task result key:may)" "$login" "what a program may do"
[ "$(grep -c ': 0$' <<<"$login")" -ge 6 ] || fail "the machine allows too little to tell: $login"
rm /home/ada/may.sh
# On hybrid cgroups systemctl cannot list what is in a slice.
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    systemctl status fusion.slice --no-pager | grep -F "$scope" >/dev/null || fail "status of the slice does not show it"
fi
systemd-cgls --no-pager -u fusion.slice | grep -F "$scope" >/dev/null || fail "systemd-cgls does not show it"
systemd-cgtop -b -n1 --depth=5 | grep -F "$scope" >/dev/null || fail "systemd-cgtop does not show it"
# The service manager and its bus may be restarted at any time.
systemctl daemon-reexec
as ada fusionctl task submit --agent scoped --key reexeced --wait true
for n in 1 2 3; do
    systemctl restart dbus.service &
    systemctl daemon-reexec &
    as ada fusionctl agent spawn "amid-$n" --profile shell
    is "$(as ada fusionctl -o json agent show "amid-$n" | jq -r .backend)" systemd "the backend"
    is "$(as ada fusionctl -o json agent show "amid-$n" | jq -r .incarnation)" 1 "its lives"
    wait
    as ada fusionctl agent terminate "amid-$n"
done
as ada fusionctl agent terminate scoped
eventually 20 bash -c "! systemctl --quiet is-active '$scope'"
echo "agent $id was $scope"
