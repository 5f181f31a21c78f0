{{/* What tells a Prometheus that finds pods by itself where their metrics are. */}}
{{- define "folkmoot.scrapeAnnotations" -}}
prometheus.io/scrape: "true"
prometheus.io/port: {{ int .Values.api.port | quote }}
prometheus.io/path: /metrics
prometheus.io/scheme: {{ empty .Values.api.tls.existingSecret | ternary "http" "https" }}
{{- end -}}

{{/*
The pod of a peer, for the StatefulSets and for the Deployment of extra peers. Called with a dict:
root       the chart's context
component  "peer" or "validator", whose home is a volume that lasts, or "extra", whose home goes with the pod
size       of the home
drain      how many seconds it may take to hand over what it holds
resources  of the container
*/}}
{{- define "folkmoot.podTemplate" -}}
{{- $root := .root -}}
{{- $extra := eq .component "extra" -}}
{{- $validator := eq .component "validator" -}}
{{- $ledger := include "folkmoot.hasLedger" .root -}}
{{- $members := include "folkmoot.membersOnly" .root -}}
{{- $joins := include "folkmoot.joins" .root -}}
{{- $outside := and (eq .component "peer") (ne .root.Values.outside.type "None") -}}
{{- with $root.Values -}}
metadata:
  labels:
    {{- /* Not the chart's version: a new one alone restarts nobody. */}}
    {{- $labels := include "folkmoot.labels" (list $root $.component .podLabels) | fromYaml }}
    {{- toYaml (omit $labels "helm.sh/chart") | nindent 4 }}
  annotations:
    kubectl.kubernetes.io/default-container: moot
    {{- if $outside }}
    folkmoot/outside: {{ include "folkmoot.outsideDigest" $root }}
    {{- end }}
    {{- with merge (dict) (default (dict) .podAnnotations) (.scrapeAnnotations | ternary (include "folkmoot.scrapeAnnotations" $root | fromYaml) (dict)) }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ $validator | ternary (include "folkmoot.validatorsServiceAccountName" $root) (include "folkmoot.serviceAccountName" $root) }}
  {{- /* What is asked of the API server: whether this pod of a StatefulSet is scaled away, and for the genesis of a network with a ledger. */}}
  automountServiceAccountToken: {{ or (not (empty $ledger)) (and (not $extra) .rbac.create) }}
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ add $.drain 30 }}
  {{- if .hostNetwork }}
  hostNetwork: true
  dnsPolicy: ClusterFirstWithHostNet
  {{- end }}
  {{- if .api.tls.existingSecret }}
  hostAliases:
    - ip: 127.0.0.1
      hostnames: [{{ include "folkmoot.selfHost" $root }}]
  {{- end }}
  {{- with .imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .podSecurityContext }}
  securityContext:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if .affinity }}
  affinity:
    {{- toYaml .affinity | nindent 4 }}
  {{- else if $validator }}
  affinity:
    podAntiAffinity:
      preferredDuringSchedulingIgnoredDuringExecution:
        - weight: 100
          podAffinityTerm:
            topologyKey: kubernetes.io/hostname
            labelSelector:
              matchLabels:
                {{- include "folkmoot.componentLabels" (list $root "validator") | nindent 16 }}
  {{- end }}
  {{- with .topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- range . }}
    {{- /* Validators are spread among themselves, since it is they of whom more than two thirds must be there. */}}
    {{- $labels := $validator | ternary (include "folkmoot.componentLabels" (list $root "validator")) (include "folkmoot.selectorLabels" $root) | fromYaml }}
    {{- $own := dict "labelSelector" (dict "matchLabels" $labels) }}
    - {{ toYaml (hasKey . "labelSelector" | ternary . (merge (deepCopy .) $own)) | nindent 6 | trim }}
    {{- end }}
  {{- end }}
  {{- if or $ledger $joins }}
  initContainers:
    - name: {{ if $joins }}join{{ else }}genesis{{ end }}
      image: {{ include "folkmoot.image" $root }}
      imagePullPolicy: {{ .image.pullPolicy }}
      args:
        {{- if $joins }}
        - join
        - --file=/etc/moot/join/line
        - --name=$(MOOT_POD_NAME)
        - --yes
        - --run=false
        {{- else }}
        - init
        - --network={{ include "folkmoot.network" $root }}
        - --genesis-configmap={{ include "folkmoot.genesisName" $root }}
        {{- if $members }}
        - --members-secret=/etc/moot/members/secret
        - --dns={{ include "folkmoot.peersName" $root }}:{{ int .p2p.port }}
        {{- end }}
        {{- if $validator }}
        - --validator
        {{- end }}
        {{- end }}
      env:
        - name: MOOT_POD_NAME
          valueFrom: { fieldRef: { fieldPath: metadata.name } }
        - name: MOOT_HOME
          value: /var/lib/moot
      resources:
        requests: { cpu: 10m, memory: 32Mi }
        limits: { memory: 128Mi }
      {{- with .securityContext }}
      securityContext:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      volumeMounts:
        - { name: data, mountPath: /var/lib/moot }
        {{- if $members }}
        - { name: members, mountPath: /etc/moot/members, readOnly: true }
        {{- end }}
        {{- if $joins }}
        - { name: join, mountPath: /etc/moot/join, readOnly: true }
        {{- end }}
  {{- end }}
  containers:
    - name: moot
      image: {{ include "folkmoot.image" $root }}
      imagePullPolicy: {{ .image.pullPolicy }}
      args:
        {{- include "folkmoot.args" $ | nindent 8 }}
      env:
        {{- include "folkmoot.env" $ | nindent 8 }}
      ports:
        - { name: moot, containerPort: {{ int .p2p.port }}, protocol: TCP }
        - { name: moot-quic, containerPort: {{ int .p2p.port }}, protocol: UDP }
        - { name: http, containerPort: {{ int .api.port }}, protocol: TCP }
      startupProbe:
        {{- include "folkmoot.probe" (list $root "/livez") | nindent 8 }}
        periodSeconds: 2
        timeoutSeconds: 2
        failureThreshold: {{ div .probes.startupSeconds 2 }}
      livenessProbe:
        {{- include "folkmoot.probe" (list $root "/livez") | nindent 8 }}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: {{ div .probes.livenessSeconds 10 }}
      readinessProbe:
        {{- include "folkmoot.probe" (list $root "/readyz/records") | nindent 8 }}
        periodSeconds: {{ int .probes.readinessPeriodSeconds }}
        timeoutSeconds: 3
        failureThreshold: 3
      lifecycle:
        preStop:
          exec:
            command: [/moot, leave{{ if not $extra }}, --if-scaled-away{{ end }}, --drain-timeout={{ int $.drain }}s]
      {{- with $.resources }}
      resources:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .securityContext }}
      securityContext:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      volumeMounts:
        - { name: data, mountPath: /var/lib/moot }
        {{- if $outside }}
        - { name: outside, mountPath: /var/lib/moot/config.yaml, subPathExpr: $(POD_INDEX).yaml, readOnly: true }
        {{- end }}
        {{- if $validator }}
        - { name: validators, mountPath: /etc/moot/validators, readOnly: true }
        {{- if $members }}
        - { name: members, mountPath: /etc/moot/members, readOnly: true }
        {{- end }}
        {{- end }}
        {{- /* Parts of a snapshot of the ledger's state, while one is fetched. */}}
        {{- if or $ledger $joins }}
        - { name: tmp, mountPath: /tmp }
        {{- end }}
        {{- if .api.tls.existingSecret }}
        - { name: tls, mountPath: /etc/moot/tls, readOnly: true }
        {{- end }}
  {{- if or $extra $ledger $joins $outside .api.tls.existingSecret }}
  volumes:
    {{- if $extra }}
    - name: data
      emptyDir:
        sizeLimit: {{ $.size }}
    {{- end }}
    {{- if $outside }}
    - name: outside
      configMap:
        name: {{ include "folkmoot.fullname" $root }}-outside
    {{- end }}
    {{- if or $ledger $joins }}
    - name: tmp
      emptyDir: {}
    {{- end }}
    {{- if $members }}
    - name: members
      secret:
        secretName: {{ include "folkmoot.membersSecret" $root }}
        defaultMode: 0440
        items:
          - { key: {{ .members.secretKey }}, path: secret }
    {{- end }}
    {{- if $joins }}
    - name: join
      secret:
        secretName: {{ .join.existingSecret }}
        defaultMode: 0440
        items:
          - { key: {{ .join.key }}, path: line }
    {{- end }}
    {{- if $validator }}
    - name: validators
      secret:
        secretName: {{ include "folkmoot.validatorsSecret" $root }}
        defaultMode: 0440
        items:
          - { key: {{ .validator.secretKey }}, path: secret }
    {{- end }}
    {{- if .api.tls.existingSecret }}
    - name: tls
      secret:
        secretName: {{ .api.tls.existingSecret }}
        defaultMode: 0440
    {{- end }}
  {{- end }}
{{- end -}}
{{- end }}

