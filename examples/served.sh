#!/bin/sh
# Serve a model, ask it for a prediction, stop cleanly: sh examples/served.sh MODEL [FAIRLEAD]
set -eu
model=$1
fairlead=${2:-fairlead}

said=$(mktemp)
"$fairlead" serve "$model" --port 0 --log-form lines > "$said" &
server=$!
trap 'kill "$server" 2> /dev/null || true; rm -f "$said"' EXIT

# The server prints a curl line for each model once all of its processes answer for it.
until grep -q '^curl ' "$said"; do
    kill -0 "$server" 2> /dev/null || { echo "the server ended before it served $model" >&2; exit 1; }
    sleep 0.1
done
cat "$said"
if command -v curl > /dev/null; then
    eval "$(grep -m 1 '^curl ' "$said")"
    echo
else
    echo "curl is not installed here: not asked" >&2
fi
"$fairlead" test-endpoint "$model"

kill -TERM "$server"
wait "$server"
