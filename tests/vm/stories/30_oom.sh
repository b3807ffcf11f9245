# needs: controllers
# An agent over its limit is killed alone, and its death certificate says of what.
member ada
quiet=$(long_task ada quiet)
as ada fusionctl agent spawn greedy --profile shell --memory 64M
code=0
as ada fusionctl task submit --agent greedy --key greedy --wait 'exec tail /dev/zero' || code=$?
is "$code" 1 "the exit code"
is "$(as ada fusionctl -o json task show key:greedy | jq -r '.attempts[-1].failure.code')" oom_killed "the failure"
fusionctl -o jsonl event list | jq -s -e 'any(.[]; .type == "attempt.exited" and .data.oomKilled)' >/dev/null ||
    fail "no death certificate says it"
as ada fusionctl task submit --agent greedy --key thrifty --wait 'echo still here'
lives "$quiet"
is "$(systemctl is-active fusiond.service)" active "the service"
as ada fusionctl agent terminate quiet
as ada fusionctl agent terminate greedy