{{- define "folkmoot.args" -}}
{{- $root := .root -}}
{{- with $root.Values -}}
- run
{{- if not (or (include "folkmoot.hasLedger" $root) (include "folkmoot.joins" $root)) }}
- --network={{ include "folkmoot.network" $root }}
- --open
{{- end }}
- --rejoin
{{- if eq $.component "validator" }}
- --validators-secret=/etc/moot/validators/secret
- --seat-of-pod
{{- if include "folkmoot.membersOnly" $root }}
- --members-secret=/etc/moot/members/secret
{{- end }}
{{- end }}
{{- if ne (int .p2p.port) 4242 }}
{{- $port := int .p2p.port }}
{{- range $ip := list "/ip4/0.0.0.0" "/ip6/::" }}
- --listen={{ printf "%s/tcp/%d,%s/udp/%d/quic-v1" $ip $port $ip $port }}
{{- end }}
{{- end }}
- --dns={{ include "folkmoot.peersName" $root }}:{{ int .p2p.port }}
{{- range .discovery.dns }}
- --dns={{ . }}
{{- end }}
{{- range .discovery.bootstrap }}
- --bootstrap={{ . }}
{{- end }}
- --mdns={{ .discovery.mdns }}
{{- if not (has (toString .p2p.relay) (list "auto" "<nil>")) }}
- --relay={{ .p2p.relay }}
{{- end }}
{{- if .p2p.privateWAN }}
- --private-wan
{{- end }}
- {{ printf "--zone=%s" .zone | quote }}
- --copies={{ int .copies }}
- --quota={{ default (include "folkmoot.quota" $.size) .quota }}
- --api-listen=:{{ int .api.port }}
{{- if .api.tls.existingSecret }}
- --api-tls-cert=/etc/moot/tls/tls.crt
- --api-tls-key=/etc/moot/tls/tls.key
{{- else }}
- --api-insecure
{{- end }}
- --log-level={{ .log.level }}
- --log-format={{ .log.format }}
{{- range .extraArgs }}
- {{ . | quote }}
{{- end }}
{{- end -}}
{{- end }}

