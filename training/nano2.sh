#!/bin/sh
# Makes flowseg-nano 2 from the present weights: scenes, vocabulary, rows, seven phases of training, thresholds, figures.
#
#   HOURS=5 ./nano2.sh FOLDER          everything; run it again to go on where it stopped
#   SCALE=0.5 ./nano2.sh FOLDER        half of the steps that are wanted, however long they take: beside other work
#   KEPT=kept ./nano2.sh FOLDER        goes on with what keep.py kept of a run on another machine
#   STEPS=3 COUNT=8 ./nano2.sh FOLDER  a few steps of each part, to see that they run
#
# Each part leaves a mark in FOLDER/done and is skipped where it has one. A training phase that is interrupted goes on from
# its last state, at most 150 seconds old. `touch FOLDER/run/STOP` ends a phase early (remove it before the next).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1/done"
out=$(cd "$1" && pwd)
python=${PYTHON:-python3}
flowseg=${FLOWSEG:-node $here/../dist/cli/main.js}
hours=${HOURS:-5}
steps=${STEPS:-0}
count=${COUNT:-10000}
tests=${TESTS:-$([ "$steps" -gt 0 ] && echo 4 || echo 100)}
begin=${BEGIN:-$here/../weights/flowseg-nano}
weights=$out/weights
minutes() { awk "BEGIN { print $hours * 60 * $1 }"; }

part() { # part NAME COMMAND...
  name=$1
  shift
  [ -e "$out/done/$name" ] && return
  echo "== $name ($(date +%H:%M))"
  "$@"
  touch "$out/done/$name"
}

both() { # both COMMAND... : with each of the two halves of the data, at the same time; fails if one does
  "$@" 0 &
  first=$!
  "$@" 1
  wait $first
}

# 0. A run of another machine, if there is one (keep.py)
[ -z "${KEPT:-}" ] || part kept "$python" "$here/keep.py" --to "$out" --in "$KEPT"

# 1. Scenes, written once: 290 MB a thousand, pixels and asks; as many again for the last phase
half() { # half FOLDER START 0-OR-1
  $flowseg scenes "$out/$1-$3" --split train2 --count $((count / 2)) --start $(($2 + $3 * (count / 2))) --raw --every
}
part train2 both half train2 0
part train3 both half train3 "$count"
for split in val2 test2 style2; do
  part $split $flowseg scenes "$out/$split" --split $split --count "$tests" --raw
done
# The 1,007 sentences of all published figures are about the first 89 scenes of the old split
part test $flowseg scenes "$out/test" --split test --count "$([ "$steps" -gt 0 ] && echo 4 || echo 89)" --raw

# 2. Vocabulary and weights to begin with
vocabulary() {
  "$python" "$here/configure.py" --old "$begin" --out "$weights" ${SHARP:+--sharp}
  "$python" "$here/corpus.py" --data "$out/train2-0" "$out/train2-1" --out "$out/corpus.txt"
  "$python" "$here/tokenizer.py" --grow "$begin" --corpus "$out/corpus.txt" --out "$weights" --vocab 1280
}
part vocabulary vocabulary

# 3. Training: all of it together, so that the encoders see the new pictures; the image's rows are written once and the
#    language model learns alone; all of it again; what the decoder reads is written once and it learns alone, then the
#    language model; both together; and all of it a last time, on scenes of its own. Shares of the hours are below
rows() {
  "$python" "$here/rows.py" --data "$out/train2-$1" --weights "$weights" ${MAPS:+--maps}
}
train() { # train NAME SHARE WANTED OPTIONS... : a share of the hours, or SCALE of the wanted steps
  name=$1 share=$2 wanted=$3
  shift 3
  state=$out/run/last.pt
  length=$(awk "BEGIN { print int($wanted * ${SCALE:-0}) }")
  [ -e "$out/done/$name.begun" ] || { rm -f "$out/run/STOP"; START="--start 0.001"; touch "$out/done/$name.begun"; }
  data=$out/${DATA:-train2}
  "$here/run.sh" --data "$data-0" "$data-1" --weights "$weights" --run "$out/run" --asks --history 30 \
    --minutes "$(minutes "$share")" --length "$length" \
    --steps "$([ "$steps" -gt 0 ] && echo $(($(reached) + steps)) || echo 0)" \
    $([ -e "$state" ] || echo --begin "$weights/model.safetensors") ${START:-} "$@"
  START=
}
reached() { tail -n 1 "$out/run/log.jsonl" 2>/dev/null | sed -n 's/.*"step": \([0-9]*\).*/\1/p' | grep . || echo 0; }
export_weights() { "$python" "$here/export.py" --run "$out/run/last.pt" --weights "$weights"; }

estimate() {
  "$python" "$here/estimate.py" --log "$out/run/log.jsonl" --hours "$hours" --scenes "$count"
}

part tune1 train tune1 0.12 1500 --phase tune --sentences 20 --masked 12 --rate 6e-4 --encoders 0.3 --settle 80 --reach 2
part export1 export_weights
[ -e "$out/done/read1" ] || part rows1 both rows # for read1 alone
part read1 train read1 0.20 5000 --phase read --frozen --sentences 32 --rate 1.2e-3 --settle 60
estimate
part tune2 train tune2 0.24 4000 --phase tune --sentences 20 --masked 12 --rate 5e-4 --encoders 0.2
part export2 export_weights
#    The decoder follows what the language model means; four times as many steps an hour without all before it
[ -e "$out/done/join" ] || MAPS=1 part rows2 both rows
part decode train decode 0.08 3000 --phase decode --frozen --sentences 18 --masked 18 --rate 1e-3
part read2 train read2 0.14 3000 --phase read --frozen --sentences 32 --rate 1e-3
part join train join 0.10 3000 --phase tune --frozen --sentences 20 --masked 14 --rate 6e-4
DATA=train3 part tune3 train tune3 0.12 2000 --phase tune --sentences 20 --masked 12 --rate 4e-4 --encoders 0.2
part export3 export_weights

# 4. Thresholds from validation, then the figures of each test split, and what the checkpoint tells of itself
evaluate() { # evaluate SPLIT
  "$python" "$here/evaluate_asks.py" --data "$out/$1" --weights "$weights" --out "$out/$1.json" >"$out/$1.log"
}
part evaluate-val2 evaluate val2
part calibrate "$python" "$here/calibrate.py" --rows "$out/val2.rows.jsonl" --weights "$weights"
unseen() {
  evaluate "$([ "$1" = 0 ] && echo test2 || echo style2)"
}
part evaluate-unseen both unseen
part evaluate-test "$python" "$here/evaluate.py" --data "$out/test" --weights "$weights" --out "$out/test.json"
part knows "$python" "$here/knows.py" --data "$out/train2-0" "$out/train2-1" --weights "$weights"
part world "$python" "$here/world.py" --data "$out/train2-0" --val "$out/val2" --test "$out/test2" "$out/style2" --weights "$weights"
part manifest $flowseg manifest "$weights"
echo "done: $weights, figures in $out/*.json"
