{{/* The release's own names. A StatefulSet's name is at most 52 bytes long: with a revision's hash it becomes a label. Longer ones, and those with dots, end in a hash instead, so that they stay different. */}}
{{- define "folkmoot.shorten" -}}
{{- $name := index . 0 -}}
{{- $limit := index . 1 | int -}}
{{- if gt (len $name) $limit -}}
{{- printf "%s-%s" (trunc (sub $limit 9 | int) $name | trimSuffix "-" | trimSuffix ".") (sha256sum $name | trunc 8) -}}
{{- else -}}
{{- $name -}}
{{- end -}}
{{- end }}

{{- define "folkmoot.name" -}}
{{- include "folkmoot.shorten" (list (default .Chart.Name .Values.nameOverride) 52) -}}
{{- end }}

{{- define "folkmoot.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $full := .Values.fullnameOverride -}}
{{- if not $full -}}
{{- $full = contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) -}}
{{- end -}}
{{- if contains "." $full -}}
{{- $full = printf "%s-%s" (replace "." "-" $full) (sha256sum $full | trunc 8) -}}
{{- end -}}
{{- include "folkmoot.shorten" (list $full 52) -}}
{{- end }}

{{/* The headless Service, under whose name all peers are found. */}}
{{- define "folkmoot.peersName" -}}
{{- include "folkmoot.fullname" . }}-peers
{{- end }}

{{- define "folkmoot.peersHost" -}}
{{- include "folkmoot.peersName" . }}.{{ .Release.Namespace }}.svc
{{- end }}

{{- define "folkmoot.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "folkmoot.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end }}

{{/* Whether the network has a ledger: then it is not open, and its genesis is in a ConfigMap that the first validator makes. */}}
{{- define "folkmoot.hasLedger" -}}
{{- if gt (int .Values.validators) 0 }}true{{ end -}}
{{- end }}

{{/* Whether the pods of a network with a ledger become members by a Secret, if it is for members only. */}}
{{- define "folkmoot.membersOnly" -}}
{{- /* Values of releases from before are reused without these. */ -}}
{{- if and (include "folkmoot.hasLedger" .) (dig "only" false (.Values.members | default dict)) }}true{{ end -}}
{{- end }}

{{- define "folkmoot.membersSecret" -}}
{{- default (printf "%s-members" (include "folkmoot.fullname" .)) .Values.members.existingSecret -}}
{{- end }}

{{/* Whether the peers join another network by an invite. */}}
{{- define "folkmoot.joins" -}}
{{- if dig "existingSecret" "" (.Values.join | default dict) }}true{{ end -}}
{{- end }}

{{- define "folkmoot.validatorsName" -}}
{{- include "folkmoot.shorten" (list (printf "%s-validator" (include "folkmoot.fullname" .)) 52) -}}
{{- end }}

{{- define "folkmoot.genesisName" -}}
{{- include "folkmoot.fullname" . }}-genesis
{{- end }}

{{- define "folkmoot.validatorsSecret" -}}
{{- default (include "folkmoot.validatorsName" .) .Values.validator.existingSecret -}}
{{- end }}

{{/* The validators' service account may make the ConfigMap, which the others' may only read. */}}
{{- define "folkmoot.validatorsServiceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- include "folkmoot.shorten" (list (printf "%s-validator" (include "folkmoot.serviceAccountName" .)) 63) -}}
{{- else -}}
{{- include "folkmoot.serviceAccountName" . -}}
{{- end -}}
{{- end }}

{{- define "folkmoot.tokenSecret" -}}
{{- default (printf "%s-api" (include "folkmoot.fullname" .)) .Values.api.existingSecret -}}
{{- end }}

{{/* No release name has an upper-case letter and no namespace a dot: the names of two releases differ. */}}
{{- define "folkmoot.network" -}}
{{- default (include "folkmoot.shorten" (list (printf "%s.%s" .Release.Name .Release.Namespace) 63)) .Values.network -}}
{{- end }}

{{- define "folkmoot.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end }}

{{/* Labels of the release's peers, by which Services, budgets and policies know them. What is no peer has another name. */}}
{{- define "folkmoot.selectorLabels" -}}
app.kubernetes.io/name: {{ include "folkmoot.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Labels of the release's peers of one kind: (list CONTEXT COMPONENT). */}}
{{- define "folkmoot.componentLabels" -}}
{{ include "folkmoot.selectorLabels" (index . 0) }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* Labels of an object: (list CONTEXT COMPONENT), with further labels behind. */}}
{{- define "folkmoot.labels" -}}
{{- $root := index . 0 -}}
{{- $labels := include "folkmoot.selectorLabels" $root | fromYaml -}}
{{- $_ := set $labels "app.kubernetes.io/component" (index . 1) -}}
{{- $_ := set $labels "app.kubernetes.io/managed-by" $root.Release.Service -}}
{{- $_ := set $labels "app.kubernetes.io/version" (default $root.Chart.AppVersion $root.Values.image.tag | include "folkmoot.labelValue") -}}
{{- $_ := set $labels "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | include "folkmoot.labelValue") -}}
{{- toYaml (merge $labels (gt (len .) 2 | ternary (last .) dict) $root.Values.commonLabels) -}}
{{- end }}

{{- define "folkmoot.labelValue" -}}
{{- regexReplaceAll "[^A-Za-z0-9_.-]" . "_" | trunc 63 | trimAll "-_." -}}
{{- end }}

{{/* How a peer outside the cluster is run. */}}
{{- define "folkmoot.joinCommand" -}}
moot run{{ if not (or (include "folkmoot.hasLedger" .) (include "folkmoot.joins" .)) }} --network {{ include "folkmoot.network" . }} --open{{ end }}
{{- end }}
