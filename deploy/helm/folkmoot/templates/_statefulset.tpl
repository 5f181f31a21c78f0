{{/*
A StatefulSet of peers. Called with a dict of root, component, name, replicas and resources.
*/}}
{{- define "folkmoot.statefulSet" -}}
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: {{ .name }}
  labels:
    {{- include "folkmoot.labels" (list .root .component) | nindent 4 }}
spec:
  replicas: {{ int .replicas }}
  serviceName: {{ include "folkmoot.peersName" .root }}
  # Peers start and leave side by side; an update still goes from one to the next.
  podManagementPolicy: Parallel
  updateStrategy:
    {{- toYaml .root.Values.updateStrategy | nindent 4 }}
  persistentVolumeClaimRetentionPolicy:
    {{- toYaml .root.Values.persistence.retain | nindent 4 }}
  selector:
    matchLabels:
      {{- include "folkmoot.componentLabels" (list .root .component) | nindent 6 }}
  template:
    {{- include "folkmoot.podTemplate" (dict "root" .root "component" .component "size" .root.Values.persistence.size "drain" .root.Values.drainTimeoutSeconds "resources" .resources) | nindent 4 }}
  volumeClaimTemplates:
    - apiVersion: v1
      kind: PersistentVolumeClaim
      metadata:
        name: data
        # Nothing here may change over upgrades, so neither versions nor labels that come with values.
        labels:
          {{- include "folkmoot.componentLabels" (list .root .component) | nindent 10 }}
        {{- with .root.Values.persistence.annotations }}
        annotations:
          {{- toYaml . | nindent 10 }}
        {{- end }}
      spec:
        accessModes:
          {{- toYaml .root.Values.persistence.accessModes | nindent 10 }}
        {{- with .root.Values.persistence.storageClass }}
        storageClassName: {{ . }}
        {{- end }}
        resources:
          requests:
            storage: {{ .root.Values.persistence.size }}
{{- end }}
