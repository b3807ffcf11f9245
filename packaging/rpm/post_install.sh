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
    else
        # Agents live on meanwhile.
        systemctl try-restart fusiond.service || :
    fi
fi
