# The journal finds what an agent, a task, a run and a user had to do with, and tells an agent's life by itself.
member ada
as ada fusionctl agent spawn told --profile shell --restart always
as ada fusionctl task submit --agent told --key told --wait 'echo a-word-of-the-prompt'
printf 'name: told\nnodes:\n  - id: only\n    agent: told\n    prompt: "true"\n' >/home/ada/told.yaml
run=$(as ada fusionctl -q workflow run told.yaml --wait)
id=$(as ada fusionctl -o json agent show told | jq -r .id)
task=$(as ada fusionctl -o json task show key:told | jq -r .id)

# The kill of its shim is a crash, after which it is there again.
kill -KILL "$(shims "/fusion-agent-$id-1.scope/shim")"
again() { [ "$(as ada fusionctl -o json agent show told | jq -r '"\(.incarnation) \(.state)"')" = "2 idle" ]; }
eventually 30 again
as ada fusionctl agent terminate told
ended() { as ada fusionctl -o json agent show "$id" | jq -e '.state == "terminated"' >/dev/null; }
eventually 30 ended
journalctl --sync

# entries MATCH…: what the daemon said of it, as lines "PRIORITY MESSAGE".
entries() { journalctl --no-pager -o json "$@" | jq -r '"\(.PRIORITY) \(.MESSAGE)"'; }
# tells FOUND LINE…: each is the beginning of an entry.
tells() {
    local found=$1 line
    shift
    for line in "$@"; do
        grep -q "^$line" <<<"$found" || fail "the journal does not tell '$line' but: $found"
    done
}
life=$(entries FUSION_AGENT="$id")
tells "$life" '6 agent.spawned told: profile shell' '6 agent.ready told: incarnation 1' \
    '6 attempt.exited told: attempt 1 ended with exit code 0' '[0-4] agent.crashed told: ' \
    '6 agent.ready told: incarnation 2' '6 agent.terminated told'
tells "$(entries FUSION_TASK="$task")" '6 attempt.exited told'
tells "$(entries FUSION_RUN="$run")" '6 run.started: told' '6 attempt.exited told' '6 run.succeeded'
tells "$(entries FUSION_USER="$(id -u ada)" FUSION_AGENT="$id")" '6 agent.spawned told'
grep -q 'agent.spawned told' <<<"$(entries FUSION_USER="$(id -u ada)")" || fail "nothing is told of the user"
is "$(entries FUSION_USER=0 FUSION_AGENT="$id" | wc -l)" 0 "what is told as of another user"

# The time is the journal's, and words of users are in no line.
all=$(entries _SYSTEMD_UNIT=fusiond.service)
if grep -E '^[0-9] ([0-9]{4}-[0-9]{2}|[A-Z][a-z]{2} +[0-9]+ |\[)' <<<"$all"; then fail "entries begin with a time"; fi
if grep -F a-word-of-the-prompt <<<"$all"; then fail "a prompt is in the journal"; fi
rm /home/ada/told.yaml
