# What a scope costs: the same spawns with scopes of systemd and with plain cgroups, and what the client takes alone.
member ada
setting=/etc/fusiond/fusiond.toml.d/backend.toml
mkdir -p "${setting%/*}"

# timed COMMAND…: microseconds of one run.
timed() {
    local begun
    begun=$(date +%s%N)
    "$@" >/dev/null
    echo $((($(date +%s%N) - begun) / 1000))
}
# The middle of all lines and that below which 99 of 100 are, by the nearest rank, in milliseconds.
told() { sort -n | awk '{ all[NR] = $1 } END { printf "p50 %.1f ms, p99 %.1f ms", all[int((NR + 1) / 2)] / 1000, all[int((99 * NR + 99) / 100)] / 1000 }'; }
# Seven times as many agents as one user may have, so that a few are not in the 99.
spawns() {
    local round n
    for round in 1 2 3 4 5 6 7; do
        for n in $(seq 15); do timed fusionctl -q agent spawn "cost-$n" --user ada --profile shell; done
        for n in $(seq 15); do fusionctl -q agent terminate "cost-$n"; done >/dev/null
    done
}
# What is measured is what it is called: a word is in_scope or plain.
held() {
    local found=plain
    as ada fusionctl -q agent spawn "held-$1" --profile shell >/dev/null
    as ada fusionctl -q task submit --agent "held-$1" --key "held-$1" --wait 'cat /proc/self/cgroup' >/dev/null
    if as ada fusionctl task result "key:held-$1" | grep -q 'fusion-agent-.*\.scope'; then found=in_scope; fi
    as ada fusionctl -q agent terminate "held-$1" >/dev/null
    is "$found" "$1" "how agents are held"
}
alone=$(for n in $(seq 105); do timed fusionctl -q agent list; done | told)
held in_scope
scopes=$(spawns | told)
printf '[runtime]\nbackend = "cgroup-v2"\n' >"$setting"
systemctl restart fusiond.service
held plain
plain=$(spawns | told)
rm "$setting"
systemctl restart fusiond.service
echo "figure: agent spawn in a scope: $scopes; in a plain cgroup: $plain; agent list: $alone"
