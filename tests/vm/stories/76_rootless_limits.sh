# needs: controllers
# What the manager of a user who lingers may hold, it holds for the agents of the user's own daemon: memory, processes,
# processors. One over its limit is killed alone, and its death certificate says of what.
quiet=$(rootless_task rob rootless-quiet)
as rob fusionctl agent spawn greedy --profile shell --memory 64M --pids 50
as rob fusionctl task submit --agent greedy --key group --wait 'sed s/^0::// /proc/self/cgroup'
group=/sys/fs/cgroup$(as rob fusionctl task result key:group)
is "$(cat "$group/memory.max")" 67108864 "its memory"
is "$(cat "$group/pids.max")" 50 "its processes"
code=0
as rob fusionctl task submit --agent greedy --key greedy --wait 'exec tail /dev/zero' || code=$?
is "$code" 1 "the exit code"
is "$(as rob fusionctl -o json task show key:greedy | jq -r '.attempts[-1].failure.code')" oom_killed "the failure"
as rob fusionctl -o jsonl event list | jq -s -e 'any(.[]; .type == "attempt.exited" and .data.oomKilled)' >/dev/null ||
    fail "no death certificate says it"
as rob fusionctl task submit --agent greedy --key thrifty --wait 'echo still here'
lives "$quiet"
is "$(as rob systemctl --user is-active fusiond.service)" active "the user's service"
as rob systemctl --user stop fusion.slice
no_linger rob
