# Without a package: the steps of docs/deployment.md, with the files of a package in place of a checkout's.
from=$(mktemp -d)
dpkg -x /vm/now/fusiond_*.deb "$from"
dpkg -x /vm/now/fusionctl_*.deb "$from"
units=$from/usr/lib/systemd/system
[ -d "$units" ] || units=$from/lib/systemd/system

install -m 755 "$from"/usr/bin/fusiond "$from"/usr/bin/fusionctl "$from"/usr/bin/fusion-run /usr/local/bin/
install -D -m 755 "$from"/usr/lib/fusiond/fusion-shim /usr/lib/fusiond/fusion-shim
groupadd --system fusion
groupadd --system fusion-admin
sed 's|/usr/bin/fusiond|/usr/local/bin/fusiond|' "$units/fusiond.service" >/etc/systemd/system/fusiond.service
install -m 644 "$units/fusiond.socket" "$units/fusion.slice" /etc/systemd/system/
systemctl daemon-reload && systemctl enable --now fusiond.service

is "$(readlink "/proc/$(main_pid)/exe")" /usr/local/bin/fusiond "the program that runs"
member ada
usermod -aG fusion ada
is "$(as ada fusionctl run command -- uname -s)" Linux "what a command says"
long=$(long_task ada by-hand)
systemctl restart fusiond
lives "$long"

systemctl disable --now fusiond.service
systemctl stop fusion.slice
[ ! -e "/proc/${long%%:*}" ] || fail "the agent outlived its slice"
rm -r /usr/local/bin/fusi* /usr/lib/fusiond /etc/systemd/system/{fusiond.*,fusion.slice} /var/lib/fusiond /run/fusiond "$from"
rm -rf /etc/fusiond
systemctl daemon-reload
groupdel fusion
groupdel fusion-admin
