# needs: rpm
# The packages for Red Hat, of whose dependencies rpm finds none here: what they do where systemd runs is no matter of the
# distribution. Agents live through an upgrade and end when the package goes; its state stays.
rpm() {
    command rpm --dbpath /var/lib/rpm "$@" 2>/tmp/rpm-said || fail "rpm $1: $(cat /tmp/rpm-said)"
    if grep 'scriptlet failed' /tmp/rpm-said; then fail "a script of rpm $1"; fi
}
rpm --install --nodeps /vm/now/fusiond-*.rpm /vm/now/fusionctl-*.rpm
is "$(systemctl is-active fusiond.service)" active "the service"
is "$(systemctl is-enabled fusiond.service)" enabled "the service"
is "$(stat -c '%a %U:%G' /run/fusiond/fusiond.sock)" "660 root:fusion" "the socket"
[ -z "$(command rpm --dbpath /var/lib/rpm --verify --nodeps fusiond fusionctl)" ] || fail "files differ from the package"

usermod -aG fusion ada
# What the later version wrote is not read by this one, here neither.
rm -rf /home/rob/.local/state/fusiond
long=$(long_task ada red)
own=$(rootless_task rob red-too)
old=$(main_pid)
rpm --upgrade --nodeps /vm/later/fusiond-*.rpm /vm/later/fusionctl-*.rpm
served_anew "$old" || fail "the new version does not serve"
lives "$long"
lives "$own"

# A version that was wanted and could not start is followed by one that can.
echo 'wrong = 1' >>/etc/fusiond/fusiond.toml
systemctl restart fusiond.service && fail "it started with wrong settings"
gave_up
sed -i '/^wrong = 1$/d' /etc/fusiond/fusiond.toml
rpm --upgrade --force --nodeps /vm/later/fusiond-*.rpm
is "$(systemctl is-active fusiond.service || true)" active "the service after the upgrade"
lives "$long"

mkdir -p /etc/fusiond/fusiond.toml.d
printf '[runtime]\nbackend = "none"\n' >/etc/fusiond/fusiond.toml.d/backend.toml
systemctl restart fusiond.service
plain=$(long_task ada red-plain)
rpm --erase --nodeps fusiond fusionctl
for ended in "$long" "$own" "$plain"; do
    [ ! -e "/proc/${ended%%:*}" ] || fail "an agent outlived the package"
done
no_agents || fail "shims outlived the package"
[ -d /var/lib/fusiond/store ] || fail "erasing took the state along"
left=$(comm -13 /var/cache/fusion-stories/files <(list_files) | grep -i fusion | grep -Ev 'fusion-stories|^/(var/lib|etc|run)/fusiond(/|$)' || true)
[ -z "$left" ] || fail "files are left: $left"
left=$(systemctl list-unit-files --no-legend 'fusion*' | grep -v fusion-stories || true)
[ -z "$left" ] || fail "units are left: $left"
no_linger rob
rm -rf /var/lib/fusiond /etc/fusiond
groupdel fusion
groupdel fusion-admin
