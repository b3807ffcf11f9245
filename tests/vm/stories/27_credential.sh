# The host key as a credential that is sealed to the machine, in the words of docs/secrets.md; and a key that others could
# read, with which the daemon does not start.
member ada
key=/var/lib/fusiond/host.key
kept=$(mktemp)
cp "$key" "$kept"
printf 'an-old-value' | as ada fusionctl secret set KEPT
as ada fusionctl agent spawn keeper --profile shell --secret KEPT
# opens KEY: the value reaches a new attempt. Its sum, for the value itself is masked.
opens() {
    as ada fusionctl task submit --agent keeper --key "$1" --wait 'printf %s "$KEPT" | sha256sum'
    is "$(as ada fusionctl task result "key:$1" | cut -d' ' -f1)" "$(printf an-old-value | sha256sum | cut -d' ' -f1)" "the secret"
}
opens key-as-file

had_store=$([ -e /etc/credstore.encrypted ] && echo yes || echo no)
mkdir -p -m 700 /etc/credstore.encrypted
systemd-creds encrypt --name=fusiond-host-key "$key" /etc/credstore.encrypted/fusiond-host-key
mkdir -p /etc/systemd/system/fusiond.service.d
printf '[Service]\nLoadCredentialEncrypted=fusiond-host-key\n' >/etc/systemd/system/fusiond.service.d/override.conf
systemctl daemon-reload
systemctl restart fusiond
shred -u "$key"
opens key-as-credential
systemctl restart fusiond
[ ! -e "$key" ] || fail "a new host key was made beside the credential"
opens key-as-credential-alone
as ada fusionctl task submit --agent keeper --key key-seen --wait 'env; ls "${CREDENTIALS_DIRECTORY:-/run/credentials/fusiond.service}" || true'
seen=$(as ada fusionctl task result key:key-seen | grep -E 'CREDENTIALS|host-key' || true)
[ -z "$seen" ] || fail "an agent sees the credential: $seen"

# The same from a file that is not sealed.
install -m 600 "$kept" /root/fusiond-host-key
printf '[Service]\nLoadCredential=fusiond-host-key:/root/fusiond-host-key\n' >/etc/systemd/system/fusiond.service.d/override.conf
systemctl daemon-reload
systemctl restart fusiond
[ ! -e "$key" ] || fail "a new host key was made beside the credential"
opens key-as-plain-credential
shred -u /root/fusiond-host-key

# Back to the file, which is to be for root alone.
rm -r /etc/systemd/system/fusiond.service.d /etc/credstore.encrypted/fusiond-host-key
[ "$had_store" = yes ] || rmdir /etc/credstore.encrypted
systemctl daemon-reload
systemctl stop fusiond
install -m 640 "$kept" "$key"
since=$(date +%s)
systemctl start fusiond && fail "it started with a host key that others could read"
gave_up
journalctl --sync
journalctl --no-pager -u fusiond --since "@$since" | grep "the host key $key .*expected a file of mode 0600" ||
    fail "the journal does not say why: $(journalctl --no-pager -u fusiond --since "@$since")"
chmod 600 "$key"
systemctl start fusiond
opens key-as-file-again
shred -u "$kept"
as ada fusionctl agent terminate keeper
as ada fusionctl secret remove KEPT
