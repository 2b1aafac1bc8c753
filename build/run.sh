#!/bin/sh
# Starts Carekey with demo data, and the demo relying parties beside it. Both
# stop together.
set -eu

bin/carekey-demo-rp &
demo=$!
trap 'kill "$demo" 2>/dev/null || true' EXIT INT TERM
bin/carekey dev "$@"
