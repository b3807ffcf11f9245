# Agents that are in no scope, for want of systemd's help or by the settings, end with the package all the same.
member ada
mkdir -p /etc/fusiond/fusiond.toml.d
printf '[runtime]\nbackend = "cgroup-v2"\n' >/etc/fusiond/fusiond.toml.d/backend.toml
systemctl restart fusiond.service
long=$(long_task ada plain)
if grep -q 'fusion-agent-.*scope' "/proc/${long%%:*}/cgroup"; then fail "the agent is in a scope"; fi
polite_task ada plain-polite
dpkg -r fusiond
was_polite ada plain-polite
[ ! -e "/proc/${long%%:*}" ] || fail "the agent outlived the package"
no_agents || fail "shims outlived the package: $(pgrep -a fusion-shim)"
rm -r /etc/fusiond/fusiond.toml.d
dpkg -i /vm/deb2/fusiond_*.deb
