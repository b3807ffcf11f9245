# Removing ends agents and keeps state; a purge leaves no file, group, unit, cgroup or process.
member ada
long=$(long_task ada removed)
dpkg -r fusiond fusionctl
[ ! -e "/proc/${long%%:*}" ] || fail "the agent outlived the package"
no_agents || fail "shims outlived the package"
[ -d /var/lib/fusiond/store ] || fail "removing took the state along"
[ -e /etc/fusiond/fusiond.toml ] || fail "removing took the settings along"

# Back again: what was there is there.
dpkg -i /vm/later/fusiond_*.deb /vm/later/fusionctl_*.deb
as ada fusionctl task show key:removed-long >/dev/null || fail "the state was lost"

# What is mounted below the state is not the package's; what `systemctl set-property` wrote is.
mkdir /var/lib/fusiond/mounted
mount -t tmpfs tmpfs /var/lib/fusiond/mounted
touch /var/lib/fusiond/mounted/kept
systemctl set-property fusion.slice CPUWeight=50
systemctl set-property --runtime fusion.slice CPUWeight=60
systemctl set-property --runtime fusiond.service CPUWeight=70
dpkg -P fusiond fusionctl
is "$(dpkg-query --show --showformat='${db:Status-Status}' fusiond 2>/dev/null || true)" "" "the package"
[ -e /var/lib/fusiond/mounted/kept ] || fail "a purge reached into what is mounted"
umount /var/lib/fusiond/mounted
rmdir /var/lib/fusiond/mounted /var/lib/fusiond
rm -f /etc/apt/sources.list.d/fusiond.list /etc/apt/keyrings/fusiond.gpg
rm -rf /var/lib/apt/lists/*fusion* /var/lib/apt/lists/_vm_repo*
for group in fusion fusion-admin; do
    if getent group "$group"; then fail "the group is left"; fi
done
left=$(comm -13 /var/cache/fusion-stories/files <(list_files) | grep -i fusion | grep -v fusion-stories || true)
[ -z "$left" ] || fail "files are left: $left"
left=$(find /etc/systemd /run/systemd /var/lib/systemd -iname '*fusion*' | grep -v fusion-stories || true)
[ -z "$left" ] || fail "files of units are left: $left"
# Names that something refers to are known without a file; those are no units.
left=$(
    systemctl list-unit-files --no-legend 'fusion*' | grep -v fusion-stories || true
    systemctl list-units --plain --no-legend --state=active,activating,failed 'fusion*' | grep -v fusion-stories || true
)
[ -z "$left" ] || fail "units are left: $left"
# Hierarchies of version 1 are the host's, which a container sees with all that others made there.
places=/sys/fs/cgroup
[ -e /sys/fs/cgroup/cgroup.controllers ] || places=/sys/fs/cgroup/systemd
left=$(find "$places" -type d -name 'fusion*' | grep -v fusion-stories || true)
[ -z "$left" ] || fail "cgroups are left: $left"
left=$(pgrep -a fusion || true)
[ -z "$left" ] || fail "processes are left: $left"
