# A daemon that stands still is ended and started again by systemd; agents live on.
member ada
mkdir -p /etc/systemd/system/fusiond.service.d
printf '[Service]\nWatchdogSec=5\n' >/etc/systemd/system/fusiond.service.d/watchdog.conf
systemctl daemon-reload
systemctl restart fusiond.service
long=$(long_task ada watched)
old=$(main_pid)
# It feeds the dog while it works; systemd notes when.
fed() { systemctl show -P WatchdogTimestampMonotonic fusiond.service; }
fed_since() { [ "$(fed)" != "$1" ]; }
for n in 1 2; do
    before=$(fed)
    eventually 5 fed_since "$before"
done
is "$(main_pid)" "$old" "the daemon that is fed for"
kill -STOP "$old"
eventually 60 served_anew "$old"
journalctl --no-pager -u fusiond.service | grep -i 'watchdog timeout' >/dev/null || fail "systemd tells of no watchdog"
lives "$long"
as ada fusionctl agent list
rm -r /etc/systemd/system/fusiond.service.d
systemctl daemon-reload
systemctl restart fusiond.service
lives "$long"
as ada fusionctl agent terminate watched
