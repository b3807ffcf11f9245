# State that a newer version wrote is refused by name, left as it is, and agents live on meanwhile; the version that can read
# it brings the daemon back.
member ada
long=$(long_task ada through-downgrade)
systemctl stop fusiond.service
newest=$(ls /var/lib/fusiond/store/checkpoint/*.ckpt | tail -1)
kept=$(mktemp)
cp "$newest" "$kept"
# The header of a checkpoint as a version with schema 200 would write it (docs: fusiond/daemon/src/store/checkpoint.rs).
perl -e '
    open(my $file, "+<:raw", $ARGV[0]) or die; read($file, my $head, 40) == 40 or die;
    substr($head, 12, 4) = pack("V", 200);
    my $crc = 0xffffffff;
    for my $byte (unpack("C*", $head)) {
        $crc ^= $byte;
        $crc = $crc & 1 ? ($crc >> 1) ^ 0xedb88320 : $crc >> 1 for 1 .. 8;
    }
    seek($file, 0, 0); print $file $head, pack("V", $crc ^ 0xffffffff);
' "$newest"
since=$(date +%s)
systemctl start fusiond.service && fail "it started on state of a newer version"
journalctl --no-pager -u fusiond.service --since "@$since" | grep 'newer than' || fail "the journal does not say why"
gave_up
# Another version that cannot read it is installed all the same.
dpkg -i /vm/deb1/fusiond_*.deb
is "$(dpkg-query --show --showformat='${db:Status-Status}' fusiond)" installed "the package"
gave_up
# Now it can be read.
cp "$kept" "$newest"
rm "$kept"
dpkg -i /vm/deb2/fusiond_*.deb
is "$(systemctl is-active fusiond.service || true)" active "the service after the upgrade"
lives "$long"
as ada fusionctl agent terminate through-downgrade
