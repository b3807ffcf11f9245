# $1 is the number of versions that are installed afterwards: 1 is a first installation, 2 an upgrade.
systemd-sysusers fusiond.conf
if [ "$1" -eq 1 ]; then
    # Enabled by the preset of this package, unless the administrator's own say otherwise.
    systemctl preset fusiond.service >/dev/null 2>&1 || :
fi
if [ -d /run/systemd/system ]; then
    systemd-tmpfiles --create fusiond.conf || :
    systemctl daemon-reload || :
    state=$(systemctl show --property=ActiveState --value fusiond.service)
    if [ "$1" -eq 1 ]; then
        if systemctl --quiet is-enabled fusiond.service; then systemctl start fusiond.service || :; fi
    elif [ "$state" = active ] || [ "$state" = reloading ] || [ "$state" = activating ]; then
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
