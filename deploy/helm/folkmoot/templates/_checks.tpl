{{/* What a schema can't say of values that depend on one another. */}}
{{- define "folkmoot.check" -}}
{{- range $value := list "commonLabels" "podLabels" }}
{{- range $label, $_ := get $.Values $value }}
{{- if regexMatch "^(app\\.kubernetes\\.io|helm\\.sh)/" $label }}
{{- fail (printf "%s: the label %s is the chart's own; choose another" $value $label) }}
{{- end }}
{{- end }}
{{- end }}
{{- if eq (int .Values.p2p.port) (int .Values.api.port) }}
{{- fail (printf "api.port: %d is the port between peers as well (p2p.port); choose another" (int .Values.api.port)) }}
{{- end }}
{{- include "folkmoot.checkLedger" . }}
{{- if ne .Values.outside.type "None" }}
{{- include "folkmoot.checkOutside" . }}
{{- end }}
{{- end }}

{{- define "folkmoot.checkOutside" -}}
{{- $peers := include "folkmoot.outsidePeers" . | int }}
{{- $hosts := len .Values.outside.hosts }}
{{- if .Values.hostNetwork }}
{{- fail "outside.type: with hostNetwork the peers are at their nodes' addresses and need no Services for the outside; leave it at None" }}
{{- end }}
{{- if and (eq .Values.outside.type "LoadBalancer") (eq $hosts 0) }}
{{- fail "outside.hosts: with outside.type LoadBalancer give the address or name of each peer's load balancer, in order; peers can't learn it" }}
{{- end }}
{{- if and $hosts (lt $hosts $peers) }}
{{- fail (printf "outside.hosts: got %d for %d peers; give the address or name of each, in order" $hosts $peers) }}
{{- end }}
{{- $last := add .Values.outside.nodePortBase $peers -1 }}
{{- if and (eq .Values.outside.type "NodePort") (gt $last 65535) }}
{{- fail (printf "outside.nodePortBase: from %d on, %d peers reach port %d; begin lower" (int .Values.outside.nodePortBase) $peers $last) }}
{{- end }}
{{- end }}

{{- define "folkmoot.checkLedger" -}}
{{- $ledger := include "folkmoot.hasLedger" . }}
{{- if and (not $ledger) (eq (int .Values.replicas) 0) }}
{{- fail "replicas: there are to be no peers and no validators; want at least one of either" }}
{{- end }}
{{- $peers := lookup "apps/v1" "StatefulSet" .Release.Namespace (include "folkmoot.fullname" .) }}
{{- $containers := dig "spec" "template" "spec" "containers" list ($peers | default dict) }}
{{- if and $ledger $containers (has "--open" (first $containers).args) }}
{{- fail "validators: this release's network is open, and can't be given a ledger; install another release and move the records with moot export and moot import" }}
{{- end }}
{{- $joins := include "folkmoot.joins" . }}
{{- if and $joins $ledger }}
{{- fail "join.existingSecret: peers that join another network have no validators of their own here; set validators to 0" }}
{{- end }}
{{- if and $joins .Values.network }}
{{- fail "join.existingSecret: the invite says which network it is to; leave network empty" }}
{{- end }}
{{- if and $joins $containers (has "--open" (first $containers).args) }}
{{- fail "join.existingSecret: this release's peers are of an open network, and can't join another; install another release and move the records with moot export and moot import" }}
{{- end }}
{{- $inits := dig "spec" "template" "spec" "initContainers" list ($peers | default dict) }}
{{- if and (not $joins) $inits (eq (first $inits).name "join") }}
{{- fail "join.existingSecret: this release's peers have joined a network, and stay in it; keep the value" }}
{{- end }}
{{- if and (not $ledger) (lookup "apps/v1" "StatefulSet" .Release.Namespace (include "folkmoot.validatorsName" .)) }}
{{- fail "validators: this release's network has a ledger, which stands still without validators; want at least one, or uninstall the release" }}
{{- end }}
{{- end }}
