# $1 is the number of versions that are installed afterwards: 1 is a first installation, 2 an upgrade.
systemd-sysusers fusiond.conf
if [ "$1" -eq 1 ]; then
    systemctl enable fusiond.service >/dev/null 2>&1 || :
fi
if [ -d /run/systemd/system ]; then
    systemd-tmpfiles --create fusiond.conf || :
    systemctl daemon-reload || :
    if [ "$1" -eq 1 ]; then
        systemctl start fusiond.service || :
    elif systemctl --quiet is-active fusiond.service; then
        # Agents live on meanwhile.
        systemctl restart fusiond.service || :
    else
        # What failed may have waited for this version; what somebody stopped has not failed. The socket first: it does not
        # start beside a service that runs.
        for unit in fusiond.socket fusiond.service; do
            if systemctl --quiet is-failed "$unit"; then
                systemctl start "$unit" || :
            fi
        done
    fi
fi