{{- define "folkmoot.env" -}}
{{- $root := .root -}}
- name: NODE_NAME
  valueFrom: { fieldRef: { fieldPath: spec.nodeName } }
- name: HOST_IP
  valueFrom: { fieldRef: { fieldPath: status.hostIP } }
- name: MOOT_POD_NAME
  valueFrom: { fieldRef: { fieldPath: metadata.name } }
{{- if eq .component "peer" }}
- name: POD_INDEX
  valueFrom: { fieldRef: { fieldPath: "metadata.labels['apps.kubernetes.io/pod-index']" } }
{{- end }}
- name: MOOT_HOME
  value: /var/lib/moot
{{ include "folkmoot.clientEnv" $root }}
{{- if $root.Values.api.tls.existingSecret }}
- name: MOOT_API
  value: {{ include "folkmoot.apiURL" (list $root (include "folkmoot.selfHost" $root)) }}
{{- end }}
{{- with $root.Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* What a caller of the API needs in its environment. */}}
{{- define "folkmoot.clientEnv" -}}
- name: MOOT_TOKEN
  valueFrom: { secretKeyRef: { name: {{ include "folkmoot.tokenSecret" . }}, key: {{ .Values.api.tokenKey }} } }
{{- if .Values.api.tls.existingSecret }}
- name: SSL_CERT_FILE
  value: /etc/moot/tls/{{ .Values.api.tls.caKey }}
{{- end }}
{{- end }}

{{/* (list CONTEXT HOST) */}}
{{- define "folkmoot.apiURL" -}}
{{- $root := index . 0 -}}
{{- empty $root.Values.api.tls.existingSecret | ternary "http" "https" }}://{{ index . 1 }}:{{ int $root.Values.api.port }}
{{- end }}

{{/* A name of the pod itself that the API's certificate is good for, since it is one of the headless Service. */}}
{{- define "folkmoot.selfHost" -}}
self.{{ include "folkmoot.peersHost" . }}
{{- end }}

{{- define "folkmoot.probe" -}}
httpGet:
  path: {{ index . 1 }}
  port: http
  {{- if (index . 0).Values.api.tls.existingSecret }}
  scheme: HTTPS
  {{- end }}
{{- end }}

{{/* Four fifths of a size in Mi, Gi or Ti. */}}
{{- define "folkmoot.quota" -}}
{{- $mebibytes := dict "Mi" 1 "Gi" 1024 "Ti" 1048576 -}}
{{- $number := regexFind "^[0-9]+" . | int64 -}}
{{- div (mul $number (get $mebibytes (regexFind "[MGT]i$" .)) 4) 5 }}MiB
{{- end }}
