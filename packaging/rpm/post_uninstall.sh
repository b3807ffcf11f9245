# State and groups stay: rpm knows no purge.
if [ "$1" -eq 0 ]; then
    # What makes this package cannot give it folders, so these are nobody's.
    find /usr/lib/fusiond /usr/share/fusiond /usr/share/doc/fusiond /usr/share/licenses/fusiond /etc/fusiond \
        -type d -empty -delete 2>/dev/null || :
fi
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || :
fi
