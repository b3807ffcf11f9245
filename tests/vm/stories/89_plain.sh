# Agents that are in no scope, for want of systemd's help or by the settings, end with the package all the same.
member ada
setting=/etc/fusiond/fusiond.toml.d/backend.toml
# Without a bus there are no scopes, which a start sees at once: it does not wait for what is not installed.
mkdir -p /etc/systemd/system/fusiond.service.d
printf '[Service]\nEnvironment=DBUS_SYSTEM_BUS_ADDRESS=unix:path=/run/no-bus\n' >/etc/systemd/system/fusiond.service.d/no-bus.conf
systemctl daemon-reload
since=$(date +%s)
systemctl restart fusiond.service
journalctl --sync
said=$(journalctl --no-pager -o json -u fusiond.service --since "@$since")
jq -s -e 'any(.[]; .MESSAGE | tostring | startswith("systemd makes no scopes for agents"))' <<<"$said" >/dev/null ||
    fail "it does not say that it makes no scopes"
took=$(($(systemctl show -P ActiveEnterTimestampMonotonic fusiond.service) - $(systemctl show -P ExecMainStartTimestampMonotonic fusiond.service)))
echo "figure: from start to READY without a bus: $((took / 1000)) ms"
[ "$took" -lt 25000000 ] || fail "the start waited for a bus that is not there"
rm -r /etc/systemd/system/fusiond.service.d
systemctl daemon-reload
systemctl restart fusiond.service

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
    # What an agent has started and nobody is left to end in order, for its shim is gone; nor does it listen itself.
    deaf=$(deaf_task ada "deaf-$backend")
    systemctl stop fusiond.service
    kill -s KILL "$(parent "$(parent "${deaf%%:*}")")"
    lives "$deaf"
    dpkg -r fusiond
    was_polite ada "polite-$backend"
    for pid in "${long%%:*}" "${deaf%%:*}"; do
        [ ! -e "/proc/$pid" ] || fail "an agent ($backend) outlived the package"
    done
    no_agents || fail "shims ($backend) outlived the package: $(pgrep -a fusion-shim)"
    left=$(find /sys/fs/cgroup -type d -path "*/fusion-$(cat /var/lib/fusiond/id)*")
    [ -z "$left" ] || fail "cgroups ($backend) are left: $left"
    rm -r "${setting%/*}"
    dpkg -i /vm/later/fusiond_*.deb
    echo "figure: ended with the package: $backend"
done
