#!/bin/bash
# Compares the counts that the instrumented sample prints with the golden file, line by line.
# Arguments: the instrumented program, sample_counts.tsv.
set -euo pipefail
counted=$("$1" 2>&1 >/dev/null | sed -E 's/\(.*\)[^\t]*\t/\t/')
failures=0
while IFS=$'\t' read -r function calls; do
  [[ $function == function ]] && continue
  actual=$(awk -F'\t' -v name="$function" '$1 == name { print $2 }' <<<"$counted")
  if [[ $actual != "$calls" ]]; then
    echo "$function: the golden file says $calls calls, the program made '${actual}'"
    failures=1
  fi
done <"$2"
exit "$failures"
