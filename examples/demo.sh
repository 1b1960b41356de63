#!/usr/bin/env bash
# A whole search on real images with nothing from elsewhere: scikit-learn's handwritten digits, MnasNet's space on a
# small skeleton, latency on ONNX Runtime on this machine.
set -euo pipefail
paretonas=${1:-paretonas}
unset PARETONAS_STORE
export PARETONAS_HOME=demo-runs
rm -rf demo-runs

"$paretonas" search demo --data digits --width 0.25 --trials 12 \
  --strategy surrogate:initial=6 --recipe search:epochs=5,batch_size=32,lr=0.8
"$paretonas" train demo --final --top 1 --recipe small-image:epochs=12,batch_size=32
"$paretonas" front demo --plot demo-runs/front.png
"$paretonas" report demo --output demo-runs/report.html
