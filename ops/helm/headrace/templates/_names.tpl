{{/* Begins every object's name: the release's name, at most 53 characters, so that the longest suffix still makes a DNS label. */}}
{{- define "headrace.fullname" -}}
{{- $name := .Values.fullnameOverride | default (contains "headrace" .Release.Name | ternary .Release.Name (printf "%s-headrace" .Release.Name)) -}}
{{- if gt (len $name) 53 -}}
{{- /* Cut off, two long names could become one. */ -}}
{{- printf "%s-%s" (trunc 44 $name | trimSuffix "-") (sha256sum $name | trunc 8) -}}
{{- else -}}
{{- $name -}}
{{- end -}}
{{- end -}}

{{/* What finds the pods of a component: (list $ "worker"). A selector cannot be changed, so it holds nothing that may. */}}
{{- define "headrace.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: headrace
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* Labels of an object: (list $ "worker"). */}}
{{- define "headrace.labels" -}}
{{- $root := index . 0 -}}
{{ include "headrace.selector" . }}
app.kubernetes.io/part-of: headrace
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "headrace.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end -}}
{{- end -}}

{{/* Every address of a pod, with a port: (list $ 9100). */}}
{{- define "headrace.listen" -}}
{{ eq (index . 0).Values.ipFamily "IPv6" | ternary "[::]" "0.0.0.0" }}:{{ index . 1 }}
{{- end -}}

{{/* What the settings file says, under the name under which pods find it. */}}
{{- define "headrace.settings" -}}
headrace.toml: |
  {{- .Values.settings | nindent 2 }}
{{- end -}}
