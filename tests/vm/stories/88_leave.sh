# Removing the package also ends the daemons of users and their agents, which are in managers of their own.
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
dpkg -i /vm/deb2/fusiond_*.deb
no_linger rob
