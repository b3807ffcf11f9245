# Where systemd holds no agents they live in a tree of the daemon's own: each ends its program in order, or is killed.
end_tree() {
    [ -s /var/lib/fusiond/id ] || return 0
    tree=fusion-$(cat /var/lib/fusiond/id)
    for signal in TERM KILL; do
        left=75
        for pid in $(processes "$tree"); do
            kill -s "$signal" "$pid" 2>/dev/null || true
        done
        while [ "$left" -gt 0 ] && [ -n "$(processes "$tree")" ]; do
            sleep 0.2
            left=$((left - 1))
        done
    done
    find /sys/fs/cgroup -depth -type d -path "*/$tree*" -exec rmdir {} + 2>/dev/null || true
}

processes() {
    find /sys/fs/cgroup -path "*/$1/*" -name cgroup.procs -exec cat {} + 2>/dev/null | sort -un
}

# Before the programs go, daemons and all agents end. An upgrade leaves both alone.
if [ "$1" -eq 0 ]; then
    if [ -d /run/systemd/system ]; then
        systemctl disable --now fusiond.socket fusiond.service >/dev/null 2>&1 || :
        systemctl stop fusion.slice || :
        # The same in the manager of every user that runs one. It is asked by a unit of its own that runs as the user: what is
        # the user's reaches neither this terminal nor root, and cannot keep this waiting for long.
        for user in /run/systemd/users/*; do
            uid=${user##*/}
            [ -e "$user" ] || continue
            systemd-run --quiet --collect --service-type=oneshot --property=TimeoutStartSec=2min --uid="$uid" \
                --setenv=XDG_RUNTIME_DIR="/run/user/$uid" systemctl --user stop fusion.slice || :
        done
        end_tree
    else
        systemctl disable fusiond.socket fusiond.service >/dev/null 2>&1 || :
    fi
fi
