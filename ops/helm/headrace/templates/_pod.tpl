{{/*
What pods of all components share. Each takes one dict:
  root        the chart's context
  component   worker, control, front, ui, topics
  role        its values: secretEnv, secretFiles, env, resources, nodeSelector …
*/}}

{{/*
A template's metadata. Pods start anew when the settings have changed, and not for another version of the chart, which their labels
would say.
*/}}
{{- define "headrace.podMetadata" -}}
labels:
  {{- with .role.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- include "headrace.selector" (list .root .component) | nindent 2 }}
  app.kubernetes.io/part-of: headrace
annotations:
  {{- with .role.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  checksum/settings: {{ include "headrace.settings" .root | sha256sum }}
{{- end -}}

{{/* The beginning of a pod's spec: nobody in particular, who may do nothing. */}}
{{- define "headrace.podSpec" -}}
serviceAccountName: {{ include "headrace.fullname" .root }}{{ eq .component "topics" | ternary "-topics" (eq .component "control" | ternary "-control" "") }}
automountServiceAccountToken: {{ and (eq .component "control") (eq .root.Values.scaling.by "control") }}
enableServiceLinks: false # they would be variables named HEADRACE_…, which are settings
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: { type: RuntimeDefault }
{{- range $field := list "nodeSelector" "tolerations" "affinity" "priorityClassName" }}
{{- with index $.role $field }}
{{ $field }}: {{ toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Pods of a component on nodes and in zones of their own, where there are such. */}}
{{- define "headrace.spread" -}}
topologySpreadConstraints:
  {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "headrace.selector" (list $.root $.component) | nindent 8 }}
    # Only among pods of one revision: else the old ones decide where the new ones go.
    matchLabelKeys: [pod-template-hash]
  {{- end }}
{{- end -}}

{{/* The beginning of a container, but for its args. */}}
{{- define "headrace.container" -}}
image: {{ include "headrace.image" .root }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
resources:
  {{- toYaml .role.resources | nindent 2 }}
{{- with concat .root.Values.secretEnv (.role.secretEnv | default list) }}
envFrom:
  {{- range . }}
  - secretRef: { name: {{ . }} }
  {{- end }}
{{- end }}
{{- end -}}

{{/* Variables of every container, entries of a list. */}}
{{- define "headrace.env" -}}
- { name: HEADRACE_SETTINGS, value: /etc/headrace/headrace.toml }
{{- with .root.Values.topics.prefix }}
- { name: HEADRACE_TOPICS__PREFIX, value: {{ . | quote }} }
{{- end }}
{{- if has .component (list "control" "ui" "topics") }}
- { name: HEADRACE_SCALING__LIMITS__MIN, value: {{ int .root.Values.scaling.min | quote }} }
- { name: HEADRACE_SCALING__LIMITS__MAX, value: {{ int .root.Values.scaling.max | quote }} }
{{- end }}
- { name: HEADRACE_HTTP__LISTEN, value: {{ include "headrace.listen" (list .root 9100) | quote }} }
{{- with .role.env }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Mounts of every container, entries of a list; a folder whole, so that what changes in it is seen. */}}
{{- define "headrace.mounts" -}}
- { name: settings, mountPath: /etc/headrace, readOnly: true }
{{- range concat .root.Values.secretFiles (.role.secretFiles | default list) }}
- { name: secret-{{ sha256sum .secret | trunc 12 }}, mountPath: {{ .path }}, readOnly: true }
{{- end }}
{{- end -}}

{{- define "headrace.volumes" -}}
- name: settings
  configMap: { name: {{ include "headrace.fullname" .root }}-{{ eq .component "topics" | ternary "topics" "settings" }} }
{{- range concat .root.Values.secretFiles (.role.secretFiles | default list) }}
- name: secret-{{ sha256sum .secret | trunc 12 }}
  secret: { secretName: {{ .secret }}, defaultMode: 0440 }
{{- end }}
{{- end -}}

{{/* The port of health and metrics, and what is asked there. */}}
{{- define "headrace.probes" -}}
startupProbe:
  httpGet: { path: /healthz, port: http }
  periodSeconds: 2
  failureThreshold: 60
readinessProbe:
  httpGet: { path: /readyz, port: http }
  periodSeconds: 5
  timeoutSeconds: 3
livenessProbe:
  httpGet: { path: /healthz, port: http }
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
{{- end -}}
