# Before the programs go, daemons and all agents end. An upgrade leaves both alone.
if [ "$1" -eq 0 ]; then
    if [ -d /run/systemd/system ]; then
        systemctl disable --now fusiond.socket fusiond.service >/dev/null 2>&1 || :
        /usr/lib/fusiond/end-agents || :
    else
        systemctl disable fusiond.socket fusiond.service >/dev/null 2>&1 || :
    fi
fi
