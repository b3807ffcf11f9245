# Agents that are in no scope, for want of systemd's help or by the settings, end with the package all the same.
member ada
setting=/etc/fusiond/fusiond.toml.d/backend.toml
for backend in cgroup-v2 cgroup-v1 none; do
    mkdir -p "${setting%/*}"
    printf '[runtime]\nbackend = "%s"\n' "$backend" >"$setting"
    if ! systemctl restart fusiond.service; then
        # The machine has not got it, which no second start changes.
        gave_up
        continue
    fi
    long=$(long_task ada "plain-$backend")
    is "$(as ada fusionctl -o json agent show "plain-$backend" | jq -r .backend)" "$backend" "the agent's backend"
    if grep -q 'fusion-agent-.*scope' "/proc/${long%%:*}/cgroup"; then fail "the agent is in a scope"; fi
    polite_task ada "polite-$backend"
    gone=$long
    # One that nobody is left to end in order, and that does not listen itself. Without cgroups it dies with its shim.
    if [ "$backend" != none ]; then
        gone=$(deaf_task ada "deaf-$backend")
        systemctl stop fusiond.service
        kill -s KILL "$(ps -o ppid= -p "${gone%%:*}" | tr -d ' ')"
        lives "$gone"
    fi
    dpkg -r fusiond
    was_polite ada "polite-$backend"
    for pid in "${long%%:*}" "${gone%%:*}"; do
        [ ! -e "/proc/$pid" ] || fail "an agent ($backend) outlived the package"
    done
    no_agents || fail "shims ($backend) outlived the package: $(pgrep -a fusion-shim)"
    left=$(find /sys/fs/cgroup -type d -path "*/fusion-$(cat /var/lib/fusiond/id)*")
    [ -z "$left" ] || fail "cgroups ($backend) are left: $left"
    rm -r "${setting%/*}"
    dpkg -i /vm/deb2/fusiond_*.deb
    echo "figure: ended with the package: $backend"
done
