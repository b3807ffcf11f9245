# needs: controllers
# The kernel holds what one agent uses and moves to and from the disk, and what all agents of a user use together.
member ada
as ada fusionctl agent spawn slow --profile shell --io-read 20M --io-write 1M --cpu 0.5 --pids 50 --memory 64M
as ada fusionctl task submit --agent slow --key group --wait 'sed s/^0::// /proc/self/cgroup'
group=/sys/fs/cgroup$(as ada fusionctl task result key:group)
grep -q 'rbps=20971520 wbps=1048576' "$group/io.max" || fail "io.max is '$(cat "$group/io.max")'"
is "${group##*/}" agent "the cgroup of its programs"
is "$(cat "$group/cpu.max")" "50000 100000" "its processors"
is "$(cat "$group/pids.max")" 50 "its processes"
is "$(cat "$group/memory.max")" 67108864 "its memory"
as ada fusionctl task submit --agent slow --key written --wait 'dd if=/dev/zero of=x bs=64k count=48 oflag=direct 2>&1'
begun=$(as ada fusionctl -o json task show key:written | jq -r '.attempts[0] | (.startTime, .endTime) | sub("\\.[0-9]+";"") | fromdate' | xargs)
[ $((${begun#* } - ${begun% *})) -ge 2 ] || fail "3 MiB at 1 MiB/s took less than 2 s: $begun"
as ada fusionctl agent update slow --io-read none --io-write none --cpu none --pids none --memory none
eventually 20 bash -c "! grep -q bps=[0-9] '$group/io.max'"
eventually 20 grep -qx max "$group/memory.max"
if grep reads <<<"$(as ada fusionctl agent show slow)"; then fail "the limit is still told"; fi

slice=fusion-u$(id -u ada).slice
mkdir -p /etc/fusiond/fusiond.toml.d
printf '[users.ada.limits]\nmemory = "200MiB"\ncpu = 1.5\npids = 400\n' >/etc/fusiond/fusiond.toml.d/together.toml
systemctl reload fusiond.service
held() { [ "$(systemctl show -P MemoryMax "$slice")" = "$1" ]; }
eventually 20 held 209715200
is "$(cat "/sys/fs/cgroup/fusion.slice/$slice/cpu.max")" "150000 100000" "the processors"
is "$(systemctl show -P TasksMax "$slice")" 400 "the processes"
quiet=$(long_task ada calm)
code=0
as ada fusionctl task submit --agent slow --key together --wait 'exec tail /dev/zero' || code=$?
is "$code" 1 "the exit code"
is "$(as ada fusionctl -o json task show key:together | jq -r '.attempts[-1].failure.code')" oom_killed "the failure"
lives "$quiet"
rm /etc/fusiond/fusiond.toml.d/together.toml
systemctl reload fusiond.service
eventually 20 held infinity
as ada fusionctl agent terminate calm
as ada fusionctl agent terminate slow
