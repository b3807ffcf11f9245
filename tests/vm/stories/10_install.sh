# A signed repository and the package alone make a daemon that runs: groups, folders, units, socket, and the words for
# shell and man.
install -D -m 644 /vm/repo/fusiond.gpg /etc/apt/keyrings/fusiond.gpg
echo 'deb [signed-by=/etc/apt/keyrings/fusiond.gpg] file:/vm/repo stable main' >/etc/apt/sources.list.d/fusiond.list
grep -qx 'Acquire-By-Hash: yes' /vm/repo/dists/stable/Release || fail "indexes are not found by their checksums"
for index in /vm/repo/dists/stable/main/binary-*/Packages*; do
    cmp "$index" "${index%/*}/by-hash/SHA256/$(sha256sum <"$index" | cut -d' ' -f1)"
done
# Of this repository alone: the machine has no network.
alone=(-o Dir::Etc::sourcelist=sources.list.d/fusiond.list -o Dir::Etc::sourceparts=/dev/null)
apt-get "${alone[@]}" update
apt-get "${alone[@]}" install -y --no-install-recommends fusiond fusionctl

is "$(systemctl is-active fusiond.service)" active "the service"
is "$(systemctl is-enabled fusiond.service)" enabled "the service"
is "$(systemctl is-enabled fusiond.socket || true)" disabled "the socket"
is "$(systemctl show -P Slice fusiond.service)" fusion.slice "its slice"
getent group fusion fusion-admin >/dev/null || fail "the groups are missing"
is "$(stat -c '%a %U:%G' /run/fusiond/fusiond.sock)" "660 root:fusion" "the socket"
is "$(stat -c %a /run/fusiond)" 711 "the mode of /run/fusiond"
is "$(stat -c %a /var/lib/fusiond)" 711 "the mode of /var/lib/fusiond"
is "$(stat -c %a /var/lib/fusiond/store)" 700 "the mode of the store"
[ -z "$(dpkg --verify fusiond fusionctl)" ] || fail "files differ from the package: $(dpkg --verify fusiond fusionctl)"
dpkg-query --show --showformat='${Conffiles}' fusiond | grep -q /etc/fusiond/fusiond.toml || fail "the settings are no conffile"
[ -e /usr/share/man/man8/fusiond.8.gz ] && [ -e /usr/share/man/man1/fusionctl-task-submit.1.gz ] || fail "no man pages"
bash -n /usr/share/bash-completion/completions/fusionctl
fusionctl system status
fusionctl system doctor || true
member ada
for name in claude codex gemini; do
    is "$(as ada fusionctl -o json profile show $name | jq -r .source)" /usr/share/fusiond/profiles.d/agents.toml "where $name is from"
    is "$(as ada fusionctl -o json system doctor | jq -r '.checks[] | select(.name == "profile '$name'").status')" ok "what nobody asked for"
done

begun=$(systemctl show -P ExecMainStartTimestampMonotonic fusiond.service)
ready=$(systemctl show -P ActiveEnterTimestampMonotonic fusiond.service)
echo "figure: from start to READY on an empty state: $(((ready - begun) / 1000)) ms"
echo "figure: installed: $(dpkg-query --show --showformat='${Package} ${Installed-Size} KiB, ' fusiond fusionctl)"
