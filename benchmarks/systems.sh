#!/usr/bin/env bash
# Each system's search on CIFAR-10, small: ten networks, killed with -9 in the middle, resumed, replayed, reported.
# usage: systems.sh PARETONAS_BIN CIFAR10 TEXTS HOME; what has its report in HOME already is left as it is
set -euo pipefail
bin=$1 cifar=$2 texts=$3 home=$4
images=(--data "$cifar" --train-images "${IMAGES:-2000}" --val-images 1000 --trials 10 --reward power --executor process:workers=1)
small=cells=3,filters=8
quick=epochs=${EPOCHS:-2},batch_size=64,layout=channels-last,precision=float32

ended() { # NAME
    "$bin/paretonas" --home "$home" list --json 2>/dev/null | "$bin/python" -c "
import json, sys
print(next((s['trials'].get('complete', 0) for s in json.load(sys.stdin) if s['name'] == '$1'), 0))" 2>/dev/null || echo 0
}

search() { # NAME BATCH WORDS...
    local name=$1 batch=$2 pid
    shift 2
    [ -e "$home/$name.html" ] && return # done before
    echo "== $name: $*"
    "$bin/paretonas" --home "$home" search "$name" "$@" >"$home/$name.log" 2>&1 &
    pid=$!
    while [ "$(ended "$name")" -lt 4 ] && kill -0 "$pid" 2>/dev/null; do sleep 1; done
    kill -9 "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
    echo "killed with $(ended "$name") complete"
    "$bin/paretonas" --home "$home" resume "$name" >>"$home/$name.log" 2>&1
    "$bin/paretonas" --home "$home" show "$name" --parquet "$home/$name.parquet" >/dev/null
    "$bin/python" "$(dirname "$0")/replay_proposals.py" "$home" "$name" "$batch"
    "$bin/paretonas" --home "$home" report "$name" --output "$home/$name.html" >/dev/null
    tail -n 12 "$home/$name.log"
}

mkdir -p "$home"
search mnasnet 4 "${images[@]}" --space mnasnet:width=0.25 --strategy ppo:batch=4 --recipe "search:$quick"
search nasnet 4 "${images[@]}" --space "nasnet:$small" --strategy ppo:batch=4 --recipe "cell-search:$quick"
search pnasnet 4 "${images[@]}" --space "pnasnet:$small,blocks=2" --strategy progressive:first=6,beam=4,surrogate=mlp \
    --recipe "cell-search:$quick"
search amoebanet 4 "${images[@]}" --space "amoebanet:$small" \
    --strategy regularized-evolution:population=5,tournament=2,identity=0.05 --recipe "cell-search:$quick"
search nas-rl-images 4 "${images[@]}" --space nas-rl-chain:layers=6,first=2,width=0.25 --strategy reinforce:grow=4,batch=2 \
    --reward power:exponent=3 --recipe "nas-rl:$quick"
search nas-rl-texts 4 --task language --data "$texts" --space nas-rl-recurrent:hidden=64,layers=1 \
    --strategy reinforce:batch=2 --reward inverse-square:alpha=0,beta=0 --trials 10 --executor process:workers=1 \
    --recipe "${TEXT_RECIPE:-language:epochs=0.02,layout=contiguous,precision=float32}"
