# State and groups stay: rpm knows no purge.
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || :
fi
