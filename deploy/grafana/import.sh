#!/usr/bin/env bash
# Puts kbwatch's boards and alert rules into a Grafana, asks it whether it has them, and runs one
# query through it. For who has a Grafana: none was at hand where these boards were made.
#
#   GRAFANA_URL=https://grafana.example GRAFANA_TOKEN=glsa_… deploy/grafana/import.sh [--set …]
#
# What follows goes to `kbwatch dashboards push`: --set store.host=… makes the data source too.
set -euo pipefail

: "${GRAFANA_URL:?the root of Grafana, such as https://grafana.example}"
: "${GRAFANA_TOKEN:?the token of a service account with the role Admin}"
export GRAFANA_TOKEN
url=${GRAFANA_URL%/}

# From standard input, so that the token is in no list of processes.
ask() {
  curl --silent --show-error --fail-with-body --config - "$@" <<<"header = \"Authorization: Bearer $GRAFANA_TOKEN\""
}

echo "Grafana: $(ask "$url/api/health")"
kbwatch dashboards push --set "grafana.url=$url" --set grafana.token_env=GRAFANA_TOKEN "$@"

echo "kbwatch dashboards diff:"
kbwatch dashboards diff --set "grafana.url=$url" --set grafana.token_env=GRAFANA_TOKEN || true

for uid in fleet case node cluster halts pipeline readiness; do
  ask "$url/api/dashboards/uid/kbwatch-$uid" >/dev/null && echo "has board kbwatch-$uid"
done

echo "one query through Grafana:"
ask "$url/api/ds/query" --header 'Content-Type: application/json' --data '{
  "from": "now-1h", "to": "now",
  "queries": [{
    "refId": "A", "datasource": {"uid": "kbwatch-clickhouse"}, "editorType": "sql",
    "queryType": "table", "format": 1, "rawSql": "SELECT count() AS heartbeats FROM heartbeats"
  }]
}'
echo
