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
# The middle and the largest of all lines, in milliseconds.
told() { sort -n | awk '{ all[NR] = $1 } END { printf "p50 %.1f ms, p99 %.1f ms", all[int((NR + 1) / 2)] / 1000, all[NR] / 1000 }'; }
# Three times as many agents as one user may have.
spawns() {
    local round n
    for round in 1 2 3; do
        for n in $(seq 15); do timed fusionctl -q agent spawn "cost-$n" --user ada --profile shell; done
        for n in $(seq 15); do fusionctl -q agent terminate "cost-$n"; done >/dev/null
    done
}
alone=$(for n in $(seq 45); do timed fusionctl -q agent list; done | told)
scopes=$(spawns | told)
printf '[runtime]\nbackend = "cgroup-v2"\n' >"$setting"
systemctl restart fusiond.service
plain=$(spawns | told)
rm "$setting"
systemctl restart fusiond.service
echo "figure: agent spawn in a scope: $scopes; in a plain cgroup: $plain; agent list: $alone"
