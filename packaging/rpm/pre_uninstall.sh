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
    else
        systemctl disable fusiond.socket fusiond.service >/dev/null 2>&1 || :
    fi
fi
