# Removing the package also ends the daemons of users and their agents, which are in managers of their own, with what holds
# no agents in scopes too.
settings=/home/rob/.config/fusiond/fusiond.toml.d
for backend in none cgroup-v2; do
    user_exists rob || useradd --create-home --shell /bin/bash rob
    as rob mkdir -p "$settings"
    as rob sh -c "printf '[runtime]\nbackend = \"%s\"\n' $backend >$settings/backend.toml"
    if ! long=$(rootless_task rob "loose-$backend"); then
        # The machine has not got it.
        is "$(as rob systemctl --user show -P ExecMainStatus fusiond.service)" 78 "the daemon's exit code"
        rm -r "$settings"
        continue
    fi
    is "$(as rob fusionctl -o json agent show "loose-$backend" | jq -r .backend)" "$backend" "the agent's backend"
    # Whom no daemon ends, its shim does.
    stray=$(long_task rob "stray-$backend")
    as rob systemctl --user kill --kill-whom=main --signal=KILL fusiond.service
    as rob systemctl --user stop fusiond.service
    lives "$stray"
    dpkg -r fusiond
    for pid in "${long%%:*}" "${stray%%:*}"; do
        [ ! -e "/proc/$pid" ] || fail "a user's agent ($backend) outlived the package"
    done
    [ -z "$(pgrep -u rob -f fusion)" ] || fail "processes of the user are left: $(pgrep -u rob -a -f fusion)"
    rm -r "$settings"
    dpkg -i /vm/later/fusiond_*.deb
done
long=$(rootless_task rob leaving)
# A user names cgroups as they like: what root reads and writes there must not become another file.
sleep infinity &
bystander=$!
echo kept >/root/bystander
echo "$bystander" >/home/rob/cgroup.procs
ln -s /root/bystander /home/rob/cgroup.kill
own=$(find /sys/fs/cgroup -type d -name "user@$(id -u rob).service" -user rob | head -n1)
[ -n "$own" ] || fail "the user has no cgroups"
as rob mkdir -p "$own/trap/fusion.slice/fusiond.service/x home/rob"
dpkg -r fusiond
kill -0 "$bystander" || fail "removing the package killed a process that a user named"
is "$(cat /root/bystander)" kept "a file that a user named"
kill "$bystander"
rm /root/bystander /home/rob/cgroup.procs /home/rob/cgroup.kill
[ ! -e "/proc/${long%%:*}" ] || fail "the user's agent outlived the package"
is "$(as rob systemctl --user is-active fusiond.service || true)" inactive "the user's service"
[ -z "$(pgrep -u rob -f fusion)" ] || fail "processes of the user are left: $(pgrep -u rob -a -f fusion)"
dpkg -i /vm/later/fusiond_*.deb
no_linger rob
